"""The command `backends`: what is here, what was measured, and what is missing and why."""

from __future__ import annotations

import json

import pytest

from tests.support.command import run
from unpool_xp.backends.base import usable_cores


@pytest.fixture(autouse=True)
def _fakes(fake_backends: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_DELAY", "0")
    monkeypatch.setenv("COLUMNS", "80")


def test_rates_and_threads_are_measured_in_the_library_s_own_process() -> None:
    shown = run("backends", "-b", "fake:threaded", "-b", "fake:missing", "--json")
    assert shown.returncode == 2, shown.stderr  # one that was named is missing
    threaded, missing = json.loads(shown.stdout)
    assert threaded["pool_threads"] == 2
    assert (threaded["spin_s"] is None) == (usable_cores() < 2)
    assert missing == {"backend": "fake:missing", "missing": "pip install the missing part"}
    assert threaded["copy_gb_s"] > 0
    assert threaded["product_gflop_s"] > 0
    assert 0 <= threaded["other_cpus"] <= usable_cores() * 1.1


def test_a_library_that_crashes_costs_itself_alone() -> None:
    shown = run("backends", "-b", "fake:dies", "-b", "torch", "--quick")
    assert shown.returncode == 2
    shown_text = " ".join(shown.stdout.split())
    assert "not here: fake:dies: crashed: fake:dies ended with exit code 7" in shown_text
    assert "torch:cpu" in shown.stdout


def test_an_unknown_label_ends_the_command() -> None:
    shown = run("backends", "-b", "nothing")
    assert shown.returncode == 2
    assert "error: unknown backend 'nothing'; known: numpy" in shown.stderr
