"""The report: complete, honest about ties and failures, offline, and safe whatever rows say."""

from __future__ import annotations

import json
import re
import struct
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import vl_convert

from tests.test_ranking import native, timed
from tests.test_results import failed_row, make_row
from unpool_xp.bench import charts
from unpool_xp.bench.machine import this_machine
from unpool_xp.bench.report import write_report
from unpool_xp.bench.results import Problem, Row
from unpool_xp.bench.verdict import Interval, Ratio
from unpool_xp.bench.wording import (
    digits,
    interval_text,
    ratio_text,
    seconds_text,
    settings_text,
)

ATTACK = "<script>alert(1)</script>"


class Page(HTMLParser):
    """The parts of a page: tags with their attributes, and the text outside of code."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.specs: list[Any] = []
        self.text = ""
        self._within: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            kind = dict(attributes).get("type") or tag
            self._within.append(kind)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._within.pop()

    def handle_data(self, data: str) -> None:
        if self._within == ["application/json"]:
            self.specs.append(json.loads(data))
        elif not self._within:
            self.text += data


def report(folder: Path, rows: list[Row], problems: list[Problem] | None = None) -> Page:
    return Page(write_report(rows, problems or [], folder).html.read_text(encoding="utf-8"))


def some_rows(**fields: Any) -> list[Row]:
    rows = []
    for size in (32, 256):
        more = {"shape": [1, 8, size, size], **fields}
        rows += [
            timed("numpy", 1e-8 * size**2, **more),
            timed("torch:cpu", 2e-5 + 4e-9 * size**2, **more),
            native("torch:cpu", 1e-5 + 2e-9 * size**2, "torch.max_pool2d", **more),
            timed("jax:cpu", 3e-8 * size**2, mode="compiled", **more),
            failed_row("out of memory", backend="dask", **more),
        ]
    return rows


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    here = this_machine()
    rows = some_rows(machine=here.id)
    return write_report(
        rows, [Problem(Path("a.jsonl"), 7, "torn")], folder, machines={here.id: here}
    )


@pytest.fixture(scope="module")
def page(written):
    return Page(written.html.read_text(encoding="utf-8"))


# --- what it says --------------------------------------------------------------------------------


def test_the_page_says_who_is_fastest_on_what_and_why_something_failed(page):
    here = this_machine()
    for words in (
        *(here.id, here.cpu, "numpy 2.0 on cpu", "0123456789abcdef", "2025-01-01"),
        *("torch:cpu eager native", "torch.max_pool2d", "max_pool 1x8x256x256, kernel 2x2"),
        *("out of memory", "a.jsonl", "torn", "Failed: dask eager portable"),
    ):
        assert words in page.text


def test_the_tax_is_told_where_there_is_a_native(page):
    taxes = re.findall(r"\d+\.\d+x \(\d[^)]* to \d[^)]*\)", page.text)
    assert len(taxes) == 2


def test_a_chart_has_every_time_and_no_failure(page):
    (spec,) = page.specs
    values = spec["data"]["values"]
    assert len(values) == 8
    assert {value["backend"] for value in values} == {"numpy", "torch:cpu", "jax:cpu"}
    assert all(value["low"] <= value["seconds"] <= value["high"] for value in values)


def test_a_chart_draws_a_symbol_for_every_time(page):
    drawn = vl_convert.vegalite_to_svg({**page.specs[0], "width": 400}, config=charts.theme())
    assert drawn.count('aria-roledescription="point"') == len(page.specs[0]["data"]["values"])
    assert drawn.count('aria-roledescription="line mark"') == 4
    for words in ("numpy", "torch:cpu", "jax:cpu", "eager", "compiled"):
        assert f">{words}<" in drawn


def test_the_pictures_are_pictures(written):
    assert len(written.pngs) == 1
    for path in written.pngs:
        data = path.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", data[16:24])
        assert width > height > 500


def test_the_summary_has_the_same(written):
    text = written.markdown.read_text(encoding="utf-8")
    assert re.search(r"^\| 1 \| torch:cpu eager native max_pool2d \|", text, re.MULTILINE)
    assert f"({written.pngs[0].name})" in text
    assert "out of memory" in text
    assert "torn" in text
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == 5
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_no_rows_make_a_page_that_says_so(tmp_path):
    files = write_report([], [], tmp_path / "new" / "folder")
    assert files.pngs == ()
    text = files.html.read_text(encoding="utf-8")
    assert "no rows" in text
    assert "<table" not in text
    assert "vegaEmbed" not in text
    assert "no rows" in files.markdown.read_text(encoding="utf-8")


def test_problems_alone_are_shown(tmp_path):
    problems = [Problem(Path("run.jsonl"), line, "torn") for line in range(1, 151)]
    page = report(tmp_path, [], problems)
    assert "no row that could be read" in page.text
    assert "150 in all; the first 100" in page.text


def test_failures_alone_are_shown(tmp_path):
    page = report(tmp_path, [failed_row("crash")])
    assert "Nothing here has a checked result" in page.text
    assert "crash" in page.text
    assert not page.specs


def test_what_was_not_checked_has_no_time_on_the_page(tmp_path):
    page = report(tmp_path, [timed("numpy", 0.123, checked=False), timed("dask", 0.2)])
    assert "not checked" in page.text
    assert "123 ms" not in page.text


def test_ties_are_called_ties(tmp_path):
    rows = [timed("numpy", 1.0), timed("dask", 1.001), timed("jax:cpu", 1.5, n=2)]
    text = write_report(rows, [], tmp_path).markdown.read_text(encoding="utf-8")
    places = re.findall(r"^\| (1=|1|2|3) \| (\S+) .*\| (same|undecided|) \|", text, re.MULTILINE)
    assert [place for place, _, _ in places] == ["1="] * 3
    assert places[1][2] == "same"
    assert places[2][1:] == ("jax:cpu", "undecided")


def test_machines_are_kept_apart_and_this_is_said(tmp_path):
    rows = [timed("numpy", 1.0, machine="slow-box"), timed("numpy", 0.5, machine="fast-box")]
    page = report(tmp_path, rows)
    assert "no time is compared with one of another machine" in page.text
    assert page.text.index("Machine fast-box") < page.text.index("Machine slow-box")
    assert page.text.count("1.00x") == 2
    assert len({spec["data"]["values"][0]["seconds"] for spec in page.specs}) == 2


def test_a_backend_keeps_its_colour_on_the_page_and_is_in_no_legend_without_a_time(tmp_path):
    rows = [timed("numpy", 1.0), timed("dask", 1.0, machine="other-box")]
    specs = [spec["layer"][0]["encoding"]["color"] for spec in report(tmp_path, rows).specs]
    assert [spec["scale"]["domain"] for spec in specs] == [["dask", "numpy"]] * 2
    assert [spec["legend"]["values"] for spec in specs] == [["numpy"], ["dask"]]


def test_the_newest_row_counts_and_the_older_are_counted(tmp_path):
    old, new = timed("numpy", 1.0), timed("numpy", 2.0, time="2026-01-01T00:00:00+00:00")
    page = report(tmp_path, [new, old])
    assert "1 older rows" in page.text
    assert "2.0" in page.text
    assert "1.00 s" not in page.text


def test_rows_of_several_runs_are_said_not_to_be_measured_in_turns(tmp_path):
    page = report(tmp_path, [timed("numpy", 1.0), timed("dask", 2.0, run="b", commit="fedcba")])
    assert "2 runs: not measured in turns" in page.text
    assert "2 commits: not measured in turns" in page.text


def test_copies_are_told_where_they_change_the_answer(tmp_path):
    near, far = timed("numpy", 2.0), timed("torch:cuda", 1.0, to_device_s=5.0)
    page = report(tmp_path, [near, far])
    assert "With the copies to and from the device: numpy eager portable" in page.text


# --- what it must not do -------------------------------------------------------------------------


def test_the_page_loads_nothing(page):
    for tag, attributes in page.tags:
        for name in ("src", "href", "data", "action", "poster", "srcset"):
            value = attributes.get(name) or ""
            assert "//" not in value, (tag, attributes)
            assert not value or name == "href"
        assert tag not in ("iframe", "link", "object", "embed", "base", "img")
    policy = [
        a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy
    assert policy[0].startswith("default-src 'none'")
    assert "http" not in policy[0]
    assert "http" not in json.dumps(page.specs)


def test_styles_load_nothing(written):
    styles = re.findall(
        r"<style>(.*?)</style>", written.html.read_text(encoding="utf-8"), re.DOTALL
    )
    assert styles
    assert not re.search(r"url\(|@import", "".join(styles))


@pytest.mark.parametrize(
    "attack",
    [ATTACK, "</script>" + ATTACK, '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "<!--"],
)
def test_nothing_that_a_row_says_becomes_code(tmp_path, attack):
    texts = ("error", "backend", "function", "operation", "machine", "device", "commit", "dtype")
    texts += ("backend_version", "run", "check_scope")
    rows = [make_row(**dict.fromkeys(texts, attack))]
    rows.append(failed_row(attack, machine=attack, operation=attack, dtype=attack))
    honest = report(tmp_path / "honest", [make_row(), failed_row("x", backend="dask")], [])
    files = write_report(rows, [Problem(Path(attack), 1, attack)], tmp_path / "attacked")
    page = Page(files.html.read_text(encoding="utf-8"))
    scripts = [tag for tag, _ in page.tags if tag == "script"]
    assert scripts == [tag for tag, _ in honest.tags if tag == "script"]
    assert "img" not in [tag for tag, _ in page.tags]
    assert attack in page.text
    assert page.specs[0]["data"]["values"][0]["backend"] == attack
    assert "<script" not in files.markdown.read_text(encoding="utf-8")
    assert "<img" not in files.markdown.read_text(encoding="utf-8")


def test_no_name_in_a_row_writes_outside_the_folder(tmp_path):
    names = ["../../up", "/tmp/abs", "a/b", "..", "", "A b", "a-b"]
    files = write_report([make_row(operation=name) for name in names], [], tmp_path / "out")
    assert {path.parent for path in files.pngs} == {tmp_path / "out"}
    assert len(set(files.pngs)) == len(names)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_cells_of_the_summary_hold_what_would_end_them(tmp_path):
    files = write_report([failed_row("a | b\n| c `d` [e](f)")], [], tmp_path)
    text = files.markdown.read_text(encoding="utf-8")
    assert r"a \| b \| c \`d\` \[e\](f)" in text


# --- charts and words ----------------------------------------------------------------------------


def test_colours_and_shapes_repeat_in_no_common_step():
    colours = charts.theme()["range"]["category"]
    assert len(set(colours)) == len(colours) == 8
    assert len(set(charts._SHAPES)) == len(charts._SHAPES) == 7
    assert charts.theme(dark=True)["range"]["category"] != colours


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.5, "1.50 s"),
        (123.4, "123 s"),
        (0.99949, "999 ms"),
        (0.9996, "1.00 s"),
        (1.234e-3, "1.23 ms"),
        (9.996e-5, "100 µs"),
        (5e-9, "5.00 ns"),
        (1e-12, "0.00100 ns"),
    ],
)
def test_times_have_three_digits_and_a_unit(seconds, text):
    assert seconds_text(seconds) == text


def test_words_say_where_samples_are_too_few():
    assert interval_text(Interval(0.0, float("inf")), 1.0) == "too few samples"
    assert ratio_text(Ratio(2.0, 0.0, float("inf"))) == "2.00x (too few samples)"
    assert interval_text(Interval(9.9e-4, 1.2e-3), 1e-3) == "0.990 to 1.20 ms"
    assert digits(12345.6) == "12,346"


def test_settings_name_what_is_there():
    row = make_row(padding=[1, 0], scale=[1.5, 2], out_channels=4)
    expected = "kernel 2x2, stride 2x2, padding 1x0, scale 1.5x2, out channels 4, float32"
    assert settings_text(row) == expected


def test_a_bandwidth_above_the_device_s_own_copy_is_flagged(tmp_path: Path) -> None:
    large = 2**28
    seen = {}
    for copy_gb_s in (1e-3, 1e9, None):
        row = make_row(bytes_moved=large, copy_gb_s=copy_gb_s)
        text = write_report([row], [], tmp_path / str(copy_gb_s)).html.read_text(encoding="utf-8")
        seen[copy_gb_s] = "above copy" in text
    assert seen == {1e-3: True, 1e9: False, None: False}
    small = make_row(bytes_moved=1000, copy_gb_s=1e-9)  # a cache may be that fast
    page = write_report([small], [], tmp_path / "small").html.read_text(encoding="utf-8")
    assert "above copy" not in page
