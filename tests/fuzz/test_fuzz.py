"""The fuzzer finds operations that are broken on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import unpool_xp as ux
from tests.fuzz.__main__ import SHARES, fuzz
from tests.fuzz.arrays import Array
from tests.fuzz.differences import floors_in_float32
from tests.fuzz.libraries import run
from tests.fuzz.natives import NATIVES
from tests.fuzz.pieces import Call

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
    before = fuzz(0, range(200), [operation])
    monkeypatch.setattr(ux, operation, broken)
    assert fuzz(0, range(200), [operation]) > before
    line = [line for line in capsys.readouterr().out.splitlines() if "again(" in line][-1]
    exec(line.strip())
    assert "numpy: Outcome(" in capsys.readouterr().out


def test_only_cells_whose_floor_pytorch_takes_in_float32_may_differ_by_it() -> None:
    scale = (2.999999999, 0.6000000238418579)
    sizes = {"scale": scale, "output": (98, 19), "coordinates": "half_pixel", "antialias": False}
    options = {"scale_factor": scale, "coordinates": "half_pixel"}
    plain = {**sizes, "exclude_outside": False, "coefficient": -0.75}
    x = np.random.default_rng(0).standard_normal((1, 1, 33, 33))
    call, label = Call("cubic_unpool", (Array(x, ""),), options, plain), "torch.nn.functional"
    ours, theirs = run("numpy", call), NATIVES[label](call)
    assert np.abs(ours.outputs[0] - theirs.outputs[0]).max() > 1e-8
    assert floors_in_float32(call, label, ours, theirs)
    theirs.outputs[0][0, 0, 0, 0] += 1e-8
    assert not floors_in_float32(call, label, ours, theirs)
