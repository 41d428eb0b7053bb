"""Gradients are finite differences, and adjoint operations are each other's gradients."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.test_util import check_grads
from torch.nn import functional

import unpool_xp as ux
from tests.support.calls import every_call, outputs
from tests.support.strategies import real_values

X = real_values((2, 4, 6, 8), 0)
WEIGHT = real_values((4, 3, 3, 2), 1)


@every_call
def test_gradients_are_finite_differences(call: Any) -> None:
    function, arrays, options = call
    differentiable = [a.astype(np.float64) for a in arrays if a.dtype.kind == "f"]
    indices = [a for a in arrays if a.dtype.kind != "f"]
    if not differentiable:
        pytest.skip("integers have no gradient")

    def run(*given: Any) -> Any:
        like = torch.asarray if isinstance(given[0], torch.Tensor) else jnp.asarray
        # The finite differences of JAX are NumPy's.
        fixed = indices if isinstance(given[0], np.ndarray) else map(like, indices)
        return outputs(function(*given, *fixed, **options))[0]

    inputs = [torch.tensor(array, requires_grad=True) for array in differentiable]
    assert torch.autograd.gradcheck(run, inputs, nondet_tol=0.0, fast_mode=True)
    check_grads(run, [jnp.asarray(array) for array in differentiable], order=1, modes=["rev"])


def test_the_gradient_of_max_pool_is_max_unpool_with_sums() -> None:
    options = {"stride": 2, "padding": 1}
    x = torch.tensor(X, requires_grad=True)
    pooled = ux.max_pool(x, 3, **options)
    upstream = torch.tensor(real_values(tuple(pooled.values.shape), 3))
    pooled.values.backward(upstream)
    unpooled = ux.max_unpool(upstream, pooled.indices, output_size=(6, 8), duplicates="sum")
    np.testing.assert_allclose(x.grad.numpy(), unpooled.numpy(), rtol=1e-12)


def test_conv_transpose_is_the_adjoint_of_the_convolution() -> None:
    options = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2}
    x = torch.tensor(X)
    spread = ux.conv_transpose(x, torch.tensor(WEIGHT), **options)
    y = torch.tensor(real_values(tuple(spread.shape), 4))
    gathered = functional.conv2d(y, torch.tensor(WEIGHT), **options)
    np.testing.assert_allclose((spread * y).sum(), (x * gathered).sum(), rtol=1e-10)


def test_nearest_unpool_is_the_adjoint_of_the_window_sum() -> None:
    y = real_values((2, 4, 12, 16), 5)
    left = (ux.nearest_unpool(X, 2) * y).sum()
    np.testing.assert_allclose(left, (X * ux.avg_pool(y, 2) * 4).sum(), rtol=1e-10)


REPEATED = np.asarray([[[1, 1, 2, 1]]])


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # see below
@pytest.mark.parametrize("function", [ux.max_unpool, ux.fractional_max_unpool])
def test_of_several_values_for_a_cell_the_one_that_stays_has_the_gradient(function: Any) -> None:
    values = np.asarray([[[5.0, 3.0, 7.0, 2.0]]])

    places, places_of_jax = torch.asarray(REPEATED), jnp.asarray(REPEATED)

    def run(values: Any) -> Any:
        indices = places if isinstance(values, torch.Tensor) else places_of_jax
        return function(values * values, indices, output_size=4)

    def loss(values: Any) -> Any:
        return run(values).sum()

    inputs = torch.tensor(values, requires_grad=True)
    checked = {"check_forward_ad": True, "check_batched_grad": True}
    assert torch.autograd.gradcheck(run, inputs, nondet_tol=0.0, **checked)
    assert torch.autograd.gradgradcheck(run, inputs, nondet_tol=0.0)
    wanted = jax.grad(loss)(jnp.asarray(values))
    if function is ux.max_unpool:
        assert np.count_nonzero(wanted) == len(np.unique(REPEATED))
    gradient = torch.func.grad(loss)
    twice = torch.stack([inputs.detach()] * 2)
    found = [
        gradient(inputs.detach()),
        *torch.vmap(gradient)(twice),
        *torch.func.grad(lambda x: torch.vmap(run)(x).sum())(twice),
        torch.compile(gradient, fullgraph=True, backend="eager")(inputs.detach()),
        torch.autograd.grad(torch.compile(loss, fullgraph=True, backend="eager")(inputs), inputs)[
            0
        ],
    ]
    for one in found:
        np.testing.assert_allclose(one, wanted)


def test_an_index_outside_is_an_error_where_there_is_a_gradient() -> None:
    values = torch.ones((1, 1, 2), requires_grad=True)
    with pytest.raises(
        IndexError, match=r"1 of 2 indices lie outside .* the first is 4, element 1"
    ):
        ux.max_unpool(values, torch.asarray([[[1, 4]]]), output_size=4)


# PyTorch's own rules for tangents are scripts, which it has deprecated.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_tangents_in_forward_mode_pass_what_is_written_in_place() -> None:
    x, tangent = (torch.from_numpy(real_values((2, 32, 64, 64), seed)) for seed in (0, 1))
    for function in (lambda x: ux.linear_unpool(x, 2), lambda x: ux.max_pool(x, 2).values):
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(x, tangent)
            found = torch.autograd.forward_ad.unpack_dual(function(dual)).tangent
        _, wanted = torch.func.jvp(function, (x,), (tangent,))
        torch.testing.assert_close(found, wanted)
