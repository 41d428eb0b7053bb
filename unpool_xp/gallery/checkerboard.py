"""Why a transposed convolution draws a checkerboard, and what does not.

Where the kernel is no multiple of the stride, some outputs are the sum of more weights than
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
from unpool_xp.gallery.scores import double_precision, psnr, settled

STRIDE = 2
_EDGE = 8  # cells at the border, where fewer weights meet whatever the kernel
FEWEST = 4 * _EDGE  # rows and columns of a photograph
_SHOWN = 8


@dataclass(frozen=True)
class Doubling:
    """A way to double a map, with all its weights equal.

    Attributes
    ----------
    name, detail : str
        What it is, in two lines.
    apply : callable
        From a namespace, an array (channel, row, column) and a convolution's weight to twice its
        size.
    kernel : int
        The side of the kernel.
    resizes : bool
        Whether it resizes first and convolves then.
    """

    name: str
    detail: str
    kernel: int
    apply: Callable[[Any, Any], Any] = field(repr=False)
    resizes: bool = False


@dataclass(frozen=True)
class Doubled:
    """What a photograph, pooled, and a map of ones become.

    Attributes
    ----------
    way : Doubling
        The way.
    counts : ndarray
        How many weights are added up in each cell, away from the border.
    unevenness : float
        The standard deviation of what a constant map becomes, over its mean.
    picture : ndarray
        The photograph, shape (channel, row, column), from 0 to 1.
    psnr : float
        To the photograph, away from the border.
    """

    way: Doubling
    counts: NDArray = field(repr=False)
    unevenness: float
    picture: NDArray = field(repr=False)
    psnr: float


def overlap(kernel: int, stride: int) -> list[int]:
    """Return how many windows meet in each of `stride` cells in a row, away from the border.

    Parameters
    ----------
    kernel, stride : int
        Of the transposed convolution, along one axis.

    Returns
    -------
    list of int
        For the cell r, the number of taps r, r + stride, r + 2 * stride, ... below `kernel`.

    Examples
    --------
    >>> from unpool_xp.gallery.checkerboard import overlap
    >>> overlap(3, 2), overlap(4, 2)
    ([2, 1], [2, 2])
    """
    return [len(range(cell, kernel, stride)) for cell in range(stride)]


def unevenness(cells: Any) -> float:
    """Return the standard deviation of some cells over their mean: 0 where they are even.

    Parameters
    ----------
    cells : array_like
        What a constant map becomes.

    Returns
    -------
    float
        A share, such as 0.48.

    Examples
    --------
    >>> import numpy as np
    >>> from unpool_xp.gallery.checkerboard import overlap, unevenness
    >>> round(unevenness(np.outer(overlap(3, 2), overlap(3, 2))), 2)
    0.48
    """
    return float(np.std(cells) / np.mean(cells))


def _transposed(kernel: int) -> Doubling:
    before = (kernel - STRIDE) // 2
    padding = ((before, kernel - STRIDE - before),) * 2

    def apply(x: Any, weight: Any) -> Any:
        return ux.conv_transpose(x, weight, stride=STRIDE, padding=padding, groups=x.shape[0])

    words = f"kernel {kernel}, stride {STRIDE}"
    return Doubling("conv_transpose", words, kernel, apply)


def _resized(name: str, detail: str, resize: Callable[[Any], Any]) -> Doubling:
    def apply(x: Any, weight: Any) -> Any:
        # With stride 1 and a symmetric kernel the transpose of a convolution is a convolution.
        return ux.conv_transpose(resize(x), weight, padding=1, groups=x.shape[0])

    return Doubling(name, detail, 3, apply, resizes=True)


def _twice(x: Any) -> Any:
    return ux.linear_unpool(x, (STRIDE, STRIDE), coordinates="half_pixel")


DOUBLINGS = (
    _transposed(3),
    _transposed(5),
    _transposed(4),
    _resized(
        "nearest_unpool",
        "then convolution 3x3",
        lambda x: ux.nearest_unpool(x, (STRIDE, STRIDE)),
    ),
    _resized("linear_unpool", "then convolution 3x3", _twice),
)


def checkerboard(photograph: Photograph, backend: Backend) -> list[Doubled]:
    """Halve a photograph by its means, and double it in every way of `DOUBLINGS`.

    Parameters
    ----------
    photograph : Photograph
        What is halved.
    backend : Backend
        The library that does it.

    Returns
    -------
    list of Doubled
        One for each way.

    Raises
    ------
    ValueError
        If the photograph has no cell away from its border.
    """
    if min(photograph.size) < FEWEST:
        raise ValueError(f"{photograph.name} must have at least {FEWEST} rows and columns")
    rows, columns = (n - n % STRIDE for n in photograph.size)
    original = np.ascontiguousarray(photograph.pixels[:, :rows, :columns])
    inner = (slice(None), slice(_EDGE, -_EDGE), slice(_EDGE, -_EDGE))
    made = []
    with double_precision(backend):
        pooled = ux.avg_pool(backend.asarray(original), (STRIDE, STRIDE))
        ones = backend.asarray(np.ones((1, rows // STRIDE, columns // STRIDE)))
        for way in DOUBLINGS:
            side = way.kernel
            counts = way.apply(ones, backend.asarray(np.ones((1, 1, side, side))))
            # Scaled, so that a picture keeps its mean brightness.
            share = (1 if way.resizes else STRIDE**2) / side**2
            weight = backend.asarray(np.full((len(original), 1, side, side), share))
            picture = settled(backend.to_numpy(way.apply(pooled, weight)))
            within = np.rint(backend.to_numpy(counts)[inner][0])
            made.append(
                Doubled(
                    way,
                    within[:_SHOWN, :_SHOWN].astype(int),
                    unevenness(within),
                    picture,
                    psnr(original[inner], picture[inner]),
                )
            )
    return made
