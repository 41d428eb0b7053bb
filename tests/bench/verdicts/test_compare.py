"""Base and head, case by case: verdicts, notes, exit codes, and what the command prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.command import run
from tests.support.rows import failed_row, make_row, write
from unpool_xp.bench.rows.names import name_of_case
from unpool_xp.bench.rows.schema import Row
from unpool_xp.bench.terminal import comparison
from unpool_xp.bench.verdicts.bootstrap import Verdict
from unpool_xp.bench.verdicts.compare import Comparison, compare
from unpool_xp.bench.verdicts.thresholds import Thresholds

NAME = "max_pool-1x8x32x32-k2x2-s2x2-float32"


def timed(median: float, *, n: int = 24, spread: float = 0.01, **fields: Any) -> Row:
    """Return a row with samples about this median."""
    noise = np.random.default_rng(n).standard_normal(n)
    return make_row(samples_s=(median * np.exp(spread * noise)).tolist(), **fields)


def one(found: Comparison) -> Any:
    (entry,) = found.entries
    return entry


def test_rows_are_matched_by_the_threads_that_were_chosen_alone():
    base = [timed(1.0, threads=2), timed(4.0, threads=1, threads_asked=1)]
    head = [timed(1.0, n=25, threads=8), timed(3.0, n=25, threads=4, threads_asked=4)]
    found = compare(base, head)
    assert [entry.outcome for entry in found.entries] == ["same", "only base", "only head"]
    assert "numpy: threads 2 in base, 8 in head" in found.notes
    assert comparison.measured_with(found.entries[1]) == "numpy 1 thread"


# --- verdicts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "head", "outcome", "code"),
    [
        (timed(1.0), timed(2.0), "slower", 1),
        (timed(2.0), timed(1.0), "faster", 0),
        (timed(1.0), timed(1.0, n=25), "same", 0),
        (timed(1.0, spread=1.0), timed(1.3, n=25, spread=1.0), "undecided", 2),
        (timed(1.0, n=1), timed(2.0, n=1), "undecided", 2),
        (timed(1.0, n=4), timed(9.0, n=4), "slower", 1),  # the gap says enough
        (timed(1.0), failed_row("crash"), "broken", 1),
        (failed_row("crash"), timed(1.0), "mended", 2),
        (failed_row("crash"), failed_row("crash"), "failed", 2),
        (timed(1.0), timed(1.0, backend="dask"), "only base", 2),
        (timed(1.0, operation="roll"), timed(2.0, operation="roll"), "slower", 1),  # no known case
    ],
)
def test_each_outcome_has_its_exit_code(base: Row, head: Row, outcome: str, code: int) -> None:
    found = compare([base], [head])
    assert found.entries[0].outcome == outcome
    assert found.counts[outcome] == 1
    assert found.exit_code == code


def test_the_ratio_is_head_over_base() -> None:
    entry = one(compare([timed(1.0)], [timed(1.5)]))
    assert entry.ratio.low < 1.5 < entry.ratio.high
    assert entry.ratio.estimate == pytest.approx(1.5, rel=0.02)
    assert entry.verdict is Verdict.SLOWER
    assert (entry.name, entry.row.backend) == (NAME, "numpy")
    assert entry.noise < 0.05
    assert entry.threshold == 0.05


def test_the_worst_is_listed_first_and_decides() -> None:
    ratios = {"numpy": 1.0, "dask": 1.5, "jax:cpu": 3.0, "torch:cpu": 0.5}
    base = [timed(1.0, backend=label) for label in ratios]
    head = [timed(factor, backend=label) for label, factor in ratios.items()]
    found = compare(base, head)
    labels = [entry.row.backend for entry in found.entries]
    assert labels == ["jax:cpu", "dask", "torch:cpu", "numpy"]
    assert found.exit_code == 1
    assert found.geometric_mean == pytest.approx(2.25 ** (1 / 4), rel=0.02)
    crash = failed_row("crash", backend="torch:cpu")
    found = compare(base, [*head[:-1], crash])
    assert [entry.outcome for entry in found.entries] == ["broken", "slower", "slower", "same"]


def test_the_newest_row_of_a_case_counts_even_if_it_failed() -> None:
    old, new = "2025-01-01T00:00:00+00:00", "2025-02-01T00:00:00+00:00"
    head = [timed(2.0, time=new, run="b"), timed(1.0, time=old, run="a")]
    assert one(compare([timed(1.0)], head)).outcome == "slower"
    assert one(compare([timed(1.0)], [failed_row("x", time=new), head[1]])).outcome == "broken"


def test_why_a_case_is_undecided_is_said() -> None:
    base, single = timed(1.0), timed(2.0, n=1)
    assert one(compare([base], [single])).note == "one number in head"
    for of, option in (("asv-0123", "--record-samples"), ("pytest-01", "--benchmark-save-data")):
        assert option in one(compare([timed(2.0, n=1, run=of)], [base])).note
    assert one(compare([timed(1.0, n=2)], [base])).note == "2 samples in base"
    drift = [1.0] * 12 + [1.5] * 12
    noisy = one(
        compare([make_row(samples_s=drift)], [make_row(samples_s=[1.2 * s for s in drift])])
    )
    assert (noisy.outcome, noisy.noise, noisy.note) == ("undecided", 0.5, "within the noise")
    wide = compare([timed(1.0, spread=0.3)], [timed(1.0, n=25, spread=0.3)])
    assert one(wide).note == "the interval is too wide"
    broken = compare([base], [failed_row("MemoryError: too large")])
    assert one(broken).note == "no time in head: MemoryError: too large"


# --- the libraries' own functions are the control ---------------------------------------

SHAPES = [[1, 8, 32, side] for side in (32, 40, 48, 56, 64, 72, 80, 88)]


def sweep(
    label: str, *, ours: float = 1.0, natives: float | None = 1.0, **fields: Any
) -> list[Row]:
    """Return rows of eight cases, ours and the library's own, which took so many seconds."""
    known = {"backend": label, **fields}
    rows = [timed(ours, n=20 + len(label), shape=shape, **known) for shape in SHAPES]
    if natives is not None:
        own = {**known, "implementation": "native", "function": "its.own"}
        rows += [timed(natives, n=19 + len(label), shape=shape, **own) for shape in SHAPES]
    return rows


def outcomes(found: Comparison, label: str) -> set[str]:
    return {e.outcome for e in found.entries if e.row.backend == label}


@pytest.mark.parametrize("moved", [1.4, 1 / 1.4])
def test_what_moved_as_the_natives_of_its_library_did_is_laid_to_the_machine(moved: float) -> None:
    base = [*sweep("torch:cpu"), *sweep("jax:cpu"), *sweep("dask", natives=None)]
    head = [
        *sweep("torch:cpu", ours=moved, natives=moved),
        *sweep("jax:cpu", ours=moved),
        *sweep("dask", natives=None),
    ]
    found = compare(base, head)
    assert outcomes(found, "torch:cpu") == {"the machine"}
    changed = "slower" if moved > 1 else "faster"
    assert outcomes(found, "jax:cpu") == {changed, "same"}  # its natives are the same
    assert found.counts[changed] == len(SHAPES)
    assert outcomes(found, "dask") == {"same"}
    entry = next(e for e in found.entries if e.outcome == "the machine")
    assert entry.drift is not None
    assert entry.drift.ratio == pytest.approx(moved, rel=0.02)
    told = comparison.comparison_as_json(found)["entries"]
    assert {e["machine"]["natives"] for e in told if e["outcome"] == "the machine"} <= {1, 8}


def test_a_library_without_natives_has_those_of_all_as_its_control() -> None:
    base = [*sweep("torch:cpu"), *sweep("dask", natives=None)]
    head = [*sweep("torch:cpu", ours=1.4, natives=1.4), *sweep("dask", ours=1.4, natives=None)]
    found = compare(base, head)
    assert found.counts["the machine"] == len(found.entries)
    assert found.exit_code == 0
    assert any("own functions of all libraries took 1.4" in str(e.note) for e in found.entries)
    head[-1] = timed(4.0, shape=SHAPES[-1], backend="dask")
    assert compare(base, head).counts["slower"] == compare(base, head).exit_code == 1


def test_two_sweeps_of_one_commit_on_a_machine_that_drifts_are_never_slower() -> None:
    generator = np.random.default_rng(3)
    base, head = [], []
    for label in ("numpy", "torch:cpu", "jax:cpu"):
        for rows in (base, head):
            drift = np.exp(np.cumsum(generator.normal(0, 0.15, len(SHAPES))))
            for shape, slow in zip(SHAPES, drift.tolist(), strict=True):
                both = {"shape": shape, "backend": label}
                own = {"implementation": "native", "function": "its.own"}
                luck = np.exp(generator.normal(0, 0.02, 2)).tolist()
                rows += [timed(slow * luck[0], **both), timed(slow * luck[1], **both, **own)]
    found = compare(base, head)
    assert found.counts["the machine"] > 10
    assert found.counts["slower"] == found.counts["faster"] == 0
    assert found.exit_code == 0


def test_natives_of_another_version_are_no_control() -> None:
    head = sweep("torch:cpu", ours=1.4, natives=1.4, backend_version="2.1")
    found = compare(sweep("torch:cpu"), head)
    assert found.counts["slower"] == len(found.entries)
    head = sweep("torch:cpu", natives=1.4, backend_version="2.0+cpu")
    found = compare(sweep("torch:cpu"), head)
    assert found.counts["the machine"] == len(SHAPES)  # the natives
    # Ours are as fast as before, on a machine that is not.
    assert found.counts["undecided"] == len(SHAPES)


# --- cases that are lost, and what is left undecided ---------------------------------------


def test_lost_cases_count_where_that_is_asked_for_or_most_are_lost() -> None:
    base = sweep("numpy", natives=None)
    few, many = base[:-1], base[:3]
    assert compare(base, few).exit_code == 0
    assert compare(base, few, strict=True).exit_code == 1
    assert comparison.headline(compare(base, few, strict=True)).startswith("cases are lost")
    assert compare(base, base, strict=True).exit_code == 0
    assert compare(base, many).exit_code == 2
    assert "most cases of base are missing" in comparison.headline(compare(base, many))
    slower = [timed(2.0, shape=SHAPES[0])]
    assert compare(base, slower).exit_code == 1


def test_nothing_is_told_where_most_is_undecided() -> None:
    base = sweep("numpy", natives=None)
    single = [timed(1.0, n=1, shape=row.shape) for row in base]
    assert compare(base, [*base[:4], *single[4:]]).exit_code == 0
    found = compare(base, [*base[:3], *single[3:]])
    assert found.exit_code == 2
    assert comparison.headline(found).startswith("most is undecided")


# --- machines and notes --------------------------------------------------------------------------


def test_times_of_two_machines_are_not_compared() -> None:
    base, head = timed(1.0, machine="one"), timed(2.0, machine="two")
    found = compare([base], [head])
    assert (found.entries, found.exit_code) == ([], 2)
    (note,) = found.notes
    assert "base was measured on one, head on two" in note
    assert "--across-machines" in note


def test_times_of_two_machines_are_compared_where_that_is_asked_for() -> None:
    base = [timed(1.0, machine="one"), timed(8.0, machine="old", time="2020-01-01")]
    found = compare(base, [timed(2.0, machine="two")], across_machines=True)
    assert one(found).ratio.estimate == pytest.approx(2.0, rel=0.05)
    assert "DIFFERENT MACHINES: base is of old, one, head of two" in found.notes[0]


@pytest.mark.parametrize("across", [False, True])
def test_only_machines_that_both_have_are_compared(across: bool) -> None:
    base = [timed(1.0), timed(1.0, machine="only-base")]
    head = [timed(2.0), timed(9.0, machine="only-head")]
    found = compare(base, head, across_machines=across)
    assert one(found).ratio.estimate == pytest.approx(2.0, rel=0.05)
    assert [note for note in found.notes if "machine" in note] == [
        "left out, as only base has rows of it: machine only-base",
        "left out, as only head has rows of it: machine only-head",
    ]


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({}, None),
        ({"backend_version": "2.1"}, "numpy: version 2.0 in base, 2.1 in head"),
        ({"threads": 4}, "numpy: threads 1 in base, 4 in head"),
        ({"device": "other"}, "numpy: device cpu in base, other in head"),
        ({"copy_gb_s": 10.0}, "numpy: a plain copy reached 20 GB/s in base and 10 in head"),
        ({"copy_gb_s": 19.0}, None),
        ({"copy_gb_s": 10.0, "process": [0] * 40}, None),  # of its own size, base of 256 MiB
        ({"backend_version": ""}, None),  # not known
        ({"backend_version": "2.0+cpu"}, None),
        ({"threads": None}, None),
        ({"commit": None}, None),
        ({"commit": "0123456789abcdef"}, "base and head are of the same commit"),
        ({"commit": "f" * 40 + "+dirty"}, "head has rows of a checkout with changes"),
        ({"run": "asv-0123"}, "base was measured with unpool-xp, head with asv"),
        ({"run": "pytest-0123"}, "base was measured with unpool-xp, head with pytest-benchmark"),
    ],
)
def test_what_else_differs_is_noted(fields: dict[str, Any], note: str | None) -> None:
    found = compare([timed(1.0)], [timed(1.0, n=25, **{"commit": "f" * 40, **fields})])
    assert len(found.notes) == (note is not None)
    assert all(said.startswith(str(note)) for said in found.notes)


def test_rows_of_several_commits_are_noted() -> None:
    head = [timed(1.0, commit="a" * 40), timed(1.0, backend="dask", commit="b" * 40)]
    found = compare([timed(1.0), timed(1.0, backend="dask")], head)
    assert found.notes == ["head has rows of 2 commits: aaaaaaaa, bbbbbbbb"]


def test_the_very_same_rows_and_a_side_without_any_are_noted() -> None:
    rows = [timed(1.0)]
    assert compare(rows, rows).notes == ["base and head are the very same rows"]
    assert compare([], rows).notes == ["base has no rows"]
    assert compare(rows, []).notes == ["head has no rows"]
    assert compare(rows, []).exit_code == compare([], []).exit_code == 2


# --- thresholds ----------------------------------------------------------------------------------


def test_thresholds_are_read_and_the_last_pattern_that_fits_counts(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(
        "[tool.unpool-xp.gate]\nthreshold = 0.2\nother = 1\n"
        '[tool.unpool-xp.gate.thresholds]\n"max_pool-*" = 0.5\n"* numpy eager" = 1\n'
    )
    found = Thresholds.read(path)
    assert found.threshold_for("avg_pool-x", "dask", "eager") == 0.2
    assert found.threshold_for("max_pool-x", "dask", "eager") == 0.5
    assert found.threshold_for("max_pool-x", "numpy", "eager") == 1
    assert one(compare([timed(1.0)], [timed(1.8)], thresholds=found)).outcome == "same"
    dask = [timed(t, backend="dask") for t in (1.0, 1.8)]
    assert one(compare(dask[:1], dask[1:], thresholds=found)).outcome == "slower"
    path.write_text("[tool.other]\n")
    assert Thresholds.read(path) == Thresholds()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.unpool-xp.gate]\nthreshold = 0", "'threshold' = 0 must be a number above 0"),
        ("[tool.unpool-xp.gate]\nthreshold = true", "'threshold' = True"),
        ("[tool.unpool-xp.gate]\nthreshold = nan", "'threshold' = nan"),
        ("[tool.unpool-xp.gate]\nthresholds = 1", "thresholds = 1 must be a table"),
        ("[tool.unpool-xp.gate.thresholds]\n'a*' = 'b'", r"'a\*' = 'b' must be a number"),
        ("[tool]\nunpool-xp = 3", "'unpool-xp' of"),
        ("[tool", "is not valid TOML"),
    ],
)
def test_bad_thresholds_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        Thresholds.read(tmp_path / "pyproject.toml")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Thresholds.read(tmp_path / "nowhere.toml")


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def sides(tmp_path: Path) -> list[str]:
    """Folders of base and head: the longest name there is, hostile words, several runs."""
    longest = {
        "operation": "fractional_max_pool",
        "shape": [4, 32, 128, 128],
        "kernel": [2, 2],
        "stride": None,
        "scale": [0.5, 0.5],
        "implementation": "native",
        "function": "torch.nn.functional.fractional_max_pool2d.with_a_name_that_goes_on_and_on",
    }
    name = "fractional_max_pool-4x32x128x128-k2x2-f0.5x0.5-float32"
    assert name_of_case(make_row(**longest)) == name
    newer = {**longest, "backend_version": "2.1"}  # or it would be the control of the others
    evil = "no [bold]time[/] \x1b[31m | <b>*"
    base = [timed(1.0, backend=b) for b in ("numpy", "dask", "jax:cpu", "torch:cpu", "cupy:cuda")]
    write(tmp_path / "base" / "m" / "1.jsonl", *base, timed(1.0, **longest))
    head = [
        *(timed(2.0), timed(0.5, backend="dask"), timed(1.0, n=1, backend="jax:cpu")),
        *(failed_row(evil, backend="torch:cpu"), timed(1.0, backend="array_api_strict")),
    ]
    write(tmp_path / "head" / "1.jsonl", timed(9.0, time="2020-01-01T00:00:00+00:00"), *head[1:])
    write(tmp_path / "head" / "2.jsonl", head[0], timed(3.0, **newer))
    (tmp_path / "head" / "torn.json").write_text("{")
    return [str(tmp_path / "base"), str(tmp_path / "head")]


def test_the_command_prints_what_changed_at_80_columns(sides: list[str], tmp_path: Path) -> None:
    markdown = tmp_path / "pr.md"
    shown = run("compare", *sides, "--markdown", str(markdown), path=tmp_path)
    assert shown.returncode == 1
    assert "torn.json:1: not readable as JSON" in shown.stderr
    lines = shown.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in shown.stdout
    places = [lines.index(line) for line in lines if line.split(" (")[0] in ("broken", "slower")]
    assert places == sorted(places)
    assert lines.index("slower (2)") < lines.index("faster (1)")
    assert "2.00x" in next(line for line in lines if line.startswith(f"{NAME} "))
    assert "undecided: 1 (1 one number in head)" in lines
    assert "only base: 1, not in head (1 cupy:cuda)" in lines
    assert "array_api_strict" in shown.stdout
    assert lines[-2].startswith("slower: 1 broken, 2 slower, 1 faster, 1 undecided")
    text = markdown.read_text(encoding="utf-8")
    assert text.count("\n| slower |") == 2
    assert "<b>" not in text
    assert "\x1b" not in text


def test_the_command_lists_all_and_answers_scripts(sides: list[str], tmp_path: Path) -> None:
    shown = run("compare", *sides, "--all", path=tmp_path)
    assert "only head (1): not in base" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    answer = json.loads(run("compare", *sides, "--json", path=tmp_path).stdout)
    assert answer["exit_code"] == 1
    assert answer["counts"]["slower"] == 2
    assert len(answer["problems"]) == 1
    broken, slower = answer["entries"][:2]
    assert (broken["outcome"], broken["ratio"], broken["noise"]) == ("broken", None, None)
    assert slower["interval"][0] <= slower["ratio"] <= slower["interval"][1]
    assert slower["head"]["samples"] == 24


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["base", "empty"], "head has no rows"),
        (["nowhere", "base"], "error: nowhere: there is no such file or folder"),
        (["base", "head", "--config", "none.toml"], "error: none.toml: there is no such file"),
    ],
)
@pytest.mark.usefixtures("sides")
def test_the_command_refuses_what_is_not_there(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    shown = run("compare", *arguments, path=tmp_path)
    assert shown.returncode == 2
    assert said in shown.stdout + shown.stderr
    assert "Traceback" not in shown.stderr


def test_the_command_takes_the_thresholds_of_the_folder(tmp_path: Path) -> None:
    write(tmp_path / "base.jsonl", timed(1.0, machine="one"))
    write(tmp_path / "head.jsonl", timed(1.5, machine="two"))
    files = ("base.jsonl", "head.jsonl")
    assert run("compare", *files, path=tmp_path).returncode == 2
    assert run("compare", *files, "--across-machines", path=tmp_path).returncode == 1
    (tmp_path / "pyproject.toml").write_text("[tool.unpool-xp.gate]\nthreshold = 2.0\n")
    assert run("compare", *files, "--across-machines", path=tmp_path).returncode == 0


def test_a_long_list_is_cut_in_markdown() -> None:
    base = [timed(1.0, shape=[1, 1, 8, n]) for n in range(8, 308)]
    head = [timed(2.0, shape=row.shape) for row in base]
    text = comparison.comparison_as_markdown(compare(base, head))
    assert "and 100 more" in text
    assert len(text) < 65_536
