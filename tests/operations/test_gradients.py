"""Gradients: the native function's where there is one, finite differences elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.test_util import check_grads
from torch.nn import functional

import unpool_xp as ux
from tests.support.strategies import real_values

X = real_values((2, 4, 6, 8), 0)
WEIGHT = real_values((4, 3, 3, 2), 1)
BIAS = real_values((6,), 2)
POOLED = ux.max_pool(X, 2)
PARTS = ux.fractional_max_pool(X, 2, output_size=(4, 5), seed=0)

# Functions of the differentiated arrays alone; the native counterpart on torch, if there is one.
CASES: dict[str, tuple[tuple[np.ndarray, ...], Callable[..., Any], Callable[..., Any] | None]] = {
    "max_pool": (
        (X,),
        lambda x: ux.max_pool(x, 3, stride=2, padding=1).values,
        lambda x: functional.max_pool2d(x, 3, 2, 1),
    ),
    "avg_pool": (
        (X,),
        lambda x: ux.avg_pool(x, 3, stride=2, padding=1, count_include_pad=False),
        lambda x: functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    ),
    "fractional_max_pool": (
        (X,),
        lambda x: ux.fractional_max_pool(x, 2, output_size=(4, 5), seed=0).values,
        None,
    ),
    "nearest_unpool": (
        (X,),
        lambda x: ux.nearest_unpool(x, 3),
        lambda x: functional.interpolate(x, scale_factor=3.0),
    ),
    "nearest_unpool, real factor": ((X,), lambda x: ux.nearest_unpool(x, 1.6), None),
    "linear_unpool": (
        (X,),
        lambda x: ux.linear_unpool(x, output_size=(11, 5), coordinates="half_pixel"),
        lambda x: functional.interpolate(x, size=(11, 5), mode="bilinear"),
    ),
    "max_unpool": (
        (POOLED.values,),
        lambda v: ux.max_unpool(v, _like(v, POOLED.indices), 2),
        lambda v: functional.max_unpool2d(v, torch.asarray(POOLED.indices), 2),
    ),
    "max_unpool, sum": (
        (PARTS.values,),
        lambda v: ux.max_unpool(
            v, _like(v, PARTS.indices), output_size=(6, 8), duplicates="sum", check_indices=False
        ),
        None,
    ),
    "fractional_max_unpool": (
        (PARTS.values,),
        lambda v: ux.fractional_max_unpool(v, output_size=(6, 8)),
        None,
    ),
    "fractional_max_unpool, indices": (
        (POOLED.values,),
        lambda v: ux.fractional_max_unpool(v, _like(v, POOLED.indices), output_size=(6, 8)),
        None,
    ),
    "conv_transpose": (
        (X, WEIGHT, BIAS),
        lambda x, w, b: ux.conv_transpose(x, w, b, stride=2, padding=1, groups=2),
        lambda x, w, b: functional.conv_transpose2d(x, w, b, stride=2, padding=1, groups=2),
    ),
}


def _like(array: Any, indices: np.ndarray) -> Any:
    if isinstance(array, np.ndarray):  # the finite differences of JAX are NumPy's
        return indices
    return torch.asarray(indices) if isinstance(array, torch.Tensor) else jnp.asarray(indices)


def torch_gradients(function: Callable[..., Any], arrays: Any) -> list[np.ndarray]:
    inputs = [torch.tensor(array, requires_grad=True) for array in arrays]
    output = function(*inputs)
    # Weights that differ from element to element, so that a misplaced gradient shows.
    (output * torch.linspace(-1, 2, output.numel()).reshape(output.shape)).sum().backward()
    return [array.grad.numpy() for array in inputs]


def jax_gradients(function: Callable[..., Any], arrays: Any) -> list[np.ndarray]:
    def total(*arrays: Any) -> Any:
        output = function(*arrays)
        return (output * jnp.linspace(-1, 2, output.size).reshape(output.shape)).sum()

    inputs = [jnp.asarray(array) for array in arrays]
    return [np.asarray(g) for g in jax.grad(total, argnums=tuple(range(len(inputs))))(*inputs)]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[2] is not None])
def test_gradients_are_the_native_ones(name: str) -> None:
    arrays, function, native = CASES[name]
    assert native is not None
    wanted = torch_gradients(native, arrays)
    for gradients in (torch_gradients(function, arrays), jax_gradients(function, arrays)):
        for got, want in zip(gradients, wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_finite_differences(name: str) -> None:
    arrays, function, _ = CASES[name]
    inputs = tuple(torch.tensor(array, requires_grad=True) for array in arrays)
    assert torch.autograd.gradcheck(function, inputs, nondet_tol=0.0, fast_mode=True)
    check_grads(function, [jnp.asarray(array) for array in arrays], order=1, modes=["rev"])


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
