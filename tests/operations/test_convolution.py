"""conv_transpose against the oracle, on every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unpool_xp as ux
from tests.conftest import Target
from tests.support.closeness import assert_close
from tests.support.strategies import real_values, seeds
from unpool_xp import reference
from unpool_xp.capabilities import why_not


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    """Draw the shapes of x, weight and bias, and the options."""
    rank = draw(st.integers(1, 3))
    small = st.integers(1, 3)
    groups, per_group_in, per_group_out = draw(st.integers(1, 2)), draw(small), draw(small)
    kernel = tuple(draw(small) for _ in range(rank))
    stride = tuple(draw(small) for _ in range(rank))
    dilation = tuple(draw(small) for _ in range(rank))
    extra = tuple(
        draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
    )
    plane = tuple(draw(st.integers(1, 4)) for _ in range(rank))
    padding = []
    for n, k, s, d in zip(plane, kernel, stride, dilation, strict=True):
        extent, size = d * (k - 1) + 1, (n - 1) * s + d * (k - 1) + 1
        before = draw(st.integers(0, min(extent - 1, size - 1)))
        padding.append((before, draw(st.integers(0, min(extent - 1, size - 1 - before)))))
    shapes = [
        (draw(st.integers(0, 2)), groups * per_group_in, *plane),
        (groups * per_group_in, per_group_out, *kernel),
    ]
    if draw(st.booleans()):
        shapes.append((groups * per_group_out,))
    options = {
        "stride": stride,
        "padding": tuple(padding),
        "output_padding": extra,
        "groups": groups,
        "dilation": dilation,
    }
    return shapes, options


def check(target: Target, case: Any, seed: int) -> None:
    shapes, options = case
    arrays = [real_values(shape, seed + i) for i, shape in enumerate(shapes)]
    got = target(ux.conv_transpose, *arrays, **options)
    wanted = reference.conv_transpose(*arrays, **options)
    assert_close(got, wanted, rtol=1e-11, atol=1e-11)


@given(case=convolutions(), seed=seeds)
@settings(max_examples=60)
def test_conv_transpose(eager: Target, case: Any, seed: int) -> None:
    check(eager, case, seed)


@given(case=convolutions(), seed=seeds)
@settings(max_examples=10)
def test_conv_transpose_compiled(compiled: Target, case: Any, seed: int) -> None:
    check(compiled, case, seed)


def test_output_size_stands_for_output_padding(target: Target) -> None:
    x, weight = real_values((1, 2, 4, 5), 0), real_values((2, 3, 3, 3), 1)
    options = {"stride": 2, "padding": 1}
    for size in ((7, 9), (8, 10), (7, 10)):
        got = target(ux.conv_transpose, x, weight, output_size=size, **options)
        assert got.shape == (1, 3, *size)
        extra = (size[0] - 7, size[1] - 9)
        same = target(ux.conv_transpose, x, weight, output_padding=extra, **options)
        np.testing.assert_allclose(got, same, rtol=1e-12, atol=1e-12)


def test_any_number_of_leading_axes(target: Target) -> None:
    weight = real_values((2, 3, 2), 1)
    x = real_values((2, 2, 2, 5), 0)
    got = target(ux.conv_transpose, x, weight, stride=2)
    assert got.shape == (2, 2, 3, 10)
    one = target(ux.conv_transpose, x[1, 0], weight, stride=2)
    np.testing.assert_allclose(got[1, 0], one, rtol=1e-12)


def test_integers_are_exact(eager: Target) -> None:
    x = np.arange(8, dtype=np.int64).reshape(1, 2, 4)
    weight = np.arange(6, dtype=np.int64).reshape(2, 1, 3) + 2**40
    got = eager(ux.conv_transpose, x, weight, stride=2)
    wanted = np.zeros((1, 1, 9), dtype=np.int64)
    for c in range(2):
        for i in range(4):
            wanted[0, 0, 2 * i : 2 * i + 3] += x[0, c, i] * weight[c, 0]
    np.testing.assert_array_equal(got, wanted, strict=True)


@pytest.mark.parametrize("shape", [(0, 2, 4, 4), (3, 0, 2, 4, 4)])
def test_a_batch_of_none_is_a_batch(target: Target, shape: tuple[int, ...]) -> None:
    got = target(ux.conv_transpose, np.zeros(shape), np.ones((2, 5, 2, 2)), stride=2)
    assert got.shape == (*shape[:-3], 5, 8, 8)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_weight_that_is_not_finite_shows_where_its_tap_lands_alone(bad: float) -> None:
    x, weight = np.ones((1, 1, 3)), np.ones((1, 1, 4))
    weight[0, 0, 3] = bad
    got = ux.conv_transpose(x, weight, stride=2)
    given = {"padding": ((0, 0),), "output_padding": (0,), "groups": 1, "dilation": (1,)}
    wanted = reference.conv_transpose(x, weight, stride=(2,), **given)
    np.testing.assert_array_equal(got, wanted)
    assert np.isfinite(got).sum() == 5


def test_complex_numbers_with_a_kernel_of_whole_strides(eager: Target) -> None:
    reason = why_not("conv_transpose", eager.backend.library, "complex128")
    if reason is not None:
        pytest.skip(reason)
    x, weight = (real_values(shape, 1) * (1 - 2j) for shape in ((1, 1, 3, 3), (1, 1, 4, 4)))
    options = {"stride": (2, 2), "padding": ((0, 0),) * 2, "output_padding": (0, 0)}
    wanted = reference.conv_transpose(x, weight, groups=1, dilation=(1, 1), **options)
    got = eager(ux.conv_transpose, x, weight, stride=2)
    assert_close(got, wanted, rtol=1e-11, atol=1e-11)
