"""The report: complete, honest about ties and failures, offline, and safe whatever rows say."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from msgspec import structs
from PIL import Image

from tests.support.reports import cases_of, report, some_rows
from tests.support.rows import ATTACK, failed_row, in_processes, make_row, timed
from unpool_xp.bench.measure.machine import this_machine
from unpool_xp.bench.rows.files import Problem


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    here = this_machine()
    problems = [Problem(Path("a.jsonl"), 7, "torn")]
    folder = tmp_path_factory.mktemp("report")
    return report(folder, some_rows(machine=here.id), problems, **{here.id: here})


def test_the_page_says_who_is_fastest_where_and_how_sure_that_is(page):
    here = this_machine()
    for words in (
        *(here.id, here.cpu, "numpy 2.0 on cpu", "0123456789abcdef", "2025-01-01"),
        "numpy and torch:cpu are each fastest in 1 of 2 cases.",
        "torch:cpu own max_pool2d",
        *("a.jsonl", "torn", "Nearest is the quickest", "Unpooling adds trainable parameters"),
    ):
        assert words in page.words
    # Each line says who is next, by how much, and how sure that is.
    assert re.search(r"numpy1\.\d+x torch:cpu own max_pool2d\d+ %the same", page.words)


def test_limits_of_a_container_are_in_the_title_and_the_facts(tmp_path):
    box = structs.replace(this_machine(), id="box", cpu_quota=0.4, memory_limit_bytes=2**29)
    page = report(tmp_path, some_rows(machine="box"), box=box)
    assert f"{box.cpu}, 0.4 of {box.physical_cores} core" in page.words
    assert re.search(r"limit of CPU time\s*0.4 cores", page.words)
    assert re.search(r"limit of memory\s*512 MiB", page.words)


def test_the_page_carries_every_time_and_every_failure(page):
    (machine,) = page.data["machines"]
    rows, names = machine["rows"], machine["names"]
    assert len(rows["seconds"]) == 8
    labels = {names["backend"][names["how"][how][0]] for how in rows["how"]}
    assert labels == {"numpy", "torch:cpu", "jax:cpu"}
    bounds = zip(rows["low"], rows["seconds"], rows["high"], strict=True)
    assert all(low <= seconds <= high for low, seconds, high in bounds)
    reasons = [names["reason"][reason] for reason in machine["failures"]["reason"]]
    assert reasons == ["out of memory"] * 2
    assert len(machine["tax"]["ratio"]) == 2
    assert machine["crossovers"] == machine["devices"] == []


def test_the_rows_of_a_page_are_those_that_it_was_made_from(page):
    assert page.rows == some_rows(machine=this_machine().id)
    assert "All 10 rows are in this page" in page.words
    assert "as they were read" in page.words


def test_the_summary_has_the_same(page):
    text = page.summary
    assert re.search(r"^\| 1 \| torch:cpu own max_pool2d \|", text, re.MULTILINE)
    assert f"({page.pngs[0].name})" in text
    for words in ("out of memory", "torn", "No GPU was measured here. No crossover"):
        assert words in text
    assert "CPU and GPU\n" not in text
    assert text.count("| max_pool |") == 2  # what to use at each size, first of all
    assert text.index("| max_pool |") < text.index("### max_pool")
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == 6
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_no_rows_make_a_page_that_says_so(tmp_path):
    page = report(tmp_path / "new" / "folder", [])
    assert page.pngs == ()
    assert "no rows" in page.text
    assert not {"table", "script"} & {tag for tag, _ in page.tags}
    assert "no rows" in page.summary


def test_problems_alone_are_shown(tmp_path):
    problems = [Problem(Path("run.jsonl"), line, "torn") for line in range(1, 151)]
    page = report(tmp_path, [], problems)
    assert "No row could be read" in page.text
    assert "150 in all; the first 100" in page.text


def test_failures_alone_are_shown(tmp_path):
    page = report(tmp_path, [failed_row("crash")])
    assert "Nothing here has a checked result" in page.text
    assert "No row has a checked result" in page.text
    assert page.data["machines"][0]["names"]["reason"] == ["crash"]


def test_one_backend_alone_is_compared_with_nothing(tmp_path):
    page = report(tmp_path, [make_row()])
    assert "Only numpy was measured: there is no other backend to compare." in page.words
    assert "nothing else was measured" in page.words


def test_ties_are_called_ties(tmp_path):
    rows = [timed("numpy", 1.0), timed("dask", 1.001), timed("jax:cpu", 1.5, n=2)]
    page = report(tmp_path, rows)
    line = r"^\| (1=|1|2|3) \| (\S+) .*\| (same|undecided|) \|"
    places = re.findall(line, page.summary, re.MULTILINE)
    assert [place for place, _, _ in places] == ["1=", "1=", "3"]
    assert places[1][2] == "same"
    assert places[2][1:] == ("jax:cpu", "undecided")
    assert re.search(r"numpy[\d.]+x = dask", page.words)


def test_the_newest_row_counts_and_the_older_are_counted(tmp_path):
    old = timed("numpy", 1.0)
    new = timed("numpy", 2.0, time="2026-01-01T00:00:00+00:00", run="another")
    page = report(tmp_path, [new, old])
    assert "1 older rows" in page.text
    assert page.data["machines"][0]["rows"]["seconds"] == [pytest.approx(2.0, rel=0.02)]
    assert len(page.rows) == 2


def test_rows_of_several_runs_are_said_not_to_be_measured_in_turns():
    (case,) = cases_of(timed("numpy", 1.0), timed("dask", 2.0, run="b", commit="fedcba"))
    runs, commits = case.notes
    assert "2 runs: not measured in turns" in runs
    assert "2 commits: not measured in turns" in commits


def test_copies_are_told_where_they_change_the_answer():
    (case,) = cases_of(timed("numpy", 2.0), timed("torch:cuda", 1.0, to_device_s=5.0))
    assert case.notes == ["With the copies to and from the device: numpy, 2.00 s."]


def test_data_in_a_cache_has_no_share_of_a_copy_of_memory(tmp_path):
    # Older rows have one copy, of 256 MiB.
    rows = [
        make_row(copy_gb_s=rate, backend=backend, bytes_moved=moved, shape=[moved])
        for backend, rate in (("numpy", 20.0), ("dask", 9.0))
        for moved in (2**27, 2**27 + 1)
    ]
    (machine,) = report(tmp_path, rows).data["machines"]
    assert machine["ceilings"] == [[20.0, "numpy", None, "cpu"]]
    assert machine["rows"]["limit"] == [None, None, 20.0, 20.0]
    assert machine["cases"]["copy"] == [None, 20.0]
    assert machine["beyond_cache"] == 2**27


def test_new_rows_compare_with_the_fastest_copy_of_their_own_size(tmp_path):
    large = {"shape": [1, 8, 256, 256], "bytes_moved": 10**8}
    rows = [
        in_processes("numpy", copy_gb_s=90.0),
        in_processes("torch:cpu", copy_gb_s=80.0),
        in_processes("numpy", copy_gb_s=11.0, **large),
        in_processes("torch:cpu", copy_gb_s=12.0, **large),
    ]
    page = report(tmp_path / "new", rows)
    (machine,) = page.data["machines"]
    assert machine["rows"]["limit"] == [90.0, 90.0, 12.0, 12.0]
    assert machine["cases"]["copy"] == [90.0, 12.0]
    assert machine["ceilings"] == [[12.0, "torch:cpu", 10**8, "cpu"]]
    assert "12.0 GB/s on cpu (reached by torch:cpu), 95.4 MiB in and out" in page.words


def test_what_is_disturbed_cold_or_differs_between_processes_is_shown_and_explained(tmp_path):
    rows = [
        in_processes("numpy", 244e-6, 578e-6, 250e-6),
        in_processes("torch:cpu", cold_s=None, disturbed=[True] * 12),
    ]
    page = report(tmp_path / "new", rows)
    (machine,) = page.data["machines"]
    assert machine["rows"]["disturbed"] == [0, 1]
    assert machine["rows"]["between"] == ["244 to 579 µs between processes", ""]
    assert machine["rows"]["cold"] == [17e-3, None]
    for words in (
        "!Other programs have disturbed",
        "after a restA single call",
        "between processesEach",
    ):
        assert words in page.words
    quick, slow = re.findall(r"^\| [12]=? \| .*$", page.summary, re.MULTILINE)
    assert "; 244 to 579 µs between processes | 17.0 ms | 1.00x" in quick
    assert "1.00 ms ! |" in slow
    assert "! marks times of which" in page.summary
    with (tmp_path / "new" / "report.csv").open(encoding="utf-8", newline="") as file:
        numpy, torch = csv.DictReader(file)
    assert [numpy[name] for name in ("backend", "place", "disturbed")] == ["numpy", "1", "0"]
    assert float(numpy["between_low"]) == pytest.approx(244e-6, rel=0.01)
    assert (numpy["cold_s"], numpy["copy_gb_s"]) == ("0.017", "20.0")
    assert [torch[name] for name in ("disturbed", "between_low", "cold_s")] == ["1", "", ""]
    old = report(tmp_path / "old", some_rows())
    assert "disturbed" not in old.words + old.summary
    assert "after a rest" not in old.words + old.summary


def test_decisions_are_a_table_of_the_summary_and_a_file(tmp_path):
    rows = [row for machine in ("a", "b") for row in some_rows(machine=machine)]
    page = report(tmp_path, rows)
    with (tmp_path / "decisions.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["machine"] for line in lines] == ["a", "a", "b", "b"]
    assert [line["use"] for line in lines[:2]] == ["numpy", "torch:cpu own max_pool2d"]
    assert [line["portable"] for line in lines[:2]] == ["", "torch:cpu"]
    line = r"^\| max_pool \| 3.00 MiB \| torch:cpu own max_pool2d \|"
    assert len(re.findall(line, page.summary, re.MULTILINE)) == 2


def test_the_page_loads_nothing(page):
    for tag, attributes in page.tags:
        for name in ("src", "href", "data", "action", "poster", "srcset"):
            value = attributes.get(name) or ""
            assert "//" not in value, (tag, attributes)
            assert not value or name == "href"
        assert tag not in ("iframe", "link", "object", "embed", "base", "img")
    policies = [a["content"] for _, a in page.tags if "http-equiv" in a]
    assert policies[0].startswith("default-src 'none'")
    assert "http" not in json.dumps([policies, page.data])


def test_nothing_that_a_row_says_becomes_code(tmp_path):
    attacks = ["</script>" + ATTACK, '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "<!--"]
    texts = ("error", "backend", "function", "operation", "machine", "device", "commit", "dtype")
    texts += ("backend_version", "run", "check_scope")
    rows = [make_row(**dict.fromkeys(texts, attack)) for attack in attacks]
    failed = ("machine", "operation", "dtype")
    rows += [failed_row(attack, **dict.fromkeys(failed, attack)) for attack in attacks]
    page = report(tmp_path / "attacked", rows, [Problem(Path(text), 1, text) for text in attacks])
    tags = [tag for tag, _ in page.tags]
    assert tags.count("script") == 4  # the page's own
    assert "img" not in tags
    assert all(attack in page.text for attack in attacks)
    assert page.rows == rows
    assert "<script" not in page.summary
    assert "<img" not in page.summary


def test_no_name_in_a_row_writes_outside_the_folder(tmp_path):
    names = ["../../up", "/tmp/abs", "a/b", "..", "", "A b", "a-b"]
    pngs = report(tmp_path / "out", [make_row(operation=name) for name in names]).pngs
    assert {path.parent for path in pngs} == {tmp_path / "out"}
    assert len(set(pngs)) == len(names)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_rows_that_say_odd_things_do_not_break_the_page(tmp_path):
    rows = [
        make_row(shape=[], kernel=[], operation="max_pool"),
        make_row(shape=[0], bytes_moved=0, peak_bytes=0, copy_gb_s=0.0, backend="dask"),
        make_row(samples_s=[1e-300, 1e300], backend="odd:", function=""),
        make_row(operation="conv_transpose", kernel=[2, 2], shape=[2]),
    ]
    page = report(tmp_path, rows)
    assert len(page.data["machines"][0]["rows"]["case"]) == 4


def test_a_picture_has_its_size(page):
    (path,) = page.pngs
    with Image.open(path) as image:
        assert (image.format, image.width > image.height > 500) == ("PNG", True)
