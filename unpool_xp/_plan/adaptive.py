"""Plans for adaptive pooling: windows that split an axis into a wanted number of parts."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from unpool_xp._plan.arguments import Shape, per_axis, spatial_rank
from unpool_xp._plan.windows import (
    AvgPoolPlan,
    MaxPoolPlan,
    plan_means,
    plan_windows,
)

if TYPE_CHECKING:
    import numpy.typing as npt

OutputSizes: TypeAlias = int | Sequence[int | None]


@dataclass(frozen=True)
class AdaptiveAxis:
    """Windows of an axis that their number does not divide: window i is [i*n//o, ceil((i+1)*n/o)).

    All have `kernel_size` taps and end with the last one. A window that is one element shorter
    than the longest ones meets its first element twice.
    """

    axis: int  # negative: counted from the end
    whole: tuple[int, int]  # n and o: input and output cells of the whole axis
    size: int  # input cells of this part
    first: int  # of the windows in this part
    count: int
    flat_stride: int  # from an element to the next one along the axis, in row-major order
    origin: int = 0  # first cell in the whole axis, if this is a part of it
    arrays: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    in_pairs: ClassVar[bool] = True  # as for windows of many taps
    source_before: ClassVar[Shape] = ()  # there is no padding
    source_after: ClassVar[Shape] = ()

    @property
    def output(self) -> int:
        """The cells of the output, one for each window."""
        return self.count

    @property
    def kernel_size(self) -> int:
        """The length of the longest window of the whole axis."""
        # Window i of length ceil((i*n % o + n) / o); i*n % o takes all multiples of gcd(n, o).
        n, o = self.whole
        return (o - math.gcd(n, o) + n - 1) // o + 1

    @property
    def extent(self) -> int:
        """The cells that the longest window spans."""
        return self.kernel_size

    @property
    def flat_extent(self) -> int:
        """A bound of the positions along the axis, in row-major order."""
        return (self.origin + self.size) * self.flat_stride

    @property
    def repeats_first(self) -> bool:
        """Whether there are windows that meet their first element twice."""
        n, o = self.whole
        return n % o != math.gcd(n, o)

    @property
    def is_longest(self) -> npt.NDArray[np.bool_]:
        """For each window, whether it meets its first element once."""
        starts, stops = _window_bounds(*self.whole, self.first, self.count)
        longest: npt.NDArray[np.bool_] = stops - starts == self.kernel_size
        return longest

    @property
    def sources(self) -> npt.NDArray[np.int64]:
        """For each tap and window, the cell of this part that it reads, shape (taps * windows,)."""
        starts, stops = _window_bounds(*self.whole, self.first, self.count)
        taps = np.arange(-self.kernel_size, 0)[:, None] + stops
        sources: npt.NDArray[np.int64] = np.maximum(taps, starts).reshape(-1) - self.origin
        return sources

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """How many elements each window has."""
        starts, stops = _window_bounds(*self.whole, self.first, self.count)
        return stops - starts

    def is_full(self, *, include_pad: bool) -> bool:
        """Return whether all windows have as many elements; there is no padding."""
        return not self.repeats_first

    def part(self, first: int, last: int) -> tuple[int, int, AdaptiveAxis]:
        """Return the input cells [start, stop) that the windows [first, last) need, and those."""
        n, o = self.whole
        start = (self.first + first) * n // o - self.origin
        stop = -(-(self.first + last) * n // o) - self.origin
        windows = replace(
            self,
            size=stop - start,
            first=self.first + first,
            count=last - first,
            origin=self.origin + start,
            arrays={},
        )
        return start, stop, windows


def _window_bounds(
    size: int, output: int, first: int, count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return where `count` of the windows start and stop in the whole axis."""
    windows = np.arange(first, first + count, dtype=np.int64)
    return windows * size // output, -(-(windows + 1) * size // output)


# While torch.compile traces, the bounds are found once and kept, not traced.
_window_bounds._dynamo_marked_constant = True  # type: ignore[attr-defined]


def plan_adaptive_max_pool(operation: str, shape: Shape, output_size: OutputSizes) -> MaxPoolPlan:
    """Plan the windows of an adaptive pooling: those of `max_pool` where they divide the plane."""
    rank = spatial_rank(operation, shape, output_size=output_size)
    plane = shape[len(shape) - rank :]
    wanted: Any = output_size
    if isinstance(output_size, tuple | list):
        wanted = tuple([plane[i] if n is None else n for i, n in enumerate(output_size)])
    outputs = per_axis(operation, "output_size", wanted, rank, shape, minimum=1)
    # A range has a length in plain ints, even where torch.compile takes a size for a symbol.
    numbers = [len(range(n)) for n in plane]
    kernels = tuple([max(n, 1) for n in map(operator.floordiv, numbers, outputs)])
    strided = plan_windows(operation, shape, kernels, None, 0, 1, False)
    axes = tuple(
        [
            AdaptiveAxis(windows.axis, (n, out), n, 0, out, windows.flat_stride)
            if n % out
            else windows
            for n, out, windows in zip(numbers, outputs, strided, strict=True)
        ]
    )
    return MaxPoolPlan(plane, outputs, axes, is_strided=axes == strided, operation=operation)


def plan_adaptive_avg_pool(operation: str, shape: Shape, output_size: OutputSizes) -> AvgPoolPlan:
    """Plan an adaptive average pooling."""
    axes = plan_adaptive_max_pool(operation, shape, output_size).axes
    return plan_means(axes, include_pad=True)
