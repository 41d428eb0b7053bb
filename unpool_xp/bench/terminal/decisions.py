"""The end of a sweep in the terminal: what to use, and the two numbers that times come to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.console import Console
from rich.markup import escape

from unpool_xp.bench.terminal.tables import print_line, text_table
from unpool_xp.bench.verdicts.decisions import Decision
from unpool_xp.bench.verdicts.time_model import MIN_SIZES, TimeModel

_LEGEND = (
    "next takes: how many times as long the next best takes; = tied, ? not enough samples, at one "
    "of the sizes. sure: the share of resamples in which it is the fastest, at its worst size."
)


def print_decisions(console: Console, decisions: Sequence[Decision]) -> None:
    """Print what to use for each operation and size, by how much, and how sure that is."""
    if not decisions:
        return
    table = text_table("bytes of a call", "use", "next takes", "sure", align="LlRR")
    for settings, mine in _by_operation(decisions):
        about = f"[bold]{escape(mine[0].operation)}[/] [dim]{escape(_heading(settings, mine))}[/]"
        table.add_line(about)
        for decision in mine:
            margin = "" if decision.next is None else decision.next.text
            use = "\n".join([decision.use or "nothing has a time", *_notes(decision, settings)])
            table.add_row(f"  {decision.size_text}", escape(use), margin, decision.sure_text)
    console.print(table)
    print_line(console, _LEGEND, style="dim")


def _by_operation(decisions: Iterable[Decision]) -> list[tuple[str, list[Decision]]]:
    """Return the decisions of each operation, and the settings of most of its cases."""
    grouped = groupby(decisions, key=lambda decision: (decision.operation, decision.row.dtype))
    found = []
    for _, group in grouped:
        mine = list(group)
        found.append((max(mine, key=lambda one: len(one.cases)).settings[0], mine))
    return found


def _heading(settings: str, decisions: Iterable[Decision]) -> str:
    """Return the settings of most cases, and of how many others the lines say nothing."""
    others = {one for line in decisions if settings in line.settings for one in line.settings}
    return f"{settings}, and {len(others) - 1} more" if len(others) > 1 else settings


def _notes(decision: Decision, settings: str) -> list[str]:
    notes = []
    if settings not in decision.settings:
        notes.append(f"with {'; '.join(decision.settings)}")
    if decision.portable is not None:
        (name,) = decision.portable.names
        notes.append(f"portable: {name}, {decision.portable.text}")
    return notes


def print_time_models(console: Console, models: Iterable[TimeModel]) -> None:
    """Print ``time = overhead + bytes / bandwidth`` of our own function on each backend."""
    groups: dict[str, dict[str, list[TimeModel]]] = {}
    for model in models:
        if model.is_portable:
            series = groups.setdefault(model.operation, {})
            series.setdefault(model.settings, []).append(model)
    rows, few = [], []
    for operation, series in sorted(groups.items()):
        fitted = [m for m in series.values() if max(model.sizes for model in m) >= MIN_SIZES]
        for mine in fitted:
            text = _models_text(mine)
            rows.append((operation, f"{mine[0].settings}: {text}" if len(fitted) > 1 else text))
        if not fitted:
            few.append(operation)
    if rows:
        console.print()
        print_line(console, "[bold]time of unpool_xp's functions[/] = overhead + bytes / bandwidth")
        table = text_table("", "", align="Ll")
        for operation, text in rows:
            table.add_row(escape(operation), escape(text))
        console.print(table)
    if few:
        print_line(console, f"fewer than {MIN_SIZES} sizes, no fit: {', '.join(few)}", style="dim")


def _models_text(models: Iterable[TimeModel]) -> str:
    """Return the least overhead first, and last what the model does not fit."""
    models = sorted(models, key=lambda model: model.overhead_s)
    texts = [f"{model.name} {model.text}" for model in models if model.problem is None]
    enough = [model for model in models if model.problem and model.sizes >= MIN_SIZES]
    if enough:
        off = (f"{model.name} (off by {100 * model.residual:.0f} %)" for model in enough)
        texts.append(f"no straight line: {', '.join(off)}")
    few = [model.name for model in models if model.sizes < MIN_SIZES]
    if few:
        texts.append(f"fewer than {MIN_SIZES} sizes: {', '.join(few)}")
    return "; ".join(texts)
