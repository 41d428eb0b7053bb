"""Positions, sources and weights are those of the reference, in fractions and cell by cell."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.support.expectations import whole
from unpool_xp import reference
from unpool_xp._plan import sampling
from unpool_xp._plan.sampling import Kernel, Nearest

COORDINATES = ("asymmetric", "half_pixel", "align_corners", "half_pixel_symmetric")
COORDINATES += ("pytorch_half_pixel",)
ROUNDINGS = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
FACTORS = (0.26, 0.3, 0.5, 0.75, 1.0, 1.1, 1.2, 1.4, 1.5, 2.0, 2.3, 3.0, math.pi)


def axes() -> Iterator[tuple[int, int, float | None]]:
    """Yield sizes, those of the output, and given scales."""
    for n, m in itertools.product((1, 2, 3, 7), (1, 2, 3, 4, 9)):
        yield n, m, None
    for n, factor in itertools.product((1, 3, 5, 8), FACTORS):
        if math.floor(n * factor):
            yield n, math.floor(n * factor + 1e-9), factor


def options(m: int, scale: float | None) -> dict[str, Any]:
    return {"output_size": (m,)} if scale is None else {"scale_factor": (scale,)}


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_sources_are_rounded_positions(coordinates: Any, rounding: Any) -> None:
    method = tuple(Nearest(coordinates, rounding))
    for n, m, scale in axes():
        sources = sampling.nearest_sources(n, m, scale, method, 0, m)
        how = {"coordinates": coordinates, "rounding": rounding}
        expected = reference.nearest_unpool(np.arange(n), **options(m, scale), **how)
        np.testing.assert_array_equal(sources, expected)
        assert sources.dtype == np.int64


def test_sources_of_many_cells_are_exact() -> None:
    # In floats 21 * (9 / 27) and its like fall below the whole number that they are.
    for n, m, scale in ((9, 27, None), (49, 98, None), (1000, 3000, None), (1000, 1100, 1.1)):
        sources = sampling.nearest_sources(n, m, scale, ("asymmetric", "floor"), 0, m)
        assert sources.tolist() == [o * n // m for o in range(m)]
        assert whole(*sources.tolist())


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("coefficient", [None, -0.75, -0.3])
@pytest.mark.parametrize(("antialias", "exclude"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_weights_are_those_of_the_reference(
    coordinates: Any, coefficient: float | None, antialias: int, exclude: int
) -> None:
    kernel = Kernel(coordinates, coefficient, bool(antialias), bool(exclude))
    given = {"coordinates": coordinates, "antialias": bool(antialias)}
    given["exclude_outside"] = bool(exclude)
    unpool = reference.linear_unpool
    if coefficient is not None:
        unpool, given["coefficient"] = reference.cubic_unpool, coefficient
    for n, m, scale in axes():
        sources, weights = sampling.weighted_taps(n, m, scale, tuple(kernel), 0, m)
        assert sources.shape == weights.shape
        assert len(sources) == sampling.tap_count(n, m, scale, tuple(kernel))
        assert 0 <= sources.min() <= sources.max() < n
        assert (weights != 0).all()  # zero times an infinity is NaN
        matrix = np.zeros((n, m))
        np.add.at(matrix, (sources, np.arange(m)), weights)
        if n == m and (coefficient is None or antialias):
            continue  # copied, so nobody asks
        expected = unpool(np.eye(n), **options(m, scale), **given)
        np.testing.assert_allclose(matrix, expected, atol=1e-13)
        for first, last in ((0, 1), (m // 2, m)):
            start, stop = sampling.tap_range(n, m, scale, tuple(kernel), first, last)
            assert start <= sources[:, first:last].min()
            assert stop > sources[:, first:last].max()
            assert 0 <= start < stop <= n


def test_taps_by_hand() -> None:
    def taps(n: int, m: int, *kernel: Any) -> Any:
        return sampling.weighted_taps(n, m, None, tuple(Kernel(*kernel)), 0, m)

    sources, weights = taps(2, 4)
    assert sources.tolist() == [[0, 0, 1, 1], [0, 1, 1, 1]]
    assert weights.tolist() == [[0.5] * 4, [0.5] * 4]
    sources, weights = taps(3, 2, "align_corners")
    assert sources.tolist() == [[0, 2], [0, 2]]
    sources, weights = taps(4, 2, "half_pixel", None, True, True)
    of_first = [weights[sources[:, 0] == i, 0].sum() for i in range(4)]
    assert of_first == pytest.approx([3 / 7, 3 / 7, 1 / 7, 0])  # the quarter before it is left out
    # Keys' kernel at a half: (-1, 9, 9, -1) / 16 for a = -1/2.
    sources, weights = taps(4, 7, "align_corners", -0.5)
    assert sources[:, 3].tolist() == [0, 1, 2, 3]
    assert weights[:, 3].tolist() == [-1 / 16, 9 / 16, 9 / 16, -1 / 16]
    assert weights[:, 2].tolist() == [0.25] * 4  # an element itself
    assert sources[:, 2].tolist() == [1] * 4


def test_weights_repeat_after_the_cells_of_a_simple_factor() -> None:
    assert sampling.period(9, 13, 1.5, "asymmetric") == (3, 2)
    assert sampling.period(9, 9, 1.1, "half_pixel") == (11, 10)
    assert sampling.period(6, 9, None, "half_pixel") == (3, 2)
    assert sampling.period(5, 9, 1.9, "align_corners") == (2, 1)
    assert sampling.period(9, 28, math.pi, "asymmetric") is None
    assert sampling.period(9, 12, float(Fraction(4, 3)), "asymmetric") == (4, 3)
    assert sampling.period(10**6, 10**6 + 1, None, "asymmetric") is None
    assert sampling.period(4, 1, None, "align_corners") is None
    assert sampling.period(4, 2, None, "asymmetric") == (1, 2)
    assert whole(*(sampling.period(6, 9, None, "half_pixel") or ()))
    most = sampling._MAX_PERIOD
    assert sampling.period(1, most, None, "asymmetric") == (most, 1)
    assert sampling.period(1, most + 1, None, "asymmetric") is None


def test_positions_within_4_ulp_of_a_whole_number_are_that_number() -> None:
    step = np.finfo(np.float64).eps
    given = np.asarray([3, 3 + 16 * step, 3 + 18 * step, 3 - 16 * step, 3 - 18 * step, 2.5])
    wanted = [3, 3, 3 + 18 * step, 3, 3 - 18 * step, 2.5]
    assert sampling._snapped(given).tolist() == wanted


def test_a_part_reads_what_its_taps_reach() -> None:
    kernel = tuple(Kernel("half_pixel", None, True))
    assert sampling.tap_range(40, 10, None, kernel, 2, 3) == (6, 14)
    assert sampling.tap_range(40, 10, 0.2, kernel, 2, 3) == (8, 18)
    assert sampling.tap_range(4, 8, None, tuple(Kernel()), 7, 8) == (3, 4)
    assert sampling.tap_range(4, 8, None, tuple(Kernel()), 2, 4) == (1, 3)
