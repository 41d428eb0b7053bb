"""Rows that nobody measured, for tests of the report: any number of them, GPU-like ones too."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tests.support.rows import make_row
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.rows.schema import Row


@dataclass(frozen=True)
class SyntheticBackend:
    """A backend in a mode on a device, as fast as nobody's."""

    label: str
    mode: Literal["eager", "compiled"]
    overhead_s: float
    gb_s: float

    @property
    def gpu(self) -> bool:
        """Whether it is GPU-like."""
        return self.label.endswith(":cuda")


BACKENDS = (
    SyntheticBackend("numpy", "eager", 8e-6, 4),
    SyntheticBackend("torch:cpu", "eager", 1.4e-5, 9),
    SyntheticBackend("torch:cpu", "compiled", 2.2e-5, 14),
    SyntheticBackend("jax:cpu", "eager", 9e-5, 5),
    SyntheticBackend("jax:cpu", "compiled", 7e-6, 11),
    SyntheticBackend("dask", "eager", 1.5e-3, 6),
    SyntheticBackend("torch:cuda", "eager", 4e-5, 600),
    SyntheticBackend("torch:cuda", "compiled", 3e-5, 800),
    SyntheticBackend("cupy:cuda", "eager", 6e-5, 500),
    SyntheticBackend("jax:cuda", "eager", 3e-4, 500),
    SyntheticBackend("jax:cuda", "compiled", 3.5e-5, 750),
)
_WEIGHT = {
    "nearest_unpool": 1.0,
    "avg_pool": 1.4,
    "max_unpool": 1.6,
    "max_pool": 2.0,
    "linear_unpool": 5.0,
    "fractional_max_unpool": 9.0,
    "conv_transpose": 12.0,
}


def synthetic_cases() -> Iterator[Case]:
    """Yield cases for ever, all of them different."""
    for step in itertools.count():
        for k, exponent, dtype in itertools.product((2, 3, 4), range(9), ("float32", "float16")):
            side = (8 + step) * k
            shape = (1 + exponent // 3, 4 ** (exponent % 3 + 1), side, side)
            small = (*shape[:2], side // k, side // k)
            yield Case("max_pool", shape, kernel=k, dtype=dtype)
            yield Case("avg_pool", shape, kernel=k, dtype=dtype)
            yield Case("max_unpool", small, kernel=k, dtype=dtype)
            yield Case("nearest_unpool", small, scale=k, dtype=dtype)
            yield Case("linear_unpool", small, scale=k, dtype=dtype)
            yield Case("fractional_max_unpool", small, scale=k, dtype=dtype)
            if exponent < 3:
                yield Case("conv_transpose", small, kernel=k, out_channels=8, dtype=dtype)


def synthetic_rows(number: int, *, samples: int = 20) -> list[Row]:
    """Return so many rows of `synthetic_cases`, the same ones each time."""
    rng = random.Random(0)
    every = (
        synthetic_row(case, how, native, samples, rng)
        for case in synthetic_cases()
        for how in BACKENDS
        for native in (False, True)
    )
    return list(itertools.islice(every, number))


def synthetic_row(
    case: Case, backend: SyntheticBackend, native: bool, samples: int, rng: random.Random
) -> Row:
    """Return a row of a case: an overhead, and the bytes at some rate."""
    weight = _WEIGHT[case.operation] * math.exp(rng.gauss(0, 0.1))
    seconds = backend.overhead_s + case.bytes_moved * weight / backend.gb_s / 1e9
    seconds *= 0.6 if native else 1
    library = backend.label.partition(":")[0] if native else "unpool_xp"
    return make_row(
        **case.to_json(),
        machine="made-up-1",
        run="made-up",
        backend=backend.label,
        mode=backend.mode,
        implementation="native" if native else "portable",
        function=f"{library}.{case.operation}",
        device="made-up GPU" if backend.gpu else "made-up CPU",
        bytes_moved=case.bytes_moved,
        flops=case.flops,
        samples_s=[seconds * math.exp(abs(rng.gauss(0, 0.03))) for _ in range(samples)],
        process=[5 * number // samples for number in range(samples)],
        first_call_s=2 * seconds + (0.08 if backend.mode == "compiled" else 0),
        to_device_s=case.bytes_moved / 12e9 + 2e-5 if backend.gpu else 1e-6,
        from_device_s=case.bytes_moved / 14e9 + 2e-5 if backend.gpu else 1e-6,
        peak_bytes=round(case.bytes_moved * rng.uniform(0.5, 3)),
        copy_gb_s=700 if backend.gpu else 12,
    )
