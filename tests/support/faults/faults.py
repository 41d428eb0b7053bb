"""A fault injector: backends that go wrong in one way at one moment of a worker's life.

With this folder on PYTHONPATH the label ``fault:<stage>-<act>`` is a NumPy that acts so at that
stage: where its process starts (`sitecustomize`), where its library is imported, where a case is
prepared, where a sample is taken, where the case is dropped.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any

STAGES = ("start", "import", "prepare", "sample", "finish")
SLOW_SECONDS = 0.5
WORDS = "the library's own words"


class FaultError(BaseException):
    """What no handler of an Exception catches."""


def _raise() -> None:
    raise FaultError(f"{WORDS} \x1b[31min red")


def _hang() -> None:
    if marker := os.environ.get("FAULT_MARKER"):  # for whoever waits for it
        Path(marker).touch()
    time.sleep(3600)


def _print_garbage() -> None:
    os.write(1, b'\x1b[2J\xff\x00{"ok": true}\n\x1e{"ok"\n\x1e[]\n\x1e"ok"\n\x1e1\nno end of line')
    os.write(2, b"\xfe\x1b]0;title\x07\n" * 5_000)  # more than a pipe holds


ACTS = {
    "raise": _raise,
    "exit": lambda: sys.exit(3),
    "abort": os.abort,
    "hang": _hang,
    "garbage": _print_garbage,
    "slow": lambda: time.sleep(SLOW_SECONDS),
}


_acted: list[str] = []


def label_of_this_process() -> str:
    """Return the label of a worker, while Python starts as well."""
    arguments = sys.orig_argv
    module = "unpool_xp.bench.worker"
    return arguments[arguments.index(module) + 1] if module in arguments else ""


def act_at(stage: str) -> None:
    """Go wrong, if this process is to do so at this stage and has not yet."""
    wanted, _, act = label_of_this_process().removeprefix("fault:").partition("-")
    if wanted == stage and not _acted:
        _acted.append(stage)
        ACTS[act]()


def load() -> Any:
    """Return the backend of this process."""
    importlib.import_module("faulty_library")
    from faulty_backend import Faulty

    return Faulty(label_of_this_process(), importlib.import_module("array_api_compat.numpy"))
