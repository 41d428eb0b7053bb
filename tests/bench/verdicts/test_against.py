"""Another machine's rows beside this one's: same case alone, best of each device, least sure."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.support.rows import failed_row, timed
from unpool_xp.bench.rows.schema import Row
from unpool_xp.bench.verdicts.against import set_beside
from unpool_xp.bench.verdicts.bootstrap import Verdict

HERE = [timed("numpy", 1e-3), timed("torch:cpu", 2e-3)]


def there(backend: str, seconds: float, **fields: object) -> Row:
    return timed(backend, seconds, machine="other", **fields)


@pytest.mark.parametrize(
    ("seconds", "verdict", "text"),
    [
        (1e-4, Verdict.FASTER, "10.0x as fast as here"),
        (1e-3, Verdict.SAME, "as fast as here"),
        (4e-3, Verdict.SLOWER, "takes 4.00x as long as here"),
    ],
)
def test_the_best_there_is_compared_with_the_best_here(
    seconds: float, verdict: Verdict, text: str
) -> None:
    (other,) = set_beside({"case": HERE}, [there("numpy", seconds), there("jax:cpu", 1.0)])
    beside = other.cases[0].best()
    assert beside is not None
    assert (beside.there.name, beside.verdict) == ("numpy", verdict)
    assert beside.text == text
    assert other.missing == []


def test_few_samples_say_so() -> None:
    row = replace(there("numpy", 5e-4), samples_s=[5e-4], process=[0])
    (other,) = set_beside({"case": HERE}, [row])
    beside = other.cases[0].best()
    assert beside is not None
    assert beside.verdict is Verdict.UNDECIDED
    assert beside.text.endswith("as fast as here, not enough samples to be sure")


def test_the_copies_count_on_both_sides_and_choose_another_gpu() -> None:
    rows = [
        there("torch:cuda", 1e-5, from_device_s=5e-3),
        there("cupy:cuda", 2e-5, from_device_s=1e-6),
        there("numpy", 3e-4),
    ]
    (other,) = set_beside({"case": HERE}, rows)
    names = {kind: beside.there.name for kind, beside in other.cases[0].kinds.items()}
    assert names == {
        "its GPU": "torch:cuda",
        "its GPU with the copies there and back, here too": "cupy:cuda",
        "its CPU": "numpy",
    }


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([there("numpy", 1.0, dtype="float16")], "no row of it there, at no size"),
        ([there("numpy", 1.0, pass_="backward")], "no row of it there, at no size"),
        ([there("numpy", 1.0, kernel=[3, 3])], "no row of it there, at no size"),
        ([there("numpy", 1.0, shape=[8, 16, 32])], "no row of it there, at no size"),
        (
            [there("numpy", 1.0, shape=[1, 1, n, n]) for n in (8, 64, 640)],
            "no row of it there; the nearest in size is max_pool-1x1x64x64-k2x2-s2x2-float32",
        ),
        (
            [failed_row("crashed\nafter 1 s", machine="other")],
            "no time there, such as numpy: crashed",
        ),
        ([failed_row("", machine="other")], "no time there, such as numpy: not checked"),
    ],
)
def test_rows_that_are_missing_are_said_to_be(rows: list[Row], text: str) -> None:
    (other,) = set_beside({"case": HERE}, rows)
    assert [*other.lines()] == [text]
    assert [case.name for case in other.missing] == ["case"]


def test_each_machine_and_each_case_is_named() -> None:
    larger = [timed("numpy", 2e-3, shape=[1, 8, 64, 64])]
    halves = {name: [timed("numpy", 1e-3, dtype=name)] for name in ("float16", "float64")}
    failed = [failed_row("crash", shape=[1, 8, 4, 4])]
    parts = {"whole": HERE, "large": larger, **halves, "failed": failed}
    ran = [there("torch:cuda", 1e-5), there("numpy", 1e-2), there("numpy", 1.0, shape=[1, 8, 4, 4])]
    mine, other = set_beside(parts, [HERE[0], *larger, *ran])
    assert (mine.title, other.title) == ("cpu-2core-000000 (this machine, earlier)", "other")
    assert [*mine.lines()][:2] == [
        "whole: on its CPU: numpy, 998 µs per call, as fast as here",
        "large: numpy, 2.00 ms per call, as fast as here",
    ]
    gpu, copied, cpu, *lacks = other.lines()
    assert gpu.startswith("whole: on its GPU: torch:cuda, ")
    assert copied.startswith("whole: on its GPU with the copies there and back, here too: ")
    assert cpu.startswith("whole: on its CPU: numpy, ")
    nearest = "no row of it there; the nearest in size is max_pool-1x8x32x32-k2x2-s2x2-float32"
    assert lacks == [
        f"large: {nearest}",
        "float16; float64: no row of it there, at no size",
        "failed: numpy, 998 ms per call there; no time here",
    ]
    assert [case.name for case in other.missing] == ["large", "float16", "float64"]


def test_of_two_rows_of_a_case_the_newest_counts() -> None:
    newer = replace(there("numpy", 1e-5), time="2025-02-01T00:00:00+00:00", run="newer")
    (other,) = set_beside({"case": HERE}, [newer, there("numpy", 9e-3)])
    (best,) = other.cases[0].there.timed
    assert best.row.run == "newer"
