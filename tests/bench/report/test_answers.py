"""What to use for each operation and size, and how certain that is."""

from __future__ import annotations

import pytest

from tests.support.reports import cases_of
from tests.support.rows import native, timed
from unpool_xp.bench.report.answers import Answer, answers
from unpool_xp.bench.report.ranked import SIZE_CLASSES
from unpool_xp.bench.rows.schema import Row
from unpool_xp.bench.verdicts.bootstrap import Verdict


def answer_of(*rows: Row) -> Answer:
    (answer,) = answers(cases_of(*rows))
    return answer


def test_the_answer_is_the_fastest_over_all_cases_of_a_size():
    small, smaller = {"shape": [1, 8, 32, 32]}, {"shape": [1, 8, 16, 16]}
    answer = answer_of(
        *(timed("numpy", 1.0, **small), timed("dask", 1.5, **small)),
        *(timed("numpy", 1.5, **smaller), timed("dask", 1.4, **smaller)),
    )
    assert str(answer.winner) == "numpy, portable"
    assert (answer.cases, answer.first_in) == (2, 1)
    assert str(answer.runner_up.contender) == "dask, portable"
    assert answer.runner_up.ratio.estimate == pytest.approx((1.5 * 1.4 / 1.5) ** 0.5, rel=0.02)
    assert answer.runner_up.verdict is Verdict.SLOWER


def test_what_lacks_a_case_is_not_the_answer():
    small, large = {"shape": [1, 8, 16, 16]}, {"shape": [1, 8, 32, 32]}
    rows = timed("numpy", 1.0, **small), timed("dask", 0.1, **small), timed("numpy", 1.0, **large)
    answer = answer_of(*rows)
    assert answer.winner.on.label == "numpy"
    assert answer.runner_up is None


def test_sizes_and_dtypes_have_answers_of_their_own():
    found = answers(
        cases_of(
            timed("numpy", 1.0, bytes_moved=SIZE_CLASSES[0][0]),
            timed("dask", 0.9, bytes_moved=SIZE_CLASSES[0][0]),
            timed("dask", 0.5, bytes_moved=SIZE_CLASSES[0][0] + 1, shape=[1, 8, 64, 64]),
            timed("numpy", 0.5, dtype="float16"),
        )
    )
    assert [(a.dtype, a.size_class, a.winner.on.label) for a in found] == [
        ("float32", 0, "dask"),
        ("float32", 1, "dask"),
        ("float16", 1, "numpy"),
    ]


def test_an_answer_from_too_few_samples_is_not_clear():
    answer = answer_of(timed("numpy", 1.0, n=2), timed("dask", 9.0, n=2))
    assert answer.runner_up.verdict is Verdict.UNDECIDED


def test_the_best_portable_stands_beside_a_native_winner():
    answer = answer_of(timed("numpy", 3.0), native("torch:cpu", 1.0, "torch.max_pool2d"))
    assert str(answer.winner) == "torch:cpu, native"
    assert str(answer.portable.contender) == "numpy, portable"
    assert answer.portable.ratio.estimate == pytest.approx(3, rel=0.02)
