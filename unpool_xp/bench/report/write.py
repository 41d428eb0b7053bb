"""One HTML page that works offline, a PNG chart an operation, and a Markdown summary."""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from unpool_xp.bench.cases.formatting import (
    escape_markdown,
    interval_text,
    seconds_text,
    threads_text,
    three_digits,
    times_text,
)
from unpool_xp.bench.measure.machine import Machine
from unpool_xp.bench.report import charts
from unpool_xp.bench.report.payload import (
    PackedRows,
    gzip_base64,
    gzip_base64_json,
    pack_rows,
    page_data,
)
from unpool_xp.bench.report.view import report_view
from unpool_xp.bench.rows.files import Problem
from unpool_xp.bench.rows.names import case_name, contender_text
from unpool_xp.bench.rows.schema import Row

_MOST_LINES = 100  # of a table of problems, and of some in the summary
_MOST_CASES = 200  # with tables in the summary; beyond, the page has them
_CAPTION = (
    "Filled: portable; hollow: native. Dashed: compiled. Dotted grey: a plain copy of the bytes."
)
_SCRIPTS = ("core.js", "tables.js", "charts.js", "answers.js", "sections.js", "start.js")
# What the template of the summary calls.
_WORDS = (
    *(case_name, contender_text, interval_text, seconds_text, threads_text, three_digits),
    times_text,
)


@dataclass(frozen=True)
class ReportFiles:
    """What `write_report` has written."""

    html: Path
    markdown: Path
    pngs: tuple[Path, ...]


def write_report(
    rows: Iterable[Row],
    problems: Sequence[Problem],
    out_dir: str | Path,
    *,
    machines: Mapping[str, Machine] | None = None,
) -> ReportFiles:
    """Write ``report.html``, ``report.md`` and the charts.

    Parameters
    ----------
    rows : iterable of Row
        Of any machines and runs. Of several rows of the same case on a machine the newest counts.
    problems : sequence of Problem
        The lines that could not be read.
    out_dir : str or Path
        The folder; it is made, and files of these names in it are replaced.
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
    view = report_view(rows, problems, dict(machines or {}))
    backends = [backend["name"] for backend in view["backends"]]
    pngs = [
        charts.write_png(
            part["spec"],
            out_dir / part["png"],
            f"{part['name']} on {machine['title']}",
            _CAPTION,
            backends,
        )
        for machine in view["machines"]
        for part in machine["operations"]
        if part["spec"] is not None
    ]
    page, summary = out_dir / "report.html", out_dir / "report.md"
    page.write_text(_html(view, pack_rows(rows)), encoding="utf-8")
    summary.write_text(_markdown(view), encoding="utf-8")
    return ReportFiles(page, summary, tuple(pngs))


def _html(view: Mapping[str, Any], raw: PackedRows) -> str:
    drawn = bool(view["machines"])
    return _render(
        "template.html",
        **view,
        shown=_MOST_LINES,
        style=Markup(_read("style.css")),
        scripts=Markup("\n".join(map(_read, _SCRIPTS)) if drawn else ""),
        # Squeezed: base64 holds nothing that a browser takes for markup, whatever rows say.
        vega=gzip_base64(charts.javascript().encode()) if drawn else "",
        data=gzip_base64_json(page_data(view)) if drawn else "",
        raw=raw,
    )


def _markdown(view: Mapping[str, Any]) -> str:
    text = _render(
        "template.md",
        lambda value: value if isinstance(value, Markup) else Markup(escape_markdown(value)),
        **view,
        **{function.__name__: function for function in _WORDS},
        most_cases=_MOST_CASES,
        most_lines=_MOST_LINES,
    )
    return text.rstrip() + "\n"


def _render(
    template: str, escape: Callable[[object], object] | None = None, **values: object
) -> str:
    environment = jinja2.Environment(
        autoescape=True,
        finalize=escape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.from_string(_read(template)).render(values)


def _read(name: str) -> str:
    source = importlib.resources.files("unpool_xp.bench.report") / "static" / name
    return source.read_text(encoding="utf-8")
