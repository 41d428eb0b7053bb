"""Backends of somebody's file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import run
from unpool_xp import backends
from unpool_xp.backends import registry

TEXT = """
from unpool_xp import backends

def load(label="numpy:mine"):
    return backends.Backend(label, backends.load("numpy").xp)

def taken():
    return load("numpy")

def nothing():
    pass

def fails():
    raise ValueError("no device")
"""


@pytest.fixture(autouse=True)
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file of backends, in the folder where commands run."""
    monkeypatch.setenv(registry.VARIABLE, "")
    monkeypatch.setattr(registry, "_ALIASES", dict(registry._ALIASES))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file_of_backends.py"
    path.write_text(TEXT)
    return path


def test_a_file_makes_a_backend_that_is_then_known_by_its_label(file: Path) -> None:
    source = f"{file.name}:load"
    assert backends.full_label(source) == f"{file}:load"
    assert backends.load(source).label == "numpy:mine"
    assert backends.load("numpy:mine").label == "numpy:mine"  # as a worker does
    registry.name_file(f"{file}:load", "numpy:mine")
    assert backends.full_label(source) == "numpy:mine"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere.py:load", "nowhere.py: no such file"),
        ("file_of_backends.py:no", "file_of_backends.py: AttributeError: there is no 'no' in it"),
        ("file_of_backends.py:fails", "file_of_backends.py, line 14: ValueError: no device"),
        ("file_of_backends.py:nothing", "nothing returned <class 'NoneType'>, not a Backend"),
        ("file_of_backends.py", "say what makes the backend, as in file_of_backends.py:load"),
    ],
)
def test_a_file_without_a_backend_says_why(source: str, said: str) -> None:
    with pytest.raises((backends.BackendBrokenError, ValueError), match=r"\.py") as caught:
        backends.load(source)
    assert said in str(caught.value)


def test_a_command_takes_it_and_refuses_the_label_of_another() -> None:
    names = ("-b", "file_of_backends.py:load", "-b", "file_of_backends.py:taken")
    shown = run("check", *names, "-o", "nearest_unpool")
    assert shown.returncode == 2
    assert shown.stderr.endswith("its label 'numpy' is that of another backend\n")
    shown = run("check", *names[:2], "-o", "nearest_unpool")
    assert shown.returncode == 0, shown.stderr
    assert "numpy:mine" in shown.stdout
