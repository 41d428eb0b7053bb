"""The correctness suite within a time: what matters most first, and what is left says so."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from unpool_xp.bench.check import Checked
from unpool_xp.bench.pool import START_SECONDS, Pool, Worker, WorkerError, WorkerLostError
from unpool_xp.capabilities import DTYPES

LEFT_OUT = "not checked: out of time"
_FIRST = ("float32", "float16", "int64")  # what is measured, and positions
_LEAST_SECONDS = 1.0


def present(labels: Sequence[str]) -> tuple[list[str], dict[str, str]]:
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


def check_within(labels: Sequence[str], operations: Sequence[str], seconds: float) -> list[Checked]:
    """Hold backends to the oracle side by side, each in a process of its own.

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
        lists = threads.map(lambda label: list(_checked(label, operations, end)), labels)
        return [checked for each in lists for checked in each]


def _checked(label: str, operations: Sequence[str], end: float) -> Iterator[Checked]:
    worker: Worker | None = None
    dtypes = sorted(DTYPES, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
    try:
        for dtype in dtypes:
            for operation in operations:
                left = end - time.monotonic()
                if left <= 0:
                    yield Checked(label, "eager", operation, dtype, "skipped", LEFT_OUT)
                    continue
                if worker is None:
                    worker = Worker(label)
                try:
                    wait = max(min(left, START_SECONDS), _LEAST_SECONDS)
                    asked = {"operation": operation, "dtype": dtype}
                    answer = worker.ask("check", timeout=wait, **asked)
                    yield from (Checked(**one) for one in answer["checked"])
                except WorkerError as error:
                    yield Checked(label, "eager", operation, dtype, "failed", str(error))
                except WorkerLostError as error:
                    late = time.monotonic() >= end
                    worker.kill()
                    worker = None
                    yield Checked(
                        *(label, "eager", operation, dtype),
                        *(("skipped", LEFT_OUT) if late else ("failed", str(error))),
                    )
    finally:
        if worker is not None:
            worker.kill()
