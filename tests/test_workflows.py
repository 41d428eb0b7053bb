"""What a host runs is here: targets, extras, commands; and no workflow may more than it must."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from .test_docs import problem

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
WORKFLOWS = {path.name: path for path in sorted((GITHUB / "workflows").glob("*.yml"))}
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")
TEXTS = [*WORKFLOWS.values(), *FORMS, GITHUB / "pull_request_template.md"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
SCHEMAS = {
    "vendor.github-workflows": [*WORKFLOWS.values()],
    "vendor.github-issue-forms": FORMS,
    "vendor.github-issue-config": [GITHUB / "ISSUE_TEMPLATE" / "config.yml"],
}
every_workflow = pytest.mark.parametrize("name", WORKFLOWS)


def load(name: str) -> Any:
    return yaml.safe_load(WORKFLOWS[name].read_text(encoding="utf-8"))


def steps(name: str) -> Iterator[dict[str, Any]]:
    for job in load(name)["jobs"].values():
        yield from job["steps"]


def commands(name: str) -> Iterator[str]:
    """Yield the lines of a workflow's scripts, continued ones joined."""
    for step in steps(name):
        yield from map(str.strip, step.get("run", "").replace("\\\n", " ").splitlines())


def make_targets(text: str) -> set[str]:
    """Return the targets that a text runs or tells to run."""
    called = re.findall(r"(?:^ *|[`:] ?|run: )make ([a-z][\w -]*)", text, re.MULTILINE)
    return {word for words in called for word in words.split() if word.islower()}


def test_all_are_there() -> None:
    assert set(WORKFLOWS) == {"tests.yml", "gate.yml", "nightly.yml", "gpu.yml"}
    assert {path.stem for path in FORMS} == {"bug", "wrong_result", "performance", "new_backend"}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_they_are_what_github_reads(schema: str) -> None:
    command = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema)
    ran = subprocess.run((*command, *SCHEMAS[schema]), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("path", TEXTS, ids=[path.name for path in TEXTS])
def test_every_make_target_is_in_the_makefile(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    there = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    called = make_targets(path.read_text(encoding="utf-8"))
    assert called <= there, called - there


def test_targets_are_found_in_a_text() -> None:
    text = "- run: make test-lowest\n  make gate BASE=x\n`make lint` and so on; they make it slower"
    assert make_targets(text) == {"test-lowest", "gate", "lint"}
    found = make_targets(WORKFLOWS["tests.yml"].read_text())
    assert found == {"test-lowest", "smoke", "lint", "docs"}


@every_workflow
def test_every_extra_and_file_named_is_there(name: str) -> None:
    for line in commands(name):
        for found in re.findall(r"\"\.\[([^]]+)\]\"", line):
            known = re.sub(r"\$\{\{ matrix.extras \}\}", "", found.replace("${CUDA}", "12"))
            assert set(filter(None, known.split(","))) <= set(EXTRAS), line
        for file in re.findall(r"--constraint (\S+)", line):
            assert (ROOT / file).is_file(), line
    for job in load(name)["jobs"].values():
        for entry in job.get("strategy", {}).get("matrix", {}).get("include", []):
            assert set(entry["extras"].split(",")) <= set(EXTRAS), entry
    for step in steps(name):
        file = step.get("with", {}).get("cache-dependency-path")
        assert file is None or (ROOT / file).is_file(), step


@every_workflow
def test_every_command_of_ours_is_one(name: str) -> None:
    for line in commands(name):
        words = shlex.split(re.sub(r"\$\{\{.*?\}\}", "numpy", line).partition(" |")[0])
        if words and Path(words[0]).name == "unpool-xp":
            assert problem(words[1:]) is None, line


@every_workflow
def test_a_workflow_may_no_more_than_it_must_and_ends(name: str) -> None:
    workflow = load(name)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]
    for title, job in workflow["jobs"].items():
        assert 0 < job["timeout-minutes"] <= 180, title
        # Only the dashboard's page is written.
        assert set(job.get("permissions", {})) <= {"pages", "id-token"}, title
    for step in steps(name):
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]), step
        if step.get("uses", "").startswith("actions/setup-python"):
            assert step["with"]["cache"] == "pip"
        # Text from outside goes through the environment, never into a script.
        inserted = re.findall(r"\$\{\{ *([\w.-]+)", step.get("run", ""))
        assert all(name.startswith("matrix.") for name in inserted), step


def test_the_dashboard_is_published_from_where_asv_writes_it() -> None:
    (path,) = (s["with"]["path"] for s in steps("nightly.yml") if "pages-artifact" in str(s))
    lines = (ROOT / "asv.conf.json").read_text(encoding="utf-8").splitlines()
    settings = "\n".join(line for line in lines if not line.lstrip().startswith("//"))
    assert json.loads(settings)["html_dir"] == path


# --- the oldest versions -------------------------------------------------------------------------


def test_the_lowest_versions_are_those_that_are_declared() -> None:
    lines = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    declared = {}
    extras = ("torch", "jax", "dask", "strict", "gallery", "bench", "cluster", "examples", "test")
    for text in (*PROJECT["dependencies"], *(one for e in extras for one in EXTRAS[e])):
        wanted = Requirement(text)
        if wanted.name != "unpool-xp":
            (bound,) = wanted.specifier
            assert bound.operator == ">=", text
            declared[wanted.name] = bound.version
    assert set(pinned) == {*declared, "jaxlib"}
    for name in set(declared) - {"torch"}:  # its older builds bring gigabytes of CUDA
        assert Version(pinned[name]) == Version(declared[name]), name
    assert Version(pinned["torch"]) >= Version(declared["torch"])
