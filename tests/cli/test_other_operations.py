"""Functions that are not ours, through the commands: those of `examples/other_operations`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.command import run
from unpool_xp.bench.cases import loading
from unpool_xp.bench.measure import rounds
from unpool_xp.bench.rows.files import read_rows

FOLDER = Path(__file__).parents[2] / "examples" / "other_operations"
FILES = sorted(FOLDER.glob("*.py"))
FOUR = [word for label in ("numpy", "torch", "jax", "dask") for word in ("-b", label)]
pytestmark = pytest.mark.usefixtures("one_process")


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin and end with the operations of the package alone, each with its small shape."""
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # as the files do
    monkeypatch.setenv(loading.VARIABLE, "")
    forget()
    for operation in loading._read(str(FOLDER))[0].values():
        object.__setattr__(operation, "shapes", operation.shapes[:1])
    yield
    monkeypatch.undo()
    forget()


def forget() -> None:
    loading._loaded.cache_clear()
    loading._read.cache_clear()


def test_each_is_short_and_describes_one_function() -> None:
    assert len(FILES) == 6
    for file in FILES:
        assert len(file.read_text(encoding="utf-8").splitlines()) < 25, file.name
        (operation,) = loading.load_operations(str(file))
        assert operation.reference is not None


def test_they_are_swept_on_each_library_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    briefly = partial(rounds.measure_case, rounds=1, cell_s=0.01, limit=False)
    monkeypatch.setattr("unpool_xp.bench.measure.sweep.measure_case", briefly)
    shown = run("sweep", "-o", str(FOLDER), *FOUR, "--results", str(tmp_path), "--report")
    assert shown.returncode == 0, shown.stderr
    rows = read_rows([tmp_path / "sweeps"]).rows
    failed = {f"{row.operation} on {row.backend}: {row.error}" for row in rows if not row.checked}
    assert not failed
    portable = {(row.operation, row.backend) for row in rows if row.implementation == "portable"}
    assert len(portable) == 6 * 4
    assert {row.check_scope for row in rows} == {"all"}
    functions = {row.function for row in rows}
    assert {"array_api_extra.cov", "torch.cov", "scipy.whiten", "rgb2xyz.rgb2xyz"} < functions
    page = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert all(file.stem in page for file in FILES)


def test_one_is_chosen_with_its_parameter_and_code_to_paste() -> None:
    chosen = ("choose", f"{FOLDER / 'pad.py'}:pad", "--shape", "4,4", "--pad-width", "2")
    shown = run(*chosen, "-b", "numpy", "--budget", "3", "--json")
    assert shown.returncode == 0, shown.stderr
    answer = json.loads(shown.stdout)
    assert "pad-4x4-pad_width2-float32" in json.dumps(answer)


def test_they_are_right_on_each_library() -> None:
    names = [word for file in FILES for word in ("-o", str(file))]
    shown = run("check", *names, "-b", "numpy", "-b", "dask", "--json")
    assert shown.returncode == 0, shown.stdout
    found = {(one["operation"], one["backend"]): one["outcome"] for one in json.loads(shown.stdout)}
    assert len(found) == 6 * 2
