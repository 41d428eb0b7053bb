"""Claims about unpooling, judged by rows and by a photograph."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.reports import machine_of
from tests.support.rows import make_row, timed
from unpool_xp.bench.report.claims import judge_claims
from unpool_xp.bench.rows.schema import Row


def unpooling(backend: str, nearest: float, maximum: float, fractional: float) -> list[Row]:
    window: dict[str, Any] = {"shape": [1, 8, 16, 16], "kernel": [2, 2], "stride": [2, 2]}
    scale = {**window, "kernel": None, "stride": None, "scale": [2, 2]}
    return [
        timed(backend, nearest, operation="nearest_unpool", **scale),
        timed(backend, maximum, operation="max_unpool", **window),
        timed(backend, fractional, operation="fractional_max_unpool", **scale),
    ]


def verdict_of(text: str, *rows: Row, **machine: Any) -> Any:
    judged = judge_claims(dataclasses.replace(machine_of(*rows), **machine))
    return next(claim for claim in judged if text in claim.text)


def test_every_claim_is_judged():
    assert len({claim.text for claim in judge_claims(machine_of(make_row()))}) == 7


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (((1.0, 2.0, 3.0), (1.0, 2.0, 3.0)), "true"),
        (((1.0, 2.0, 3.0), (1.0, 2.0, 3.0), (2.0, 1.0, 3.0)), "partly true"),
        (((2.0, 1.0, 3.0), (2.0, 1.0, 3.0)), "not true"),
    ],
)
def test_nearest_is_the_quickest_where_nothing_is_quicker(times, expected):
    names = ("numpy", "torch:cpu", "dask")
    rows = [row for name, t in zip(names, times, strict=False) for row in unpooling(name, *t)]
    assert verdict_of("Nearest is the quickest", *rows).verdict == expected


def test_claims_without_rows_are_not_measured_here_and_the_reason_is_told():
    for text in ("Nearest is the quickest", "Fractional gives smoother", "Unpooling is cheap"):
        claim = verdict_of(text, make_row())
        assert claim.verdict == "not measured here"
        assert claim.measured


def test_the_cost_of_fractional_is_that_of_the_rows():
    claim = verdict_of("Fractional gives smoother", *unpooling("numpy", 1.0, 2.0, 8.0))
    assert claim.verdict == "true"
    assert "8.0" in claim.measured
    claim = verdict_of("Fractional gives smoother", *unpooling("numpy", 3.0, 3.0, 1.0))
    assert claim.verdict == "partly true"


def test_unpooling_is_cheap_where_it_comes_near_a_copy():
    near = {"copy_gb_s": 1.0, "bytes_moved": 10**9}  # a second of copying
    rows = [replace(row, **near) for row in unpooling("numpy", 1.0, 1.5, 9.0)]
    claim = verdict_of("Unpooling is cheap", *rows)
    assert claim.verdict == "partly true"
    shares = r"fractional_max_unpool 11%, max_unpool 6\d%, nearest_unpool (99|100|101)%"
    assert re.search(shares, claim.measured)
    assert verdict_of("Unpooling is cheap", *rows, cache_bytes=10**9 - 1) == claim
    cached = verdict_of("Unpooling is cheap", *rows, cache_bytes=10**9)
    assert cached.verdict == "not measured here"
    assert "fits into a cache" in cached.measured


def test_pictures_show_what_the_documentation_says():
    claim = verdict_of("keeps more of the detail", make_row())
    assert claim.verdict == "not true"
    assert "6.5 against 23.9 dB" in claim.measured
    assert "nearest_unpool 2.0, 4.0, 7.6" in verdict_of("blocky", make_row()).measured


def test_positions_cost_what_their_dtype_says_and_peaks_are_compared():
    peaks = [make_row(peak_bytes=3000), make_row(operation="avg_pool", peak_bytes=1000)]
    claim = verdict_of("Storing positions", *peaks)
    assert claim.verdict == "true"
    assert "2.00x those of float32" in claim.measured
    assert "max_pool over avg_pool: 3.00x" in claim.measured
    assert "Peak memory was not measured" in verdict_of("Storing positions", make_row()).measured


def test_only_the_transposed_convolution_has_weights():
    row = make_row(operation="conv_transpose", shape=[1, 8, 16, 16], out_channels=4)
    claim = verdict_of("trainable parameters", row)
    assert claim.verdict == "partly true"
    assert f"{8 * 4 * 2 * 2} weights" in claim.measured
