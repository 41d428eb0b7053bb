"""The plans of resizing: sizes, copies, phases, and the parts of an axis."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.support.expectations import fails, whole
from unpool_xp._plan import resize
from unpool_xp._plan.resize import ResizeAxis, ResizeSpan
from unpool_xp._plan.sampling import Kernel, Nearest


def resized(*shape: int, factor: Any = None, size: Any = None) -> tuple[ResizeAxis, ...]:
    return resize.plan_resize("unpool", shape, factor, size)


def test_the_output_is_the_factor_rounded_down() -> None:
    factors = (0.26, 0.5, 0.999, 1.0, 1.5, 2.0, 2.75, 3.0)
    for n, factor in itertools.product(range(1, 7), factors):
        expected = math.floor(Fraction(factor) * n)
        if expected:
            (axis,) = resized(5, n, factor=(factor,))
            assert axis == ResizeAxis(-1, n, expected, factor)
            assert whole(axis.axis, axis.size, axis.output)
        else:
            said = f"unpool: scale_factor=({factor},) leaves an empty plane (0,) (array of shape"
            with fails(ValueError, f"{said} (5, {n}))"):
                resized(5, n, factor=(factor,))
    with fails(ValueError, "unpool: scale_factor=0.5 leaves an empty plane (2, 0) (array of"):
        resized(2, 2, 4, 1, factor=0.5)
    plan = resized(2, 2, 4, 3, factor=(0.5, 3))
    assert plan == (ResizeAxis(-2, 4, 2, 0.5), ResizeAxis(-1, 3, 9, 3.0))


def test_a_wanted_size_is_taken() -> None:
    for n, m in itertools.product(range(1, 5), repeat=2):
        assert resized(5, n, size=(m,)) == (ResizeAxis(-1, n, m, None),)
    assert resized(9, 8, 3, 4, size=7) == (ResizeAxis(-2, 3, 7, None), ResizeAxis(-1, 4, 7, None))
    with fails(ValueError, "unpool: output_size=(4, 0) must be >= 1 on every axis"):
        resized(2, 3, size=(4, 0))
    for factor, size in ((None, None), (2, 3)):
        said = f"got scale_factor={factor} and output_size={size} (array of shape (1, 1, 4))"
        with fails(ValueError, "unpool: give either scale_factor or output_size, ", said):
            resized(1, 1, 4, factor=factor, size=size)
    with fails(
        ValueError, "unpool: scale_factor=0 must be positive and finite (array of shape (1, 1"
    ):
        resized(1, 1, 4, factor=0)
    with fails(ValueError, "unpool: scale_factor=2 is an int", "(array of shape (4,))"):
        resized(4, factor=2)


def test_copies_are_known_where_the_output_is_copies() -> None:
    for n, m in itertools.product(range(1, 5), range(1, 14)):
        expected = m // n if m % n == 0 else None
        assert ResizeAxis(-1, n, m, None).repeats == expected
        assert ResizeAxis(-1, n, m, m / n).repeats == expected
        assert expected is None or whole(ResizeAxis(-1, n, m, None).repeats)
        # The same size from another factor has other sources.
        for factor in (m / n + 0.01, m / n - 0.01):
            assert ResizeAxis(-1, n, m, factor).repeats is None


def test_plans_cannot_be_changed() -> None:
    # They are kept and given to every caller.
    (axis,) = resized(1, 2, size=(4,))
    for field in dataclasses.fields(axis):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(axis, field.name, None)


SIZES = [(88, 120 / 88, 120), (100, 1.15, 115), (25, 1.16, 29), (45, 1.4, 63), (3, 1.9, 5)]
SIZES += [(12, 2 - 4e-16, 24), (12, 1.9999999, 23), (88, float(Fraction(120, 88)), 120)]


@pytest.mark.parametrize(("n", "factor", "expected"), SIZES)
def test_a_product_within_4_ulp_of_a_whole_number_is_that_number(
    n: int, factor: float, expected: int
) -> None:
    (axis,) = resized(5, n, factor=(factor,))
    assert axis.output == expected
    assert whole(axis.output)


def test_the_size_that_a_factor_was_made_from_comes_out() -> None:
    for n, out in itertools.product(range(1, 60), range(1, 120)):
        assert resize.scaled_size(n, out / n) == out
    for n, hundredths in itertools.product(range(1, 60), range(100, 300)):
        assert resize.scaled_size(n, hundredths / 100) == n * hundredths // 100


def test_a_factor_beyond_any_plane_is_named() -> None:
    with fails(ValueError, "unpool: scale_factor=1e+300 must be <= 2147483648 (array of shape"):
        resized(1, 1, 4, factor=1e300)


def planned(n: int, m: int, scale: float | None, kernel: Kernel) -> Any:
    return resize.plan_interpolated_axis(ResizeSpan.of_whole(ResizeAxis(-1, n, m, scale), kernel))


def test_an_axis_that_keeps_its_size_is_copied() -> None:
    for coordinates in ("asymmetric", "half_pixel", "align_corners"):
        for scale in (None, 1.0, 1.2):
            axis = ResizeAxis(-1, 4, 4, scale)
            cubic = scale == 1.2 and coordinates != "align_corners"
            assert not resize.needs_interpolation(axis, Kernel(coordinates))
            assert resize.needs_interpolation(axis, Kernel(coordinates, -0.75)) == cubic
            assert not resize.needs_interpolation(axis, Kernel(coordinates, -0.75, True))
    assert resize.needs_interpolation(ResizeAxis(-1, 4, 5, 1.25), Kernel())


def test_whole_linear_factors_have_phases() -> None:
    phases = planned(4, 8, 2.0, Kernel("half_pixel")).phases
    assert [(p.shift, p.fraction) for p in phases] == [(-1, 0.75), (0, 0.25)]
    phases = planned(4, 12, None, Kernel()).phases
    assert [p.shift for p in phases] == [0, 0, 0]
    assert [p.fraction for p in phases] == pytest.approx([0, 1 / 3, 2 / 3])
    assert planned(4, 12, None, Kernel("align_corners")).phases is None
    assert planned(4, 12, None, Kernel("half_pixel", -0.75)).phases is None
    assert planned(4, 6, None, Kernel()).phases is None


@pytest.mark.parametrize("coordinates", ["asymmetric", "half_pixel", "half_pixel_symmetric"])
@pytest.mark.parametrize("rounding", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
def test_copies_are_repeated_where_each_element_has_its_block(
    coordinates: Any, rounding: Any
) -> None:
    for n, factor in itertools.product(range(1, 5), range(1, 6)):
        axis = ResizeAxis(-1, n, n * factor, None)
        plan = resize.plan_nearest_axis(ResizeSpan.of_whole(axis, Nearest(coordinates, rounding)))
        blocks = np.repeat(np.arange(n), factor)
        if plan.repeats is not None:
            np.testing.assert_array_equal(plan.sources(0, axis.output), blocks)
        assert plan.repeats in (factor, None)
        usual = (rounding == "floor") if coordinates == "asymmetric" else "round" in rounding
        assert (plan.repeats is not None) == (usual or factor == 1)


# --- parts of an axis ----------------------------------------------------------------------------

KERNELS = [Kernel(c) for c in ("asymmetric", "half_pixel", "align_corners")]
KERNELS += [Kernel("half_pixel", -0.75), Kernel("asymmetric", -0.5, False, True)]
KERNELS += [Kernel("half_pixel", None, True, True), Kernel("half_pixel", -0.5, True, False)]


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_part_is_planned_as_it_is_in_the_whole(kernel: Kernel) -> None:
    for size, output in itertools.product(range(1, 6), range(1, 11)):
        axis = ResizeAxis(-1, size, output, None)
        matrix = planned(size, output, None, kernel).matrix()
        for first, last in itertools.combinations(range(0, output + 1, axis.repeats or 1), 2):
            span = ResizeSpan.of_part(axis, kernel, first, last)
            part = resize.plan_interpolated_axis(span)
            assert (part.size, part.output) == (span.stop - span.start, last - first)
            rows = matrix[span.start : span.stop, first:last]
            np.testing.assert_array_equal(part.matrix(), rows)
            assert matrix[:, first:last].sum() == pytest.approx(rows.sum())  # no element is missing


def test_a_part_of_a_nearest_axis_has_the_sources_of_the_whole() -> None:
    for size, output in itertools.product(range(1, 6), range(1, 11)):
        axis = ResizeAxis(-1, size, output, None)
        for coordinates in ("asymmetric", "align_corners"):
            method = Nearest(coordinates, "ceil")
            sources = resize.plan_nearest_axis(ResizeSpan.of_whole(axis, method)).sources(0, output)
            for first, last in itertools.combinations(range(output + 1), 2):
                span = ResizeSpan.of_part(axis, method, first, last)
                assert (span.start, span.stop) == (sources[first], sources[last - 1] + 1)
                part = resize.plan_nearest_axis(span)
                expected = sources[first:last] - span.start
                np.testing.assert_array_equal(part.sources(0, last - first), expected)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("scale", "output"), [(1.5, 300), (None, 250), (0.75, 150), (1.1, 220)])
def test_cells_whole_periods_apart_have_the_same_weights(
    kernel: Kernel, scale: float | None, output: int
) -> None:
    axis = planned(200, output, scale, kernel)
    step = axis.whole_periods(30)
    moved = 0
    for first in range(0, output - step, step):
        start, shift = axis.repeated_cells(first, first + step)
        sources, weights = axis.weighted_taps(first, first + step)
        earlier, same = axis.weighted_taps(start, start + step)
        np.testing.assert_array_equal(sources, earlier + shift)
        np.testing.assert_array_equal(weights, same)
        moved += start != first
    assert moved or kernel.coordinates == "align_corners"
    assert not planned(200, output, math.pi, kernel).repeated_cells(90, 120)[1] or scale is None


# --- options --------------------------------------------------------------------------------------


def test_a_nearest_plan_knows_its_rounding() -> None:
    def plan(**given: Any) -> Any:
        options = {"scale_factor": 1.5, "output_size": None, "coordinates": "asymmetric"}
        options |= {"rounding": None} | given
        return resize.plan_nearest("nearest_unpool", (1, 1, 4, 6), **options)

    assert plan().axes[0].span.method == Nearest("asymmetric", "floor")
    assert plan(coordinates="half_pixel").axes[1].span.method == Nearest(
        "half_pixel", "round_prefer_ceil"
    )
    assert plan(rounding="ceil").axes[0].span.method == Nearest("asymmetric", "ceil")
    assert (plan().plane, [axis.axis for axis in plan().axes]) == ((6, 9), [-2, -1])
    with fails(ValueError, "nearest_unpool: coordinates='centre' is not one of asymmetric, half"):
        plan(coordinates="centre")
    with fails(ValueError, "nearest_unpool: rounding='up' is not one of floor, ceil, round_pre"):
        plan(rounding="up")
    with fails(ValueError, "nearest_unpool: give either scale_factor or output_size, got scale"):
        plan(scale_factor=None)


def test_an_interpolation_knows_its_kernel() -> None:
    def plan(operation: str = "linear_unpool", *given: Any, size: Any = 7, **options: Any) -> Any:
        return resize.plan_interpolation(operation, (2, 3, 4, 7), None, size, *given, **options)

    linear = plan()
    assert (linear.plane, linear.growth, linear.rank) == ((7, 7), 7 / 4, 2)
    assert [axis.axis for axis in linear.axes] == [-2]  # the other one keeps its size
    assert [axis.axis for axis in linear.resize_axes] == [-2, -1]
    assert linear.kernel == Kernel("asymmetric", None, False, False)
    assert plan(size=(8, 14)).growth == 4.0
    smooth = plan("linear_unpool", "half_pixel", True)
    assert smooth.kernel == Kernel("half_pixel", None, True, True)
    cubic = plan("cubic_unpool", "half_pixel", True, False, -0.5)
    assert cubic.kernel == Kernel("half_pixel", -0.5, True, False)
    assert plan("cubic_unpool", coefficient=-0.75).kernel.coefficient == -0.75
    assert type(plan("cubic_unpool", coefficient=np.float32(-0.5)).kernel.coefficient) is float
    wrong = [
        (ValueError, "coordinates='centre' is not one of asymmetric", {"coordinates": "centre"}),
        (TypeError, "antialias must be a bool, got 1", {"antialias": 1}),
        (TypeError, "exclude_outside must be a bool, got 0", {"exclude_outside": 0}),
        (ValueError, "give either scale_factor or output_size", {"size": None}),
    ]
    for value in (True, None, "sharp"):
        said = f"coefficient must be a number, got {value!r} (array of shape (2, 3, 4, 7))"
        wrong.append((TypeError, said, {"coefficient": value}))
    for value in (math.inf, -math.inf, math.nan):
        said = f"coefficient={value} must be finite (array of shape (2, 3, 4, 7))"
        wrong.append((ValueError, said, {"coefficient": value}))
    for error, said, options in wrong:
        with fails(error, f"cubic_unpool: {said}"):
            plan("cubic_unpool", **({"coefficient": -0.75} | options))


def test_phases_end_where_there_would_be_too_many() -> None:
    longest = resize._MAX_PHASES
    assert planned(2, 2 * longest, None, Kernel()).n_taps == 2
    assert len(planned(2, 2 * longest, None, Kernel()).phases) == longest
    assert planned(2, 2 * longest + 2, None, Kernel()).phases is None
    assert planned(4, 8, None, Kernel("half_pixel", -0.5)).n_taps == 4
    span = ResizeSpan.of_part(ResizeAxis(-1, 9, 18, 2.0), Kernel(), 8, 12)
    assert span.start == 4
    assert [phase.shift for phase in resize.plan_interpolated_axis(span).phases or ()] == [0, 0]
    part = resize.plan_nearest_axis(
        ResizeSpan.of_part(ResizeAxis(-1, 9, 18, 2.0), Nearest(), 8, 12)
    )
    assert (part.axis, part.output, part.repeats) == (-1, 4, 2)


def test_a_factor_may_be_as_large_as_any_plane() -> None:
    assert resized(1, 1, 2, factor=2.0**31)[0].output == 2**32
    with fails(ValueError, "must be <= 2147483648"):
        resized(1, 1, 2, factor=2.0**31 + 1)
    assert resize.scaled_size(1, 2 - 4 * math.ulp(1.0)) == 2
    assert resize.scaled_size(1, 2 - 5 * math.ulp(1.0)) == 1


def test_weights_repeat_after_whole_periods() -> None:
    axis = planned(200, 300, None, Kernel())  # three cells for two elements
    assert [axis.whole_periods(cells) for cells in (2, 3, 4, 6, 8)] == [2, 3, 3, 6, 6]
    assert axis.repeated_cells(30, 36) == (6, 16)
    assert axis.repeated_cells(30, 35) == (30, 0)  # no whole period
    assert axis.repeated_cells(31, 35) == (31, 0)
    assert axis.repeated_cells(3, 6) == (3, 0)  # at the start
    assert axis.repeated_cells(291, 294) == (291, 0)  # at the end


def test_the_plan_of_a_fractional_unpooling() -> None:
    plan = functools.partial(resize.plan_fractional_unpool, "fractional_max_unpool")
    assert plan((2, 3, 4, 5), None, (2, 3, 8, 9)).plane == (8, 9)
    assert plan((2, 3, 4, 5), None, (8,)).plane == (8,)
    assert plan((2, 3, 4), None, (2, 3, 8)).plane == (8,)
    assert plan((2, 3, 4, 5), 1.5, None).plane == (6, 7)
    assert plan((4,), None, (8,)).plane == (8,)
    assert plan((4, 5), None, (8, 9)).plane == (8, 9)  # nothing leads
    with fails(ValueError, "fractional_max_unpool: output_size=(9, 3, 8, 9) is a full shape"):
        plan((2, 3, 4, 5), None, (9, 3, 8, 9))
    with fails(ValueError, "fractional_max_unpool: give either scale_factor or output_size"):
        plan((2, 3, 4, 5), 1.5, (8, 9))
