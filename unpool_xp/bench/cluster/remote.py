"""What runs on the workers of a dask.distributed cluster: a text of JSON in, a text of JSON out.

A request never fails: what goes wrong is in the answer, under "error". So nothing that a worker
says has to be unpickled.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

import unpool_xp
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.machine import this_machine
from unpool_xp.bench.measure.rounds import Cell
from unpool_xp.bench.measure.sweep import copy_rate, measure_rows, provenance_fields
from unpool_xp.bench.measure.workers import Pool
from unpool_xp.bench.rows import provenance, schema

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_FIND_SECONDS = 300.0
_IDLE_SECONDS = 300.0

# In a process of its own: a library that is looked at takes memory, on a GPU too, and keeps it.
_FIND_BACKENDS = """
import json, sys
from unpool_xp import backends
asked = json.loads(sys.argv[1])
found = {}
for label in backends.known() if asked is None else asked:
    try:
        found[label] = {"label": backends.load(label).label}
    except (ValueError, backends.BackendUnavailableError) as error:
        found[label] = {"reason": str(error)}
    except Exception as error:
        found[label] = {"reason": f"{type(error).__name__}: {error}"}
print("\\n" + json.dumps(found))
"""


def describe(request: str) -> str:
    """Say what this worker is, and which backends it has.

    Parameters
    ----------
    request : str
        JSON: "labels", those to look for, or null for all that are known here.

    Returns
    -------
    str
        JSON: "machine" (its facts), "host", "name", "resources", "version", "schema", "commit",
        and "backends": for each label either its full "label" or the "reason" why it is missing.
    """
    return _json_answer(_describe, request)


def measure(request: str) -> str:
    """Measure one case, each backend in a process of its own.

    Parameters
    ----------
    request : str
        JSON: "run", "case", "cells" and "how", the options of `measure_case`.

    Returns
    -------
    str
        JSON: "rows".
    """
    return _json_answer(_measure, request)


def close(request: str = "{}") -> str:
    """End the processes that `measure` keeps for the next case."""
    return _json_answer(lambda _: _POOL.close(), request)


def _json_answer(function: Callable[[dict[str, Any]], dict[str, Any]], request: str) -> str:
    try:
        return json.dumps(function(json.loads(request)))
    except Exception as error:  # the answer says it; an exception would travel as a pickle
        return json.dumps({"error": f"{type(error).__name__}: {error}"})


def _describe(request: Mapping[str, Any]) -> dict[str, Any]:
    from distributed import get_worker

    worker = get_worker()
    return {
        "machine": this_machine().to_json(),
        "host": host(),
        "name": str(worker.name),
        "resources": {str(k): float(v) for k, v in worker.state.total_resources.items()},
        "version": unpool_xp.__version__,
        "schema": schema.ROW_SCHEMA,
        "commit": provenance.git_commit(),
        "backends": _find_backends(request["labels"]),
    }


def host() -> str:
    """Return what workers on one host have in common, in containers too."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()


def _find_backends(labels: list[str] | None) -> dict[str, dict[str, str]]:
    command = [sys.executable, "-c", _FIND_BACKENDS, json.dumps(labels)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_FIND_SECONDS)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RuntimeError(f"looking for backends failed: {last}")
    found: dict[str, dict[str, str]] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


class _IdleTimeoutPool:
    """The processes that measure, kept from case to case, and ended when nobody asks any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # a worker may have several threads
        self._pool: Pool | None = None
        self._copies: dict[str, float | None] = {}
        self._timer: threading.Timer | None = None

    def measure(self, request: Mapping[str, Any]) -> dict[str, Any]:
        case = Case.from_json(request["case"])
        cells = [Cell(**cell) for cell in request["cells"]]
        options = dict(request["how"])
        with self._lock:
            self._stop_timer()
            try:
                pool = self._pool = self._pool or Pool()
                for label in dict.fromkeys(cell.label for cell in cells):
                    if label not in self._copies:
                        self._copies[label] = copy_rate(pool, label, options["timeout_s"])
                origin = {**provenance_fields(request["run"]), "machine": this_machine().id}
                rows = measure_rows(pool, origin, case, cells, self._copies, **options)
                return {"rows": msgspec.to_builtins(rows)}
            finally:
                # A client that went away does not say so.
                self._timer = threading.Timer(_IDLE_SECONDS, self.close)
                self._timer.daemon = True
                self._timer.start()

    def close(self) -> dict[str, Any]:
        with self._lock:
            self._stop_timer()
            self._copies.clear()
            if self._pool is not None:
                self._pool.close()
                self._pool = None
        return {}

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


_POOL = _IdleTimeoutPool()


def _measure(request: Mapping[str, Any]) -> dict[str, Any]:
    return _POOL.measure(request)
