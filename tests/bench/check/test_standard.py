"""What operations need of the standard is traced; what a library lacks is named."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.support import minimal_library
from tests.support.standard_functions import trace
from unpool_xp import backends
from unpool_xp.bench.check.run import check_operation
from unpool_xp.bench.check.standard import NEEDS, lacking
from unpool_xp.capabilities import OPERATIONS


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_table_is_what_is_called(operation: str) -> None:
    needed, with_another_way = trace(operation)
    assert NEEDS[operation] == tuple(sorted(needed))
    assert with_another_way <= {
        *("__array_namespace_info__", "arange", "argsort", "concat", "repeat", "searchsorted"),
        *("stack", "take", "take_along_axis"),
    }


def test_the_minimal_library_has_it_all() -> None:
    for operation in OPERATIONS:
        backend = backends.Backend("minimal", minimal_library)  # type: ignore[arg-type]
        backend.asarray = minimal_library.Array  # type: ignore[method-assign, assignment]
        assert lacking(backend, operation) == ()


class Lacking(minimal_library.Array):
    """An array of a library that has no maximum."""

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return XP


XP = ModuleType("mine")
vars(XP).update(minimal_library.names_of(Lacking))
del XP.maximum


class LackingBackend(backends.Backend):
    """Its dtypes are attributes, as people write it: not there, AttributeError."""

    def dtype(self, name: str) -> Any:
        return getattr(self.xp, name)

    def asarray(self, array: Any) -> Any:
        return Lacking(array)

    def to_numpy(self, array: Any) -> Any:
        return np.asarray(array._data)


def test_what_is_missing_is_named_with_the_failure_and_a_dtype_is_no_failure() -> None:
    backend = LackingBackend("mine", XP)
    assert backend.version == "unknown"
    (failed,) = check_operation(backend, "max_pool", "int64")
    assert failed.outcome == "failed"
    assert failed.lacks == ("maximum",)
    assert failed.detail.endswith("NotImplementedError: max_pool: mine has no maximum")
    (passed,) = check_operation(backend, "nearest_unpool", "float32")
    assert (passed.outcome, passed.lacks) == ("passed", ())
    for name in ("float16", "bfloat16"):
        (skipped,) = check_operation(backend, "nearest_unpool", name)
        assert skipped.outcome == "skipped"
        assert skipped.detail.startswith(f"mine has no {name}: ")
