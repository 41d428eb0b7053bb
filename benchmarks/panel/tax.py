"""What one implementation for all costs: its time over that of the library's own function."""

from __future__ import annotations

import statistics

from unpool_xp.bench.cases.case import BackendMode
from unpool_xp.bench.measure.session import DeviceInputs, Session
from unpool_xp.bench.measure.timer import to_and_fro
from unpool_xp.bench.suites.asv import prepare_checked, skip

from ._cells import BACKEND_MODES, Panel

_PAIRS = 11


class Tax(Panel):
    """Portable over native, both on the same inputs and in the same mode; below 1 is faster.

    Where a library has several ways, the fastest. JAX is compared compiled, as it is used.
    """

    params = (
        ("max_pool", "avg_pool", "max_unpool", "nearest_unpool", "linear_unpool", "conv_transpose"),
        ("large",),
        (2,),
        tuple(
            text
            for text in BACKEND_MODES
            if text not in ("jax:cpu", "torch:cpu compiled", "torch:cuda compiled")
        ),
    )
    unit = "ratio"

    def setup(self, operation: str, size: str, stride: int, backend_mode: str) -> None:
        """Check both results; choose the fastest native."""
        case = self.case(operation, size, stride)
        backend = self.backend(operation, size, stride, backend_mode)
        mode = BackendMode.parse(backend_mode).mode
        equal = [
            native.name(case)
            for native in case.natives(backend.library)
            if native.reason(case) is None and not native.values_only
        ]
        if not equal:
            skip(backend_mode, f"{backend.library} has no function of its own for {operation}")
        inputs = DeviceInputs(backend, case)
        self._portable = prepare_checked(Session(backend, case, mode, inputs=inputs))
        sessions = [Session(backend, case, mode, "native", name, inputs=inputs) for name in equal]
        self._native = min(map(prepare_checked, sessions), key=lambda session: session.call_s)

    def track_portable_over_native(
        self, operation: str, size: str, stride: int, backend_mode: str
    ) -> float:
        """Return the median of the ratios of neighbours, taken in turns: A B, B A, A B."""
        a, b = self._portable, self._native
        for pair in range(_PAIRS):
            for session in to_and_fro((a, b), pair):
                session.sample()
        pairs = zip(a.measured.samples_s, b.measured.samples_s, strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)

    track_portable_over_native.pretty_name = "Portability tax"
