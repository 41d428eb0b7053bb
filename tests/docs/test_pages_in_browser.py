"""The built pages in a browser: nothing is cut, broken or out of reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.support.browser import axe_violations, chromium, open_page
from tests.support.pages import build_pages, copy_sources

LOOKED_AT = ("index", "quickstart", "in_general", "faq", "commands", "gallery", "examples/index")


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_pages("html", copy_sources(tmp_path_factory.mktemp("pages")))


def own_pages(pages: Path) -> list[Path]:
    """Return the pages but those of a single function, which are all alike."""
    paths = [*pages.glob("*.html"), *pages.glob("examples/*.html"), *pages.glob("api/*.html")]
    return sorted(path for path in paths if path.name not in ("genindex.html", "search.html"))


@pytest.mark.parametrize("width", [1400, 1300, 390])
def test_every_page_fits_and_has_every_page_in_its_sidebar(
    chrome: webdriver.Chrome, pages: Path, width: int
) -> None:
    paths, problems = own_pages(pages), []
    for path in paths:
        open_page(chrome, path, width=width)
        name = path.relative_to(pages)
        links, head, across, cut = chrome.execute_script(
            "const sidebar = document.querySelectorAll('.bd-sidebar-primary a.internal');"
            "const pres = [...document.querySelectorAll('.bd-article pre')];"
            "return [new Set([...sidebar].map((a) => a.href.split('#')[0])).size,"
            "document.querySelector('.bd-header').offsetHeight,"
            "document.documentElement.scrollWidth - window.innerWidth,"
            "pres.filter((e) => e.scrollWidth > e.clientWidth + 1)"
            ".map((e) => e.textContent.split('\\n').sort((a, b) => b.length - a.length)[0])];"
        )
        problems += [f"{name}: {message['message']}" for message in chrome.get_log("browser")]
        if links < 30:
            problems.append(f"{name}: {links} pages in the sidebar")
        if head > 80:
            problems.append(f"{name}: the head is {head} pixels high")
        if across > 0:
            problems.append(f"{name}: {across} pixels are off the window")
        if width >= 1300:
            problems += [f"{name}: cut: {line}" for line in cut]
    assert len(paths) > 35
    assert problems == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_everybody_can_read_and_reach_it(chrome: webdriver.Chrome, pages: Path, dark: bool) -> None:
    for name in LOOKED_AT:
        open_page(chrome, pages / f"{name}.html", width=1400, dark=dark)
        assert axe_violations(chrome) == [], name
