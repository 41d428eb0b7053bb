"""The plans of adaptive pooling, held to the cells that each window covers."""

from __future__ import annotations

import itertools

from tests.support.expectations import fails
from unpool_xp._plan import adaptive, windows
from unpool_xp._plan.adaptive import AdaptiveAxis


def covered(n: int, out: int) -> list[list[int]]:
    """Return the cells of each window: those that it covers, and be it in part."""
    cells = range(n)
    return [
        [p for p in cells if p * out < (i + 1) * n and (p + 1) * out > i * n] for i in range(out)
    ]


def plan(*shape: int, output_size: adaptive.OutputSizes) -> windows.MaxPoolPlan:
    return adaptive.plan_adaptive_max_pool("adaptive_max_pool", shape, output_size)


def test_windows_cover_their_part_of_the_axis() -> None:
    for n, out in itertools.product(range(1, 14), repeat=2):
        (axis,) = plan(n, 2, output_size=(out, None)).axes[:1]
        wanted = covered(n, out)
        assert axis.is_full(include_pad=True) == (len(set(map(len, wanted))) == 1)
        assert axis.kernel_size == max(map(len, wanted))
        assert (axis.axis, axis.size, axis.count, axis.output) == (-2, n, out, out)
        if not isinstance(axis, AdaptiveAxis):
            assert n % out == 0
            assert (axis.stride, axis.dilation, axis.padding) == (axis.kernel_size, 1, (0, 0))
            continue
        k = axis.kernel_size
        assert axis.repeats_first == (len(set(map(len, wanted))) == 2)
        taps = [[window[0]] * (k - len(window)) + window for window in wanted]
        assert axis.sources.reshape(k, out).T.tolist() == taps
        assert axis.is_longest.tolist() == [len(window) == k for window in wanted]
        assert axis.lengths.tolist() == list(map(len, wanted))
        assert (axis.flat_extent, axis.extent) == (2 * n, k)


def test_a_part_has_the_windows_of_the_whole() -> None:
    for n, out in [(7, 3), (13, 5), (5, 4), (4, 6)]:
        (whole,) = plan(n, output_size=(out,)).axes
        wanted, whole.arrays["of the whole"] = covered(n, out), None
        for first, last in itertools.combinations(range(out + 1), 2):
            start, stop, part = whole.part(first, last)
            assert (start, stop) == (wanted[first][0], wanted[last - 1][-1] + 1)
            assert isinstance(part, AdaptiveAxis)
            assert part.arrays == {}
            assert (part.origin, part.size, part.count) == (start, stop - start, last - first)
            assert part.lengths.tolist() == list(map(len, wanted[first:last]))
            inner_start, inner_stop, inner = part.part(0, 1)
            assert (inner_start, inner_stop) == (0, len(wanted[first]))
            assert isinstance(inner, AdaptiveAxis)
            cells = inner.sources + inner.origin
            assert set(cells.tolist()) == set(wanted[first])


def test_windows_that_divide_the_plane_are_those_of_a_pooling() -> None:
    whole = plan(1, 1, 6, 4, output_size=(3, 1))
    assert whole.is_strided
    options = (None, 0, 1, False)
    assert whole.axes == windows.plan_windows("max_pool", (1, 1, 6, 4), (2, 4), *options)
    mixed = plan(1, 1, 6, 4, output_size=3)
    assert not mixed.is_strided
    assert mixed.output == (3, 3)
    assert mixed.axes[0] == whole.axes[0]
    assert mixed.flat_extent == 4 + 4  # an offset of rows, a position in them
    means = adaptive.plan_adaptive_avg_pool("adaptive_avg_pool", (6, 5), (2, 2))
    assert means.divisor == 9  # all windows have three by three elements
    uneven = adaptive.plan_adaptive_avg_pool("adaptive_avg_pool", (5,), (3,))
    assert uneven.divisor is None
    assert uneven.include_pad is means.include_pad is True
    assert (mixed.plane, mixed.operation) == ((6, 4), "adaptive_max_pool")


def test_sizes_are_checked() -> None:
    with fails(ValueError, "output_size=(2, -1) must be >= 1 on every axis (array of shape (4, 4)"):
        plan(4, 4, output_size=(2, -1))
    with fails(ValueError, "adaptive_avg_pool: output_size=0 must be >= 1 on every axis (array of"):
        adaptive.plan_adaptive_avg_pool("adaptive_avg_pool", (1, 1, 4), 0)
    with fails(TypeError, "output_size must be an int or a tuple of ints, got 2.0 (array of shape"):
        plan(1, 1, 4, output_size=2.0)  # type: ignore[arg-type]
    with fails(ValueError, "output_size=2 is an int, which acts on every axis after the first two"):
        plan(4, 4, output_size=2)
