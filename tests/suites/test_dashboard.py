"""What asv makes of three commits, as a browser shows it."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asv.machine import MachineCollection
from selenium.webdriver.support.ui import WebDriverWait

from tests.support.browser import chromium
from tests.support.command import python
from tests.support.injected_regression import git
from tests.support.script import load_script

ROOT = Path(__file__).parents[2]
CELL = r"^operations\..*\('nearest_unpool', 'small', 2, 'numpy'\)"
BENCHMARK = "operations.Time.time_call"

pytestmark = pytest.mark.timeout(300)


def _asv(folder: Path, *arguments: str) -> None:
    done = python("-m", "asv", *arguments, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone without results."""
    folder = tmp_path_factory.mktemp("clone") / "unpool_xp"
    git(ROOT, "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder))
    git(folder, "checkout", "--quiet", "-B", "main")
    # As in this working tree, committed or not.
    shutil.copy(ROOT / "asv.conf.json", folder)
    shutil.copytree(ROOT / "benchmarks" / "panel", folder / "benchmarks/panel", dirs_exist_ok=True)
    shutil.rmtree(folder / "results" / "asv", ignore_errors=True)
    return folder


@pytest.fixture(scope="module")
def commits(clone: Path) -> list[str]:
    """The three commits that the page is of."""
    for number in range(3):  # a shallow clone may have one commit alone
        git(clone, "commit", "--quiet", "--allow-empty", "--message", f"Change {number}")
    return git(clone, "rev-list", "--first-parent", "--max-count=3", "main").split()


@pytest.fixture(scope="module")
def page(clone: Path, commits: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a page of the three commits, which loads nothing from a network."""
    offline = load_script(ROOT / "benchmarks" / "asv_offline.py")
    first, *others = commits
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        MachineCollection.save("somewhere", {"machine": "somewhere", "os": "Linux"})
        same = ("--quick", "--python=same", "--set-commit-hash", first)
        _asv(clone, "run", *same, "--machine", "somewhere", "--bench", CELL)
        (measured,) = (clone / "results" / "asv" / "somewhere").glob(f"{first[:8]}-*.json")
        for other in others:  # as if measured: each run takes seconds
            result = measured.with_name(measured.name.replace(first[:8], other[:8]))
            result.write_text(measured.read_text().replace(first, other))
        _asv(clone, "publish")
    html = clone / ".asv" / "html"
    try:
        offline.make_offline(html)
    except offline.OfflineError as error:
        pytest.skip(f"the page loads its libraries from a network: {error}")
    return html


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def url(page: Path) -> Iterator[str]:
    """Where the page is served: from a file a browser loads none of its data."""
    handler = functools.partial(_Quiet, directory=str(page))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


def _until(browser: Any, script: str) -> Any:
    return WebDriverWait(browser, 30).until(lambda chrome: chrome.execute_script(script))


def test_the_first_page_lists_the_benchmark(browser: Any, url: str) -> None:
    browser.get(url)
    shown = "return document.querySelector('#summarygrid-display')?.innerText"
    assert "Time of a call" in _until(browser, shown)


def test_the_graph_of_the_benchmark_draws_three_commits(
    browser: Any, url: str, commits: list[str]
) -> None:
    assert len(commits) == 3
    browser.get(f"{url}/#{BENCHMARK}")
    canvas = "const c = document.querySelector('#main-graph canvas.flot-base'); "
    _until(browser, f"{canvas} return c && c.width > 300 && c.height > 100")
    series = "const p = $('#main-graph').data('plot'); return p && p.getData().map(s => s.data)"
    drawn = _until(browser, series)
    points = [point for one in drawn for point in one if point and point[1] is not None]
    assert len(points) == 3
    assert all(seconds > 0 for _, seconds in points)
    _save(browser)


def test_no_file_of_the_page_is_missing_or_fails(browser: Any, url: str) -> None:
    said = [line["message"] for line in browser.get_log("browser") if line["level"] == "SEVERE"]
    # asv's first page asks for every benchmark, and there are times of one alone.
    others = [line for line in said if "/graphs/summary/" in line and BENCHMARK not in line]
    assert [line for line in said if line not in others and "favicon" not in line] == []
    asked = "return performance.getEntriesByType('resource').map(entry => entry.name)"
    assert [name for name in browser.execute_script(asked) if not name.startswith(url)] == []


def test_the_graph_has_the_three_commits(page: Path, commits: list[str]) -> None:
    index = json.loads((page / "index.json").read_text())
    revisions = {
        number for number, commit in index["revision_to_hash"].items() if commit in commits
    }
    assert len(revisions) == 3
    (path,) = (page / "graphs").glob(f"**/branch-main/**/{BENCHMARK}.json")
    graph = json.loads(path.read_text())
    assert {str(revision) for revision, values in graph if values} == revisions


def _save(browser: Any) -> None:
    """Keep a picture where one is asked for."""
    folder = os.environ.get("UNPOOL_XP_PICTURES")
    if folder:
        browser.save_screenshot(str(Path(folder) / "asv.png"))
