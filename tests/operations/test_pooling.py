"""max_pool, avg_pool and fractional_max_pool against the oracle, on every backend."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch.nn import functional

import unpool_xp as ux
from tests.conftest import Target
from tests.support.closeness import assert_close
from tests.support.strategies import (
    PoolingArguments,
    adaptive_sizes,
    examples,
    fractions,
    poolings,
    real_values,
    seeds,
    values,
)
from unpool_xp import reference

DTYPES = st.sampled_from(["float32", "float64", "int8", "int32", "int64", "uint8"])


@examples(60, case=poolings(), dtype=DTYPES, seed=seeds)
def test_max_pool(target: Target, case: PoolingArguments, dtype: str, seed: int) -> None:
    x = values(case.shape, dtype, seed, special=True)
    got = target(ux.max_pool, x, **case.options)
    wanted = reference.max_pool(
        x, case.kernel, case.stride, case.padding, case.dilation, case.ceil_mode
    )
    assert isinstance(got, ux.MaxPooled)
    np.testing.assert_array_equal(got.values, wanted[0], strict=True)
    np.testing.assert_array_equal(got.indices, wanted[1].astype(target.index_dtype), strict=True)


@examples(60, case=poolings(), include=st.booleans(), seed=seeds)
def test_avg_pool(target: Target, case: PoolingArguments, include: bool, seed: int) -> None:
    x = real_values(case.shape, seed)
    got = target(ux.avg_pool, x, **case.options, count_include_pad=include)
    wanted = reference.avg_pool(
        x, case.kernel, case.stride, case.padding, case.dilation, case.ceil_mode, include
    )
    assert_close(got, wanted)


def test_a_divisor_takes_the_place_of_the_count(target: Target) -> None:
    x = real_values((2, 3, 5, 4), 0)
    options = {"kernel_size": 2, "stride": 1, "padding": 1, "count_include_pad": False}
    sums = target(ux.avg_pool, x, **options, divisor=1)
    assert_close(sums, 4 * ux.avg_pool(x, 2, stride=1, padding=1))
    assert_close(target(ux.avg_pool, x, **options, divisor=-2), sums / -2)


@examples(40, case=adaptive_sizes(), dtype=DTYPES, seed=seeds)
def test_adaptive_pools(target: Target, case: Any, dtype: str, seed: int) -> None:
    shape, output = case
    x = values(shape, dtype, seed, special=True)
    got = target(ux.adaptive_max_pool, x, output_size=output)
    wanted = reference.adaptive_max_pool(x, output)
    np.testing.assert_array_equal(got.values, wanted[0], strict=True)
    np.testing.assert_array_equal(got.indices, wanted[1].astype(target.index_dtype), strict=True)
    means = real_values(shape, seed)
    got = target(ux.adaptive_avg_pool, means, output_size=output)
    assert_close(got, reference.adaptive_avg_pool(means, output))


def test_adaptive_sizes_may_be_an_int_or_have_axes_that_stay() -> None:
    x = real_values((2, 3, 7, 5), 0)
    for size, plane in ((3, (3, 3)), ((None, 2), (7, 2)), ([None], (7, 5)), (np.int64(2), (2, 2))):
        pooled, means = ux.adaptive_max_pool(x, size), ux.adaptive_avg_pool(x, size)
        assert pooled.values.shape == pooled.indices.shape == means.shape == (2, 3, *plane)
    np.testing.assert_array_equal(ux.adaptive_avg_pool(x, (None, None)), x)


def test_an_infinity_does_not_leave_the_windows_that_it_is_in() -> None:
    # Of five elements in three windows the second has all of the first's but one.
    means = ux.adaptive_avg_pool(np.asarray([np.inf, 1.0, 2.0, 3.0, -np.inf]), (3,))
    np.testing.assert_array_equal(means, [np.inf, 2.0, -np.inf])


@examples(40, case=fractions(), seed=seeds)
def test_fractional_max_pool(target: Target, case: Any, seed: int) -> None:
    shape, options = case
    x = values(shape, "float32", seed, special=True)
    got = target(ux.fractional_max_pool, x, **options)
    wanted = reference.fractional_max_pool(
        x, options["kernel_size"], options["output_size"], options["samples"]
    )
    np.testing.assert_array_equal(got.values, wanted[0], strict=True)
    np.testing.assert_array_equal(got.indices, wanted[1].astype(target.index_dtype), strict=True)


def test_the_same_seed_gives_the_same_regions_everywhere(target: Target) -> None:
    x = real_values((2, 3, 12, 10), 0)
    options = {"kernel_size": 2, "output_ratio": 0.7, "seed": 5}
    got = target(ux.fractional_max_pool, x, **options)
    assert got.values.shape == (2, 3, 8, 7)
    np.testing.assert_array_equal(got.indices, ux.fractional_max_pool(x, **options).indices)
    other = ux.fractional_max_pool(x, **(options | {"seed": 6}))
    assert (other.indices != got.indices).any()


def test_without_samples_or_seed_regions_are_drawn_anew() -> None:
    x = np.arange(1000.0)
    drawn = {
        tuple(ux.fractional_max_pool(x, (2,), output_size=(600,)).indices.tolist())
        for _ in range(4)
    }
    assert len(drawn) > 1


# Plane, kernel, stride, padding, dilation, ceil_mode: side by side, with gaps, overlapping with and
# without a common divisor, into the padding, dilated, along two axes; the shortest and the longest
# that count as long and as short.
LONG: list[tuple[Any, ...]] = [
    ((150,), (75,), (75,), ((0, 0),), (1,), False),
    ((150,), (70,), (71,), ((7, 0),), (1,), True),
    ((150,), (84,), (36,), ((11, 13),), (1,), False),
    ((150,), (37,), (5,), ((30, 36),), (1,), True),
    ((150,), (30,), (1,), ((40, 20),), (3,), False),
    ((150,), (65,), (130,), ((1, 0),), (2,), True),
    ((20, 24), (17, 18), (1, 4), ((2, 0), (10, 12)), (1, 1), False),
    ((7, 90), (3, 64), (2, 9), ((1, 1), (0, 4)), (1, 1), True),
    ((2, 34), (1, 16), (1, 2), ((0, 0), (1, 3)), (1, 1), False),
    ((2, 34), (1, 16), (1, 5), ((0, 0), (0, 8)), (1, 1), False),
    ((34, 2), (15, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), False),
]


EAGER = [(label, "eager") for label in ("numpy", "torch:cpu", "dask", "array_api_strict")]
JIT = ("jax:cpu", "compiled")  # eagerly JAX compiles each step of each shape
LONG_CASES = [*itertools.product(EAGER, LONG), *((JIT, case) for case in LONG[1::4])]


@pytest.mark.parametrize(("label_and_mode", "case"), LONG_CASES, ids=str)
def test_long_windows(label_and_mode: tuple[str, str], case: Any) -> None:
    target, (plane, kernel) = Target(*label_and_mode), case[:2]
    options = dict(zip(("stride", "padding", "dilation", "ceil_mode"), case[2:], strict=True))
    x = values((3, *plane), "float64", sum(kernel), special=True)
    x[0] = np.where(np.isnan(x[0]), -0.0, x[0])  # ties, and no NaN
    x[1] = -np.inf
    got = target(ux.max_pool, x, kernel_size=kernel, **options)
    wanted = reference.max_pool(x, *case[1:])
    np.testing.assert_array_equal(got.values, wanted[0], strict=True)
    np.testing.assert_array_equal(got.indices, wanted[1].astype(target.index_dtype), strict=True)
    means = real_values((2, *plane), 0)
    got = target(ux.avg_pool, means, kernel_size=kernel, **options)
    assert_close(got, reference.avg_pool(means, *case[1:], True))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("label_and_mode", EAGER, ids=str)
def test_long_windows_of_integers(label_and_mode: tuple[str, str], dtype: str) -> None:
    x = values((2, 90), dtype, 0)
    x[0] = np.iinfo(dtype).min
    case: Any = ((40,), (10,), ((20, 30),), (1,), False)
    options = {"kernel_size": (40,), "stride": (10,), "padding": ((20, 30),)}
    target = Target(*label_and_mode)
    got = target(ux.max_pool, x, **options)
    wanted = reference.max_pool(x, *case)
    np.testing.assert_array_equal(got.values, wanted[0], strict=True)
    np.testing.assert_array_equal(got.indices, wanted[1].astype(target.index_dtype), strict=True)


@pytest.mark.parametrize("label_and_mode", [*EAGER[:2], JIT], ids=str)
def test_the_mean_of_a_long_window_is_as_exact_as_that_of_a_short_one(
    label_and_mode: tuple[str, str],
) -> None:
    x = np.random.default_rng(0).random(200_000, dtype=np.float32)
    for stride in (1, 100_000):
        options = {"kernel_size": (100_000,), "stride": (stride,)}
        got = Target(*label_and_mode)(ux.avg_pool, x, **options)
        wanted = [x[i : i + 100_000].mean(dtype=np.float64) for i in (0, 100_000)]
        np.testing.assert_allclose(got[[0, -1]], wanted, rtol=3e-7)


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: ux.max_pool(x, (70,), stride=(71,)).values,
        lambda x: ux.avg_pool(x, (84,), stride=(36,)),
        lambda x: ux.max_pool(x, (20,), stride=(1,), padding=(3,)).values,
        lambda x: ux.adaptive_max_pool(x, (7,)).values,
        lambda x: ux.adaptive_avg_pool(x, (7,)),
    ],
)
def test_long_and_adaptive_windows_have_gradients_and_are_mapped(pool: Any) -> None:
    x = torch.from_numpy(real_values((1, 2, 150), 0))
    assert torch.equal(torch.func.vmap(pool)(x), pool(x))
    # One direction stands for all: each costs two calls.
    assert torch.autograd.gradcheck(pool, x[:, :1].clone().requires_grad_(), fast_mode=True)
    weight = np.arange(1.0, pool(x).shape[-1] + 1)
    leaf = x.clone().requires_grad_()
    (pool(leaf) * torch.from_numpy(weight)).sum().backward()
    gradient = jax.jit(jax.grad(lambda a: (pool(a) * weight).sum()))
    there = gradient(jnp.asarray(x.numpy(), jnp.float32))
    np.testing.assert_allclose(leaf.grad.numpy(), there, atol=1e-4)


def test_the_steps_of_a_long_window_are_few() -> None:
    for stride in (1, 700, 2000):
        options: dict[str, Any] = {"kernel_size": (2000,), "stride": (stride,)}
        for function in (ux.max_pool, ux.avg_pool):
            steps = jax.make_jaxpr(functools.partial(function, **options))(np.ones(9000))
            assert len(steps.eqns) < 200


def test_minus_infinity_alone_gives_its_first_real_position(target: Target) -> None:
    x = np.full((1, 1, 3, 3), -np.inf)
    pooled = target(ux.max_pool, x, kernel_size=2, stride=2, padding=1)
    assert (pooled.values == -np.inf).all()
    assert pooled.indices.tolist() == [[[[0, 1], [3, 4]]]]


def test_padding_never_holds_the_maximum(target: Target) -> None:
    x = np.full((1, 1, 3, 3), np.iinfo(np.int32).min, dtype=np.int32)
    pooled = target(ux.max_pool, x, kernel_size=3, stride=1, padding=2)
    assert (pooled.values == np.iinfo(np.int32).min).all()
    assert pooled.indices.min() == 0
    assert pooled.indices.max() == 8


def test_a_non_contiguous_input_is_as_good(eager: Target) -> None:
    host = real_values((2, 3, 8, 10), 0)
    x = eager.asarray(host)
    moved = eager.xp.permute_dims(x, (1, 0, 3, 2))[..., ::2, 1:]
    got = eager.call(ux.max_pool, moved, 2)
    wanted = ux.max_pool(np.ascontiguousarray(host.transpose(1, 0, 3, 2)[..., ::2, 1:]), 2)
    np.testing.assert_array_equal(eager.backend.to_numpy(got.values), wanted.values)
    np.testing.assert_array_equal(eager.backend.to_numpy(got.indices), wanted.indices)


@pytest.mark.parametrize(
    ("n", "kernel", "stride", "padding"), [(3, 5, 3, 0), (1, 2, 2, 0), (4, 9, 7, 1)]
)
def test_rounding_up_takes_a_kernel_longer_than_the_axis(
    target: Target, n: int, kernel: int, stride: int, padding: int
) -> None:
    if target.compiles and n != 4:
        pytest.skip("compiled once")
    x = np.arange(1.0, n + 1).reshape(1, 1, n)
    options = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": True}
    wanted = functional.max_pool1d(torch.asarray(x), **options, return_indices=True)
    for got, other in zip(target(ux.max_pool, x, **options), wanted, strict=True):
        np.testing.assert_array_equal(got, other)
    for include in (True, False):
        options["count_include_pad"] = include
        mean = functional.avg_pool1d(torch.asarray(x), **options)
        np.testing.assert_allclose(target(ux.avg_pool, x, **options), mean)
