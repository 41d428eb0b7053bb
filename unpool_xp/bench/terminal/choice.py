"""The answer of `choose` in the terminal: the ranking, where it changes, and a line to paste."""

from __future__ import annotations

import math
import textwrap
from typing import Any

from rich.console import Console
from rich.markup import escape

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.formatting import seconds_text
from unpool_xp.bench.choose import Choice
from unpool_xp.bench.rows.names import backend_mode_of
from unpool_xp.bench.rows.schema import Row, elements
from unpool_xp.bench.terminal.ranking import print_ranking
from unpool_xp.bench.terminal.tables import text_table
from unpool_xp.bench.verdicts.bootstrap import Verdict
from unpool_xp.bench.verdicts.crossover import DeviceCrossover
from unpool_xp.bench.verdicts.ranking import Ranked, Ranking

_BAR_LEVELS = "▁▂▃▄▅▆▇█"
_TALLEST_BAR = 16.0  # times the best: the tallest bar


def print_choice(console: Console, choice: Choice) -> None:
    """Print the answer, the ranking behind it, where it changes, and the code for it."""
    ranking, with_transfer = choice.ranking(), choice.ranking(with_transfer=True)
    best = ranking.best
    console.print(f"[bold]{choice.case.name}[/]")
    print_ranking(console, ranking, choice.taxes)
    if best is None:
        console.print("[bold red]nothing could be measured[/]")
        return
    answer = f"[bold green]use {backend_mode_of(best.row)}[/]"
    for words, verdict in (("as fast", Verdict.SAME), ("not enough samples", Verdict.UNDECIDED)):
        others = [entry.name for entry in ranking.timed[1:] if entry.verdict is verdict]
        if others:
            answer += f"; {words}: {', '.join(others)}"
    console.print(answer)
    if with_transfer.best is not None:
        on, took = backend_mode_of(with_transfer.best.row), seconds_text(with_transfer.best.seconds)
        console.print(f"with the copy there and back: {on}, {took} a call")
    _print_sizes(console, choice)
    _print_devices(console, choice)
    console.print("\n[bold]to paste[/]")
    for line in code_for(choice.case, best.row):
        console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)


def _print_sizes(console: Console, choice: Choice) -> None:
    """Print the time over the best at each size, a bar each, and from where the answer changes."""
    ranked = {
        size: {str(backend_mode_of(entry.row)): entry for entry in ranking.timed}
        for size, ranking in choice.rankings.items()
    }
    names = list(dict.fromkeys(name for entries in ranked.values() for name in entries))
    if len(ranked) < 2 or len(names) < 2:
        return
    table = text_table("x best, by elements", *map(_short_count, ranked))
    for name in names:
        table.add_row(name, *(_bar_cell(entries.get(name)) for entries in ranked.values()))
    console.print()
    console.print(table)
    _, *changes = choice.crossovers()
    for change in changes:
        tied = f" (tied: {', '.join(change.tied)})" if change.tied else ""
        console.print(
            f"from {elements(change.row):,} elements: {backend_mode_of(change.row)}{tied}"
        )
    if not changes:
        smallest, *_, largest = ranked
        console.print(f"no other answer is sure from {smallest:,} to {largest:,} elements")


def _print_devices(console: Console, choice: Choice) -> None:
    """Print from which size on each other device is quicker, with and without the copies."""
    here, copied = (choice.device_crossovers(with_transfer=copies) for copies in (False, True))
    if here:
        console.print("\n[bold]beside the best on the CPU, by elements of the first array[/]")
    for pair in zip(here, copied, strict=True):
        for crossing, data in zip(pair, ("data there", "copies counted"), strict=True):
            said = f"{crossing.label}, {data}: {crossing.text}"
            for line in textwrap.wrap(said, console.width, subsequent_indent="  "):
                console.print(escape(line), highlight=False)


def _bar_cell(entry: Ranked | None) -> str:
    if entry is None:
        return "-"
    times = entry.to_best.estimate
    level = math.log(max(times, 1)) / math.log(_TALLEST_BAR) * (len(_BAR_LEVELS) - 1)
    bar = _BAR_LEVELS[min(round(level), len(_BAR_LEVELS) - 1)]
    text = f"{times:.1f} {bar}" if times < 100 else f"{times:.0f} {bar}"
    return f"[bold green]{text}[/]" if entry.is_fastest else text


def _short_count(count: int) -> str:
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return str(count)


def code_for(case: Case, row: Row) -> list[str]:
    """Return lines of Python that do a case with the library of a row.

    The names of the inputs are those of the operation's arguments.
    """
    function = case.definition.function.__name__
    arrays = ", ".join(case.inputs)
    given = case.options()
    if "samples" in given:  # of this very shape; everybody draws their own
        del given["samples"]
        given["seed"] = 0
    options = ", ".join(f"{name}={value!r}" for name, value in given.items())
    library, _, device = row.backend.partition(":")
    imports = {"numpy": "import numpy as np", "dask": "import dask.array as da"}
    lines = [imports.get(library, f"import {library}"), f"from unpool_xp import {function}"]
    if row.threads_asked is not None:
        variable = {"jax": "PJRT_NPROC", "dask": "DASK_NUM_WORKERS"}.get(library, "OMP_NUM_THREADS")
        lines.insert(0, f"# before Python starts: export {variable}={row.threads_asked}")
    call = f"{function}({', '.join(filter(None, (arrays, options)))})"
    if row.mode == "compiled":
        compiler = "jax.jit" if library == "jax" else "torch.compile"
        inner = f"lambda {arrays}: {call}"
        return [*lines, f"compiled = {compiler}({inner})", f"y = compiled({arrays})"]
    where = f"  # {arrays} on {device}" if device == "cuda" else ""
    return [*lines, f"y = {call}{where}"]


def choice_as_json(choice: Choice) -> dict[str, Any]:
    """Return the answer for scripts: numbers that are no numbers are null, as JSON has none."""
    ranking, with_transfer = choice.ranking(), choice.ranking(with_transfer=True)
    return {
        "case": choice.case.to_json(),
        "use": [str(backend_mode_of(entry.row)) for entry in ranking.timed if entry.is_fastest],
        "ranking": _ranking_as_json(ranking),
        "with_transfer": _ranking_as_json(with_transfer),
        "tax": [
            {
                "backend": t.backend_mode.label,
                "mode": t.backend_mode.mode,
                "threads_asked": t.backend_mode.threads,
                "function": t.function,
                "ratio": t.ratio.estimate,
            }
            for t in choice.taxes
        ],
        "changes": [
            {
                "from_elements": elements(change.row),
                "use": str(backend_mode_of(change.row)),
                "tied": change.tied,
            }
            for change in choice.crossovers()
        ],
        "device_crossovers": [
            _crossover_as_json(crossing)
            for copies in (False, True)
            for crossing in choice.device_crossovers(with_transfer=copies)
        ],
        "code": code_for(choice.case, ranking.best.row) if ranking.best else None,
    }


def _ranking_as_json(ranking: Ranking) -> list[dict[str, Any]]:
    timed = [
        {
            "backend": entry.row.backend,
            "mode": entry.row.mode,
            "threads_asked": entry.row.threads_asked,
            "place": entry.place,
            "seconds": entry.seconds,
            "interval": [
                end if math.isfinite(end) else None
                for end in (entry.interval.low, entry.interval.high)
            ],
            "tied_with_best": entry.is_fastest and entry is not ranking.best,
            "processes": len(set(entry.row.process)),
            "disturbed": entry.disturbed,
            "between_processes": (
                [entry.disagreement.low, entry.disagreement.high] if entry.disagreement else None
            ),
            "cold_s": entry.row.cold_s,
            "reason": None,
        }
        for entry in ranking.timed
    ]
    nothing = {
        **dict.fromkeys(("place", "seconds", "interval", "between_processes", "cold_s")),
        "tied_with_best": False,
        "processes": 0,
        "disturbed": False,
    }
    failed = [
        {
            "backend": row.backend,
            "mode": row.mode,
            "threads_asked": row.threads_asked,
            **nothing,
            "reason": reason,
        }
        for row, reason in ranking.failed
    ]
    return [*timed, *failed]


def _crossover_as_json(crossing: DeviceCrossover) -> dict[str, Any]:
    return {
        "backend": crossing.label,
        "with_transfer": crossing.with_transfer,
        "wins_from": crossing.wins_from,
        "loses_at": crossing.loses_at,
        "undecided": crossing.undecided,
        "by_turns": crossing.alternates,
        "sizes": list(crossing.verdicts),
        "said": crossing.text,
    }
