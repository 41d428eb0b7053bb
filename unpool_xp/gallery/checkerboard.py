"""When a transposed convolution draws a checkerboard, and what avoids it.

If the stride does not divide the kernel size, some outputs are the sum of more weights than
others (Odena, Dumoulin and Olah 2016, "Deconvolution and Checkerboard Artifacts",
https://distill.pub/2016/deconv-checkerboard/).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import unpool_xp as ux
from unpool_xp.backends import Backend
from unpool_xp.gallery.photographs import NDArray, Photograph
from unpool_xp.gallery.scores import crop_to_multiple, double_precision, psnr, quantize

STRIDE = 2
_BORDER = 8  # cells at the border, where fewer weights overlap whatever the kernel
SMALLEST = 4 * _BORDER  # rows and columns of a photograph
_SHOWN = 8


@dataclass(frozen=True)
class Upsampler:
    """A way to double the size of a map, named in two lines."""

    name: str
    detail: str
    kernel: int
    apply: Callable[[Any, Any], Any] = field(repr=False)  # to (channel, row, column), and a weight


@dataclass(frozen=True)
class Upsampled:
    """What an upsampler with equal weights makes of a constant map and of a pooled photograph.

    The pictures have shape (channel, row, column) and values from 0 to 1; the scores leave out
    the border.
    """

    upsampler: Upsampler
    counts: NDArray = field(repr=False)  # of the weights that are added up in each cell
    unevenness: float
    original: NDArray = field(repr=False)
    picture: NDArray = field(repr=False)
    psnr: float


def overlap(kernel: int, stride: int) -> list[int]:
    """Return how many windows overlap in each of `stride` adjacent cells, away from the border.

    Cell r gets the taps r, r + stride, r + 2 * stride, ... below `kernel`.

    Examples
    --------
    >>> from unpool_xp.gallery.checkerboard import overlap
    >>> overlap(3, 2), overlap(4, 2)
    ([2, 1], [2, 2])
    """
    return [len(range(cell, kernel, stride)) for cell in range(stride)]


def unevenness(cells: Any) -> float:
    """Return the standard deviation over the mean of an upsampled constant map.

    Examples
    --------
    >>> import numpy as np
    >>> from unpool_xp.gallery.checkerboard import overlap, unevenness
    >>> round(unevenness(np.outer(overlap(3, 2), overlap(3, 2))), 2)
    0.48
    """
    return float(np.std(cells) / np.mean(cells))


def _transposed(kernel: int) -> Upsampler:
    before = (kernel - STRIDE) // 2
    padding = ((before, kernel - STRIDE - before),) * 2

    def apply(x: Any, weight: Any) -> Any:
        return ux.conv_transpose(x, weight, stride=STRIDE, padding=padding, groups=x.shape[0])

    return Upsampler("conv_transpose", f"kernel {kernel}, stride {STRIDE}", kernel, apply)


def _resized(name: str, resize: Callable[[Any], Any]) -> Upsampler:
    def apply(x: Any, weight: Any) -> Any:
        # With stride 1 and a symmetric kernel the transpose of a convolution is a convolution.
        return ux.conv_transpose(resize(x), weight, padding=1, groups=x.shape[0])

    return Upsampler(name, "then convolution 3x3", 3, apply)


UPSAMPLERS = (
    _transposed(3),
    _transposed(5),
    _transposed(4),
    _resized("nearest_unpool", lambda x: ux.nearest_unpool(x, (STRIDE, STRIDE))),
    _resized(
        "linear_unpool",
        lambda x: ux.linear_unpool(x, (STRIDE, STRIDE), coordinates="half_pixel"),
    ),
)


def checkerboard(photograph: Photograph, backend: Backend) -> list[Upsampled]:
    """Halve a photograph by average pooling, then double it by each of `UPSAMPLERS`.

    Parameters
    ----------
    photograph : Photograph
        The input.
    backend : Backend
        The backend that computes it.

    Returns
    -------
    list of Upsampled
        One for each upsampler.

    Raises
    ------
    ValueError
        If the photograph has fewer than `SMALLEST` rows or columns.
    """
    if min(photograph.size) < SMALLEST:
        raise ValueError(f"{photograph.name} must have at least {SMALLEST} rows and columns")
    original = crop_to_multiple(photograph.pixels, STRIDE)
    channels, rows, columns = original.shape
    inner = (slice(None), slice(_BORDER, -_BORDER), slice(_BORDER, -_BORDER))
    results = []
    with double_precision(backend):
        pooled = ux.avg_pool(backend.asarray(original), (STRIDE, STRIDE))
        ones = backend.asarray(np.ones((1, rows // STRIDE, columns // STRIDE)))
        for upsampler in UPSAMPLERS:
            side = upsampler.kernel
            summed = upsampler.apply(ones, backend.asarray(np.ones((1, 1, side, side))))
            counts = np.rint(backend.to_numpy(summed)[inner][0])
            # Keeps the mean brightness.
            weight = backend.asarray(np.full((channels, 1, side, side), 1 / counts.mean()))
            picture = quantize(backend.to_numpy(upsampler.apply(pooled, weight)))
            results.append(
                Upsampled(
                    upsampler,
                    counts[:_SHOWN, :_SHOWN].astype(int),
                    unevenness(counts),
                    original,
                    picture,
                    psnr(original[inner], picture[inner]),
                )
            )
    return results
