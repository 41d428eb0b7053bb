"""What runs on the workers of a dask.distributed cluster: a text of JSON in, a text of JSON out.

A request never fails: what goes wrong is in the answer, under "error". So nothing that a worker
says has to be unpickled.
"""

from __future__ import annotations

import json
import os
import platform
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import psutil

import unpool_xp
from unpool_xp import backends
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.machine import this_machine
from unpool_xp.bench.measure.measurement import Cell
from unpool_xp.bench.measure.pools import Pool, find_loadable
from unpool_xp.bench.measure.rounds import PROCESSES
from unpool_xp.bench.measure.sweep import measure_rows, provenance_fields
from unpool_xp.bench.rows import provenance, schema

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_IDLE_SECONDS = 300.0


def describe(request: str) -> str:
    """Describe this worker, with those of the "labels" that it has, or of all known if null.

    The answer has "machine" (its facts), "host", "name", "resources", "version", "schema",
    "commit", and "backends": for each label its full "label", or the "reason" why it is missing.
    """
    return _json_answer(_describe, request)


def measure(request: str) -> str:
    """Measure the "cells" of a "case", each backend in a process of its own; answer "rows".

    The request also has the "run" and the "options" of `measure_case`.
    """
    return _json_answer(_POOL.measure, request)


def close(request: str = "{}") -> str:
    """End the processes that `measure` keeps for the next case."""
    return _json_answer(lambda _: _POOL.close(), request)


def _json_answer(function: Callable[[dict[str, Any]], dict[str, Any]], request: str) -> str:
    try:
        return json.dumps(function(json.loads(request)))
    except Exception as error:  # the answer says it; an exception would travel as a pickle
        return json.dumps({"error": f"{type(error).__name__}: {error}"})


def _drop_variables_of_nanny() -> None:
    """Take out of the environment what Dask puts in by default: backends are to have the user's.

    It gives its workers one thread per library, and memory that goes back after each call.
    """
    from dask import config

    # The nanny is the parent. What it has changed since it started is not in this one.
    set_by_user = psutil.Process(os.getppid()).environ()
    path = "distributed.nanny.pre-spawn-environ"
    for name, value in config.get(path, config=config.merge(*config.defaults)).items():
        if name not in set_by_user and os.environ.get(name) == str(value):
            del os.environ[name]


def _describe(request: Mapping[str, Any]) -> dict[str, Any]:
    from distributed import get_worker

    worker, labels = get_worker(), request["labels"]
    if worker.nanny is not None:
        _drop_variables_of_nanny()
    found, missing, _ = find_loadable(backends.known() if labels is None else labels)
    return {
        "machine": this_machine().to_json(),
        "host": host(),
        "name": str(worker.name),
        "resources": {str(k): float(v) for k, v in worker.state.total_resources.items()},
        "version": unpool_xp.__version__,
        "schema": schema.ROW_SCHEMA,
        "commit": provenance.git_commit(),
        "backends": {
            **{asked: {"label": label} for asked, label in found.items()},
            **{asked: {"reason": reason} for asked, reason in missing.items()},
        },
    }


def host() -> str:
    """Return an identifier that all workers on a host share, in containers too."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()


class _IdleTimeoutPool:
    """The processes that measure, kept from case to case, and ended when nobody asks any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # a worker may have several threads
        self._pools: list[Pool] = []
        self._timer: threading.Timer | None = None

    def measure(self, request: Mapping[str, Any]) -> dict[str, Any]:
        case = Case.from_json(request["case"])
        cells = [Cell(**cell) for cell in request["cells"]]
        options = dict(request["options"])
        processes = options.pop("processes", PROCESSES)
        with self._lock:
            self._stop_timer()
            try:
                self._pools = self._pools or [Pool() for _ in range(PROCESSES)]
                origin = {**provenance_fields(request["run"]), "machine": this_machine().id}
                rows = measure_rows(self._pools[:processes], origin, case, cells, **options)
                return {"rows": msgspec.to_builtins(rows)}
            finally:
                # A client that went away does not say so.
                self._timer = threading.Timer(_IDLE_SECONDS, self.close)
                self._timer.daemon = True
                self._timer.start()

    def close(self) -> dict[str, Any]:
        with self._lock:
            self._stop_timer()
            while self._pools:
                self._pools.pop().close()
        return {}

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


_POOL = _IdleTimeoutPool()
