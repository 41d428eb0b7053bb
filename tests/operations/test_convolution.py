"""conv_transpose against the oracle, on every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import unpool_xp as ux
from tests.conftest import Target
from tests.support.closeness import assert_close
from tests.support.strategies import convolutions, examples, real_values, seeds
from unpool_xp import reference
from unpool_xp._impl import conv_transpose
from unpool_xp._plan import cache
from unpool_xp.capabilities import why_not


@examples(60, case=convolutions(), seed=seeds)
def test_conv_transpose(target: Target, case: Any, seed: int) -> None:
    shapes, options = case
    arrays = [real_values(shape, seed + i) for i, shape in enumerate(shapes)]
    got = target(ux.conv_transpose, *arrays, **options)
    wanted = reference.conv_transpose(*arrays, **options)
    assert_close(got, wanted)


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
    assert_close(got, wanted)


@pytest.mark.parametrize(
    ("kernel", "padding", "wanted"),
    [(1, 1, [0, 2, 0, 3, 0]), (2, 2, [2, 2, 3, 3]), (1, ((4, 3),), []), (2, ((0, 7),), [1])],
)
def test_padding_may_be_as_long_as_the_kernel(
    target: Target, kernel: int, padding: Any, wanted: list[int]
) -> None:
    x, weight = np.arange(1.0, 5.0).reshape(1, 1, 4), np.ones((1, 1, kernel))
    got = target(ux.conv_transpose, x, weight, stride=2, padding=padding)
    assert got.tolist() == [[wanted]]


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_few_elements_for_each_channel_are_not_put_side_by_side(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.clear()  # what was made ready before
    used, phases = [], conv_transpose.prepare_phases
    monkeypatch.setattr(conv_transpose, "prepare_phases", lambda *a: used.append(a) or phases(*a))
    weight = np.random.default_rng(0).standard_normal((4, 4, 4, 4))
    for n, count in ((3, 0), (4, 1)):  # 9 and 16 elements for 4 channels
        x = np.random.default_rng(1).standard_normal((1, 4, n, n))
        arrays = (x, weight) if library == "numpy" else map(torch.from_numpy, (x, weight))
        options: dict[str, Any] = {"stride": (2, 2), "padding": ((1, 1), (1, 1)), "groups": 1}
        options |= {"output_padding": (0, 0), "dilation": (1, 1)}
        got = ux.conv_transpose(*arrays, **options)
        wanted = reference.conv_transpose(x, weight, **options)
        np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-10)
        assert len(used) == count
