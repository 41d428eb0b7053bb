"""Rankings, ties, the portability tax and crossover sizes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bench.rows.test_schema import failed_row, make_row
from tests.bench.verdicts.test_bootstrap import noisy
from unpool_xp.bench.rows.schema import Row
from unpool_xp.bench.verdicts.bootstrap import Verdict
from unpool_xp.bench.verdicts.ranking import crossover, rank, tax


def timed(backend: str, median: float, *, spread: float = 0.01, n: int = 40, **more: Any) -> Row:
    samples = noisy(median, n, spread, seed=sum(map(ord, backend)))
    return make_row(backend=backend, samples_s=samples, **more)


def native(backend: str, median: float, function: str, **more: Any) -> Row:
    return timed(backend, median, implementation="native", function=function, **more)


def test_the_fastest_comes_first_and_failures_last_with_their_reasons():
    rows = [
        failed_row("out of memory", backend="jax:cpu"),
        timed("dask", 3e-3),
        timed("numpy", 1e-3),
        timed("torch:cpu", 2e-3, checked=False),
    ]
    ranked = rank(rows)
    assert [entry.row.backend for entry in ranked] == ["numpy", "dask", "jax:cpu", "torch:cpu"]
    assert [entry.place for entry in ranked] == [1, 2, None, None]
    assert [entry.reason for entry in ranked] == [None, None, "out of memory", "not checked"]
    assert ranked[1].seconds == pytest.approx(3e-3, rel=0.02)
    assert ranked[1].interval.low <= ranked[1].seconds <= ranked[1].interval.high
    assert ranked[1].to_best.estimate == pytest.approx(3, rel=0.02)
    assert ranked[1].verdict is Verdict.SLOWER
    assert ranked[2].seconds is ranked[2].interval is ranked[2].to_best is None


def test_ties_are_called_ties():
    ranked = rank([timed("a", 1.0), timed("b", 1.001), timed("c", 2.0), timed("d", 2.002)])
    assert [entry.place for entry in ranked] == [1, 1, 3, 3]
    assert [entry.tied_with_best for entry in ranked] == [False, True, False, False]
    assert [entry.tied_with_above for entry in ranked] == [False, True, False, True]


def test_what_cannot_be_told_apart_is_a_tie():
    ranked = rank([timed("a", 1.0, n=2), timed("b", 9.0, n=2)])
    assert [entry.verdict for entry in ranked] == [Verdict.SAME, Verdict.UNDECIDED]
    assert ranked[1].tied_with_best


def test_a_chain_of_ties_is_not_one_tie():
    ranked = rank([timed(name, 1 + 0.04 * i) for i, name in enumerate("abcd")])
    assert [entry.tied_with_best for entry in ranked] == [False, True, False, False]
    assert [entry.tied_with_above for entry in ranked] == [False, True, True, True]
    assert [entry.place for entry in ranked] == [1, 1, 3, 3]


def test_copies_count_where_asked_for():
    near = timed("numpy", 2e-3, to_device_s=0.0, from_device_s=0.0)
    far = timed("torch:cuda", 1e-3, to_device_s=2e-3, from_device_s=1e-3)
    unknown = timed("jax:cuda", 1e-3, to_device_s=None)
    assert [e.row.backend for e in rank([near, far])] == ["torch:cuda", "numpy"]
    ranked = rank([near, far, unknown], with_transfer=True)
    assert [e.row.backend for e in ranked] == ["numpy", "torch:cuda", "jax:cuda"]
    assert ranked[1].seconds == pytest.approx(4e-3, rel=0.01)
    assert "not timed" in ranked[2].reason


def test_nothing_to_rank_is_no_error():
    assert rank([]) == []
    assert tax([]) == []
    assert crossover({}) == crossover({5: [failed_row("crash")]}) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"machine": "other-machine"}, "several machines: .*other-machine"),
        ({"shape": [1, 1, 4, 4]}, "2 workloads"),
        ({"run": "another"}, "numpy eager portable .* twice"),
    ],
)
def test_what_must_not_be_compared_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        rank([make_row(), make_row(**fields)])


# --- tax -----------------------------------------------------------------------------------------


def test_the_tax_is_over_the_best_native_of_the_same_backend_and_mode():
    rows = [
        timed("torch:cpu", 3e-3),
        native("torch:cpu", 2e-3, "slow"),
        native("torch:cpu", 1e-3, "fast"),
        native("torch:cpu", 1e-6, "compiled alone", mode="compiled"),
        failed_row("crash", backend="torch:cpu", implementation="native", function="failed"),
        timed("numpy", 1e-3),
        native("jax:cpu", 1e-3, "no portable"),
    ]
    (found,) = tax(rows)
    assert (found.backend, found.mode, found.function) == ("torch:cpu", "eager", "fast")
    assert found.ratio.low <= found.ratio.estimate <= found.ratio.high
    assert found.ratio.estimate == pytest.approx(3, rel=0.02)


# --- crossover -----------------------------------------------------------------------------------


def sizes(times: dict[int, dict[str, float]], **fields: Any) -> dict[int, list[Row]]:
    return {
        size: [timed(name, median, shape=[size], **fields) for name, median in row.items()]
        for size, row in times.items()
    }


def test_the_answer_changes_where_another_is_clearly_faster():
    found = crossover(
        sizes(
            {
                1000: {"gpu": 5.0, "cpu": 50.0},
                10: {"gpu": 5.0, "cpu": 1.0},
                100: {"gpu": 5.0, "cpu": 4.0},
            }
        )
    )
    assert [(c.from_elements, c.winner, c.after_elements) for c in found] == [
        (10, "cpu eager portable", None),
        (1000, "gpu eager portable", 100),
    ]
    assert all(c.tied == () for c in found)


def test_a_lead_within_the_noise_changes_nothing():
    found = crossover(sizes({10: {"a": 1.0, "b": 1.5}, 100: {"a": 1.01, "b": 1.0}}))
    assert [c.winner for c in found] == ["a eager portable"]


def test_a_tie_at_the_start_is_stated():
    (found,) = crossover(sizes({10: {"a": 1.0, "b": 1.001}}))
    assert found.tied == ("b eager portable",)


def test_a_winner_that_fails_hands_over():
    rows = sizes({10: {"a": 1.0, "b": 1.5}, 100: {"b": 2.0}})
    rows[100].append(failed_row("out of memory", backend="a", shape=[100]))
    assert [c.winner for c in crossover(rows)] == ["a eager portable", "b eager portable"]


def test_two_shapes_of_one_size_are_both_looked_at():
    rows = [*sizes({16: {"a": 1.0, "b": 2.0}})[16], timed("b", 1.0, shape=[4, 4])]
    rows.append(timed("a", 2.0, shape=[4, 4]))
    assert [c.winner for c in crossover({16: rows})] == ["a eager portable", "b eager portable"]


def test_several_natives_of_one_label_are_one_answer():
    rows = [native("torch:cpu", 2.0, "f"), native("torch:cpu", 2.001, "g")]
    (found,) = crossover({8192: rows})
    assert found.winner == "torch:cpu eager native"
    assert found.tied == ()
