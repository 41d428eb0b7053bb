"""The process of one backend, and the table of what it can be asked.

``python -m unpool_xp.bench.worker LABEL [THREADS]`` is started by `bench.measure.workers` and
speaks the protocol of `bench.measure.server`.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from typing import Any

import msgspec
from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

from unpool_xp import backends
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.check.run import check_operation, to_json
from unpool_xp.bench.measure.host.ceilings import ceilings
from unpool_xp.bench.measure.host.thread_pool import measure_thread_pool, pool_threads
from unpool_xp.bench.measure.measurement import Measurement
from unpool_xp.bench.measure.memory import peak_bytes
from unpool_xp.bench.measure.server import serve
from unpool_xp.bench.measure.session import DeviceInputs, HostInputs, Session, describe_error
from unpool_xp.bench.measure.timer import sample_rounds


class Service:
    """What the commands do.

    Parameters
    ----------
    label : str
        The backend's label.
    threads : int, optional
        How many it computes with; the environment says so already. Default: as the library has it.
    """

    def __init__(self, label: str, threads: int | None = None) -> None:
        self.backend, self._threads = backends.load(label), threads
        if threads is not None:
            self.backend.set_threads(threads)
        self._sessions: dict[str, Session] = {}
        self._inputs: DeviceInputs | None = None
        self._host_inputs: HostInputs | None = None

    def hello(self) -> dict[str, Any]:
        """Describe the backend and its threads."""
        facts = self.backend.facts
        return {
            "label": self.backend.label,
            "library": self.backend.library,
            "version": self.backend.version,
            "device": facts.name,
            "memory_bytes": facts.memory_bytes,
            "threads": facts.threads if self._threads is None else self._threads_in_effect(),
            "pools": [
                {key: pool[key] for key in ("user_api", "num_threads")}
                for pool in threadpool_info()
            ],
            "pid": os.getpid(),
        }

    def _threads_in_effect(self) -> int | None:
        """Return the number that was chosen; None where the library does not follow it."""
        return self._threads if pool_threads(self.backend) == self._threads else None

    def ceilings(self) -> dict[str, Any]:
        """Measure what a plain copy and a matrix product reach here."""
        return {name: round(rate, 2) for name, rate in asdict(ceilings(self.backend)).items()}

    def make_inputs(self, case: dict[str, Any]) -> dict[str, Any]:
        """Make the inputs and the expected outputs of a case, for `prepare`."""
        self._inputs = self._host_inputs = None  # the last case's go before the next one's come
        self._host_inputs = HostInputs(Case.from_json(case))
        _ = self._host_inputs.expected
        return {}

    def prepare(
        self,
        session: str,
        case: dict[str, Any],
        mode: str,
        implementation: str,
        function: str | None = None,
        known: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """Open a session: copy, call once, check unless the outputs are known."""
        wanted = Case.from_json(case)
        if self._inputs is None or self._inputs.case != wanted:
            self._inputs = None
            host_inputs, self._host_inputs = self._host_inputs, None
            if host_inputs is not None and host_inputs.case != wanted:
                host_inputs = None
            try:
                self._inputs = DeviceInputs(self.backend, wanted, host_inputs)
            except Exception as error:
                failed = Measurement(error=describe_error(error))
                return {"measured": msgspec.to_builtins(failed), "call_s": 0.0}
        opened = Session(self.backend, wanted, mode, implementation, function, inputs=self._inputs)
        if opened.prepare(known):
            self._sessions[session] = opened
        return {
            "measured": msgspec.to_builtins(opened.measured),
            "call_s": opened.call_s,
            "outputs": opened.outputs,
            "digest": opened.digest,
        }

    def sample(self, session: str, n: int = 1, what: str = "call") -> dict[str, Any]:
        """Take n samples of a session's call, or of what else it can time."""
        opened = self._sessions[session]
        taken = opened.take(n, what)
        return {"taken": msgspec.to_builtins(taken), "error": opened.measured.error}

    def sample_rounds(self, sessions: list[str], seconds: float) -> dict[str, Any]:
        """Sample several sessions in interleaved rounds, close them, return what was measured.

        The n-th samples belong to one round, so they can be compared pair by pair.
        """
        opened = [self._sessions.pop(name) for name in sessions]
        sample_rounds([session.sample for session in opened], seconds)
        measured = [msgspec.to_builtins(session.finish()) for session in opened]
        return {"sessions": dict(zip(sessions, measured, strict=True))}

    def drop(self) -> dict[str, Any]:
        """Close all sessions and let go of all arrays."""
        self._sessions.clear()
        self._inputs = self._host_inputs = None
        if "torch._dynamo" in sys.modules:
            # It keeps a few variants of a function, and refuses to compile one more.
            sys.modules["torch"].compiler.reset()
        self.backend.free_memory()
        return {}

    def peak(
        self, case: dict[str, Any], mode: str, implementation: str, function: str | None = None
    ) -> dict[str, Any]:
        """Measure the memory of one call; to be asked of a process that has done nothing else."""
        wanted = Case.from_json(case)
        peak = peak_bytes(self.backend, wanted, mode, implementation, function)
        return {"peak_bytes": peak}

    def check(self, operation: str, dtype: str, torch_compiled: bool = False) -> dict[str, Any]:
        """Check one operation and dtype against the reference, in a dedicated process."""
        results = check_operation(self.backend, operation, dtype, torch_compiled=torch_compiled)
        return {"checked": to_json(results)}

    def thread_pool(self) -> dict[str, Any]:
        """Measure what the library's threads cost between two calls."""
        return asdict(measure_thread_pool(self.backend))


COMMANDS = tuple(name for name in vars(Service) if not name.startswith("_"))


def main(arguments: list[str]) -> int:
    """Serve on the standard streams."""
    if len(arguments) not in (1, 2):
        print("usage: python -m unpool_xp.bench.worker LABEL [THREADS]", file=sys.stderr)
        return 2
    label, *threads = arguments
    serve(label, lambda: Service(label, *map(int, threads)), COMMANDS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
