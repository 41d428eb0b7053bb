"""ONNX's own backend node cases of the operators that are ours, by a small adapter.

They come with the package `onnx`, inputs and right outputs included.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.backend.test.case import node as node_cases

import unpool_xp as ux

Outputs = tuple[np.ndarray, ...]

# What the design leaves out, by the name of the case.
CROPPED = "tf_crop_and_resize crops before it resizes"
POLICY = "an aspect-ratio policy only chooses the size"
FRACTIONAL = "ONNX aligns the corners of the fractional length n * scale, PyTorch of the whole one"
LEFT_OUT = {
    "test_resize_tf_crop_and_resize": CROPPED,
    "test_resize_tf_crop_and_resize_axes_2_3": CROPPED,
    "test_resize_tf_crop_and_resize_axes_3_2": CROPPED,
    "test_resize_tf_crop_and_resize_extrapolation_value": CROPPED,
    "test_resize_upsample_sizes_nearest_not_larger": POLICY,
    "test_resize_upsample_sizes_nearest_not_smaller": POLICY,
    "test_resize_downsample_sizes_nearest_not_larger": POLICY,
    "test_resize_downsample_sizes_nearest_not_smaller": POLICY,
    "test_resize_downsample_scales_linear_align_corners": FRACTIONAL,
    "test_resize_downsample_scales_cubic_align_corners": FRACTIONAL,
}


# --- the adapter: a node's inputs and attributes to one of our calls -----------------------------


def _padding(attributes: dict[str, Any], rank: int) -> Any:
    match attributes.pop("auto_pad", "NOTSET"):
        case "SAME_UPPER":
            return "same"
        case "SAME_LOWER":
            return "same_lower"
    pads = attributes.pop("pads", [0] * 2 * rank)  # all befores, then all afters
    return tuple(zip(pads[:rank], pads[rank:], strict=True))


def _window(attributes: dict[str, Any]) -> dict[str, Any]:
    kernel = tuple(attributes.pop("kernel_shape"))
    ones = (1,) * len(kernel)
    return {
        "kernel_size": kernel,
        "stride": tuple(attributes.pop("strides", ones)),
        "padding": _padding(attributes, len(kernel)),
        "dilation": tuple(attributes.pop("dilations", ones)),
    }


def max_pool(attributes: dict[str, Any], x: np.ndarray) -> Outputs:
    convention = "onnx_column_major" if attributes.pop("storage_order", 0) else "onnx"
    ceil_mode = bool(attributes.pop("ceil_mode", 0))
    values, indices = ux.max_pool(x, **_window(attributes), ceil_mode=ceil_mode)
    return values, ux.convert_indices(indices, "torch", convention, input_shape=x.shape)


def average_pool(attributes: dict[str, Any], x: np.ndarray) -> Outputs:
    options = {name: bool(attributes.pop(name, 0)) for name in ("ceil_mode", "count_include_pad")}
    return (ux.avg_pool(x, **_window(attributes), **options),)


def global_max_pool(attributes: dict[str, Any], x: np.ndarray) -> Outputs:
    return (ux.max_pool(x, x.shape[2:]).values,)


def global_average_pool(attributes: dict[str, Any], x: np.ndarray) -> Outputs:
    return (ux.avg_pool(x, x.shape[2:]),)


def max_unpool(
    attributes: dict[str, Any], x: np.ndarray, indices: np.ndarray, size: np.ndarray | None = None
) -> Outputs:
    # The indices count in the tensor of the default size; a larger one gets zeros at the ends.
    options = _window(attributes)
    plane = ux.max_unpool(x, np.zeros_like(indices), **options, check_indices=False).shape
    torch = ux.convert_indices(indices, "onnx", "torch", input_shape=plane)
    y = ux.max_unpool(x, torch, **options)
    return (
        y if size is None else np.pad(y, [(0, s - n) for s, n in zip(size, plane, strict=True)]),
    )


def conv_transpose(attributes: dict[str, Any], x: np.ndarray, weight: np.ndarray) -> Outputs:
    rank = x.ndim - 2
    ones = (1,) * rank
    attributes.pop("kernel_shape", None)
    options = {
        "stride": tuple(attributes.pop("strides", ones)),
        "padding": _padding(attributes, rank),
        "dilation": tuple(attributes.pop("dilations", ones)),
        "groups": attributes.pop("group", 1),
        "output_padding": tuple(attributes.pop("output_padding", (0,) * rank)),
    }
    if "output_shape" in attributes:  # it wins over output_padding
        options["output_size"] = tuple(attributes.pop("output_shape"))
        del options["output_padding"]
    return (ux.conv_transpose(x, weight, **options),)


def resize(
    attributes: dict[str, Any],
    x: np.ndarray,
    roi: np.ndarray | None = None,
    scales: np.ndarray | None = None,
    sizes: np.ndarray | None = None,
) -> Outputs:
    axes = attributes.pop("axes", range(x.ndim))
    options: dict[str, Any]
    if scales is not None:
        factors = dict(zip(axes, map(float, scales), strict=True))
        options = {"scale_factor": tuple(factors.get(axis, 1.0) for axis in range(x.ndim))[2:]}
    else:
        lengths = dict(zip(axes, map(int, sizes), strict=True))
        options = {"output_size": tuple(lengths.get(i, n) for i, n in enumerate(x.shape))[2:]}
    name = "coordinate_transformation_mode"
    options["coordinates"] = attributes.pop(name, "half_pixel")
    mode = attributes.pop("mode", "nearest")
    if mode == "nearest":
        options["rounding"] = attributes.pop("nearest_mode", "round_prefer_floor")
        return (ux.nearest_unpool(x, **options),)
    for name in ("antialias", "exclude_outside"):
        options[name] = bool(attributes.pop(name, 0))
    if mode == "linear":
        return (ux.linear_unpool(x, **options),)
    options["coefficient"] = attributes.pop("cubic_coeff_a", -0.75)
    return (ux.cubic_unpool(x, **options),)


def upsample(attributes: dict[str, Any], x: np.ndarray, scales: np.ndarray) -> Outputs:
    attributes |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return resize(attributes, x, None, scales)


ADAPTERS: dict[str, Callable[..., Outputs]] = {
    "AveragePool": average_pool,
    "ConvTranspose": conv_transpose,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
    "MaxPool": max_pool,
    "MaxUnpool": max_unpool,
    "Resize": resize,
    "Upsample": upsample,
}


# --- the cases -----------------------------------------------------------------------------------


def _cases() -> Iterator[Any]:
    for operator in ADAPTERS:  # all operators' modules would take ten seconds
        importlib.import_module(f"{node_cases.__name__}.{operator.lower()}")
    for case in node_cases._NodeTestCases:
        nodes = case.model.graph.node
        if len(nodes) == 1 and nodes[0].op_type in ADAPTERS:
            out = case.name in LEFT_OUT
            marks = [pytest.mark.xfail(reason=LEFT_OUT[case.name])] if out else []
            yield pytest.param(case, id=case.name, marks=marks)


CASES = list(_cases())


def test_every_operator_has_cases_and_every_name_left_out_is_one() -> None:
    assert {p.values[0].model.graph.node[0].op_type for p in CASES} == set(ADAPTERS)
    assert set(LEFT_OUT) <= {p.id for p in CASES}


@pytest.mark.parametrize("case", CASES)
def test_a_node_case_is_right(case: Any) -> None:
    (node,) = case.model.graph.node
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    attributes = {k: v.decode() if isinstance(v, bytes) else v for k, v in attributes.items()}
    for arrays, wanted in case.data_sets:
        given = dict(zip((i.name for i in case.model.graph.input), arrays, strict=True))
        left = dict(attributes)
        got = ADAPTERS[node.op_type](left, *(given.get(name) for name in node.input))
        assert not left, "attributes that the adapter passes over"
        for one, other in zip(got, wanted, strict=False):  # MaxPool's indices are optional
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=case.rtol, atol=case.atol)
