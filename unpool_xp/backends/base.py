"""What a backend is: a library on a device, and how to wait for it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from unpool_xp._array.compat import Array, Namespace


class BackendUnavailableError(ImportError):
    """A backend's library or device is missing here; the message says what to do."""


class BackendBrokenError(BackendUnavailableError):
    """A backend's library is installed but does not work; the message has its own words."""


class CompileUnavailableError(RuntimeError):
    """A backend has no compiler, or what its compiler needs is missing."""


class GradientsUnavailableError(RuntimeError):
    """A backend's library computes no gradients."""


@dataclass(frozen=True)
class DeviceFacts:
    """What a measurement should say of the device it ran on.

    Attributes
    ----------
    name : str
        The model of the processor.
    memory_bytes : int or None
        Its memory, in bytes, where it can be asked for.
    threads : int or None
        The threads in effect for this library; None on a GPU.
    """

    name: str
    memory_bytes: int | None
    threads: int | None


class DeviceClock(Protocol):
    """A clock that runs in the device's own queue."""

    def start(self) -> None:
        """Note the beginning; the host does not wait."""

    def stop(self) -> None:
        """Note the end; the host does not wait."""

    def seconds(self) -> float:
        """Wait for the end; return the time between the two."""


class Backend:
    """A library on a device.

    The base class does what an eager library on the host does; others override what differs.

    Parameters
    ----------
    label : str
        ``library[:device]``.
    xp : namespace
        The library's array API namespace.
    device : object
        The device as the library names it, or None for its default.
    """

    distribution: ClassVar[str | None] = None  # whose version it is
    eager_only: ClassVar[str | None] = None  # why there is no compiler
    # Whether what is compiled has a compiled backward; else both are compiled as one function.
    _compiles_backward: ClassVar[bool] = False

    def __init__(self, label: str, xp: Namespace, device: Any = None) -> None:
        self.label = label
        self.xp = xp
        self.device = device

    def __repr__(self) -> str:
        return f"<Backend {self.label} {self.version}>"

    @property
    def library(self) -> str:
        """The library's part of the label."""
        return self.label.partition(":")[0]

    @property
    def version(self) -> str:
        """The version of the library; "unknown" where no distribution is named or installed."""
        try:
            return version(self.distribution) if self.distribution else "unknown"
        except PackageNotFoundError:
            return "unknown"

    @property
    def facts(self) -> DeviceFacts:
        """What is known of the device."""
        # Element-wise work runs on one thread, whatever BLAS has.
        return DeviceFacts(cpu_name(), host_memory(), 1)

    def set_threads(self, threads: int) -> None:
        """Compute with so many threads on the CPU, where the environment does not settle it."""

    def dtype(self, name: str) -> Any:
        """Return the library's dtype of that name.

        Raises
        ------
        TypeError
            If the library has none. Of a subclass an AttributeError is taken for the same.
        """
        dtype = getattr(self.xp, name, None)
        if dtype is None:
            raise TypeError(f"{self.label} has no dtype {name}")
        return dtype

    def why_no_dtype(self, name: str) -> str | None:
        """Return why the library has no dtype of that name, or None if it has."""
        try:
            self.dtype(name)
        except (TypeError, AttributeError) as error:
            said = str(error)
            return said if said.startswith(self.label) else f"{self.label} has no {name}: {said}"
        return None

    def asarray(self, array: np.ndarray[Any, Any]) -> Array:
        """Return a copy of a NumPy array in this library, on this device."""
        return self.xp.asarray(array, device=self.device, copy=True)

    def to_numpy(self, array: Array) -> np.ndarray[Any, Any]:
        """Return an array of this library as a NumPy array on the host."""
        return np.asarray(array)

    def pinned(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
        """Return a copy of a NumPy array in page-locked memory, from which a GPU copies faster.

        Returns
        -------
        ndarray or None
            None where the library allocates no such memory, or needs none.
        """
        return None

    def to_pinned(self, array: Array, target: np.ndarray[Any, Any]) -> None:
        """Copy an array of this library to a NumPy array that `pinned` returned."""
        raise NotImplementedError(f"{self.label} has no page-locked memory")

    def synchronize(self, *arrays: Array) -> None:
        """Return once the device has finished these arrays."""

    def free_memory(self) -> None:
        """Give back what the library's allocator keeps of the device's memory."""

    @property
    def cache_bytes(self) -> int | None:
        """The last cache of a device that is emptied between calls; None where none is."""
        return None

    def device_clock(self) -> DeviceClock | None:
        """Return a new clock of the device for one call; None where the library has none."""
        return None

    def peak_meter(self) -> Callable[[], int] | None:
        """Begin to watch the device's allocator.

        Returns
        -------
        callable or None
            Ends it, and tells the most bytes handed out meanwhile beyond those at its beginning.
            None where the allocator is not asked.
        """
        return None

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function compiled.

        Raises
        ------
        CompileUnavailableError
            If there is no compiler for this backend here; the message says why.
        """
        raise CompileUnavailableError(
            f"{self.label}: {self.eager_only or f'{self.library} has no compiler'}"
        )

    def with_gradients(
        self,
        function: Callable[..., Any],
        wrt: Sequence[int],
        outputs: Sequence[int] = (0,),
        *,
        compiled: bool = False,
    ) -> Callable[..., tuple[Array, ...]]:
        """Return the function followed by its gradients.

        Parameters
        ----------
        function : callable
            From arrays to an array or a tuple of them.
        wrt : sequence of int
            The numbers of the arrays to differentiate by.
        outputs : sequence of int, optional
            The numbers of the outputs that are differentiated.
        compiled : bool, optional
            Whether both are compiled, as users of the library do that.

        Returns
        -------
        callable
            From the function's arrays and a cotangent for each of these outputs, its shape and
            dtype those of the output, to all the outputs and the gradients, in the order of `wrt`.

        Raises
        ------
        GradientsUnavailableError
            If the library has no gradients.
        CompileUnavailableError
            As `compile` does.

        Examples
        --------
        >>> import numpy as np
        >>> from unpool_xp import backends
        >>> backend = backends.load("torch:cpu")
        >>> squared = backend.with_gradients(lambda x: x * x, wrt=[0])
        >>> values, cotangent = map(backend.asarray, (np.asarray([3.0, 5.0]), np.ones(2)))
        >>> [one.tolist() for one in squared(values, cotangent)]
        [[9.0, 25.0], [6.0, 10.0]]
        """
        if compiled and self._compiles_backward:
            return self._differentiate(self.compile(function), wrt, outputs)
        call = self._differentiate(function, wrt, outputs)
        return self.compile(call) if compiled else call

    def _differentiate(
        self, function: Callable[..., Any], wrt: Sequence[int], outputs: Sequence[int]
    ) -> Callable[..., tuple[Array, ...]]:
        raise GradientsUnavailableError(f"{self.label}: {self.library} has no gradients")


def as_tuple(output: Any) -> tuple[Any, ...]:
    """Return the outputs of a call, one or several."""
    return tuple(output) if isinstance(output, tuple | list) else (output,)


def cpu_name() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "") or platform.processor() or platform.machine()


def host_memory() -> int | None:
    """Return the bytes of memory, or None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return None


def usable_cores() -> int:
    """Return how many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1
