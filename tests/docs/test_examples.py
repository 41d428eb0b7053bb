"""The examples run as a reader runs them, and print what the documentation shows.

Some run when the pages are built; `python -m tests.docs.test_examples NAME ...` records what the
others print, by default all of them.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tomllib
from collections.abc import Collection
from pathlib import Path

import pytest

from tests.support.command import problem, python

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
MEASURED = ("choose_in_code", "unet_decoder")  # print times, and what was the quickest here
RECORDED = [EXAMPLES / f"{name}.py" for name in (*MEASURED, "larger_than_memory", "maintainer_ci")]
every_script = pytest.mark.parametrize("script", SCRIPTS, ids=[path.stem for path in SCRIPTS])
recorded_scripts = pytest.mark.parametrize("script", RECORDED, ids=lambda path: path.stem)

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def run_script(script: Path, cwd: Path) -> str:
    # Where nothing of the checkout is in reach but the package.
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    variables = {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = python("-W", "error", script, cwd=cwd, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


def recorded(script: Path) -> Path:
    return EXAMPLES / "output" / f"{script.stem}.txt"


def differences(shown: str, wanted: str) -> list[str]:
    """Return the lines that differ in more than the last digits of a number."""
    lines, expected = shown.splitlines(), wanted.splitlines()
    if len(lines) != len(expected):
        return [f"{len(lines)} lines, not {len(expected)}"]
    return [
        f"{a!r}, not {b!r}"
        for a, b in zip(lines, expected, strict=True)
        if _words(a) != _words(b) or not _close(_NUMBER.findall(a), _NUMBER.findall(b))
    ]


def _words(line: str) -> list[str]:
    return _NUMBER.sub("#", line).split()


def _close(numbers: list[str], wanted: list[str]) -> bool:
    # Whole numbers are counts; the others may differ by what libraries round differently.
    return all(
        a == b if b.isdigit() else abs(float(a) - float(b)) <= 0.05 * abs(float(b)) + 0.002
        for a, b in zip(numbers, wanted, strict=True)
    )


@recorded_scripts
def test_an_example_prints_what_is_shown(script: Path, tmp_path: Path) -> None:
    shown, wanted = run_script(script, tmp_path), recorded(script).read_text(encoding="utf-8")
    if script.stem in MEASURED:
        assert shown.splitlines()[-2:] == wanted.splitlines()[-2:]
        for text in (shown, wanted):
            assert re.search(r"^numpy +[\d.]+ ms$", text, re.MULTILINE)
            assert re.search(r"^use (numpy|torch:cpu)", text, re.MULTILINE)
        assert "no time" not in wanted  # as on a machine too busy for the budget
    else:
        assert not differences(shown, wanted)


@pytest.mark.parametrize(
    ("shown", "equal"),
    [
        ("loss 0.51 at step 9", True),
        ("loss 0.60 at step 9", False),
        ("loss 0.51 at step 8", False),
        ("gain 0.51 at step 9", False),
        ("loss 0.51 at step 9\nand more", False),
    ],
)
def test_another_output_is_found(shown: str, equal: bool) -> None:
    assert (not differences(shown, "loss 0.50 at step 9")) is equal


def test_each_example_is_run_by_the_pages_or_recorded() -> None:
    conf = (ROOT / "docs" / "conf.py").read_text(encoding="utf-8")
    (pattern,) = re.findall(r'"filename_pattern": r"(.+)"', conf)
    for script in SCRIPTS:
        assert bool(re.search(pattern, str(script))) != (script in RECORDED), script
    outputs = {path.stem for path in (EXAMPLES / "output").glob("*.txt")}
    assert outputs == {script.stem for script in RECORDED}


@every_script
def test_an_example_reads_like_a_notebook(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert re.match(r'"""\w.*\n=+\n\n', text)
    assert text.count("\n# %%\n") >= 2


def test_claims_of_the_examples_hold(tmp_path: Path) -> None:
    names = ("segmentation_numpy", "one_decoder_torch_jax")
    texts = {name: run_script(EXAMPLES / f"{name}.py", tmp_path) for name in names}
    rows = re.findall(
        r"^(\w+).*? +([\d.]+) +([\d.]+) +([\d.]+)%$", texts["segmentation_numpy"], re.MULTILINE
    )
    score = {name: [float(n) for n in numbers] for name, *numbers in rows}
    assert score["max_unpool"][0] > score["nearest_unpool"][0]
    assert score["max_unpool"][1] > score["nearest_unpool"][1]
    losses = re.findall(r"torch ([\d.]+), jax ([\d.]+)", texts["one_decoder_torch_jax"])
    for path in zip(*losses, strict=True):
        assert list(path) == sorted(path, reverse=True)
        assert float(path[-1]) < float(path[0]) / 5


def test_the_workflow_checks_the_library_of_the_entry_point() -> None:
    folder = EXAMPLES / "maintainer"
    text = (folder / "check.yml").read_text(encoding="utf-8")
    (command,) = re.findall(r"- run: (unpool-xp .*)", text)
    arguments = shlex.split(command)[1:]
    assert problem(arguments) is None
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ((label, place),) = project["entry-points"]["unpool_xp.backends"].items()
    assert label == arguments[arguments.index("--backend") + 1]
    module, _, function = place.partition(":")
    assert f"def {function}()" in (folder / f"{module}.py").read_text(encoding="utf-8")
    # What the example runs is what the job runs.
    assert command.removeprefix("unpool-xp ") in (EXAMPLES / "maintainer_ci.py").read_text()
    extras = re.findall(r'"unpool-xp\[(\w+)\]"', text)
    given = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras) <= set(given["optional-dependencies"])


def record(names: Collection[str]) -> None:
    for script in RECORDED:
        if not names or script.stem in names:
            recorded(script).write_text(run_script(script, Path("/")), encoding="utf-8")


if __name__ == "__main__":
    record(sys.argv[1:])
