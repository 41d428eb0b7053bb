"""The gradients of a backward case are checked, then timed with the outputs."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tests.bench.catalog.test_gradients import DIFFERENTIABLE
from unpool_xp import backends
from unpool_xp.backends import GradientsUnavailableError
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.operation import operations
from unpool_xp.bench.measure.session import DeviceInputs, Session, UnsupportedCaseError

POOL = Case("max_pool", (2, 3, 8, 8), kernel=2, backward=True)
MEAN = Case("avg_pool", (2, 3, 8, 8), kernel=2, backward=True)
UNPOOL = Case("max_unpool", (2, 3, 4, 4), kernel=2, backward=True)
CONVOLVE = Case("conv_transpose", (2, 3, 4, 4), kernel=3, stride=2, out_channels=2, backward=True)


def test_a_backward_case_reads_cotangents_and_writes_gradients() -> None:
    assert list(POOL.inputs) == ["x", "cotangent"]
    assert list(POOL.outputs) == ["values", "indices", "x_gradient"]
    assert POOL.bytes_moved == POOL.forward.bytes_moved + 4 * (96 + 384)
    assert POOL.flops == 96 * 3 + 96
    assert list(CONVOLVE.outputs) == ["convolved", "x_gradient", "weight_gradient"]
    assert CONVOLVE.flops == 3 * CONVOLVE.forward.flops
    assert UNPOOL.flops == 0
    nearest = Case("nearest_unpool", (1, 2, 3, 3), scale=2, backward=True)
    assert nearest.flops == 2 * (36 - 9)
    assert POOL.arrays()["cotangent"].tobytes() == POOL.arrays()["cotangent"].tobytes()


def test_integers_have_no_gradient() -> None:
    with pytest.raises(ValueError, match="backward=True: max_pool of uint8 has no gradient"):
        Case("max_pool", (2, 3, 8, 8), kernel=2, dtype="uint8", backward=True)


@pytest.mark.parametrize("label", ["numpy", "dask", "array_api_strict"])
def test_a_library_without_gradients_says_so(label: str) -> None:
    backend = backends.load(label)
    with pytest.raises(UnsupportedCaseError, match=f"^{label} has no gradients$"):
        DeviceInputs(backend, POOL)
    session = Session(backend, POOL)
    assert not session.prepare()
    assert session.finish().error == f"{label}: {label} has no gradients"
    with pytest.raises(GradientsUnavailableError):
        backend.with_gradients(lambda x: x, [0])


@pytest.mark.parametrize(
    "case",
    DIFFERENTIABLE,
    ids=lambda case: case.name,
)
def test_the_gradients_of_torch_are_right_portable_and_native(case: Case) -> None:
    backend = backends.load("torch:cpu")
    inputs = DeviceInputs(backend, case)
    natives = [n.name(case) for n in case.natives("torch") if n.reason(case) is None]
    for function in (None, *natives):
        implementation = "native" if function else "portable"
        session = Session(backend, case, "eager", implementation, function, inputs=inputs)
        assert session.prepare(), session.measured.error
    assert not any(array.requires_grad for array in inputs.device)


@pytest.mark.parametrize("case", [POOL, DIFFERENTIABLE[-1]], ids=lambda case: case.name)
def test_the_gradients_of_jax_are_right_compiled(case: Case) -> None:
    backend = backends.load("jax:cpu")
    inputs = DeviceInputs(backend, case)
    for function in (None, *(native.name(case) for native in case.natives("jax")[:1])):
        implementation = "native" if function else "portable"
        session = Session(backend, case, "compiled", implementation, function, inputs=inputs)
        assert session.prepare(), session.measured.error


def double(gradient: torch.Tensor) -> torch.Tensor:
    return 2 * gradient


def without_last_row(gradient: torch.Tensor) -> torch.Tensor:
    gradient = gradient.clone()
    gradient[..., -1, :] = 0
    return gradient


def with_one_nan(gradient: torch.Tensor) -> torch.Tensor:
    gradient = gradient.clone()
    gradient[1, 2, 3, 3] = torch.nan
    return gradient


@pytest.mark.parametrize("case", [POOL, MEAN, UNPOOL, CONVOLVE], ids=lambda case: case.operation)
@pytest.mark.parametrize("change", [double, without_last_row, with_one_nan, torch.zeros_like])
def test_a_wrong_gradient_is_never_timed(
    case: Case, change: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = case.definition.function

    def wrong(x: Any, *others: Any, **options: Any) -> Any:
        if isinstance(x, torch.Tensor):
            x = x.clone()
            x.register_hook(change)
        return right(x, *others, **options)

    definition = dataclasses.replace(case.definition, function=wrong)
    monkeypatch.setitem(operations(), case.operation, definition)
    session = Session(backends.load("torch:cpu"), case)
    assert not session.prepare()
    assert session.sample(3) == []
    name = next(iter(case.gradients))
    assert re.match(rf"wrong result: {name}\[.*\] is .*, should be ", session.finish().error or "")


def test_several_outputs_have_a_cotangent_each() -> None:
    for label in ("torch:cpu", "jax:cpu"):
        backend = backends.load(label)
        # Of x and y, with n between that is no number to differentiate by.
        function = backend.with_gradients(lambda x, n, y: (x * y, n, x + 2 * y), [0, 2], [0, 2])
        arrays = [np.asarray([float(v)], np.float32) for v in (3, 1, 5, 10, 100)]
        arrays[1] = arrays[1].astype(np.int32)
        found = [int(backend.to_numpy(a)[0]) for a in function(*map(backend.asarray, arrays))]
        assert found == [15, 1, 13, 10 * 5 + 100, 10 * 3 + 200]
