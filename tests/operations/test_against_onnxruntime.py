"""Equal to onnxruntime, wherever an operator's options and ours meet.

Where they do not meet is said at each operator, as seen with onnxruntime 1.32. Left out for all:
more than three spatial axes.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import unpool_xp as ux
from tests.support.closeness import assert_close
from tests.support.onnx_models import run
from tests.support.strategies import (
    BATCH,
    PoolingArguments,
    convolutions,
    poolings,
    real_values,
    resizes,
    seeds,
    values,
)
from unpool_xp import reference

many = settings(max_examples=20)  # the fuzzer draws thousands more
CONVENTIONS = ("onnx", "onnx_column_major")  # storage_order 0 and 1


def array(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Return values without ties, or few different ones."""
    return (values if seed % 2 else real_values)(shape, dtype="float32", seed=seed)


def pads(padding: tuple[tuple[int, int], ...]) -> list[int]:
    """Return pairs as ONNX has them: all befores, then all afters."""
    return [before for before, _ in padding] + [after for _, after in padding]


# --- pooling -------------------------------------------------------------------------------------


def below_the_kernel(kernel: int, extent: int) -> st.SearchStrategy[tuple[int, int]]:
    """Pads must be smaller than kernel_shape, where ours may reach what the dilation spans."""
    return st.tuples(st.integers(0, kernel - 1), st.integers(0, kernel - 1))


# A window longer than the padded axis is refused or gives an array without elements, where ours is
# a ValueError. ceil_mode is no exception: with padding and dilation too it gave ours in every set.
POOLINGS = poolings(lead=BATCH, sides=below_the_kernel)


def window(case: PoolingArguments) -> dict[str, Any]:
    return {"kernel_shape": case.kernel, "strides": case.stride, "pads": pads(case.padding)}


def pooling(case: PoolingArguments) -> dict[str, Any]:
    return window(case) | {"dilations": case.dilation, "ceil_mode": int(case.ceil_mode)}


@many
@given(case=POOLINGS, order=st.integers(0, 1), seed=seeds)
def test_max_pool(case: PoolingArguments, order: int, seed: int) -> None:
    x = array(case.shape, seed)
    # No NaN: seen to be passed over, unless it comes first in its window, and then to stay, where
    # ours, as PyTorch's, always wins and the last one's index is kept. -inf is the same.
    x[np.random.default_rng(seed).random(case.shape) < 0.2] = -np.inf
    pooled = ux.max_pool(x, **case.options)
    wanted, indices = run("MaxPool", x, **pooling(case), storage_order=order)
    np.testing.assert_array_equal(pooled.values, wanted, strict=True)
    convention, shape = CONVENTIONS[order], {"input_shape": case.shape}
    got = ux.convert_indices(pooled.indices, "torch", convention, **shape)
    np.testing.assert_array_equal(got, indices, strict=True)
    back = ux.convert_indices(indices, convention, "torch", **shape)
    np.testing.assert_array_equal(back, pooled.indices, strict=True)


SAME = {"same": "SAME_UPPER", "same_lower": "SAME_LOWER"}
same = st.sampled_from(sorted(SAME))


@many
@given(case=POOLINGS, padding=same, include=st.booleans(), seed=seeds)
def test_pools_with_as_many_windows_as_strides(
    case: PoolingArguments, padding: Any, include: bool, seed: int
) -> None:
    x = array(case.shape, seed)
    # With a dilation it is refused. Windows that leave cells between them start after some of these
    # cells, where ours start at the first one: the padding would be negative.
    sizes = zip(case.plane, case.kernel, case.stride, strict=True)
    assume(all((n - 1) // s * s + k >= n for n, k, s in sizes))
    options = {"kernel_size": case.kernel, "stride": case.stride, "padding": padding}
    attributes = {"kernel_shape": case.kernel, "strides": case.stride, "auto_pad": SAME[padding]}
    pooled = ux.max_pool(x, **options)
    wanted, indices = run("MaxPool", x, **attributes, storage_order=0)
    np.testing.assert_array_equal(pooled.values, wanted, strict=True)
    got = ux.convert_indices(pooled.indices, "torch", "onnx", input_shape=case.shape)
    np.testing.assert_array_equal(got, indices, strict=True)
    got = ux.avg_pool(x, **options, count_include_pad=include)
    assert_close(got, run("AveragePool", x, **attributes, count_include_pad=int(include))[0])
    local = ux.convert_indices(
        pooled.indices, "torch", "chainer", input_shape=case.shape, **options
    )
    assert ((local >= 0) & (local < np.prod(case.kernel))).all()


# --- unpooling -----------------------------------------------------------------------------------


@many
@given(case=POOLINGS, sized=st.booleans(), seed=seeds)
def test_max_unpool(case: PoolingArguments, sized: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rank, lead = len(case.kernel), case.shape[:2]
    # The shape of the case is that of the values here.
    plane = (np.asarray(case.plane) - 1) * case.stride + case.kernel - np.sum(case.padding, axis=1)
    assume(plane.min() > 0)
    options: dict[str, Any] = {"kernel_size": case.kernel, "stride": case.stride}
    options["padding"] = case.padding
    size = None
    # A smaller output_shape is refused, where ours takes any that holds the indices. In a larger
    # one the indices count its own cells, not those of the size without it.
    if sized:
        plane = plane + rng.integers(0, 3, rank)
        options["output_size"], size = tuple(plane.tolist()), np.asarray([*lead, *plane])
    cells, wanted = int(np.prod(plane)), int(np.prod(case.plane))
    # No duplicates: of these the last one is seen to stay, where ours may keep any.
    assume(wanted <= cells)
    order = rng.permuted(np.tile(np.arange(cells), (int(np.prod(lead)), 1)), axis=1)
    indices = order[:, :wanted].reshape(case.shape)
    x = array(case.shape, seed)
    onnx = ux.convert_indices(indices, "torch", "onnx", input_shape=(*lead, *plane.tolist()))
    outputs = run("MaxUnpool", x, onnx, size, **window(case))
    np.testing.assert_array_equal(ux.max_unpool(x, indices, **options), outputs[0], strict=True)


@many
@given(
    case=convolutions(left=1),
    form=st.sampled_from(["pads", "NOTSET", "SAME_UPPER", "SAME_LOWER"]),
    seed=seeds,
)
def test_conv_transpose(case: Any, form: str, seed: int) -> None:
    shapes, options = case
    assume(shapes[0][0])  # a batch of none is refused
    stride, dilation, plane = options["stride"], options["dilation"], shapes[0][2:]
    # As large as the stride output_padding is refused, where ours may reach the dilation.
    more = tuple(min(m, s - 1) for m, s in zip(options["output_padding"], stride, strict=True))
    full = [
        (n - 1) * s + d * (k - 1) + 1 + m
        for n, s, d, k, m in zip(plane, stride, dilation, shapes[1][2:], more, strict=True)
    ]
    attributes: dict[str, Any] = {"kernel_shape": shapes[1][2:], "strides": stride}
    attributes |= {"dilations": dilation, "group": options["groups"], "output_padding": more}
    padding = options["padding"]
    if form == "pads":
        attributes["pads"] = pads(padding)
    else:
        # An output_shape is ONNX's way to write the padding: what it crops is split in two, the
        # larger half before, or after with SAME_UPPER. Where it crops more than ours may, or
        # nothing and adds, there is no padding of ours for it.
        output = [f - sum(pad) for f, pad in zip(full, padding, strict=True)]
        halves = [(sum(pad) // 2, sum(pad) - sum(pad) // 2) for pad in padding]
        padding = tuple(pair if form == "SAME_UPPER" else pair[::-1] for pair in halves)
        attributes |= {"auto_pad": form, "output_shape": output}
    arrays = [array(shape, seed + i) for i, shape in enumerate(shapes)]
    got = ux.conv_transpose(*arrays, **options | {"padding": padding, "output_padding": more})
    assert_close(got, run("ConvTranspose", *arrays, **attributes)[0])


@many
@given(case=convolutions(), padding=same, seed=seeds)
def test_conv_transpose_to_as_many_cells_as_strides(case: Any, padding: Any, seed: int) -> None:
    shapes, options = case
    assume(shapes[0][0])
    stride, kernel = options["stride"], shapes[1][2:]
    more = tuple(min(m, s - 1) for m, s in zip(options["output_padding"], stride, strict=True))
    # Where less than a stride is written its output ends there, against the rule of the standard,
    # output_shape = input_shape * strides.
    sizes = zip(kernel, options["dilation"], stride, more, strict=True)
    assume(all((k - 1) * d + 1 + m >= s for k, d, s, m in sizes))
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": stride}
    attributes |= {"dilations": options["dilation"], "group": options["groups"]}
    attributes |= {"output_padding": more, "auto_pad": SAME[padding]}
    arrays = [array(shape, seed + i) for i, shape in enumerate(shapes)]
    got = ux.conv_transpose(*arrays, **options | {"padding": padding, "output_padding": more})
    assert got.shape[2:] == tuple(n * s for n, s in zip(shapes[0][2:], stride, strict=True))
    assert_close(got, run("ConvTranspose", *arrays, **attributes)[0])


# --- Resize --------------------------------------------------------------------------------------

ROUNDINGS = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")


def on_an_edge(n: int, scale: float | None, out: int, coordinates: str) -> bool:
    """Return whether a cell lies where float32 rounds it to either of two elements."""
    exact = Fraction(out, n) if scale is None else Fraction(scale)
    doubled = [2 * reference.resizing.position(o, n, out, exact, coordinates) for o in range(out)]
    simple = exact.denominator == 1 or exact.numerator == 1
    return not simple and any(abs(d - round(d)) < Fraction(1, 10**4) for d in doubled)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@many
@given(
    case=resizes(lead=BATCH),
    coordinates=st.sampled_from(reference.resizing.COORDINATES),
    rounding=st.sampled_from(ROUNDINGS),
    antialias=st.booleans(),
    exclude=st.booleans(),
    coefficient=st.sampled_from([-0.75, -0.5]),
    seed=seeds,
)
def test_resize(
    mode: str,
    case: Any,
    coordinates: Any,
    rounding: Any,
    antialias: bool,
    exclude: bool,
    coefficient: float,
    seed: int,
) -> None:
    """Check Resize but for tf_crop_and_resize and keep_aspect_ratio_policy, which are not ours."""
    shape, options = case
    attributes: dict[str, Any] = {
        "mode": mode,
        "coordinate_transformation_mode": coordinates,
    }
    x = array(shape, seed)
    plane, scales = shape[2:], None
    if "output_size" in options:
        inputs = [None, None, np.asarray([*shape[:2], *options["output_size"]])]
        outputs = options["output_size"]
    else:
        given_scales = np.asarray([1, 1, *options["scale_factor"]], dtype=np.float32)
        # Aligned corners of the fractional length n * scale, here of the whole one.
        outputs = tuple(np.floor(shape * given_scales).astype(int)[2:].tolist())
        assume(coordinates != "align_corners" or (shape * given_scales)[2:].tolist() == [*outputs])
        # Where every axis comes out as long as it was the input is seen to be copied.
        assume((given_scales == 1).all() or outputs != plane or mode == "linear")
        scales = tuple(given_scales[2:].tolist())  # the numbers that float32 holds
        options, inputs = {"scale_factor": scales}, [None, given_scales]
    options |= {"coordinates": coordinates}
    if mode == "nearest":
        axes = zip(plane, scales or (None,) * len(plane), outputs, strict=True)
        assume(not any(on_an_edge(*axis, coordinates) for axis in axes))
        wanted = run("Resize", x, *inputs, **attributes, nearest_mode=rounding)[0]
        got = ux.nearest_unpool(x, **options, rounding=rounding)
        np.testing.assert_array_equal(got, wanted, strict=True)
        return
    assume(len(plane) < 3)  # onnxruntime has no more axes for cubic and antialiased
    attributes |= {"antialias": int(antialias), "exclude_outside": int(exclude)}
    options |= {"antialias": antialias, "exclude_outside": exclude}
    # A linear axis that keeps its size is copied; onnxruntime copies it if all axes do.
    kept = any(n == m and s != 1 for n, m, s in zip(plane, outputs, scales or plane, strict=True))
    if mode == "linear":
        assume(antialias or not (scales and kept and outputs != plane))
        # It refuses exclude_outside where nothing is antialiased, since nothing is outside.
        attributes["exclude_outside"] *= antialias
        assert_close(ux.linear_unpool(x, **options), run("Resize", x, *inputs, **attributes)[0])
        return
    assume(len(plane) == 2)
    attributes["cubic_coeff_a"] = coefficient
    got = ux.cubic_unpool(x, **options, coefficient=coefficient)
    assert_close(got, run("Resize", x, *inputs, **attributes)[0])
