"""A namespace in which the functions that a library lacks are there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from unpool_xp._array.adapted import functions
from unpool_xp._array.adapted.arrays import NumberTakers, refuses_numbers
from unpool_xp._array.compat import Array, Namespace, cast

_known: dict[tuple[int, str], AdaptedNamespace] = {}


def adapt(xp: Namespace, device: Any) -> AdaptedNamespace:
    """Return the namespace of a library without a name; its gaps are looked for once a device."""
    key = (id(xp), str(device))  # which it keeps, so that no other one has its number
    if key not in _known:
        adapted = AdaptedNamespace(xp, device)
        ones = [adapted.asarray([one], device=device) for one in (1, 1.0)]
        if refuses_numbers(*ones):
            adapted = AdaptedNamespace(NumberTakers(xp, device, adapted.asarray), device)
        _known[key] = adapted
    return _known[key]


def forget() -> None:
    """Forget what libraries lack."""
    _known.clear()


def works(call: Callable[[], Any]) -> bool:
    """Return whether a library can do this."""
    try:
        call()
    except Exception:
        return False
    return True


# What each function makes a small array of.
_SMALL: dict[str, tuple[Any, ...]] = {
    "arange": (1,),
    "asarray": ([0],),
    "full": ((1,), 0),
    "zeros": ((1,),),
}


class AdaptedNamespace:
    """The functions of a library; what it lacks or has in a form of its own is made up for.

    Axes are counted from the front, and numbers of elements are of the default index dtype.
    """

    def __init__(self, xp: Namespace, device: Any) -> None:
        self._xp, self._device = xp, device
        self._takes_device: dict[str, bool] = {}
        self.__name__ = getattr(xp, "__name__", type(xp).__name__)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._xp, name)

    @property
    def number_takers(self) -> NumberTakers | None:
        """What makes arrays that take numbers, where those of the library do not."""
        return self._xp if isinstance(self._xp, NumberTakers) else None

    @functools.cached_property
    def indexing_dtype(self) -> Any:
        """The default index dtype."""
        import array_api_extra

        try:
            dtype = array_api_extra.default_dtype(self._xp, "indexing", device=self._device)
            self.asarray([0], dtype=dtype, device=self._device)
        except Exception:  # that of its integers, then
            return self.asarray([0], device=self._device).dtype
        return dtype

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
        make = getattr(self._xp, name)
        if name not in self._takes_device:
            self._takes_device[name] = works(lambda: make(*_SMALL[name], device=device))
        if self._takes_device[name]:
            options["device"] = device
        return make(*arguments, **options)

    def arange(self, *limits: int, dtype: Any = None, device: Any = None) -> Array:
        """Return the numbers between limits."""
        if not hasattr(self._xp, "arange"):
            return self.asarray(np.arange(*limits), dtype=dtype, device=device)
        return self._make("arange", *limits, dtype=dtype, device=device)

    def asarray(self, values: Any, *, dtype: Any = None, device: Any = None) -> Array:
        """Return an array of values."""
        return self._make("asarray", values, dtype=dtype, device=device)

    def full(
        self, shape: Sequence[int], value: Any, *, dtype: Any = None, device: Any = None
    ) -> Array:
        """Return an array of one value."""
        return self._make("full", shape, value, dtype=dtype, device=device)

    def zeros(self, shape: Sequence[int], *, dtype: Any = None, device: Any = None) -> Array:
        """Return an array of zeros."""
        return self._make("zeros", shape, dtype=dtype, device=device)

    @functools.cached_property
    def _copies(self) -> bool:
        x = self.asarray([0], device=self._device)
        return works(lambda: self._xp.astype(x, x.dtype, copy=True))

    def astype(self, x: Array, dtype: Any, *, copy: bool = False) -> Array:
        """Return the array in another dtype; in memory of its own, if that is asked for."""
        if copy and self._copies:
            return self._xp.astype(x, dtype, copy=True)
        x = self._xp.astype(x, dtype)
        return self.concat([x[:1, ...], x[1:, ...]]) if copy else x

    # --- axes -------------------------------------------------------------------------------------

    def concat(self, arrays: Sequence[Array], *, axis: int = 0) -> Array:
        """Return arrays one after the other."""
        axis %= arrays[0].ndim
        if hasattr(arrays[0], "rechunk"):  # whole along the axis, as each of them is
            joined = self._xp.concat(arrays, axis=axis)
            return functions.in_whole_planes(joined, joined.ndim - axis)
        if self._joins:
            return self._xp.concat(arrays, axis=axis)
        return functions.concat(self, arrays, axis, self.indexing_dtype, self._device)

    def stack(self, arrays: Sequence[Array], *, axis: int = 0) -> Array:
        """Return arrays on a new axis."""
        axis %= arrays[0].ndim + 1
        if self._joins:
            return self._xp.stack(arrays, axis=axis)
        return self.concat([self.expand_dims(array, axis=axis) for array in arrays], axis=axis)

    @functools.cached_property
    def _joins(self) -> bool:
        # Sparse arrays have a value of their own between the entries, which may have to agree.
        zero = self.zeros((1,), dtype=self.indexing_dtype, device=self._device)
        one = self.full((1,), 1, dtype=self.indexing_dtype, device=self._device)
        return works(lambda: (self._xp.concat([zero, one]), self._xp.stack([zero, one])))

    def expand_dims(self, x: Array, *, axis: int = 0) -> Array:
        """Return the array with an axis of one element."""
        axis %= x.ndim + 1
        return self._xp.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))

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
        if hasattr(x, "rechunk"):
            return functions.reshape_chunked(self._xp, x, shape)
        return self._xp.reshape(x, shape)

    # --- places -----------------------------------------------------------------------------------

    def take(self, x: Array, index: Array, *, axis: int = 0) -> Array:
        """Return the elements at places along an axis."""
        axis, index = axis % x.ndim, self._as_index(index)
        if self._takes:
            return self._xp.take(x, index, axis=axis)
        index = self.reshape(index, (*(1,) * axis, -1, *(1,) * (x.ndim - axis - 1)))
        return functions.take_by_comparing(self, x, index, axis, self._device)

    @functools.cached_property
    def _takes(self) -> bool:
        return works(lambda: self._xp.take(self._vector, self._vector, axis=0))

    def take_along_axis(self, x: Array, index: Array, *, axis: int) -> Array:
        """Return the elements at places that are given for each line along an axis."""
        axis, index = axis % x.ndim, self._as_index(index)
        if self._takes_along_axis:
            return self._xp.take_along_axis(x, index, axis=axis)
        if self._takes:
            return functions.take_along_axis(self, x, index, axis, index.dtype, self._device)
        return functions.take_by_comparing(self, x, index, axis, self._device)

    @functools.cached_property
    def _takes_along_axis(self) -> bool:
        return works(lambda: self._xp.take_along_axis(self._vector, self._vector, axis=0))

    @functools.cached_property
    def puts_along_axis(self) -> bool:
        """Whether the library sets along an axis in a new array, which the standard lacks."""
        vector = self._vector
        put = getattr(self._xp, "put_along_axis", None)
        return put is not None and works(lambda: put(vector, vector, vector, axis=0).shape)

    def put_along_axis(self, x: Array, index: Array, values: Array, *, axis: int) -> Array:
        """Return the array with values at places that are given for each line along an axis."""
        return self._xp.put_along_axis(x, self._as_index(index), values, axis=axis)

    def repeat(self, x: Array, repeats: int, *, axis: int) -> Array:
        """Return each element so many times along an axis."""
        axis %= x.ndim
        if self._repeats:
            return self._xp.repeat(x, repeats, axis=axis)
        return functions.repeat(self, x, repeats, axis)

    @functools.cached_property
    def _repeats(self) -> bool:
        return works(lambda: self._xp.repeat(self._vector, 2, axis=0))

    def argsort(self, x: Array) -> Array:
        """Return the order that sorts a vector."""
        if self._sorts or hasattr(x, "rechunk"):  # in chunks each of the many steps is a plan
            return self._as_index(self._xp.argsort(x))
        return functions.argsort(self, x, self.indexing_dtype, self._device)

    @functools.cached_property
    def _sorts(self) -> bool:
        return works(lambda: self._xp.argsort(self._vector))

    def searchsorted(self, keys: Array, wanted: Array, *, side: str) -> Array:
        """Return how many keys of a sorted vector are at most as large; side is "right"."""
        if self._searches:
            return self._as_index(self._xp.searchsorted(keys, wanted, side=side))
        return functions.searchsorted(self, keys, wanted, self.indexing_dtype, self._device)

    @functools.cached_property
    def _searches(self) -> bool:
        return works(lambda: self._xp.searchsorted(self._vector, self._vector, side="right"))

    @property
    def _vector(self) -> Array:
        return self.asarray([0], dtype=self.indexing_dtype, device=self._device)

    def _as_index(self, numbers: Array) -> Array:
        numbers = cast(self._xp, numbers, self.indexing_dtype)
        # MLX has no gradient by an index, and asks for it where what is differentiated made it.
        stop = getattr(self._xp, "stop_gradient", None)
        return numbers if stop is None else stop(numbers)

    # --- numbers ----------------------------------------------------------------------------------

    def matmul(self, a: Array, b: Array) -> Array:
        """Return the matrix product, of integers too."""
        if not self._multiplies_integers and self._xp.isdtype(a.dtype, "integral"):
            return functions.matmul_by_sums(a, b)
        return self._xp.matmul(a, b)

    @functools.cached_property
    def _multiplies_integers(self) -> bool:
        one = self._xp.reshape(self._vector, (1, 1))
        return works(lambda: self._xp.matmul(one, one))

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
