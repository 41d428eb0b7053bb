"""One HTML page that works offline, a PNG chart an operation, and a Markdown summary."""

from __future__ import annotations

import html
import importlib.resources
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from unpool_xp.bench import charts
from unpool_xp.bench.machine import Machine
from unpool_xp.bench.report_view import report_view
from unpool_xp.bench.results import Problem, Row

_MOST_PROBLEMS = 100  # listed


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
    >>> from unpool_xp.bench.report import write_report
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_report([], [], folder).html.name
    'report.html'
    """
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    view = report_view(list(rows), problems, dict(machines or {}))
    operations = [part for machine in view["machines"] for part in machine["operations"]]
    pngs = []
    for part in operations:
        if part["spec"] is not None:
            title = f"{part['name']} on {part['machine']}"
            pngs.append(charts.write_png(part["spec"], out_dir / part["png"], title))
    page, summary = out_dir / "report.html", out_dir / "report.md"
    page.write_text(_html(view, bool(pngs)), encoding="utf-8")
    summary.write_text(_markdown(view), encoding="utf-8")
    return ReportFiles(page, summary, tuple(pngs))


def _html(view: Mapping[str, Any], drawn: bool) -> str:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = importlib.resources.files("unpool_xp.bench") / "report_template.html"
    return environment.from_string(source.read_text(encoding="utf-8")).render(
        **view,
        caption=charts.CAPTION,
        shown=_MOST_PROBLEMS,
        script=Markup(charts.javascript()) if drawn else "",
        themes={"light": charts.theme(), "dark": charts.theme(dark=True)},
    )


# --- Markdown ------------------------------------------------------------------------------------


def _markdown(view: Mapping[str, Any]) -> str:
    lines = ["# Which backend is fastest", ""]
    if not view["machines"]:
        lines += ["There are no rows to report.", ""]
    if len(view["machines"]) > 1:
        lines += ["Several machines: no time is compared with one of another machine.", ""]
    for machine in view["machines"]:
        lines += [f"## Machine {_cell(machine['id'])}", ""]
        lines += [*(f"- {name}: {_cell(value)}" for name, value in machine["facts"]), ""]
        if machine["answers"]:
            names = ("operation", "size", "winner", "settings", "tied")
            head = ("operation", "from elements", "fastest", "settings", "or (tied)")
            lines += _table(head, ([a[name] for name in names] for a in machine["answers"]))
        for operation in machine["operations"]:
            lines += [f"### {_cell(operation['name'])}", ""]
            if operation["spec"] is not None:
                lines += [f"![Time against size]({operation['png']})", ""]
            for case in operation["cases"]:
                lines += [f"**{_cell(case['name'])}**", ""]
                lines += [line for note in case["notes"] for line in (_cell(note), "")]
                fields = ("place", "how", "median", "ratio", "tie", "bandwidth")
                columns = ("#", "backend", "median", "over best", "", "GB/s")
                lines += _table(columns, ([e[name] for name in fields] for e in case["entries"]))
        if machine["failures"]:
            lines += ["### Failures", ""]
            names = ("backend", "mode", "function", "case", "reason")
            lines += _table(names, ([f[name] for name in names] for f in machine["failures"]))
    if view["problems"]:
        lines += ["## Lines that could not be read", ""]
        problems = view["problems"][:_MOST_PROBLEMS]
        lines += _table(("file", "line", "reason"), ([p.path, p.line, p.reason] for p in problems))
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    body = [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *body, ""]


def _cell(value: Any) -> str:
    """Return text that stays within its cell and is not taken for markup."""
    text = html.escape(" ".join(str(value).split()), quote=False)
    return re.sub(r"([\\|`*\[\]])", r"\\\1", text)
