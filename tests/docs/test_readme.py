"""The README: its Python runs, and each command after the lines above it.

`make test-dist` runs this with an installed wheel, and the first test with NumPy alone.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
_PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
_TABLES = tomllib.loads(_PYPROJECT)
PROJECT = _TABLES["project"]
HOOK = _TABLES["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
_OPTIONS = ("--backend", "numpy", "--budget", "300")  # the last budget on a line counts


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_its_five_lines_run() -> None:
    first, *_ = blocks("python")
    names: dict[str, object] = {}
    exec(first, names)
    assert f"# {names['restored'].shape}" in first  # type: ignore[attr-defined]


def test_its_commands_run_after_those_above_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.support.command import decide_at_once, run  # which need what the commands need

    decide_at_once(monkeypatch)
    for block in blocks("python")[1:]:
        name = re.match(r"# (\w+\.py)\n", block)
        assert name, block
        (tmp_path / name[1]).write_text(block, encoding="utf-8")
    extras: set[str] = set()
    for line in "".join(blocks("bash")).splitlines():
        program, *words = shlex.split(line, comments=True)
        if program == "pip":
            found = (re.fullmatch(r"unpool-xp\[(\w+)\]", word) for word in words)
            extras |= {match[1] for match in found if match}
        elif program == "git":
            assert words == ["clone", PROJECT["urls"]["Source"]]
        elif program == "cd":
            assert words == [PROJECT["urls"]["Source"].rpartition("/")[2]]
        elif program == "make":  # which installs what it needs
            done = subprocess.run(["make", "--dry-run", *words], cwd=ROOT, capture_output=True)
            assert done.returncode == 0, f"{line}: {done.stderr.decode()}"
        else:
            assert (program, "bench" in extras) == ("unpool-xp", True), line
            ran = run(*words, *_OPTIONS, path=tmp_path)
            assert ran.returncode == 0, f"{line}: {ran.stderr}"
    assert extras <= set(PROJECT["optional-dependencies"])


def test_its_links_lead_to_files_and_are_whole_on_a_package_index() -> None:
    shown = README
    for one in HOOK["substitutions"]:
        shown = re.sub(one["pattern"], one["replacement"], shown)
    links = r"\]\(([^)]+)\)"
    for target in re.findall(links, README):
        assert target.startswith("https://") or (ROOT / target).exists(), target
    assert len(re.findall(links, shown)) == len(re.findall(links, README))
    assert all(target.startswith("https://") for target in re.findall(links, shown))


def repositories(text: str) -> set[str]:
    """Return the repositories whose files or pages a text leads to."""
    hosts = r"https://(?:(?:raw\.githubusercontent|github)\.com/([\w-]+)|([\w-]+)\.github\.io)/([\w.-]+)"
    return {f"{owner or of_pages}/{name}" for owner, of_pages, name in re.findall(hosts, text)}


def test_every_address_is_in_the_repository_that_the_release_compares_with_its_own() -> None:
    place = PROJECT["urls"]["Source"].removeprefix("https://github.com/")
    assert repositories(_PYPROJECT) == repositories("".join(blocks("bash"))) == {place}


def test_the_command_of_the_release_steps_sets_every_address(tmp_path: Path) -> None:
    steps = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^perl .*$", steps, re.MULTILINE)
    files = [Path(shutil.copy(ROOT / n, tmp_path)) for n in ("pyproject.toml", "README.md")]
    command = command.replace("OWNER", "somebody").replace("NAME", "elsewhere")
    subprocess.run(shlex.split(command), cwd=tmp_path, check=True)
    pyproject, readme = (file.read_text(encoding="utf-8") for file in files)
    assert 'Source = "https://github.com/somebody/elsewhere"\n' in pyproject
    assert repositories(pyproject) == {"somebody/elsewhere"}
    assert "git clone https://github.com/somebody/elsewhere\ncd elsewhere\n" in readme


@pytest.mark.parametrize("word", ["target", "missed", "oracle"])
def test_it_does_not_speak_of_targets(word: str) -> None:
    assert word not in README.lower()
