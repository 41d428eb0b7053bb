"""Plans for nearest and linear resizing, as plain numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from unpool_xp._plan.arguments import (
    Coordinates,
    Scales,
    Shape,
    Sizes,
    factors_per_axis,
    fail,
    per_axis,
    spatial_rank,
)

# Multiplications; up to this, a matrix product with mostly zeros is fastest.
_MAX_MATMUL_SIZE = 2**23


@dataclass(frozen=True)
class ResizeAxis:
    """One resized axis; `scale` is output over input as the coordinates use it."""

    axis: int  # negative: counted from the end
    size: int
    output: int
    scale: float | None  # None: output_size was given, the scale is the exact output / size

    @property
    def repeats(self) -> int | None:
        """The whole factor, where the output is that many copies of each element."""
        # Not divmod: torch.compile cannot take it of a size that is a symbol.
        copies, rest = self.output // self.size, self.output % self.size
        return copies if not rest and self.scale in (None, copies) else None


def plan_resize(
    operation: str, shape: Shape, scale_factor: Scales | None, output_size: Sizes | None
) -> tuple[ResizeAxis, ...]:
    """Plan the size of each spatial axis from a factor or from the wanted size."""
    if (scale_factor is None) == (output_size is None):
        raise ValueError(
            f"{operation}: give either scale_factor or output_size, got scale_factor="
            f"{scale_factor!r} and output_size={output_size!r} (array of shape {shape})"
        )
    rank = spatial_rank(operation, shape, scale_factor=scale_factor, output_size=output_size)
    plane = shape[len(shape) - rank :]
    if output_size is not None:
        outputs = per_axis(operation, "output_size", output_size, rank, shape, minimum=1)
        scales: tuple[float | None, ...] = (None,) * rank
    else:
        scales = factors = factors_per_axis(operation, "scale_factor", scale_factor, rank, shape)
        outputs = tuple(math.floor(n * factor) for n, factor in zip(plane, factors, strict=True))
        if min(outputs) < 1:
            fail(operation, "scale_factor", scale_factor, shape, f"leaves an empty plane {outputs}")
    return tuple(
        ResizeAxis(i - rank, n, output, scale)
        for i, (n, output, scale) in enumerate(zip(plane, outputs, scales, strict=True))
    )


@dataclass(frozen=True)
class NearestAxis:
    """How many copies of each element an axis gets, or the source index of each output index."""

    axis: int  # negative: counted from the end
    repeats: int | None
    indices: Shape = ()  # where the factor is not whole
    arrays: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class NearestPlan:
    """Plan of a nearest unpooling."""

    axes: tuple[NearestAxis, ...]
    resize_axes: tuple[ResizeAxis, ...]  # as they were before they were planned
    coordinates: Coordinates


def plan_nearest(
    operation: str,
    shape: Shape,
    scale_factor: Scales | None,
    output_size: Sizes | None,
    coordinates: Coordinates,
) -> NearestPlan:
    """Plan which element each output cell takes."""
    axes = plan_resize(operation, shape, scale_factor, output_size)
    planned = tuple([plan_nearest_axis(axis, coordinates) for axis in axes])
    return NearestPlan(planned, axes, coordinates)


def plan_nearest_axis(
    axis: ResizeAxis,
    coordinates: Coordinates,
    first: int = 0,
    last: int | None = None,
    start: int = 0,
) -> NearestAxis:
    """Plan an axis, or its output cells [first, last) from an input that begins at `start`."""
    if axis.repeats is not None:
        return NearestAxis(axis.axis, axis.repeats)
    sources = nearest_sources(axis, coordinates, first, last)
    return NearestAxis(axis.axis, None, tuple([source - start for source in sources]))


def nearest_sources(
    axis: ResizeAxis, coordinates: Coordinates, first: int = 0, last: int | None = None
) -> Shape:
    """Return the source index of each output index: floor(o/scale), or floor((o+0.5)/scale).

    Of the output indices [first, last); of all where `last` is None.
    """
    n, output = axis.size, axis.output
    half = coordinates == "half_pixel"
    cells = range(first, output if last is None else last)
    if axis.scale is None:
        # In whole numbers, since o * (n / output) in floats can fall below the integer it is.
        return tuple((2 * o + half) * n // (2 * output) for o in cells)
    return tuple(math.floor((o + 0.5 * half) / axis.scale) for o in cells)


def linear_sources(
    axis: ResizeAxis, coordinates: Coordinates, first: int = 0, last: int | None = None
) -> tuple[Shape, Shape, tuple[float, ...]]:
    """Return for each output index its two neighbours and the weight of the upper one.

    Of the output indices [first, last); of all where `last` is None.
    """
    n, output = axis.size, axis.output
    lower, upper, weights = [], [], []
    for o in range(first, output if last is None else last):
        if coordinates == "align_corners":
            source = o * (n - 1) / max(output - 1, 1)
        else:
            half = 0.5 if coordinates == "half_pixel" else 0.0
            scaled = (o + half) * n / output if axis.scale is None else (o + half) / axis.scale
            source = max(scaled - half, 0.0)
        below = math.floor(source)
        lower.append(below)
        upper.append(min(below + 1, n - 1))
        # At the end both are the same element: halves of it stay infinite where it is infinite.
        weights.append(source - below if below < n - 1 else 0.5)
    return tuple(lower), tuple(upper), tuple(weights)


@dataclass(frozen=True)
class Phase:
    """Output cells a whole factor apart: each slice of the axis is a (start, stop)."""

    lower: tuple[tuple[int, int], ...]
    upper: tuple[tuple[int, int], ...]
    weights: tuple[float, ...]  # of the upper neighbours
    step: int  # from a cell to its lower neighbour: -1 or 0
    fraction: float  # of the upper neighbour, where both are different


@dataclass(frozen=True)
class LinearAxis:
    """The two neighbours of each output index along an axis, and the weight of the upper one."""

    axis: int  # negative: counted from the end
    size: int
    output: int
    lower: Shape
    upper: Shape
    weights: tuple[float, ...]
    phases: tuple[Phase, ...] | None  # where the neighbours are the axis itself, shifted
    extended_slices: tuple[tuple[int, int], ...]  # of the axis with one cell more at each end
    arrays: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def matrix(self) -> list[list[float]]:
        """Return the weights of all elements (size, output)."""
        rows = [[0.0] * self.output for _ in range(self.size)]
        for o, (below, above, weight) in enumerate(
            zip(self.lower, self.upper, self.weights, strict=True)
        ):
            rows[below][o] += 1 - weight
            rows[above][o] += weight
        return rows


@dataclass(frozen=True)
class LinearPlan:
    """The axes along which there is something between two elements, and the plane they make."""

    rank: int
    plane: Shape
    growth: float  # output elements over input elements
    use_matmul: bool  # whether a product with mostly zeros is the fastest
    axes: tuple[LinearAxis, ...]
    resize_axes: tuple[ResizeAxis, ...]  # all axes, as they were before they were planned
    coordinates: Coordinates


def plan_linear(
    operation: str,
    shape: Shape,
    scale_factor: Scales | None,
    output_size: Sizes | None,
    coordinates: Coordinates,
) -> LinearPlan:
    """Plan the linear interpolation of the spatial axes."""
    axes = plan_resize(operation, shape, scale_factor, output_size)
    growth = math.prod([axis.output / axis.size for axis in axes])
    mixed = [axis for axis in axes if needs_interpolation(axis, coordinates)]
    return LinearPlan(
        len(axes),
        tuple([axis.output for axis in axes]),
        growth,
        math.prod(list(shape)) * growth * max([axis.size for axis in axes]) <= _MAX_MATMUL_SIZE,
        tuple([plan_linear_axis(axis, coordinates) for axis in mixed]),
        axes,
        coordinates,
    )


def needs_interpolation(axis: ResizeAxis, coordinates: Coordinates) -> bool:
    """Return whether the output of an axis mixes neighbouring elements.

    If elements keep their positions nothing is mixed, so a NaN does not spread.
    """
    return axis.output != axis.size or (axis.repeats != 1 and coordinates != "align_corners")


def plan_linear_axis(
    axis: ResizeAxis,
    coordinates: Coordinates,
    first: int = 0,
    last: int | None = None,
) -> LinearAxis:
    """Plan the interpolation along an axis, or of its output cells [first, last) alone.

    Then the axis of the plan is what these cells need: from the first lower neighbour to the last
    upper one. Where the factor is whole, `first` and `last` must be multiples of it.
    """
    whole, last = last is None, axis.output if last is None else last
    lower, upper, weights = linear_sources(axis, coordinates, first, last)
    start, stop = (0, axis.size) if whole else (lower[0], upper[-1] + 1)
    size = stop - start
    if start:
        lower, upper = (tuple([position - start for position in side]) for side in (lower, upper))
    phases, factor, extended_slices = None, axis.repeats, ((0, size),)
    if factor is not None and coordinates != "align_corners":
        half, phase_list = 0.5 if coordinates == "half_pixel" else 0.0, []
        for r in range(factor):
            position = (r + half) / factor - half
            part = slice(r, None, factor)
            slices = _runs(lower[part]), _runs(upper[part])
            step = math.floor(position)
            phase_list.append(Phase(*slices, weights[part], step, position - step))
        phases = tuple(phase_list)
        # The neighbours of a part are there; at the ends of the axis its last element stands in.
        lead = ((0, 1),) if start == first // factor else ()
        trail = ((size - 1, size),) if stop == last // factor else ()
        extended_slices = (*lead, *extended_slices, *trail)
    return LinearAxis(axis.axis, size, last - first, lower, upper, weights, phases, extended_slices)


def _runs(index: Shape) -> tuple[tuple[int, int], ...]:
    """Return the slices that an index is made of."""
    runs = []
    first = last = index[0]
    for position in index[1:]:
        if position != last + 1:
            runs.append((first, last + 1))
            first = position
        last = position
    return (*runs, (first, last + 1))
