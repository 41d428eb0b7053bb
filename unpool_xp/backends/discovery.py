"""Installed libraries of the array API standard that have no backend here."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unpool_xp._array.compat import Array, Namespace, get_device
from unpool_xp.backends.base import Backend, DeviceFacts, cpu_name, host_memory
from unpool_xp.backends.libraries import _import

# The standard's own way for a library to say that it follows it.
_ENTRY_POINT_GROUP = "array_api"
# Distributions that do not say so, and their namespaces.
_UNDECLARED = {
    "cubed": "cubed",
    "dpctl": "dpctl.tensor",  # moved to dpnp since
    "finch-tensor": "finch",
    "ndonnx": "ndonnx",
    "ragged": "ragged",
    "sparse": "sparse",
}
# Methods for copies on the host, of libraries whose arrays NumPy does not take.
_TO_HOST = ("unwrap_numpy", "todense", "asnumpy")


class Unlisted(NamedTuple):
    """An installed library.

    Attributes
    ----------
    distribution : str
        What was installed.
    module : str
        Its namespace of the standard.
    """

    distribution: str
    module: str


def find_unlisted(listed: Iterable[str]) -> dict[str, Unlisted]:
    """Return the installed libraries of the standard by their labels; none is imported.

    Parameters
    ----------
    listed : iterable of str
        The names of libraries that have backends.

    Returns
    -------
    dict of str to Unlisted
        Those that say so in the entry point group ``array_api``, and a few that are known not to.
    """
    found = {}
    for distribution, module in _UNDECLARED.items():
        with contextlib.suppress(PackageNotFoundError):
            if version(distribution) and _is_there(module):
                found[module.partition(".")[0]] = Unlisted(distribution, module)
    for point in entry_points(group=_ENTRY_POINT_GROUP):
        if point.dist is not None:
            found[point.name] = Unlisted(point.dist.name, point.module)
    names = {*listed}
    return {
        label: library
        for label, library in sorted(found.items())
        if names.isdisjoint((label, library.module.partition(".")[0]))
    }


def _is_there(module: str) -> bool:
    """Return whether a module of an installed distribution is there; it is not imported."""
    top, *inner = module.split(".")
    spec = importlib.util.find_spec(top)
    places = (spec.submodule_search_locations or ()) if spec is not None else ()
    return spec is not None and (not inner or any(Path(p, *inner).exists() for p in places))


def load_unlisted(label: str, library: Unlisted) -> Backend:
    """Return a backend of a library by what the standard alone says of it.

    Parameters
    ----------
    label : str
        The backend's.
    library : Unlisted
        As `find_unlisted` found it.

    Returns
    -------
    Backend
        Its library is imported into this process.
    """
    install = f"pip install {library.distribution}"
    return _ByTheStandard(label, _import(label, library.module, install), library.distribution)


class _ByTheStandard(Backend):
    def __init__(self, label: str, xp: Namespace, distribution: str) -> None:
        super().__init__(label, xp)
        self._distribution = distribution

    @property
    def version(self) -> str:
        return version(self._distribution)

    @property
    def facts(self) -> DeviceFacts:
        device = str(get_device(self.asarray(np.zeros(1, np.float32))))
        if "cpu" in device.lower():
            return DeviceFacts(cpu_name(), host_memory(), None)
        return DeviceFacts("unknown" if " object at " in device else device, None, None)

    def asarray(self, array: np.ndarray[Any, Any]) -> Array:
        return self.xp.asarray(array.copy())  # some take no device, and no copy

    def to_numpy(self, array: Array) -> np.ndarray[Any, Any]:
        for name in _TO_HOST:
            if hasattr(array, name):
                return np.asarray(getattr(array, name)())
        found = np.asarray(array)
        if found.dtype == object:  # NumPy does not know what it is
            raise TypeError(f"{self.label}: NumPy cannot read {type(array).__name__}")
        return found

    def synchronize(self, *arrays: Array) -> None:
        # How it waits is unknown, but reading values waits for them.
        for array in arrays:
            self.to_numpy(array)
