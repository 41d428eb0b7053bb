"""Compiled in earnest: torch's real compiler, no recompilation, options static under jax.jit."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import unpool_xp as ux
from tests.support.calls import CALLS, every_call, outputs


@every_call
def test_torch_compiles_a_shape_once_and_another_without_a_break(call: Any) -> None:
    function, arrays, options = call
    compilations = []

    def backend(graph: Any, example_inputs: Any) -> Any:
        compilations.append(graph)
        return graph.forward

    def compile_with(options: Any) -> Any:
        return torch.compile(partial(function, **options), fullgraph=True, backend=backend)

    torch._dynamo.reset()
    compiled = compile_with(options)
    wanted = function(*arrays, **options)
    for _ in range(3):
        # New arrays each time: what is guarded may only be the shape.
        assert_equal(compiled(*(torch.tensor(array) for array in arrays)), wanted)
        assert len(compilations) == 1
    # From the second shape on torch takes sizes for symbols, which no plan may trip over.
    shape: tuple[int, ...] = (3, 4, 8, 11)
    if function in (ux.convert_indices, ux.max_unpool, ux.fractional_max_unpool):
        shape = (3, 4)  # other sizes are in the options
    if function is ux.convert_indices:
        options = options | {"input_shape": (*shape, 6, 9)}
        compiled = compile_with(options)
    inputs = [
        np.resize(array, (*shape, *array.shape[len(shape) :]))
        if array.shape[:2] == (2, 4)
        else array
        for array in arrays
    ]
    got = compiled(*(torch.tensor(array) for array in inputs))
    assert_equal(got, function(*inputs, **options))


def assert_equal(got: Any, wanted: Any) -> None:
    for one, other in zip(outputs(got), outputs(wanted), strict=True):
        np.testing.assert_allclose(np.asarray(one), other, rtol=1e-5, atol=1e-5)


@every_call
def test_jax_traces_a_shape_once(call: Any) -> None:
    function, arrays, options = call
    traced = []

    @jax.jit
    def compiled(*arrays: Any) -> Any:
        traced.append(len(arrays))
        return function(*arrays, **options)

    for _ in range(3):
        got = compiled(*(jnp.asarray(array) for array in arrays))
    assert len(traced) == 1
    assert_equal(got, function(*arrays, **options))


def test_options_are_static_arguments_of_jit() -> None:
    compiled = jax.jit(ux.max_pool, static_argnames=("kernel_size", "stride", "padding"))
    x = np.random.default_rng(0).standard_normal((1, 2, 6, 6))
    got = compiled(jnp.asarray(x), kernel_size=3, stride=2, padding=1)
    np.testing.assert_array_equal(got.indices, ux.max_pool(x, 3, stride=2, padding=1).indices)


# One call of each operation through the real compiler: seconds each, so not all of them.
REAL = list({function.__name__: call for call in CALLS for function in call[:1]}.values())


@pytest.mark.parametrize("call", REAL, ids=lambda call: call[0].__name__)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inductor's own
def test_the_real_compiler_gives_the_same(call: Any) -> None:
    function, arrays, options = call
    torch._dynamo.reset()
    compiled = torch.compile(partial(function, **options), fullgraph=True)
    got = compiled(*(torch.tensor(array) for array in arrays))
    assert_equal(got, function(*arrays, **options))


@pytest.mark.parametrize("operation", ["max_unpool", "fractional_max_unpool"])
def test_indices_may_be_a_constant_of_what_is_traced(operation: str) -> None:
    values, indices = ux.max_pool(jnp.arange(16.0).reshape(1, 1, 4, 4), 2)
    put = partial(getattr(ux, operation), output_size=(4, 4))
    got = jax.jit(lambda values: put(values, indices))(values)
    np.testing.assert_array_equal(np.asarray(got), np.asarray(put(values, indices)))


def test_torch_vmap_goes_through_pooling_and_back() -> None:
    x = torch.randn(3, 2, 6, 6)
    x[1, 0, 2, 2] = torch.nan

    def there_and_back(x: torch.Tensor) -> torch.Tensor:
        values, indices = ux.max_pool(x, (2, 2))
        return ux.max_unpool(values, indices, (2, 2))

    got = torch.func.vmap(there_and_back)(x)
    np.testing.assert_array_equal(got.numpy(), there_and_back(x).numpy())


def test_torch_func_grad_gives_a_tie_to_its_first() -> None:
    x = torch.zeros(1, 1, 4, 4)
    got = torch.func.grad(lambda x: ux.max_pool(x, 2).values.sum())(x)
    wanted = torch.func.grad(lambda x: torch.nn.functional.max_pool2d(x, 2).sum())(x)
    np.testing.assert_array_equal(got.numpy(), wanted.numpy())


def test_what_inference_mode_has_made_serves_training_too() -> None:
    x = torch.randn(1, 2, 5, 5)
    with torch.inference_mode():
        ux.linear_unpool(x, 1.6)
        ux.max_pool(x, 3, stride=2, padding=1)
    x.requires_grad_()
    (
        ux.linear_unpool(x, 1.6).sum() + ux.max_pool(x, 3, stride=2, padding=1).values.sum()
    ).backward()
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())
