"""The tax is taken fairly, the same work in turns against the fastest, and told as it is."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rich.console import Console

from tests.support.command import run
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.catalog import SINGLE_OPERATIONS
from unpool_xp.bench.catalog.families import tax_cases
from unpool_xp.bench.measure.measurement import Cell, Measurement
from unpool_xp.bench.measure.timer import MIN_ROUNDS
from unpool_xp.bench.portability.measure import (
    make_entry,
    measure_taxes,
    ratio_of_pairs,
    row_recorder,
)
from unpool_xp.bench.portability.targets import (
    TARGETS,
    TaxEntry,
    TaxTarget,
    is_noisy,
    summarize,
)
from unpool_xp.bench.rows.files import read_rows
from unpool_xp.bench.terminal import tax
from unpool_xp.bench.verdicts.bootstrap import Ratio
from unpool_xp.bench.worker import Service

pytestmark = pytest.mark.usefixtures("one_process")

CASE = Case("nearest_unpool", (1, 2, 4, 4), scale=2)
NUMPY = next(target for target in TARGETS if target.name == "numpy")
TORCH = next(target for target in TARGETS if target.name == "torch:cpu")
PLAIN, LAST_FIRST = "numpy.repeat", "numpy.repeat, last axis first"


def entry(estimate: float | None, target: TaxTarget = NUMPY, case: Case = CASE) -> TaxEntry:
    if estimate is None:
        return TaxEntry(target, case, reason="crashed")
    ratio = Ratio(estimate, estimate * 0.99, estimate * 1.01)
    return TaxEntry(target, case, PLAIN, estimate * 1e-3, 1e-3, ratio)


def measured(**samples: list[float]) -> dict[Cell, Measurement]:
    names = {"ours": ("portable", "unpool_xp.nearest_unpool"), "repeat": ("native", PLAIN)}
    names |= {"kron": ("native", "numpy.kron"), "last": ("native", LAST_FIRST)}
    return {
        Cell("numpy", "eager", *names[name]): Measurement(samples_s=taken)
        for name, taken in samples.items()
    }


def test_the_ratio_is_the_median_of_pairs_not_of_medians() -> None:
    # The machine was slow for the first pair, and the second is always twice as fast.
    found = ratio_of_pairs([20.0, 2.0, 4.0, 6.0, 8.0], [10.0, 1.0, 2.0, 3.0, 4.0])
    assert found == Ratio(2.0, 2.0, 2.0)
    assert ratio_of_pairs([1.0, 10.0, 4.0], [1.0, 5.0, 1.0]).estimate == 2.0  # medians: 4


def test_the_fastest_native_counts() -> None:
    known = measured(ours=[2.0] * 4, repeat=[4.0] * 4, kron=[8.0] * 4, last=[1.0] * 4)
    found = make_entry(NUMPY, CASE, known)
    assert (found.function, found.ratio) == (LAST_FIRST, Ratio(2.0, 2.0, 2.0))
    assert (found.portable_s, found.native_s) == (2.0, 1.0)


def test_without_samples_there_is_a_reason() -> None:
    assert "nothing that does it" in (
        make_entry(NUMPY, CASE, measured(ours=[1.0] * 3)).reason or ""
    )
    known = measured(ours=[], repeat=[1.0] * 3)
    for cell in known:
        known[cell].error = "wrong result"
    assert make_entry(NUMPY, CASE, known).reason == "unpool_xp.nearest_unpool: wrong result"


def test_a_target_is_met_by_the_mean_and_the_worst_of_all_cases() -> None:
    (good,) = summarize([entry(0.5), entry(0.9)])
    assert good.met
    assert good.mean == pytest.approx(math.sqrt(0.45))
    assert good.worst is not None
    assert good.worst.portable_s == pytest.approx(0.9e-3)
    assert not summarize([entry(0.1), entry(1.3)])[0].met  # the worst
    assert not summarize([entry(1.0), entry(1.0)])[0].met  # the mean
    assert not summarize([entry(0.5), entry(None)])[0].met  # one without a time
    assert not summarize([entry(None)])[0].met
    assert is_noisy(TaxEntry(NUMPY, CASE, ratio=Ratio(1.0, 0.5, 1.5)))
    assert not is_noisy(entry(1.0))


def test_what_other_programs_disturbed_decides_nothing() -> None:
    (one,) = summarize([entry(0.5), replace(entry(9.0), disturbed=True)])
    assert (one.met, one.mean, one.count, one.disturbed) == (None, pytest.approx(0.5), 1, 1)
    known = measured(ours=[2.0] * 4, repeat=[1.0] * 4)
    for one_measured in known.values():
        one_measured.disturbed = [True, True, True, False]
    assert make_entry(NUMPY, CASE, known).disturbed


def test_the_cases_are_those_that_were_promised() -> None:
    cases = tax_cases()
    assert {case.operation for case in cases} == set(SINGLE_OPERATIONS) - {
        # Which some libraries have nothing for.
        "fractional_max_pool",
        "fractional_max_unpool",
        "adaptive_max_pool",
        "adaptive_avg_pool",
        "cubic_unpool",
    }
    assert {(1, 16, 32, 32), (4, 64, 112, 112)} <= {case.shape for case in cases}
    assert {(2, 2), (3, 3)} <= {case.parameters.get("stride") for case in cases}
    assert any(case.padding and case.kernel != case.stride for case in cases)
    channels = {case.shape[1] for case in cases if case.operation == "conv_transpose"}
    assert min(channels) == 32
    assert max(channels) == 256
    assert set(tax_cases(quick=True)) < set(cases)
    for target in TARGETS:
        library = target.label.partition(":")[0]
        for case in cases:
            own = case.natives(library)
            assert any(n.reason(case) is None and not n.values_only for n in own), case.name


def test_the_tax_of_a_case_in_one_process_with_rows_that_can_be_read(tmp_path: Path) -> None:
    ((case, measured, (found,)),) = measure_taxes([CASE], [NUMPY], seconds=0.01)
    with row_recorder(tmp_path) as keep:
        keep(case, measured)
    assert found.reason is None
    assert found.ratio is not None
    assert found.ratio.low <= found.ratio.estimate <= found.ratio.high
    read = read_rows([tmp_path])
    assert not read.problems
    taken = {row.function: row.samples_s for row in read.rows}
    assert {"unpool_xp.nearest_unpool", PLAIN, LAST_FIRST} <= set(taken)
    assert len({len(samples) for samples in taken.values() if samples}) == 1
    assert len(taken[found.function]) >= MIN_ROUNDS


def test_the_tax_with_each_number_of_threads() -> None:
    targets = [replace(NUMPY, threads=number) for number in (1, 9999)]
    entries = []
    for (_, measured, found), number in zip(
        measure_taxes([CASE], targets, seconds=0.01), (1, 9999), strict=True
    ):
        assert {(cell.threads, one.threads) for cell, one in measured.items()} == {
            (number, 1 if number == 1 else None)
        }
        entries += found
    names = [summary.target.name for summary in summarize(entries)]
    assert names == ["numpy 1 thread", "numpy 9,999 threads"]


def test_a_backend_that_is_not_there_is_a_reason() -> None:
    nowhere = TaxTarget("torch:nowhere", "eager", "eager", "nothing", 1.0, 1.0)
    ((_, _, (found,)),) = measure_taxes([CASE], [nowhere], seconds=0.01)
    assert found.ratio is None
    assert "torch:nowhere" in (found.reason or "")


def test_turns_go_to_and_fro(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    def session(name: str) -> Any:
        return SimpleNamespace(
            sample=lambda: taken.append(name), finish=lambda: Measurement(device=name)
        )

    service = Service("numpy")
    service._sessions = {"a": session("a"), "b": session("b")}
    answer = service.sample_rounds(["a", "b"], seconds=0)
    assert "".join(taken) == "abba" * 2
    assert [answer["sessions"][name]["device"] for name in "ab"] == ["a", "b"]
    assert not service._sessions


def test_what_torch_compiled_is_forgotten_between_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[bool] = []
    monkeypatch.setitem(__import__("sys").modules, "torch._dynamo", SimpleNamespace())
    monkeypatch.setattr(torch.compiler, "reset", lambda: forgotten.append(True))
    Service("numpy").drop()
    assert forgotten == [True]


# --- what is told ---------------------------------------------------------------------------------


def shown(print_it: Any, *arguments: Any) -> str:
    console = Console(file=io.StringIO(), width=80)
    print_it(console, *arguments)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_the_tables_fit_the_terminal_and_say_what_is_missed() -> None:
    entries = [entry(0.5, case=case) for case in tax_cases()]
    entries += [entry(1.3), entry(None), entry(2.0, TORCH)]
    text = shown(tax.print_entries, entries) + shown(tax.print_summaries, entries)
    assert max(map(len, text.splitlines())) <= 80
    for said in ("max_pool 4x64x112x112 k3 s2 p1", "nearest_unpool 1x2x4x4 f2: crashed", "missed"):
        assert said in text
    assert "native of nearest_unpool: repeat (" in text
    # Stopped, or failed: a target has no ratio of an operation, or none at all.
    for lacking in ([entry(0.5), entry(None, TORCH)], [entry(None)]):
        assert " - " in shown(tax.print_summaries, lacking)
        assert "| - |" in tax.tax_as_markdown(lacking)
        everything = shown(tax.print_entries, lacking) + shown(tax.print_summaries, lacking)
        assert "nan" not in everything + tax.tax_as_markdown(lacking)
    entries = [entry(0.5)]
    assert "missed" not in shown(tax.print_summaries, entries)
    assert "| 0.500 | <= 0.8 | 0.500 | <= 1.2 |" in tax.tax_as_markdown(entries)
    assert "| `nearest_unpool` | 0.500 |" in tax.tax_as_markdown(entries)


def test_the_answer_for_scripts_is_json() -> None:
    answer = tax.tax_as_json([entry(0.5), entry(None), entry(0.5, TORCH)])
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    assert [summary["met"] for summary in answer["summary"]] == [False, True]
    assert [case["ratio"] for case in answer["cases"]] == [0.5, None, 0.5]


def test_the_command_measures_prints_and_writes(tmp_path: Path) -> None:
    file = tmp_path / "tax.md"
    where = ["--results", str(tmp_path), "--markdown", str(file)]
    done = run("tax", "--backend", "numpy", "-o", "nearest_unpool", "--quick", *where)
    assert done.returncode == 0, done.stderr
    assert "numpy against the best known snippets" in done.stdout
    assert "| `nearest_unpool` |" in file.read_text(encoding="utf-8")
    assert len(read_rows([tmp_path]).rows) > 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backend", "dask"], "no target for these; there are torch:cpu, numpy"),
        (["--operation", "fractional_max_pool", "--backend", "numpy"], "no case of fractional"),
        (["--operation", "upsample"], "unknown operation upsample; known: max_pool"),
    ],
)
def test_what_cannot_be_measured_is_said(arguments: list[str], message: str) -> None:
    done = run("tax", *arguments)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
