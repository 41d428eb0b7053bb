"""Arrays in chunks, of which a graph is made first, as those of Cubed are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from unpool_xp._array.adapted import functions
from unpool_xp._array.adapted.features import Features
from unpool_xp._array.adapted.namespace import AdaptedNamespace
from unpool_xp._array.compat import Array, Namespace


class ChunkedNamespace(AdaptedNamespace):
    """The functions of a library whose arrays are in chunks.

    New arrays have the `spec` of an input, since such a library computes with no other ones, and
    are cut as the input is along the axes that they share with it.
    """

    takes_host_index = True  # an array would be computed to index by it

    def __init__(self, features: Features, like: Array) -> None:
        super().__init__(features)
        self._spec = getattr(like, "spec", None)
        self._chunk_of_size = list(zip(like.shape, like.chunksize, strict=True))

    def as_input(self, x: Array, rank: int) -> Array:
        """Return an input in whole planes."""
        return super().as_input(in_whole_planes(x, min(rank, x.ndim)), rank)

    def as_output(self, result: Any) -> Any:
        """Return an output, or a tuple of them, if the memory allowed is enough for them."""
        plan = getattr(self._xp, "plan", None)
        if plan is not None:
            outputs = result if isinstance(result, tuple) else (result,)
            # To find out what is fused costs more, and can take less memory.
            if plan(*outputs, optimize_graph=False).exceeds_memory:
                plan(*outputs).validate()
        return super().as_output(result)

    def _make(self, name: str, *arguments: Any, device: Any, **options: Any) -> Array:
        if self._spec is not None:
            options["spec"] = self._spec
        shape = np.shape(arguments[0]) if name == "asarray" else ()
        if shape and len(shape) == len(self._chunk_of_size) and 0 not in shape:
            pairs = zip(shape, self._chunk_of_size, strict=True)
            options["chunks"] = tuple([c if n == size else n for n, (size, c) in pairs])
        return super()._make(name, *arguments, device=device, **options)

    def concat(self, arrays: Sequence[Array], *, axis: int = 0) -> Array:
        """Return arrays one after the other, whole along the axis as each of them is."""
        axis %= arrays[0].ndim
        return in_whole_planes(self._xp.concat(arrays, axis=axis), arrays[0].ndim - axis)

    def stack(self, arrays: Sequence[Array], *, axis: int = 0) -> Array:
        """Return arrays on a new axis, cut as the one with the smallest chunks."""
        chunks = tuple(map(min, zip(*[array.chunksize for array in arrays], strict=True)))
        return super().stack([_rechunk(array, chunks) for array in arrays], axis=axis)

    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array:
        """Return the elements in another shape."""
        if isinstance(x, np.ndarray):  # an index
            return x.reshape(shape)
        return reshape_chunked(self._xp, x, shape)

    def take(self, x: Array, index: Array, *, axis: int = 0) -> Array:
        """Return the elements at places along an axis."""
        axis %= x.ndim
        if isinstance(index, np.ndarray):
            return self._take_static(x, index, axis)
        return self._take_by_comparing(x, index, axis)

    def _take_static(self, x: Array, index: Any, axis: int) -> Array:
        size = x.shape[axis]
        if index.shape != (size,) or not size:
            return self._xp.take(x, index, axis=axis)
        # Cubed would take as many places as there are for all of them in their order.
        taken = self._xp.take(x, np.append(index, index[0]), axis=axis)
        return taken[(slice(None),) * axis + (slice(size), ...)]

    def take_along_axis(self, x: Array, index: Array, *, axis: int) -> Array:
        """Return the elements at places that are given for each line along an axis."""
        index = self._as_index(index)
        return functions.take_by_comparing(self, x, index, axis % x.ndim, self._device)

    def argsort(self, x: Array) -> Array:
        """Return the order that sorts a vector."""
        return self._as_index(self._xp.argsort(x))  # each of the many steps would be a plan


def in_whole_planes(x: Array, rank: int) -> Array:
    """Return an array whose chunks are whole along the last `rank` axes.

    Cubed cuts and joins chunks right where they are alike, and is not always right elsewhere.
    """
    if 0 in x.shape:
        return x
    lead = len(x.shape) - rank
    return _rechunk(x, (*x.chunksize[:lead], *x.shape[lead:]))


def _rechunk(x: Array, chunks: tuple[int, ...]) -> Array:
    return x if chunks == tuple(x.chunksize) else x.rechunk(chunks)


def reshape_chunked(xp: Namespace, x: Array, shape: tuple[int, ...]) -> Array:
    """Return the elements of an array in chunks, which stay regular, in another shape.

    Cubed reshapes no others. Axes are merged from chunks that are whole along all but the first of
    them, and split between rows; the chunks of axes that stay are kept.
    """
    if -1 in shape or 0 in x.shape:
        return xp.reshape(x, shape)
    groups = _groups(x.shape, shape)
    if any(len(old) > 1 and len(new) > 1 for old, new in groups):  # through axes that are merged
        merged = tuple([math.prod(new) for _, new in groups])
        return reshape_chunked(xp, reshape_chunked(xp, x, merged), shape)
    chunks = list(x.chunksize)
    for old, new in groups:
        inner = math.prod(new[1:]) if len(old) == 1 else 1  # cells of a row that is split off
        chunks[old[0]] = min(-(-chunks[old[0]] // inner) * inner, x.shape[old[0]])
        for axis in old[1:]:
            chunks[axis] = x.shape[axis]
    return xp.reshape(_rechunk(x, tuple(chunks)), shape)


def _groups(old: tuple[int, ...], new: tuple[int, ...]) -> list[tuple[list[int], list[int]]]:
    """Return the axes of the old shape and the sizes of the new that belong together."""
    found: list[tuple[list[int], list[int]]] = []
    i = k = 0
    while i < len(old) or k < len(new):
        axes, sizes = [i] if i < len(old) else [], [new[k]] if k < len(new) else []
        i, k = i + len(axes), k + len(sizes)
        while math.prod(old[axis] for axis in axes) != math.prod(sizes):
            if math.prod(old[axis] for axis in axes) < math.prod(sizes):
                axes.append(i)
                i += 1
            else:
                sizes.append(new[k])
                k += 1
        if axes:
            found.append((axes, sizes))
    return found
