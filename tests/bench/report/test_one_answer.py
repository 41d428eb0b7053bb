"""Each case of a stored sweep has one answer: on the page, in the terminal, in JSON, in the CSV."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from rich.console import Console

from tests.support.reports import Page
from unpool_xp.bench.choose import Choice
from unpool_xp.bench.report.write import ReportFiles, write_report
from unpool_xp.bench.rows.names import case_name, case_of
from unpool_xp.bench.rows.schema import Row, latest, parse_row
from unpool_xp.bench.terminal.choice_files import choice_as_json
from unpool_xp.bench.terminal.ranking import print_ranking
from unpool_xp.bench.verdicts.ranking import by_workload, rank, tax

SWEEPS = Path(__file__).parents[3] / "results" / "sweeps"
LINES = [
    line
    for path in sorted((SWEEPS / "intel-xeon-2core-4e0c25").glob("*.jsonl"))
    for line in path.read_bytes().splitlines()
]
CASES = by_workload(latest(map(parse_row, LINES)))


WHAT = ("operation", "shape", "dtype")
PARAMETERS = ("kernel", "stride", "padding", "scale", "out_channels")  # of the files, of schema 1
WHO = ("backend", "mode", "implementation", "function")


def fastest_by_hand() -> dict[str, tuple[Any, ...]]:
    """Return who has the least median in each case, from the lines of the files alone."""
    found: dict[str, dict[tuple[Any, ...], float]] = {}
    for line in LINES:
        row = json.loads(line)
        does_less = "values only" in row["function"]
        if row["checked"] and row["samples_s"] and not does_less:
            process = row.get("process") or [0] * len(row["samples_s"])
            own: dict[int, list[float]] = {}
            for number, sample in zip(process, row["samples_s"], strict=True):
                own.setdefault(number, []).append(sample)
            given = {name: row[name] for name in PARAMETERS if row[name] is not None}
            times = found.setdefault(str([*(row[name] for name in WHAT), given]), {})
            times[tuple(row[name] for name in WHO)] = median(map(median, own.values()))
    return {key: min(times, key=times.__getitem__) for key, times in found.items()}


def in_terminal(rows: list[Row]) -> list[str]:
    """Return the names of a ranking as it is printed, those of the first place first."""
    text = io.StringIO()
    print_ranking(Console(file=text, width=200), rank(rows), tax(rows))
    return re.findall(r"^ *\d+[=?]? +(.+?)  ", text.getvalue(), re.MULTILINE)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    rows = [row for rows in CASES.values() for row in rows]
    return write_report(rows, [], tmp_path_factory.mktemp("report"))


def test_the_page_and_the_terminal_rank_alike_and_as_the_samples_do(files):
    (machine,) = Page(files).data["machines"]
    names, cases, columns = machine["names"], machine["cases"], machine["rows"]
    on_page: dict[str, list[str]] = {}
    for number, name in zip(columns["case"], columns["name"], strict=True):
        what = (names[of][cases[of][number]] for of in ("operation", "settings"))
        case = "{} {shape}, {}".format(*what, shape=cases["shape"][number])
        on_page.setdefault(case, []).append(names["name"][name])
    by_hand = fastest_by_hand()
    assert len(on_page) == len(by_hand) == len(CASES) == 29
    for rows in CASES.values():
        ranking = rank(rows)
        ranked = [entry.name for entry in ranking.timed]
        assert on_page[case_name(rows[0])] == in_terminal(rows) == ranked
        best = ranking.best.row
        case = str([*(getattr(best, name) for name in WHAT), best.parameters])
        assert tuple(getattr(best, name) for name in WHO) == by_hand[case]


def test_json_ranks_as_the_page_does():
    for rows in CASES.values():
        timed = rank(rows).timed
        answer = choice_as_json(Choice(case_of(rows[0]), rows, {}))
        assert answer["use"] == [entry.name for entry in timed if entry.is_fastest]
        told = [(entry["backend"], entry["mode"], entry["place"]) for entry in answer["ranking"]]
        assert told[: len(timed)] == [(e.row.backend, e.row.mode, e.place) for e in timed]


def test_the_table_of_what_to_use_names_one_of_the_fastest_of_each_of_its_cases(files):
    with files.decisions.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    page = Page(files).words
    assert sum(int(line["cases"]) for line in lines) == len(CASES)
    for line in lines:
        assert line["use"] in page
        covered = [
            rank(rows)
            for rows in CASES.values()
            if rows[0].operation == line["operation"]
            and int(line["bytes_from"]) <= max(r.bytes_moved for r in rows) <= int(line["bytes_to"])
        ]
        fastest = [{e.name for e in ranking.timed if e.is_fastest} for ranking in covered]
        assert sum(line["use"] in names for names in fastest) >= int(line["cases"])
