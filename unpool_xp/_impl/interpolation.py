"""Interpolation, axis by axis: each output cell is a weighted sum of a few elements.

There are more forms than one, for what each of them wins on one core of an Intel Xeon. Sizes are
those of a decoder, float32, a factor of 2.

- A matrix product for small arrays: 3.8x on NumPy and PyTorch, (1, 16, 16, 16).
- On the CPU by phases, where weights repeat (`_write_polyphase`): on NumPy 1.7x, linear and cubic,
  over slices and elements by index, (4, 64, 56, 56), and 2x and 2.5x, an image of (540, 960).
- Whole linear factors by slices elsewhere, and on PyTorch, which blends two in one pass if these
  are finite: 2.3x or more, (4, 64, 112, 112). All other axes, and those under torch.compile, take
  their elements by index.
- Written into the output, block by block, where arrays can be written to. For gradients, JAX and
  compilers the axis is made as a whole.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from unpool_xp._array.blocks import planes_and_cells_per_block, run_blocks, sharing
from unpool_xp._array.compat import Array, cast, compute_dtype, copied
from unpool_xp._array.gather import MAX_CACHED_TAPS, sum_taps
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.numeric import (
    as_dtype,
    blend,
    blend_into,
    differences_are_finite,
    item,
    matmul,
    quietly,
)
from unpool_xp._array.views import (
    as_line,
    axis_slice,
    interleave,
    prepare_cached_array,
)
from unpool_xp._impl.fused import can_fuse_phases, fused_interpolation
from unpool_xp._plan.cache import keep
from unpool_xp._plan.polyphase import Polyphase
from unpool_xp._plan.resize import InterpolatedAxis, InterpolationPlan, Phase

# Multiplications; up to this, a matrix product with mostly zeros is fastest.
_MAX_MATMUL_SIZE = 2**23


def prepare_interpolation(
    info: InputInfo, plan: InterpolationPlan, x: Array, *, is_part: bool = False
) -> Callable[[Array], Array]:
    """Return what interpolates along the axes of a plan, into memory of its own.

    The parts of an array have the bits of the whole.
    """
    xp, dtype, wide = info.xp, x.dtype, compute_dtype(info.xp, x.dtype)
    if not plan.axes:
        return lambda x: copied(xp, x)
    multiply = None
    if not is_part and _should_multiply(info, plan, x):
        multiply = _products(info, plan, wide)
    fuses = can_fuse_phases(info, plan, x)
    in_place = info.traits.supports_setitem and 0 not in x.shape

    def interpolate(x: Array) -> Array:
        if multiply:
            x_wide = cast(xp, x, wide)
            # Of elements that are not finite only neighbours may make others.
            if math.isfinite(item(info, xp.sum(x_wide))):
                return cast(xp, multiply(x_wide), dtype)
        if fuses:
            return fused_interpolation(info, plan, x, wide)
        if in_place:
            return _interpolate_in_place(info, plan, x, wide)
        result = cast(xp, x, wide)
        # The last axis first: what is read and written twice is then still small.
        for axis in reversed(plan.axes):
            result = _interpolate_axis(info, result, axis)
        return cast(xp, result, dtype)

    return quietly(info, interpolate)


# --- by a matrix product --------------------------------------------------------------------------


def _should_multiply(info: InputInfo, plan: InterpolationPlan, x: Array) -> bool:
    """Return whether x is so small that a product with mostly zeros is fastest."""
    if not info.traits.is_eager_cpu or 0 in x.shape:
        return False
    longest = max([axis.size for axis in plan.axes])
    return bool(math.prod(x.shape) * plan.growth * longest <= _MAX_MATMUL_SIZE)


def _products(info: InputInfo, plan: InterpolationPlan, dtype: Any) -> Callable[[Array], Array]:
    """Return what multiplies an array of a dtype by the weights of each axis."""
    steps = [(axis, _matrix(info, axis, dtype)) for axis in reversed(plan.axes)]

    def multiply(x: Array) -> Array:
        for axis, weights in steps:
            if axis.axis < -2:
                x = _interpolate_axis(info, x, axis)
            elif axis.axis == -1:
                x = matmul(info, x, weights())
            else:
                x = matmul(info, weights(), x)
        return x

    return multiply


def _matrix(info: InputInfo, axis: InterpolatedAxis, dtype: Any) -> Callable[[], Array]:
    def make() -> Array:
        matrix = axis.matrix()
        matrix = matrix if axis.axis == -1 else matrix.T
        return info.xp.asarray(matrix, dtype=dtype, device=info.device)

    return prepare_cached_array(info, axis.arrays, "matrix", make, dtype)


# --- written into the output ----------------------------------------------------------------------


_LONGER = 3  # times as large are the blocks of several workers


def _interpolate_in_place(
    info: InputInfo, plan: InterpolationPlan, x: Array, wide: object
) -> Array:
    """Interpolate block by block: some planes, or of large ones some cells of the first axis."""
    xp, dtype, first_axis = info.xp, x.dtype, plan.axes[0]
    rank = -first_axis.axis  # the axes before it are as good as planes
    lead, plane = x.shape[: x.ndim - rank], plan.plane[len(plan.plane) - rank :]
    x = xp.reshape(x, (math.prod(lead), *x.shape[x.ndim - rank :]))
    output = xp.empty((x.shape[0], *plane), dtype=dtype, device=info.device)
    finite = first_axis.phases is not None and differences_are_finite(info, x)
    polyphases = {
        axis.axis: axis.polyphase
        for axis in plan.axes
        if info.traits.is_eager_cpu and not finite and axis.polyphase
    }
    unit = math.prod([polyphase.unit for polyphase in polyphases.values()])
    largest = max(math.prod(plane), math.prod(x.shape[1:]))
    # Beside the output lie products with weights, or elements that were looked up.
    between = 2 if info.traits.is_eager_cpu and not finite else 1
    block_bytes = between * largest * x.dtype.itemsize
    scope = sharing(info, x.shape[0] * largest * x.dtype.itemsize)
    if scope.workers > 1:  # fewer and longer calls, since threads wait for each other between them
        block_bytes //= _LONGER
    step, cells = planes_and_cells_per_block(
        info, x.shape[0], first_axis.output, block_bytes, scope
    )
    if cells < first_axis.output:
        cells = max(cells - cells % first_axis.n_phases, first_axis.n_phases)
    blocks = list(itertools.product(range(0, x.shape[0], step), range(0, first_axis.output, cells)))

    def interpolate_block(number: int, _: int) -> None:
        start, first = blocks[number]
        planes, last = slice(start, start + step), min(first + cells, first_axis.output)
        origin, stop = 0, first_axis.size
        if last - first < first_axis.output:
            origin, stop = first_axis.elements(first, last)
        part = cast(xp, x[planes, origin:stop, ...], wide)
        if unit > 1:
            part = part * (1 / unit)
        written = output[planes, first:last, ...]
        for axis in reversed(plan.axes):
            span = (first, last, origin) if axis is first_axis else (0, axis.output, 0)
            target = written
            if axis is not first_axis or dtype != wide:
                shape = list(part.shape)
                shape[axis.axis] = span[1] - span[0]
                target = xp.empty(tuple(shape), dtype=wide, device=info.device)
            polyphase = polyphases.get(axis.axis)
            if polyphase is None:
                _write_axis(info, part, axis, span, target, finite=finite)
            else:
                _write_polyphase(info, part, axis, polyphase, span, target)
            part = target
        if dtype != wide:
            written[...] = cast(xp, part, dtype)

    run_blocks(interpolate_block, len(blocks), 1, scope)
    return xp.reshape(output, (*lead, *plane))


def _write_axis(
    info: InputInfo,
    x: Array,
    axis: InterpolatedAxis,
    span: tuple[int, int, int],
    target: Array,
    *,
    finite: bool,
) -> None:
    """Write the cells [first, last) of an axis from its elements from `origin` on."""
    first, last, origin = span
    if axis.phases is not None:
        factor = len(axis.phases)
        for number, phase in enumerate(axis.phases):
            cells = axis_slice(axis.axis, slice(number, None, factor))
            periods = (first // factor, last // factor)
            _write_phase(info, x, axis, phase, periods, origin, target[cells], finite=finite)
        return
    step = axis.output
    if axis.output * axis.n_taps > MAX_CACHED_TAPS:
        # Few calls, and tables that stay in the cache.
        longest = max(2**14 // axis.n_taps, min(2**10, 2**18 // axis.n_taps), 1)
        step = axis.whole_periods(longest)
    for start in range(first, last, step):
        stop = min(start + step, last)
        cells = axis_slice(axis.axis, slice(start - first, stop - first))
        target[cells] = sum_taps(info, x, axis, start, stop, origin)


def _write_phase(
    info: InputInfo,
    x: Array,
    axis: InterpolatedAxis,
    phase: Phase,
    periods: tuple[int, int],
    origin: int,
    target: Array,
    *,
    finite: bool,
) -> None:
    """Write the cells [first, last) of a phase; beyond its ends the axis goes on as it ends."""
    first, last = periods
    low, high, before, after = _neighbours(x, axis, phase, first, last, origin)
    if high is None:
        target[...] = low
        return
    if before:
        ends = axis_slice(axis.axis, slice(1))
        target[ends] = x[ends]
    if after:
        ends = axis_slice(axis.axis, slice(-1, None))
        target[ends] = x[ends]
    inner = target[axis_slice(axis.axis, slice(before, last - first - after))]
    blend_into(info, low, high, phase.fraction, inner, finite=finite)


def _neighbours(
    x: Array, axis: InterpolatedAxis, phase: Phase, first: int, last: int, origin: int = 0
) -> tuple[Array, Array | None, int, int]:
    """Return the neighbours of some cells of a phase, and how many cells at the ends lack one."""
    shift = phase.shift - origin
    if not phase.fraction:
        return x[axis_slice(axis.axis, slice(first + shift, last + shift))], None, 0, 0
    before = max(-phase.shift - first, 0)
    after = max(last + phase.shift + 1 - axis.size, 0)
    start, stop = first + before + shift, last - after + shift
    low, high = (x[axis_slice(axis.axis, slice(start + i, max(stop, start) + i))] for i in range(2))
    return low, high, before, after


# --- by phases, where weights repeat --------------------------------------------------------------


class _Sums(NamedTuple):
    """What cells of an axis are sums of, as indices."""

    inner: list[tuple[Any, list[tuple[float, Any]]]]  # the cells of a phase: weights and elements
    ends: list[tuple[Any, Any]]  # cells with an element on one side alone, and that element
    right: tuple[int, int]  # the first and the end of the cells that these are


_MAX_KEPT = 64  # beside the plan of an axis: for blocks that a call like one before has, too


def _write_polyphase(
    info: InputInfo,
    x: Array,
    axis: InterpolatedAxis,
    polyphase: Polyphase,
    span: tuple[int, int, int],
    target: Array,
) -> None:
    """Write the cells [first, last) of an axis, times its unit, from its elements from `origin` on.

    `first` is a multiple of the period.
    """
    beyond, (first, last, origin) = 0, span
    source, place = x, target
    if axis.axis == -1 and (first, last) == (0, axis.size * polyphase.cells):
        # All lines as one. What mixes the end of one with the start of the next is written again.
        line, target_line = as_line(info, x), as_line(info, target)
        if line is not None and target_line is not None:
            source, place, beyond = line, target_line, line.shape[0] - axis.size
    key = ("sums", x.dtype, *span, beyond)
    sums = axis.arrays.get(key)
    if sums is None:
        sums = _find_sums(info, axis, polyphase, span, beyond, x.dtype)
        if len(axis.arrays) < _MAX_KEPT:
            keep(axis.arrays, key, sums)
    products: dict[float, Array] = {}

    def product(weight: float, elements: Any) -> Array:
        if weight == 1:
            return source[elements]
        if polyphase.elements > 1:
            return source[elements] * weight
        if weight not in products:
            products[weight] = source * weight
        return products[weight][elements]

    for cells, shares in sums.inner:
        _write_sum(info, [product(*share) for share in shares], place[cells])
    for cells, element in sums.ends:
        target[cells] = x[element] * polyphase.unit
    for start, stop in ((first, sums.right[0]), (sums.right[1], last)):
        if start < stop:  # near the ends of a cubic
            cells = axis_slice(axis.axis, slice(start - first, stop - first))
            target[cells] = sum_taps(info, x, axis, start, stop, origin) * polyphase.unit


def _find_sums(
    info: InputInfo,
    axis: InterpolatedAxis,
    polyphase: Polyphase,
    span: tuple[int, int, int],
    beyond: int,
    dtype: Any,
) -> _Sums:
    """Return what the cells [first, last) are sums of, and so many more along a line."""
    (first, last, origin), inner, ends = span, [], []

    def index(chosen: slice, start: int) -> tuple[Any, ...]:
        return axis_slice(axis.axis, slice(chosen.start - start, chosen.stop - start, chosen.step))

    for phase, taps in enumerate(polyphase.taps):
        begin, start, stop, end = polyphase.periods(phase, first, last)
        if start < stop:
            shares = []
            for offset, weight in taps:
                elements = polyphase.elements_at(offset, start, stop + beyond)
                # As the dtype has it: two phases may share a product.
                shares.append((as_dtype(info, weight, dtype), index(elements, origin)))
            inner.append((index(polyphase.cells_of(phase, start, stop + beyond), first), shares))
        if axis.n_taps > 2:
            continue
        for element, periods in ((slice(1), (begin, start)), (slice(-1, None), (stop, end))):
            if periods[0] < periods[1]:
                cells = polyphase.cells_of(phase, *periods)
                ends.append((index(cells, first), axis_slice(axis.axis, element)))
    right = polyphase.complete(first, last) if axis.n_taps > 2 else (first, last)
    return _Sums(inner, ends, right)


def _write_sum(info: InputInfo, shares: list[Array], output: Array) -> None:
    """Set `output` to the sum of the shares, added up in their order."""
    if len(shares) == 1:
        output[...] = shares[0]
        return
    total, *others = shares
    for number, share in enumerate(others[:-1]):
        total = info.xp.add(total, share, out=total) if number else total + share
    info.xp.add(total, others[-1], out=output)


# --- made as a whole ------------------------------------------------------------------------------


def _interpolate_axis(info: InputInfo, x: Array, axis: InterpolatedAxis) -> Array:
    traits = info.traits
    # Under torch.compile indexing is faster than slices, but its gradient is slower, and places are
    # those of one size.
    is_symbolic = bool(traits.symbolic_axes) and traits.symbolic_axes[axis.axis]
    by_index = traits.is_torch_compiling and not traits.requires_grad and not is_symbolic
    if axis.phases is not None and not by_index:
        return interleave(info, [_phase(info, x, axis, p) for p in axis.phases], axis.axis)
    return sum_taps(info, x, axis, 0, axis.output)


def _phase(info: InputInfo, x: Array, axis: InterpolatedAxis, phase: Phase) -> Array:
    count = axis.output // len(axis.phases or ())
    low, high, before, after = _neighbours(x, axis, phase, 0, count)
    if high is None:
        return low
    parts = [x[axis_slice(axis.axis, slice(1))]] if before else []
    if before + after < count:
        parts.append(blend(low, high, phase.fraction))
    if after:
        parts.append(x[axis_slice(axis.axis, slice(-1, None))])
    return info.xp.concat(parts, axis=axis.axis) if len(parts) > 1 else parts[0]
