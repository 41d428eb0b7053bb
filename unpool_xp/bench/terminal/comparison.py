"""What ``compare`` prints, writes for pull requests, and answers as JSON."""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from unpool_xp.bench.cases.formatting import (
    escape_markdown,
    markdown_table,
    number_of,
    printable,
    three_digits,
)
from unpool_xp.bench.rows.files import Problem
from unpool_xp.bench.rows.names import backend_mode_of
from unpool_xp.bench.rows.schema import Row, failure_reason
from unpool_xp.bench.terminal.tables import print_line, text_table
from unpool_xp.bench.verdicts.compare import OUTCOMES, CaseComparison, Comparison
from unpool_xp.bench.verdicts.control import Drift

CHANGED = ("broken", "slower", "faster", "mended")
_COLOURS = {"broken": "bold red", "slower": "bold red", "faster": "bold green", "mended": "green"}
_MEANINGS = {
    "broken": "works in base, fails in head",
    "mended": "fails in base, works in head",
    "the machine": "moved no further than the libraries' own functions",
    "failed": "fail in both",
    "only base": "not in head",
    "only head": "not in base",
}
_MOST_PROBLEMS = 20  # printed
_MOST_ROWS = 200  # of a table in Markdown: a comment may have 65,536 characters


def print_problems(console: Console, problems: Sequence[Problem]) -> None:
    """Print what could not be read, a line each."""
    for problem in problems[:_MOST_PROBLEMS]:
        console.print(f"[yellow]{escape(str(problem))}[/]", soft_wrap=True)
    if len(problems) > _MOST_PROBLEMS:
        console.print(f"[yellow]and {len(problems) - _MOST_PROBLEMS} more that cannot be read[/]")


def print_comparison(console: Console, comparison: Comparison, *, everything: bool = False) -> None:
    """Print what changed (or everything), and the count of each outcome."""
    shown = OUTCOMES if everything else CHANGED
    listed = [entry for entry in comparison.entries if entry.outcome in shown]
    if comparison.is_mostly_lost:
        console.print(f"[bold yellow]{_lost_line(comparison)}[/]")
    if listed:
        _print_entries(console, listed)
        console.print()
    for note in comparison.notes:
        print_line(console, f"[yellow]note:[/] {escape(printable(note))}")
    for line in _unlisted_lines(comparison.entries, shown):
        print_line(console, escape(line))
    colour = {0: "bold green", 1: "bold red", 2: "bold yellow"}[comparison.exit_code]
    print_line(console, escape(headline(comparison)), style=colour)


def _print_entries(console: Console, entries: Sequence[CaseComparison]) -> None:
    """Print each entry, and below it what it was measured with and what is to be said of it."""
    table = text_table("head over base", "ratio", "95 %", "noise", align="lRRR")
    for outcome, entries_of_outcome in itertools.groupby(entries, lambda entry: entry.outcome):
        group, meaning = list(entries_of_outcome), _MEANINGS.get(outcome)
        title = f"{outcome} ({len(group)})" + (f": {meaning}" if meaning else "")
        table.add_line(title, style=_COLOURS.get(outcome, "bold"))
        for entry in group:
            table.add_row(escape(printable(entry.name)), *_numbers(entry))
            # The note of what only one side has is the title.
            note = "" if entry.outcome.startswith("only") else printable(entry.note or "")
            words = measured_with(entry) + (f": {note}" if note else "")
            table.add_line(escape(words), style="dim", indent=2)
    console.print(table)


def _numbers(entry: CaseComparison) -> tuple[str, str, str]:
    if entry.ratio is None:
        return "", "", ""
    limits = "?"
    if entry.ratio.low > 0:
        limits = f"{_short(entry.ratio.low)}-{_short(entry.ratio.high)}"
    noise = f"{_two_digits(100 * entry.noise)}%" if math.isfinite(entry.noise) else "?"
    return f"{_short(entry.ratio.estimate)}x", limits, noise


def _two_digits(percent: float) -> str:
    return f"{percent:.1f}" if percent < 9.95 else f"{percent:.0f}"


def _short(value: float) -> str:
    return f"{value:.2f}" if 0.1 <= value < 10 else three_digits(value)


def measured_with(entry: CaseComparison) -> str:
    """Return the backend of an entry, its mode if not eager, its function if not ours."""
    row = entry.row
    native = "" if row.implementation == "portable" else f", {row.function}"
    return printable(f"{backend_mode_of(row)}{native}")


def _unlisted_lines(entries: Sequence[CaseComparison], shown: Sequence[str]) -> Iterable[str]:
    """Yield how many entries are not listed, and why or on which backends."""
    for outcome in OUTCOMES:
        unlisted = [entry for entry in entries if entry.outcome == outcome]
        if not unlisted or outcome in shown:
            continue
        of_what = (e.note if outcome == "undecided" else e.row.backend for e in unlisted)
        parts = Counter(printable(part or "") for part in of_what).most_common()
        listed = ", ".join(f"{number} {part}" for part, number in parts)
        meaning = f", {_MEANINGS[outcome]}" if outcome in _MEANINGS else ""
        yield f"{outcome}: {len(unlisted)}{meaning} ({listed})"


def _lost_line(comparison: Comparison) -> str:
    lost, in_base = (
        comparison.counts["only base"],
        sum(e.base is not None for e in comparison.entries),
    )
    return f"{lost} of {number_of(in_base, 'case')} of base are missing in head"


def headline(comparison: Comparison) -> str:
    """Return the answer in a line."""
    counts = comparison.counts
    wrong = next((name for name in ("slower", "broken") if counts[name]), "cases are lost")
    unknown = "most is undecided" if counts["undecided"] else "not enough was measured to tell"
    if comparison.is_mostly_lost:
        unknown = "most cases of base are missing in head"
    first = {0: "nothing is slower", 1: wrong, 2: unknown}[comparison.exit_code]
    parts = [f"{number} {name}" for name, number in counts.items() if number]
    summary = f"{first}: {', '.join(parts) or 'no cases'}"
    mean = comparison.geometric_mean
    if mean is not None:
        number = sum(entry.ratio is not None for entry in comparison.entries)
        summary += f"; geometric mean of {number} ratios {_short(mean)}x"
    return summary


# --- Markdown ------------------------------------------------------------------------------------


def comparison_as_markdown(comparison: Comparison, *, everything: bool = False) -> str:
    """Return the comparison for a pull request."""
    shown = OUTCOMES if everything else CHANGED
    lines = ["### Times of head over base", "", f"**{escape_markdown(headline(comparison))}**", ""]
    if comparison.is_mostly_lost:
        lines[2:2] = [f"**{_lost_line(comparison)}**", ""]
    entries = [
        entry for outcome in shown for entry in comparison.entries if entry.outcome == outcome
    ]
    if entries:
        head = ("", "case", "measured with", "ratio", "95 %", "noise")
        cells = ((e.outcome, e.name, measured_with(e), *_numbers(e)) for e in entries[:_MOST_ROWS])
        lines += markdown_table(head, cells, align="lllrrr")
        if len(entries) > _MOST_ROWS:
            lines.append(f"\nand {len(entries) - _MOST_ROWS} more")
        lines.append("")
    lines += [f"- {escape_markdown(line)}" for line in _unlisted_lines(comparison.entries, shown)]
    lines += [f"- note: {escape_markdown(note)}" for note in comparison.notes]
    return "\n".join(lines).rstrip() + "\n"


# --- JSON ----------------------------------------------------------------------------------------


def comparison_as_json(comparison: Comparison, problems: Sequence[Problem] = ()) -> dict[str, Any]:
    """Return the comparison for scripts."""
    return {
        "exit_code": comparison.exit_code,
        "counts": comparison.counts,
        "geometric_mean": comparison.geometric_mean,
        "notes": comparison.notes,
        "problems": [str(problem) for problem in problems],
        "entries": [_entry_as_json(entry) for entry in comparison.entries],
    }


def _entry_as_json(entry: CaseComparison) -> dict[str, Any]:
    found, row = entry.ratio, entry.row
    return {
        "name": entry.name,
        "backend": row.backend,
        "mode": row.mode,
        "threads_asked": row.threads_asked,
        "implementation": row.implementation,
        "function": row.function,
        "outcome": entry.outcome,
        "verdict": entry.verdict.value,
        "ratio": found and found.estimate,
        "interval": [found.low, found.high] if found and found.low > 0 else None,
        "noise": entry.noise if math.isfinite(entry.noise) else None,
        "threshold": entry.threshold,
        "note": entry.note,
        "machine": _drift_as_json(entry.drift),
        "base": _row_as_json(entry.base),
        "head": _row_as_json(entry.head),
    }


def _drift_as_json(drift: Drift | None) -> dict[str, Any] | None:
    if drift is None:
        return None
    names = ("ratio", "spread", "natives", "whose")
    return {name: getattr(drift, name) for name in names}


def _row_as_json(row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    reason = failure_reason(row)
    origin = ("run", "time", "commit", "machine", "backend_version")
    return {
        **{name: getattr(row, name) for name in origin},
        "median_s": None if reason else statistics.median(row.samples_s),
        "samples": len(row.samples_s),
        "error": reason,
    }
