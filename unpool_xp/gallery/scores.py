"""Pool and unpool photographs by each method, and score how much of them comes back."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

import unpool_xp as ux
from unpool_xp import backends
from unpool_xp.backends import Backend
from unpool_xp.gallery.methods import METHODS, Method, find_method
from unpool_xp.gallery.photographs import NDArray, Photograph, shipped_photograph

STRIDES = (2.0, 3.0, 4.0)

_LEVELS = 65535
# Not exactly half a level: ties are common, and the last bit of a sum must not decide them.
_OFFSET = 0.5 + 2**-17 / math.sqrt(2)
_SSIM_WINDOW = 7


@dataclass(frozen=True)
class Entry:
    """A photograph after one method at one stride."""

    method: Method
    stride: float
    original: NDArray = field(repr=False)  # shape (channel, row, column), values from 0 to 1
    picture: NDArray = field(repr=False)  # of the same shape, which a whole stride divides
    psnr: float  # in decibels; infinite if nothing was lost
    ssim: float  # 1 if nothing was lost

    @property
    def blockiness(self) -> float:
        """The share of squared steps on window borders, over that in the original.

        It is 1 if the windows cannot be seen.
        """
        return _border_share(self.picture, self.stride) / _border_share(self.original, self.stride)

    @property
    def variation(self) -> float:
        """The mean step between neighbours, over that in the original."""
        return _mean_step(self.picture) / _mean_step(self.original)

    @property
    def error_at_maxima(self) -> float:
        """The largest error at the positions of the windows' maxima, from 0 to 1."""
        indices = ux.max_pool(self.original, (int(self.stride),) * 2).indices
        error = np.abs(self.picture - self.original).reshape(len(indices), -1)
        return float(np.take_along_axis(error, indices.reshape(len(indices), -1), axis=1).max())


@dataclass(frozen=True)
class Gallery:
    """A photograph after every method at every stride."""

    photograph: Photograph
    backend: str  # the label of the backend that computed it
    entries: tuple[Entry, ...]

    @property
    def strides(self) -> list[float]:
        """The strides, in the order in which they were requested."""
        return list(dict.fromkeys(entry.stride for entry in self.entries))

    def entry(self, method: Method, stride: float) -> Entry | None:
        """Return the entry of a method at a stride, or None if the method cannot do it."""
        matches = (e for e in self.entries if e.method is method and e.stride == stride)
        return next(matches, None)

    def methods(self) -> list[Method]:
        """Return the methods, largest mean PSNR first."""
        return rank_methods(self.entries)


def rank_methods(entries: Sequence[Entry]) -> list[Method]:
    """Return the methods of some entries, largest mean PSNR first.

    Fractional strides count only if there are no whole ones: not every method takes them, and
    means over different strides do not compare.
    """
    counted = [entry for entry in entries if entry.stride.is_integer()] or entries
    present = [method for method in METHODS if any(e.method is method for e in entries)]
    means = {
        method.name: float(np.mean([e.psnr for e in counted if e.method is method]))
        for method in present
    }
    return sorted(present, key=lambda method: -means[method.name])


def make_gallery(
    photograph: Photograph,
    backend: Backend,
    strides: Sequence[float] = STRIDES,
    *,
    methods: Sequence[Method] = METHODS,
) -> Gallery:
    """Pool and unpool a photograph by each method at each stride.

    Parameters
    ----------
    photograph : Photograph
        The input.
    backend : Backend
        The backend that computes it. The result is the same on all of them.
    strides : sequence of float, optional
        Pooling factors along each axis, above 1. Only the fractional methods take one that is
        not whole; the others are left out there.
    methods : sequence of Method, optional
        The pairs of pooling and unpooling.

    Returns
    -------
    Gallery
        The pictures and their scores.

    Raises
    ------
    ValueError
        If `strides` is empty or a stride is out of range.

    Examples
    --------
    >>> from unpool_xp import backends
    >>> from unpool_xp.gallery import make_gallery
    >>> from unpool_xp.gallery.photographs import shipped_photograph
    >>> gallery = make_gallery(shipped_photograph("camera"), backends.load("numpy"), [4])
    >>> gallery.methods()[0].name, gallery.methods()[-1].name
    ('avg_pool, linear_unpool half_pixel', 'max_pool, max_unpool')
    """
    strides = list(dict.fromkeys(float(stride) for stride in strides))
    largest = min(photograph.size) // _SSIM_WINDOW
    if not strides:
        raise ValueError("strides: none given")
    for stride in strides:
        if not 1 < stride <= largest:
            raise ValueError(
                f"stride {stride:g} must be above 1 and at most {largest} for the "
                f"{photograph.size[0]} rows and {photograph.size[1]} columns of {photograph.name}"
            )
    entries = []
    with double_precision(backend):
        for stride in strides:
            whole = stride.is_integer()
            original = photograph.pixels
            if whole:
                original = crop_to_multiple(original, int(stride))
            x = backend.asarray(original)
            for method in methods:
                if whole or method.fractional:
                    picture = quantize(backend.to_numpy(method.apply(x, stride)))
                    scores = psnr(original, picture), ssim(original, picture)
                    entries.append(Entry(method, stride, original, picture, *scores))
    return Gallery(photograph, backend.label, tuple(entries))


@cache
def max_pool_scores(strides: tuple[int, ...] = (2, 4, 8)) -> Mapping[int, Mapping[str, Entry]]:
    """Return how "astronaut" comes back from max pooling, by stride and by unpooling."""
    methods = [
        find_method("max_pool", "nearest_unpool"),
        find_method("max_pool", "max_unpool"),
        find_method("fractional_max_pool", "fractional_max_unpool"),
    ]
    gallery = make_gallery(
        shipped_photograph("astronaut"), backends.load("numpy"), strides, methods=methods
    )
    return {
        stride: {e.method.unpooling: e for e in gallery.entries if e.stride == stride}
        for stride in strides
    }


def crop_to_multiple(pixels: NDArray, factor: int) -> NDArray:
    """Drop the last rows and columns, so that a factor divides the size."""
    rows, columns = (n - n % factor for n in pixels.shape[1:])
    return np.ascontiguousarray(pixels[:, :rows, :columns])


@contextlib.contextmanager
def double_precision(backend: Backend) -> Iterator[None]:
    """Enable float64 in JAX inside a `with` block; other libraries have it anyway."""
    if backend.library != "jax":
        yield
        return
    import jax

    before = jax.config.read("jax_enable_x64")  # type: ignore[no-untyped-call]
    jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)  # type: ignore[no-untyped-call]


def quantize(picture: NDArray) -> NDArray:
    """Clip to 0 to 1 and round to 16 bits, which hides how libraries differ in the last bits."""
    levels: NDArray = np.clip(np.floor(picture * _LEVELS + _OFFSET), 0, _LEVELS)
    return levels / _LEVELS


def psnr(original: NDArray, picture: NDArray) -> float:
    """Return the peak signal-to-noise ratio in decibels, for values from 0 to 1.

    It is infinite if the pictures are equal.
    """
    from skimage.metrics import peak_signal_noise_ratio

    if np.array_equal(original, picture):
        return math.inf
    return float(
        peak_signal_noise_ratio(original, picture, data_range=1)  # type: ignore[no-untyped-call]
    )


def ssim(original: NDArray, picture: NDArray) -> float:
    """Return the structural similarity, for values from 0 to 1.

    It is the mean of the channels, axis 0, and 1 if the pictures are equal.
    """
    from skimage.metrics import structural_similarity

    similarity = structural_similarity(  # type: ignore[no-untyped-call]
        original, picture, data_range=1, channel_axis=0, win_size=_SSIM_WINDOW
    )
    return float(similarity)


def _border_share(picture: NDArray, stride: float) -> float:
    at_borders = total = 0.0
    for axis in (-2, -1):
        steps = np.moveaxis(np.diff(picture, axis=axis) ** 2, axis, 0)
        at_borders += float(steps[int(stride) - 1 :: int(stride)].sum(dtype=np.float64))
        total += float(steps.sum(dtype=np.float64))
    return at_borders / total


def _mean_step(picture: NDArray) -> float:
    return sum(float(np.abs(np.diff(picture, axis=axis)).mean()) for axis in (-2, -1))


def best_shift(original: NDArray, picture: NDArray, largest: float) -> float:
    """Return by how many pixels, down and to the right, a picture must move to fit best.

    The fit is the mean squared error of the grey values, away from the border.
    """
    from scipy import ndimage, optimize

    target, moving = original.mean(0), picture.mean(0)
    border = int(largest) + 4
    inner = (slice(border, -border),) * 2

    def error(shift: float) -> float:
        moved = ndimage.shift(moving, (shift, shift), order=3, mode="nearest")
        return float(np.square(moved[inner] - target[inner]).mean())

    found = optimize.minimize_scalar(error, bounds=(-largest, largest), method="bounded")
    return float(found.x)
