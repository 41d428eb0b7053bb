"""Functions that are not ours, through the commands: those of `examples/other_operations`."""

from __future__ import annotations

import json
import re
import textwrap
from functools import partial
from pathlib import Path

import pytest
import scipy
from packaging.version import Version

from tests.support.command import run
from unpool_xp.bench.cases import loading
from unpool_xp.bench.measure import rounds
from unpool_xp.bench.rows.files import read_rows

FOLDER = Path(__file__).parents[2] / "examples" / "other_operations"
FILES = sorted(FOLDER.glob("*.py"))
# An older SciPy rotates no arrays but NumPy's.
USABLE = [
    file
    for file in FILES
    if Version(scipy.__version__) >= Version("1.17") or "SCIPY_ARRAY_API" not in file.read_text()
]
FOUR = [word for label in ("numpy", "torch", "jax", "dask") for word in ("-b", label)]
pytestmark = pytest.mark.usefixtures("one_process", "decided_at_once")


@pytest.fixture(autouse=True)
def scipy_of_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # as the files do


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same files, each with the first of its shapes alone, and but one to be compiled."""
    folder = tmp_path_factory.mktemp("small_operations")
    for file in USABLE:
        text, number = re.subn(
            r"shapes=\((\([\d, ]+\)), \(.*\)\),", r"shapes=(\1,),", file.read_text(encoding="utf-8")
        )
        assert number == 1, file.name
        if file.stem != "pad":  # a compilation takes seconds each
            text = text.replace(" = Operation(", " = Operation(compiled=False, ")
        (folder / file.name).write_text(text, encoding="utf-8")
    return folder


def test_each_is_short_and_describes_one_function() -> None:
    assert len(FILES) == 6
    for file in FILES:
        assert len(file.read_text(encoding="utf-8").splitlines()) < 25, file.name
        (operation,) = loading.load_operations(str(file))
        assert operation.reference is not None


def test_they_are_swept_on_each_library_and_reported(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    briefly = partial(rounds.measure_case, rounds=1, cell_s=0.01, limit=False)
    monkeypatch.setattr("unpool_xp.bench.measure.sweep.measure_case", briefly)
    shown = run("sweep", "-o", str(small), *FOUR, "--results", str(tmp_path), "--report")
    assert shown.returncode == 0, shown.stderr
    rows = read_rows([tmp_path / "sweeps"]).rows
    names = [one.name for one in loading.load_operations(str(small))]
    failed = {(row.operation, row.backend, row.error) for row in rows if not row.checked}
    kept_out = {name: f"{name} is not to be compiled" for name in names if name != "pad"}
    assert failed == {(name, "jax:cpu", reason) for name, reason in kept_out.items()}
    libraries = {"numpy", "torch:cpu", "jax:cpu", "dask"}
    swept = {(row.operation, row.backend) for row in rows}
    assert {(name, label) for name in names for label in libraries - {"dask"}} < swept
    assert {("pad", label) for label in libraries} < swept
    assert {row.check_scope for row in rows if row.checked} == {"all"}
    functions = {row.function for row in rows if row.operation == "pad"}
    assert functions == {"array_api_extra.pad", "numpy.pad", "jax.numpy.pad", "dask.array.pad"}
    page = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert all(f"| {name} |" in page for name in names)
    assert "claimed" not in page  # that is about our operations


def test_one_is_chosen_between_libraries_with_its_parameter_and_code_to_paste() -> None:
    chosen = ("choose", f"{FOLDER / 'pad.py'}:pad", "--shape", "4,4", "--pad-width", "2")
    shown = run(*chosen, *FOUR, "--budget", "300")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("pad-4x4-pad_width2-float32")
    assert "pad_width=2)" in shown.stdout or "np.pad(x, 2)" in shown.stdout  # either may be best


def test_each_is_chosen(small: Path) -> None:
    for file in USABLE:
        shown = run("choose", str(small / file.name), "-b", "numpy", "--budget", "300")
        assert shown.returncode == 0, f"{file.name}: {shown.stderr}"
        assert re.search(r"^ *1 +numpy ", shown.stdout, re.MULTILINE), shown.stdout


def test_they_are_right(small: Path) -> None:
    shown = run("check", "-o", str(small), *FOUR, "--json")
    assert shown.returncode == 0, shown.stdout
    results = json.loads(shown.stdout)
    found = {(one["operation"], one["backend"]) for one in results}
    assert len(found) == len(USABLE) * 4
    assert {one["outcome"] for one in results} == {"passed", "skipped"}


def test_the_file_of_the_page_is_complete(tmp_path: Path) -> None:
    page = (FOLDER.parents[1] / "docs" / "own_function.rst").read_text(encoding="utf-8")
    (text,) = re.findall(r":caption: my_ops.py\n((?:\n| {3}.*\n)+)", page)
    file = tmp_path / "my_ops.py"
    file.write_text(textwrap.dedent(text).strip(), encoding="utf-8")
    assert len(file.read_text(encoding="utf-8").splitlines()) == 15
    shown = run("check", "--operation", "my_ops.py", "-b", "numpy", path=tmp_path)
    assert shown.returncode == 0, shown.stdout
