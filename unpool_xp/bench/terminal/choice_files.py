"""The answer of `choose` for scripts, documents and spreadsheets: JSON, Markdown, CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from unpool_xp.bench.cases.formatting import csv_cell, escape_markdown, markdown_table
from unpool_xp.bench.choose import Choice
from unpool_xp.bench.rows.names import contender_text
from unpool_xp.bench.rows.schema import Row, elements
from unpool_xp.bench.terminal.choice import answer_lines, code_for, codes_for
from unpool_xp.bench.terminal.ranking import LEGEND, failure_lines, ranking_cells
from unpool_xp.bench.verdicts.against import Beside, OtherMachine
from unpool_xp.bench.verdicts.crossover import DeviceCrossover
from unpool_xp.bench.verdicts.ranking import Ranking

# In JSON what has no time has null for these.
_OF_A_TIME = (
    *("place", "seconds", "interval", "times_best", "beside_best", "budget_needed_s", "share_best"),
    "samples",
    "processes",
    "disturbed",
    "between_processes",
    "cold_s",
)
CSV_COLUMNS = (
    *(
        "machine",
        "case",
        "place",
        "name",
        "backend",
        "mode",
        "threads_asked",
        "implementation",
        "function",
    ),
    *("seconds", "low_s", "high_s", "times_best", "beside_best", "share_best", "cold_s"),
    *("samples", "processes", "disturbed", "reason"),
)


def choice_as_json(choice: Choice, others: Sequence[OtherMachine] = ()) -> dict[str, Any]:
    """Return the answer for scripts: numbers that are no numbers are null, as JSON has none."""
    ranking, with_transfer = choice.ranking(), choice.ranking(with_transfer=True)
    portable = ranking.best_portable
    return {
        "case": choice.case.to_json(),
        "budget_s": choice.budget_s,
        "use": [entry.name for entry in ranking.timed if entry.is_fastest],
        "code": code_for(choice.case, ranking.best.row) if ranking.best else None,
        "portable": portable
        and {
            "use": portable.name,
            "times_best": portable.to_best.estimate,
            "code": code_for(choice.case, portable.row),
        },
        "ranking": ranking_as_json(choice, ranking),
        "with_transfer": ranking_as_json(choice, with_transfer),
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
            {"from_elements": elements(change.row), "use": change.winner, "tied": change.tied}
            for change in choice.crossovers()
        ],
        "device_crossovers": [
            _crossover_as_json(crossing)
            for copies in (False, True)
            for crossing in choice.device_crossovers(with_transfer=copies)
        ],
        "against": against_as_json(others),
    }


def against_as_json(others: Sequence[OtherMachine]) -> list[dict[str, Any]]:
    """Return what other machines have for the same cases, each beside the best here."""
    return [
        {
            "machine": other.machine,
            "cases": [
                {
                    "name": case.name,
                    "here": case.here.best and case.here.best.name,
                    "cpu": _beside_as_json(case.best(gpu=False)),
                    "gpu": _beside_as_json(case.best(gpu=True)),
                    "gpu_with_transfer": _beside_as_json(case.best(gpu=True, with_transfer=True)),
                }
                for case in other.cases
            ],
            "missing": [case.name for case in other.missing],
        }
        for other in others
    ]


def _beside_as_json(beside: Beside | None) -> dict[str, Any] | None:
    if beside is None:
        return None
    return {
        "use": beside.there.name,
        "seconds": beside.there.seconds,
        "times_here": beside.ratio.estimate,
        "beside_here": beside.verdict.value,
        "backend_version": beside.there.row.backend_version,
        "time": beside.there.row.time,
    }


def ranking_as_json(choice: Choice, ranking: Ranking) -> list[dict[str, Any]]:
    """Return an object for each candidate, the fastest first, then those that have no time."""

    def what(row: Row) -> dict[str, Any]:
        fields = ("machine", "backend", "mode", "threads_asked", "implementation", "function")
        return {"name": contender_text(row), **{name: getattr(row, name) for name in fields}}

    timed = [
        {
            **what(entry.row),
            "place": entry.place,
            "seconds": entry.seconds,
            "interval": [
                end if math.isfinite(end) else None
                for end in (entry.interval.low, entry.interval.high)
            ],
            "times_best": entry.to_best.estimate,
            "beside_best": entry.verdict.value,
            "budget_needed_s": choice.budget_needed(entry),
            "share_best": entry.share_best,
            "samples": len(entry.row.samples_s),
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
    failed = [
        {**what(row), **dict.fromkeys(_OF_A_TIME), "reason": reason}
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


# --- documents and spreadsheets ------------------------------------------------------------------


def choice_as_markdown(
    choice: Choice, others: Sequence[OtherMachine] = (), command: str = ""
) -> str:
    """Return the ranking, the answer, the code for it, and what other machines have."""
    use, *more = map(escape_markdown, answer_lines(choice))
    lines = [f"### {escape_markdown(choice.case.name)}", "", f"**{use}**", ""]
    lines += [f"- {line}" for line in more]
    ranking = choice.ranking()
    heads, align, rows = ranking_cells(ranking, choice.taxes)
    kept = [k for k, letter in enumerate(align) if letter != "b"]
    table = markdown_table(
        [heads[k].replace("\n", " ") for k in kept],
        [[row[k] for k in kept] for row in rows],
        align="".join(align[k].lower() for k in kept),
    )
    failures = [f"- {escape_markdown(line)}" for line in failure_lines(ranking)]
    for part in ([*table, "", LEGEND] if rows else [], failures):
        lines += ["", *part] if part else []
    for title, code in codes_for(choice).items():
        lines += ["", f"{title[0].upper()}{title[1:]}:", "", "```python", *code, "```"]
    return "\n".join(lines + against_as_markdown(others, command)) + "\n"


def against_as_markdown(others: Sequence[OtherMachine], command: str) -> list[str]:
    """Return what other machines have, and the command that measures what they lack."""
    lines = []
    for other in others:
        lines += ["", f"Beside {escape_markdown(other.title)}:", ""]
        lines += [f"- {escape_markdown(line)}" for line in other.lines()]
    if any(other.missing for other in others):
        lines += ["", "The command for the rows that are missing, to run there:", ""]
        lines += ["```shell", command, "```"]
    return lines


def choice_as_csv(choice: Choice, others: Sequence[OtherMachine] = ()) -> str:
    """Return the rankings of all machines, a line a candidate; times are in seconds."""
    return table_as_csv((), [({}, choice)], others)


def table_as_csv(
    columns: Sequence[str],
    parts: Sequence[tuple[dict[str, Any], Choice]],
    others: Sequence[OtherMachine] = (),
) -> str:
    """Return the rankings of choices, each with its own values of more columns; then of others."""
    text = io.StringIO()
    writer = csv.DictWriter(
        text, (*columns, *CSV_COLUMNS), extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    there = (zip(parts, other.cases, strict=True) for other in others)
    for more, choice, ranking in (
        *((more, choice, choice.ranking()) for more, choice in parts),
        *((more, choice, case.there) for pairs in there for (more, choice), case in pairs),
    ):
        for entry in ranking_as_json(choice, ranking):
            low, high = entry["interval"] or (None, None)
            line = {**more, **entry, "case": choice.case.name, "low_s": low, "high_s": high}
            writer.writerow({name: csv_cell(value) for name, value in line.items()})
    return text.getvalue()
