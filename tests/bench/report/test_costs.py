"""When compiling pays back, and where a GPU takes over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.reports import cases_of, report
from tests.support.rows import native, timed
from unpool_xp.bench.report import costs


@given(compiled=st.integers(1, 50), eager=st.integers(1, 50), first=st.integers(1, 500))
def test_compiling_pays_back_from_the_first_call_that_takes_less_in_all(compiled, eager, first):
    calls = costs.break_even_calls(compiled, eager, first)
    assert (calls is None) == (compiled >= eager)
    if calls is not None:
        assert first + (calls - 1) * compiled < calls * eager
        assert calls == 1 or first + (calls - 2) * compiled >= (calls - 1) * eager


def test_compiled_is_held_against_the_same_function_eager():
    rows = [
        timed("jax:cpu", 3.0),
        timed("jax:cpu", 1.0, mode="compiled", first_call_s=11.0),
        native("jax:cpu", 1.0, "jax.other", mode="compiled"),
        timed("torch:cpu", 0.1),
    ]
    (found,) = costs.compile_break_evens(cases_of(*rows))
    assert found.compiled.row.backend == found.eager.row.backend == "jax:cpu"
    assert found.calls in (5, 6)
    assert found.clear


def test_the_page_and_the_summary_say_where_the_gpu_takes_over(tmp_path):
    rows = []
    for size, gpu in ((16, 2.0), (32, 0.5), (64, 0.1)):
        shape = [1, 8, size, size]
        rows.append(timed("numpy", 1.0, shape=shape))
        rows.append(timed("torch:cuda", gpu, shape=shape, to_device_s=0.4, from_device_s=0.3))
    page = report(tmp_path, rows)
    (line,) = (line for line in page.summary.splitlines() if "| torch:cuda | quicker" in line)
    here = "quicker from 8,192 elements on; slower up to 2,048"
    copied = "quicker from 32,768 elements on; slower up to 8,192"
    assert line.endswith(f"| torch:cuda | {here} | {copied} |")
    assert "No GPU" not in page.summary
    (machine,) = page.data["machines"]
    (points,), (found,) = machine["devices"], machine["crossovers"]
    shapes = [machine["cases"]["shape"][case] for case in points["case"]]
    assert shapes == ["1x8x16x16", "1x8x32x32", "1x8x64x64"]
    assert found["text"] == [here, copied]
    assert found["from"] == [8192, 32768]
    assert found["sizes"] == 3


def test_copies_that_were_not_timed_make_no_crossover_with_them():
    rows = [timed("numpy", 1.0), timed("torch:cuda", 0.5, to_device_s=None)]
    ((_, here, copied),) = costs.crossovers(cases_of(*rows))
    assert (here.wins_from, copied.wins_from) == (8 * 32**2, None)
    assert "copies" in copied.text
    (points,) = costs.device_points(cases_of(*rows))
    assert [point.ratio_with_copies for point in points] == [None]
