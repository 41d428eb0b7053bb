"""The plans of windows and of the way back, held to an enumeration of positions one by one."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.support.expectations import fails, whole
from unpool_xp._plan import fractional as fractional_module
from unpool_xp._plan import transposed, windows
from unpool_xp._plan.transposed import ConvTransposeAxis
from unpool_xp._plan.windows import PoolAxis

Pair = tuple[int, int]


def ends(kept: slice, cells: slice) -> tuple[Any, ...]:
    return kept.start, kept.stop, cells.start, cells.stop, cells.step


def pool(*shape: int, **given: Any) -> windows.MaxPoolPlan:
    options = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False} | given
    return windows.plan_max_pool("max_pool", shape, **options)


def window_cells(n: int, k: int, s: int, pads: Pair, d: int, ceil: bool) -> list[list[int]]:
    """Return the cells of each window along an axis; 0 is the first real one."""
    before, after = pads
    found: list[list[int]] = []
    for start in range(-before, n + after, s):
        cells = [start + tap * d for tap in range(k)]
        fits = cells[-1] < n + after
        # One more window where a stride before it there are cells left over, if it starts before
        # the end; the first one, too.
        more = ceil and cells[-1] - s < n + after - 1 and start < n
        if fits or more:
            found.append(cells)
        if not fits:
            break
    return found


def axes_to_pool() -> Iterator[tuple[int, int, int, Pair, int]]:
    for k, d in itertools.product(range(1, 4), repeat=2):
        for pads in itertools.product(range(d * (k - 1) + 1), repeat=2):
            for n, s in itertools.product(range(1, 6), range(1, 5)):
                yield n, k, s, pads, d


def is_real(cell: int, n: int) -> bool:
    return cell in range(n)


@pytest.mark.parametrize("ceil", [False, True])
def test_windows_are_those_of_the_definition(ceil: bool) -> None:
    seen = dict.fromkeys(("planned", "too small", "without an element"), 0)
    for n, k, s, pads, d in axes_to_pool():
        options = {"stride": (s,), "padding": (pads,), "dilation": (d,), "ceil_mode": ceil}
        expected = window_cells(n, k, s, pads, d, ceil)
        if not expected:
            with fails(ValueError, f"max_pool: kernel_size=({k},) spans"):
                pool(n, kernel_size=(k,), **options)
            seen["too small"] += 1
            continue
        if any(not any(is_real(cell, n) for cell in cells) for cells in expected):
            with fails(ValueError, f"max_pool: dilation=({d},) leaves a window without a single"):
                pool(n, kernel_size=(k,), **options)
            seen["without an element"] += 1
            continue
        plan = pool(n, kernel_size=(k,), **options)
        (axis,) = plan.axes
        assert plan.plane == (n,)
        assert plan.output == (len(expected),)
        assert dataclasses.astuple(axis)[:7] == (-1, n, len(expected), k, s, d, pads)
        assert whole(*dataclasses.astuple(axis)[:6], *plan.output)
        assert whole(*axis.padding, *axis.source_before, *axis.source_after)
        check_stand_ins(axis, expected)
        check_fullness(axis, expected)
        inside = [[is_real(cells[tap], n) for cells in expected] for tap in range(k)]
        assert (axis.valid_taps == inside).all()
        assert axis.extent == d * (k - 1) + 1
        check_parts(axis, expected)
        seen["planned"] += 1
    assert min(seen.values()) > 20


def check_stand_ins(axis: PoolAxis, expected: list[list[int]]) -> None:
    """The real cell nearest to a cell of padding, of those in a window that holds it."""
    n = axis.size
    assert len(axis.source_before) == axis.padding[0]
    assert len(axis.source_after) == max(expected[-1][-1] + 1 - n, 0)
    # Cells that no window reads have one as well; nothing but an index inside is asked of it.
    assert all(is_real(cell, n) for cell in axis.source_before + axis.source_after)
    line = [*axis.source_before, *range(n), *axis.source_after]
    for cells in expected:
        real = [cell for cell in cells if is_real(cell, n)]
        for cell in cells:
            nearest = min(real, key=lambda other: abs(other - cell))
            assert line[cell + axis.padding[0]] == nearest


def check_fullness(axis: PoolAxis, expected: list[list[int]]) -> None:
    before, after = axis.padding
    for include_pad in (False, True):
        low, high = (-before, axis.size + after) if include_pad else (0, axis.size)
        is_full = all(cell in range(low, high) for cells in expected for cell in cells)
        assert axis.is_full(include_pad=include_pad) == is_full


def check_parts(axis: PoolAxis, expected: list[list[int]]) -> None:
    count, axis.arrays["of the whole"] = len(expected), None
    for first, last in {(0, 1), (0, count), (count // 2, count), (count - 1, count)}:
        cells = expected[first:last]
        start, stop, part = axis.part(first, last)
        assert start == max(cells[0][0], 0)
        assert stop == min(cells[-1][-1] + 1, axis.size)
        assert (part.origin, part.size, part.count) == (start, stop - start, last - first)
        assert (part.padding[1], part.arrays) == (axis.size + axis.padding[1] - stop, {})
        assert dataclasses.astuple(part)[3:6] == dataclasses.astuple(axis)[3:6]
        check_stand_ins(part, [[cell - start for cell in window] for window in cells])
        check_fullness(part, [[cell - start for cell in window] for window in cells])
        assert part.part(0, 1)[2].origin == start


def test_windows_of_any_size_may_leave_cells_over() -> None:
    symbolic = (False, False, True)
    for n in (6, 7):  # in ceil mode the last window starts at 3 or at 6
        options = ((3,), None, 0, 1, True)
        for plan in (
            windows.plan_max_pool("max_pool", (2, 1, n), *options, symbolic),
            windows.plan_avg_pool("avg_pool", (2, 1, n), *options, True, None, symbolic),
        ):
            assert plan.axes[0].source_after == (n - 1, n - 1)  # as many for each size
        assert len(pool(2, n, kernel_size=(3,), ceil_mode=True).axes[0].source_after) == 2 * (n - 6)


def test_a_divisor_is_any_whole_number_but_0() -> None:
    def plan(divisor: Any) -> windows.AvgPoolPlan:
        return windows.plan_avg_pool("avg_pool", (1, 1, 6), 2, None, 1, 1, False, False, divisor)

    assert plan(-3).divisor == -3
    assert plan(-3).axes == pool(1, 1, 6, kernel_size=2, padding=1).axes
    assert plan(np.int8(3)).divisor == 3
    with fails(ValueError, "avg_pool: divisor=0 must not be 0 (array of shape (1, 1, 6))"):
        plan(0)
    with fails(TypeError, "avg_pool: divisor must be an int", "got 2.0 (array of shape (1, 1, 6))"):
        plan(2.0)
    for last in (-(2**63), 2**63 - 1):
        assert plan(last).divisor == float(last)
    for beyond in (-(2**63) - 1, 2**63):
        rule = "must have at most 64 bits (array of shape (1, 1, 6))"
        with fails(ValueError, f"avg_pool: divisor={beyond} {rule}"):
            plan(beyond)


def test_long_windows_are_combined_in_pairs() -> None:
    # Of 16 elements where each is in 4 windows, else of 64.
    cases = [(15, 1, False), (16, 1, True), (16, 4, True), (16, 5, False), (63, 20, False)]
    for k, s, in_pairs in [*cases, (64, 20, True), (64, 100, True)]:
        plan = pool(200, 5, kernel_size=(k, 1), stride=(s, 1), dilation=(2, 1))
        axis = plan.axes[0]
        assert isinstance(axis, PoolAxis)
        assert axis.in_pairs is in_pairs
        assert list(axis.flat_offsets) == [2 * 5 * tap for tap in range(k)]
        assert type(axis.flat_offsets) is (range if in_pairs else tuple)
        last = (axis.count - 1) * s + 1
        slices = [slice(2 * tap, 2 * tap + last, s) for tap in range(k)]
        assert list(axis.tap_slices) == ([] if in_pairs else slices)
        assert axis.flat_extent == (200 * 5 if in_pairs else 2 * 5 * (k - 1))
        assert (plan.flat_extent, plan.window_size) == (axis.flat_extent, k)
        start, stop, part = axis.part(0, 1)
        assert part.flat_extent == (stop * 5 if in_pairs else axis.flat_extent)
        assert start == 0


def test_a_plan_of_some_windows_is_a_part() -> None:
    plan = pool(1, 1, 6, 8, kernel_size=2)
    plan.arrays["of the whole"] = None
    axes = (plan.axes[0].part(1, 2)[2], plan.axes[1])
    part = plan.part(axes)
    assert (part.output, part.plane, part.axes) == ((1, 4), (6, 8), axes)
    assert (part.is_partial, plan.is_partial, part.arrays) == (True, False, {})
    assert part.operation == plan.operation == "max_pool"
    assert windows.plan_max_pool("pool", (4,), (2,), None, 0, 1, False).operation == "pool"
    with fails(ValueError, "max_pool: kernel_size=2 is an int"):
        pool(4, kernel_size=2)


@pytest.mark.parametrize("lead", [(), (5,), (0, 2)])
def test_each_axis_has_its_own_windows(lead: tuple[int, ...]) -> None:
    plane, kernel, stride, dilation = (7, 8, 9), (3, 2, 4), (1, 3, 2), (2, 1, 2)
    padding = ((4, 1), (0, 1), (3, 6))
    for ceil in (False, True):
        options: dict[str, Any] = {"stride": stride, "dilation": dilation, "ceil_mode": ceil}
        plan = pool(*lead, *plane, kernel_size=kernel, padding=padding, **options)
        parts = [
            window_cells(n, k, s, pads, d, ceil)
            for n, k, s, pads, d in zip(plane, kernel, stride, padding, dilation, strict=True)
        ]
        assert plan.plane == plane
        assert plan.output == tuple(map(len, parts))
        assert [axis.axis for axis in plan.axes] == [-3, -2, -1]
        assert [axis.padding for axis in plan.axes] == [*padding]
        for axis, part in zip(plan.axes, parts, strict=True):
            check_stand_ins(axis, part)


def test_the_stride_is_the_kernel_unless_given() -> None:
    assert [axis.stride for axis in pool(1, 1, 9, 9, kernel_size=(2, 3)).axes] == [2, 3]
    assert [axis.stride for axis in pool(1, 1, 9, 9, kernel_size=2).axes] == [2, 2]
    assert [axis.stride for axis in pool(1, 1, 9, 9, kernel_size=2, stride=1).axes] == [1, 1]


def test_a_window_may_be_as_long_as_its_axis_with_the_padding() -> None:
    options: dict[str, Any] = {"kernel_size": (1, 4), "padding": ((0, 0), (2, 1)), "dilation": 2}
    assert pool(3, 4, **options).output == (3, 1)
    said = "kernel_size=(1, 4) spans 7 cells with dilation=2, more than the 6 of axis -1 with "
    with fails(ValueError, said, "(array of shape (3, 3))"):
        pool(3, 3, **options)
    with fails(ValueError, "kernel_size=4 spans 4 cells, more than the 3 of axis -2 with"):
        pool(1, 1, 3, 4, kernel_size=4)


@pytest.mark.parametrize("name", ["kernel_size", "stride", "dilation"])
def test_steps_are_at_least_one(name: str) -> None:
    assert pool(1, 1, 4, **{"kernel_size": 1, name: 1}).output == (4,)
    with fails(ValueError, f"max_pool: {name}=0 must be >= 1", "(array of shape (1, 1, 4))"):
        pool(1, 1, 4, **{"kernel_size": 1, name: 0})


@pytest.mark.parametrize("name", ["stride", "dilation", "padding"])
def test_the_kernel_says_the_rank(name: str) -> None:
    entry = 0 if name == "padding" else 1
    assert len(pool(2, 3, 4, **{"kernel_size": (1,), name: entry}).axes) == 1
    assert len(pool(2, 3, 4, **{"kernel_size": (1, 1), name: (entry,) * 2}).axes) == 2
    for kernel_size, length in ((1, 2), ((1,), 2), ((1, 1), 1)):
        given = {"kernel_size": kernel_size, name: (entry,) * length}
        with fails(ValueError, f"max_pool: {name}=", " must be one number or have "):
            pool(2, 3, 4, **given)


def test_what_is_no_bool_is_refused() -> None:
    with fails(TypeError, "max_pool: ceil_mode must be a bool, got 0"):
        pool(1, 1, 4, kernel_size=2, ceil_mode=0)
    with fails(TypeError, "avg_pool: count_include_pad must be a bool, got 1"):
        windows.plan_avg_pool("avg_pool", (1, 1, 4), 2, None, 0, 1, False, 1)  # type: ignore[arg-type]


def test_an_average_knows_its_divisor_where_all_windows_have_one() -> None:
    alike = windows.plan_avg_pool("avg_pool", (1, 1, 6, 4), 2, None, 0, 1, False, True)
    assert alike.divisor == 4
    single = windows.plan_avg_pool("avg_pool", (1, 1, 2, 2), 2, None, 0, 1, False, True)
    assert single.divisor == 4
    with fails(ValueError, "avg_pool: kernel_size=0 must be >= 1"):
        windows.plan_avg_pool("avg_pool", (1, 1, 4), 0, None, 0, 1, False, True)
    padded = windows.plan_avg_pool("avg_pool", (1, 1, 6, 4), 2, None, 1, 1, False, False)
    assert padded.divisor is None
    assert (padded.include_pad, alike.include_pad) == (False, True)
    counted = windows.plan_avg_pool("avg_pool", (1, 1, 6, 4), 2, None, 1, 1, False, True)
    assert counted.divisor == 4
    options = ((3, 2), (2, 1), ((1, 1), (0, 1)), (1, 1), True)
    plan = windows.plan_avg_pool("avg_pool", (4, 6, 5), *options, True)
    assert plan.axes == windows.plan_max_pool("avg_pool", (4, 6, 5), *options).axes


# --- fractional pooling --------------------------------------------------------------------------


def fractional(*shape: int, **given: Any) -> Any:
    options = {"output_size": None, "output_ratio": None} | given
    sizes = fractional_module.plan_fractional_sizes("fractional_max_pool", shape, **options)
    return sizes.kernel_size, sizes.output


def test_fractional_output_fits_its_windows() -> None:
    # At different places: as many windows as a stride of 1 has.
    for n, k, out in itertools.product(range(1, 7), repeat=3):
        given = {"kernel_size": (k,), "output_size": (out,)}
        if out <= len(window_cells(n, k, 1, (0, 0), 1, False)):
            assert fractional(2, n, **given) == ((k,), (out,))
        else:
            said = f"needs {out} windows of {k} cells at different places among {n} "
            with fails(ValueError, f"output_size=({out},) {said}(array of shape (2, {n}))"):
                fractional(2, n, **given)


def test_fractional_ratio_is_rounded_down() -> None:
    assert fractional(9, 3, kernel_size=(1, 2), output_ratio=(0.5, 0.67)) == ((1, 2), (4, 2))
    assert fractional(1, 1, 9, 2, kernel_size=1, output_ratio=0.5) == ((1, 1), (4, 1))
    assert whole(*fractional(9, kernel_size=(2,), output_ratio=0.5)[1])
    for ratio in (1, 1.0, (0.5, 1.0), (1.5, 0.5)):
        with fails(ValueError, f"output_ratio={ratio!r} must be below 1 (array of shape (1, 1, 9"):
            fractional(1, 1, 9, 9, kernel_size=1, output_ratio=ratio)
    assert fractional(1, 1, 10, 5, kernel_size=1, output_ratio=0.999)[1] == (9, 4)
    assert fractional(1, 1, 10, 5, kernel_size=1, output_ratio=0.2)[1] == (2, 1)
    with fails(ValueError, "output_ratio=0.1 leaves an empty plane (1, 0) (array of shape (1, 1,"):
        fractional(1, 1, 10, 5, kernel_size=1, output_ratio=0.1)
    with fails(ValueError, "output_ratio=0.9 needs 9 windows of 3 cells at different places among"):
        fractional(1, 1, 10, kernel_size=3, output_ratio=0.9)


def test_fractional_takes_either_size_or_ratio() -> None:
    for size, ratio in ((None, None), (2, 0.5)):
        got = f"got output_size={size} and output_ratio={ratio} (array of shape (1, 1, 4))"
        with fails(ValueError, "fractional_max_pool: give either output_size or output_ratio", got):
            fractional(1, 1, 4, kernel_size=2, output_size=size, output_ratio=ratio)
    said = "fractional_max_pool: output_ratio=-1 must be positive and finite (array of shape (1, 1,"
    with fails(ValueError, said):
        fractional(1, 1, 4, kernel_size=2, output_ratio=-1)
    with fails(
        ValueError, "fractional_max_pool: kernel_size=1", "is an int", "(array of shape (4,))"
    ):
        fractional(4, kernel_size=1, output_size=1)


def test_fractional_sizes_are_at_least_one() -> None:
    for name in ("kernel_size", "output_size"):
        given = {"kernel_size": 1, "output_size": 1}
        assert fractional(1, 1, 4, **given) == ((1,), (1,))
        with fails(ValueError, f"{name}=0 must be >= 1"):
            fractional(1, 1, 4, **(given | {name: 0}))


@pytest.mark.parametrize("given", [{"output_size": (2,)}, {"output_ratio": (0.5,)}])
def test_fractional_kernels_say_the_rank(given: dict[str, Any]) -> None:
    number = {name: value[0] for name, value in given.items()}
    assert fractional(3, 4, kernel_size=(1,), **given) == ((1,), (2,))
    assert fractional(3, 4, kernel_size=(1,), **number) == ((1,), (2,))
    for kernel_size in (1, (1, 1)):
        with fails(ValueError, "must be one number or have 2 entries", "shape (2, 3, 4, 4))"):
            fractional(2, 3, 4, 4, kernel_size=kernel_size, **given)


def test_fractional_takes_a_full_shape() -> None:
    assert fractional(2, 3, 4, 5, kernel_size=1, output_size=(2, 3, 2, 4)) == ((1, 1), (2, 4))
    with fails(ValueError, "whose leading entries must be (2, 3) (array of shape (2, 3, 4, 5))"):
        fractional(2, 3, 4, 5, kernel_size=1, output_size=(2, 2, 2, 4))


# --- from small to large -------------------------------------------------------------------------


def unpool(*shape: int, **given: Any) -> tuple[int, tuple[int, ...]]:
    options = {"kernel_size": None, "stride": None, "padding": 0, "dilation": 1}
    options |= {"output_size": None} | given
    plane = transposed.plan_max_unpool("max_unpool", shape, **options).plane
    return len(plane), plane


def reach(n: int, k: int, s: int, pads: Pair, d: int) -> int:
    """Return how many cells n windows cover, but the padding."""
    covered = {i * s + tap * d for i in range(n) for tap in range(k)}
    return max(covered) + 1 - sum(pads)


def test_unpooled_plane_is_the_smallest_that_pools_back() -> None:
    nothing_left = 0
    for n, k, s, pads, d in axes_to_pool():
        given = {"kernel_size": (k,), "stride": (s,), "padding": (pads,), "dilation": (d,)}
        size = reach(n, k, s, pads, d)
        if size < 0:
            said = f"padding=({pads},) leaves less than nothing of the output plane ({size},) "
            with fails(ValueError, "max_unpool: " + said + f"(array of shape (3, {n}))"):
                unpool(3, n, **given)
            nothing_left += 1
            continue
        assert unpool(3, n, **given) == (1, (size,))
        assert whole(*unpool(3, n, **given)[1])
        if size == 0:
            continue
        assert len(window_cells(size, k, s, pads, d, False)) == n
        assert n == 1 or len(window_cells(size - 1, k, s, pads, d, False)) == n - 1
    assert nothing_left > 20


def test_unpooled_plane_of_several_axes() -> None:
    given = {"kernel_size": (3, 2), "stride": (2, 5), "padding": ((1, 0), 1), "dilation": (1, 2)}
    assert unpool(7, 4, 3, **given) == (2, (8, 11))
    assert unpool(7, 4, 3, **given, output_size=(1, 30)) == (2, (1, 30))
    assert unpool(7, 1, 4, 3, kernel_size=2) == (2, (8, 6))
    assert unpool(7, 1, 4, 3, kernel_size=2, stride=3) == (2, (11, 8))
    assert unpool(7, 1, 4, 3, kernel_size=2, dilation=3) == (2, (10, 8))
    with fails(ValueError, "padding=(0, 2) leaves less than nothing of the output plane (8, -1)"):
        unpool(4, 1, kernel_size=(2, 3), padding=(0, 2))


def test_unpooled_plane_without_a_kernel() -> None:
    assert unpool(7, 1, 4, 3, output_size=9) == (2, (9, 9))
    assert unpool(7, 1, 4, 3, output_size=(1,)) == (1, (1,))
    with fails(ValueError, "max_unpool: kernel_size or output_size must", "shape (1, 1, 4))"):
        unpool(1, 1, 4)
    said = "kernel_size=None must be given with stride, padding or dilation (array of shape (1, 1,"
    for given in (
        *({"stride": 1}, {"stride": 2}, {"padding": 1}, {"padding": -1}, {"padding": (1,)}),
        *({"dilation": 2}, {"dilation": (2,)}),
    ):
        with fails(ValueError, said):
            unpool(1, 1, 4, output_size=8, **given)


def test_unpooled_plane_checks_what_it_is_given() -> None:
    for output_size in (None, 8):
        for name in ("kernel_size", "stride", "dilation"):
            given = {"kernel_size": 1, "output_size": output_size, name: 1}
            assert unpool(1, 1, 4, **given)[0] == 1
            with fails(ValueError, f"{name}=0 must be >= 1"):
                unpool(1, 1, 4, **(given | {name: 0}))
        options = {"kernel_size": 2, "dilation": 3, "output_size": output_size}
        assert unpool(1, 1, 4, **options, padding=3)[0] == 1
        with fails(ValueError, "padding=4 must be >= 0", "kernel dilation*(k-1)+1 = 4 (array"):
            unpool(1, 1, 4, **options, padding=4)
    for kernel_size in (None, 2):
        assert unpool(1, 1, 4, kernel_size=kernel_size, output_size=1) == (1, (1,))
        with fails(ValueError, "output_size=0 must be >= 1"):
            unpool(1, 1, 4, kernel_size=kernel_size, output_size=0)


@pytest.mark.parametrize("name", ["stride", "padding", "dilation", "output_size"])
def test_the_kernel_says_the_rank_of_unpooling(name: str) -> None:
    given = {"stride": 1, "padding": 0, "dilation": 1, "output_size": 4}
    assert unpool(3, 2, 4, **given, kernel_size=(1,)) == (1, (4,))
    given[name] = (given[name],)  # type: ignore[assignment]
    assert unpool(3, 2, 4, **given, kernel_size=(1,)) == (1, (4,))
    with fails(ValueError, f"max_unpool: {name}=", " must be one number or have 2 entries"):
        unpool(3, 2, 4, **given, kernel_size=(1, 1))


def test_a_full_shape_is_the_size_of_the_planes() -> None:
    # With a kernel or without: PyTorch's output_size=x.shape.
    for given in ({"kernel_size": 1}, {"kernel_size": (1, 1)}, {}):
        assert unpool(2, 3, 4, 5, output_size=(2, 3, 8, 9), **given) == (2, (8, 9))
        with fails(ValueError, "max_unpool: output_size=(3, 2, 8, 9) is a full shape, whose lead"):
            unpool(2, 3, 4, 5, output_size=(3, 2, 8, 9), **given)
    assert unpool(2, 3, 4, output_size=(2, 3, 8)) == (1, (8,))
    assert unpool(2, 3, 4, 5, output_size=(9, 8, 9)) == (3, (9, 8, 9))  # no full shape
    assert unpool(3, 4, output_size=(8, 9)) == (2, (8, 9))  # nothing can lead
    assert unpool(2, 3, 4, kernel_size=(1,), output_size=(2, 3, 8)) == (1, (8,))
    for length in (1, 3, 5):
        with fails(ValueError, "must be one number or have 2 entries, one for each spatial axis, "):
            unpool(2, 3, 4, 5, kernel_size=1, output_size=(9,) * length)
    with fails(ValueError, "acts on 5 axes, out of 4"):
        unpool(2, 3, 4, 5, output_size=(9,) * 5)


def test_the_windows_that_an_unpooling_undoes() -> None:
    sizes = ((3, 2), (2, 3), ((1, 0), 0), (1, 2), (7, 9))
    assert transposed.plan_max_unpool("max_unpool", (5, 3, 4), *sizes).windows == (
        ConvTransposeAxis(-2, 3, 3, 2, 1, 1, 7),
        ConvTransposeAxis(-1, 4, 2, 3, 2, 0, 9),
    )


# --- transposed convolution ----------------------------------------------------------------------


def transpose(shape: tuple[int, ...], weight: tuple[int, ...], **given: Any) -> Any:
    options = {"bias_shape": None, "stride": 1, "padding": 0, "output_padding": 0}
    options |= {"output_size": None, "groups": 1, "dilation": 1}
    return transposed.plan_conv_transpose("conv_transpose", shape, weight, **(options | given)).axes


def test_transposed_axis_holds_where_every_tap_lands() -> None:
    nothing_left = 0
    for n, k, s, pads, d in axes_to_pool():
        if n > 3:
            continue
        given = {"stride": s, "padding": (pads,), "dilation": d}
        step = max(s, d)
        for extra in range(step + 2):
            size = reach(n, k, s, pads, d) + extra
            with_padding = {"output_padding": extra, **given}
            if extra >= step:
                said = f"output_padding={extra} must be smaller than the stride or the dilation, "
                with fails(ValueError, said + f"({step},) (array of shape (1, 2, {n}))"):
                    transpose((1, 2, n), (2, 3, k), **with_padding)
            elif size < 0:
                said = f"padding=({pads},) leaves less than nothing of the output plane ({size},) "
                with fails(ValueError, said):
                    transpose((1, 2, n), (2, 3, k), **with_padding)
                nothing_left += 1
            else:
                (axis,) = transpose((1, 2, n), (2, 3, k), **with_padding)
                assert axis == ConvTransposeAxis(-1, n, k, s, d, pads[0], size)
                *sizes, landings = dataclasses.astuple(axis)
                assert whole(
                    *sizes, *[end for kept, cells in landings for end in ends(kept, cells)]
                )
                assert transpose((1, 2, n), (2, 3, k), output_size=size, **given) == (axis,)
    assert nothing_left > 20


def test_transposed_output_size_lies_within_a_step() -> None:
    for s, d in ((1, 1), (3, 1), (2, 4)):
        given: dict[str, Any] = {"stride": (1, s), "dilation": (1, d)}
        least = reach(4, 2, s, (0, 0), d)
        most = least + max(s, d) - 1
        for size in range(1, most + 3):
            asked = given | {"output_size": (3, size)}
            if least <= size <= most:
                *_, last = transpose((1, 3, 4), (1, 1, 1, 2), **asked)
                assert last.output == size
            else:
                said = f"output_size=(3, {size}) must be from (3, {least}) to (3, {most}) "
                with fails(ValueError, said + "(array of shape (1, 3, 4))"):
                    transpose((1, 3, 4), (1, 1, 1, 2), **asked)


def test_transposed_axes_are_kept_apart() -> None:
    axes = transpose(
        (5, 4, 2, 3),
        (4, 1, 3, 2),
        stride=(1, 4),
        padding=((2, 1), (0, 1)),
        output_padding=(1, 3),
        dilation=(2, 1),
    )
    assert axes == (
        ConvTransposeAxis(-2, 2, 3, 1, 2, 2, 4),
        ConvTransposeAxis(-1, 3, 2, 4, 1, 0, 12),
    )
    # No leading axes but the channels is enough.
    assert transpose((4, 2), (4, 1, 3)) == (ConvTransposeAxis(-1, 2, 3, 1, 1, 0, 4),)


@pytest.mark.parametrize(
    "weight", [(2, 3), (2,), (), (0, 3, 1), (2, 0, 1), (2, 3, 0), (2, 3, 1, 0)]
)
def test_transposed_weight_has_two_axes_of_channels(weight: tuple[int, ...]) -> None:
    said = f"weight must have the shape (Cin, Cout/groups, *kernel), got {weight}"
    with fails(ValueError, f"conv_transpose: {said}"):
        transpose((1, 2, 4, 4), weight)
    assert len(transpose((1, 2, 4), (2, 3, 1))) == 1


def test_transposed_takes_a_full_shape() -> None:
    # With the channels of the output, or of x, as PyTorch's users give the size of an input.
    for lead in ((5, 6), (5, 4)):
        (axis,) = transpose((5, 4, 3), (4, 3, 2), groups=2, stride=2, output_size=(*lead, 7))
        assert axis.output == 7
    with fails(ValueError, "whose leading entries must be (5, 4) or (5, 6) (array of shape (5, 4"):
        transpose((5, 4, 3), (4, 3, 2), groups=2, stride=2, output_size=(5, 3, 7))


def test_transposed_needs_channels() -> None:
    for shape in ((), (4,), (4, 4)):
        said = f"x of shape {shape} has no channels before the 2 spatial axes of weight of shape "
        with fails(ValueError, said + "(4, 3, 1, 1)"):
            transpose(shape, (4, 3, 1, 1))
    assert len(transpose((4, 4, 4), (4, 3, 1, 1))) == 2


def test_transposed_channels_are_those_of_the_weight() -> None:
    for channels in (3, 5):
        said = f"x of shape (9, {channels}, 7, 8) has {channels} channels, weight of shape (4, 6, 1"
        with fails(ValueError, said, ", 1) takes 4"):
            transpose((9, channels, 7, 8), (4, 6, 1, 1))


def test_transposed_groups_divide_the_channels() -> None:
    for groups in (-6, -1, 0, 1, 2, 3, 4, 5, 6, 7, 12):
        if groups in {1, 2, 3, 6}:
            assert len(transpose((1, 6, 4), (6, 1, 1), groups=groups)) == 1
        else:
            said = f"groups={groups} must divide the 6 channels of x (array of shape (1, 6, 4))"
            with fails(ValueError, said):
                transpose((1, 6, 4), (6, 1, 1), groups=groups)
    with fails(TypeError, "groups must be an int or a tuple of ints, got 1.0"):
        transpose((1, 6, 4), (6, 1, 1), groups=1.0)


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_transposed_bias_is_one_a_channel(groups: int) -> None:
    right = 5 * groups
    assert transpose((1, 6, 4), (6, 5, 1), groups=groups, bias_shape=(right,))
    for bias in ((right - 1,), (right + 1,), (), (right, 1), (5,) if groups > 1 else (1,)):
        said = f"bias must have the shape ({right},), one entry for each channel of the output, got"
        with fails(ValueError, f"conv_transpose: {said} {bias}"):
            transpose((1, 6, 4), (6, 5, 1), groups=groups, bias_shape=bias)


@pytest.mark.parametrize("name", ["stride", "padding", "dilation", "output_padding", "output_size"])
def test_transposed_tuples_have_the_rank_of_the_weight(name: str) -> None:
    entry = {"padding": 0, "output_padding": 0, "output_size": 4}.get(name, 1)
    for kind in (tuple, list):
        assert len(transpose((1, 1, 4, 4), (1, 1, 1, 1), **{name: kind((entry,) * 2)})) == 2
        for length in (1, 3):
            wrong = kind((entry,) * length)
            said = f"{name}={wrong} must be one number or have 2 entries, one for each spatial axis"
            with fails(ValueError, said):
                transpose((1, 1, 4, 4), (1, 1, 1, 1), **{name: wrong})


def test_transposed_plane_is_not_empty() -> None:
    for shape, axis in (((0, 1, 4, 0), 3), ((2, 1, 0, 4), 2), ((1, 0, 0), 1), ((2, 2, 1, 0, 0), 3)):
        with fails(ValueError, f"spatial axis {axis} is empty (array of shape {shape})"):
            transpose(shape, (1, 1, 1, 1))
    assert len(transpose((0, 1, 4, 4), (1, 1, 1, 1))) == 2


@pytest.mark.parametrize(("name", "least"), [("stride", 1), ("dilation", 1), ("output_padding", 0)])
def test_transposed_sizes_have_a_least_value(name: str, least: int) -> None:
    assert transpose((1, 1, 1), (1, 1, 1), **{name: least})[0].output == 1
    with fails(ValueError, f"{name}={least - 1} must be >= {least} on every axis"):
        transpose((1, 1, 1), (1, 1, 1), **{name: least - 1})


def test_transposed_padding_crops_whatever_there_is() -> None:
    # PyTorch sets no limit, and gives empty planes with some of its kernels.
    assert transpose((1, 1, 4), (1, 1, 1), padding=1)[0].output == 2
    assert transpose((1, 1, 4), (1, 1, 1), padding=2)[0].output == 0
    assert transpose((1, 1, 4), (1, 1, 1), padding=((4, 0),))[0].output == 0
    assert transpose((1, 1, 4), (1, 1, 1), padding=3, stride=3, output_padding=2)[0].output == 6
    with fails(ValueError, "padding=(0, 2) leaves less than nothing of the output plane (8, -2) "):
        transpose((1, 1, 4, 1), (1, 1, 2, 2), stride=2, padding=(0, 2))
    for wrong in (-1, (-1,), ((0, -1),), ((-2, 5),)):
        with fails(ValueError, f"padding={wrong!r} must be >= 0 (array of shape"):
            transpose((1, 1, 4), (1, 1, 2), padding=wrong)
    for size in (-1, 0):
        with fails(ValueError, f"output_size={size} must be "):
            transpose((1, 1, 1), (1, 1, 1), output_size=size)
    assert transpose((1, 1, 4), (1, 1, 1), padding=2, output_size=0)[0].output == 0


def test_transposed_output_size_takes_the_place_of_output_padding() -> None:
    given: dict[str, Any] = {"stride": (1, 2), "output_size": (4, 8)}
    assert [axis.output for axis in transpose((1, 4, 4), (1, 1, 1, 1), **given)] == [4, 8]
    said = "output_padding=(0, 1) excludes output_size (array of shape (1, 4, 4))"
    with fails(ValueError, said):
        transpose((1, 4, 4), (1, 1, 1, 1), output_padding=(0, 1), **given)


def test_output_padding_is_below_the_step_of_every_axis() -> None:
    given: dict[str, Any] = {"stride": (3, 1), "dilation": (1, 2)}
    axes = transpose((1, 4, 4), (1, 1, 1, 1), output_padding=(2, 1), **given)
    assert [axis.output for axis in axes] == [12, 5]
    said = "output_padding=(2, 2) must be smaller than the stride or the dilation, (3, 2) (array of"
    with fails(ValueError, said):
        transpose((1, 4, 4), (1, 1, 1, 1), output_padding=(2, 2), **given)


def test_pooling_and_transposing_agree_on_the_size() -> None:
    for n, k, s, pads, d in axes_to_pool():
        if reach(n, k, s, pads, d) >= 1:
            given = {"stride": (s,), "padding": (pads,), "dilation": (d,)}
            (axis,) = transpose((1, n), (1, 1, k), **given)
            assert unpool(1, n, kernel_size=(k,), **given) == (1, (axis.output,))


def test_a_bad_dilation_is_named_even_where_no_kernel_is_given() -> None:
    message = r"dilation=0 must be >= 1 on every axis"
    with pytest.raises(ValueError, match=message):
        transposed.plan_max_unpool("max_unpool", (1, 2, 4, 4), None, None, 0, 0, (8, 8))


@pytest.mark.parametrize("name", ["same", "same_lower"])
def test_padding_by_name_is_that_of_each_operation(name: str) -> None:
    odd = (0, 1) if name == "same" else (1, 0)
    pooled = pool(1, 1, 6, 7, kernel_size=3, stride=(2, 1), padding=name)
    assert pooled.output == (3, 7)
    assert [axis.padding for axis in pooled.axes] == [odd, (1, 1)]
    assert unpool(1, 1, 3, 4, kernel_size=3, stride=2, padding=name) == (2, (6, 8))
    assert unpool(1, 1, 3, kernel_size=3, stride=2, padding=name, output_size=5) == (1, (5,))
    for size, before in ((5, 1), (6, odd[0])):
        given = {"kernel_size": 3, "stride": 2, "padding": name, "dilation": 1}
        plan = transposed.plan_max_unpool("max_unpool", (1, 1, 3), output_size=size, **given)  # type: ignore[arg-type]
        assert plan.windows is not None
        assert plan.windows[0].before == before
    axes = transpose((1, 2, 3, 5), (2, 1, 3, 2), stride=2, padding=name)
    assert [(axis.output, axis.before) for axis in axes] == [(6, odd[0]), (10, 0)]
    (axis,) = transpose((1, 2, 3), (2, 1, 4), stride=2, padding=name, output_size=(5,))
    assert (axis.output, axis.before) == (5, 1 + odd[0])
    (axis,) = transpose((1, 2, 3), (2, 1, 4), stride=2, padding=name, output_padding=1)
    assert (axis.output, axis.before) == (6, 1 + odd[0])
    with fails(TypeError, "conv_transpose: groups must be an int", "got 2.0 (array of shape (1, 2"):
        transpose((1, 2, 3), (2, 1, 4), groups=2.0)
    said = "conv_transpose: padding=(1, -1) must be >= 0 (array of shape (1, 2, 3, 3))"
    with fails(ValueError, said):
        transpose((1, 2, 3, 3), (2, 1, 4, 4), padding=(1, -1))
    with fails(TypeError, "max_unpool: dilation must be an int", "got 2.5 (array of shape (1, 1,"):
        unpool(1, 1, 4, output_size=8, dilation=2.5)


def test_a_part_of_a_transposed_axis_has_the_shares_of_its_cells() -> None:
    def shares(axis: ConvTransposeAxis, element: int, cell: int) -> set[tuple[int, int, int]]:
        found = set()
        for tap, (elements, cells) in enumerate(axis.scatter_slices):
            places = range(cells.start, cells.stop, cells.step)
            pairs = zip(range(elements.start, elements.stop), places, strict=True)
            found |= {(tap, element + i, cell + place) for i, place in pairs}
        return found

    for k, s, d, before in itertools.product((1, 3), (1, 2), (1, 2), (0, 1)):
        axis = ConvTransposeAxis(-1, 4, k, s, d, before, 4 * s + 1)
        whole_axis = shares(axis, 0, 0)
        assert axis.count == axis.output
        cells = [cell for _, _, cell in whole_axis]
        assert max(map(cells.count, cells)) <= axis.extent <= (k - 1) * d + 1
        for first, last in itertools.combinations(range(axis.output + 1), 2):
            start, stop, part = axis.part(first, last)
            assert 0 <= start < stop <= axis.size
            assert (part.size, part.output) == (stop - start, last - first)
            wanted = {share for share in whole_axis if first <= share[2] < last}
            assert shares(part, start, first) == wanted
            elements = [element for _, element, _ in wanted]
            assert not elements or d > 1 or (start, stop) == (min(elements), max(elements) + 1)


def drawn(samples: Any, output: int = 5) -> list[list[int]]:
    sizes = [(), (16, 16), (2, 2), (output, output)]
    starts = fractional_module.draw_region_starts("fractional_max_pool", sizes, samples, None)
    return [axis.tolist() for axis in starts]


def test_regions_start_where_the_samples_say() -> None:
    # Of floor((i + u) * 14 / 4) - floor(u * 14 / 4), and the last ends with the axis.
    assert drawn([0.0, 0.5]) == [[0, 3, 7, 10, 14], [0, 4, 7, 11, 14]]
    assert drawn([0.0, 0.5], 1) == [[14], [14]]
    assert drawn([0.0, 0.5], 2) == [[0, 14], [0, 14]]
    for same in (
        [Fraction(0), Decimal("0.5")],
        np.array([0, 0.5], np.float16),
        np.array([0, 0.5], object),
    ):
        assert drawn(same) == drawn([0.0, 0.5])
    assert drawn(np.zeros(2, np.uint8)) == drawn([0, 0])


@pytest.mark.parametrize(
    "samples",
    [
        [False, False],
        [0j, 0j],
        ["0", "0.5"],
        [b"0", b"0.5"],
        np.zeros(2, "m8[s]"),
        np.zeros(2, "M8[s]"),
        np.array(["0", 0.5], object),
        [None, 0.5],
        [0.5, 0j, None],
    ],
)
def test_samples_are_real_numbers(samples: Any) -> None:
    start = "fractional_max_pool: samples must be numbers on the host: got "
    with fails(TypeError, f"{start}{samples!r}"):
        drawn(samples)


def test_masked_samples_are_refused() -> None:
    with fails(TypeError, "fractional_max_pool: samples must be a plain array, got a masked one"):
        drawn(np.ma.masked_array([0.0, 0.5]))
