"""Benchmarks for asv: the time of a call and the memory that it takes, for anyone's operations.

asv takes what is named ``time_...`` and ``peakmem_...`` in the classes of a file, and starts a
process for each set of parameters.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn, TypeVar

from unpool_xp import backends
from unpool_xp.bench.cases.case import BackendMode, Case
from unpool_xp.bench.cases.inputs import OperationError
from unpool_xp.bench.cases.loading import load_operations
from unpool_xp.bench.cases.operation import Operation
from unpool_xp.bench.measure.memory import reset_peak
from unpool_xp.bench.measure.session import DeviceInputs, Session

# The way a time is taken. A new version begins a new history: asv never compares two versions.
HARNESS_VERSION = "1"
# Backend and mode are one axis, the same whatever is installed; missing backends are skipped.
BACKEND_MODES = (
    BackendMode("numpy"),
    BackendMode("torch:cpu"),
    BackendMode("torch:cpu", "compiled"),
    BackendMode("jax:cpu"),
    BackendMode("jax:cpu", "compiled"),
    BackendMode("dask"),
    BackendMode("cupy:cuda"),
    BackendMode("torch:cuda"),
    BackendMode("torch:cuda", "compiled"),
    BackendMode("jax:cuda", "compiled"),
)
COMPILED = "UNPOOL_XP_ASV_COMPILED"
# Files of a driver: NVIDIA's, the same within WSL, AMD's.
_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _shown_as(title: str) -> Callable[[_Function], _Function]:
    """Give a benchmark the name that asv's page shows."""

    def mark(function: _Function) -> _Function:
        vars(function)["pretty_name"] = title
        return function

    return mark


class Benchmark:
    """A benchmark of cases, each on a backend and in a mode, which is the last parameter.

    The parameters are the same whatever is installed. asv keeps the history when a value is added
    to a parameter, and loses it with a new parameter.
    """

    param_names: ClassVar[Sequence[str]] = ("case", "how")
    params: ClassVar[Sequence[Sequence[Any]]] = ((), tuple(map(str, BACKEND_MODES)))
    version = HARNESS_VERSION
    timeout = 120.0
    rounds = 1

    def case(self, *parameters: Any) -> Case:
        """Return the case that the parameters before the last stand for."""
        raise NotImplementedError

    def backend(self, *cell: Any) -> backends.Backend:
        """Return the backend of a cell, or let asv skip the cell with the reason."""
        *parameters, backend_mode = cell
        return load_or_skip(self.case(*parameters), backend_mode)

    def session(self, *cell: Any) -> Session:
        """Return the checked session of a cell; a wrong result is an error, never a time."""
        *parameters, backend_mode = cell
        mode = BackendMode.parse(backend_mode).mode
        return prepare_checked(Session(self.backend(*cell), self.case(*parameters), mode))

    def inputs(self, *cell: Any) -> DeviceInputs:
        """Return the inputs of a cell, settled on the device."""
        return DeviceInputs(self.backend(*cell), self.case(*cell[:-1]))


class Time(Benchmark):
    """Seconds per call, from the call until its own output is ready on the device."""

    repeat = (3, 10, 0.5)  # samples: at least, at most, and seconds after which it is enough
    warmup_time = 0.05
    number = 0  # of calls in a sample
    _call: Callable[[], None] | None = None

    def setup(self, *cell: Any) -> None:
        """Check the result, once; asv asks again before every call."""
        if self._call is None:
            session = self.session(*cell)
            self.number = session.measured.calls_per_sample or 0
            self._call = session.caller()

    @_shown_as("Time of a call")
    def time_call(self, *cell: Any) -> None:
        """Call once, and wait for the output."""
        self._call()  # type: ignore[misc]


class PeakMemory(Benchmark):
    """The most that a process holds during a call, on the host: all of it, libraries included.

    The reference does nothing; what it shows is what interpreter, library and inputs take, and
    what is above it is the call's.
    """

    def setup(self, *cell: Any) -> None:
        """Check the result, let go of all but the inputs, and count from here."""
        self._call = self.session(*cell).caller()
        gc.collect()
        reset_peak()

    @_shown_as("Peak memory of a call")
    def peakmem_call(self, *cell: Any) -> None:
        """Call once, and wait for the output."""
        self._call()

    @_shown_as("Peak memory without a call")
    def peakmem_reference(self, *cell: Any) -> None:
        """Do nothing."""


def asv_suite(
    operations: str | Operation | Sequence[str | Operation],
) -> dict[str, type[Benchmark]]:
    """Return the classes that make a file one of asv's benchmarks, by name.

    They time a call of each case (``Time.time_call``) and measure its memory
    (``PeakMemory.peakmem_call``, and ``peakmem_reference`` without the call), with the parameters
    *case* and *how*, a backend with its mode. Each result is checked first: a wrong one fails. What
    is not installed, and what an operation does not support, is skipped with the reason.

    Parameters
    ----------
    operations : str, Operation or sequence of them
        Operations, or where they are, as for `load_operations`; a file or a folder may be relative
        to the file that calls this. Of each operation, its `shapes` are the cases.

    Returns
    -------
    dict of str to type
        For the ``globals()`` of the module: asv names a benchmark by its module and class.

    Raises
    ------
    OperationError
        If operations do not load, have no shapes, or two of them one name.
    ValueError
        If a parameter has no default.
    TypeError
        If `operations` are none, nor where some are.

    Examples
    --------
    A file of benchmarks has ``globals().update(asv_suite("my_ops.py"))``, or:

    >>> from unpool_xp.bench import Operation, asv_suite
    >>> doubled = Operation(name="doubled", function=lambda x: 2 * x, shapes=[(8, 100)])
    >>> suite = asv_suite(doubled)
    >>> [*suite], suite["Time"].params[0]
    (['Time', 'PeakMemory'], ('doubled-8x100-float32',))
    """
    folder = Path(sys._getframe(1).f_globals.get("__file__", "")).parent
    cases: dict[str, Case] = {}
    for operation in _each(operations, folder):
        if not operation.shapes:
            raise OperationError(f"operations: {operation.name} has no shapes to time it at")
        for case in operation.cases():
            if case.name in cases:
                raise OperationError(f"operations: two cases are called {case.name}")
            cases[case.name] = case

    class Cases(Benchmark):
        params = (tuple(cases), Benchmark.params[-1])

        def case(self, *parameters: Any) -> Case:
            return cases[parameters[0]]

    return {one.__name__: type(one.__name__, (Cases, one), {}) for one in (Time, PeakMemory)}


def _each(
    operations: str | Operation | Sequence[str | Operation], folder: Path
) -> Sequence[Operation]:
    if isinstance(operations, Operation):
        return [operations]
    if isinstance(operations, str):
        beside = folder / operations.partition(":")[0]
        return load_operations(str(folder / operations) if beside.exists() else operations)
    if not isinstance(operations, Sequence):
        raise TypeError(f"operations={operations!r} must be an Operation, or a place to load from")
    return [one for given in operations for one in _each(given, folder)]


def prepare_checked(session: Session) -> Session:
    """Return a session once its result is right; raise where it is not."""
    if not session.prepare():
        if session.unsupported:
            raise NotImplementedError(session.measured.error)
        raise RuntimeError(session.measured.error)
    return session


def load_or_skip(case: Case, backend_mode: str) -> backends.Backend:
    """Return the backend of a cell, or let asv skip the cell with the reason."""
    on = BackendMode.parse(backend_mode)
    reason = missing_reason(on.label) or case.why_not(on.library)
    if backend_mode == "torch:cpu compiled" and not os.environ.get(COMPILED):
        reason = f"takes seconds to compile, each time; {COMPILED}=1 measures it"
    if reason is not None:
        skip(backend_mode, reason)
    try:
        backend = backends.load(on.label)
        if on.mode == "compiled":
            backend.compile(abs)
    except (backends.BackendUnavailableError, backends.CompileUnavailableError) as error:
        skip(backend_mode, str(error).removeprefix(f"{on.label}: "))
    return backend


def skip(backend_mode: str, reason: str) -> NoReturn:
    """Let asv skip the cell. It shows n/a, and the reason with --show-stderr."""
    raise NotImplementedError(f"{backend_mode}: {reason}")


def missing_reason(label: str) -> str | None:
    """Return why a backend cannot be here, where that shows without importing its library."""
    library, _, device = label.partition(":")
    if importlib.util.find_spec(library) is None:
        return f"{library} is not installed here"
    if device != "cuda":
        return None
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides every GPU"
    if any(Path(driver).exists() for driver in _DRIVERS) or shutil.which("nvidia-smi"):
        return None
    return "no driver of a GPU is here"
