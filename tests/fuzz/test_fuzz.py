"""The fuzzer finds operations that are broken on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import unpool_xp as ux
from tests.fuzz.__main__ import SHARES, fuzz

max_pool, linear_unpool, max_unpool = ux.max_pool, ux.linear_unpool, ux.max_unpool


def one_too_far(*arguments: Any, **options: Any) -> Any:
    values, indices = max_pool(*arguments, **options)
    return ux.MaxPooled(values, indices + 1)


def inexact_on_torch(*arguments: Any, **options: Any) -> Any:
    result = linear_unpool(*arguments, **options)
    return result * 1.01 if isinstance(result, torch.Tensor) else result


def checks_no_index(*arguments: Any, **options: Any) -> Any:
    return max_unpool(*arguments, **options | {"check_indices": False})


@pytest.mark.parametrize(
    ("operation", "broken"),
    [
        ("max_pool", one_too_far),
        ("linear_unpool", inexact_on_torch),
        ("max_unpool", checks_no_index),
    ],
)
def test_an_operation_broken_on_purpose_is_found(
    operation: str,
    broken: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for slow in ("jax", "jax.jit", "torch compiled"):
        monkeypatch.delitem(SHARES, slow)
    before = fuzz(0, range(60), [operation])
    monkeypatch.setattr(ux, operation, broken)
    assert fuzz(0, range(60), [operation]) > before
    line = [line for line in capsys.readouterr().out.splitlines() if "again(" in line][-1]
    exec(line.strip())
    assert "numpy: Outcome(" in capsys.readouterr().out
