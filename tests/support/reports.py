"""The parts of a page, and rows to make one of."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from unittest import mock

from tests.support.rows import failed_row, native, timed
from unpool_xp.bench.measure.machine import Machine
from unpool_xp.bench.report import charts, payload, view
from unpool_xp.bench.report.ranked import ranked_cases, ranked_machines
from unpool_xp.bench.report.write import ReportFiles, write_report
from unpool_xp.bench.rows.files import Problem
from unpool_xp.bench.rows.schema import Row, parse_row


class Page(HTMLParser):
    """The parts of a page: tags with attributes, the text outside of code, what it carries."""

    def __init__(self, files: ReportFiles) -> None:
        super().__init__()
        self.pngs = files.pngs
        self.html = files.html.read_text(encoding="utf-8")
        self.summary = files.markdown.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.carried: dict[str, bytes] = {}
        self.text = ""
        self._within: list[str] = []
        self.feed(self.html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self._within.append(dict(attributes).get("id") or tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._within.pop()

    def handle_data(self, data: str) -> None:
        if not self._within:
            self.text += data
        elif self._within[0] not in ("script", "style"):
            self.carried[self._within[0]] = gzip.decompress(base64.b64decode(data))

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.carried["data"])
        return found

    @property
    def rows(self) -> list[Row]:
        return [parse_row(line) for line in self.carried["raw"].splitlines()]


@contextlib.contextmanager
def without_charts() -> Iterator[None]:
    """Leave out the charts of a page, which take nearly all of its time."""
    with (
        mock.patch.object(view, "time_png_spec", return_value=None),
        mock.patch.object(payload, "chart_specs", return_value={}),
        mock.patch.object(charts, "javascript", return_value=""),
    ):
        yield


def report(
    folder: Path, rows: Iterable[Row], problems: Sequence[Problem] = (), **machines: Machine
) -> Page:
    return Page(write_report(rows, problems, folder, machines=machines))


def some_rows(**fields: Any) -> list[Row]:
    rows = []
    for size in (32, 256):
        more = {"shape": [1, 8, size, size], "bytes_moved": 48 * size**2, **fields}
        rows += [
            timed("numpy", 1e-8 * size**2, **more),
            timed("torch:cpu", 2e-5 + 4e-9 * size**2, **more),
            native("torch:cpu", 1e-5 + 2e-9 * size**2, "torch.max_pool2d", **more),
            timed("jax:cpu", 3e-8 * size**2, mode="compiled", **more),
            failed_row("out of memory", backend="dask", **more),
        ]
    return rows


def cases_of(*rows: Row) -> Any:
    return ranked_cases(rows)


def machine_of(*rows: Row) -> Any:
    (machine,) = ranked_machines(rows)
    return machine
