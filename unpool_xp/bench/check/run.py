"""Check every operation, dtype and backend against the reference (`unpool-xp check`)."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np

from unpool_xp import backends
from unpool_xp.bench.check.trials import TRIALS, NDArray, Trial, host_dtype
from unpool_xp.bench.measure.workers import (
    START_SECONDS,
    Pool,
    Worker,
    WorkerError,
    WorkerLostError,
)
from unpool_xp.capabilities import DTYPES, OPERATIONS, kind_of, why_not

Outcome = Literal["passed", "failed", "skipped"]

# Of the largest magnitude: a few units in the last place of the sums that there are.
_TOLERANCE = {"float16": 4e-3, "bfloat16": 3e-2, "float32": 1e-5, "complex64": 1e-5}


@dataclass(frozen=True)
class CheckResult:
    """The outcome for one operation, dtype, backend and mode.

    Parameters
    ----------
    backend, mode, operation, dtype : str
        What was checked.
    outcome : {"passed", "failed", "skipped"}
        Skipped only for a reason that `unpool_xp.capabilities` names, or for want of time.
    detail : str
        The reason, or what differed; empty where it passed.
    """

    backend: str
    mode: str
    operation: str
    dtype: str
    outcome: Outcome
    detail: str = ""


def check_backends(
    labels: Sequence[str],
    *,
    operations: Iterable[str] = tuple(OPERATIONS),
    torch_compiled: bool = False,
    progress: Callable[[str], None] = lambda label: None,
    workers: int = 2,
) -> list[CheckResult]:
    """Check backends, each in a process of its own.

    Parameters
    ----------
    labels : sequence of str
        Labels of backends that load here.
    operations : iterable of str, optional
        Their names. Default: all.
    torch_compiled : bool, optional
        Whether to compile with torch too, which takes seconds per trial.
    progress : callable, optional
        Called with each label that is done.
    workers : int, optional
        How many processes at once.

    Returns
    -------
    list of Checked
        For each backend all operations and dtypes. A process that dies is a failure of all that
        it was to do.
    """
    names = list(operations)

    def check_label(label: str) -> list[CheckResult]:
        # Spawned, not forked: CUDA and JAX do not survive a fork.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            future: Future[list[CheckResult]] = pool.submit(
                check_backend, label, names, torch_compiled=torch_compiled
            )
            try:
                result = future.result()
            except BrokenProcessPool:
                died = "the process of the backend died"
                result = [CheckResult(label, "eager", name, "", "failed", died) for name in names]
        progress(label)
        return result

    with ThreadPoolExecutor(workers) as threads:
        return [checked for each in threads.map(check_label, labels) for checked in each]


def check_backend(
    label: str, operations: Sequence[str], *, torch_compiled: bool = False
) -> list[CheckResult]:
    """Check one backend in this process.

    Parameters
    ----------
    label : str
        The label of a backend that loads here.
    operations : sequence of str
        Their names.
    torch_compiled : bool, optional
        Whether to compile with torch too.

    Returns
    -------
    list of Checked
        One entry for each operation, dtype and mode.
    """
    if label.startswith("jax"):
        # Without it JAX makes float32 of float64, and there would be nothing to check.
        import jax

        jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]
    backend = backends.load(label)
    modes = ["eager"]
    if backend.library == "jax" or (torch_compiled and backend.library == "torch"):
        modes.append("compiled")
    return [
        _check(backend, mode, operation, dtype)
        for mode in modes
        for operation in operations
        for dtype in DTYPES
    ]


def check_operation(backend: backends.Backend, operation: str, dtype: str) -> list[CheckResult]:
    """Check one operation and dtype in this process; JAX eager and compiled, and in 64 bits."""
    modes = ["eager"]
    if backend.library == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]
        modes.append("compiled")
    return [_check(backend, mode, operation, dtype) for mode in modes]


def _check(backend: backends.Backend, mode: str, operation: str, dtype: str) -> CheckResult:
    reason = why_not(operation, backend.library, dtype)
    if reason is not None:
        return CheckResult(backend.label, mode, operation, dtype, "skipped", reason)
    for trial in TRIALS:
        if trial.operation == operation:
            try:
                wrong = _run_trial(backend, mode, trial, dtype)
            except Exception as error:  # whatever a library raises is a failure with its reason
                wrong = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            if wrong:
                detail = f"{trial.note}: {wrong}"
                return CheckResult(backend.label, mode, operation, dtype, "failed", detail)
    return CheckResult(backend.label, mode, operation, dtype, "passed")


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
        wrong = _describe_mismatch(
            backend.to_numpy(got), want, 0 if trial.exact or number else dtype
        )
        if wrong:
            return f"output {number} {wrong}"
    return ""


def _to_backend(backend: backends.Backend, array: NDArray, dtype: str) -> Any:
    placed = backend.asarray(array)
    if dtype == "bfloat16" and array.dtype == host_dtype(dtype):
        return backend.xp.astype(placed, backend.dtype(dtype))
    return placed


def _describe_mismatch(got: NDArray, want: NDArray, dtype: str | int) -> str:
    if got.shape != want.shape:
        return f"has shape {got.shape}, should be {want.shape}"
    wide: Any = np.complex128 if "c" in (got.dtype.kind, want.dtype.kind) else np.float64
    if got.dtype.kind in "iub" and want.dtype.kind in "iub":
        wide = np.int64 if got.dtype != np.uint64 else np.uint64
    got, want = got.astype(wide), want.astype(wide)
    tolerance = 0.0
    if isinstance(dtype, str) and kind_of(dtype) in "fc":
        tolerance = _TOLERANCE.get(dtype, 1e-12)
    finite = np.abs(want[np.isfinite(want)])
    with np.errstate(invalid="ignore"):  # infinity less itself
        off = np.abs(got - want)
    both_nan = np.isnan(got) & np.isnan(want) if wide in (np.float64, np.complex128) else False
    fine = (got == want) | both_nan | (off <= tolerance * max(finite.max(initial=1), 1))
    if np.all(fine):
        return ""
    place = tuple(int(i) for i in np.argwhere(~fine)[0])
    return (
        f"at {place} is {got[place]}, should be {want[place]}; {int((~fine).sum())} of "
        f"{got.size} elements differ"
    )


# --- what is made of it --------------------------------------------------------------------------


def to_json(results: Iterable[CheckResult]) -> list[dict[str, str]]:
    """Return the results as plain dictionaries."""
    return [asdict(result) for result in results]


def to_junit(results: Sequence[CheckResult]) -> bytes:
    """Return the results as a JUnit report, which CI systems read."""
    counts = {
        name: str(sum(result.outcome == outcome for result in results))
        for name, outcome in (("failures", "failed"), ("skipped", "skipped"))
    }
    suite = ElementTree.Element(
        "testsuite", {"name": "unpool-xp check", "tests": str(len(results)), **counts}
    )
    for result in results:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            {
                "classname": f"{result.backend}.{result.mode}",
                "name": f"{result.operation}[{result.dtype}]",
            },
        )
        if result.outcome != "passed":
            tag = "failure" if result.outcome == "failed" else "skipped"
            ElementTree.SubElement(case, tag, {"message": result.detail})
    text: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return text


OUT_OF_TIME = "not checked: out of time"

_PRIORITY_DTYPES = ("float32", "float16", "int64")  # what is measured, and positions

_MIN_WAIT_SECONDS = 1.0


def find_loadable(labels: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Load backends, each in a process of its own, so that none takes memory of a device here.

    Parameters
    ----------
    labels : sequence of str
        Which.

    Returns
    -------
    found : list of str
        Those that load, in the same order.
    missing : dict of str to str
        Why the others do not.
    """
    found, missing = [], {}
    with Pool(list(labels)) as pool:
        for label in labels:
            try:
                _ = pool[label].facts
                found.append(label)
            except (WorkerError, WorkerLostError) as error:
                missing[label] = str(error)
    return found, missing


def check_within(
    labels: Sequence[str], operations: Sequence[str], seconds: float
) -> list[CheckResult]:
    """Check backends in parallel, each in its own process, until the time is up.

    Parameters
    ----------
    labels : sequence of str
        Labels of backends that load here.
    operations : sequence of str
        Their names.
    seconds : float
        After which nothing more is begun, and what is still busy is ended.

    Returns
    -------
    list of Checked
        For each backend all operations and dtypes. What there was no time for is skipped, with
        that reason; a process that dies is a failure of what it was at, and a new one goes on.
    """
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(max(len(labels), 1)) as threads:
        lists = threads.map(lambda label: list(_check_label(label, operations, end)), labels)
        return [checked for each in lists for checked in each]


def _check_label(label: str, operations: Sequence[str], end: float) -> Iterator[CheckResult]:
    worker: Worker | None = None
    dtypes = sorted(
        DTYPES,
        key=lambda name: (
            _PRIORITY_DTYPES.index(name) if name in _PRIORITY_DTYPES else len(_PRIORITY_DTYPES)
        ),
    )
    try:
        for dtype in dtypes:
            for operation in operations:
                left = end - time.monotonic()
                if left <= 0:
                    yield CheckResult(label, "eager", operation, dtype, "skipped", OUT_OF_TIME)
                    continue
                if worker is None:
                    worker = Worker(label)
                try:
                    wait = max(min(left, START_SECONDS), _MIN_WAIT_SECONDS)
                    asked = {"operation": operation, "dtype": dtype}
                    answer = worker.ask("check", timeout=wait, **asked)
                    yield from (CheckResult(**one) for one in answer["checked"])
                except WorkerError as error:
                    yield CheckResult(label, "eager", operation, dtype, "failed", str(error))
                except WorkerLostError as error:
                    late = time.monotonic() >= end
                    worker.kill()
                    worker = None
                    yield CheckResult(
                        *(label, "eager", operation, dtype),
                        *(("skipped", OUT_OF_TIME) if late else ("failed", str(error))),
                    )
    finally:
        if worker is not None:
            worker.kill()
