"""Equal to onnxruntime, wherever an operator's options and ours meet.

Where they do not meet is said at each operator, as seen with onnxruntime 1.32. Left out for all:
`auto_pad` in pooling, which is a way to write padding; more than three spatial axes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import unpool_xp as ux
from tests.support.closeness import assert_close
from tests.support.onnx_models import run
from tests.support.strategies import real_values, values

SETS = 300  # an operator and rank
RANKS = pytest.mark.parametrize("rank", [1, 2, 3])
CONVENTIONS = ("onnx", "onnx_column_major")  # storage_order 0 and 1

Rng = np.random.Generator
Ints = tuple[int, ...]
Case = tuple[tuple[np.ndarray | None, ...], dict[str, Any], dict[str, Any]]


def ints(rng: Rng, count: int, low: int, high: int) -> Ints:
    """Return ints from low to high, both included."""
    return tuple(rng.integers(low, high + 1, count).tolist())


def coin(rng: Rng) -> bool:
    return bool(rng.integers(2))


def array(rng: Rng, shape: Ints) -> np.ndarray:
    """Return values without ties, or few different ones."""
    draw = values if coin(rng) else real_values
    return draw(shape, dtype="float32", seed=int(rng.integers(2**31)))


def pads(padding: tuple[Ints, ...]) -> list[int]:
    """Return pairs as ONNX has them: all befores, then all afters."""
    return [before for before, _ in padding] + [after for _, after in padding]


def closely(got: np.ndarray, wanted: np.ndarray) -> None:
    assert_close(got, wanted)


def compare(rank: int, check: Callable[[Rng, int, dict[str, Any]], None]) -> None:
    """Run a check over all sets; on a mismatch or a refusal print the whole set."""
    for number in range(SETS):
        said: dict[str, Any] = {}  # what the check was about to run
        try:
            check(np.random.default_rng((rank, number)), rank, said)
        except Exception as error:
            told = "\n".join(f"{name} = {value!r}" for name, value in said.items())
            raise AssertionError(f"set {number} of rank {rank}\n{told}\n{error}") from error


def told(*arrays: np.ndarray | None) -> str:
    parts = (
        "None" if a is None else f"np.asarray({a.tolist()}, dtype={a.dtype.name!r})" for a in arrays
    )
    return ", ".join(parts)


# --- pooling -------------------------------------------------------------------------------------


def windows(rng: Rng, rank: int) -> tuple[Ints, dict[str, Any], dict[str, Any]]:
    """Return a shape, our options and ONNX's attributes.

    Seen: pads must be smaller than kernel_shape, where ours may reach what the dilation spans
    ("Pad should be smaller than kernel"). A window longer than the padded axis is refused or gives
    an array without elements, where ours is a ValueError. ceil_mode is no exception: with padding
    and dilation too it gave ours in every set.
    """
    kernel, stride, dilation = (ints(rng, rank, 1, 3) for _ in range(3))
    padding = tuple((int(rng.integers(k)), int(rng.integers(k))) for k in kernel)
    spans = (d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    plane = tuple(
        max(span - sum(pad), d) + int(rng.integers(6))
        for span, pad, d in zip(spans, padding, dilation, strict=True)
    )
    ceil = coin(rng)
    options = {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    attributes = {"kernel_shape": kernel, "strides": stride, "pads": pads(padding)}
    return (
        (*ints(rng, 2, 1, 2), *plane),
        options | {"ceil_mode": ceil},
        attributes | {"dilations": dilation, "ceil_mode": int(ceil)},
    )


def check_max_pool(rng: Rng, rank: int, said: dict[str, Any]) -> None:
    shape, options, attributes = windows(rng, rank)
    order = int(rng.integers(2))
    x = array(rng, shape)
    # No NaN: seen to be passed over, unless it comes first in its window, and then to stay, where
    # ours, as PyTorch's, always wins and the last one's index is kept. -inf is the same.
    if coin(rng):
        x[rng.random(shape) < 0.4] = -np.inf
    attributes["storage_order"] = order
    said.update(x=told(x), ours=options, onnx=attributes)
    pooled, (wanted, indices) = ux.max_pool(x, **options), run("MaxPool", x, **attributes)
    np.testing.assert_array_equal(pooled.values, wanted, strict=True)
    got = ux.convert_indices(pooled.indices, "torch", CONVENTIONS[order], input_shape=shape)
    np.testing.assert_array_equal(got, indices, strict=True)
    back = ux.convert_indices(indices, CONVENTIONS[order], "torch", input_shape=shape)
    np.testing.assert_array_equal(back, pooled.indices, strict=True)


@RANKS
def test_max_pool(rank: int) -> None:
    compare(rank, check_max_pool)


def check_avg_pool(rng: Rng, rank: int, said: dict[str, Any]) -> None:
    shape, options, attributes = windows(rng, rank)
    include = coin(rng)
    x = array(rng, shape)
    options["count_include_pad"], attributes["count_include_pad"] = include, int(include)
    said.update(x=told(x), ours=options, onnx=attributes)
    closely(ux.avg_pool(x, **options), run("AveragePool", x, **attributes)[0])


@RANKS
def test_avg_pool(rank: int) -> None:
    compare(rank, check_avg_pool)


# --- unpooling -----------------------------------------------------------------------------------


def check_max_unpool(rng: Rng, rank: int, said: dict[str, Any]) -> None:
    kernel, stride = ints(rng, rank, 1, 3), ints(rng, rank, 1, 3)
    padding = tuple((int(rng.integers(k)), int(rng.integers(k))) for k in kernel)
    n = tuple(1 + sum(pad) + int(rng.integers(3)) for pad in padding)
    plane = tuple(
        (m - 1) * s - sum(pad) + k for m, s, pad, k in zip(n, stride, padding, kernel, strict=True)
    )
    options: dict[str, Any] = {"kernel_size": kernel, "stride": stride, "padding": padding}
    attributes = {"kernel_shape": kernel, "strides": stride, "pads": pads(padding)}
    leading = ints(rng, 2, 1, 2)
    size = None
    # A smaller output_shape is refused, where ours takes any that holds the indices. In a larger
    # one the indices count its own cells, not those of the size without it.
    if coin(rng):
        plane = tuple(p + int(rng.integers(3)) for p in plane)
        options["output_size"], size = plane, np.asarray([*leading, *plane])
    cells, wanted = int(np.prod(plane)), int(np.prod(n))
    if wanted > cells:
        return check_max_unpool(rng, rank, said)
    # No duplicates: of these the last one is seen to stay, where ours may keep any.
    order = rng.permuted(np.tile(np.arange(cells), (int(np.prod(leading)), 1)), axis=1)
    indices = order[:, :wanted].reshape(*leading, *n)
    x = array(rng, indices.shape)
    onnx = ux.convert_indices(indices, "torch", "onnx", input_shape=(*leading, *plane))
    said.update(arrays=told(x, onnx, size), indices=told(indices), ours=options, onnx=attributes)
    outputs = run("MaxUnpool", x, onnx, size, **attributes)
    np.testing.assert_array_equal(ux.max_unpool(x, indices, **options), outputs[0], strict=True)
    return None


@RANKS
def test_max_unpool(rank: int) -> None:
    compare(rank, check_max_unpool)


def check_conv_transpose(rng: Rng, rank: int, said: dict[str, Any]) -> None:
    kernel, stride, dilation = (ints(rng, rank, 1, 3) for _ in range(3))
    spans = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    # As large as the stride output_padding is refused, where ours may reach the dilation.
    more = tuple(int(rng.integers(s)) for s in stride)
    n, (groups, inner, outer) = ints(rng, rank, 1, 4), ints(rng, 3, 1, 3)
    full = tuple(
        (m - 1) * s + span + extra for m, s, span, extra in zip(n, stride, spans, more, strict=True)
    )
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": stride, "dilations": dilation}
    attributes |= {"group": groups, "output_padding": more}
    form = str(rng.choice(["pads", "NOTSET", "SAME_UPPER", "SAME_LOWER"]))
    if form == "pads":
        padding = tuple((int(rng.integers(span)), int(rng.integers(span))) for span in spans)
        attributes["pads"] = pads(padding)
    else:
        # An output_shape is ONNX's way to write the padding: what it crops is split in two, the
        # larger half before, or after with SAME_UPPER. Where it crops more than ours may, or
        # nothing and adds, there is no padding of ours for it.
        totals = (int(rng.integers(2 * span - 1)) for span in spans)
        halves = tuple((total // 2, total - total // 2) for total in totals)
        padding = halves if form == "SAME_UPPER" else tuple((b, a) for a, b in halves)
        output = [f - sum(pad) for f, pad in zip(full, padding, strict=True)]
        attributes |= {"auto_pad": form, "output_shape": output}
    if any(f <= sum(pad) for f, pad in zip(full, padding, strict=True)):  # cropped to nothing
        return check_conv_transpose(rng, rank, said)
    shapes: list[Ints] = [(int(rng.integers(1, 3)), groups * inner, *n)]
    shapes.append((groups * inner, outer, *kernel))
    if coin(rng):
        shapes.append((groups * outer,))
    arrays = [array(rng, shape) for shape in shapes]
    options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
    options |= {"output_padding": more, "groups": groups}
    said.update(arrays=told(*arrays), ours=options, onnx=attributes)
    got = ux.conv_transpose(*arrays, **options)
    closely(got, run("ConvTranspose", *arrays, **attributes)[0])
    return None


@RANKS
def test_conv_transpose(rank: int) -> None:
    compare(rank, check_conv_transpose)


# --- Resize --------------------------------------------------------------------------------------


def check_resize(rng: Rng, rank: int, said: dict[str, Any], mode: str, coordinates: str) -> None:
    """Check Resize in the modes that are ours.

    Not ours: cubic and antialias; other coordinates (pytorch_half_pixel, half_pixel_symmetric,
    tf_crop_and_resize), nearest with align_corners; keep_aspect_ratio_policy. `nearest_mode` has
    one value for each of ours: floor(o / scale) is "floor" of the asymmetric coordinate, and
    floor((o + 0.5) / scale) that of half_pixel, which has 0.5 taken off, "round_prefer_ceil".
    """
    plane = ints(rng, rank, 1, 6)
    shape = (*ints(rng, 2, 1, 2), *plane)
    x, kind = array(rng, shape), int(rng.integers(3))
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
    if mode == "nearest":
        attributes["nearest_mode"] = "floor" if coordinates == "asymmetric" else "round_prefer_ceil"
    options: dict[str, Any]
    inputs: tuple[np.ndarray | None, ...]
    if kind == 0:
        output = ints(rng, rank, 1, 12)
        options, inputs = {"output_size": output}, (None, None, np.asarray([*shape[:2], *output]))
    else:
        real = np.maximum(1.01 / np.asarray(plane), rng.uniform(0.3, 3.5, rank))
        scales = np.asarray(ints(rng, rank, 1, 5) if kind == 1 else real, dtype=np.float32)
        # Where every axis comes out as long as it was, the input is seen to be copied, whatever
        # the scales; here they count.
        if (scales != 1).any() and (np.floor(plane * scales) == plane).all():
            return check_resize(rng, rank, said, mode, coordinates)
        options = {"scale_factor": tuple(scales.tolist())}  # the numbers that float32 holds
        inputs = (None, np.concatenate([np.ones(2, dtype=np.float32), scales]))
    options["coordinates"] = coordinates
    said.update(arrays=told(x, *inputs), ours=options, onnx=attributes)
    wanted = run("Resize", x, *inputs, **attributes)[0]
    if mode == "nearest":
        np.testing.assert_array_equal(ux.nearest_unpool(x, **options), wanted, strict=True)
    else:
        closely(ux.linear_unpool(x, **options), wanted)
    return None


@pytest.mark.parametrize("coordinates", ["asymmetric", "half_pixel"])
@RANKS
def test_nearest_unpool(rank: int, coordinates: str) -> None:
    compare(rank, lambda *set_: check_resize(*set_, "nearest", coordinates))


@pytest.mark.parametrize("coordinates", ["asymmetric", "half_pixel", "align_corners"])
@RANKS
def test_linear_unpool(rank: int, coordinates: str) -> None:
    compare(rank, lambda *set_: check_resize(*set_, "linear", coordinates))
