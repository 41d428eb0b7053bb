"""What NumPy computes by a plan is what the reference computes without one."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

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
from unpool_xp._plan import cache, resize

few = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
COORDINATES = ("asymmetric", "half_pixel", "align_corners")


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
@given(case=resizes(), seed=seeds)
def test_resizing(case: Any, seed: int) -> None:
    shape, options = case
    x = real_values(shape, seed)
    for coordinates in COORDINATES[:2]:
        options["coordinates"] = coordinates
        got = ux.nearest_unpool(x, **options)
        np.testing.assert_array_equal(got, reference.nearest_unpool(x, **options))
    for coordinates, largest in itertools.product(COORDINATES, (0, resize._MAX_MATMUL_SIZE)):
        options["coordinates"] = coordinates
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(resize, "_MAX_MATMUL_SIZE", largest)
            cache.clear()
            close(ux.linear_unpool(x, **options), reference.linear_unpool(x, **options))


@few
@given(case=convolutions(), seed=seeds)
def test_conv_transpose(case: Any, seed: int) -> None:
    shapes, options = case
    arrays = [real_values(shape, seed + i) for i, shape in enumerate(shapes)]
    close(ux.conv_transpose(*arrays, **options), reference.conv_transpose(*arrays, **options))


# --- a part of an axis, as a chunk needs it ------------------------------------------------------


def parts() -> Iterator[tuple[resize.ResizeAxis, int, int]]:
    """Yield axes, and the ends of parts: multiples of the factor where it is whole."""
    for size, output in itertools.product(range(1, 5), range(1, 13)):
        axis = resize.ResizeAxis(-1, size, output, None)
        for first, last in itertools.combinations(range(0, output + 1, axis.repeats or 1), 2):
            yield axis, first, last


@pytest.mark.parametrize("coordinates", COORDINATES)
def test_a_part_is_planned_as_it_is_in_the_whole(coordinates: Any) -> None:
    for axis, first, last in parts():
        whole = resize.plan_linear_axis(axis, coordinates)
        part = resize.plan_linear_axis(axis, coordinates, first, last)
        start = whole.lower[first]
        assert part.size == whole.upper[last - 1] + 1 - start
        columns = np.asarray(whole.matrix())[start : start + part.size, first:last]
        close(part.matrix(), columns)
        if coordinates == "align_corners":
            continue
        nearest = resize.plan_nearest_axis(axis, coordinates, first, last, start)
        sources = resize.nearest_sources(axis, coordinates)[first:last]
        if axis.repeats is None:
            assert nearest.indices == tuple(source - start for source in sources)
        else:
            assert nearest.repeats == axis.repeats
