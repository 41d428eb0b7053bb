"""Photographs through each pair of pooling and unpooling, and how much of them comes back."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from unpool_xp.backends import Backend
from unpool_xp.gallery.methods import METHODS, Method
from unpool_xp.gallery.photographs import NDArray, Photograph

STRIDES = (2.0, 3.0, 4.0)

_LEVELS = 65535
# Not half a level exactly: ties, which are common, must not hang on a last bit of the library's.
_OFFSET = 0.5 + 2**-17 / math.sqrt(2)
_WINDOW = 7  # of the structural similarity


@dataclass(frozen=True)
class Entry:
    """One photograph after one method.

    Attributes
    ----------
    method : Method
        What it went through.
    stride : float
        Cells that become one, along each axis.
    original, picture : ndarray
        Before and after, shape (channel, row, column), from 0 to 1; of the size that the stride
        divides.
    psnr : float
        The peak signal-to-noise ratio in decibels; infinite where nothing was lost.
    ssim : float
        The structural similarity, 1 where nothing was lost.
    """

    method: Method
    stride: float
    original: NDArray = field(repr=False)
    picture: NDArray = field(repr=False)
    psnr: float
    ssim: float


@dataclass(frozen=True)
class Gallery:
    """A photograph after every method, at every stride.

    Attributes
    ----------
    photograph : Photograph
        What went in.
    backend : str
        The label of the library that did it.
    entries : tuple of Entry
        One for each method and stride.
    """

    photograph: Photograph
    backend: str
    entries: tuple[Entry, ...]

    @property
    def strides(self) -> list[float]:
        """The strides, in the order they were asked for."""
        return list(dict.fromkeys(entry.stride for entry in self.entries))

    def at(self, method: Method, stride: float) -> Entry | None:
        """Return the entry of a method and a stride, if the method can do it."""
        wanted = (e for e in self.entries if e.method is method and e.stride == stride)
        return next(wanted, None)

    def methods(self) -> list[Method]:
        """Return the methods, the one with the largest mean PSNR first."""
        return by_psnr([self])


def by_psnr(galleries: Sequence[Gallery]) -> list[Method]:
    """Return the methods of some galleries, the one with the largest mean PSNR first.

    Parameters
    ----------
    galleries : sequence of Gallery
        Their entries are taken together; those of strides that are not whole count only where
        there are no others.

    Returns
    -------
    list of Method
        Those that have an entry.
    """
    entries = [entry for gallery in galleries for entry in gallery.entries]
    made = {METHODS.index(entry.method) for entry in entries}
    # Means compare only where they are of the same strides: those that every method can do.
    whole = [entry for entry in entries if entry.stride.is_integer()] or entries
    means = {
        index: float(np.mean([e.psnr for e in whole if e.method is METHODS[index]]))
        for index in made
    }
    return [METHODS[index] for index in sorted(made, key=lambda index: (-means[index], index))]


def make_gallery(
    photograph: Photograph,
    backend: Backend,
    strides: Sequence[float] = STRIDES,
    *,
    progress: Callable[[], object] = lambda: None,
) -> Gallery:
    """Send a photograph through every method, at every stride.

    Parameters
    ----------
    photograph : Photograph
        What goes in.
    backend : Backend
        The library that does it. The result is the same with each.
    strides : sequence of float, optional
        Cells that become one, along each axis; above 1. The fractional methods alone take one
        that is not whole.
    progress : callable, optional
        Called after each method.

    Returns
    -------
    Gallery
        The pictures and their scores.

    Raises
    ------
    ValueError
        If there is no stride, or one that cannot be.

    Examples
    --------
    >>> from unpool_xp import backends
    >>> from unpool_xp.gallery.scores import make_gallery
    >>> from unpool_xp.gallery.photographs import shipped_photograph
    >>> gallery = make_gallery(shipped_photograph("camera"), backends.load("numpy"), [4])
    >>> gallery.methods()[0].name, gallery.methods()[-1].name
    ('avg_pool, linear_unpool half_pixel', 'max_pool, max_unpool')
    """
    strides = list(dict.fromkeys(float(stride) for stride in strides))
    most = min(photograph.size) // _WINDOW
    if not strides:
        raise ValueError("strides: none given")
    for stride in strides:
        if not 1 < stride <= most:
            raise ValueError(
                f"stride {stride:g} must be above 1 and at most {most} for the "
                f"{photograph.size[0]} rows and {photograph.size[1]} columns of {photograph.name}"
            )
    entries = []
    with double_precision(backend):
        for stride in strides:
            original = _divisible(photograph.pixels, stride)
            x = backend.asarray(original)
            for method in METHODS:
                if not method.whole or stride.is_integer():
                    picture = settled(backend.to_numpy(method.way(x, stride)))
                    scores = psnr(original, picture), ssim(original, picture)
                    entries.append(Entry(method, stride, original, picture, *scores))
                    progress()
    return Gallery(photograph, backend.label, tuple(entries))


def _divisible(pixels: NDArray, stride: float) -> NDArray:
    """Return the part that a whole stride divides, or all."""
    if not stride.is_integer():
        return pixels
    rows, columns = (n - n % int(stride) for n in pixels.shape[1:])
    return np.ascontiguousarray(pixels[:, :rows, :columns])


@contextlib.contextmanager
def double_precision(backend: Backend) -> Iterator[None]:
    """Let JAX have float64 for a while, which others have anyway.

    Parameters
    ----------
    backend : Backend
        The backend that is about to be used.
    """
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


def settled(picture: NDArray) -> NDArray:
    """Return a picture in levels of 16 bits, in which libraries do not differ.

    Parameters
    ----------
    picture : ndarray
        Values from 0 to 1, perhaps a little beyond.

    Returns
    -------
    ndarray
        The nearest levels, from 0 to 1, float64. The last bits of a sum, where libraries may
        differ, do not show.
    """
    levels: NDArray = np.clip(np.floor(picture * _LEVELS + _OFFSET), 0, _LEVELS)
    return levels / _LEVELS


def psnr(original: NDArray, picture: NDArray) -> float:
    """Return the peak signal-to-noise ratio.

    Parameters
    ----------
    original, picture : ndarray
        Of one shape, from 0 to 1.

    Returns
    -------
    float
        In decibels; infinite where they are equal.
    """
    from skimage.metrics import peak_signal_noise_ratio

    if np.array_equal(original, picture):
        return math.inf
    return float(
        peak_signal_noise_ratio(original, picture, data_range=1)  # type: ignore[no-untyped-call]
    )


def ssim(original: NDArray, picture: NDArray) -> float:
    """Return the structural similarity, the mean of the channels.

    Parameters
    ----------
    original, picture : ndarray
        Of one shape (channel, row, column), from 0 to 1.

    Returns
    -------
    float
        1 where they are equal.
    """
    from skimage.metrics import structural_similarity

    similarity = structural_similarity(  # type: ignore[no-untyped-call]
        original, picture, data_range=1, channel_axis=0
    )
    return float(similarity)
