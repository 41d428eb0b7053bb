"""What NumPy computes by a plan is what the reference computes without one."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import unpool_xp as ux
from tests.support.strategies import (
    PoolingArguments,
    convolutions,
    fractions,
    poolings,
    real_values,
    resizes,
    seeds,
)
from unpool_xp import reference
from unpool_xp._impl import interpolation
from unpool_xp._plan import cache
from unpool_xp._plan.arguments import Coordinates, Rounding

few = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def planned_anew() -> None:
    cache.clear()


def close(got: Any, wanted: Any) -> None:
    np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)


@few
@given(case=poolings(), include=st.booleans(), seed=seeds)
def test_pooling_and_back(case: PoolingArguments, include: bool, seed: int) -> None:
    x = real_values(case.shape, seed)
    pooled = ux.max_pool(x, **case.options)
    values, indices = reference.max_pool(x, *dataclasses.astuple(case)[1:])
    np.testing.assert_array_equal(pooled.values, values)
    np.testing.assert_array_equal(pooled.indices, indices)
    averages = reference.avg_pool(x, *dataclasses.astuple(case)[1:], include)
    close(ux.avg_pool(x, **case.options, count_include_pad=include), averages)
    wanted = reference.max_unpool(values, indices, case.plane, "any")
    options = {name: value for name, value in case.options.items() if name != "ceil_mode"}
    got = ux.max_unpool(*pooled, **options, output_size=case.plane)
    np.testing.assert_array_equal(got, wanted)


@few
@given(case=fractions(), seed=seeds)
def test_fractional_max_pool(case: Any, seed: int) -> None:
    shape, options = case
    x = real_values(shape, seed)
    got = ux.fractional_max_pool(x, **options)
    wanted = reference.fractional_max_pool(x, *options.values())
    np.testing.assert_array_equal(got.values, wanted[0])
    np.testing.assert_array_equal(got.indices, wanted[1])


@few
@given(
    case=resizes(),
    coordinates=st.sampled_from(get_args(Coordinates)),
    rounding=st.sampled_from(get_args(Rounding)),
    antialias=st.booleans(),
    exclude=st.booleans(),
    largest=st.sampled_from((0, interpolation._MAX_MATMUL_SIZE)),
    seed=seeds,
)
def test_resizing(
    case: Any,
    coordinates: Any,
    rounding: Any,
    antialias: bool,
    exclude: bool,
    largest: int,
    seed: int,
) -> None:
    shape, options = case
    x = real_values(shape, seed)
    options |= {"coordinates": coordinates}
    got = ux.nearest_unpool(x, **options, rounding=rounding)
    np.testing.assert_array_equal(got, reference.nearest_unpool(x, **options, rounding=rounding))
    options |= {"antialias": antialias, "exclude_outside": exclude}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(interpolation, "_MAX_MATMUL_SIZE", largest)
        cache.clear()  # what is ready has decided already
        close(ux.linear_unpool(x, **options), reference.linear_unpool(x, **options))
        close(ux.cubic_unpool(x, **options), reference.cubic_unpool(x, **options))


@few
@given(case=convolutions(), seed=seeds)
def test_conv_transpose(case: Any, seed: int) -> None:
    shapes, options = case
    arrays = [real_values(shape, seed + i) for i, shape in enumerate(shapes)]
    close(ux.conv_transpose(*arrays, **options), reference.conv_transpose(*arrays, **options))
