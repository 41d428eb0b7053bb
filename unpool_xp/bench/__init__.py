"""The benchmark suite: what is measured, how, what the samples say, and how it is shown.

Imports the library, `backends`, `reference`, `capabilities` and `gallery`; only `cli` imports it.
What describes a function of your own is here: `Operation`, `Parameter`, `Native`, `Case`,
`load_operations`; and what its own suites take: `asv_suite`, `assert_matches_reference`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unpool_xp.bench.cases.case import Case
    from unpool_xp.bench.cases.inputs import OperationError
    from unpool_xp.bench.cases.loading import load_operations
    from unpool_xp.bench.cases.native import Native
    from unpool_xp.bench.cases.operation import Operation
    from unpool_xp.bench.cases.parameter import Parameter
    from unpool_xp.bench.suites.asv import asv_suite
    from unpool_xp.bench.suites.testing import assert_matches_reference

__all__ = [
    "Case",
    "Native",
    "Operation",
    "OperationError",
    "Parameter",
    "assert_matches_reference",
    "asv_suite",
    "load_operations",
]

# Imported on first use, as every command imports this package.
_MODULES = {
    "Case": "cases.case",
    "Native": "cases.native",
    "Operation": "cases.operation",
    "OperationError": "cases.inputs",
    "Parameter": "cases.parameter",
    "assert_matches_reference": "suites.testing",
    "asv_suite": "suites.asv",
    "load_operations": "cases.loading",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
