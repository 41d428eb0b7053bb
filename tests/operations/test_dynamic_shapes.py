"""One trace for many sizes: torch.compile(dynamic=True), torch.export, jax.export."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import unpool_xp as ux

WEIGHT = np.random.default_rng(0).standard_normal((2, 3, 3, 3)).astype(np.float32)
TENSOR = torch.tensor(WEIGHT)


def weight(x: Any) -> Any:
    return TENSOR if isinstance(x, torch.Tensor) else jnp.asarray(WEIGHT)


# Every size of the plane may be a symbol here.
PLANES: dict[str, Callable[[Any], Any]] = {
    "max_pool": lambda x: ux.max_pool(x, 3, stride=2, padding=1),
    "max_pool, ceil_mode": lambda x: ux.max_pool(x, (2, 3), stride=3, ceil_mode=True),
    "max_pool, dilation": lambda x: ux.max_pool(x, 2, dilation=2, padding=((0, 1), (2, 0))),
    "avg_pool": lambda x: ux.avg_pool(x, 2),
    "avg_pool, counts": lambda x: ux.avg_pool(x, 3, stride=2, padding=1, count_include_pad=False),
    "avg_pool, ceil_mode": lambda x: ux.avg_pool(x, 3, stride=2, padding=1, ceil_mode=True),
    "max_unpool": lambda x: ux.max_unpool(*ux.max_pool(x, 2), 2, output_size=x.shape),
    "conv_transpose": lambda x: ux.conv_transpose(x, weight(x), stride=2, padding=1),
    "nearest_unpool": lambda x: ux.nearest_unpool(x, (2, 3.0)),
    "linear_unpool": lambda x: ux.linear_unpool(x, 2, coordinates="half_pixel"),
}
# The batch alone.
BATCHES: dict[str, Callable[[Any], Any]] = PLANES | {
    "adaptive_max_pool": lambda x: ux.adaptive_max_pool(x, 3),
    "adaptive_avg_pool": lambda x: ux.adaptive_avg_pool(x, (4, 5)),
    "fractional_max_pool": lambda x: ux.fractional_max_pool(
        x, 2, output_size=4, samples=(0.3, 0.6)
    ),
    "nearest_unpool, 1.5": lambda x: ux.nearest_unpool(x, 1.5),
    "linear_unpool, 1.7": lambda x: ux.linear_unpool(x, 1.7, coordinates="align_corners"),
    "cubic_unpool": lambda x: ux.cubic_unpool(x, 0.7, antialias=True),
    "max_unpool, sum": lambda x: ux.max_unpool(
        *ux.max_pool(x, 3, stride=2), 3, stride=2, output_size=x.shape[2:], duplicates="sum"
    ),
    "convert_indices": lambda x: ux.convert_indices(
        ux.max_pool(x, 2).indices, "torch", "tensorflow_batch", input_shape=x.shape
    ),
}


def outputs(functions: Any, x: Any) -> tuple[Any, ...]:
    """Return all results of all functions."""
    results: list[Any] = []
    for function in functions:
        result = function(x)
        results.extend(result if isinstance(result, tuple) else [result])
    return tuple(results)


def assert_equal(got: Any, functions: Any, x: np.ndarray) -> None:
    for one, other in zip(got, outputs(functions, torch.tensor(x)), strict=True):
        np.testing.assert_allclose(np.asarray(one), other.numpy(), rtol=1e-5, atol=1e-5)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def drawn(x: torch.Tensor) -> Any:
    return ux.fractional_max_pool(x, 2, output_ratio=0.7, seed=0)


# Symbols cost seconds for each operation, so not all of them here.
FEW_OF_JAX = ("max_unpool", "linear_unpool", "fractional_max_pool", "convert_indices")
FEW_PLANES = [PLANES[name] for name in ("max_pool", "avg_pool, ceil_mode", "linear_unpool")]
FEW_BATCHES = [drawn, BATCHES["fractional_max_pool"], BATCHES["convert_indices"]]


@pytest.mark.parametrize(
    ("functions", "shapes"),
    [
        (FEW_BATCHES, [(3 + k, 2, 8, 10) for k in range(12)]),
        (FEW_PLANES, [(2, 2, 5 + k, 7 + 2 * k - k // 2) for k in range(12)]),
    ],
    ids=["batches", "planes"],
)
def test_torch_compiles_few_graphs_for_many_sizes(functions: Any, shapes: Any) -> None:
    graphs = []

    def backend(graph: torch.fx.GraphModule, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    compiled = torch.compile(
        lambda x: outputs(functions, x), fullgraph=True, backend=backend, dynamic=True
    )
    for shape in shapes:
        x = random(*shape)
        assert_equal(compiled(torch.tensor(x)), functions, x)
    assert len(graphs) <= 3


@pytest.mark.parametrize(
    ("functions", "axes"),
    [([drawn], {0: torch.export.Dim("batch", min=2)}), (FEW_PLANES, dict.fromkeys((0, 2, 3)))],
    ids=["batch", "plane"],
)
def test_torch_exports_any_size(functions: Any, axes: Any) -> None:
    class Module(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return outputs(functions, x)

    axes = {axis: dim or torch.export.Dim.DYNAMIC for axis, dim in axes.items()}
    example = (torch.tensor(random(5, 2, 8, 10)),)
    program = torch.export.export(Module(), example, dynamic_shapes=(axes,), strict=False)
    for shape in [(4, 2, 8, 10), (3, 2, 11, 9) if 2 in axes else (7, 2, 8, 10)]:
        x = random(*shape)
        assert_equal(program.module()(torch.tensor(x)), functions, x)


def test_jax_exports_any_batch() -> None:
    functions = [BATCHES[name] for name in FEW_OF_JAX]
    shape = jax.export.symbolic_shape("b, 2, 8, 10")
    export = jax.export.export(jax.jit(lambda x: outputs(functions, x)))
    program = jax.export.deserialize(export(jax.ShapeDtypeStruct(shape, jnp.float32)).serialize())
    for batch in (1, 5):
        x = random(batch, 2, 8, 10)
        assert_equal(program.call(jnp.asarray(x)), functions, x)


def test_jax_says_that_regions_of_any_batch_need_samples() -> None:
    shape = jax.export.symbolic_shape("b, 2, 8, 8")
    with pytest.raises(ValueError, match="fractional_max_pool: samples must be given"):
        jax.export.export(jax.jit(drawn))(jax.ShapeDtypeStruct(shape, jnp.float32))
