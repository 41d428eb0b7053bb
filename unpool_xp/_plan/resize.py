"""Plans for resizing: sizes, and how each axis is repeated or interpolated."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from unpool_xp._plan import sampling
from unpool_xp._plan.arguments import (
    Coordinates,
    Rounding,
    Scales,
    Shape,
    Sizes,
    as_float,
    check_bool,
    check_choice,
    factors_per_axis,
    fail,
    per_axis,
    spatial_rank,
    without_lead,
)
from unpool_xp._plan.cache import PlanKey
from unpool_xp._plan.polyphase import Polyphase, find_polyphase
from unpool_xp._plan.sampling import Kernel, Nearest

if TYPE_CHECKING:
    from unpool_xp._plan.sampling import NDArray

_MAX_FACTOR = 2**31  # no plane is larger than that in bytes
_MAX_PHASES = 2**12  # each is a call; beyond that a cell is found by its neighbours


@dataclass(frozen=True)
class ResizeAxis:
    """One resized axis; `scale` is output over input as the coordinates use it."""

    axis: int  # negative: counted from the end
    size: int
    output: int
    scale: float | None  # None: output_size was given, the scale is the exact output / size

    @property
    def repeats(self) -> int | None:
        """The whole factor, where the output is that many times as long."""
        if self.scale is not None:  # without a look at sizes, which may be symbols
            return int(self.scale) if self.scale >= 1 and self.scale == int(self.scale) else None
        # Not divmod: torch.compile cannot take it of a size that is a symbol.
        copies, rest = self.output // self.size, self.output % self.size
        return None if rest else copies

    @property
    def numbers(self) -> tuple[int, int, float | None]:
        """What the functions of `sampling` start with, as plain numbers."""
        # A range has a length in plain ints, even where torch.compile takes a size for a symbol.
        return len(range(self.size)), len(range(self.output)), self.scale


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
        if max(factors) > _MAX_FACTOR:
            fail(operation, "scale_factor", scale_factor, shape, f"must be <= {_MAX_FACTOR}")
        outputs = tuple([scaled_size(n, factor) for n, factor in zip(plane, factors, strict=True)])
        if min(outputs) < 1:
            fail(operation, "scale_factor", scale_factor, shape, f"leaves an empty plane {outputs}")
    return tuple(
        ResizeAxis(i - rank, n, output, scale)
        for i, (n, output, scale) in enumerate(zip(plane, outputs, scales, strict=True))
    )


def scaled_size(size: int, factor: float) -> int:
    """Return floor(size * factor), where a product within 4 ulp of a whole number is that number.

    So 88 elements by 120/88 are 120, as in ONNX Runtime, SciPy and scikit-image.
    """
    if factor == int(factor):
        return size * int(factor)
    product = size * factor
    whole = round(product)
    return whole if abs(product - whole) <= 4 * math.ulp(product) else math.floor(product)


@dataclass(frozen=True)
class ResizeSpan(PlanKey):
    """Cells [first, last) of a resized axis, from its elements [start, stop).

    What they are made of is worked out where it is needed: it can be as long as the axis.
    """

    whole: ResizeAxis
    method: Nearest | Kernel
    first: int
    last: int
    start: int
    stop: int

    @classmethod
    def of_whole(cls, axis: ResizeAxis, method: Nearest | Kernel) -> ResizeSpan:
        """Return all cells of an axis."""
        return cls(axis, method, 0, axis.output, 0, axis.size)

    @classmethod
    def of_part(cls, axis: ResizeAxis, method: Nearest | Kernel, first: int, last: int) -> Any:
        """Return the cells [first, last), and no more elements than they need.

        Where the factor is whole, `first` and `last` must be multiples of it.
        """
        if isinstance(method, Kernel):
            return cls(
                axis,
                method,
                first,
                last,
                *sampling.tap_range(*axis.numbers, tuple(method), first, last),
            )
        start, end = (
            sampling.nearest_sources(*axis.numbers, tuple(method), cell, cell + 1).item()
            for cell in (first, last - 1)
        )
        return cls(axis, method, first, last, start, end + 1)

    def cells(self, first: int, last: int) -> tuple[int, int]:
        """Return the cells [first, last) of the span in the whole axis, as plain numbers."""
        return len(range(self.first + first)), len(range(self.first + last))


# --- nearest --------------------------------------------------------------------------------------

# Of all cells of an element; what rounds to the nearest one has no ties where a factor is whole.
_COPIES = {"asymmetric": ("floor",)} | dict.fromkeys(
    ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel"),
    ("round_prefer_floor", "round_prefer_ceil"),
)


@dataclass(frozen=True)
class NearestAxis:
    """How many copies of each element an axis gets, or which element each output cell takes."""

    axis: int  # negative: counted from the end
    output: int
    repeats: int | None
    span: ResizeSpan
    arrays: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def sources(self, first: int, last: int) -> NDArray:
        """Return the source index of each output index in [first, last)."""
        span = self.span
        known = (*span.whole.numbers, tuple(span.method))
        return sampling.nearest_sources(*known, *span.cells(first, last)) - span.start


def plan_nearest_axis(span: ResizeSpan) -> NearestAxis:
    """Plan the cells of a span."""
    axis, method = span.whole, span.method
    assert isinstance(method, Nearest)
    repeats = axis.repeats
    if repeats != 1 and method.rounding not in _COPIES.get(method.coordinates, ()):
        repeats = None
    return NearestAxis(axis.axis, span.last - span.first, repeats, span)


@dataclass(frozen=True)
class NearestPlan:
    """Plan of a nearest unpooling."""

    axes: tuple[NearestAxis, ...]

    @property
    def plane(self) -> Shape:
        """The output plane."""
        return tuple([axis.output for axis in self.axes])


def plan_nearest(
    operation: str,
    shape: Shape,
    scale_factor: Scales | None,
    output_size: Sizes | None,
    coordinates: Coordinates,
    rounding: Rounding | None,
) -> NearestPlan:
    """Plan which element each output cell takes."""
    check_choice(operation, "coordinates", coordinates, get_args(Coordinates))
    if rounding is None:  # the cell that it lies in, as PyTorch's nearest and nearest-exact
        rounding = "round_prefer_ceil" if coordinates == "half_pixel" else "floor"
    check_choice(operation, "rounding", rounding, get_args(Rounding))
    method = Nearest(coordinates, rounding)
    axes = plan_resize(operation, shape, scale_factor, output_size)
    return NearestPlan(
        tuple([plan_nearest_axis(ResizeSpan.of_whole(axis, method)) for axis in axes])
    )


# --- interpolation --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Phase:
    """Output cells a whole factor apart; each lies between two neighbouring elements."""

    shift: int  # from the number of a cell in its phase to its lower neighbour in the span
    fraction: float  # the weight of the upper neighbour; 0: the cell is the lower one


@dataclass(frozen=True)
class InterpolatedAxis:
    """The elements that each output cell of an axis is a weighted sum of."""

    axis: int  # negative: counted from the end
    size: int
    output: int
    n_taps: int  # elements for each cell
    phases: tuple[Phase, ...] | None  # where a linear factor is whole
    span: ResizeSpan
    arrays: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def weighted_taps(self, first: int, last: int) -> tuple[NDArray, NDArray]:
        """Return the source indices and the weights (taps, cells) of the cells [first, last)."""
        span = self.span
        known = (*span.whole.numbers, tuple(span.method))
        sources, weights = sampling.weighted_taps(*known, *span.cells(first, last))
        return sources - span.start, weights

    @property
    def n_phases(self) -> int:
        """How many cells have weights of their own, where each is done as a whole."""
        if self.polyphase:
            return self.polyphase.cells
        return len(self.phases) if self.phases else 1

    def elements(self, first: int, last: int) -> tuple[int, int]:
        """Return the elements [start, stop) that the cells [first, last) are made of."""
        if self.polyphase:
            return self.polyphase.elements_between(first, last, self.size)
        span = self.span
        known = (*span.whole.numbers, tuple(span.method))
        start, stop = sampling.tap_range(*known, *span.cells(first, last))
        return start - span.start, stop - span.start

    @functools.cached_property
    def polyphase(self) -> Polyphase | None:
        """The phases of the axis, where they are few and long."""
        sizes = (self.size, self.output, self.n_taps)
        return find_polyphase(*sizes, self._period, self.weighted_taps)

    @property
    def _period(self) -> tuple[int, int] | None:
        return sampling.period(*self.span.whole.numbers, self.span.method.coordinates)

    def whole_periods(self, cells: int) -> int:
        """Return at most so many cells, after which the weights repeat where they do."""
        period = self._period
        return (cells - cells % period[0] or cells) if period else cells

    def repeated_cells(self, first: int, last: int) -> tuple[int, int]:
        """Return where as many cells with the same weights start, whole periods before.

        With it, how much nearer to the start of the axis their elements are. Both are away from
        the ends.
        """
        period, start = self._period, self.span.first + first
        if period is None or (last - first) % period[0]:
            return first, 0
        cells, elements = period
        margin = -(-(self.n_taps + 2) * cells // elements)  # whose taps may lie beyond the end
        if start < margin or self.span.first + last + margin >= self.span.whole.output:
            return first, 0
        periods = (start - margin) // cells
        return first - periods * cells, periods * elements

    def matrix(self) -> NDArray:
        """Return the weights of all elements (size, output)."""
        sources, weights = self.weighted_taps(0, self.output)
        matrix = np.zeros((self.size, self.output))
        np.add.at(matrix, (sources, np.arange(self.output)), weights)
        return matrix


@dataclass(frozen=True)
class InterpolationPlan:
    """The axes along which there is something between two elements."""

    plane: Shape  # of the output
    growth: float  # output elements over input elements
    axes: tuple[InterpolatedAxis, ...]
    resize_axes: tuple[ResizeAxis, ...]  # all axes, as they were before they were planned
    kernel: Kernel

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return len(self.resize_axes)


def plan_interpolation(
    operation: str,
    shape: Shape,
    scale_factor: Scales | None,
    output_size: Sizes | None,
    coordinates: Coordinates = "asymmetric",
    antialias: bool = False,
    exclude_outside: bool | None = None,
    coefficient: float | None = None,
) -> InterpolationPlan:
    """Plan the interpolation of the spatial axes: linear, or with a coefficient cubic."""
    check_choice(operation, "coordinates", coordinates, get_args(Coordinates))
    exclude = antialias if exclude_outside is None else exclude_outside
    check_bool(operation, "antialias", antialias)
    check_bool(operation, "exclude_outside", exclude)
    if coefficient is not None or operation == "cubic_unpool":
        number = as_float(coefficient)
        if number is None:
            raise TypeError(
                f"{operation}: coefficient must be a number, got {coefficient!r} (array of shape "
                f"{shape})"
            )
        # Where torch.compile takes the default for a symbol, it is a plain number from here on.
        number = -0.75 if coefficient == -0.75 else number
        if not math.isfinite(number):
            fail(operation, "coefficient", coefficient, shape, "must be finite")
        coefficient = number
    kernel = Kernel(coordinates, coefficient, antialias, exclude)
    axes = plan_resize(operation, shape, scale_factor, output_size)
    return InterpolationPlan(
        tuple([axis.output for axis in axes]),
        math.prod([axis.output / axis.size for axis in axes]),
        tuple(
            [
                plan_interpolated_axis(ResizeSpan.of_whole(axis, kernel))
                for axis in axes
                if needs_interpolation(axis, kernel)
            ]
        ),
        axes,
        kernel,
    )


def plan_fractional_unpool(
    operation: str, shape: Shape, scale_factor: Scales | None, output_size: Sizes | None
) -> InterpolationPlan:
    """Plan the interpolation that the maxima of a fractional pooling are put into."""
    if scale_factor is None and len(shape) > 2:  # indices count in a plane, so it is no full shape
        output_size = without_lead(operation, output_size, shape, len(shape) - 2)
    return plan_interpolation(operation, shape, scale_factor, output_size)


def needs_interpolation(axis: ResizeAxis, kernel: Kernel) -> bool:
    """Return whether the output of an axis mixes neighbouring elements.

    An axis that keeps its size is copied, as PyTorch does, whatever the factor; but its bicubic
    and ONNX's cubic without antialiasing follow the factor.
    """
    follows = kernel.coefficient is not None and not kernel.antialias
    return axis.output != axis.size or (
        follows and axis.repeats != 1 and kernel.coordinates != "align_corners"
    )


def plan_interpolated_axis(span: ResizeSpan) -> InterpolatedAxis:
    """Plan the cells of a span; the size of its input is that of the span's elements."""
    axis, kernel = span.whole, span.method
    assert isinstance(kernel, Kernel)
    factor, phases = axis.repeats, None
    linear = kernel.coefficient is None and kernel.coordinates != "align_corners"
    if linear and factor is not None and factor <= _MAX_PHASES:
        half = 0.0 if kernel.coordinates == "asymmetric" else 0.5
        positions = [(r + half) / factor - half for r in range(factor)]
        shift = span.first // factor - span.start
        phases = tuple([Phase(shift + math.floor(p), p - math.floor(p)) for p in positions])
    taps = 2 if phases else sampling.tap_count(*axis.numbers, tuple(kernel))
    size, output = span.stop - span.start, span.last - span.first
    return InterpolatedAxis(axis.axis, size, output, taps, phases, span)
