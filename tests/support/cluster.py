"""What the workers of a cluster answer, as plain JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import asdict

from tests.support.rows import make_row
from unpool_xp.bench.measure.machine import this_machine
from unpool_xp.bench.rows.schema import ROW_SCHEMA


def answered_rows(
    case: dict[str, Any], cells: Iterable[dict[str, Any]], run: str, machine: str
) -> list[dict[str, Any]]:
    """Return a row of each cell, as if it had been measured."""
    return [
        asdict(make_row(**case, run=run, machine=machine, backend=cell["label"]))
        | {name: cell[name] for name in ("mode", "implementation", "function")}
        for cell in cells
    ]


def described(**change: Any) -> dict[str, Any]:
    """Return a worker's description of itself: it has numpy."""
    return {
        "machine": this_machine().to_json(),
        "host": "h",
        "name": "n",
        "resources": {},
        "version": "0",
        "schema": ROW_SCHEMA,
        "commit": None,
        "backends": {"numpy": {"label": "numpy"}, "torch": {"reason": "not here"}},
        **change,
    }
