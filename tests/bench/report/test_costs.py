"""When compiling pays back, and where a GPU takes over."""

from __future__ import annotations

import pytest

from tests.support.reports import cases_of, report
from tests.support.rows import native, timed
from unpool_xp.bench.report.costs import (
    break_even_calls,
    compile_break_evens,
    crossovers,
    device_points,
)
from unpool_xp.bench.rows.schema import Row


@pytest.mark.parametrize(
    ("compiled", "eager", "first", "calls"),
    [(1.0, 3.0, 11.0, 6), (1.0, 2.0, 0.5, 1), (1.0, 2.0, 10.0, 10), (2.0, 2.0, 1.0, None)],
)
def test_compiling_pays_back_from_the_first_call_that_takes_less_in_all(
    compiled, eager, first, calls
):
    found = break_even_calls(compiled, eager, first)
    assert found == calls
    if found is not None:
        assert first + (found - 1) * compiled < found * eager
        assert found == 1 or first + (found - 2) * compiled >= (found - 1) * eager


def test_compiled_is_held_against_the_same_function_eager():
    rows = [
        timed("jax:cpu", 3.0),
        timed("jax:cpu", 1.0, mode="compiled", first_call_s=11.0),
        native("jax:cpu", 1.0, "jax.other", mode="compiled"),
        timed("torch:cpu", 0.1),
    ]
    (found,) = compile_break_evens(cases_of(*rows))
    assert found.compiled.row.backend == found.eager.row.backend == "jax:cpu"
    assert found.calls in (5, 6)
    assert found.clear


def crossing_rows() -> list[Row]:
    rows = []
    for size, gpu in ((16, 2.0), (32, 0.5), (64, 0.1)):
        shape = [1, 8, size, size]
        rows += [
            timed("numpy", 1.0, shape=shape),
            timed("torch:cuda", gpu, shape=shape, to_device_s=0.4, from_device_s=0.3),
        ]
    return rows


def test_the_points_of_a_chart_go_from_small_to_large():
    (points,) = device_points(cases_of(*crossing_rows()))
    assert [point.case.first_row.shape[-1] for point in points] == [16, 32, 64]


def test_the_page_and_the_summary_say_where_the_gpu_takes_over(tmp_path):
    page = report(tmp_path, crossing_rows())
    (line,) = (line for line in page.summary.splitlines() if "| torch:cuda |" in line)
    here = "quicker from 8,192 elements on; slower up to 2,048"
    copied = "quicker from 32,768 elements on; slower up to 8,192"
    assert line.endswith(f"| torch:cuda | {here} | {copied} |")
    assert "No GPU" not in page.summary
    ((found,),) = (machine["crossovers"] for machine in page.data["machines"])
    assert found["text"] == [here, copied]
    assert found["from"] == [8192, 32768]
    assert found["sizes"] == 3


def test_without_a_gpu_no_figure_of_one_stands_anywhere(tmp_path):
    page = report(tmp_path, [timed("numpy", 1.0), timed("torch:cpu", 0.5)])
    assert [line for line in page.summary.splitlines() if "GPU" in line] == [
        "No GPU was measured here. No crossover between CPU and GPU is known."
    ]
    (machine,) = page.data["machines"]
    assert machine["crossovers"] == machine["devices"] == []


def test_copies_that_were_not_timed_make_no_crossover_with_them():
    rows = [timed("numpy", 1.0), timed("torch:cuda", 0.5, to_device_s=None)]
    ((_, here, copied),) = crossovers(cases_of(*rows))
    assert (here.wins_from, copied.wins_from) == (8 * 32**2, None)
    assert "copies" in copied.text
    (points,) = device_points(cases_of(*rows))
    assert [point.ratio_with_copies for point in points] == [None]
