"""Rows to test with: measured, failed, or timed with a known noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from unpool_xp.bench.rows.files import RowWriter
from unpool_xp.bench.rows.schema import Row

PARAMETERS = ("kernel", "stride", "padding", "scale", "out_channels")
ATTACK = "<script>alert(1)</script>"


def make_row(**fields: Any) -> Row:
    """Return a row of a checked max pooling, with these fields and parameters for its own."""
    known: dict[str, Any] = {
        "run": "20250101T000000Z-000000",
        "time": "2025-01-01T00:00:00+00:00",
        "commit": "0123456789abcdef",
        "machine": "cpu-2core-000000",
        "backend": "numpy",
        "backend_version": "2.0",
        "device": "cpu",
        "threads": 1,
        "mode": "eager",
        "implementation": "portable",
        "function": "unpool_xp.max_pool",
        "operation": "max_pool",
        "shape": [1, 8, 32, 32],
        "parameters": {"kernel": [2, 2], "stride": [2, 2]},
        "dtype": "float32",
        "checked": True,
        "check_scope": "all",
        "error": None,
        "samples_s": [1e-3, 1.1e-3, 0.9e-3, 1e-3, 1.05e-3, 0.95e-3],
        "calls_per_sample": 2,
        "first_call_s": 2e-3,
        "to_device_s": 1e-5,
        "from_device_s": 2e-5,
        "peak_bytes": None,
        "bytes_moved": 10**6,
        "flops": 10**5,
        "copy_gb_s": 20.0,
    }
    parameters = fields.pop("parameters", known["parameters"])
    given = {name: fields.pop(name) for name in PARAMETERS if name in fields}
    if given:
        every = {**parameters, **given}
        parameters = {name: value for name, value in every.items() if value is not None}
    fields["parameters"] = parameters
    if "pass" in fields:  # as in the JSON of a case
        fields["pass_"] = fields.pop("pass")
    return Row(**known | fields)


def failed_row(reason: str | None, **fields: Any) -> Row:
    return make_row(checked=False, error=reason, samples_s=[], **fields)


def write(path: Path, *rows: Row) -> Path:
    with RowWriter(path) as writer:
        for row in rows:
            writer.write(row)
    return path


def noisy(median: float, n: int = 40, spread: float = 0.02, seed: int = 0) -> list[float]:
    generator = np.random.default_rng(seed)
    samples: list[float] = (median * np.exp(spread * generator.standard_normal(n))).tolist()
    return samples


def timed(backend: str, median: float, *, spread: float = 0.01, n: int = 40, **more: Any) -> Row:
    """Return a row with a known noise, of five processes."""
    samples = noisy(median, n, spread, seed=sum(map(ord, backend)))
    process = [5 * number // n for number in range(n)]
    return make_row(**{"backend": backend, "samples_s": samples, "process": process} | more)


def in_processes(backend: str, *medians: float, **fields: Any) -> Row:
    """Return a row as it is measured today: in three processes, with these medians."""
    samples = [median * (1 + k / 1000) for median in medians or (1e-3,) * 3 for k in range(4)]
    known = {
        "samples_s": samples,
        "process": [number // 4 for number in range(len(samples))],
        "disturbed": [False] * len(samples),
        "cold_s": 17e-3,
    }
    return make_row(**known | {"backend": backend} | fields)


def native(backend: str, median: float, function: str, **more: Any) -> Row:
    return timed(backend, median, implementation="native", function=function, **more)
