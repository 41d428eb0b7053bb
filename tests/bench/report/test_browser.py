"""The page of a report in a browser: it draws, filters, turns dark, fits a phone, asks nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.support.browser import axe_violations, chromium, open_page
from tests.support.rows import ATTACK, failed_row, in_processes, make_row
from tests.support.synthetic_rows import synthetic_rows
from unpool_xp.bench.report import charts
from unpool_xp.bench.report.write import write_report
from unpool_xp.bench.rows.schema import Row, parse_row


class Browser:
    """A browser with the page of a report in it."""

    def __init__(self, driver: webdriver.Chrome, downloads: Path) -> None:
        self.driver, self.downloads = driver, downloads

    def open(
        self, page: Path, *, width: int = 1280, dark: bool = False, ready: bool = True
    ) -> None:
        """Open a page anew, in a window of this width."""
        open_page(self.driver, page, width=width, dark=dark)
        if ready:  # a page without rows has no script
            self.until("return document.documentElement.dataset.ready")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def until(self, script: str | Callable[[], Any], *arguments: Any) -> Any:
        """Return what a script gives as soon as it is something."""
        ask = script if callable(script) else lambda: self.run(script, *arguments)
        patience = WebDriverWait(self.driver, 20, poll_frequency=0.03)  # far more than it takes
        return patience.until(lambda driver: ask(), f"did not come: {script}")

    def drawn(self, scope: str) -> int:
        """Return how many charts are drawn within an element, once all are; every mark counts."""
        self.until(
            "return [...document.querySelectorAll(`${arguments[0]} .chart`)].every((place) => {"
            "const svg = place.querySelector('svg.marks');"
            "const points = 'path[aria-roledescription=point]';"
            "if (svg) return svg.querySelectorAll(points).length >= place.dataset.points;"
            "const canvas = place.querySelector('canvas.marks');"
            "return canvas && canvas.getContext('2d')"
            ".getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value); })",
            scope,
        )
        return len(
            self.driver.find_elements(By.CSS_SELECTOR, f"{scope} .chart .marks:is(svg, canvas)")
        )

    def choose(self, filter_name: str, value: str) -> None:
        Select(self.driver.find_element(By.ID, f"f-{filter_name}")).select_by_value(value)

    def texts(self, css: str) -> list[str]:
        found: list[str] = self.run(
            "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent.trim())",
            css,
        )
        return found

    def each(self, css: str, action: str) -> None:
        """Do something with each element, such as "click()"."""
        self.run(f"document.querySelectorAll(arguments[0]).forEach((e) => e.{action})", css)

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture(scope="module", autouse=True)
def no_pictures() -> Iterator[None]:
    """Draw no PNG beside a page: it takes longer than all that is done with the page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(charts, "write_png", lambda spec, path, *words: path.touch() or path)
        yield


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("browser")
    with chromium(folder) as driver:
        downloads = {"behavior": "allow", "downloadPath": str(folder)}
        driver.execute_cdp_cmd("Browser.setDownloadBehavior", downloads)
        yield Browser(driver, folder)


@pytest.fixture
def browser(chrome: Browser) -> Iterator[Browser]:
    """The browser, which has nothing to complain about at the end."""
    yield chrome
    assert chrome.complaints() == []


def the_rows() -> list[Row]:
    failed = failed_row("out of memory", backend="dask", machine="made-up-1")
    return [*synthetic_rows(450), failed]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(the_rows(), [], tmp_path_factory.mktemp("report")).html


def test_every_chart_draws_without_a_complaint_or_a_request(browser, page):
    browser.open(page)
    assert browser.drawn("#time") == 7  # an operation each
    assert browser.drawn("#crossover") >= 6
    assert [browser.drawn(f"#{name}") for name in ("share", "compile", "memory")] == [1, 1, 1]
    assert browser.run("return performance.getEntriesByType('resource').length") == 0


def test_the_policy_of_the_page_stops_what_would_leave_it(browser, page):
    browser.open(page)
    blocked = browser.driver.execute_async_script(
        "const done = arguments[0];"
        "fetch('http://127.0.0.1:9/').then(() => done('went'), () => done('blocked'));"
    )
    assert blocked == "blocked"
    assert any("Content Security Policy" in line for line in browser.complaints())


def test_filters_leave_what_they_say(browser, page):
    browser.open(page)
    counts = browser.texts("#f-count")
    shown = "return [...document.querySelectorAll('tr[data-operation]:not([hidden])')]"
    answers = browser.run(f"{shown}.length")
    browser.choose("operation", "max_unpool")
    counts += browser.texts("#f-count")
    assert set(browser.run(f"{shown}.map((e) => e.dataset.operation)")) == {"max_unpool"}
    browser.choose("dtype", "float16")
    counts += browser.texts("#f-count")
    assert set(browser.run(f"{shown}.map((e) => e.dataset.dtype)")) == {"float16"}
    assert browser.drawn("#time") == 1
    assert {name.split()[0] for name in browser.texts("#cases summary b")} == {"max_unpool"}
    note = "return document.querySelector('.filtered').hidden"
    assert browser.run(note)  # the answer says what else would not narrow it
    browser.choose("mode", "eager")
    counts += browser.texts("#f-count")
    assert not browser.run(note)
    browser.choose("implementation", "portable")
    counts += browser.texts("#f-count")
    browser.each("#f-backends label", "textContent.match(/torch:cuda|numpy/) || e.click()")
    counts += browser.texts("#f-count")
    assert {name.strip() for name in browser.texts("#heat th")[1:]} <= {"torch:cuda", "numpy"}
    browser.until(
        "const first = document.querySelector('#cases details'); if (first) first.open = true;"
        "const shown = first?.querySelector('table')?.textContent;"
        "return shown?.includes('numpy') && !shown.includes('jax')"
    )
    left = [int(text.partition(" ")[0]) for text in counts]
    assert left == sorted(set(left), reverse=True), counts
    browser.each("#f-reset", "click()")
    assert browser.texts("#f-count") == counts[:1]
    assert browser.run(f"{shown}.length") == answers


def test_the_crossovers_are_a_table_that_follows_the_filters(browser, page):
    browser.open(page)
    rows = "#crossover .body > div:first-of-type tbody tr"
    assert len(browser.texts(rows)) == 15  # a page of the table
    browser.choose("operation", "max_unpool")
    browser.until(lambda: all(text.startswith("max_unpool") for text in browser.texts(rows)))
    shown = browser.texts(f"{rows} td:nth-child(3)")
    assert {text[1:] for text in shown} == {"torch:cuda", "cupy:cuda", "jax:cuda"}
    texts = browser.texts(f"{rows} td:is(:nth-child(5), :nth-child(6))")
    assert all("elements" in text for text in texts), texts


def test_filters_that_leave_nothing_say_so(browser, page):
    browser.open(page)
    browser.each("#f-backends input", "click()")
    assert browser.texts("#f-count")[0].startswith("0 of 450")
    for section in ("time", "share", "tax", "compile", "memory", "failures"):
        assert len(browser.texts(f"#{section} .plain")) == 1


def test_the_theme_follows_the_system_and_the_button(browser, page):
    background = "return getComputedStyle(document.body).backgroundColor"
    browser.open(page, dark=True)
    dark = browser.run(background)
    browser.open(page)
    light = browser.run(background)
    assert dark != light
    browser.drawn("#share")
    ink = "return document.querySelector('#share .chart svg text')?.getAttribute('fill')"
    before = browser.run(ink)
    button = browser.driver.find_element(By.ID, "theme")
    seen = []
    for _ in range(3):
        browser.run("arguments[0].click()", button)
        seen.append((button.text, browser.run(background)))
    assert seen == [("Theme: light", light), ("Theme: dark", dark), ("Theme: auto", light)]
    browser.run("arguments[0].click(); arguments[0].click()", button)
    browser.until(lambda: browser.run(ink) not in (None, before))


def test_three_machines_fit_the_window_and_print_whole(browser, tmp_path):
    rows = [
        replace(row, machine=machine, samples_s=[factor * s for s in row.samples_s])
        for machine, factor, count in (
            ("one", 1, 150),
            ("two-" + "x" * 40, 2, 120),
            ("three", 3, 45),
        )
        for row in synthetic_rows(count, samples=5)
    ]
    page = write_report(rows, [], tmp_path).html
    for width in (1400, 390):
        browser.open(page, width=width)
        browser.each("details", "open = true")
        assert (
            browser.run("return [document.documentElement.scrollWidth, innerWidth]") == [width] * 2
        )
    # On paper, without having been looked at: every chart is whole, and so is the row of filters.
    assert browser.drawn("main") == len(browser.texts(".chart")) > 15
    shown = "return [...document.querySelectorAll('.pair')].filter((e) => e.offsetParent).length"
    assert browser.run(shown) == 2
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    size = {"width": 700, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    beyond = (
        "return [...document.querySelectorAll('.marks, .filters > *, .pair')].filter((e) =>"
        " e.offsetParent && e.getBoundingClientRect().right > innerWidth).length"
    )
    assert browser.run(beyond) == 0
    pdf = browser.driver.execute_cdp_cmd("Page.printToPDF", {})
    assert len(pdf["data"]) > 100_000


def test_the_link_saves_every_row(browser, page):
    browser.open(page)
    browser.each("#download", "click()")
    saved = browser.downloads / "rows.jsonl"
    browser.until(lambda: saved.exists() and saved.read_bytes().endswith(b"\n"))
    found = [parse_row(line) for line in saved.read_bytes().splitlines()]
    assert found == the_rows()


def test_tables_turn_their_pages_and_sort(browser, page):
    browser.open(page)
    browser.each("#time details.data", "open = true")
    rows = "#time details.data tbody tr"
    browser.until(lambda: browser.texts(rows))
    first = browser.texts(rows)
    assert len(first) == 25
    browser.run("document.querySelectorAll('#time .pager button')[1].click()")
    assert not set(browser.texts(rows)) & set(first)
    by_rate = ("#time thead button", "textContent === 'GB/s' && e.click()")
    browser.each(*by_rate)
    rising = [float(text.replace(",", "")) for text in browser.texts(f"{rows} td:nth-child(10)")]
    assert rising == sorted(rising)
    browser.each(*by_rate)
    largest = float(browser.texts(f"{rows} td:nth-child(10)")[0].replace(",", ""))
    assert largest > rising[-1]
    assert browser.texts("#time .pager span") == ["1 to 25 of 450"]
    browser.driver.find_element(By.CSS_SELECTOR, "#cases input").send_keys("linear 3x3")
    assert all(
        "linear_unpool" in text and "3x3" in text for text in browser.texts("#cases summary")
    )


def test_several_machines_are_shown_one_at_a_time(browser, tmp_path):
    rows = [make_row(machine="one"), make_row(machine="two", operation="avg_pool")]
    browser.open(write_report(rows, [], tmp_path).html)
    visible = (
        "return [...document.querySelectorAll('.where')]"
        ".filter(e => e.offsetParent).map(e => e.textContent)"
    )
    assert [text.split()[0] for text in browser.run(visible)] == ["one"]
    assert browser.texts("#cases summary b") == ["max_pool"]
    Select(browser.driver.find_element(By.ID, "machine")).select_by_value("1")
    assert [text.split()[0] for text in browser.run(visible)] == ["two"]
    browser.until(lambda: browser.texts("#cases summary b") == ["avg_pool"])
    assert "no crossover between CPU and GPU" in browser.texts("#crossover .plain")[0]


@pytest.mark.parametrize(
    "rows", [[], [failed_row("crash")], [make_row()]], ids=["no rows", "a failure", "a row"]
)
def test_little_makes_a_page_too(browser, tmp_path, rows):
    page = write_report(rows, [], tmp_path).html
    browser.open(page, ready=bool(rows))


def test_threads_have_a_chart_where_rows_were_measured_with_several(browser, tmp_path, page):
    rows = [
        make_row(threads_asked=n, samples_s=[1e-3 / n * (1 + i / 1000) for i in range(9)], **more)
        for n in (1, 2, 4)
        for more in ({}, {"shape": [1, 8, 64, 64]}, {"mode": "compiled", "backend": "jax:cpu"})
    ]
    browser.open(write_report([*rows, make_row(backend="dask")], [], tmp_path).html)
    assert browser.drawn("#threads") == 1
    (told,) = browser.texts("#threads .finding")
    assert "4.00x as fast with 4 threads as with 1: numpy" in told
    assert "4.00x as fast with 4 threads as with 1: jax:cpu compiled" in told
    browser.each("#threads details", "open = true")
    browser.until("return document.querySelector('#threads td')")
    assert "●numpy 4 threads" in browser.texts("#threads td")
    browser.open(page)
    assert browser.run("return document.getElementById('threads')") is None


def test_throughput_has_a_chart_where_rows_were_measured_with_several_batches(
    browser, tmp_path, page
):
    rows = [
        make_row(shape=[n, *shape], samples_s=[seconds] * 9, backend=backend)
        for shape in ([8, 32, 32], [3, 7, 7])
        for backend, times in {"numpy": (1e-3, 5e-3, 2e-2), "jax:cpu": (4e-3, 4e-3, 8e-3)}.items()
        for n, seconds in zip((1, 4, 16), times, strict=True)
    ]
    other = make_row(backend="dask", dtype="float64")
    browser.open(write_report([*rows, other], [], tmp_path).html)
    assert browser.drawn("#batch") == 1
    (told,) = browser.texts("#batch .finding li")
    fastest = "1: numpy, 1,000 items/s; 4: jax:cpu, 1,000 items/s; 16: jax:cpu, 2,000 items/s"
    assert fastest in told
    assert len(browser.texts("#batch option")) == 2
    browser.each("#batch details", "open = true")
    browser.until("return document.querySelector('#batch td')")
    shown = browser.texts("#batch td:last-child")
    assert sorted(shown) == sorted(["1,000", "800", "800", "250", "1,000", "2,000"] * 2)
    browser.open(page)
    assert browser.run("return document.getElementById('batch')") is None


def test_what_a_row_says_is_text_in_the_browser_too(browser, tmp_path):
    attack = ATTACK + "<img src=x onerror='window.hit = 1'>"
    texts = ("backend", "function", "operation", "device", "dtype", "check_scope", "machine")
    rows = [
        make_row(**dict.fromkeys(texts, attack)),
        make_row(**dict.fromkeys(texts, attack) | {"backend": "numpy", "peak_bytes": 10}),
        failed_row(attack, **dict.fromkeys(texts[:5], attack) | {"machine": attack}),
    ]
    browser.open(write_report(rows, [], tmp_path).html)
    browser.drawn("#time")
    browser.choose("operation", attack)
    browser.each("details", "open = true")
    browser.run(
        "document.querySelector('#time .chart path[aria-roledescription=point]')"
        ".dispatchEvent(new MouseEvent('mousemove', {bubbles: true, clientX: 1, clientY: 1}))"
    )
    assert browser.run("return window.hit") is None
    assert browser.run("return document.querySelectorAll('img').length") == 0
    browser.until(lambda: any(attack in text for text in browser.texts("#cases td code")))


def test_what_is_disturbed_cold_or_differs_between_processes_is_in_the_tables(browser, tmp_path):
    rows = [
        in_processes("numpy", 244e-6, 578e-6, 250e-6),
        in_processes("torch:cpu", disturbed=[True] * 12),
    ]
    browser.open(write_report(rows, [], tmp_path).html)
    for section in ("time", "cases"):
        browser.each(f"#{section} details", "open = true")
        found = f"return document.querySelector('#{section} table')?.textContent"
        text = browser.until(found)
        for words in ("after a rest", "17.0 ms", "1.00 ms !", "244 to 579 µs between processes"):
            assert words in text
    assert "plain copy of as many bytes" in browser.texts("#share .note")[0]


def test_many_rows_do_not_make_many_elements(browser, tmp_path):
    seen = []
    for number in (300, 1_500):
        rows = synthetic_rows(number, samples=2)
        browser.open(write_report(rows, [], tmp_path / str(number)).html)
        browser.drawn("#time")
        seen.append(browser.run("return document.querySelectorAll('*').length"))
    assert seen[1] < min(9_000, 2 * seen[0])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_everybody_can_read_and_reach_it(browser, tmp_path, dark):
    failed = failed_row("out of memory", backend="dask", machine="made-up-1")
    page = write_report([*synthetic_rows(60), failed], [], tmp_path).html
    browser.open(page, dark=dark)
    browser.drawn("main")
    assert axe_violations(browser.driver) == []
