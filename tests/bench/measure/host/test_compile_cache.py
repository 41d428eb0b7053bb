"""What is compiled is kept for the processes of one measurement, and no longer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from unpool_xp.bench.measure.host.compile_cache import shared_compilation

NAMES = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")


def test_the_folder_is_there_for_the_processes_and_gone_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    with shared_compilation():
        folder = Path(os.environ[NAMES[0]])
        assert folder.is_dir()
        assert os.environ[NAMES[1]] == "0"
    assert not folder.exists()
    assert not set(NAMES) & set(os.environ)


def test_a_folder_of_the_user_s_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(NAMES[0], str(tmp_path))
    with shared_compilation():
        assert os.environ[NAMES[0]] == str(tmp_path)
    assert tmp_path.is_dir()
