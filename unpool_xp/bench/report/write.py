"""An HTML page that works offline, a PNG chart an operation, a Markdown summary and CSV tables."""

from __future__ import annotations

import csv
import importlib.resources
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from unpool_xp.bench.cases.formatting import (
    csv_cell,
    escape_markdown,
    interval_text,
    printable,
    range_text,
    seconds_text,
    sizes_text,
    threads_text,
    three_digits,
    times_text,
)
from unpool_xp.bench.measure.machine import Machine
from unpool_xp.bench.report import charts
from unpool_xp.bench.report.payload import (
    gzip_base64,
    gzip_base64_json,
    pack_rows,
    page_data,
)
from unpool_xp.bench.report.view import report_view
from unpool_xp.bench.rows.files import Problem
from unpool_xp.bench.rows.names import case_name, contender_text, operation_text, settings_text
from unpool_xp.bench.rows.schema import Row
from unpool_xp.bench.verdicts import decisions

_MOST_LINES = 100  # of a table of problems, and of some in the summary
_CSV_COLUMNS = (
    *("machine", "operation", "shape", "settings", "backend", "mode", "implementation", "function"),
    *("place", "seconds", "low", "high", "disturbed", "between_low", "between_high", "cold_s"),
    *("first_call_s", "to_device_s", "from_device_s", "to_device_pinned_s", "from_device_pinned_s"),
    *("peak_bytes", "gb_s", "copy_gb_s", "reason"),
)
_MOST_CASES = 200  # with tables in the summary; beyond, the page has them
_CAPTION = (
    "Filled: portable; hollow: native. Dashed: compiled. Dotted grey: a plain copy of the bytes."
)
_SCRIPTS = ("core.js", "tables.js", "charts.js", "maps.js", "sections.js", "start.js")
# What the templates call.
_WORDS = (
    *(case_name, contender_text, interval_text, range_text, seconds_text, threads_text),
    *(three_digits, times_text),
)


@dataclass(frozen=True)
class ReportFiles:
    """What `write_report` has written."""

    html: Path
    markdown: Path
    csv: Path  # the rows
    decisions: Path
    pngs: tuple[Path, ...]


def write_report(
    rows: Iterable[Row],
    problems: Sequence[Problem],
    out_dir: str | Path,
    *,
    machines: Mapping[str, Machine] | None = None,
) -> ReportFiles:
    """Write ``report.html``, ``report.md``, ``report.csv``, ``decisions.csv`` and the charts.

    Parameters
    ----------
    rows : iterable of Row
        Of any machines and runs. Of several rows of the same case on a machine the newest counts.
    problems : sequence of Problem
        The lines that could not be read.
    out_dir : str or Path
        The folder; it is made. Files of these names in it are replaced once all of them are
        written.
    machines : mapping of str to Machine, optional
        What is known of the machines, by id.

    Returns
    -------
    ReportFiles
        The files.

    Examples
    --------
    >>> import tempfile
    >>> from unpool_xp.bench.report.write import write_report
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_report([], [], folder).html.name
    'report.html'
    """
    out_dir, rows = Path(out_dir), list(rows)
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".report-", dir=out_dir) as folder:
        new = Path(folder)
        view = report_view(rows, problems, dict(machines or {}))
        backends = [backend["name"] for backend in view["backends"]]
        pngs = [
            charts.write_png(
                part["spec"],
                new / part["png"],
                f"{part['name']} on {machine['title']}",
                _CAPTION,
                backends,
            )
            for machine in view["machines"]
            for part in machine["operations"]
            if part["spec"] is not None
        ]
        page, summary, table = (new / f"report.{ending}" for ending in ("html", "md", "csv"))
        answers = new / "decisions.csv"
        page.write_text(_html(view, rows), encoding="utf-8")
        summary.write_text(_markdown(view), encoding="utf-8")
        _write_csv(table, _CSV_COLUMNS, _csv_lines(view))
        decided = (decision for machine in view["machines"] for decision in machine["decisions"])
        _write_csv(answers, decisions.CSV_COLUMNS, (decision.as_csv() for decision in decided))
        # The page last: what it speaks of is there.
        moved = [
            path.replace(out_dir / path.name) for path in (*pngs, answers, table, summary, page)
        ]
    *drawn, answers, table, summary, page = moved
    return ReportFiles(page, summary, table, answers, tuple(drawn))


def _html(view: Mapping[str, Any], rows: Sequence[Row]) -> str:
    drawn = bool(view["machines"])
    return _render(
        "template.html",
        _without_controls,
        **view,
        backend_names=[backend["name"] for backend in view["backends"]],
        shown=_MOST_LINES,
        style=Markup(_read("style.css")),
        scripts=Markup("\n".join(map(_read, _SCRIPTS)) if drawn else ""),
        # Squeezed: base64 holds nothing that a browser takes for markup, whatever rows say.
        vega=gzip_base64(charts.javascript().encode()) if drawn else "",
        data=gzip_base64_json(page_data(view, rows)) if drawn else "",
        raw=pack_rows(rows),
    )


def _without_controls(value: object) -> object:
    return value if hasattr(value, "__html__") else printable(str(value))


def _markdown(view: Mapping[str, Any]) -> str:
    text = _render(
        "template.md",
        lambda value: value if isinstance(value, Markup) else Markup(escape_markdown(value)),
        **view,
        most_cases=_MOST_CASES,
        most_lines=_MOST_LINES,
    )
    return text.rstrip() + "\n"


def _write_csv(path: Path, columns: Sequence[str], lines: Iterable[Mapping[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({name: csv_cell(cell) for name, cell in line.items()} for line in lines)


def _csv_lines(view: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for machine in view["machines"]:
        for case, limits in zip(machine["cases"], machine["limits"], strict=True):
            for timed, limit in zip(case.timed, limits, strict=True):
                interval, between = timed.interval, timed.disagreement
                yield {
                    **_csv_cells(machine["id"], timed.row),
                    "place": timed.place,
                    "seconds": timed.seconds,
                    # As on the page, too few samples have no interval.
                    "low": interval.low or None,
                    "high": interval.high if math.isfinite(interval.high) else None,
                    "disturbed": int(timed.disturbed),
                    "between_low": between and between.low,
                    "between_high": between and between.high,
                    "gb_s": timed.gb_s,
                    "copy_gb_s": limit,
                }
            for row, reason in case.failed:
                yield {**_csv_cells(machine["id"], row), "reason": reason}


def _csv_cells(machine: str, row: Row) -> dict[str, Any]:
    known = {name: getattr(row, name) for name in _CSV_COLUMNS if hasattr(row, name)}
    return {
        **known,
        "machine": machine,
        "operation": operation_text(row),
        "shape": sizes_text(row.shape),
        "settings": settings_text(row),
        "disturbed": None,
        "copy_gb_s": None,
    }


def _render(template: str, escape: Callable[[object], object], **values: object) -> str:
    environment = jinja2.Environment(
        autoescape=True,
        finalize=escape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = {function.__name__: function for function in _WORDS}
    return environment.from_string(_read(template)).render(words | values)


def _read(name: str) -> str:
    source = importlib.resources.files("unpool_xp.bench.report") / "static" / name
    return source.read_text(encoding="utf-8")
