"""The answer of `choose` in the terminal: the ranking, where it changes, and a line to paste."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from unpool_xp import workers
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.formatting import seconds_text
from unpool_xp.bench.cases.native import backward_lines, compiled_lines, output_names
from unpool_xp.bench.choose import Choice
from unpool_xp.bench.rows.schema import Row, elements
from unpool_xp.bench.terminal.ranking import print_ranking
from unpool_xp.bench.terminal.tables import print_line, text_table
from unpool_xp.bench.verdicts.against import OtherMachine
from unpool_xp.bench.verdicts.bootstrap import Verdict
from unpool_xp.bench.verdicts.ranking import Ranked, Ranking
from unpool_xp.capabilities import LIBRARIES, Library

_BAR_LEVELS = "▁▂▃▄▅▆▇█"
_THREAD_VARIABLES = {
    "jax": "PJRT_NPROC",
    "dask": "DASK_NUM_WORKERS",
    "mlx": "VECLIB_MAXIMUM_THREADS",
}
_TALLEST_BAR = 16.0  # times the best: the tallest bar


def print_choice(console: Console, choice: Choice) -> None:
    """Print the answer, the ranking behind it, where it changes, and the code for it."""
    print_line(console, escape(choice.case.name), style="bold")
    print_ranking(console, choice.ranking(), choice.taxes)
    use, *more = answer_lines(choice)
    print_line(console, escape(use), style="bold green" if codes_for(choice) else "bold red")
    for line in more:
        print_line(console, escape(line))
    if codes_for(choice):
        _print_sizes(console, choice)
        _print_devices(console, choice)
    for title, lines in codes_for(choice).items():
        console.print()
        print_line(console, title, style="bold")
        for line in lines:  # to paste, so as they are
            console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)


def print_against(console: Console, others: Sequence[OtherMachine], command: str) -> None:
    """Print what other machines have beside this one, and the command for what they lack."""
    for other in others:
        console.print()
        print_line(console, escape(f"beside {other.title}"), style="bold")
        for line in other.lines():
            print_line(console, escape(line), indent=2)
    if any(other.missing for other in others):
        console.print()
        print_line(console, "to have the rows that are missing, run there:", style="bold")
        console.print(f"  {escape(command)}", highlight=False, soft_wrap=True)


def sweep_command(case: Case) -> str:
    """Return the command that measures a case on another machine and keeps its rows."""
    words = ["unpool-xp", "sweep", "--operation", case.operation, "--shape", _numbers(case.shape)]
    for name, value in case.parameters.items():
        words += [f"--{name.replace('_', '-')}", _numbers(value)]
    words += ["--dtype", case.dtype, *(["--pass", case.pass_] if case.backward else [])]
    return shlex.join(words)


def _numbers(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def answer_lines(choice: Choice) -> list[str]:
    """Return what to use, how sure that is, and what else could be used, one sentence per line."""
    ranking, with_transfer = choice.ranking(), choice.ranking(with_transfer=True)
    best, portable = ranking.best, ranking.best_portable
    if best is None:
        return ["nothing could be measured"]
    sure = f"the fastest in {best.share_best:.0%} of resamples"
    lines = [f"use {best.name}: {seconds_text(best.seconds)} per call, {sure}"]
    beside = _beside_best(choice, ranking)
    lines += [f"{text}: {'; '.join(names)}" for text, names in beside.items()]
    if portable is not None and portable is not best:
        took = f"{seconds_text(portable.seconds)} per call, x {portable.to_best.estimate:.2f}"
        lines.append(f"portable: {portable.name}, {took}")
    if with_transfer.best is not None:
        on, took = with_transfer.best.name, seconds_text(with_transfer.best.seconds)
        lines.append(f"with the copies there and back: {on}, {took} per call")
    return lines


def codes_for(choice: Choice) -> dict[str, list[str]]:
    """Return the lines of Python for the best and for the best portable, each by a title."""
    ranking = choice.ranking()
    best, portable = ranking.best, ranking.best_portable
    codes = {"to paste": best, "to paste, portable": None if portable is best else portable}
    return {title: code_for(choice.case, one.row) for title, one in codes.items() if one}


def _beside_best(choice: Choice, ranking: Ranking) -> dict[str, list[str]]:
    """Return the names of those that are tied with the best, or not known to be slower."""
    found: dict[str, list[str]] = {}
    for entry in ranking.timed[1:]:
        if entry.verdict is Verdict.SAME:
            found.setdefault("tied", []).append(entry.name)
        elif entry.verdict is Verdict.UNDECIDED:
            found.setdefault(_why_undecided(choice, ranking, entry), []).append(entry.name)
    return found


def _why_undecided(choice: Choice, ranking: Ranking, entry: Ranked) -> str:
    budget = choice.budget_needed(entry)
    if budget is not None:
        return f"not enough samples: --budget {budget} would decide"
    if entry.disturbed or ranking.timed[0].disturbed:
        return "disturbed by other programs"
    return "not enough samples, and no budget would decide"


def _print_sizes(console: Console, choice: Choice) -> None:
    """Print the time over the best at each size, a bar each, and from where the answer changes."""
    ranked = {
        size: {entry.name: entry for entry in ranking.timed}
        for size, ranking in choice.rankings.items()
    }
    names = list(dict.fromkeys(name for entries in ranked.values() for name in entries))
    if len(ranked) < 2 or len(names) < 2:
        return
    heads = map(_short_count, ranked)
    table = text_table("x best, by elements", *heads, align="l" + "R" * len(ranked))
    for name in names:
        table.add_row(escape(name), *(_bar_cell(entries.get(name)) for entries in ranked.values()))
    console.print()
    console.print(table)
    _, *changes = choice.crossovers()
    for change in changes:
        tied = f" (tied: {'; '.join(change.tied)})" if change.tied else ""
        text = f"from {elements(change.row):,} elements: {change.winner}{tied}"
        print_line(console, escape(text))
    if not changes:
        smallest, *_, largest = ranked
        text = f"no other answer is sure from {smallest:,} to {largest:,} elements"
        print_line(console, text)


def _print_devices(console: Console, choice: Choice) -> None:
    """Print from which size on each other device is quicker, with and without the copies."""
    here, copied = (choice.device_crossovers(with_transfer=copies) for copies in (False, True))
    if here:
        console.print()
        title = "beside the best on the CPU, by elements of the first array"
        print_line(console, title, style="bold")
    for pair in zip(here, copied, strict=True):
        for crossing, data in zip(pair, ("data there", "copies counted"), strict=True):
            print_line(console, escape(f"{crossing.label}, {data}: {crossing.text}"))


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
    """Return lines of Python that do a case with the library and the function of a row.

    The names of the inputs are those of the operation's arguments.
    """
    library, _, device = row.backend.partition(":")
    compiler = LIBRARIES.get(library, Library()).compiler
    before = []
    if row.threads_asked is not None:
        variable = _THREAD_VARIABLES.get(library, "OMP_NUM_THREADS")
        variables = [variable]
        if library == "numpy" and row.implementation == "portable":
            variables.append(workers.VARIABLE)
        values = " ".join(f"{name}={row.threads_asked}" for name in variables)
        before.append(f"# before Python starts: export {values}")
    if device not in ("", "cpu"):
        before.append(f"# {', '.join(case.inputs)} on {device}")
    if row.implementation == "native":
        native = case.find_native(library, row.function)
        return [*before, *native.code(case, compiler if row.mode == "compiled" else None)]
    imports = {
        "numpy": "import numpy as np",
        "dask": "import dask.array as da",
        "mlx": "import mlx.core as mx",
    }
    functions: dict[str, dict[str, None]] = {}  # by module, in order
    for part in case.parts:
        operation = part.definition
        functions.setdefault(operation.module, {})[operation.function_name] = None
    lines = [
        imports.get(library, f"import {library}"),
        *(f"from {module} import {', '.join(names)}" for module, names in functions.items()),
    ]
    names = case.definition.names(case)
    body = [
        f"{', '.join(made)} = {_call_text(part, taken)}"
        for part, (taken, made) in zip(case.parts, names, strict=True)
    ]
    outputs, compiled = output_names(case), compiler if row.mode == "compiled" else None
    if case.backward:
        body = backward_lines(case, library, body, outputs, compiled)
    elif compiled:
        body = compiled_lines(list(case.inputs), body, outputs, compiled)
    return [*before, *lines, *body]


def _call_text(case: Case, names: Sequence[str]) -> str:
    """Return a call of the portable function on arrays of these names."""
    given = case.options()
    if "samples" in given:  # of this very shape; everybody draws their own
        del given["samples"]
        given["seed"] = 0
    options = [f"{name}={value!r}" for name, value in given.items()]
    return f"{case.definition.function_name}({', '.join([*names, *options])})"
