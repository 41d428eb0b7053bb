"""The figures of the README and the documentation, made from committed rows.

`docs/figures.toml` names the rows and the commit that they are of. `make figures` fills in the
README; with `--check` the script only reports what is out of date, and fails. With `--choose` it
asks the README's question here and keeps the rows.
"""

from __future__ import annotations

import argparse
import io
import itertools
import math
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rich.console import Console

from unpool_xp import capabilities
from unpool_xp.bench.budget import BudgetedRun
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.formatting import markdown_table, number_of, times_text
from unpool_xp.bench.catalog.presets import preset
from unpool_xp.bench.choose import Choice, choose
from unpool_xp.bench.measure.machine import read_machines, write_machine
from unpool_xp.bench.measure.measurement import Cell
from unpool_xp.bench.measure.pools import find_loadable
from unpool_xp.bench.portability.measure import make_entry
from unpool_xp.bench.portability.targets import TARGETS, TaxEntry
from unpool_xp.bench.report.ranked import RankedCase, ranked_cases
from unpool_xp.bench.report.write import write_report
from unpool_xp.bench.rows.files import RowWriter, read_rows
from unpool_xp.bench.rows.names import backend_mode_of, case_of
from unpool_xp.bench.rows.schema import Row, latest
from unpool_xp.bench.terminal.choice import print_choice
from unpool_xp.bench.terminal.decisions import print_decisions
from unpool_xp.bench.terminal.tax import summary_tables
from unpool_xp.bench.verdicts.decisions import decide
from unpool_xp.bench.verdicts.ranking import Ranked, by_workload

ROOT = Path(capabilities.__file__).parents[1]
SOURCES = ROOT / "docs" / "figures.toml"
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "_static" / "report.png"  # of the report's first screen
_WIDTH = 88  # of a terminal, in characters
_QUESTION = Case("max_unpool", (1, 16, 32, 32), kernel=(2, 2))  # of the README
_BUDGET_SECONDS = 40.0  # to answer it
_SMALL = 2**18  # bytes in and out of a call: up to here, what starts it decides
_BLOCK = re.compile(r"(?<=<!-- measured: )(.+?) -->\n(.*?)(?=<!-- end -->)", re.DOTALL)
_NAMES = {
    "numpy": "NumPy", "torch": "PyTorch", "jax": "JAX", "dask": "Dask", "mlx": "MLX", "cupy": "CuPy"
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table, whose cells are Markdown."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


Figure = str | Table  # of several lines: as a terminal shows them


@cache
def stated() -> dict[str, dict[str, str]]:
    """Return what is stated of each source: its file of rows and its commit."""
    found: dict[str, dict[str, str]] = tomllib.loads(SOURCES.read_text(encoding="utf-8"))
    return found


def source_file(name: str) -> Path:
    """Return the file of a source, after a look at its commit.

    Raises
    ------
    ValueError
        If it is of another commit than stated.
    """
    about = stated()[name]
    path = ROOT / about["rows"]
    commits = {row.commit or "unknown" for row in read_rows([path]).rows} or {"none"}
    if commits != {about["commit"]}:
        raise ValueError(
            f"{path.relative_to(ROOT)} is of commit {', '.join(sorted(commits))}, and "
            f"docs/figures.toml states {about['commit']}"
        )
    return path


@cache
def rows_of(source: str) -> list[Row]:
    """Return the rows of a source."""
    return latest(read_rows([source_file(source)]).rows)


@cache
def cases_of(source: str) -> list[RankedCase]:
    """Return the cases of a source, ranked."""
    return ranked_cases(rows_of(source))


# --- the figures ---------------------------------------------------------------------------------


def choice(source: str) -> Figure:
    """Return the answer of `choose` to the README's question."""
    sizes = {one.elements: [*one.rows] for one in cases_of(source)}
    main = sizes.pop(math.prod(_QUESTION.shape))
    found = Choice(_QUESTION, main, sizes, _BUDGET_SECONDS)
    return _printed(lambda console: print_choice(console, found))


def example(name: str) -> Figure:
    """Return what an example has printed."""
    return (ROOT / "examples" / "output" / f"{name}.txt").read_text(encoding="utf-8").rstrip()


def decisions(source: str, *operations: str) -> Figure:
    """Return the end of a sweep: what to use, of some operations."""
    found = decide(cases_of(source))
    wanted = [one for one in found if not operations or one.operation in operations]
    return _printed(lambda console: print_decisions(console, wanted))


def place(source: str) -> Figure:
    """Return where, when and with which versions a source was measured, in a sentence."""
    rows = rows_of(source)
    machines, _ = read_machines([source_file(source).parent])
    machine = machines[rows[0].machine]
    versions = {row.backend.partition(":")[0]: row.backend_version for row in rows}
    libraries = (f"{_NAMES.get(name, name)} {versions[name]}" for name in sorted(versions))
    cpu = re.sub(r"\((R|TM)\)", "", machine.cpu)
    where = f"{number_of(machine.physical_cores, 'core')} of an {cpu}"
    when = max(row.time for row in rows)[:10]
    commit = stated()[source]["commit"][:7]
    return f"Measured on {where} with {', '.join(libraries)}, on {when}, commit {commit}."


def over_best(source: str) -> Figure:
    """Return how many times as long as the fastest each backend takes, for small and large calls.

    Of a backend the faster of our function and the library's own counts.
    """
    times: dict[str, list[tuple[bool, float]]] = {}
    for case in cases_of(source):
        for name, entry in _best_of_each(case).items():
            ratio = entry.seconds / case.timed[0].seconds
            times.setdefault(name, []).append((case.bytes_moved <= _SMALL, ratio))
    rows = []
    for name, ratios in times.items():
        groups = ([r for is_small, r in ratios if is_small is which] for which in (True, False))
        means = [statistics.geometric_mean(some) if some else math.nan for some in groups]
        worst = max(ratio for _, ratio in ratios)
        rows.append((means[1], [name, *map(_times, means), _times(worst), str(len(ratios))]))
    head = ("backend", "calls up to 256 KiB", "larger calls", "at worst", "cases")
    return Table(head, [cells for _, cells in sorted(rows)])


def our_own(source: str) -> Figure:
    """Return for each backend and operation the time of ours over the library's own."""
    ratios: dict[str, dict[str, list[float]]] = {}
    for case in cases_of(source):
        for tax in case.taxes:
            mine = ratios.setdefault(case.operation, {})
            mine.setdefault(str(tax.backend_mode), []).append(tax.ratio.estimate)
    backends = sorted({name for mine in ratios.values() for name in mine})
    rows = [
        [
            f"`{operation}`",
            *(_ratio(statistics.geometric_mean(mine[n])) if n in mine else "-" for n in backends),
        ]
        for operation, mine in sorted(ratios.items())
    ]
    return Table(("operation", *backends), rows)


def tax_by_backend(source: str) -> Figure:
    """Return the portability tax on each backend, beside its targets."""
    return Table(*summary_tables(tax_entries(source))[0])


def tax_by_operation(source: str) -> Figure:
    """Return the portability tax of each operation."""
    return Table(*summary_tables(tax_entries(source))[1])


@cache
def tax_entries(source: str) -> list[TaxEntry]:
    """Return what `unpool-xp tax` made of the rows that it left."""
    entries = []
    for target in TARGETS:
        here = [row for row in rows_of(source) if row.backend == target.label]
        for rows in by_workload(here).values():
            measured: Any = {  # a row has what is read of a measurement
                Cell(r.backend, r.mode, r.implementation, r.function, r.threads_asked): replace(
                    r,
                    disturbed=r.disturbed or [],  # older rows have none
                )
                for r in rows
            }
            entries.append(make_entry(target, case_of(rows[0]), measured))
    return entries


def eager_over_compiled(source: str, library: str) -> Figure:
    """Return how many times as long our functions take eager as compiled: mean and range."""
    ratios = []
    for case in cases_of(source):
        ours = [t for t in case.timed if t.is_portable and t.row.backend == library]
        mine = {t.row.mode: t.seconds for t in ours}
        if len(mine) == 2:
            ratios.append(mine["eager"] / mine["compiled"])
    mean = statistics.geometric_mean(ratios)
    return (
        f"{_times(mean)} as long (geometric mean of {len(ratios)} cases, from "
        f"{_times(min(ratios))} to {_times(max(ratios))})"
    )


def _printed(show: Callable[[Console], None]) -> str:
    """Return what a terminal shows."""
    text = io.StringIO()
    show(Console(file=text, width=_WIDTH, highlight=False))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _best_of_each(case: RankedCase) -> dict[str, Ranked]:
    found: dict[str, Ranked] = {}
    for entry in case.timed:  # the fastest first
        found.setdefault(str(backend_mode_of(entry.row)), entry)
    return found


def _times(ratio: float) -> str:
    return "-" if math.isnan(ratio) else times_text(ratio)


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f}"


FIGURES: dict[str, Callable[..., Figure]] = {
    one.__name__: one
    for one in (
        *(choice, decisions, example, place, over_best, our_own, eager_over_compiled),
        *(tax_by_backend, tax_by_operation),
    )
}


def make(text: str) -> Figure:
    """Return the figure of a text such as "decisions quick max_pool"."""
    name, *arguments = shlex.split(text)
    return FIGURES[name](*arguments)


# --- the README ----------------------------------------------------------------------------------


def in_markdown(figure: Figure) -> str:
    """Return a figure as Markdown."""
    if isinstance(figure, Table):
        return "\n".join(markdown_table(figure.head, figure.rows, text=str))
    return f"```text\n{figure}\n```" if "\n" in figure else figure


def filled(text: str) -> str:
    """Return a page with all its figures made again."""
    return _BLOCK.sub(lambda found: f"{found[1]} -->\n{in_markdown(make(found[1]))}\n", text)


def outdated() -> Iterator[str]:
    """Yield what is not as the rows say."""
    for name in stated():
        try:
            source_file(name)
        except (OSError, ValueError) as error:
            yield str(error)
            return
    if Image.open(PICTURE).text.get("commit") != stated()["quick"]["commit"]:  # type: ignore[attr-defined]
        yield f"docs/_static/{PICTURE.name} is of another commit; run this script with --picture"
    text = README.read_text(encoding="utf-8")
    if filled(text) != text:
        yield "README.md: its figures are not those of the rows; run make figures"


def draw_picture() -> None:
    """Draw the first screen of the report of the quick rows, with their commit in the file."""
    path = source_file("quick")
    machines, problems = read_machines([path.parent])
    with tempfile.TemporaryDirectory() as folder:
        page = write_report(rows_of("quick"), problems, folder, machines=machines).html
        shot = Path(folder) / "screen.png"
        size = ("--window-size=1200,900", "--hide-scrollbars", "--virtual-time-budget=9000")
        program = (
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--screenshot={shot}",
        )
        subprocess.run([*program, *size, page.as_uri()], check=True, capture_output=True)
        about = PngInfo()
        about.add_text("commit", stated()["quick"]["commit"])
        picture = Image.open(shot).quantize(128)
        picture.save(PICTURE, optimize=True, pnginfo=about)


def ask() -> Path:
    """Ask `choose` the README's question on this machine, and return the file of its rows."""
    modes = preset("quick").modes
    labels = find_loadable(["numpy", "torch:cpu", "jax:cpu", "dask"]).found.values()
    found = choose(_QUESTION, BudgetedRun([*labels], modes, _BUDGET_SECONDS))
    machine = write_machine(ROOT / "results" / "sweeps" / found.rows[0].machine)
    path = machine.with_name(f"{found.rows[0].run}.jsonl")
    with RowWriter(path) as writer:
        for row in (*found.rows, *itertools.chain(*found.other_sizes.values())):
            writer.write(row)
    return path


def main() -> None:
    """Fill in the README, or report what is out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if out of date")
    parser.add_argument("--picture", action="store_true", help="draw the README's, by Chromium")
    parser.add_argument("--choose", action="store_true", help="ask the README's question here")
    options = parser.parse_args()
    if options.picture:
        draw_picture()
    elif options.choose:
        print(ask().relative_to(ROOT))
    elif options.check:
        problems = [*outdated()]
        print(*problems, sep="\n", end="\n" if problems else "")
        sys.exit(bool(problems))
    else:
        README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
