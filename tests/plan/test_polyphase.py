"""The phases of resized axes whose weights repeat."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from unpool_xp._plan.polyphase import find_polyphase
from unpool_xp._plan.resize import ResizeAxis, ResizeSpan, plan_interpolated_axis
from unpool_xp._plan.sampling import Kernel


def planned(n: int, m: int, scale: float | None, *kernel: Any) -> Any:
    whole = ResizeSpan.of_whole(ResizeAxis(-1, n, m, scale), Kernel(*kernel))
    return plan_interpolated_axis(whole).polyphase


def test_a_factor_of_2_has_two_phases_of_whole_weights() -> None:
    found = planned(16, 32, 2.0, "half_pixel")
    assert (found.cells, found.elements, found.unit) == (2, 1, 4)
    assert found.taps == (((-1, 1.0), (0, 3.0)), ((0, 3.0), (1, 1.0)))
    assert found.inside == ((1, 16), (0, 15))
    found = planned(16, 32, None)
    assert (found.unit, found.taps) == (2, (((0, 2.0),), ((0, 1.0), (1, 1.0))))


def test_the_phases_of_a_ratio_lie_as_many_elements_apart() -> None:
    found = planned(18, 27, 1.5)
    assert (found.cells, found.elements, found.unit) == (3, 2, 1)
    offsets = [[offset for offset, _ in taps] for taps in found.taps]
    assert offsets == [[0], [0, 1], [1, 2]]
    weights = [weight for taps in found.taps for _, weight in taps]
    assert weights == pytest.approx([1, 1 / 3, 2 / 3, 2 / 3, 1 / 3])
    assert found.inside == ((0, 9), (0, 9), (0, 8))
    assert planned(40, 20, 0.5, "half_pixel").taps == (((0, 1.0), (1, 1.0)),)


@pytest.mark.parametrize(
    "axis",
    [
        (4, 8, 2.0),  # few cells
        (16, 33, None, "align_corners"),  # a period of 32
        (330, 1036, math.pi, "half_pixel"),  # none
        (66, 650, None),  # a period of 325
        (640, 64, 0.1, "half_pixel", None, True),  # 20 taps
        (2, 128, 64.0),
    ],
)
def test_few_cells_and_many_phases_have_none(axis: Any) -> None:
    assert planned(*axis) is None


@pytest.mark.parametrize(
    "axis",
    [
        (16, 32, 2.0, "half_pixel"),
        (16, 32, 2.0, "half_pixel", -0.75),
        (18, 27, None, "half_pixel"),
        (160, 272, 1.7, "half_pixel_symmetric", -0.5),
        (40, 24, 0.6),
        (16, 31, None, "align_corners"),
        (40, 80, 2.0, "half_pixel", -0.75, False, True),
    ],
)
def test_the_taps_of_all_phases_are_those_of_the_axis(axis: Any) -> None:
    n, m, scale, *kernel = axis
    found = planned(*axis)
    whole = ResizeSpan.of_whole(ResizeAxis(-1, n, m, scale), Kernel(*kernel))
    matrix, wanted = np.zeros((n, m)), plan_interpolated_axis(whole).matrix()
    inside = np.zeros(m, bool)
    for phase, taps in enumerate(found.taps):
        begin, start, stop, end = found.periods(phase, 0, m)
        assert (begin, end) == (0, len(range(phase, m, found.cells)))
        cells = np.arange(m)[found.cells_of(phase, start, stop)]
        inside[cells] = True
        for offset, weight in taps:
            elements = np.arange(n)[found.elements_at(offset, start, stop)]
            matrix[elements, cells] += weight / found.unit
    np.testing.assert_allclose(matrix[:, inside], wanted[:, inside], rtol=1e-12, atol=1e-15)
    start, stop = found.complete(0, m)
    assert inside[start:stop].all()
    assert inside.sum() > m // 2


def test_a_part_reads_the_elements_of_its_cells() -> None:
    found = planned(40, 80, 2.0, "half_pixel", -0.75)
    assert found.elements_between(0, 80, 40) == (0, 40)
    assert found.elements_between(20, 30, 40) == (8, 17)
    assert found.periods(1, 20, 30) == (10, 10, 15, 15)
    assert found.periods(0, 0, 2) == (0, 1, 1, 1)
    assert found.complete(0, 30) == (4, 30)
    assert found.elements_between(0, 2, 40) == (0, 3)
    assert found.elements_between(78, 80, 40) == (37, 40)
    assert found.cells_of(1, 2, 5) == slice(5, 10, 2)
    ratio = planned(160, 240, 1.5)
    assert ratio.elements_between(30, 31, 160) == (20, 23)
    assert ratio.elements_between(31, 33, 160) == (20, 23)
    assert ratio.elements_between(32, 34, 160) == (20, 25)


def test_an_end_of_the_axis_is_no_element_like_another() -> None:
    """What lies beyond the axis is the end again, so no offset can be read off there."""

    def places(low: int, high: int) -> Any:
        return lambda first, last: (np.array([[low, low], [high, high]]), np.full((2, 2), 0.5))

    assert find_polyphase(16, 32, 2, (2, 1), places(1, 14)).taps == (((-7, 1.0), (6, 1.0)),) * 2
    assert find_polyphase(16, 32, 2, (2, 1), places(0, 14)) is None
    assert find_polyphase(16, 32, 2, (2, 1), places(1, 15)) is None
    asked = []
    find_polyphase(16, 32, 2, (2, 1), lambda *cells: (asked.append(cells), places(7, 8)(*cells))[1])
    assert asked == [(16, 18)]  # the period in the middle, away from the ends


@pytest.mark.parametrize(
    ("cells", "output", "found"), [(32, 256, True), (33, 330, False), (4, 32, True), (4, 31, False)]
)
def test_there_are_at_most_32_phases_of_8_cells(cells: int, output: int, *, found: bool) -> None:
    taps = np.full((1, cells), 9), np.ones((1, cells))
    assert (find_polyphase(20, output, 1, (cells, 1), lambda *_: taps) is not None) == found


@pytest.mark.parametrize(("weight", "unit"), [(1 / 64, 64), (1 / 128, 1), (0.1, 1)])
def test_whole_numbers_have_at_most_6_bits(weight: float, unit: int) -> None:
    taps = np.full((1, 2), 9), np.full((1, 2), weight)
    found = find_polyphase(20, 40, 1, (2, 1), lambda *_: taps)
    assert found is not None
    assert (found.unit, found.taps[0][0][1]) == (unit, weight * unit)
