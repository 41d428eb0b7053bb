"""Traced without values: a trace serves other values, and shares no constants with real calls."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

import unpool_xp as ux
from tests.support.calls import CALLS, every_call, outputs
from unpool_xp._array.namespace import inspect_inputs


def tensors(arrays: Any) -> tuple[torch.Tensor, ...]:
    return tuple(torch.tensor(array) for array in arrays)


def with_other_values(arrays: Any) -> list[np.ndarray]:
    """Return arrays of the same shapes, with NaN and infinities where there are floats."""
    changed = [array.copy() for array in arrays]
    for array in changed:
        if array.dtype.kind == "f" and array.ndim > 2:
            array[...] = array[..., ::-1].copy()
            array.flat[[3, 17, 40]] = np.nan, np.inf, -np.inf
    return changed


def assert_serves_other_values(traced: Callable[..., Any], call: Any) -> None:
    function, arrays, options = call
    changed = tensors(with_other_values(arrays))
    got, wanted = traced(*changed), function(*changed, **options)
    for one, other in zip(outputs(got), outputs(wanted), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5, equal_nan=True)


def shapes(result: Any) -> list[tuple[int, ...]]:
    return [tuple(array.shape) for array in outputs(result)]


@every_call
def test_fake_tensors_meet_nothing_real_and_leave_nothing(call: Any) -> None:
    function, arrays, options = call
    wanted = function(*arrays, **options)
    for _ in range(2):  # before a real call of the shape, and after
        with FakeTensorMode() as mode:
            fake = [mode.from_tensor(tensor) for tensor in tensors(arrays)]
            assert shapes(function(*fake, **options)) == shapes(wanted)
        got = function(*tensors(arrays), **options)
        for one, other in zip(outputs(got), outputs(wanted), strict=True):
            np.testing.assert_allclose(one.numpy(), other, rtol=1e-5, atol=1e-5)


@every_call
def test_meta_tensors_give_shapes(call: Any) -> None:
    function, arrays, options = call
    given = [tensor.to("meta") for tensor in tensors(arrays)]
    got = function(*given, **options)
    assert shapes(got) == shapes(function(*arrays, **options))
    assert all(array.is_meta for array in outputs(got))


@every_call
@pytest.mark.parametrize("mode", ["real", "fake"])
def test_make_fx_takes_no_branch_of_its_example(call: Any, mode: str) -> None:
    function, arrays, options = call
    traced = make_fx(partial(function, **options), tracing_mode=mode)(*tensors(arrays))
    assert_serves_other_values(traced, call)


@pytest.mark.parametrize("function", [ux.avg_pool, ux.fractional_max_pool])  # seconds each
def test_make_fx_takes_symbols_for_sizes(function: Any) -> None:
    call = function, arrays, options = next(call for call in CALLS if call[0] is function)
    # Twice: a plan of the first trace's symbols would be none of the second's.
    for _ in range(2):
        trace = make_fx(partial(function, **options), tracing_mode="symbolic", pre_dispatch=True)
        traced = trace(*tensors(arrays))
    assert_serves_other_values(traced, call)


@every_call
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_jit_trace_takes_no_branch_of_its_example(call: Any) -> None:
    function, arrays, options = call

    class Module(torch.nn.Module):
        def forward(self, *arrays: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return outputs(function(*arrays, **options))

    # It traces a second time and compares, whether anything is kept of a real call or not.
    assert_serves_other_values(torch.jit.trace(Module(), tensors(arrays)), call)


@pytest.mark.parametrize(
    "call", [c for c in CALLS if c[1][0].dtype.kind == "f"], ids=lambda call: call[0].__name__
)
# Of what linearize does inside.
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr:UserWarning")
def test_linearize_gives_the_derivative(call: Any) -> None:
    function, arrays, options = call
    x, *others = tensors(arrays)

    def values(x: torch.Tensor) -> torch.Tensor:
        return outputs(function(x, *others, **options))[0]

    tangent = torch.ones_like(x)
    output, derivative = torch.func.linearize(values, x)
    torch.testing.assert_close(output, values(x))
    wanted = torch.func.jvp(values, (x,), (tangent,))[1]
    torch.testing.assert_close(derivative(tangent), wanted)


@every_call
def test_torch_vmap_maps_every_operation(call: Any) -> None:
    function, arrays, options = call
    # Indices stay where they are: others may be outside their windows.
    stacked = [np.stack([a, a[..., ::-1] if a.dtype.kind == "f" else a]) for a in arrays]
    got = torch.func.vmap(lambda *arrays: outputs(function(*arrays, **options)))(*tensors(stacked))
    for number in range(2):
        wanted = function(*(array[number] for array in stacked), **options)
        for one, other in zip(outputs(got), outputs(wanted), strict=True):
            np.testing.assert_allclose(one[number].numpy(), other, rtol=1e-5, atol=1e-5)


def test_a_mode_that_counts_hides_no_values() -> None:
    with FlopCounterMode(display=False):
        assert inspect_inputs("max_pool", x=torch.ones(1, 1, 4)).traits.fast_path
        with pytest.raises(IndexError, match="the first is 9"):
            ux.max_unpool(torch.ones(1, 1, 1), torch.tensor([[[9]]]), output_size=4)
