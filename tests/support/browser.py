"""Chromium without a window."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import selenium_axe_python
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run", "--hide-scrollbars"),
    "--window-size=1280,900",
)

_AXE = Path(selenium_axe_python.__file__).parent / "axe-core" / "axe.min.js"


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[webdriver.Chrome]:
    """Start the browser, with its profile in the folder; it keeps what it says and asks for."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    chromedriver = shutil.which("chromedriver")
    if not program or not chromedriver:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*_FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    for set_timeout in (driver.set_page_load_timeout, driver.set_script_timeout):
        set_timeout(120)  # seconds; on a busy machine a page takes many
    yield driver
    driver.quit()


def open_page(driver: webdriver.Chrome, page: Path, *, width: int, dark: bool = False) -> None:
    """Open a page in a window of this width, with an empty log."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme]})
    driver.get("about:blank")
    driver.get_log("browser")
    driver.get(page.as_uri())


def axe_violations(driver: webdriver.Chrome) -> list[str]:
    """Return what axe finds wrong with the page: contrast, names, what no keyboard reaches."""
    driver.execute_script(_AXE.read_text(encoding="utf-8"))
    found = driver.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "document.getAnimations().forEach((one) => one.finish());"  # colours that are changing
        "axe.run().then((results) => done(results.violations.flatMap((one) => one.nodes.map("
        "(node) => `${one.id}: ${node.html.slice(0, 200)}`))));"
    )
    return list(found)
