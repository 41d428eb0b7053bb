"""One draw for each operation: its arrays and its options, more often at the edges than not."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

import unpool_xp as ux
from tests.fuzz.arrays import Array, made_indices
from tests.fuzz.pieces import (
    INDEX_DTYPES,
    SUMS,
    Call,
    Ints,
    a_lead,
    a_plane,
    a_rank,
    a_window,
    an_array,
    as_given,
    filled,
    padding_given,
    parameters,
    resized,
    some_pads,
    some_sizes,
)
from unpool_xp.capabilities import kind_of


def _pool(rng: Random, operation: str) -> Call:
    lead, plane = a_lead(rng), a_plane(rng, a_rank(rng))
    options, plain = a_window(rng, lead, plane)
    plain["ceil_mode"] = rng.random() < 0.35
    if plain["ceil_mode"] or rng.random() < 0.1:
        options["ceil_mode"] = plain["ceil_mode"]
    return Call(operation, (an_array(rng, lead + plane, operation),), options, plain)


def _max_pool(rng: Random) -> Call:
    return _pool(rng, "max_pool")


def _avg_pool(rng: Random) -> Call:
    call = _pool(rng, "avg_pool")
    call.plain |= {"count_include_pad": rng.random() < 0.5, "divisor": None}
    if not call.plain["count_include_pad"]:
        call.options["count_include_pad"] = False
    if "divisor" in parameters("avg_pool") and rng.random() < 0.15:
        call.options["divisor"] = call.plain["divisor"] = rng.choice((1, 2, 3, 7))
    return call


def _adaptive(rng: Random, operation: str) -> Call:
    lead, plane = a_lead(rng), a_plane(rng, a_rank(rng))
    output = tuple(
        rng.choice((1, 1, 2, 3, max(n // 2, 1), max(n - 1, 1), max(n, 1), n + 1, 2 * n + 1, 7))
        for n in plane
    )
    options = {"output_size": as_given(rng, output, alone=len(lead) == 2)}
    array = an_array(rng, lead + plane, operation)
    return Call(operation, (array,), options, {"output": output})


def _fractional_max_pool(rng: Random) -> Call:
    lead, plane = a_lead(rng), a_plane(rng, a_rank(rng))
    kernel = tuple(rng.randint(1, min(max(n, 1), 4)) for n in plane)
    output = tuple(rng.randint(1, max(n - k + 1, 1)) for n, k in zip(plane, kernel, strict=True))
    seed = rng.getrandbits(16)
    drawn = np.random.default_rng(seed).random((*lead, len(plane)))
    if rng.random() < 0.5 or 0 in lead:
        drawn = np.asarray([rng.choice((0.0, 0.5, 1 - 2**-53, rng.random())) for _ in plane])
    options: dict[str, Any] = {
        "kernel_size": as_given(rng, kernel, alone=len(lead) == 2),
        "output_size": as_given(rng, output, alone=len(lead) == 2),
        "samples": drawn.tolist(),
    }
    plain = {"kernel": kernel, "output": output, "samples": drawn.tolist()}
    array = an_array(rng, lead + plane, "fractional_max_pool")
    if rng.random() < 0.1:
        del options["output_size"]
        ratio = rng.choice((0.5, 0.7, 0.99, 1 / 3, rng.random()))
        options["output_ratio"] = ratio
        plain["output"] = tuple(resized(n, ratio) for n in plane)
        if len(lead) != 2:
            options["output_ratio"] = (ratio,) * len(plane)
    return Call("fractional_max_pool", (array,), options, plain)


def _scale(rng: Random, n: int) -> float:
    chance = rng.random()
    if chance < 0.3:
        return float(rng.choice((1, 2, 2, 3, 4)))
    if chance < 0.5:  # a size over another: the product is all but whole
        return rng.randint(1, 3 * n + 2) / max(n, 1)
    if chance < 0.6:
        whole = rng.choice((1.0, 2.0, 3.0))
        return rng.choice((math.nextafter(whole, 0), math.nextafter(whole, 9), whole - 1e-9))
    if chance < 0.85:
        return float(
            np.float32(rng.choice((0.5, 0.6, 0.8, 1.1, 1.2, 1.5, 2.5, rng.uniform(0.3, 4))))
        )
    return round(rng.uniform(0.3, 4), 2)


def _size(rng: Random, lead: Ints, plane: Ints) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the new size by a factor or by itself."""
    alone = len(lead) == 2
    if rng.random() < 0.5:
        scales = tuple(_scale(rng, n) for n in plane)
        if rng.random() < 0.4:
            scales = (scales[0],) * len(plane)
        given: Any = scales
        if alone and len(set(scales)) == 1 and rng.random() < 0.7:
            given = scales[0]
            if given.is_integer() and rng.random() < 0.5:
                given = int(given)
        output = tuple(resized(n, s) for n, s in zip(plane, scales, strict=True))
        return {"scale_factor": given}, {"scale": scales, "output": output}
    output = tuple(
        rng.choice((1, 2, 3, max(n - 1, 1), max(n, 1), n, n + 1, 2 * n, 2 * n - 1, 3 * n + 1))
        for n in plane
    )
    options = {"output_size": as_given(rng, output, alone=alone)}
    if rng.random() < 0.1 and all(lead):
        options["output_size"] = lead + output  # the full shape
    return options, {"scale": (None,) * len(plane), "output": output}


def _resize(rng: Random, operation: str, coordinates: tuple[str, ...]) -> Call:
    lead, plane = a_lead(rng), a_plane(rng, a_rank(rng))
    options, plain = _size(rng, lead, plane)
    default = parameters(operation)["coordinates"].default
    plain["coordinates"] = default
    if rng.random() < 0.8:
        plain["coordinates"] = options["coordinates"] = rng.choice(coordinates)
    return Call(operation, (an_array(rng, lead + plane, operation),), options, plain)


COORDINATES = (
    *("asymmetric", "half_pixel", "align_corners", "half_pixel_symmetric", "pytorch_half_pixel"),
)


def _nearest_unpool(rng: Random) -> Call:
    old = ("asymmetric", "half_pixel")
    call = _resize(rng, "nearest_unpool", COORDINATES if ROUNDING else old)
    half = call.plain["coordinates"] == "half_pixel"
    call.plain["rounding"] = "round_prefer_ceil" if half else "floor"  # PyTorch's nearest-exact
    if ROUNDING and rng.random() < 0.6:
        kinds = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
        call.plain["rounding"] = call.options["rounding"] = rng.choice(kinds)
    return call


ROUNDING = "rounding" in parameters("nearest_unpool")  # until it is there


def _linear_unpool(rng: Random) -> Call:
    call = _resize(rng, "linear_unpool", COORDINATES if ROUNDING else COORDINATES[:3])
    call.plain["antialias"] = False
    if "antialias" in parameters("linear_unpool") and rng.random() < 0.25:
        call.plain["antialias"] = call.options["antialias"] = True
    return call


def _cubic_unpool(rng: Random) -> Call:
    call = _resize(rng, "cubic_unpool", COORDINATES)
    call.plain |= {"antialias": False, "coefficient": -0.75, "exclude_outside": False}
    if rng.random() < 0.3:
        call.plain["coefficient"] = call.options["coefficient"] = rng.choice((-0.5, -0.75, -1.0))
    for name in ("antialias", "exclude_outside"):
        if rng.random() < 0.25:
            call.plain[name] = call.options[name] = True
    return call


def _max_unpool(rng: Random) -> Call:
    lead, plane = a_lead(rng), a_plane(rng, a_rank(rng))
    options, plain = a_window(rng, lead, plane)
    kernel, stride, pads, dilation = plain.values()
    output = tuple(
        (n - 1) * s - sum(pad) + d * (k - 1) + 1
        for n, s, pad, d, k in zip(plane, stride, pads, dilation, kernel, strict=True)
    )
    if isinstance(options.get("padding"), str):
        output = tuple(n * s for n, s in zip(plane, stride, strict=True))
    chance = rng.random()
    if chance < 0.3:
        output = tuple(max(n + rng.randint(0, 2), 0) for n in output)
        options["output_size"] = as_given(rng, output)
        if rng.random() < 0.4:
            options["output_size"] = lead + output
    elif chance < 0.5:
        output = tuple(max(n, 0) for n in output)
        size = lead + output if rng.random() < 0.5 else output
        # Without a kernel a size as long as the shape is all of it, and means the axes after two.
        shorter = len(size) < len(lead + plane) or len(lead) == 2
        options = {"output_size": size} if shorter else {"output_size": size, "kernel_size": kernel}
    plain["output"] = output
    cells = math.prod(max(n, 0) for n in output)
    fill = rng.choice(("apart", "apart", "apart", "any", "outside"))
    if math.prod(plane) > cells:
        fill = "any" if fill == "apart" else fill
    dtype = rng.choice(INDEX_DTYPES)
    if cells > np.iinfo(dtype).max:
        dtype = "int64"
    indices = made_indices(lead, plane, dtype, rng.getrandbits(16), cells, fill)
    values = an_array(rng, lead + plane, "max_unpool")
    plain["duplicates"] = "any"
    if rng.random() < 0.3 and kind_of(values.data.dtype.newbyteorder("=").name) != "b":
        plain["duplicates"] = options["duplicates"] = "sum"
        if values.data.dtype.kind in "fcV":
            values = filled(rng, lead + plane, rng.choice(("float32", "float64", "float16")), SUMS)
    if rng.random() < 0.15:
        options["check_indices"] = False
    return Call("max_unpool", (values, indices), options, plain)


def _fractional_max_unpool(rng: Random) -> Call:
    lead, plane = a_lead(rng), a_plane(rng, a_rank(rng))
    options, plain = _size(rng, lead, plane)
    values = an_array(rng, lead + plane, "fractional_max_unpool")
    if rng.random() < 0.2:
        return Call("fractional_max_unpool", (values,), options, plain)
    cells = math.prod(max(n, 0) for n in plain["output"])
    fill = rng.choice(("apart", "apart", "apart", "any", "outside"))
    if math.prod(plane) > cells:
        fill = "any" if fill == "apart" else fill
    dtype = rng.choice(INDEX_DTYPES)
    if cells > np.iinfo(dtype).max:
        dtype = "int64"
    indices = made_indices(lead, plane, dtype, rng.getrandbits(16), cells, fill)
    size = options.get("output_size", 0)
    if len(lead) != 2 and isinstance(size, tuple | list) and len(size) == len(lead + plane):
        return _fractional_max_unpool(rng)  # all of the shape, for the axes after two
    return Call("fractional_max_unpool", (values, indices), options, plain)


def _conv_transpose(rng: Random) -> Call:
    rank = a_rank(rng)
    lead = tuple(rng.choice((1, 1, 2, 3, 0)) for _ in range(rng.choice((1, 1, 1, 1, 0, 2))))
    plane = tuple(rng.choice((1, 2, 3, 4, 5, 8)[: 6 if rank < 3 else 4]) for _ in range(rank))
    groups = rng.choice((1, 1, 1, 2, 3))
    per_in, per_out = rng.choice((1, 1, 2, 3)), rng.choice((1, 1, 2, 3))
    kernel = some_sizes(rng, rank, 1, 2, 2, 3, 3, 4, 5)
    stride = some_sizes(rng, rank, 1, 1, 2, 2, 3)
    dilation = some_sizes(rng, rank, 1, 2, 3) if rng.random() < 0.25 else (1,) * rank
    extents = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    pads = some_pads(rng, extents, kernel)
    more = tuple(
        rng.randint(0, max(s, d) - 1) if rng.random() < 0.3 else 0
        for s, d in zip(stride, dilation, strict=True)
    )
    if rng.random() < 0.02:
        more = tuple(rng.randint(0, 4) for _ in more)
    # A tuple of one length decides nothing here: the weight has the rank.
    options: dict[str, Any] = {"stride": as_given(rng, stride)}
    if any(map(any, pads)):
        options["padding"] = padding_given(rng, pads)
    if any(more):
        options["output_padding"] = as_given(rng, more)
    if groups > 1:
        options["groups"] = groups
    if set(dilation) != {1}:
        options["dilation"] = as_given(rng, dilation)
    output = tuple(
        (n - 1) * s - sum(pad) + e + m
        for n, s, pad, e, m in zip(plane, stride, pads, extents, more, strict=True)
    )
    if rng.random() < 0.15 and min(output) > 0:
        options.pop("output_padding", None)
        options["output_size"] = as_given(rng, output)
    x = an_array(rng, (*lead, groups * per_in, *plane), "conv_transpose")
    dtype = x.data.dtype.newbyteorder("=").name
    arrays = [x, filled(rng, (groups * per_in, per_out, *kernel), dtype, SUMS)]
    if rng.random() < 0.4:
        arrays.append(filled(rng, (groups * per_out,), dtype, SUMS))
    plain = {"kernel": kernel, "stride": stride, "pads": pads, "dilation": dilation}
    plain |= {"output_padding": more, "groups": groups, "output": output}
    return Call("conv_transpose", tuple(arrays), options, plain)


CONVENTIONS = (
    *("torch", "onnx", "onnx_column_major", "tensorflow", "tensorflow_batch", "chainer", "matlab"),
)


def _convert_indices(rng: Random) -> Call:
    lead, plane = (rng.choice((1, 2, 3)), rng.choice((1, 2, 3))), a_plane(rng, a_rank(rng))
    plane = tuple(max(n, 1) for n in plane)
    options, plain = a_window(rng, lead, plane)
    source, target = rng.choice(CONVENTIONS), rng.choice(CONVENTIONS)
    shape = lead + plane
    try:
        pooled = ux.max_pool(make_plane(shape), **options)
        indices = ux.convert_indices(pooled.indices, "torch", source, input_shape=shape, **options)
    except (TypeError, ValueError, IndexError):
        return _convert_indices(rng)
    data = indices.astype(rng.choice(("int64", "int64", "int32", "uint64")))
    if rng.random() < 0.15:
        ends = np.iinfo(data.dtype)
        data = np.where(
            np.random.default_rng(rng.getrandbits(16)).random(data.shape) < 0.2,
            np.asarray(rng.choice((ends.min, ends.max, -1 if ends.min else ends.max)), data.dtype),
            data,
        )
    text = f"np.asarray({data.tolist()}, {data.dtype.name!r}).reshape({data.shape})"
    options |= {"source": source, "target": target, "input_shape": shape}
    plain |= {"source": source, "target": target, "shape": shape}
    return Call("convert_indices", (Array(data, text),), options, plain)


def make_plane(shape: Ints) -> np.ndarray:
    """Return different values: each index once."""
    return np.random.default_rng(math.prod(shape)).permutation(math.prod(shape)).reshape(shape)


DRAWS: dict[str, Callable[[Random], Call]] = {
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "adaptive_max_pool": lambda rng: _adaptive(rng, "adaptive_max_pool"),
    "adaptive_avg_pool": lambda rng: _adaptive(rng, "adaptive_avg_pool"),
    "fractional_max_pool": _fractional_max_pool,
    "nearest_unpool": _nearest_unpool,
    "linear_unpool": _linear_unpool,
    "cubic_unpool": _cubic_unpool,
    "max_unpool": _max_unpool,
    "fractional_max_unpool": _fractional_max_unpool,
    "conv_transpose": _conv_transpose,
    "convert_indices": _convert_indices,
}
OPERATIONS_HERE = [name for name in DRAWS if hasattr(ux, name)]
