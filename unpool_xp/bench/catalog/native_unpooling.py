"""Native unpoolings and transposed convolution: library functions, and snippets that people write.

One more native is one more entry in `UNPOOLING_NATIVES`. The first argument of some functions here
is what the lines call the namespace: np, cp, jnp, da.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.native import (
    Lines,
    Native,
    define,
    first_reason,
    reason_unless,
    requires_batch,
    requires_exact_scale,
    requires_image_shape,
    requires_integer_scale,
    torch_native,
)
from unpool_xp.bench.catalog.gradients import may_repeat
from unpool_xp.bench.catalog.native_pooling import tap_loops, tap_slices


def _block(lines: Lines, once: Lines, case: Case) -> list[str]:
    """Return the function that does a block of a Dask array, which holds whole planes."""
    return [*once(case), *define("do_block", list(case.inputs), [*lines(case), "return y"])]


def _map_blocks(case: Case) -> list[str]:
    first, *others = case.inputs
    plane = "".join(f", ({n},)" for n in case.output_plane)
    chunks = f"(*{first}.chunks[:{-case.rank}]{plane})"
    arguments = ", ".join(["do_block", *others, f"chunks={chunks}", f"dtype={first}.dtype"])
    return [f"y = {first}.map_blocks({arguments})"]


# --- max_unpool -----------------------------------------------------------------------------------


def _output_sizes(case: Case) -> tuple[tuple[int, ...], int, int]:
    """Return the output's shape, how many planes it has, and how many cells each."""
    shape, rank = case.output_shape, case.rank
    return shape, math.prod(shape[:-rank]), math.prod(shape[-rank:])


def _set_by_plane(xp: str, statement: str, case: Case) -> list[str]:
    """Set by plane and cell, with what a library writes for ``y[cells] = values``."""
    shape, planes, cells = _output_sizes(case)
    flat = f".reshape({planes}, -1)"
    index = f"[{xp}.arange({planes})[:, None], indices{flat}]"
    return [
        f"y = {xp}.zeros(({planes}, {cells}), values.dtype)",
        statement.format(index=index, values=f"values{flat}"),
        f"y = y.reshape({shape})",
    ]


def _set_flat(case: Case) -> list[str]:
    """Set by one index into the flat output; where planes start is prepared."""
    shape, planes, cells = _output_sizes(case)
    return [
        f"y = np.zeros({planes * cells}, values.dtype)",
        f"y[(indices.reshape({planes}, -1) + first_cells).reshape(-1)] = values.reshape(-1)",
        f"y = y.reshape({shape})",
    ]


def _first_cells(case: Case) -> list[str]:
    _, planes, cells = _output_sizes(case)
    return [f"first_cells = np.arange({planes})[:, None] * {cells}"]


def _jax_set_flat(case: Case) -> list[str]:
    """Set by one index into the flat output, and promise that each is inside and alone."""
    shape, planes, cells = _output_sizes(case)
    promise = f'mode="promise_in_bounds", unique_indices={case.stride == case.kernel}'
    return [
        f"flat = indices.reshape({planes}, -1) + jnp.arange({planes})[:, None] * {cells}",
        f"y = jnp.zeros({planes * cells}, values.dtype)",
        f"y = y.at[flat.reshape(-1)].set(values.reshape(-1), {promise})",
        f"y = y.reshape({shape})",
    ]


def _put_along_axis(case: Case) -> list[str]:
    plane, n = case.output_plane, math.prod(case.plane)
    return [
        f"lead = values.shape[:{-case.rank}]",
        f"y = np.zeros((*lead, {math.prod(plane)}), values.dtype)",
        f"flat, places = values.reshape(*lead, {n}), indices.reshape(*lead, {n})",
        "np.put_along_axis(y, places, flat, axis=-1)",
        f"y = y.reshape(*lead, {', '.join(map(str, plane))})",
    ]


# --- nearest_unpool -------------------------------------------------------------------------------


def _jax_resize(options: str, case: Case) -> list[str]:
    return [f"y = jax.image.resize(x, {case.output_shape}, {options})"]


def repeat(xp: str, case: Case, *, last_first: bool = False) -> list[str]:
    """Return a call a whole factor, each of which repeats along its axis."""
    factors = [(axis - case.rank, int(factor)) for axis, factor in enumerate(case.scale)]
    if last_first:  # what is repeated element by element is smallest then
        factors.reverse()
    sources = ("x", *("y" for _ in factors[1:]))
    return [
        f"y = {xp}.repeat({source}, {factor}, axis={axis})"
        for source, (axis, factor) in zip(sources, factors, strict=True)
    ]


def _ones(case: Case) -> list[str]:
    block = (*(1 for _ in case.lead), *(int(factor) for factor in case.scale))
    return [f'ones = np.ones({block}, "{case.dtype}")']


def _broadcast(case: Case) -> list[str]:
    shape, wide = case.output_shape, case.lead
    for size, factor in zip(case.plane, case.scale, strict=True):
        wide += (size, int(factor))
    spread = ", ".join(["...", *(":, None" for _ in case.plane)])
    return [f"y = np.broadcast_to(x[{spread}], {wide}).reshape({shape})"]


# --- linear_unpool --------------------------------------------------------------------------------


def _torch_linear_options(case: Case) -> dict[str, Any]:
    mode = ("linear", "bilinear", "trilinear")[case.rank - 1]
    return {"scale_factor": case.scale, "mode": mode, "align_corners": False}


_requires_no_float16 = reason_unless(
    lambda case: case.dtype != "float16", "SciPy's ndimage has no float16"
)


def _zoom(package: str, case: Case) -> list[str]:
    """Use SciPy's spline of order 1, whose grid mode has half-pixel coordinates."""
    factors = (*(1 for _ in case.lead), *case.scale)
    options = 'order=1, mode="nearest", grid_mode=True'
    return [f"y = {package}.ndimage.zoom(x, {factors}, {options})"]


def _matrix_products(xp: str, case: Case) -> list[str]:
    """Multiply by a matrix for each axis: what an element gives to an output cell."""
    lines = ["y = x @ matrices[-1]", "y = matrices[-2].T @ y"][: case.rank]
    for axis in range(-3, -case.rank - 1, -1):
        product = f"{xp}.tensordot(y, matrices[{axis}], axes=({axis}, 0))"
        lines.append(f"y = {xp}.moveaxis({product}, -1, {axis})")
    return lines


def _matrices(xp: str, case: Case) -> list[str]:
    axes = list(zip(case.plane, case.output_plane, case.scale, strict=True))
    return [
        "def weights(n, out, factor):  # a tent over each element",
        f"    places = {xp}.clip(({xp}.arange(out) + 0.5) / factor - 0.5, 0, n - 1)",
        f"    tents = {xp}.maximum(1 - {xp}.abs(places - {xp}.arange(n)[:, None]), 0)",
        f'    return tents.astype("{case.dtype}")',
        f"matrices = [weights(n, out, factor) for n, out, factor in {axes}]",
    ]


def _slices_linear(case: Case) -> list[str]:
    """Interpolate axis by axis: cells of one phase, all at once, from two shifted slices."""
    lines, source, shape = [], "x", list(case.shape)
    for axis, factor in enumerate(case.scale, start=-case.rank):
        n, phases, tail = shape[axis], int(factor), ", :" * (-1 - axis)
        ends = f"{source}[..., :1{tail}], {source}, {source}[..., -1:{tail}]"
        shape[axis] = n * phases
        lines += [
            f"wide = np.concatenate([{ends}], axis={axis})",
            f"y = np.empty({tuple(shape)}, x.dtype)",
        ]
        for phase in range(phases):
            step = (phase + 0.5) / factor - 0.5
            start, share = math.floor(step) + 1, step - math.floor(step)
            low = f"wide[..., {start}:{start + n}{tail}]"
            high = f"wide[..., {start + 1}:{start + 1 + n}{tail}]"
            value = f"{low} + ({high} - {low}) * x.dtype.type({share})" if share else low
            lines.append(f"y[..., {phase}::{phases}{tail}] = {value}")
        source = "y"
    return lines


# --- conv_transpose -----------------------------------------------------------------------------


def _jax_convolve(case: Case) -> list[str]:
    space = "DHW"[-case.rank :]
    # Of the input that is spread out, where ours crops the output.
    sizes = zip(case.kernel, case.padding_pairs, strict=True)
    padding = [(k - 1 - p, k - 1 - p) for k, (p, _) in sizes]
    return [
        "y = jax.lax.conv_transpose(",
        f"    x, weight, strides={case.stride}, padding={padding},",
        f'    dimension_numbers=("NC{space}", "OI{space}", "NC{space}"), transpose_kernel=True,',
        '    precision="highest",',  # no TF32
        ")",
    ]


def _full_shape(case: Case) -> tuple[int, ...]:
    """Return the shape of the output before it is cropped."""
    sizes = zip(case.plane, case.kernel, case.stride, strict=True)
    return (*case.output_shape[: -case.rank], *((n - 1) * s + k for n, k, s in sizes))


def _slice_addition(xp: str, case: Case) -> list[str]:
    """Add each tap's share, of one matrix product, where it lands in the output."""
    shape, rank, (*lead, channels) = _full_shape(case), case.rank, case.lead
    columns = (*case.output_shape[:-rank], *case.kernel, *case.plane)
    pads = [p for p, _ in case.padding_pairs]
    crop = ", ".join(["...", *(f"{p}:{n - p}" for n, p in zip(shape[-rank:], pads, strict=True))])
    return [
        f"rows = weight.reshape({channels}, -1).T",
        f"columns = (rows @ x.reshape({(*lead, channels, -1)})).reshape({columns})",
        f"y = {xp}.zeros({shape}, x.dtype)",
        "for place, tap in taps:",
        "    y[place] += columns[tap]",
        *([f"y = y[{crop}]"] if any(pads) else []),
    ]


def _taps(case: Case) -> list[str]:
    taps = ", ".join(["...", *"ijklmn"[: case.rank], *(":" for _ in case.plane)])
    places = f"np.s_[{tap_slices(case, case.plane)}]"
    return [f"taps = [({places}, np.s_[{taps}]) {tap_loops(case)}]"]


UNPOOLING_NATIVES: dict[str, tuple[Native, ...]] = {
    "max_unpool": (
        torch_native(
            "max_unpool{d}d",
            first_reason(
                requires_image_shape,
                reason_unless(
                    lambda case: not case.backward or not may_repeat(case),
                    "of several values in one cell all get its gradient, not only the one there; "
                    "stride {case.stride} lets windows of {case.kernel} overlap",
                ),
            ),
        ),
        Native(
            "jax",
            "jax.Array.at[].set",
            partial(_set_by_plane, "jnp", "y = y.at{index}.set({values})"),
        ),
        Native("numpy", "numpy.put_along_axis", _put_along_axis),
        Native(
            "cupy",
            "cupy.ndarray.__setitem__",
            partial(_set_by_plane, "cp", "y{index} = {values}"),
        ),
        Native(
            "dask",
            "dask.array.map_blocks(numpy.put_along_axis)",
            _map_blocks,
            once=partial(_block, _put_along_axis, lambda case: []),
        ),
        Native("numpy", "numpy.ndarray.__setitem__, flat", _set_flat, once=_first_cells),
        Native("jax", "jax.Array.at[].set, flat", _jax_set_flat),
    ),
    "nearest_unpool": (
        torch_native(
            "interpolate",
            requires_image_shape,
            lambda case: {"scale_factor": case.scale, "mode": "nearest"},
        ),
        Native(
            "jax",
            "jax.image.resize",
            partial(_jax_resize, 'method="nearest"'),
            requires_integer_scale,
        ),
        Native("jax", "jax.numpy.repeat", partial(repeat, "jnp"), requires_integer_scale),
        Native("numpy", "numpy.repeat", partial(repeat, "np"), requires_integer_scale),
        Native(
            "numpy",
            "numpy.kron",
            lambda case: ["y = np.kron(x, ones)"],
            requires_integer_scale,
            once=_ones,
        ),
        Native("numpy", "numpy.broadcast_to", _broadcast, requires_integer_scale),
        Native("cupy", "cupy.repeat", partial(repeat, "cp"), requires_integer_scale),
        Native("dask", "dask.array.repeat", partial(repeat, "da"), requires_integer_scale),
        Native(
            "numpy",
            "numpy.repeat, last axis first",
            partial(repeat, "np", last_first=True),
            requires_integer_scale,
        ),
    ),
    "linear_unpool": (
        torch_native("interpolate", requires_batch, _torch_linear_options),
        Native(
            "jax",
            "jax.image.resize",
            partial(_jax_resize, 'method="linear", antialias=False'),
            requires_exact_scale,
        ),
        Native(
            "numpy",
            "scipy.ndimage.zoom",
            partial(_zoom, "scipy"),
            first_reason(requires_exact_scale, _requires_no_float16),
        ),
        Native(
            "numpy",
            "numpy.matmul with matrices of weights",
            partial(_matrix_products, "np"),
            once=partial(_matrices, "np"),
        ),
        Native("numpy", "numpy, strided slices", _slices_linear, requires_integer_scale),
        Native(
            "cupy", "cupyx.scipy.ndimage.zoom", partial(_zoom, "cupyx.scipy"), requires_exact_scale
        ),
        Native(
            "cupy",
            "cupy.matmul with matrices of weights",
            partial(_matrix_products, "cp"),
            once=partial(_matrices, "cp"),
        ),
        Native(
            "dask",
            "dask.array.map_blocks(numpy.matmul)",
            _map_blocks,
            once=partial(_block, partial(_matrix_products, "np"), partial(_matrices, "np")),
        ),
    ),
    # jax.image.resize has another coefficient, -0.5, and leaves out what lies beyond the ends.
    "cubic_unpool": (
        torch_native(
            "interpolate",
            reason_unless(
                lambda case: case.rank == 2 and len(case.lead) == 2,
                "shape {case.shape} is not (N, C, H, W)",
            ),
            lambda case: {"scale_factor": case.scale, "mode": "bicubic"},
        ),
    ),
    "conv_transpose": (
        torch_native("conv_transpose{d}d", requires_image_shape),
        Native("jax", "jax.lax.conv_transpose", _jax_convolve, requires_batch),
        Native(
            "numpy", "numpy.matmul + slice addition", partial(_slice_addition, "np"), once=_taps
        ),
        Native("cupy", "cupy.matmul + slice addition", partial(_slice_addition, "cp"), once=_taps),
    ),
}
