"""Who is fastest most often: named with its mode, with ties and open cases counted apart."""

from __future__ import annotations

from tests.support.reports import cases_of
from tests.support.rows import native, timed
from unpool_xp.bench.report.headline import headline
from unpool_xp.bench.rows.schema import Row


def at(size: int, *rows: tuple[str, float], **more: object) -> list[Row]:
    return [timed(name, median, shape=[1, 8, size, size], **more) for name, median in rows]


def test_the_mode_is_part_of_the_name_and_ties_are_counted_apart():
    rows = [
        *at(16, ("jax:cpu", 1.0), mode="compiled"),
        *at(16, ("jax:cpu", 9.0), ("numpy", 2.0)),
        *at(32, ("jax:cpu", 1.0), mode="compiled"),
        *at(32, ("jax:cpu", 9.0), ("numpy", 1.001)),
        *at(64, ("jax:cpu", 9.0), ("numpy", 1.0)),
        *at(128, ("jax:cpu", 1.0), mode="compiled"),
        *at(128, ("numpy", 2.0)),
    ]
    found = headline(cases_of(*rows))
    assert found.text == (
        "jax:cpu compiled is fastest in 2 of 4 cases and tied in 1 more; "
        "numpy is fastest in 1 and tied in 1 more."
    )
    assert found.leaders == ["jax:cpu compiled"]


def test_a_function_of_the_library_s_own_counts_for_it():
    rows = [timed("numpy", 3.0), native("torch:cpu", 1.0, "torch.max_pool2d"), timed("dask", 9.0)]
    assert headline(cases_of(*rows)).text == "torch:cpu is fastest in 1 of 1 case."


def test_a_tie_of_ours_with_the_library_s_own_is_no_tie_between_backends():
    rows = [timed("torch:cpu", 1.0), native("torch:cpu", 1.001, "torch.f"), timed("numpy", 3.0)]
    assert headline(cases_of(*rows)).text == "torch:cpu is fastest in 1 of 1 case."


def test_cases_that_the_samples_cannot_tell_are_nobody_s():
    rows = [*at(16, ("numpy", 1.0), ("dask", 1.4), n=2), *at(32, ("numpy", 1.0), ("dask", 1.4))]
    assert headline(cases_of(*rows)).text == (
        "numpy is fastest in 1 of 2 cases. In 1 case the samples cannot tell."
    )
    assert headline(cases_of(*rows[:2])).text == "In 1 case the samples cannot tell."


def test_those_that_lead_alike_are_named_together():
    rows = [*at(16, ("numpy", 1.0), ("dask", 2.0)), *at(32, ("numpy", 2.0), ("dask", 1.0))]
    assert headline(cases_of(*rows)).text == "dask and numpy are each fastest in 1 of 2 cases."
