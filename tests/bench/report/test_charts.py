"""The charts: a symbol for every time, and backends told apart."""

from __future__ import annotations

import json

import pytest
import vl_convert

from tests.support.reports import cases_of, some_rows
from tests.support.rows import failed_row, make_row, native, timed
from tests.support.synthetic_rows import synthetic_rows
from unpool_xp.bench.report import charts
from unpool_xp.bench.report.chart_specs import chart_specs, decimal_ticks, time_png_spec


def no_copy(case: object) -> None:
    """No copy was measured beside a case."""


def test_the_line_of_copies_goes_through_each_and_enters_where_the_times_do():
    sizes = {10**6: 100.0, 10**8: 10.0, 10**9: 10.0}  # 10 µs, 10 ms and 0.1 s
    rows = [timed("numpy", 2e-3, n=2, bytes_moved=size, shape=[size]) for size in sizes]
    spec = time_png_spec(cases_of(*rows), ["numpy"], lambda case: sizes[case.bytes_moved])
    least = min(point["low"] for point in spec["datasets"]["points"]) / 2
    first, *line = spec["datasets"]["lines"]
    assert line == [{"bytes": 10**8, "seconds": 1e-2}, {"bytes": 10**9, "seconds": 0.1}]
    assert first["seconds"] == least
    assert 10**6 < first["bytes"] < 10**8


def test_a_picture_draws_a_symbol_for_every_time():
    backends = ["dask", "jax:cpu", "numpy", "torch:cpu"]
    spec = time_png_spec(cases_of(*some_rows()), backends, lambda case: 20.0)
    assert len(spec["datasets"]["points"]) == 8
    drawn = vl_convert.vegalite_to_svg({**spec, "width": 400}, config=charts.theme(backends))
    assert drawn.count('aria-roledescription="point"') == 8
    assert drawn.count('aria-roledescription="line mark"') == 5  # and the copy's
    for words in ("numpy", "torch:cpu", "jax:cpu", "eager", "compiled"):
        assert f">{words}<" in drawn
    assert ">dask<" not in drawn


def test_a_picture_shows_the_settings_of_most_sizes():
    rows = [row for row in synthetic_rows(3000) if row.operation == "max_pool"]
    spec = time_png_spec(cases_of(*rows), sorted({row.backend for row in rows}), no_copy)
    assert {point["settings"] for point in spec["datasets"]["points"]} == {spec["title"]["text"]}
    assert len(spec["datasets"]["points"]) < len(rows)


def test_no_line_of_a_picture_joins_different_kernels():
    rows = [timed("numpy", 1.0), timed("numpy", 2.0, shape=[1, 8, 64, 64], kernel=[4, 4])]
    spec = time_png_spec(cases_of(*rows), ["numpy"], no_copy)
    assert spec["title"]["text"] == "Each kernel and stride at one size."
    drawn = vl_convert.vegalite_to_svg({**spec, "width": 400})
    assert drawn.count('aria-roledescription="point"') == 2
    assert drawn.count('aria-roledescription="line mark"') == 2  # of a point each


def test_of_several_functions_of_a_library_a_picture_shows_the_fastest():
    rows = [native("numpy", 1e-3 * n, f"numpy.way{n}") for n in (3, 1, 2)]
    points = time_png_spec(cases_of(*rows), ["numpy"], no_copy)["datasets"]["points"]
    assert [point["function"] for point in points] == ["numpy.way1"]


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ((0.03, 2.4), [0.05, 0.1, 0.2, 0.5, 1, 2]),  # two decades have more than two ticks
        ((1.1, 1.9), [1.2, 1.5]),
        ((1e-5, 0.1), [1e-5, 1e-4, 1e-3, 1e-2, 0.1]),
        ((1e-20, 1e20), [1e-20, 1e-15, 1e-10, 1e-5, 1, 1e5, 1e10, 1e15]),
    ],
)
def test_ticks_are_round_and_enough(values, ticks):
    assert decimal_ticks(values) == ticks


def test_a_picture_of_nothing_is_none():
    assert time_png_spec(cases_of(failed_row("crash")), ["numpy"], no_copy) is None
    assert time_png_spec(cases_of(make_row(bytes_moved=0)), ["numpy"], no_copy) is None


def test_the_charts_of_the_page_are_whole_but_for_their_data():
    for spec in chart_specs(["numpy"]).values():
        assert "datasets" not in spec
        assert "http" not in json.dumps(spec)
        assert {parameter["name"] for parameter in spec["params"]} >= {"xticks", "yticks"}


@pytest.mark.parametrize(("name", "x"), [("threads", "threads"), ("batch", "batch")])
def test_a_line_over_threads_or_batches_joins_them(name, x):
    spec = chart_specs(["numpy", "dask"])[name]
    ends = dict.fromkeys(("seconds", "low", "high", "items", "fewest", "most"))
    points = [
        {"backend": backend, "mode": "eager", "settings": "", "implementation": "portable"}
        | {"ran": f"eager {n} threads" if name == "threads" else "eager", x: n}
        | dict.fromkeys(ends, 1 / n)
        for backend in ("numpy", "dask")
        for n in (1, 2, 4)
    ]
    spec["datasets"] = {"points": points, "lines": []}
    drawn = vl_convert.vegalite_to_svg({**spec, "width": 400})
    assert drawn.count('aria-roledescription="point"') == 6
    assert drawn.count('aria-roledescription="line mark"') == 2


def test_no_two_of_many_backends_look_the_same_and_a_known_one_always_does():
    looks = charts.styles([*(f"library{number}" for number in range(40)), "numpy"])
    assert looks[-1:] == charts.styles(["numpy"])
    assert len({(look.light, look.glyph) for look in looks}) == 41
    assert all(look.light != look.dark for look in looks)
