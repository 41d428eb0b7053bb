"""The phases of resized axes whose weights repeat."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

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
