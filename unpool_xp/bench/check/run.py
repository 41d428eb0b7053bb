"""Check every operation, dtype and backend against the reference (`unpool-xp check`)."""

from __future__ import annotations

import math
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal
from xml.etree import ElementTree

import msgspec
import numpy as np

from unpool_xp import backends
from unpool_xp.bench.cases.expected import differing
from unpool_xp.bench.cases.loading import operations as loaded
from unpool_xp.bench.cases.operation import TOLERANCE
from unpool_xp.bench.check.standard import lacking
from unpool_xp.bench.check.trials import TRIALS, NDArray, Trial, host_dtype
from unpool_xp.bench.measure.host.cgroup import available_memory
from unpool_xp.bench.measure.pools import Pool, side_by_side
from unpool_xp.bench.measure.session import Session
from unpool_xp.bench.measure.workers import WorkerError, WorkerLostError
from unpool_xp.bench.rows.schema import WRONG_OPERATION
from unpool_xp.capabilities import DTYPES, OPERATIONS, is_defined, kind_of, why_not

Outcome = Literal["passed", "failed", "skipped"]

OUT_OF_TIME = "out of time"
_PRIORITY_DTYPES = ("float32", "float16", "int64")  # what is measured, and positions
_OPERATION_SECONDS = 600.0  # at most, for one operation and dtype
_MIN_WAIT_SECONDS = 1.0


@dataclass(frozen=True)
class CheckResult:
    """The outcome for one operation, dtype, backend and mode.

    Parameters
    ----------
    backend, mode, operation, dtype : str
        What was checked.
    outcome : {"passed", "failed", "skipped"}
        Skipped only for a reason that `unpool_xp.capabilities` names, or for lack of time.
    detail : str
        The reason, or what differed; empty where it passed.
    warned : tuple of str, optional
        What the library warned of meanwhile, as often as it did.
    lacks : tuple of str, optional
        Where it failed: the functions of the standard that it needs and the library does not have.
    version : str, optional
        That of the library; empty where its process was lost.
    """

    backend: str
    mode: str
    operation: str
    dtype: str
    outcome: Outcome
    detail: str = ""
    warned: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    version: str = ""

    @property
    def is_undefined(self) -> bool:
        """Whether the operation is not defined for the dtype, on any library."""
        ours = self.operation in OPERATIONS
        return self.outcome == "skipped" and ours and not is_defined(self.operation, self.dtype)


def check_backends(
    labels: Sequence[str],
    *,
    operations: Iterable[str] = tuple(OPERATIONS),
    torch_compiled: bool = False,
    budget_s: float | None = None,
    progress: Callable[[str], None] = lambda label: None,
    stopped: Callable[[list[CheckResult]], None] = lambda results: None,
) -> list[CheckResult]:
    """Check backends in parallel, each in a process of its own.

    Parameters
    ----------
    labels : sequence of str
        Labels of backends that load here.
    operations : iterable of str, optional
        Their names. Default: all.
    torch_compiled : bool, optional
        Whether to compile with torch and MLX too, which takes seconds per trial.
    budget_s : float, optional
        Seconds after which nothing more is begun, and what is still busy is ended.
    progress : callable, optional
        Called with each label that is done.
    stopped : callable, optional
        Called with the results so far where a KeyboardInterrupt ends it.

    Returns
    -------
    list of CheckResult
        For each backend all dtypes and operations. What there was no time for is skipped, with
        that reason; a process that dies is a failure of what it was at, and a new one goes on.
    """
    names = list(operations)
    end = math.inf if budget_s is None else time.monotonic() + budget_s
    stop = threading.Event()
    pools = {label: Pool() for label in labels}
    found: dict[str, list[CheckResult]] = {label: [] for label in labels}

    def check_label(label: str) -> None:
        with pools[label] as pool:
            for result in _check_label(pool, label, names, torch_compiled, end):
                if stop.is_set():
                    return
                found[label].append(result)
        progress(label)

    def end_workers() -> None:
        stop.set()
        for pool in pools.values():
            pool.end()

    # Within a budget all share the time alike.
    number = 2 if budget_s is None else len(labels)
    try:
        side_by_side(check_label, pools, number, end_workers)
    except KeyboardInterrupt:
        stopped([result for each in found.values() for result in each])
        raise
    return [result for each in found.values() for result in each]


def _check_label(
    pool: Pool, label: str, operations: Sequence[str], torch_compiled: bool, end: float
) -> Iterator[CheckResult]:
    if math.isinf(end):
        order = [(operation, dtype) for operation in operations for dtype in _dtypes(operation)]
    else:  # what matters most first
        dtypes = dict.fromkeys((*_PRIORITY_DTYPES, *DTYPES))
        order = [(operation, dtype) for dtype in dtypes for operation in operations]
        order = [(operation, dtype) for operation, dtype in order if dtype in _dtypes(operation)]
    for operation, dtype in order:
        left, arguments = end - time.monotonic(), {"operation": operation, "dtype": dtype}
        outcome: Outcome = "skipped"
        detail = OUT_OF_TIME
        try:
            if left > 0:
                wait = max(min(left, _OPERATION_SECONDS), _MIN_WAIT_SECONDS)
                answer = pool[label].ask(
                    "check", timeout=wait, torch_compiled=torch_compiled, **arguments
                )
                yield from msgspec.convert(answer["checked"], list[CheckResult])
                continue
        except (WorkerError, WorkerLostError) as error:
            if isinstance(error, WorkerError) or time.monotonic() < end:
                outcome, detail = "failed", str(error)
        yield CheckResult(label, "eager", operation, dtype, outcome, detail)


def _dtypes(operation: str) -> tuple[str, ...]:
    """Return the dtypes to check: for a user's operation those that it takes."""
    if operation in OPERATIONS or operation not in loaded():
        return DTYPES
    kinds = loaded()[operation].dtype_kinds
    return tuple(dtype for dtype in DTYPES if kind_of(dtype) in kinds)


def check_operation(
    backend: backends.Backend, operation: str, dtype: str, *, torch_compiled: bool = False
) -> list[CheckResult]:
    """Check one operation and dtype in this process, JAX both eager and compiled."""
    modes = ["eager"]
    if backend.library == "jax":
        # Without it JAX makes float32 of float64, and there would be nothing to check.
        import jax

        jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]
    if backend.library == "jax" or (torch_compiled and backend.library in ("torch", "mlx")):
        modes.append("compiled")
    results = [_check(backend, mode, operation, dtype) for mode in modes]
    return [replace(result, version=backend.version) for result in results]


def _check(backend: backends.Backend, mode: str, operation: str, dtype: str) -> CheckResult:
    if operation not in OPERATIONS:
        return _check_cases(backend, mode, operation, dtype)
    # The table describes known libraries, others tell for themselves.
    reason = why_not(operation, backend.library, dtype) or backend.why_no_dtype(dtype)
    if reason is not None:
        return CheckResult(backend.label, mode, operation, dtype, "skipped", reason)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        detail = _run_trials(backend, mode, operation, dtype)
    outcome: Outcome = "failed" if detail else "passed"
    warned = tuple(f"{one.category.__name__}: {_one_line(one.message)}" for one in caught)
    lacks = lacking(backend, operation) if detail else ()
    return CheckResult(backend.label, mode, operation, dtype, outcome, detail, warned, lacks)


def _check_cases(backend: backends.Backend, mode: str, operation: str, dtype: str) -> CheckResult:
    """Check a user's operation on its own shapes."""
    result = CheckResult(
        backend.label, mode, operation, dtype, "skipped", f"{operation} has no shapes"
    )
    for case in loaded()[operation].cases(dtype):
        if case.needed_bytes > (available := available_memory()):
            detail = f"{case.short_name} needs about {case.needed_bytes / 1e9:.1f} GB of memory, "
            return replace(result, detail=f"{detail}{available / 1e9:.1f} GB are available")
        session = Session(backend, case, mode)
        if not session.prepare():
            detail = session.measured.error or ""
            if session.unsupported:
                return replace(result, detail=detail)
            if not detail.startswith(WRONG_OPERATION):
                detail = f"{case.short_name}: {detail}"
            return replace(result, outcome="failed", detail=detail)
        result = replace(result, outcome="passed", detail="")
    return result


def _run_trials(backend: backends.Backend, mode: str, operation: str, dtype: str) -> str:
    """Return what is wrong with the first trial that fails, or an empty string."""
    for trial in TRIALS:
        if trial.operation == operation:
            try:
                wrong = _run_trial(backend, mode, trial, dtype)
            except Exception as error:  # whatever a library raises is a failure with its reason
                wrong = f"{type(error).__name__}: {_one_line(error)}"
            if wrong:
                return f"{trial.note}: {wrong}"
    return ""


def _one_line(text: object) -> str:
    return " ".join(str(text).split())[:300]


def _run_trial(backend: backends.Backend, mode: str, trial: Trial, dtype: str) -> str:
    """Return how the output differs from the reference, or an empty string."""
    arrays = trial.arrays(dtype)
    inputs = [_to_backend(backend, array, dtype) for array in arrays]

    def call(*inputs: Any) -> Any:
        return trial.function(*inputs, **trial.options)

    outputs = (backend.compile(call) if mode == "compiled" else call)(*inputs)
    outputs = tuple(outputs) if isinstance(outputs, tuple) else (outputs,)
    for number, (got, want) in enumerate(zip(outputs, trial.expected(arrays), strict=True)):
        if number == 0 and trial.operation != "convert_indices" and got.dtype != inputs[0].dtype:
            return f"the dtype is {got.dtype}, not that of the input, {inputs[0].dtype}"
        moved = trial.exact or number
        wrong = _describe_mismatch(
            backend.to_numpy(got), want, 0 if moved else TOLERANCE.get(dtype, 0)
        )
        if wrong:
            return f"output {number} {wrong}"
    return ""


def _to_backend(backend: backends.Backend, array: NDArray, dtype: str) -> Any:
    placed = backend.asarray(array)
    if dtype == "bfloat16" and array.dtype == host_dtype(dtype):
        return backend.xp.astype(placed, backend.dtype(dtype))
    return placed


def _describe_mismatch(got: NDArray, want: NDArray, tolerance: float) -> str:
    if got.shape != want.shape:
        return f"has shape {got.shape}, should be {want.shape}"
    wrong = differing(got, want, tolerance)
    if not wrong.any():
        return ""
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    return (
        f"at {place} is {got[place]}, should be {want[place]}; {int(wrong.sum())} of "
        f"{got.size} elements differ"
    )


# --- what is made of it --------------------------------------------------------------------------


def to_json(results: Iterable[CheckResult]) -> list[dict[str, Any]]:
    """Return the results as plain dictionaries."""
    return [asdict(result) for result in results]


def to_junit(results: Sequence[CheckResult]) -> bytes:
    """Return the results as a JUnit report, which CI systems read."""
    outcomes = Counter(result.outcome for result in results)
    suite = ElementTree.Element(
        "testsuite",
        name="unpool-xp check",
        tests=str(len(results)),
        failures=str(outcomes["failed"]),
        skipped=str(outcomes["skipped"]),
    )
    for result in results:
        name = f"{result.operation}[{result.dtype}]"
        where = f"{result.backend}.{result.mode}"
        case = ElementTree.SubElement(suite, "testcase", classname=where, name=name)
        if result.outcome != "passed":
            tag = "failure" if result.outcome == "failed" else "skipped"
            ElementTree.SubElement(case, tag, message=result.detail)
    text: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return text
