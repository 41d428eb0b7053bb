"""The README: its Python runs, and each command after the lines above it."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.support.command import python

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
_QUICK = ("--backend", "numpy", "--budget", "1")  # the last budget on a line counts


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_its_python_runs() -> None:
    assert blocks("python")
    for block in blocks("python"):
        exec(block, {})


def test_its_commands_run_after_those_above_them() -> None:
    extras: set[str] = set()
    for line in "".join(blocks("bash")).splitlines():
        program, *words = shlex.split(line, comments=True)
        if program == "pip":
            found = (re.fullmatch(r"unpool-xp\[(\w+)\]", word) for word in words)
            extras |= {match[1] for match in found if match}
        elif program == "make":  # which installs what it needs
            done = subprocess.run(["make", "--dry-run", *words], cwd=ROOT, capture_output=True)
            assert done.returncode == 0, f"{line}: {done.stderr.decode()}"
        else:
            assert (program, "bench" in extras) == ("unpool-xp", True), line
            ran = python("-m", "unpool_xp", *words, *_QUICK, cwd=ROOT)
            assert ran.returncode == 0, f"{line}: {ran.stderr}"
    assert extras <= set(PROJECT["project"]["optional-dependencies"])


def test_its_links_lead_to_files_and_are_whole_on_a_package_index() -> None:
    hook = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    shown = README
    for one in hook["substitutions"]:
        shown = re.sub(one["pattern"], one["replacement"], shown)
    links = r"\]\(([^)]+)\)"
    for target in re.findall(links, README):
        assert target.startswith("https://") or (ROOT / target).exists(), target
    assert len(re.findall(links, shown)) == len(re.findall(links, README))
    assert all(target.startswith("https://") for target in re.findall(links, shown))
    source = PROJECT["project"]["urls"]["Source"].removeprefix("https://github.com/")
    assert all(source in one["replacement"] for one in hook["substitutions"])


@pytest.mark.parametrize("word", ["target", "missed", "oracle"])
def test_it_does_not_speak_of_targets(word: str) -> None:
    assert word not in README.lower()
