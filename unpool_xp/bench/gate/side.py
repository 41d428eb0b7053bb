"""One side of the gate: a process that times one build of the package, and nothing of the harness.

``python -P side.py LABEL FOLDER`` is started by `unpool_xp.bench.gate.trio` with the python
of the side. It imports the package that lies in FOLDER, through its public names alone, so that a
change of the harness never changes what is compared. It speaks the protocol
of `bench.measure.server`, which it loads by its path, like `bench.measure.timer`.
"""

from __future__ import annotations

import hashlib
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_MEASURE = Path(__file__).parents[1] / "measure"
_SERVER = runpy.run_path(str(_MEASURE / "server.py"))
_TIMER = runpy.run_path(str(_MEASURE / "timer.py"))


class BuildServer:
    """What the commands do, on a backend, for the package that lies in a folder."""

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
        """Describe the backend and the package."""
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
        """Copy the inputs and call once; return a digest of the outputs and the time of a call.

        The last arrays of the file are the options that are named.
        """
        function = getattr(self.package, operation, None)
        if function is None:
            raise ImportError(f"this version has no unpool_xp.{operation}")
        keywords = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
        with np.load(inputs) as archive:
            host = [archive[name] for name in archive.files]
        for name in reversed(named):
            keywords[name] = host.pop()
        arrays = [self.backend.asarray(array) for array in host]
        del host
        self.backend.synchronize(*arrays)

        def call(*arrays: Any) -> Any:
            return function(*arrays, **keywords)

        bound = self.backend.compile(call) if mode == "compiled" else call
        self._call = lambda: bound(*arrays)
        digest = _digest(self._outputs())
        return {"digest": digest, "call_s": min(self._time_calls(1) for _ in range(3))}

    def outputs(self, path: str) -> dict[str, Any]:
        """Write the outputs of a call."""
        host = self._outputs()
        np.savez(path, *host)
        return {"digest": _digest(host)}

    def sample(self, calls: int) -> dict[str, Any]:
        """Take one sample: the mean seconds per call over this many calls."""
        if calls > 1:
            self._time_calls(1)  # its caches hold what the last side has left there
        return {"seconds": self._time_calls(calls)}

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

    def _time_calls(self, calls: int) -> float:
        """Return seconds per call."""
        seconds: float = _TIMER["time_calls"](self._call, (), self.backend.synchronize, calls)
        return seconds


COMMANDS = ("hello", "prepare", "outputs", "sample", "drop")


def _digest(arrays: list[np.ndarray[Any, Any]]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return digest.hexdigest()


def main(arguments: list[str]) -> int:
    """Serve on the standard streams."""
    label, folder = arguments
    _SERVER["serve"](label, lambda: BuildServer(label, folder), COMMANDS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
