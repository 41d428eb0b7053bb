"""Makes the fake backend's folder known to this process and to those it starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the folder on the path, here and in child processes, until the test ends."""
    monkeypatch.syspath_prepend(FOLDER)
    here = [str(FOLDER), str(FOLDER.parents[2]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in here if path))
