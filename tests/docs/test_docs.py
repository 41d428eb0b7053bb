"""The documentation runs: every block, every example of a docstring, every command, every link."""

from __future__ import annotations

import doctest
import html.parser
import importlib
import inspect
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import jax
import numpy as np
import pytest
from numpydoc.docscrape import FunctionDoc

import unpool_xp
from tests.support.command import APP, problem
from unpool_xp import backends, capabilities
from unpool_xp.bench.rows import schema

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TEXTS = [
    *sorted(path for path in DOCS.rglob("*.rst") if not {"_build", "generated"} & {*path.parts}),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
]
PAGES = [path for path in TEXTS if "_templates" not in path.parts]
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]
every_page = pytest.mark.parametrize("page", PAGES, ids=NAMES)

# numpy ends some messages with a space, which no editor keeps.
PAGE_FLAGS = doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """A literal block of a page; a paragraph that begins with >>> has the language "doctest"."""

    language: str
    line: int
    source: str
    caption: str = ""


def blocks(path: Path) -> list[Block]:
    text = path.read_text(encoding="utf-8")
    found = _fenced(text) if path.suffix == ".md" else _indented(text)
    return [
        Block("doctest", b.line, b.source)
        if b.language == "python" and b.source.lstrip().startswith(">>>")
        else b
        for b in found
    ]


def _fenced(text: str) -> Iterator[Block]:
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield Block(match[1], text[: match.start()].count("\n") + 1, match[2])


def _indented(text: str) -> Iterator[Block]:
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        start, line = number, lines[number]
        number += 1
        directive = re.match(r"( *)\.\. code-block:: ([\w-]+)$", line)
        if directive:
            deeper = directive[1] + " "
            while number < len(lines) and (not lines[number] or lines[number].startswith(deeper)):
                number += 1
            body = textwrap.dedent("\n".join(lines[start + 1 : number]))
            caption = re.match(r":caption: (.*)\n", body)
            source = re.sub(r"\A(:\w+:.*\n)+", "", body)
            yield Block(directive[2], start + 1, source, caption[1] if caption else "")
        elif line.lstrip().startswith(">>>"):
            while number < len(lines) and lines[number].strip():
                number += 1
            yield Block("doctest", start, "\n".join(lines[start:number]) + "\n")


def commands(path: Path) -> Iterator[str]:
    """Yield the commands in the blocks of a page that are no Python, one a line."""
    for block in blocks(path):
        if block.language not in ("python", "doctest"):
            for line in block.source.splitlines():
                yield line.strip().removeprefix("$ ")


def run_examples(test: doctest.DocTest, flags: int) -> list[str]:
    report: list[str] = []
    doctest.DocTestRunner(optionflags=flags, verbose=False).run(
        test, out=report.append, clear_globs=False
    )
    return report


# --- blocks and examples run ---------------------------------------------------------------------


@pytest.fixture
def as_a_reader_has_it() -> Iterator[None]:
    """JAX as it is by default, whatever other tests need."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", False)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.mark.usefixtures("as_a_reader_has_it")
@every_page
def test_the_blocks_of_a_page_run_in_order(page: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "__page__"}
    for block in blocks(page):
        where = f"{page.relative_to(ROOT)}:{block.line}"
        if block.language == "python":
            # Blank lines in front, so that a traceback has the line of the page.
            exec(compile("\n" * block.line + block.source, where, "exec"), namespace)
        elif block.language == "doctest":
            parser = doctest.DocTestParser()
            test = parser.get_doctest(block.source, {}, where, str(page), block.line)
            test.globs = namespace  # not a copy: what is defined here is there further down
            report = run_examples(test, PAGE_FLAGS)
            assert not report, "".join(report)


def test_the_pages_have_blocks_to_run() -> None:
    ran = {page.name for page in PAGES for b in blocks(page) if b.language == "doctest"}
    assert ran >= {f"{n}.rst" for n in ("index", "quickstart", "operations", "origin", "extending")}


@pytest.mark.parametrize("end", ["2\n", "Traceback (most recent call last):\nValueError\n"])
def test_a_wrong_result_on_a_page_is_found(end: str) -> None:
    test = doctest.DocTestParser().get_doctest(f">>> 1\n{end}", {}, "wrong", "wrong.rst", 1)
    assert run_examples(test, PAGE_FLAGS)


def _documented() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for info in pkgutil.walk_packages(unpool_xp.__path__, "unpool_xp."):
        yield from (t for t in finder.find(importlib.import_module(info.name)) if t.examples)


EXAMPLES = list(_documented())


@pytest.mark.parametrize("test", EXAMPLES, ids=[test.name for test in EXAMPLES])
def test_the_examples_of_a_docstring_run(test: doctest.DocTest) -> None:
    test.globs = {}  # as a reader starts: what is not imported in the example is not there
    report = run_examples(test, 0)
    assert not report, "".join(report)


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
    named = {words[1] for page in PAGES for words in map(str.split, commands(page)) if words[1:]}
    assert named >= set(APP.commands)


@pytest.mark.parametrize(
    "line", ["chose max_unpool", "check --no-such", "choose", "choose max_pool --budget soon"]
)
def test_a_command_that_is_none_is_found(line: str) -> None:
    assert problem(line.split()) is not None


@every_page
def test_commands_and_options_in_the_text_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    options = {name for c in APP.commands.values() for p in c.params for name in p.opts}
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
            wanted = {word for word in line.partition("#")[0].split()[1:] if word.isalpha()}
            assert wanted <= set(targets), line


# --- recipes -------------------------------------------------------------------------------------


def test_the_backend_of_the_recipe_plugs_in(tmp_path: Path) -> None:
    files = {block.caption: block.source for block in blocks(DOCS / "extending.rst")}
    points = tomllib.loads(files["pyproject.toml"])["project"]["entry-points"]
    ((group, entries),) = points.items()
    ((label, place),) = entries.items()
    info = tmp_path / "my_backend-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-backend\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{label} = {place}\n")
    (tmp_path / "my_backend.py").write_text(files["my_backend.py"])
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    shown = subprocess.run(
        [sys.executable, "-m", "unpool_xp", "check", "-b", label, "-o", "max_unpool"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert label in shown.stdout


# --- the built pages -----------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """The anchors of a page, where it leads, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids.add(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") == "stylesheet":
            self.loads.append(given["href"])
        elif "src" in given:
            self.loads.append(given["src"])


def dead_links(folder: Path, pages: dict[Path, Page]) -> list[str]:
    dead = []
    for path, page in pages.items():
        for link in (*page.links, *page.loads):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link == "#":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            missing = anchor and target in pages and anchor not in pages[target].ids
            if not target.is_file() or missing:
                dead.append(f"{path.relative_to(folder)}: {link}")
    return dead


def test_the_pages_build_without_a_warning_and_their_links_lead_somewhere(tmp_path: Path) -> None:
    # A copy: no left-over of another build can hide or make a fault.
    source, out = tmp_path / "docs", (tmp_path / "html").resolve()
    shutil.copytree(DOCS, source, ignore=shutil.ignore_patterns("_build", "generated"))
    shutil.copytree(ROOT / "examples", tmp_path / "examples")  # which a page includes
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", source, out],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr

    # The theme leaves a template among its own files.
    paths = (path for path in out.rglob("*.html") if "_static" not in path.parts)
    pages = {path: Page(path) for path in paths}
    assert not dead_links(out, pages)
    assert not [load for page in pages.values() for load in page.loads if urlsplit(load).netloc]

    anchors = set().union(*(page.ids for page in pages.values()))
    for module in (unpool_xp, backends, capabilities):
        names = {f"{module.__name__}.{name}" for name in module.__all__}
        assert names <= anchors, names - anchors
    for operation in capabilities.OPERATIONS:
        assert (out / f"api/generated/unpool_xp.{operation}.html").is_file()


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    texts = {"a.html": '<a href="b.html#here">', "b.html": '<p id="there"><img src="c.png">'}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    folder = tmp_path.resolve()
    pages = {path: Page(path) for path in folder.glob("*.html")}
    assert sorted(dead_links(folder, pages)) == ["a.html: b.html#here", "b.html: c.png"]


# --- what tables say -----------------------------------------------------------------------------


def test_every_field_of_a_row_is_explained() -> None:
    text = (DOCS / "choosing.rst").read_text(encoding="utf-8")
    table = text.partition(".. _rows:")[2].partition("\nHow it is measured")[0]
    assert not [name for name in schema.Row.__annotations__ if f"``{name}``" not in table]


def test_the_table_of_libraries_agrees_with_the_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS / "_ext")
    facts = capabilities.LIBRARIES
    for label in backends.available(("numpy", "torch:cpu", "jax:cpu", "dask", "array_api_strict")):
        backend = backends.load(label)
        said = facts[backend.library]
        assert (type(backend).compile is not backends.Backend.compile) == bool(said.compiler)
        x = backend.asarray(np.ones(2))
        assert hasattr(unpool_xp.nearest_unpool(x, (2,)), "dask") == said.lazy
