"""The report: complete, honest about ties and failures, offline, and safe whatever rows say."""

from __future__ import annotations

import base64
import gzip
import json
import re
import struct
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import vl_convert
from msgspec.structs import asdict, replace

from tests.support.rows import ATTACK, failed_row, make_row, native, timed
from tests.support.synthetic_rows import synthetic_rows
from unpool_xp.bench.cases.formatting import (
    bytes_text,
    interval_text,
    seconds_text,
    three_digits,
)
from unpool_xp.bench.measure.machine import this_machine
from unpool_xp.bench.report import charts, claims, payload
from unpool_xp.bench.report import write as report_module
from unpool_xp.bench.report.answers import answers
from unpool_xp.bench.report.chart_specs import chart_specs, time_png_spec
from unpool_xp.bench.report.claims import CLAIMS, judge_claims
from unpool_xp.bench.report.costs import (
    break_even_calls,
    compile_break_evens,
    copy_ceilings,
    device_series,
)
from unpool_xp.bench.report.payload import pack_rows
from unpool_xp.bench.report.ranked import SIZE_CLASSES, ranked_cases
from unpool_xp.bench.report.view import report_view
from unpool_xp.bench.report.write import write_report
from unpool_xp.bench.rows.files import Problem
from unpool_xp.bench.rows.names import settings_text
from unpool_xp.bench.rows.schema import Row, parse_row
from unpool_xp.bench.verdicts.bootstrap import Verdict


class Page(HTMLParser):
    """The parts of a page: tags with attributes, the text outside of code, what it carries."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.carried: dict[str, bytes] = {}
        self.text = ""
        self._within: list[str] = []
        self.feed(text)

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


def report(folder: Path, rows: list[Row], problems: list[Problem] | None = None) -> Page:
    return Page(write_report(rows, problems or [], folder).html.read_text(encoding="utf-8"))


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


def test_the_page_says_who_is_fastest_where_and_how_sure_that_is(page):
    here = this_machine()
    for words in (
        *(here.id, here.cpu, "numpy 2.0 on cpu", "0123456789abcdef", "2025-01-01"),
        "numpy and torch:cpu are each fastest, or tied with the fastest, in 1 of 2 cases.",
        "clear first in 1 of 1",
        "a.jsonl",
        "torn",
    ):
        assert words in page.words
    assert re.search(r"tiny up to 256 KiB\s*small up to 4 MiB", page.words)


def test_the_page_carries_every_time_and_every_failure(page):
    (machine,) = page.data["machines"]
    rows, names = machine["rows"], machine["names"]
    assert len(rows["seconds"]) == 8
    assert {names["backend"][names["how"][how][0]] for how in rows["how"]} == {
        *("numpy", "torch:cpu", "jax:cpu")
    }
    bounds = zip(rows["low"], rows["seconds"], rows["high"], strict=True)
    assert all(low <= seconds <= high for low, seconds, high in bounds)
    assert [names["reason"][reason] for reason in machine["failures"]["reason"]] == [
        "out of memory"
    ] * 2
    assert len(machine["tax"]["ratio"]) == 2


def test_the_rows_of_a_page_are_those_that_it_was_made_from(page):
    assert page.rows == some_rows(machine=this_machine().id)
    assert "All 10 rows are in this page" in page.words
    assert "as they were read" in page.words


def test_the_summary_has_the_same(written):
    text = written.markdown.read_text(encoding="utf-8")
    assert re.search(r"^\| 1 \| torch:cpu eager native max_pool2d \|", text, re.MULTILINE)
    assert f"({written.pngs[0].name})" in text
    assert "out of memory" in text
    assert "torn" in text
    assert "No GPU was measured here." in text
    assert text.count("| max_pool |") == 1  # the answer, first of all
    assert text.index("| max_pool |") < text.index("### max_pool")
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == 6
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_no_rows_make_a_page_that_says_so(tmp_path):
    files = write_report([], [], tmp_path / "new" / "folder")
    assert files.pngs == ()
    text = files.html.read_text(encoding="utf-8")
    assert "no rows" in text
    assert "<table" not in text
    assert "<script" not in text
    assert "no rows" in files.markdown.read_text(encoding="utf-8")


def test_problems_alone_are_shown(tmp_path):
    problems = [Problem(Path("run.jsonl"), line, "torn") for line in range(1, 151)]
    page = report(tmp_path, [], problems)
    assert "no row that could be read" in page.text
    assert "150 in all; the first 100" in page.text


def test_failures_alone_are_shown(tmp_path):
    page = report(tmp_path, [failed_row("crash")])
    assert "Nothing here has a checked result" in page.text
    assert "No row has a checked result" in page.text
    assert page.data["machines"][0]["names"]["reason"] == ["crash"]


def test_one_backend_alone_is_compared_with_nothing(tmp_path):
    rows = [timed("numpy", 1.0), timed("numpy", 2.0, shape=[1, 8, 64, 64])]
    page = report(tmp_path, rows)
    assert "Only numpy was measured: there is no other backend to compare." in page.words
    assert "no other" in page.words
    assert "clear first" not in page.words


def test_what_was_not_checked_has_no_time_on_the_page(tmp_path):
    page = report(tmp_path, [timed("numpy", 0.123, checked=False), timed("dask", 0.2)])
    (machine,) = page.data["machines"]
    assert machine["names"]["reason"] == ["not checked"]
    assert machine["rows"]["seconds"] == [pytest.approx(0.2, rel=0.02)]


def test_ties_are_called_ties(tmp_path):
    rows = [timed("numpy", 1.0), timed("dask", 1.001), timed("jax:cpu", 1.5, n=2)]
    files = write_report(rows, [], tmp_path)
    text = files.markdown.read_text(encoding="utf-8")
    places = re.findall(r"^\| (1=|1|2|3) \| (\S+) .*\| (same|undecided|) \|", text, re.MULTILINE)
    assert [place for place, _, _ in places] == ["1="] * 3
    assert places[1][2] == "same"
    assert places[2][1:] == ("jax:cpu", "undecided")
    assert "tie first in 1 of 1" in Page(files.html.read_text(encoding="utf-8")).words


def test_machines_are_kept_apart_and_this_is_said(tmp_path):
    rows = [timed("numpy", 1.0, machine="slow-box"), timed("numpy", 0.5, machine="fast-box")]
    page = report(tmp_path, rows)
    assert "no time is compared with one of another machine" in page.text
    assert [machine["id"] for machine in page.data["machines"]] == ["fast-box", "slow-box"]
    assert [len(machine["rows"]["place"]) for machine in page.data["machines"]] == [1, 1]
    assert all(machine["rows"]["place"] == [1] for machine in page.data["machines"])
    options = [tag for tag, _ in page.tags if tag == "option"]
    assert len(options) >= 2
    assert ("select", {"id": "machine"}) in page.tags


def test_a_backend_keeps_its_colour_in_every_report(tmp_path):
    rows = [timed("numpy", 1.0), timed("dask", 1.0, machine="other-box")]
    alone = report(tmp_path / "a", rows[:1]).data["backends"]
    both = report(tmp_path / "b", rows).data["backends"]
    assert alone[0] in both
    assert [backend["name"] for backend in both] == ["dask", "numpy"]


def test_the_newest_row_counts_and_the_older_are_counted(tmp_path):
    old, new = timed("numpy", 1.0), timed("numpy", 2.0, time="2026-01-01T00:00:00+00:00")
    page = report(tmp_path, [new, old])
    assert "1 older rows" in page.text
    assert page.data["machines"][0]["rows"]["seconds"] == [pytest.approx(2.0, rel=0.02)]
    assert len(page.rows) == 2


def test_rows_of_several_runs_are_said_not_to_be_measured_in_turns(tmp_path):
    page = report(tmp_path, [timed("numpy", 1.0), timed("dask", 2.0, run="b", commit="fedcba")])
    notes = page.data["machines"][0]["cases"]["notes"][0]
    assert any("2 runs: not measured in turns" in note for note in notes)
    assert any("2 commits: not measured in turns" in note for note in notes)


def test_copies_are_told_where_they_change_the_answer(tmp_path):
    near, far = timed("numpy", 2.0), timed("torch:cuda", 1.0, to_device_s=5.0)
    notes = report(tmp_path, [near, far]).data["machines"][0]["cases"]["notes"][0]
    assert notes == ["With the copies to and from the device: numpy eager portable, 2.00 s."]


# --- the answer ----------------------------------------------------------------------------------


def cases_of(*rows: Row) -> Any:
    return ranked_cases(rows)


def test_the_answer_is_the_fastest_over_all_cases_of_a_size():
    small, smaller = {"shape": [1, 8, 32, 32]}, {"shape": [1, 8, 16, 16]}
    (answer,) = answers(
        cases_of(
            timed("numpy", 1.0, **small),
            timed("dask", 1.5, **small),
            timed("numpy", 1.5, **smaller),
            timed("dask", 1.4, **smaller),
        )
    )
    assert str(answer.winner) == "numpy, portable"
    assert (answer.cases, answer.first_in) == (2, 1)
    assert str(answer.runner_up) == "dask, portable"
    assert answer.ratio.estimate == pytest.approx((1.5 * 1.4 / 1.5) ** 0.5, rel=0.02)
    assert answer.verdict is Verdict.SLOWER


def test_what_lacks_a_case_is_not_the_answer():
    small, large = {"shape": [1, 8, 16, 16]}, {"shape": [1, 8, 32, 32]}
    (answer,) = answers(
        cases_of(
            timed("numpy", 1.0, **small), timed("dask", 0.1, **small), timed("numpy", 1.0, **large)
        )
    )
    assert answer.winner.on.label == "numpy"
    assert answer.runner_up is answer.verdict is None


def test_sizes_and_dtypes_have_answers_of_their_own():
    found = answers(
        cases_of(
            timed("numpy", 1.0, bytes_moved=SIZE_CLASSES[0][0]),
            timed("dask", 0.9, bytes_moved=SIZE_CLASSES[0][0]),
            timed("dask", 0.5, bytes_moved=SIZE_CLASSES[0][0] + 1, shape=[1, 8, 64, 64]),
            timed("numpy", 0.5, dtype="float16"),
        )
    )
    assert [(a.dtype, a.size_class, a.winner.on.label) for a in found] == [
        ("float32", 0, "dask"),
        ("float32", 1, "dask"),
        ("float16", 1, "numpy"),
    ]


def test_an_answer_from_too_few_samples_is_not_clear():
    (answer,) = answers(cases_of(timed("numpy", 1.0, n=2), timed("dask", 9.0, n=2)))
    assert answer.verdict is Verdict.UNDECIDED


def test_the_best_portable_stands_beside_a_native_winner():
    (answer,) = answers(cases_of(timed("numpy", 3.0), native("torch:cpu", 1.0, "torch.max_pool2d")))
    assert str(answer.winner) == "torch:cpu, native"
    assert str(answer.portable) == "numpy, portable"
    assert answer.portable_ratio.estimate == pytest.approx(3, rel=0.02)


# --- costs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("compiled", "eager", "first", "calls"),
    [(1.0, 3.0, 11.0, 6), (1.0, 2.0, 0.5, 1), (1.0, 2.0, 10.0, 10), (2.0, 2.0, 1.0, None)],
)
def test_compiling_pays_back_from_the_first_call_that_takes_less_in_all(
    compiled, eager, first, calls
):
    found = break_even_calls(compiled, eager, first)
    assert found == calls
    if found is not None:
        assert first + (found - 1) * compiled < found * eager
        assert found == 1 or first + (found - 2) * compiled >= (found - 1) * eager


def test_compiled_is_held_against_the_same_function_eager():
    rows = [
        timed("jax:cpu", 3.0),
        timed("jax:cpu", 1.0, mode="compiled", first_call_s=11.0),
        native("jax:cpu", 1.0, "jax.other", mode="compiled"),
        timed("torch:cpu", 0.1),
    ]
    (found,) = compile_break_evens(cases_of(*rows))
    assert found.compiled.row.backend == found.eager.row.backend == "jax:cpu"
    assert found.calls in (5, 6)
    assert found.clear


def crossing_rows() -> list[Row]:
    rows = []
    for size, gpu in ((16, 2.0), (32, 0.5), (64, 0.1)):
        shape = [1, 8, size, size]
        rows += [
            timed("numpy", 1.0, shape=shape),
            timed("torch:cuda", gpu, shape=shape, to_device_s=0.4, from_device_s=0.3),
        ]
    return rows


def test_the_gpu_is_faster_from_a_size_on_with_and_without_copies():
    (found,) = device_series(cases_of(*crossing_rows()))
    assert [point.case.first_row.shape[-1] for point in found.points] == [16, 32, 64]
    ((here, copied),) = found.crossovers
    assert (here.wins_from, copied.wins_from) == (8 * 32**2, 8 * 64**2)
    assert device_series(cases_of(timed("numpy", 1.0))) == []


def test_the_page_and_the_summary_say_where_the_gpu_takes_over(tmp_path):
    files = write_report(crossing_rows(), [], tmp_path)
    summary = files.markdown.read_text(encoding="utf-8")
    (line,) = (line for line in summary.splitlines() if "| torch:cuda |" in line)
    here = "quicker from 8,192 elements on; slower up to 2,048"
    copied = "quicker from 32,768 elements on; slower up to 8,192"
    assert line.endswith(f"| torch:cuda | {here} | {copied} |")
    assert "No GPU" not in summary
    (machine,) = Page(files.html.read_text(encoding="utf-8")).data["machines"]
    (found,) = machine["crossovers"]
    assert found["text"] == [here, copied]
    assert found["from"] == [8192, 32768]
    assert found["sizes"] == 3


def test_without_a_gpu_no_figure_of_one_stands_anywhere(tmp_path):
    files = write_report([timed("numpy", 1.0), timed("torch:cpu", 0.5)], [], tmp_path)
    summary = files.markdown.read_text(encoding="utf-8")
    assert [line for line in summary.splitlines() if "GPU" in line] == [
        "No GPU was measured here. No crossover between CPU and GPU is known."
    ]
    (machine,) = Page(files.html.read_text(encoding="utf-8")).data["machines"]
    assert machine["crossovers"] == machine["devices"] == []


def test_copies_that_were_not_timed_make_no_crossover_with_them():
    rows = [timed("numpy", 1.0), timed("torch:cuda", 0.5, to_device_s=None)]
    (found,) = device_series(cases_of(*rows))
    ((here, copied),) = found.crossovers
    assert (here.wins_from, copied.wins_from) == (8 * 32**2, None)
    assert "copies" in copied.text
    assert [point.ratio_with_copies for point in found.points] == [None]


def test_a_bandwidth_above_the_device_s_own_copy_is_flagged_from_a_size_on(tmp_path):
    (machine,) = report(
        tmp_path, [make_row(copy_gb_s=20.0), make_row(backend="dask", copy_gb_s=9.0)]
    ).data["machines"]
    assert machine["ceilings"] == [[20.0, "numpy", "cpu"]]
    assert machine["beyond_cache"] == 2**27


# --- claims --------------------------------------------------------------------------------------


def unpooling(backend: str, nearest: float, maximum: float, fractional: float) -> list[Row]:
    more: dict[str, Any] = {"shape": [1, 8, 16, 16], "kernel": None, "stride": None}
    scale = {**more, "scale": [2, 2]}
    window = {**more, "kernel": [2, 2], "stride": [2, 2]}
    return [
        timed(backend, nearest, operation="nearest_unpool", **scale),
        timed(backend, maximum, operation="max_unpool", **window),
        timed(backend, fractional, operation="fractional_max_unpool", **scale),
    ]


def judge(*rows: Row) -> Any:
    return judge_claims(cases_of(*rows), copy_ceilings(rows))


def verdict_of(text: str, *rows: Row) -> Any:
    return next(claim for claim in judge(*rows) if text in claim.text)


def test_every_claim_is_judged(page):
    for claim in CLAIMS:
        assert claim.text in page.words
    assert len(CLAIMS) == 7
    known = {getattr(claims, name) for name in ("TRUE", "PARTLY", "FALSE", "UNMEASURED")}
    assert {found.verdict for found in judge(make_row())} <= known


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (((1.0, 2.0, 3.0), (1.0, 2.0, 3.0)), "true"),
        (((1.0, 2.0, 3.0), (1.0, 2.0, 3.0), (2.0, 1.0, 3.0)), "partly true"),
        (((2.0, 1.0, 3.0), (2.0, 1.0, 3.0)), "not true"),
    ],
)
def test_nearest_is_the_quickest_where_nothing_is_quicker(times, expected):
    names = ("numpy", "torch:cpu", "dask")
    rows = [row for name, t in zip(names, times, strict=False) for row in unpooling(name, *t)]
    assert verdict_of("Nearest is the quickest", *rows).verdict == expected


def test_claims_without_rows_are_not_measured_here_and_the_reason_is_told():
    for text in ("Nearest is the quickest", "Fractional gives smoother", "Unpooling is cheap"):
        claim = verdict_of(text, make_row())
        assert claim.verdict == "not measured here"
        assert claim.measured


def test_the_cost_of_fractional_is_that_of_the_rows():
    claim = verdict_of("Fractional gives smoother", *unpooling("numpy", 1.0, 2.0, 8.0))
    assert claim.verdict == "true"
    assert "8.0" in claim.measured
    claim = verdict_of("Fractional gives smoother", *unpooling("numpy", 3.0, 3.0, 1.0))
    assert claim.verdict == "partly true"


def test_unpooling_is_cheap_where_it_comes_near_a_copy():
    near = {"copy_gb_s": 1e-3, "bytes_moved": 10**6}  # a second of copying
    rows = [replace(row, **near) for row in unpooling("numpy", 1.0, 1.5, 9.0)]
    claim = verdict_of("Unpooling is cheap", *rows)
    assert claim.verdict == "partly true"
    shares = r"fractional_max_unpool 11%, max_unpool 6\d%, nearest_unpool (99|100|101)%"
    assert re.search(shares, claim.measured)


def test_pictures_show_what_the_documentation_says():
    claim = verdict_of("keeps more of the detail", make_row())
    assert claim.verdict == "not true"
    assert "6.5 against 23.9 dB" in claim.measured
    assert "nearest_unpool 2.0, 4.0, 7.6" in verdict_of("blocky", make_row()).measured


def test_positions_cost_what_their_dtype_says_and_peaks_are_compared():
    peaks = [
        make_row(peak_bytes=3000),
        make_row(operation="avg_pool", function="unpool_xp.avg_pool", peak_bytes=1000),
    ]
    claim = verdict_of("Storing positions", *peaks)
    assert claim.verdict == "true"
    assert "2.00x those of float32" in claim.measured
    assert "max_pool over avg_pool: 3.00x" in claim.measured
    assert "Peak memory was not measured" in verdict_of("Storing positions", make_row()).measured


def test_only_the_transposed_convolution_has_weights():
    row = make_row(operation="conv_transpose", shape=[1, 8, 16, 16], out_channels=4)
    claim = verdict_of("trainable parameters", row)
    assert claim.verdict == "partly true"
    assert f"{8 * 4 * 2 * 2} weights" in claim.measured


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
    assert "http" not in json.dumps(page.data)


def test_styles_load_nothing(written):
    styles = re.findall(
        r"<style>(.*?)</style>", written.html.read_text(encoding="utf-8"), re.DOTALL
    )
    assert styles
    assert not re.search(r"url\(|@import", "".join(styles))


def test_the_script_parses_no_markup(written):
    text = written.html.read_text(encoding="utf-8")
    script = text[text.index("<script>") :]
    assert len(script) > 10_000
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser", script
    )


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
    assert page.data["machines"][0]["names"]["operation"] == [attack]
    assert page.rows == rows
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


def test_rows_that_say_odd_things_do_not_break_the_page(tmp_path):
    rows = [
        make_row(shape=[], kernel=[], operation="max_pool"),
        make_row(shape=[0], bytes_moved=0, peak_bytes=0, copy_gb_s=0.0, backend="dask"),
        make_row(samples_s=[1e-300, 1e300], backend="odd:", function=""),
        make_row(operation="conv_transpose", kernel=[2, 2], shape=[2]),
    ]
    page = report(tmp_path, rows)
    assert len(page.data["machines"][0]["rows"]["case"]) == 4


# --- size ----------------------------------------------------------------------------------------


def test_a_page_of_many_rows_stays_small_and_keeps_every_row(tmp_path, monkeypatch):
    rows, part = synthetic_rows(2_000), 25  # of the 50,000 that fit into 10 MB
    alone = write_report(rows[:1], [], tmp_path / "alone").html.stat().st_size
    assert alone < 600_000  # the code, and Vega's
    room = payload.RAW_BYTES // part
    monkeypatch.setattr(report_module, "pack_rows", lambda rows: pack_rows(rows, room))
    path = write_report(rows, [], tmp_path).html
    page = Page(path.read_text(encoding="utf-8"))
    assert path.stat().st_size - alone < 9_000_000 / part
    assert len(page.rows) == len(rows)
    assert "to keep the page small" in page.words
    assert len(page.tags) < 2_500


def test_rows_are_packed_into_less_and_less_room():
    rows, room, seen = synthetic_rows(40, samples=30), 10**9, []
    while not seen or seen[-1] != "left out":
        packed = pack_rows(rows, room)
        seen.append(packed.samples)
        lines = gzip.decompress(base64.b64decode(packed.text)).splitlines()
        assert len(lines) == packed.count == len(rows)
        assert len(packed.text) <= room or seen[-1] == "left out"
        for row, line in zip(rows, lines, strict=True):
            kept = json.loads(line)
            samples = kept.pop("samples_s")
            assert kept == {
                name: value for name, value in asdict(row).items() if name != "samples_s"
            }
            if samples:
                assert min(samples) == pytest.approx(min(row.samples_s), rel=1e-3)
                assert max(samples) == pytest.approx(max(row.samples_s), rel=1e-3)
        room = len(packed.text) - 1
    assert seen == [
        "as they were read",
        "rounded to four digits",
        "nine a row, evenly from the smallest to the largest",
        "five a row, evenly from the smallest to the largest",
        "left out",
    ]


# --- charts and words ----------------------------------------------------------------------------


def test_the_pictures_are_pictures(written):
    assert len(written.pngs) == 1
    for path in written.pngs:
        data = path.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", data[16:24])
        assert width > height > 500


def test_a_picture_draws_a_symbol_for_every_time():
    backends = ["dask", "jax:cpu", "numpy", "torch:cpu"]
    spec = time_png_spec(cases_of(*some_rows()), backends, 20.0)
    assert spec is not None
    assert len(spec["datasets"]["points"]) == 8
    drawn = vl_convert.vegalite_to_svg({**spec, "width": 400}, config=charts.theme(backends))
    assert drawn.count('aria-roledescription="point"') == 8
    assert drawn.count('aria-roledescription="line mark"') == 5  # and the copy's
    for words in ("numpy", "torch:cpu", "jax:cpu", "eager", "compiled"):
        assert f">{words}<" in drawn
    assert ">dask<" not in drawn


def test_a_picture_of_too_much_shows_the_settings_of_most_sizes():
    rows = [row for row in synthetic_rows(3000) if row.operation == "max_pool"]
    spec = time_png_spec(cases_of(*rows), sorted({row.backend for row in rows}), None)
    assert spec is not None
    assert {point["settings"] for point in spec["datasets"]["points"]} == {spec["title"]["text"]}
    assert len(spec["datasets"]["points"]) < len(rows)


def test_a_picture_whose_lines_join_different_kernels_says_so():
    rows = [timed("numpy", 1.0), timed("numpy", 2.0, shape=[1, 8, 64, 64], kernel=[4, 4])]
    spec = time_png_spec(cases_of(*rows), ["numpy"], None)
    assert spec is not None
    assert "joins different ones" in spec["title"]["text"]
    assert {point["settings"] for point in spec["datasets"]["points"]} == {"all"}


def test_a_picture_of_nothing_is_none():
    assert time_png_spec(cases_of(failed_row("crash")), ["numpy"], 1.0) is None
    assert time_png_spec(cases_of(make_row(bytes_moved=0)), ["numpy"], 1.0) is None


def test_the_charts_of_the_page_are_whole_but_for_their_data():
    for spec in chart_specs(["numpy"]).values():
        assert "datasets" not in spec
        assert "http" not in json.dumps(spec)
        assert {parameter["name"] for parameter in spec["params"]} >= {"xticks", "yticks"}


def test_no_two_of_many_backends_look_the_same():
    names = [f"library{number}" for number in range(40)]
    looks = charts.styles([*names, "numpy"])
    assert len({(look.light, look.glyph) for look in looks}) == 41
    assert all(look.light != look.dark for look in looks)


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
    assert interval_text(0.0, float("inf"), 1.0) == "too few samples"
    assert interval_text(9.9e-4, 1.2e-3, 1e-3) == "0.990 to 1.20 ms"
    assert three_digits(12345.6) == "12,346"


def test_sizes_have_a_unit():
    assert [bytes_text(n) for n in (0, 1023, 1024, 3 * 2**20, 2**31)] == [
        *("0 B", "1,023 B", "1.00 KiB", "3.00 MiB", "2.00 GiB")
    ]


def test_settings_name_what_is_there():
    row = make_row(padding=[1, 0], scale=[1.5, 2], out_channels=4)
    expected = "kernel 2x2, stride 2x2, padding 1x0, scale 1.5x2, out channels 4, float32"
    assert settings_text(row) == expected


# --- machines side by side -----------------------------------------------------------------------


def on_machine(machine: str, factor: float, count: int) -> list[Row]:
    return [
        replace(row, machine=machine, samples_s=[factor * s for s in row.samples_s])
        for row in synthetic_rows(count)
    ]


def test_machines_stand_side_by_side_over_the_cases_that_all_have(tmp_path: Path) -> None:
    rows = [*on_machine("slow", 3.0, 60), *on_machine("fast", 1.0, 40)]
    view = report_view(rows, [], {})
    lines = view["side_by_side"]
    assert [machine["id"] for machine in view["machines"]] == ["fast", "slow"]
    assert lines
    for line in lines:
        fast, slow = line["cells"]
        assert fast["first"]
        assert (slow["first"], slow["ratio"]) == (False, "3.00x")
    portable = [row for row in on_machine("fast", 1.0, 40) if row.implementation == "portable"]
    assert sum(line["cases"] for line in lines) == len(portable)
    files = write_report(rows, [], tmp_path)
    summary = files.markdown.read_text(encoding="utf-8")
    assert "## Machines side by side" in summary
    assert summary.count("fastest |") == len(lines)
    page = Page(files.html.read_text(encoding="utf-8"))
    assert page.words.count("3.00x (") >= len(lines)
    alone = report_view(on_machine("slow", 1.0, 40), [], {})
    assert alone["side_by_side"] == []
