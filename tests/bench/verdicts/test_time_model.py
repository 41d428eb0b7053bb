"""Times of a known overhead and bandwidth give these two back; others are said not to fit."""

from __future__ import annotations

import pytest

from tests.support.rows import native, timed
from unpool_xp.bench.verdicts.ranking import by_workload, rank
from unpool_xp.bench.verdicts.time_model import TimeModel, fit_times

SIZES = [2**power for power in (16, 18, 20, 22, 24)]


def fitted(*seconds: float, **more: object) -> TimeModel:
    rows = [
        timed("numpy", one, bytes_moved=size, shape=[1, 1, size, 1], **more)
        for one, size in zip(seconds, SIZES, strict=False)
    ]
    (model,) = fit_times([rank(group) for group in by_workload(rows).values()])
    return model


@pytest.mark.parametrize("overhead", [9e-6, 3e-3])
@pytest.mark.parametrize("gb_s", [0.5, 12.0])
def test_the_two_numbers_are_found(overhead: float, gb_s: float) -> None:
    model = fitted(*(overhead + size / gb_s / 1e9 for size in SIZES))
    assert model.problem is None
    assert (model.sizes, model.name, model.is_portable) == (5, "numpy", True)
    assert model.overhead_s == pytest.approx(overhead, rel=0.1)
    assert model.gb_s == pytest.approx(gb_s, rel=0.1)
    assert model.residual < 0.05


def test_the_text_leaves_out_what_was_not_seen() -> None:
    both = fitted(*(9e-6 + size / 12e9 for size in SIZES), spread=0)
    assert both.text == "9.00 µs + 12.0 GB/s"
    assert fitted(*(size / 12e9 for size in SIZES), spread=0).text.endswith("12.0 GB/s")
    assert fitted(*(2e-3 / (size / SIZES[0]) ** 0.01 for size in SIZES)).text.endswith("ms")


def test_it_says_where_the_model_does_not_fit() -> None:
    assert fitted(1.0, 2.0, 3.0).problem == "3 sizes, 4 needed"
    steps = fitted(1e-4, 1e-4, 1e-4, 1e-2, 1e-2)
    assert steps.problem is not None
    assert steps.text.startswith("no straight line (off by ")


def test_candidates_and_settings_are_fitted_apart_and_disturbed_times_left_out() -> None:
    rows = []
    for size in SIZES:
        more = {"bytes_moved": size, "shape": [1, 1, size, 1]}
        rows += [
            timed("numpy", size / 1e9, **more),
            native("numpy", size / 2e9, "own", **more),
            timed("numpy", size / 4e9, kernel=[3, 3], **more),
            timed("dask", size / 8e9, disturbed=[True] * 40, **more),
        ]
    models = fit_times([rank(group) for group in by_workload(rows).values()])
    rates = {(model.name, model.settings.partition(",")[0]): model.gb_s for model in models}
    assert rates == {
        ("numpy", "kernel 2x2"): pytest.approx(1, rel=0.05),
        ("numpy own own", "kernel 2x2"): pytest.approx(2, rel=0.05),
        ("numpy", "kernel 3x3"): pytest.approx(4, rel=0.05),
    }
