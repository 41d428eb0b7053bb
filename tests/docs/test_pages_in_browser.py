"""The built pages in a browser: nothing is cut, broken, hard to read or out of reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.support.browser import axe_violations, chromium, open_page
from tests.support.pages import build_pages, copy_sources

WIDTHS = (1400, 1300, 390)  # a desktop, a laptop, a telephone
TYPICAL = (
    *("index", "quickstart", "operations", "performance", "gallery", "commands"),
    *("api/generated/unpool_xp.max_pool", "examples/unet_decoder"),
)
_MEASURES = """
const pages = document.querySelectorAll('.bd-sidebar-primary a.internal');
const pres = [...document.querySelectorAll('.bd-article pre')];
return {
  pages: new Set([...pages].map((a) => a.href.split('#')[0])).size,
  head: document.querySelector('.bd-header').offsetHeight,
  across: document.documentElement.scrollWidth - window.innerWidth,
  cut: pres.filter((e) => e.scrollWidth > e.clientWidth + 1)
    .map((e) => e.textContent.split('\\n').sort((a, b) => b.length - a.length)[0]),
};
"""


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, without what their examples print."""
    source = copy_sources(tmp_path_factory.mktemp("pages"))
    return build_pages("html", source, "-D", "plot_gallery=0")


def errors(chrome: webdriver.Chrome) -> list[str]:
    """Return what the console has of errors; the theme also tells of what it does."""
    log = chrome.get_log("browser")
    return [entry["message"] for entry in log if entry["level"] == "SEVERE"]


def problems(chrome: webdriver.Chrome, pages: Path, names: Iterable[str]) -> Iterator[str]:
    """Yield what is wrong with pages, a line each."""
    for name in names:
        for width in WIDTHS:
            open_page(chrome, pages / f"{name}.html", width=width)
            at = f"{name} at {width}"
            found = chrome.execute_script(_MEASURES)
            yield from (f"{at}: {error}" for error in errors(chrome))
            if found["pages"] < 30:
                yield f"{at}: {found['pages']} pages in the sidebar"
            if found["head"] > 80:
                yield f"{at}: the head is {found['head']} pixels high"
            if found["across"] > 0:
                yield f"{at}: {found['across']} pixels are off the window"
            if width >= 1300:
                yield from (f"{at}: cut: {line}" for line in found["cut"])
        for dark in (True, False):
            open_page(chrome, pages / f"{name}.html", width=1400, dark=dark)
            yield from (
                f"{name}, {'dark' if dark else 'light'}: {one}" for one in axe_violations(chrome)
            )


def test_typical_pages_can_be_read_and_reached(chrome: webdriver.Chrome, pages: Path) -> None:
    assert [*problems(chrome, pages, TYPICAL)] == []


@pytest.mark.every_page
def test_every_page_can_be_read_and_reached(chrome: webdriver.Chrome, pages: Path) -> None:
    paths = [path for path in pages.rglob("*.html") if "_static" not in path.parts]
    names = {str(path.relative_to(pages).with_suffix("")) for path in paths}
    assert {*TYPICAL} <= names
    assert [*problems(chrome, pages, sorted(names - {"genindex", "search"}))] == []


def test_what_is_wrong_with_a_page_is_found(chrome: webdriver.Chrome, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        "<title>A page</title><header class='bd-header' style='height: 99px'></header>"
        "<main class='bd-article'><p style='color: #bbb; background: #fff'>Hard to read.</p>"
        "<pre style='width: 90px; overflow: auto'>a line of code that is cut</pre>"
        "<div style='width: 2000px'>.</div><script>undefined.x</script></main>"
    )
    found = "\n".join(problems(chrome, tmp_path, ["page"]))
    for words in ("0 pages", "99 pixels", "off the window", "cut: a line", "TypeError"):
        assert words in found
    assert "color-contrast" in found
    assert "scrollable-region-focusable" in found
