"""A namespace in which the functions that a library lacks are there."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from unpool_xp._array.adapted import functions
from unpool_xp._array.adapted.arrays import NumberTaker, NumberTakers, bare
from unpool_xp._array.adapted.features import Features
from unpool_xp._array.compat import Array, cast


class AdaptedNamespace:
    """The functions of a library; what it lacks or has in a form of its own is made up for.

    Axes are counted from the front, and numbers of elements are of the default index dtype.
    """

    takes_host_index = False  # whether `take` wants an index as a NumPy array

    def __init__(self, features: Features) -> None:
        self.features = features
        self._xp, self._device = features.xp, features.device
        self.__name__ = getattr(self._xp, "__name__", type(self._xp).__name__)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._xp, name)

    def as_input(self, x: Array, rank: int) -> Array:
        """Return an input, with planes of its last `rank` axes, in the form to compute with."""
        return NumberTaker(self._xp, x) if isinstance(self._xp, NumberTakers) else x

    def as_output(self, result: Any) -> Any:
        """Return an output, or a tuple of them, as the library has it."""
        return bare(result)

    @property
    def indexing_dtype(self) -> Any:
        """The default index dtype."""
        return self.features.indexing_dtype

    @property
    def int64(self) -> Any:
        """The widest integer dtype."""
        return getattr(self._xp, "int64", self._xp.int32)

    @property
    def int16(self) -> Any:
        """A narrow integer dtype."""
        return getattr(self._xp, "int16", self._xp.int32)

    # --- making arrays ----------------------------------------------------------------------------

    def _make(self, name: str, *arguments: Any, device: Any, **options: Any) -> Array:
        return self.features.make(name, *arguments, device=device, **options)

    def arange(self, *limits: int, dtype: Any = None, device: Any = None) -> Array:
        """Return the numbers between limits."""
        if not hasattr(self._xp, "arange"):
            return self.asarray(np.arange(*limits), dtype=dtype, device=device)
        return self._make("arange", *limits, dtype=dtype, device=device)

    def asarray(self, values: Any, *, dtype: Any = None, device: Any = None) -> Array:
        """Return an array of values."""
        made = self._make("asarray", values, dtype=dtype, device=device)
        # Cubed leaves that of a NumPy array as it is.
        return made if dtype is None else cast(self._xp, made, dtype)

    def full(
        self, shape: Sequence[int], value: Any, *, dtype: Any = None, device: Any = None
    ) -> Array:
        """Return an array of one value."""
        return self._make("full", shape, value, dtype=dtype, device=device)

    def zeros(self, shape: Sequence[int], *, dtype: Any = None, device: Any = None) -> Array:
        """Return an array of zeros."""
        return self._make("zeros", shape, dtype=dtype, device=device)

    def astype(self, x: Array, dtype: Any, *, copy: bool = False) -> Array:
        """Return the array in another dtype; in memory of its own, if that is asked for."""
        if copy and self.features.copy:
            return self._xp.astype(x, dtype, copy=True)
        x = self._xp.astype(x, dtype)
        return self.concat([x[:1, ...], x[1:, ...]]) if copy else x

    # --- axes -------------------------------------------------------------------------------------

    def concat(self, arrays: Sequence[Array], *, axis: int = 0) -> Array:
        """Return arrays one after the other."""
        axis %= arrays[0].ndim
        if self.features.concat:
            return self._xp.concat(arrays, axis=axis)
        return functions.concat(self, arrays, axis, self.indexing_dtype, self._device)

    def stack(self, arrays: Sequence[Array], *, axis: int = 0) -> Array:
        """Return arrays on a new axis."""
        axis %= arrays[0].ndim + 1
        if self.features.concat:
            return self._xp.stack(arrays, axis=axis)
        return self.concat([self.expand_dims(array, axis=axis) for array in arrays], axis=axis)

    def expand_dims(self, x: Array, *, axis: int = 0) -> Array:
        """Return the array with an axis of one element."""
        axis %= x.ndim + 1
        return self.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))

    def _reduce(self, name: str, x: Array, axis: int | None) -> Array:
        if axis is None:
            return getattr(self._xp, name)(x)
        axis %= x.ndim
        shape = (*x.shape[:axis], *x.shape[axis + 1 :])
        if 0 in shape:  # some libraries refuse an empty array, whatever its axes
            return self.zeros(shape, dtype=x.dtype, device=self._device)
        return getattr(self._xp, name)(x, axis=axis)

    def max(self, x: Array, *, axis: int | None = None) -> Array:
        """Return the largest elements."""
        return self._reduce("max", x, axis)

    def sum(self, x: Array, *, axis: int | None = None) -> Array:
        """Return the sums of elements."""
        return self._reduce("sum", x, axis)

    def argmax(self, x: Array, *, axis: int | None = None) -> Array:
        """Return the places of the largest elements."""
        places = self._as_index(self._reduce("argmax", x, axis))
        if axis is None:
            return places
        axis %= x.ndim  # Sparse drops other axes of length 1, too
        return self.reshape(places, (*x.shape[:axis], *x.shape[axis + 1 :]))

    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array:
        """Return the elements in another shape."""
        return self._xp.reshape(x, shape)

    # --- places -----------------------------------------------------------------------------------

    def take(self, x: Array, index: Array, *, axis: int = 0) -> Array:
        """Return the elements at places along an axis."""
        axis, index = axis % x.ndim, self._as_index(index)
        if self.features.take:
            return self._xp.take(x, index, axis=axis)
        return self._take_by_comparing(x, index, axis)

    def _take_by_comparing(self, x: Array, index: Array, axis: int) -> Array:
        index = self.reshape(index, (*(1,) * axis, -1, *(1,) * (x.ndim - axis - 1)))
        return functions.take_by_comparing(self, x, index, axis, self._device)

    def take_along_axis(self, x: Array, index: Array, *, axis: int) -> Array:
        """Return the elements at places that are given for each line along an axis."""
        axis, index = axis % x.ndim, self._as_index(index)
        if self.features.take_along_axis:
            return self._xp.take_along_axis(x, index, axis=axis)
        if self.features.take:
            return functions.take_along_axis(self, x, index, axis, index.dtype, self._device)
        return functions.take_by_comparing(self, x, index, axis, self._device)

    @property
    def puts_along_axis(self) -> bool:
        """Whether the library sets along an axis in a new array."""
        return self.features.put_along_axis

    def put_along_axis(self, x: Array, index: Array, values: Array, *, axis: int) -> Array:
        """Return the array with values at places that are given for each line along an axis."""
        return self._xp.put_along_axis(x, self._as_index(index), values, axis=axis)

    def repeat(self, x: Array, repeats: int, *, axis: int) -> Array:
        """Return each element so many times along an axis."""
        axis %= x.ndim
        if self.features.repeat:
            return self._xp.repeat(x, repeats, axis=axis)
        return functions.repeat(self, x, repeats, axis)

    def argsort(self, x: Array) -> Array:
        """Return the order that sorts a vector."""
        if self.features.argsort:
            return self._as_index(self._xp.argsort(x))
        return functions.argsort(self, x, self.indexing_dtype, self._device)

    def searchsorted(self, keys: Array, wanted: Array, *, side: str) -> Array:
        """Return how many keys of a sorted vector are at most as large; side is "right"."""
        if self.features.searchsorted:
            return self._as_index(self._xp.searchsorted(keys, wanted, side=side))
        return functions.searchsorted(self, keys, wanted, self.indexing_dtype, self._device)

    def _as_index(self, numbers: Array) -> Array:
        numbers = cast(self._xp, numbers, self.indexing_dtype)
        # MLX has no gradient by an index, and asks for it where what is differentiated made it.
        stop = getattr(self._xp, "stop_gradient", None)
        return numbers if stop is None else stop(numbers)

    # --- numbers ----------------------------------------------------------------------------------

    def matmul(self, a: Array, b: Array) -> Array:
        """Return the matrix product, of integers and of empty arrays, too."""
        if 0 in (*a.shape, *b.shape):
            lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
            shape = (*lead, a.shape[-2], b.shape[-1])
            return self.zeros(shape, dtype=a.dtype, device=self._device)
        if not self.features.integer_matmul and self._xp.isdtype(a.dtype, "integral"):
            return functions.matmul_by_sums(a, b)
        return self._xp.matmul(a, b)

    def iinfo(self, dtype: Any) -> Any:
        """Return the limits of an integer dtype."""
        limits = self._xp.iinfo(dtype)
        low, high = int(limits.min), int(limits.max)
        return SimpleNamespace(min=low, max=high, bits=(high - low).bit_length())

    def finfo(self, dtype: Any) -> Any:
        """Return the limits of a real floating dtype."""
        limits = self._xp.finfo(dtype)
        if hasattr(limits, "bits"):
            return limits
        bits = 64 if limits.eps < 1e-10 else 32 if limits.eps < 1e-5 else 16
        return SimpleNamespace(min=float(limits.min), max=float(limits.max), bits=bits)
