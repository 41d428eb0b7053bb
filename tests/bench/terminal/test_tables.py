"""Every view of every command in a narrow terminal, in ASCII: nothing is lost or torn apart."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console

from tests.bench.portability.test_targets import entry as tax_entry
from tests.bench.terminal.test_backends import ROW as BACKEND
from tests.bench.terminal.test_choice import at_two_sizes, on_devices
from tests.bench.terminal.test_decisions import rows_of_a_series
from tests.support.rows import failed_row, native, timed
from tests.support.synthetic_rows import synthetic_rows
from unpool_xp.bench.catalog.families import tax_cases
from unpool_xp.bench.check.run import CheckResult
from unpool_xp.bench.report.gpu_targets import check_gpu_targets
from unpool_xp.bench.terminal import backends, checks, choice, comparison, decisions, gallery
from unpool_xp.bench.terminal import gate as gate_view
from unpool_xp.bench.terminal import ranking as ranking_view
from unpool_xp.bench.terminal import tax as tax_view
from unpool_xp.bench.terminal.tables import print_line, text_table
from unpool_xp.bench.verdicts.compare import compare
from unpool_xp.bench.verdicts.decisions import decide
from unpool_xp.bench.verdicts.ranking import by_workload, rank, tax
from unpool_xp.bench.verdicts.time_model import fit_times
from unpool_xp.cli.commands.gpu import print_targets
from unpool_xp.cli.streams import ERRORS
from unpool_xp.gallery.report import GalleryReport

SERIES = rows_of_a_series()
SYNTHETIC = synthetic_rows(40, samples=6)


def a_ranking(console: Console) -> None:
    rows = [
        replace(timed("numpy", 14.3e-3), cold_s=1.6e-2),
        native("torch:cpu", 2.22e-4, "torch.nn.functional.fractional_max_pool2d", mode="compiled"),
        replace(timed("jax:cpu", 4.5, mode="compiled"), disturbed=[True] * 40),
        native("jax:cpu", 3e-9, "jax.lax.reduce_window", mode="compiled", threads_asked=16),
        failed_row("crashed: dask ended with exit code 7 after 12.5 s", backend="dask"),
    ]
    ranking_view.print_ranking(console, rank(rows), tax(rows))


def what_to_use(console: Console) -> None:
    for rows in (SERIES, SYNTHETIC):
        rankings = [rank(group) for group in by_workload(rows).values()]
        decisions.print_decisions(console, decide(rankings))
        decisions.print_time_models(console, fit_times(rankings))


def a_comparison(console: Console) -> None:
    head = [replace(row, samples_s=[3 * s for s in row.samples_s]) for row in SYNTHETIC[::2]]
    found = compare(SYNTHETIC, [*head, *SYNTHETIC[1::4]])
    comparison.print_comparison(console, found, everything=True)


def a_gate(console: Console) -> None:
    build = SimpleNamespace(short_commit="0123abcd", ref="main")
    found: Any = SimpleNamespace(
        base=build,
        head=build,
        measured=[],
        seconds=119.7,
        folder="results/gate/runs",
        comparison=compare(SYNTHETIC, SYNTHETIC),
    )
    gate_view.print_gate(console, found, everything=True)


def a_tax(console: Console) -> None:
    entries = [tax_entry(0.5, case=case) for case in tax_cases()] + [tax_entry(None)]
    tax_view.print_entries(console, entries)
    tax_view.print_summaries(console, entries)


def what_is_here(console: Console) -> None:
    missing = {"backend": "cupy:cuda", "missing": "cupy finds no CUDA device; 12.3 GB/s are lost"}
    backends.print_backends(console, [BACKEND, BACKEND | {"backend": "jax:cpu"}, missing])
    backends.print_machine(console, 1.94)


def what_agrees(console: Console) -> None:
    results = [
        CheckResult(*where, operation, dtype, outcome, detail, warned)
        for where in (("numpy", "eager"), ("jax:cpu", "compiled"), ("array_api_strict", "eager"))
        for operation in ("max_pool", "fractional_max_unpool")
        for dtype, outcome, detail, warned in (
            ("float32", "passed", "", ("UserWarning: slow",)),
            ("float64", "failed", "output 0 at (0, 1) is 2.5, should be 3.5", ()),
            ("bfloat16", "skipped", f"{where[0]} has no bfloat16", ()),
        )
    ]
    checks.print_checks(console, results)


def pictures(console: Console) -> None:
    photograph: Any = SimpleNamespace(name="astronaut", size=(512, 640), notes=["reduced by 2"])
    methods = [("fractional_max_pool", "fractional_max_unpool"), ("avg_pool", "cubic_unpool")]
    shown: Any = SimpleNamespace(
        photograph=photograph,
        strides=(2.0, 3.0, 4.0),
        methods=lambda: [SimpleNamespace(pooling=a, unpooling=b) for a, b in methods],
        entry=lambda method, stride: SimpleNamespace(psnr=28.1 + stride, ssim=0.91),
    )
    gallery.print_gallery(console, GalleryReport([shown], ()))


def gpu_targets(console: Console) -> None:
    print_targets(console, check_gpu_targets(SYNTHETIC))


VIEWS: list[Callable[[Console], None]] = [
    a_ranking,
    lambda console: choice.print_choice(console, at_two_sizes(second_wins_when_large=True)),
    lambda console: choice.print_choice(console, on_devices()),
    what_to_use,
    a_comparison,
    a_gate,
    a_tax,
    what_is_here,
    what_agrees,
    pictures,
    gpu_targets,
]
UNITS = r"(?:ns|us|ms|s|B|[KMG]iB|GB/s|GFLOP/s|%|dB|elements|threads?|cores?)"
NUMBER_AND_UNIT = re.compile(rf"(?:[\d.,]+ to )?[\d.,]+ ?{UNITS}(?![\w/])")


def shown(view: Callable[[Console], None], width: int) -> str:
    """Return what a terminal of ASCII gets."""
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors=ERRORS)
    view(Console(file=file, width=width, highlight=False))
    file.flush()
    return file.buffer.getvalue().decode("ascii")


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("width", [40, 60, 80])
def test_nothing_is_lost_in_a_narrow_terminal(view: Callable[[Console], None], width: int) -> None:
    whole, narrow = shown(view, 400), shown(view, width)
    assert "..." not in narrow.replace("[...", "")
    for found in NUMBER_AND_UNIT.findall(whole):
        assert found in narrow, found
    letters = "".join(narrow.split())
    for word in re.split(r"\s+|(?<=-)", whole):
        # But for a bar, and the heads of columns that have no cell here.
        if not set(word) <= set("#_.:-=+*/?") and word not in ("own", "found"):
            assert word in letters, word


def test_a_table_drops_its_bar_then_wraps_then_becomes_blocks() -> None:
    table = text_table("", "name", "a call", "", align="RlRb")
    table.add_line("[bold]first[/]")
    table.add_row("1", "torch:cpu own max_pool2d", "12.3 ms", "#" * 12)
    table.add_row("2", "numpy", "-", "#")
    lines = {
        width: shown(lambda console: console.print(table), width) for width in (60, 40, 28, 20)
    }
    assert "12.3 ms  ############" in lines[60]
    assert "1  torch:cpu own max_pool2d  12.3 ms\n" in lines[40]
    assert "1  torch:cpu own     12.3 ms\n   max_pool2d\n" in lines[28]
    assert lines[20] == "name\nfirst\n1 torch:cpu own\n  max_pool2d\n  a call: 12.3 ms\n2 numpy\n"
    with pytest.raises(ValueError, match="add_row: 1 cells; the table has 4"):
        table.add_row("3")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("from 12.5 to 13.5 ms it took", ["from", "  12.5 to", "  13.5 ms it", "  took"]),
        ("max_unpool-1x2-k2x2-float32", ["max_unpool-", "  1x2-k2x2-", "  float32"]),
        ("abcdefghijklmnop", ["abcdefghijkl", "  mnop"]),
        ("0.95-1.05 is 1.5x ?", ["0.95-1.05 is", "  1.5x ?"]),
        ("[red]\u6c60[/]" * 7, ["\\u6c60" * 6, "  \\u6c60"]),
        ("a\n\nb", ["a", "", "  b"]),
    ],
)
def test_a_line_ends_between_words_and_never_before_a_unit(text: str, lines: list[str]) -> None:
    found = shown(lambda console: print_line(console, text), 12).splitlines()
    assert [line.rstrip() for line in found] == lines
