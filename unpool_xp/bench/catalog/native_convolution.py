"""Each library's own transposed convolution, and what people write where it has none."""

from __future__ import annotations

from functools import partial

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.native import (
    Native,
    requires_batch,
    requires_image_shape,
    torch_native,
)
from unpool_xp.bench.catalog.native_pooling import tap_loops, tap_slices


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


CONV_TRANSPOSE_NATIVES: tuple[Native, ...] = (
    torch_native("conv_transpose{d}d", requires_image_shape),
    Native("jax", "jax.lax.conv_transpose", _jax_convolve, requires_batch),
    Native("numpy", "numpy.matmul + slice addition", partial(_slice_addition, "np"), once=_taps),
    Native("cupy", "cupy.matmul + slice addition", partial(_slice_addition, "cp"), once=_taps),
)
