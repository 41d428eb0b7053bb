"""One HTML page that works offline, a PNG chart an operation, and a Markdown summary."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from unpool_xp.bench.measure.machine import Machine
from unpool_xp.bench.report import charts
from unpool_xp.bench.report.chart_specs import chart_specs
from unpool_xp.bench.report.markdown import markdown
from unpool_xp.bench.report.payload import gzip_base64, gzip_base64_json, machine_data, pack_rows
from unpool_xp.bench.report.ranked import SIZE_CLASSES
from unpool_xp.bench.report.view import report_view
from unpool_xp.bench.rows.files import Problem
from unpool_xp.bench.rows.schema import Row
from unpool_xp.bench.verdicts.bootstrap import THRESHOLD

_MOST_PROBLEMS = 100  # listed
_CAPTION = (
    "Filled: portable; hollow: native. Dashed: compiled. Dotted grey: a plain copy of the bytes."
)
_SCRIPTS = (
    "core.js",
    "tables.js",
    "charts.js",
    "answers.js",
    "sections.js",
    "start.js",
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
    page.write_text(_html(view, rows, backends), encoding="utf-8")
    summary.write_text(markdown(view), encoding="utf-8")
    return ReportFiles(page, summary, tuple(pngs))


def _html(view: Mapping[str, Any], rows: Sequence[Row], backends: Sequence[str]) -> str:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    drawn = bool(view["machines"])
    raw = pack_rows(rows)
    return environment.from_string(_read("template.html")).render(
        **view,
        shown=_MOST_PROBLEMS,
        style=Markup(_read("style.css")),
        scripts=Markup("\n".join(_read(name) for name in _SCRIPTS) if drawn else ""),
        # Squeezed: base64 holds nothing that a browser takes for markup, whatever rows say.
        vega=gzip_base64(charts.javascript().encode()) if drawn else "",
        data=gzip_base64_json(_data(view, backends)) if drawn else "",
        raw=raw,
    )


def _data(view: Mapping[str, Any], backends: Sequence[str]) -> dict[str, Any]:
    return {
        "backends": view["backends"],
        "threshold": THRESHOLD,
        "bands": [[most, name] for most, name in SIZE_CLASSES],
        "specs": chart_specs(backends),
        "themes": {
            "light": charts.theme(backends),
            "dark": charts.theme(backends, dark=True),
        },
        "machines": [
            {
                "id": machine["id"],
                "title": machine["title"],
                "anchor": machine["anchor"],
                "bandNumbers": [band["number"] for band in machine["bands"]],
                **machine_data(machine, backends),
            }
            for machine in view["machines"]
        ],
    }


def _read(name: str) -> str:
    source = importlib.resources.files("unpool_xp.bench.report") / "static" / name
    return source.read_text(encoding="utf-8")
