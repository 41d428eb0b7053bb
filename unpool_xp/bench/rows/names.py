"""What a row is called, the same on the page, in the summary and in the terminal."""

from __future__ import annotations

import re

from unpool_xp.bench.cases.case import BackendMode, Case, case_text
from unpool_xp.bench.cases.formatting import printable, sizes_text
from unpool_xp.bench.cases.loading import operations
from unpool_xp.bench.cases.parameter import parameter_text
from unpool_xp.bench.rows.schema import WORKLOAD, Row


def case_of(row: Row) -> Case:
    """Return the case that a row measures."""
    fields = {name.rstrip("_"): getattr(row, name) for name in WORKLOAD}
    return Case.from_json(fields)


def backend_mode_of(row: Row) -> BackendMode:
    """Return the backend of a row, and how functions ran on it."""
    return BackendMode(row.backend, row.mode, row.threads_asked)


def name_of_case(row: Row) -> str:
    """Return the case name of a row, or a description if this version has no such operation.

    No case is made: a row that nobody measured can be of sizes that take minutes to plan.
    """
    if row.operation in operations():
        name = case_text(row.operation, row.shape, row.parameters, row.dtype, row.pass_)
        return printable(name)
    return case_name(row)


def operation_text(row: Row) -> str:
    """Return what an operation is called: "max_pool", "decoder unet", "max_pool backward".

    What goes by operations goes by this, so that forward and backward never meet.
    """
    name = row.parameters.get("name")
    words = [row.operation, *([name] if isinstance(name, str) else [])]
    return printable(" ".join([*words, *(["backward"] if row.pass_ == "backward" else [])]))


def settings_text(row: Row) -> str:
    """Return the settings of a case, such as "kernel 2x2, float32"."""
    known = operations()[row.operation].parameters if row.operation in operations() else {}
    given = [
        known[name].name_part(name, value)
        if name in known and known[name].text
        else f"{name.replace('_', ' ')} {parameter_text(value)}"
        for name, value in row.parameters.items()
        if not (name == "name" and isinstance(value, str))
    ]
    return printable(", ".join([*given, row.dtype]))


def case_name(row: Row) -> str:
    """Return what a row measures, whatever the backend, in words."""
    return f"{operation_text(row)} {sizes_text(row.shape)}, {settings_text(row)}"


def contender_text(row: Row) -> str:
    """Return what a candidate is called, such as "jax:cpu compiled own reduce_window".

    That is the backend, the mode where it is not eager, the threads where they were chosen, and for
    a library's own function its name. Every answer names its candidates by it.
    """
    name = str(backend_mode_of(row))
    if row.implementation == "portable":
        return name
    # The modules that it is in are those of the library.
    return f"{name} own {re.sub(r'^((?:[A-Za-z_]+[.])+|[A-Za-z_]+, )', '', row.function)}"
