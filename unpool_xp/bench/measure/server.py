"""A worker's side of the protocol: requests and answers, one JSON object per line.

A request has a "command" and its arguments; an answer has "ok" and either the result or the
"error" and its "kind". Answers are a JSON text sequence (RFC 7464): what stands before the mark is
not an answer, whatever printed it. Nothing that a message says is ever run as code. Imports nothing
of the package: the workers of the gate, which run other versions of it, load this file by its path.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

MARK = "\x1e"  # before each answer
_WATCH_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1  # of sys/prctl.h
_LONGEST_REASON = 400


def serve(label: str, start: Callable[[], Any], commands: Sequence[str]) -> None:
    """Answer the requests on standard input until there are no more.

    Parameters
    ----------
    label : str
        The backend's label.
    start : callable
        Makes the object whose methods are the commands.
    commands : sequence of str
        The methods that requests may name.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    _end_with_parent()
    # All workers share the one accelerator, and those of a CPU want none.
    if label == "jax:cpu":
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # A library that prints or reads must not break the protocol: fd 1 becomes fd 2, fd 0 is empty.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    broken: BaseException | None = None
    try:
        service = start()
    except BaseException as error:  # a missing library is an answer, not a crash; sys.exit as well
        broken = error
    for line in requests:
        try:
            request = json.loads(line)
            command = request.pop("command")
            if broken is not None:
                raise broken
            if command not in commands:
                raise ValueError(f"unknown command {command!r}; known: {', '.join(commands)}")
            answer = json.dumps({"ok": True, **getattr(service, command)(**request)})
        except BaseException as error:
            kind = type(error).__name__
            answer = json.dumps({"ok": False, "error": error_text(error), "kind": kind})
        answers.write(f"{MARK}{answer}\n")
        answers.flush()


def digest(arrays: Sequence[Any]) -> str:
    """Return a hash of NumPy arrays, to send in their place: equal only for equal arrays."""
    found = hashlib.blake2b(digest_size=16)
    for array in arrays:
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def error_text(error: BaseException) -> str:
    """Return an error in one line of bounded length."""
    try:
        text = str(error)
    except Exception:  # it cannot even say what it is
        text = ""
    if isinstance(error, SystemExit):
        text = f"it called sys.exit({text})"
    # The messages of import errors name what is missing; the type would add nothing.
    elif not (isinstance(error, ImportError) and text.strip()):
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    return one_line(text)


def one_line(text: str) -> str:
    """Return a text in one line of bounded length, with control characters escaped."""
    text = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in " ".join(text.split())
    )
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 3] + "..."


def _end_with_parent() -> None:
    """End this process with its parent, even in the middle of a call or while suspended."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError, TypeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # Other systems end a suspended process group that has lost its parent by SIGHUP.
    if hasattr(os, "getppid"):
        watch = threading.Thread(target=_exit_without_parent, args=(os.getppid(),), daemon=True)
        watch.start()


def _exit_without_parent(parent: int) -> None:
    # In the middle of a call a worker does not notice that its requests have ended.
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)
