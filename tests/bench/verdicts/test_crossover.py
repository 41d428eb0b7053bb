"""From which size on another device wins: brackets, ties, relapses, failures, and the words."""

from __future__ import annotations

import random
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.rows import failed_row, native, timed
from tests.support.synthetic_rows import BACKENDS, synthetic_row
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.rows.schema import Row
from unpool_xp.bench.verdicts.bootstrap import Verdict
from unpool_xp.bench.verdicts.crossover import (
    DeviceCrossover,
    WinnerChange,
    device_crossovers,
    is_gpu,
    winner_changes,
)
from unpool_xp.bench.verdicts.ranking import rank

SIDES = (16, 32, 64, 128, 256)
SIZES = tuple(8 * side**2 for side in SIDES)  # 2,048 to 524,288 elements
QUICK, SLOW, TIE = 0.5, 2.0, 1.001  # times the CPU's


def at(side: int, backend: str, seconds: float, **more: Any) -> Row:
    return timed(backend, seconds, shape=[1, 8, side, side], **more)


def beside(*times: float | None, **more: Any) -> list[Row]:
    """Return a CPU that takes a second at each size, and a GPU; None is a size it lacks."""
    rows = [at(side, "numpy", 1.0) for side, _ in zip(SIDES, times, strict=False)]
    gpu = zip(SIDES, times, strict=False)
    return rows + [at(side, "torch:cuda", t, **more) for side, t in gpu if t is not None]


def only(rows: list[Row], *, with_transfer: bool = False) -> DeviceCrossover:
    (found,) = device_crossovers(rows, with_transfer=with_transfer)
    assert found.with_transfer is with_transfer
    return found


# --- the fastest changes ------------------------------------------------------------------------


def changes(*times: tuple[int, dict[str, float]]) -> list[WinnerChange]:
    """Return the changes among backends that take so long at so many elements."""
    return winner_changes(
        rank([timed(name, median, shape=[size]) for name, median in taken.items()])
        for size, taken in times
    )


def test_the_answer_changes_where_another_is_clearly_faster():
    cpu_first = {"gpu": 5.0, "cpu": 1.0}
    found = changes(
        (10, cpu_first), (100, cpu_first | {"cpu": 4.0}), (1000, cpu_first | {"cpu": 50.0})
    )
    assert [change.winner for change in found] == ["cpu", "gpu"]
    assert [change.row.shape for change in found] == [[10], [1000]]
    assert found[0].before is None
    assert found[1].before is not None
    assert found[1].before.shape == [100]
    assert all(change.tied == () for change in found)


def test_a_lead_within_the_noise_changes_nothing():
    (found,) = changes((10, {"a": 1.0, "b": 1.5}), (100, {"a": 1.01, "b": 1.0}))
    assert found.winner == "a"


def test_a_tie_at_the_start_is_stated():
    (found,) = changes((10, {"a": 1.0, "b": 1.001}))
    assert found.tied == ("b",)


def test_a_winner_that_fails_hands_over():
    rows = [timed("b", 2.0, shape=[100]), failed_row("out of memory", backend="a", shape=[100])]
    before = [timed("a", 1.0, shape=[10]), timed("b", 1.5, shape=[10])]
    found = winner_changes(map(rank, (before, rows)))
    assert [change.winner for change in found] == ["a", "b"]
    assert winner_changes([]) == winner_changes([rank([failed_row("crash")])]) == []


def test_rows_of_one_name_are_one_answer():
    rows = [native("torch:cpu", 2.0, "f"), native("torch:cpu", 2.001, "g"), timed("torch:cpu", 2.0)]
    (found,) = winner_changes([rank(rows[:2])])
    assert (found.winner, found.tied) == ("torch:cpu own f", ("torch:cpu own g",))
    (found,) = winner_changes([rank(rows)], name=lambda row: row.backend)
    assert (found.winner, found.tied) == ("torch:cpu", ())


# --- the bracket ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signs", "text"),
    [
        ("--++", "quicker from 32,768 elements on; slower up to 8,192"),
        ("-=+", "quicker from 32,768 elements on; slower up to 2,048, tied at 8,192"),
        (
            "-+-++",
            "quicker from 131,072 elements on; by turns below: "
            "slower at 2,048, quicker at 8,192, slower at 32,768",
        ),
        ("++-", "quicker from 2,048 to 8,192 elements; slower at 32,768"),
        (
            "+-+-",
            "quicker by turns; quicker at 2,048, slower at 8,192, quicker at 32,768, slower "
            "at 131,072",
        ),
        ("++", "quicker from the smallest size measured on (2,048 elements)"),
        ("---", "never quicker up to 32,768 elements"),
        ("-=", "never quicker up to 8,192 elements; slower up to 2,048, tied at 8,192"),
        ("+", "quicker at 2,048 elements, the only size"),
        ("-", "slower at 2,048 elements, the only size"),
        ("=", "tied at 2,048 elements, the only size"),
        ("-?+", "quicker from 32,768 elements on; slower up to 2,048, undecided at 8,192"),
        ("??", "not known to be quicker up to 8,192 elements"),
        ("-+x", "quicker at 8,192 elements; slower up to 2,048, failed at 32,768"),
        ("xx", "failed at every size up to 8,192 elements"),
    ],
)
def test_wins_and_losses_give_the_bracket_and_the_words(signs, text):
    rows = beside(*({"+": QUICK, "-": SLOW, "=": TIE}.get(sign) for sign in signs))
    for side, sign in zip(SIDES, signs, strict=False):
        if sign == "?":
            rows.append(at(side, "torch:cuda", QUICK, n=2))
        if sign == "x":
            rows.append(failed_row("crash", backend="torch:cuda", shape=[1, 8, side, side]))
    found = only(rows)
    assert found.text == text
    assert found.undecided == [SIZES[place] for place, sign in enumerate(signs) if sign == "?"]
    assert found.loses_at == (SIZES[signs.rindex("-")] if "-" in signs else None)
    assert found.wins_from == (SIZES[len(signs.rstrip("+"))] if signs.endswith("+") else None)
    assert found.alternates is ("+" in signs.rstrip("+"))


def test_copies_move_it():
    rows = beside(SLOW, 0.5, 0.1, to_device_s=0.4, from_device_s=0.3)
    assert only(rows).wins_from == SIZES[1]
    assert only(rows, with_transfer=True).wins_from == SIZES[2]


@pytest.mark.parametrize("copy", ["to_device_s", "from_device_s"])
def test_each_copy_counts(copy):
    rows = beside(0.5, 0.5, **{copy: 1.0})
    assert only(rows).wins_from == SIZES[0]
    assert only(rows, with_transfer=True).text == "never quicker up to 8,192 elements"


def test_a_library_on_the_cpu_may_need_its_own_copies():
    rows = [at(16, "jax:cpu", 1.0, to_device_s=5.0), at(16, "torch:cuda", 2.0)]
    assert only(rows).wins_from is None
    assert only(rows, with_transfer=True).wins_from == SIZES[0]


def test_a_drift_of_both_is_no_win():
    drift = [1.1] * 80 + [0.75] * 120  # in turns with the other, so of both
    rows = [at(16, "numpy", 1.0), at(16, "torch:cuda", 0.9)]
    fields = {"process": [number // 40 for number in range(200)]}
    rows = [replace(row, samples_s=[row.samples_s[0] * d for d in drift], **fields) for row in rows]
    assert only(rows).verdicts == {SIZES[0]: Verdict.UNDECIDED}


# --- what is missing -----------------------------------------------------------------------------


def test_a_size_that_one_of_them_lacks_is_left_out():
    found = only(beside(SLOW, None, QUICK, None))
    assert list(found.verdicts) == [SIZES[0], SIZES[2]]
    assert found.wins_from == SIZES[2]
    rows = [row for row in beside(SLOW, SLOW, QUICK) if row.shape[-1] != SIDES[2]]
    assert only([*rows, at(SIDES[2], "torch:cuda", QUICK)]).wins_from is None


def test_a_size_at_which_the_result_is_wrong_is_no_win():
    unseen = at(SIDES[2], "torch:cuda", 0.1, checked=False)
    assert only([*beside(SLOW, QUICK, None), unseen]).wins_from is None


def test_a_cpu_that_failed_is_no_win():
    failure = failed_row("out of memory", shape=[1, 8, SIDES[1], SIDES[1]])
    rows = [at(16, "numpy", 1.0), at(16, "torch:cuda", SLOW), failure, at(32, "torch:cuda", QUICK)]
    assert list(only(rows).verdicts) == [SIZES[0]]


def test_copies_that_were_not_timed_say_nothing():
    found = only(beside(QUICK, QUICK, to_device_s=None), with_transfer=True)
    assert (found.wins_from, found.loses_at, found.verdicts) == (None, None, {})
    assert found.text == "no size has times of both, copies included"


def test_without_a_gpu_there_is_nothing_to_find():
    assert device_crossovers([at(16, "numpy", 1.0), at(16, "dask", 1.0)]) == []
    (alone,) = device_crossovers([at(16, "torch:cuda", 1.0)])
    assert (alone.wins_from, alone.text) == (None, "no size has times of both")


# --- which rows ----------------------------------------------------------------------------------


def test_the_best_of_each_side_counts_whatever_its_mode_and_function():
    rows = beside(QUICK, QUICK)
    assert only(rows).wins_from == SIZES[0]
    better = native("torch:cpu", 0.2, "torch.max_pool2d", shape=[1, 8, 16, 16])
    assert only([*rows, better]).wins_from == SIZES[1]
    best = at(16, "torch:cuda", 0.1, mode="compiled")
    assert only([*rows, better, best]).wins_from == SIZES[0]


def test_each_device_is_held_against_the_cpu_alone():
    rows = [*beside(SLOW, QUICK), *(at(side, "cupy:cuda", 0.01) for side in SIDES[:2])]
    assert [(f.label, f.wins_from) for f in device_crossovers(rows)] == [
        ("cupy:cuda", SIZES[0]),
        ("torch:cuda", SIZES[1]),
    ]


def test_shapes_of_as_many_elements_that_disagree_leave_the_size_open():
    rows = beside(SLOW, QUICK)
    wide = [timed(name, t, shape=[2, 4, 32, 32]) for name, t in (("numpy", 1), ("torch:cuda", 2))]
    assert only([*rows, *wide]).verdicts == {
        SIZES[0]: Verdict.SLOWER,
        SIZES[1]: Verdict.UNDECIDED,
    }


@pytest.mark.parametrize("more", [{"machine": "two"}, {"dtype": "float16"}, {"kernel": [3, 3]}])
def test_only_one_family_on_one_machine_is_held_together(more):
    with pytest.raises(ValueError, match=r"several machines|2 families"):
        device_crossovers([at(16, "numpy", 1.0), at(16, "torch:cuda", 1.0, **more)])


def test_which_labels_are_on_another_device():
    labels = ("numpy", "dask", "torch:cpu", "jax:cuda", "x:mps")
    assert list(filter(is_gpu, labels)) == ["jax:cuda", "x:mps"]


def test_an_overhead_and_a_rate_give_the_crossover_that_they_must():
    """The made-up numbers: 4e-5 s and 600 GB/s against 8e-6 s and 4 GB/s cross at 129 kB."""
    chance = random.Random(1)
    cpu, gpu = (next(h for h in BACKENDS if h.label == name) for name in ("numpy", "torch:cuda"))
    cases = [Case("nearest_unpool", (1, 4, side, side), scale=2) for side in SIDES[:-1]]
    rows = [synthetic_row(c, how, False, 20, chance) for c in cases for how in (cpu, gpu)]
    moved = {4 * side**2: case.bytes_moved for side, case in zip(SIDES, cases, strict=False)}
    here, copied = (only(rows, with_transfer=copies) for copies in (False, True))
    assert here.loses_at is not None
    assert here.wins_from is not None
    assert moved[here.loses_at] < 129e3 < moved[here.wins_from]
    assert copied.wins_from is not None
    assert copied.wins_from > here.wins_from
