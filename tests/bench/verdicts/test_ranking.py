"""Rankings, ties and the portability tax."""

from __future__ import annotations

import pytest

from tests.support.rows import failed_row, make_row, native, timed
from unpool_xp.bench.cases.case import BackendMode
from unpool_xp.bench.verdicts.bootstrap import Verdict
from unpool_xp.bench.verdicts.ranking import Ranking, rank, tax


def test_the_fastest_comes_first_and_failures_last_with_their_reasons():
    rows = [
        failed_row("out of memory", backend="jax:cpu"),
        timed("dask", 3e-3),
        timed("numpy", 1e-3),
        timed("torch:cpu", 2e-3, checked=False),
    ]
    ranked = rank(rows)
    first, second = ranked.timed
    assert ranked.best is first
    assert [first.row.backend, second.row.backend] == ["numpy", "dask"]
    assert [first.place, second.place] == [1, 2]
    assert [row.backend for row, _ in ranked.failed] == ["jax:cpu", "torch:cpu"]
    assert [reason for _, reason in ranked.failed] == ["out of memory", "not checked"]
    assert second.seconds == pytest.approx(3e-3, rel=0.02)
    assert second.interval.low <= second.seconds <= second.interval.high
    assert second.to_best.estimate == pytest.approx(3, rel=0.02)
    assert second.verdict is Verdict.SLOWER


def test_as_fast_shares_a_place():
    ranked = rank([timed("a", 1.0), timed("b", 1.001), timed("c", 2.0), timed("d", 2.002)]).timed
    assert [entry.place for entry in ranked] == [1, 1, 3, 3]
    assert [entry.is_fastest for entry in ranked] == [True, True, False, False]
    shares = [entry.share_best for entry in ranked]
    assert sum(shares) == pytest.approx(1)
    assert min(shares[:2]) > 0.05
    assert shares[2:] == [0, 0]


def test_what_cannot_be_told_apart_shares_no_place():
    ranked = rank([timed("a", 1.0, n=1), timed("b", 9.0, n=1)]).timed
    assert [entry.verdict for entry in ranked] == [Verdict.SAME, Verdict.UNDECIDED]
    assert [entry.place for entry in ranked] == [1, 2]
    assert [entry.needed for entry in ranked] == [None, 5]


def test_a_chain_of_ties_is_not_one_tie():
    ranked = rank([timed(name, 1 + 0.04 * i) for i, name in enumerate("abcd")]).timed
    assert [entry.place for entry in ranked] == [1, 1, 3, 3]


def test_own_functions_are_ranked_beside_the_portable():
    rows = [timed("numpy", 2.0), timed("jax:cpu", 3.0, mode="compiled")]
    ranked = rank([*rows, native("torch:cpu", 1.0, "torch.max_pool2d")])
    assert [entry.name for entry in ranked.timed] == [
        "torch:cpu own max_pool2d",
        "numpy",
        "jax:cpu compiled",
    ]
    assert ranked.best is ranked.timed[0]
    assert ranked.best_portable is ranked.timed[1]
    assert rank([native("numpy", 1.0, "f")]).best_portable is None


def test_copies_count_where_asked_for():
    near = timed("numpy", 2e-3, to_device_s=0.0, from_device_s=0.0)
    far = timed("torch:cuda", 1e-3, to_device_s=2e-3, from_device_s=1e-3)
    unknown = timed("jax:cuda", 1e-3, to_device_s=None)
    assert [e.row.backend for e in rank([near, far]).timed] == ["torch:cuda", "numpy"]
    ranked = rank([near, far, unknown], with_transfer=True)
    assert [e.row.backend for e in ranked.timed] == ["numpy", "torch:cuda"]
    assert ranked.timed[1].seconds == pytest.approx(4e-3, rel=0.01)
    ((row, reason),) = ranked.failed
    assert row is unknown
    assert "not timed" in reason


def test_nothing_to_rank_is_no_error():
    assert rank([]) == Ranking([], [])
    assert tax([]) == []


def test_a_number_of_threads_is_another_contender():
    rows = [
        *(timed("numpy", 1 / number, threads_asked=number) for number in (1, 4)),
        *(native("numpy", 2 / number, "own", threads_asked=number) for number in (1, 4)),
    ]
    assert [entry.row.threads_asked for entry in rank(rows).timed] == [4, 4, 1, 1]
    assert {entry.backend_mode.threads: entry.ratio.estimate for entry in tax(rows)} == (
        pytest.approx({1: 0.5, 4: 0.5})
    )
    with pytest.raises(ValueError, match="numpy 4 threads twice"):
        rank([*rows, rows[1]])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"machine": "other-machine"}, "several machines: .*other-machine"),
        ({"shape": [1, 1, 4, 4]}, "2 workloads"),
        ({"run": "another"}, "numpy twice"),
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
    assert (found.backend_mode, found.function) == (BackendMode("torch:cpu"), "fast")
    assert found.ratio.low <= found.ratio.estimate <= found.ratio.high
    assert found.ratio.estimate == pytest.approx(3, rel=0.02)
