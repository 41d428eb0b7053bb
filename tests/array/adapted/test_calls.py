"""What libraries without a name cannot do, and what a lazy one is never asked for."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import unpool_xp as ux
from tests.support import minimal_library
from unpool_xp import backends
from unpool_xp.bench.check.run import check_operation
from unpool_xp.capabilities import OPERATIONS


class Array(minimal_library.Array):
    """An array of a graph: whoever asks for a value computes it."""

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return LIBRARY

    def compute(self) -> np.ndarray:
        return np.array(self._data)

    def __bool__(self) -> bool:
        raise AssertionError("computed")

    __int__ = __float__ = __index__ = __bool__  # type: ignore[assignment]


class Backend(backends.Backend):
    """Arrays of a graph."""

    def asarray(self, array: Any) -> Any:
        return Array(array)

    def to_numpy(self, array: Any) -> Any:
        return array.compute()


LIBRARY = ModuleType("lazy")
vars(LIBRARY).update(minimal_library.names_of(Array))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_operation_asks_a_graph_for_a_value(operation: str) -> None:
    dtype = "int64" if operation == "convert_indices" else "float32"
    (result,) = check_operation(Backend("lazy", LIBRARY), operation, dtype)
    assert result.outcome == "passed", result.detail


def test_an_index_outside_the_plane_of_a_graph_is_dropped() -> None:
    values, indices = Array(np.asarray([[1.0, 2.0]])), Array(np.asarray([[9, 3]]))
    got = ux.max_unpool(values, indices, output_size=(4,))
    assert got.compute().tolist() == [[0, 0, 0, 2]]


def fails(*args: Any, **options: Any) -> Any:
    raise ValueError("chunks\n too large")


@pytest.mark.parametrize(
    ("take", "said"),
    [
        (None, "lazy has no take"),
        (fails, "lazy fails: ValueError: chunks too large"),
        (lambda x, *_, **__: x.strides, "lazy has arrays without strides"),
    ],
)
def test_what_cannot_be_done_names_the_operation_and_what_is_lacking(
    take: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(LIBRARY, "take")
    if take is not None:
        monkeypatch.setattr(LIBRARY, "take", take, raising=False)
    x = Array(np.ones((1, 1, 3, 3), np.float32))
    with pytest.raises(NotImplementedError, match=f"^cubic_unpool: {said}"):
        ux.cubic_unpool(x, (1.5, 1.5))
    with pytest.raises(TypeError, match=r"^cubic_unpool: x must have a real floating"):
        ux.cubic_unpool(Array(np.ones((1, 1, 3, 3), np.int64)), 2)


def test_a_lack_of_memory_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*args: Any, **options: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(LIBRARY, "take", no_memory)
    with pytest.raises(MemoryError):
        ux.cubic_unpool(Array(np.ones((1, 1, 3, 3), np.float32)), (1.5, 1.5))
