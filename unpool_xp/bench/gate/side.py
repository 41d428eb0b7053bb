"""One side of the gate: a process that times one build of the package, and nothing of the harness.

``python -P gate_worker.py LABEL FOLDER`` is started by `unpool_xp.bench.gate.trio` with the python
of the side. It imports the package that lies in FOLDER, through its public names alone, so that a
change of the harness never changes what is compared. JSON lines in, JSON lines out, as in
`unpool_xp.bench.worker`.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

_WATCH_SECONDS = 1.0
_LONGEST_REASON = 400


class Side:
    """What the commands do.

    Parameters
    ----------
    label : str
        The backend's label.
    folder : str
        Where the package must have been imported from.
    """

    def __init__(self, label: str, folder: str) -> None:
        import unpool_xp

        found = Path(unpool_xp.__file__).resolve()
        if not found.is_relative_to(Path(folder).resolve()):
            raise ImportError(f"the package was imported from {found}, not from {folder}")
        try:
            from unpool_xp import backends
        except ImportError:
            raise ImportError("this version has no unpool_xp.backends") from None
        self.package, self.file = unpool_xp, str(found)
        self.backend = backends.load(label)
        self._call: Callable[[], Any] | None = None

    def hello(self) -> dict[str, Any]:
        """Say what this side is."""
        facts = getattr(self.backend, "facts", None)
        return {
            "version": self.backend.version,
            "device": getattr(facts, "name", ""),
            "threads": getattr(facts, "threads", None),
            "file": self.file,
            "pid": os.getpid(),
        }

    def prepare(
        self, operation: str, inputs: str, named: list[str], options: dict[str, Any], mode: str
    ) -> dict[str, Any]:
        """Copy the inputs, call once, say what came out and how long a call takes.

        The last arrays of the file are the options that are named.
        """
        self._call = None
        try:
            function = getattr(self.package, operation, None)
            if function is None:
                raise LookupError(f"this version has no unpool_xp.{operation}")
            given = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
            with np.load(inputs) as archive:
                host = [archive[name] for name in archive.files]
            for name in reversed(named):
                given[name] = host.pop()
            arrays = [self.backend.asarray(array) for array in host]
            del host
            self.backend.synchronize(*arrays)

            def call(*arrays: Any) -> Any:
                return function(*arrays, **given)

            bound = self.backend.compile(call) if mode == "compiled" else call
            self._call = lambda: bound(*arrays)
            digest = _digest(self._outputs())
            call_s = min(self._timed(1) for _ in range(3))
        except Exception as error:  # whatever a library raises is a reason, never a time
            self._call = None
            return {"error": _said(error)}
        return {"error": None, "digest": digest, "call_s": call_s}

    def outputs(self, path: str) -> dict[str, Any]:
        """Write what a call gives."""
        host = self._outputs()
        np.savez(path, *host)
        return {"digest": _digest(host)}

    def sample(self, calls: int) -> dict[str, Any]:
        """Take a sample: seconds a call, of so many."""
        if calls > 1:
            self._timed(1)  # its caches hold what the last side has left there
        return {"seconds": self._timed(calls)}

    def drop(self) -> dict[str, Any]:
        """Let go of the case."""
        self._call = None
        return {}

    def _outputs(self) -> list[np.ndarray[Any, Any]]:
        assert self._call is not None
        output = self._call()
        many = output if isinstance(output, tuple) else (output,)
        self.backend.synchronize(*many)
        return [self.backend.to_numpy(array) for array in many]

    def _timed(self, calls: int) -> float:
        """Return the seconds a call: each is waited for before the next."""
        assert self._call is not None
        call, synchronize, clock = self._call, self.backend.synchronize, time.perf_counter
        gc.disable()
        try:
            start = clock()
            for _ in range(calls):
                output = call()
                synchronize(*(output if isinstance(output, tuple) else (output,)))
                del output
            return (clock() - start) / calls
        finally:
            gc.enable()


COMMANDS = ("hello", "prepare", "outputs", "sample", "drop")


def _digest(arrays: list[np.ndarray[Any, Any]]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return digest.hexdigest()


def _said(error: BaseException) -> str:
    text = " ".join(str(error).split())
    # These messages name what is missing; the type would add nothing.
    if not (isinstance(error, ImportError | LookupError) and text):
        text = f"{type(error).__name__}: {text}"
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 3] + "..."


def serve(
    label: str, folder: str, requests: IO[str], answer: Callable[[dict[str, Any]], None]
) -> None:
    """Answer requests until there are no more."""
    try:
        side: Any = Side(label, folder)
        broken = None
    except Exception as error:  # a missing library is an answer, not a crash
        side, broken = None, _said(error)
    for line in requests:
        try:
            request = json.loads(line)
            command = request.pop("command")
            if broken is not None:
                answer({"ok": False, "error": broken})
                continue
            if command not in COMMANDS:
                raise ValueError(f"unknown command {command!r}; known: {', '.join(COMMANDS)}")
            answer({"ok": True, **getattr(side, command)(**request)})
        except Exception as error:
            answer({"ok": False, "error": _said(error)})


def _leave_with_parent(parent: int) -> None:
    # A side in the middle of a call does not see that its requests have ended.
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)


def main(arguments: list[str]) -> int:
    """Serve on the standard streams."""
    label, folder = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    if hasattr(os, "getppid"):
        watch = threading.Thread(target=_leave_with_parent, args=(os.getppid(),), daemon=True)
        watch.start()
    # Three processes share the accelerator, if there is one, and a CPU's want none.
    if label == "jax:cpu":
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # A library that prints must not break the protocol: fd 1 becomes fd 2.
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(message: dict[str, Any]) -> None:
        stream.write(json.dumps(message) + "\n")
        stream.flush()

    serve(label, folder, sys.stdin, answer)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
