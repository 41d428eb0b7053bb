"""What a library has of the standard, each found out once by a call on one element."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from unpool_xp._array.compat import Array, Namespace, default_index_dtype

# What each function makes a small array of.
_SMALL: dict[str, tuple[Any, ...]] = {
    "arange": (1,),
    "asarray": ([0],),
    "full": ((1,), 0),
    "zeros": ((1,),),
}


class Features:
    """What a library has, of what not every library does as the standard says."""

    def __init__(self, xp: Namespace, device: Any) -> None:
        self.xp, self.device = xp, device
        self._takes_device: dict[str, bool] = {}

    def make(self, name: str, *arguments: Any, device: Any, **options: Any) -> Array:
        """Make an array by a function that may take no device."""
        make = getattr(self.xp, name)
        if name not in self._takes_device:
            self._takes_device[name] = _works(lambda: make(*_SMALL[name], device=device))
        if self._takes_device[name]:
            options["device"] = device
        return make(*arguments, **options)

    @functools.cached_property
    def indexing_dtype(self) -> Any:
        """The default index dtype."""
        try:
            dtype = default_index_dtype(self.xp, self.device)
            self.make("asarray", [0], dtype=dtype, device=self.device)
        except Exception:  # that of its integers, then
            return self.make("asarray", [0], device=self.device).dtype
        return dtype

    @property
    def _vector(self) -> Array:
        return self.make("asarray", [0], dtype=self.indexing_dtype, device=self.device)

    @functools.cached_property
    def copy(self) -> bool:
        """Whether `astype` takes `copy`."""
        x = self._vector
        return _works(lambda: self.xp.astype(x, x.dtype, copy=True))

    @functools.cached_property
    def concat(self) -> bool:
        """Whether arrays are put together, by `stack` too."""
        # Sparse arrays have a value of their own between the entries, which may have to agree.
        options = {"dtype": self.indexing_dtype, "device": self.device}
        pair = [self.make("zeros", (1,), **options), self.make("full", (1,), 1, **options)]
        return _works(lambda: (self.xp.concat(pair), self.xp.stack(pair)))

    @functools.cached_property
    def take(self) -> bool:
        """Whether there is `take`."""
        return _works(lambda: self.xp.take(self._vector, self._vector, axis=0))

    @functools.cached_property
    def take_along_axis(self) -> bool:
        """Whether there is `take_along_axis`."""
        return _works(lambda: self.xp.take_along_axis(self._vector, self._vector, axis=0))

    @functools.cached_property
    def put_along_axis(self) -> bool:
        """Whether the library sets along an axis in a new array, which the standard lacks."""
        vector = self._vector
        put = getattr(self.xp, "put_along_axis", None)
        return put is not None and _works(lambda: put(vector, vector, vector, axis=0).shape)

    @functools.cached_property
    def repeat(self) -> bool:
        """Whether there is `repeat`."""
        return _works(lambda: self.xp.repeat(self._vector, 2, axis=0))

    @functools.cached_property
    def argsort(self) -> bool:
        """Whether there is `argsort`."""
        return _works(lambda: self.xp.argsort(self._vector))

    @functools.cached_property
    def searchsorted(self) -> bool:
        """Whether there is `searchsorted`."""
        return _works(lambda: self.xp.searchsorted(self._vector, self._vector, side="right"))

    @functools.cached_property
    def integer_matmul(self) -> bool:
        """Whether `matmul` takes integers."""
        one = self.xp.reshape(self._vector, (1, 1))
        return _works(lambda: self.xp.matmul(one, one))


def _works(call: Callable[[], Any]) -> bool:
    """Return whether a library can do this."""
    try:
        call()
    except Exception:
        return False
    return True
