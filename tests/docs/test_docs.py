"""The documentation builds, its examples run, and what it names is there.

The examples of the docstrings run in ``make test`` by ``pytest --doctest-modules``.
"""

from __future__ import annotations

import inspect
import os
import re
import shlex
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import numpy as np
import pytest
from numpydoc.docscrape import FunctionDoc

import unpool_xp
from tests.conftest import CPU
from tests.support.command import APP, problem, python
from tests.support.pages import DOCS, ROOT, build_pages, copy_sources
from unpool_xp import backends, capabilities
from unpool_xp.bench.rows import schema

PAGES = [
    *(
        path
        for path in sorted(DOCS.rglob("*.rst"))
        if not {"_build", "examples", "generated", "_templates"} & {*path.relative_to(DOCS).parts}
    ),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/GALLERY_HEADER.rst")),
]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def commands(page: Path) -> Iterator[str]:
    """Yield the commands in the blocks of a page, one a line."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    lines = "".join(blocks) if page.suffix == ".md" else text
    lines = re.sub(r"\\\n +", "", lines)  # a command on several lines
    indent = "" if page.suffix == ".md" else " +"
    yield from re.findall(rf"^{indent}(?:\$ )?((?:unpool-xp|make) .*)$", lines, re.MULTILINE)


# --- the built pages -----------------------------------------------------------------------------


def broken_links(paths: list[Path]) -> Iterator[str]:
    """Yield the links of pages to files or places of this documentation that are not there."""
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    places = {path: {"", *re.findall(r' id="([^"]+)"', text)} for path, text in texts.items()}
    for path, text in texts.items():
        for link in set(re.findall(r'<a [^>]*href="([^"]+)"', text)):
            file, _, place = unquote(link).partition("#")
            if "//" in file or file.startswith("mailto:"):
                continue
            target = (path.parent / file).resolve() if file else path
            if not target.exists() or place not in places.get(target, {place}):
                yield f"{path.name}: {link}"


def test_the_pages_build_their_examples_run_and_nothing_loads_from_a_network(
    tmp_path: Path,
) -> None:
    # One test, as the second builder takes what the first has read.
    source = copy_sources(tmp_path)
    ran = (build_pages("doctest", source) / "output.txt").read_text(encoding="utf-8")
    pages = {"index", "quickstart", "segnet_to_numpy", "operations", "origin", "extending"}
    assert pages <= set(re.findall(r"^Document: ([\w/]+)$", ran, re.MULTILINE))
    out = build_pages("html", source)
    # The theme leaves a template among its own files.
    paths = [path for path in out.rglob("*.html") if "_static" not in path.parts]
    text = "".join(path.read_text(encoding="utf-8") for path in paths)
    assert not re.findall(r"<(?:script|img|link)\b[^>]*(?:src|href)=\"(?:https?:)?//[^>]*", text)
    anchors = set(re.findall(r' id="([^"]+)"', text))
    for module in (unpool_xp, backends, capabilities):
        names = {f"{module.__name__}.{name}" for name in module.__all__}
        assert names <= anchors, names - anchors
    for operation in capabilities.OPERATIONS:
        assert (out / f"api/generated/unpool_xp.{operation}.html").is_file()
    assert [*broken_links(paths)] == []


# --- docstrings ----------------------------------------------------------------------------------

OPERATIONS = [getattr(unpool_xp, name) for name in capabilities.OPERATIONS]


@pytest.mark.parametrize("operation", OPERATIONS, ids=list(capabilities.OPERATIONS))
def test_a_docstring_of_an_operation_says_it_all(operation: Any) -> None:
    doc = FunctionDoc(operation)
    for section in ("Parameters", "Returns", "Raises", "See Also", "Examples"):
        assert doc[section], f"{operation.__name__} has no section {section}"
    assert [p.name for p in doc["Parameters"]] == list(inspect.signature(operation).parameters)
    for part in (*doc["Parameters"], *doc["Returns"]):
        if part.type.startswith("array") and "array_like" not in part.type:
            assert re.search(r"\bshape\b", " ".join(part.desc), re.IGNORECASE), part
    assert "``(" in " ".join(doc["Returns"][0].desc)


# --- commands ------------------------------------------------------------------------------------


@every_page
def test_the_commands_of_a_page_are_there(page: Path) -> None:
    for line in commands(page):
        if line.startswith("unpool-xp "):
            wrong = problem(shlex.split(line, comments=True)[1:])
            assert wrong is None, f"{line}: {wrong}"


def test_commands_are_named_on_the_pages_that_are_about_them() -> None:
    named = {" ".join(line.split()) for page in PAGES for line in commands(page)}
    for name in APP.commands:
        assert any(line.startswith(f"unpool-xp {name}") for line in named), name


@pytest.mark.parametrize(
    "line", ["chose max_unpool", "check --no-such", "compare", "choose max_pool --budget soon"]
)
def test_a_command_that_is_none_is_found(line: str) -> None:
    assert problem(line.split()) is not None


@every_page
def test_commands_and_options_in_the_text_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    options = {name for c in (APP, *APP.commands.values()) for p in c.params for name in p.opts}
    for literal in re.findall(r"`(unpool-xp [^`]+)`", text):
        words = literal.split()
        assert words[1] in APP.commands, literal
        assert {word for word in words if word.startswith("--")} <= options | {"--help"}, literal
    if DOCS in page.parents:
        assert set(re.findall(r"``(--[\w-]+)", text)) <= options | {"--help"}


@every_page
def test_extras_and_make_targets_in_the_text_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"])
    for found in re.findall(r"(?:unpool-xp|\"\.)\[([\w,]+)\]", text):
        assert set(found.split(",")) <= extras, found
    targets = re.findall(
        r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    for line in (*commands(page), *re.findall(r"`(make [^`]+)`", text)):
        if line.startswith("make "):
            words = shlex.split(line.partition("#")[0])[1:]
            wanted = {word for word in words if word.isalpha()}
            assert wanted <= set(targets), line


# --- recipes -------------------------------------------------------------------------------------


def test_the_backend_of_the_recipe_plugs_in(tmp_path: Path) -> None:
    text = (DOCS / "extending.rst").read_text(encoding="utf-8")
    captioned = re.findall(r" :caption: (\S+)\n((?:\n| {3}.*\n)+)", text)
    files = {name: textwrap.dedent(block) for name, block in captioned}
    points = tomllib.loads(files["pyproject.toml"])["project"]["entry-points"]
    ((group, entries),) = points.items()
    ((label, place),) = entries.items()
    info = tmp_path / "my_backend-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-backend\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{label} = {place}\n")
    (tmp_path / "my_backend.py").write_text(files["my_backend.py"])
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    check = ("-m", "unpool_xp", "check", "-b", label, "-o", "max_unpool")
    shown = python(*check, PYTHONPATH=path)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert label in shown.stdout


# --- what tables say -----------------------------------------------------------------------------


def test_every_field_of_a_row_is_explained() -> None:
    text = (DOCS / "rows.rst").read_text(encoding="utf-8")
    table = text.partition("\n   * - fields\n")[2]
    fields = [field.encode_name for field in msgspec.structs.fields(schema.Row)]
    assert not [name for name in fields if f"``{name}``" not in table]


def test_the_table_of_libraries_agrees_with_the_backends() -> None:
    for label in CPU:
        backend = backends.load(label)
        said = capabilities.LIBRARIES[backend.library]
        assert (type(backend).compile is not backends.Backend.compile) == bool(said.compiler)
        x = backend.asarray(np.ones(2))
        is_dask = hasattr(unpool_xp.nearest_unpool(x, (2,)), "dask")
        assert is_dask == (not said.reads_values)
