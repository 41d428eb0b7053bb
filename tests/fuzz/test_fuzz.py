"""The fuzzer finds operations that are broken on purpose."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

import unpool_xp as ux
from tests.fuzz.__main__ import SHARES, fuzz


def _last_of_equals(x: Any, *sizes: Any, **options: Any) -> Any:
    values, indices = max_pool(x, *sizes, **options)
    return ux.MaxPooled(values, indices + 1)


def _off_on_torch(x: Any, *sizes: Any, **options: Any) -> Any:
    y = linear_unpool(x, *sizes, **options)
    return y * 1.01 if isinstance(y, torch.Tensor) else y


def _takes_anything(values: Any, indices: Any, *sizes: Any, **options: Any) -> Any:
    return max_unpool(values, indices, *sizes, **options | {"duplicates": "any"})


max_pool, linear_unpool, max_unpool = ux.max_pool, ux.linear_unpool, ux.max_unpool


@pytest.mark.parametrize("broken", [_last_of_equals, _off_on_torch, _takes_anything])
def test_an_operation_broken_on_purpose_is_found(
    broken: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {_last_of_equals: "max_pool", _off_on_torch: "linear_unpool"}
    operation = places.get(broken, "max_unpool")
    # No time for what compiles.
    monkeypatch.delitem(SHARES, "jax")
    monkeypatch.delitem(SHARES, "torch compiled")
    assert fuzz(0, range(100), [operation]) == 0
    monkeypatch.setattr(ux, operation, broken)
    assert fuzz(0, range(100), [operation]) > 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "again(" in line)
    monkeypatch.undo()
    subprocess.run([sys.executable, "-c", line.strip()], check=True, capture_output=True)
