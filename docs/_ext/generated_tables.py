"""Directives for what the package declares and what committed rows say."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import figures
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

from unpool_xp import capabilities
from unpool_xp.bench import catalog
from unpool_xp.bench.catalog import presets
from unpool_xp.bench.check import standard

CHECKED = Path(capabilities.__file__).parents[1] / "results" / "checks" / "others.json"
_FAMILIES = {
    "int8 to int64": ("int8", "int16", "int32", "int64"),
    "uint8 to uint64": ("uint8", "uint16", "uint32", "uint64"),
    "float16, float32, float64": ("float16", "float32", "float64"),
    "complex64, complex128": ("complex64", "complex128"),
}


def in_words(dtypes: Iterable[str]) -> str:
    """Return names of dtypes, whole families in one."""
    left = list(dtypes)
    for said, family in _FAMILIES.items():
        if set(family) <= set(left):
            left[left.index(family[0])] = said
            left = [name for name in left if name not in family]
    return ", ".join(left)


def done(operation: str, library: str) -> list[str]:
    """Return the dtypes for which a library does an operation."""
    names = capabilities.DTYPES
    return [name for name in names if capabilities.why_not(operation, library, name) is None]


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, wide: bool = False) -> list[str]:
    """Return a list-table in reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1"]
    lines += ["   :class: wide", ""] if wide else [""]
    for row in (head, *rows):
        for number, cell in enumerate(row):
            lines.append(f"   {'* -' if number == 0 else '  -'} {cell}")
    return [*lines, ""]


class Generated(SphinxDirective):
    """A directive that stands for generated reStructuredText."""

    def lines(self) -> list[str]:
        """Return the text."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Return the nodes of the text."""
        for module in (capabilities, catalog, presets, standard):
            self.env.note_dependency(str(module.__file__))
        return self.parse_text_to_nodes("\n".join(self.lines()))


class OperationTable(Generated):
    """What each operation is defined for."""

    def lines(self) -> list[str]:
        """Return the text."""
        rows = []
        for name, spec in capabilities.OPERATIONS.items():
            dtypes = [d for d in capabilities.DTYPES if capabilities.kind_of(d) in spec.kinds]
            rows.append(
                (
                    f":func:`~unpool_xp.{name}`",
                    in_words(dtypes),
                    spec.means,
                    "yes" if spec.differentiable else "no",
                    "yes" if spec.checks_indices else "no",
                )
            )
        head = ("operation", "dtypes", "needs", "has a gradient", "checks indices")
        return table(head, rows, wide=True)


class LibraryTable(Generated):
    """What each library adds, and what it lacks."""

    def lines(self) -> list[str]:
        """Return the text."""
        rows = []
        for library in capabilities.LIBRARIES:
            facts = capabilities.LIBRARIES[library]
            if not facts.reads_values:
                looked = "no: such an entry is dropped"
            elif facts.compiler:
                looked = "eager: yes; compiled: such an entry is dropped"
            else:
                looked = "yes"
            rows.append(
                (
                    f"``{library}``",
                    "yes" if facts.gradient else "no",
                    f"``{facts.compiler}``" if facts.compiler else "no compiler",
                    "yes" if facts.lazy else "no",
                    looked,
                    ", ".join(facts.missing) or "none",
                )
            )
        head = ("library", "gradient", "compiled", "lazy", "index outside the plane is an error")
        return table((*head, "dtypes it lacks"), rows, wide=True)


class SupportTable(Generated):
    """For every operation and library the dtypes, and below it the reason for every gap."""

    def lines(self) -> list[str]:
        """Return the text."""
        libraries = capabilities.LIBRARIES
        head = ("operation", *(f"``{library}``" for library in libraries))
        rows = [
            (f"``{name}``", *(in_words(done(name, library)) for library in libraries))
            for name in capabilities.OPERATIONS
        ]
        return [*table(head, rows, wide=True), *self.reasons()]

    def reasons(self) -> list[str]:
        """Return a list of why a defined dtype does not work, shared reasons said once."""
        where: dict[str, tuple[list[str], list[str]]] = {}
        for name, spec in capabilities.OPERATIONS.items():
            for library in capabilities.LIBRARIES:
                for dtype in capabilities.DTYPES:
                    reason = capabilities.why_not(name, library, dtype)
                    if reason is not None and capabilities.kind_of(dtype) in spec.kinds:
                        names, dtypes = where.setdefault(reason, ([], []))
                        names += [name] * (name not in names)
                        dtypes += [dtype] * (dtype not in dtypes)
        lines = ["Every gap has its reason:", ""]
        for reason, (names, dtypes) in where.items():
            everywhere = all(dtype in reason for dtype in dtypes)  # the library has no such dtype
            said = ", ".join(f"``{name}``" for name in names)
            whom = "" if everywhere else f" ({said}: {', '.join(dtypes)})"
            lines.append(f"- {reason}{whom}")
        return [*lines, ""]


class OtherLibrariesTable(Generated):
    """What ``make libraries`` found: the operations on libraries that CI does not have."""

    def lines(self) -> list[str]:
        """Return the text."""
        self.env.note_dependency(str(CHECKED))
        checked: dict[str, dict[str, list[dict[str, Any]]]] = {}
        versions: dict[str, str] = {}
        for result in json.loads(CHECKED.read_text(encoding="utf-8")):
            label = result["backend"]
            checked.setdefault(label, {}).setdefault(result["operation"], []).append(result)
            versions[label] = result["version"] or versions.get(label, "")
        rows = [
            (f"``{name}``", *(self.cell(checked[label].get(name, [])) for label in checked))
            for name in capabilities.OPERATIONS
        ]
        rows.append(("dtypes that it lacks", *map(self.lacking, checked, checked.values())))
        head = ("operation", *(f"``{label}`` {versions[label]}" for label in checked))
        return [*table(head, rows, wide=True), *self.reasons(checked)]

    def cell(self, results: Sequence[dict[str, Any]]) -> str:
        """Return how many dtypes are right, of those that the library has and others not."""
        tried = [result for result in results if result["outcome"] != "skipped"]
        right = [result for result in tried if result["outcome"] == "passed"]
        if tried and len(right) == len(tried):
            return f"all {len(tried)} dtypes"
        return f"{len(right)} of {len(tried)} dtypes" if right else "no"

    def lacking(self, label: str, operations: dict[str, list[dict[str, Any]]]) -> str:
        """Return the dtypes that operations were skipped for since the library has none such."""
        every = itertools.chain.from_iterable(operations.values())
        said = f"{label.partition(':')[0]} has no "
        skipped = (one["dtype"] for one in every if one["detail"].startswith(said))
        return in_words(dict.fromkeys(skipped)) or "none"

    def reasons(self, checked: dict[str, dict[str, list[dict[str, Any]]]]) -> list[str]:
        """Return a list of what fails, in the words of the first dtype that does."""
        lines = [""]
        for label, operations in checked.items():
            for name, results in operations.items():
                failed = [result for result in results if result["outcome"] == "failed"]
                if failed:
                    dtypes = in_words(result["dtype"] for result in failed)
                    detail = failed[0]["detail"].replace("`", "'").replace("*", r"\*")
                    lines.append(f"- ``{label}``, ``{name}`` ({dtypes}): {detail}")
        return [*lines, ""]


class BenchmarkTable(Generated):
    """What the benchmarks measure, and beside which functions."""

    def lines(self) -> list[str]:
        """Return the text."""
        rows = []
        for name, spec in catalog.SINGLE_OPERATIONS.items():
            titles = dict.fromkeys(f"``{n.title.format(d='2')}``" for n in spec.natives)
            needs, takes = (
                ", ".join(
                    f"``--{parameter.replace('_', '-')}``"
                    for parameter, about in spec.parameters.items()
                    if about.required is required
                )
                for required in (True, False)
            )
            rows.append(
                (
                    f"``{name}``",
                    needs or "none",
                    takes or "none",
                    ", ".join(titles) or "none",
                )
            )
        head = ("operation", "needs", "takes also", "compared with (for two spatial axes)")
        return table(head, rows)


class PresetTable(Generated):
    """The presets of the sweep."""

    def lines(self) -> list[str]:
        """Return the text."""
        rows = []
        for name in presets.PRESETS:
            preset = presets.preset(name)
            operations = dict.fromkeys(f"``{case.operation}``" for case in preset.cases)
            compiled = ", ".join(f"``{library}``" for library in preset.compiled)
            rows.append((f"``{name}``", str(len(preset.cases)), ", ".join(operations), compiled))
        return table(("preset", "cases", "operations", "also compiled on"), rows)


class StandardTable(Generated):
    """The functions and methods of the standard that each operation needs."""

    def lines(self) -> list[str]:
        """Return the text."""
        rows = []
        for name, needs in standard.NEEDS.items():
            methods = [need for need in needs if standard.is_method(need)]
            functions = [need for need in needs if need not in methods]
            cells = (", ".join(f"``{need}``" for need in sorted(n)) for n in (functions, methods))
            rows.append((f"``{name}``", *cells))
        return table(("operation", "functions", "methods of arrays"), rows, wide=True)


class Measured(Generated):
    """A figure made from committed rows, such as ``decisions quick max_pool``."""

    required_arguments = 1
    final_argument_whitespace = True

    def lines(self) -> list[str]:
        """Return the text."""
        self.env.note_dependency(str(figures.SOURCES))
        try:
            made = figures.make(self.arguments[0])
        except (OSError, ValueError) as error:
            raise self.error(str(error)) from error
        if isinstance(made, figures.Table):
            rows = [[cell.replace("`", "``") for cell in row] for row in made.rows]
            return table(made.head, rows)
        if "\n" not in made:
            return [made, ""]
        return [".. code-block:: text", "", *(f"   {line}" for line in made.splitlines()), ""]


class MeasuredRole(SphinxRole):
    """A figure within a sentence."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the text."""
        return [nodes.Text(str(figures.make(self.text)))], []


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("measured", Measured)
    app.add_role("measured", MeasuredRole())
    app.add_directive("operation-table", OperationTable)
    app.add_directive("library-table", LibraryTable)
    app.add_directive("support-table", SupportTable)
    app.add_directive("standard-table", StandardTable)
    app.add_directive("other-libraries-table", OtherLibrariesTable)
    app.add_directive("benchmark-table", BenchmarkTable)
    app.add_directive("preset-table", PresetTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
