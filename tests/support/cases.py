"""Small cases of every operation."""

from __future__ import annotations

import numpy as np

from unpool_xp.bench.cases.case import Case

SMALL = [
    Case("max_pool", (2, 3, 7, 8), kernel=(3, 2), stride=(2, 2), padding=(1, 1)),
    Case("max_pool", (2, 3, 9), kernel=2),
    Case("max_pool", (1, 2, 4, 5, 6), kernel=2, dtype="uint8"),
    Case("max_unpool", (2, 3, 6, 3), kernel=(4, 3), stride=(1, 2), padding=(1, 1)),
    Case("max_unpool", (2, 3, 4), kernel=2, dtype="float16"),
    Case("nearest_unpool", (2, 3, 4, 3), scale=(2, 3)),
    Case("nearest_unpool", (1, 2, 5, 4), scale=1.5, dtype="float64"),
    Case("avg_pool", (2, 3, 7, 8), kernel=(3, 2), stride=(2, 2), padding=(1, 1)),
    Case("avg_pool", (2, 3, 9), kernel=2, dtype="float64"),
    Case("adaptive_max_pool", (2, 3, 7, 9), scale=(0.5, 1.4)),
    Case("adaptive_max_pool", (2, 12), scale=(0.5,), dtype="int16"),
    Case("adaptive_avg_pool", (2, 3, 7, 8), scale=(0.45, 0.5)),
    Case("adaptive_avg_pool", (3, 2, 13), scale=0.4, dtype="float64"),
    Case("fractional_max_pool", (2, 3, 11, 9), kernel=(2, 3), scale=(0.5, 0.7)),
    Case("fractional_max_pool", (1, 2, 6, 7, 8), kernel=2, scale=0.5, dtype="float64"),
    Case("fractional_max_pool", (3, 13), kernel=(2,), scale=(0.6,), dtype="int16"),
    Case("linear_unpool", (2, 3, 4, 3), scale=(2, 3)),
    Case("linear_unpool", (2, 3, 7), scale=1.5, dtype="float64"),
    Case("linear_unpool", (1, 2, 3, 2, 4), scale=2, dtype="float16"),
    Case("cubic_unpool", (2, 3, 4, 3), scale=(2, 1.5)),
    Case("cubic_unpool", (2, 3, 7), scale=3, dtype="float64"),
    Case("fractional_max_unpool", (2, 3, 5, 4), scale=(1.5, 2.0)),
    Case("fractional_max_unpool", (2, 3, 7), scale=1.3, dtype="float64"),
    Case(
        "conv_transpose", (2, 3, 5, 4), kernel=(3, 2), stride=(2, 3), padding=(1, 0), out_channels=5
    ),
    Case("conv_transpose", (2, 4, 5), kernel=2, stride=3, out_channels=2, dtype="float64"),
    Case("conv_transpose", (1, 2, 3, 2, 3), kernel=2, out_channels=3),
]


def result(case: Case) -> list[np.ndarray]:
    """Return the right outputs, freshly allocated."""
    made = case.definition.function(*case.arrays().values(), **case.options())
    return [a.copy() for a in made] if isinstance(made, tuple) else [made.copy()]
