"""PyTorch's and onnxruntime's own functions: what they make of a call, where they have the like.

None stands for a call that they have no counterpart of, with the reason in a comment.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 -- its name everywhere

from tests.fuzz.libraries import Outcome, from_torch, outcome, to_torch
from tests.fuzz.pieces import Call
from tests.support.onnx_models import run as run_onnx
from unpool_xp import reference

_FLOATS = ("float32", "float64")
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def _lead(call: Call, rank: int) -> int:
    return call.data[0].ndim - rank


def _before(pads: Any) -> tuple[int, ...]:
    return tuple(before for before, _ in pads)


def _symmetric(pads: Any) -> bool:
    return all(before == after for before, after in pads)


# --- PyTorch -------------------------------------------------------------------------------------


def _torch_window(call: Call) -> tuple[int, dict[str, Any]] | None:
    """Its padding has one width for both sides, at most half of the kernel."""
    p = call.plain
    rank = len(p["kernel"])
    if _lead(call, rank) not in (1, 2) or not _symmetric(p["pads"]):
        return None
    if any(before > k // 2 for (before, _), k in zip(p["pads"], p["kernel"], strict=True)):
        return None
    options = {"kernel_size": p["kernel"], "stride": p["stride"], "padding": _before(p["pads"])}
    return rank, options | {"ceil_mode": p["ceil_mode"]}


def _torch_max_pool(call: Call, x: torch.Tensor) -> Any:
    window = _torch_window(call)
    if window is None or call.dtype not in (
        *_FLOATS,
        "float16",
        "bfloat16",
        "int64",
        "int32",
        "uint8",
    ):
        return None
    rank, options = window
    function = getattr(F, f"max_pool{rank}d")
    return lambda: function(x, **options, dilation=call.plain["dilation"], return_indices=True)


def _torch_avg_pool(call: Call, x: torch.Tensor) -> Any:
    window = _torch_window(call)
    if window is None or set(call.plain["dilation"]) != {1}:  # it has none
        return None
    if call.dtype not in _FLOATS:
        return None
    rank, options = window
    options["count_include_pad"] = call.plain["count_include_pad"]
    if rank > 1:
        options["divisor_override"] = call.plain["divisor"]
    elif call.plain["divisor"]:
        return None
    if rank == 3 and any(n < k for n, k in zip(x.shape[-3:], options["kernel_size"], strict=True)):
        return None  # refused, with padding too
    return lambda: getattr(F, f"avg_pool{rank}d")(x, **options)


def _torch_adaptive(call: Call, x: torch.Tensor) -> Any:
    output = call.plain["output"]
    if _lead(call, len(output)) not in (1, 2) or call.dtype not in _FLOATS:
        return None
    name = call.operation.replace("_pool", f"_pool{len(output)}d")
    more = {"return_indices": True} if "max" in name else {}
    return lambda: getattr(F, name)(x, output, **more)


def _torch_fractional_max_pool(call: Call, x: torch.Tensor) -> Any:
    p = call.plain
    rank = len(p["kernel"])
    if not all(p["output"]):
        return None
    if rank == 1 or _lead(call, rank) != 2 or call.dtype != "float64":  # float32 rounds the starts
        return None
    # In three dimensions it wants one cell more than its regions need.
    sizes = zip(x.shape[2:], p["kernel"], p["output"], strict=True)
    if rank == 3 and any(n - k < o for n, k, o in sizes):
        return None
    samples = np.broadcast_to(p["samples"], (*x.shape[:2], rank))
    samples = np.flip(samples, -1) if rank == 2 else samples  # last axis first, in two alone
    function = getattr(F, f"fractional_max_pool{rank}d_with_indices")
    drawn = torch.tensor(samples.copy())
    return lambda: function(x, p["kernel"], p["output"], _random_samples=drawn)


def _torch_resize(call: Call, x: torch.Tensor) -> Any:
    p = call.plain
    rank = len(p["output"])
    if _lead(call, rank) != 2:
        return None
    options: dict[str, Any] = {"size": p["output"]}
    if p["scale"][0] is not None:
        options = {"scale_factor": p["scale"]}
    key = (call.operation, p["coordinates"])
    if call.operation == "nearest_unpool":
        modes = {
            ("asymmetric", "floor"): "nearest",
            ("half_pixel", "round_prefer_ceil"): "nearest-exact",
        }
        options["mode"] = modes.get((p["coordinates"], p["rounding"]))
        if options["mode"] is None or call.dtype not in (*_FLOATS, "uint8"):
            return None
    else:
        modes = _LINEAR if call.operation == "linear_unpool" else {2: "bicubic"}
        if rank not in modes or key[1] not in ("half_pixel", "align_corners"):
            return None
        options |= {"mode": modes[rank], "align_corners": key[1] == "align_corners"}
        if call.dtype not in _FLOATS:
            return None
        if p["antialias"]:
            # Of planes alone, and its cubic then has another coefficient.
            if rank != 2 or p.get("coefficient", -0.5) != -0.5:
                return None
            options["antialias"] = True
        elif p.get("coefficient", -0.75) != -0.75 or p.get("exclude_outside"):
            return None
    return lambda: F.interpolate(x, **options)


def _torch_max_unpool(call: Call, x: torch.Tensor, indices: torch.Tensor) -> Any:
    p = call.plain
    rank = len(p["output"])
    if _lead(call, rank) not in (1, 2) or call.dtype not in _FLOATS or p["duplicates"] == "sum":
        return None
    if call.options.get("check_indices") is False:
        return None
    size, wide = p["output"], indices.long()
    if rank == 3:
        ones, zeros = (1, 1, 1), (0, 0, 0)
        return lambda: torch._C._nn.max_unpool3d(x, wide, size, ones, zeros)
    if rank == 2:
        return lambda: torch._C._nn.max_unpool2d(x, wide, size)
    flat = [tensor.unsqueeze(-2) for tensor in (x, wide)]
    return lambda: torch._C._nn.max_unpool2d(*flat, (1, *size)).squeeze(-2)


def _torch_conv_transpose(call: Call, *arrays: torch.Tensor) -> Any:
    p = call.plain
    rank = len(p["kernel"])
    lead = _lead(call, rank) - 1
    if lead not in (0, 1) or call.dtype not in _FLOATS or not _symmetric(p["pads"]):
        return None
    names = ("stride", "output_padding", "groups", "dilation")
    options = {name: p[name] for name in names} | {"padding": _before(p["pads"])}
    return lambda: getattr(F, f"conv_transpose{rank}d")(*arrays, **options)


_TORCH = {
    "max_pool": _torch_max_pool,
    "avg_pool": _torch_avg_pool,
    "adaptive_max_pool": _torch_adaptive,
    "adaptive_avg_pool": _torch_adaptive,
    "fractional_max_pool": _torch_fractional_max_pool,
    "nearest_unpool": _torch_resize,
    "linear_unpool": _torch_resize,
    "cubic_unpool": _torch_resize,
    "max_unpool": _torch_max_unpool,
    "conv_transpose": _torch_conv_transpose,
}


def run_torch(call: Call) -> Outcome | None:
    """Return what torch.nn.functional makes of the call."""
    if call.operation not in _TORCH or any(
        array.dtype.name in ("uint16", "uint32", "uint64") or not array.dtype.isnative
        for array in call.data
    ):
        return None
    if not all(call.data[0].shape[1:]):  # without channels most are refused
        return None
    native = _TORCH[call.operation](call, *map(to_torch, call.data))
    return None if native is None else outcome(native, from_torch)


# --- onnxruntime ---------------------------------------------------------------------------------


def _onnx_pads(pads: Any) -> list[int]:
    return [before for before, _ in pads] + [after for _, after in pads]


def _onnx_pool(call: Call, x: np.ndarray) -> Any:
    p = call.plain
    if call.dtype != "float32" or p.get("divisor"):
        return None
    # Its pads are smaller than kernel_shape; a window longer than the padded axis is refused, or
    # comes out without elements.
    for n, k, d, pad in zip(x.shape[2:], p["kernel"], p["dilation"], p["pads"], strict=True):
        if max(pad) >= k or n + sum(pad) < d * (k - 1) + 1:
            return None
    attributes = {"kernel_shape": p["kernel"], "strides": p["stride"], "dilations": p["dilation"]}
    attributes |= {"pads": _onnx_pads(p["pads"]), "ceil_mode": int(p["ceil_mode"])}
    if call.operation == "avg_pool":
        include = int(p["count_include_pad"])
        return lambda: tuple(run_onnx("AveragePool", x, **attributes, count_include_pad=include))

    def run() -> Any:
        values, indices = run_onnx("MaxPool", x, **attributes)
        offsets = np.arange(x.shape[0] * x.shape[1]) * int(np.prod(x.shape[2:]))
        return values, indices - offsets.reshape(*x.shape[:2], *(1,) * (x.ndim - 2))

    return run


def _onnx_resize(call: Call, x: np.ndarray) -> Any:
    p = call.plain
    rank = len(p["output"])
    if call.dtype != "float32" or (rank == 1 and call.operation == "cubic_unpool"):
        return None
    mode = call.operation.removesuffix("_unpool")
    attributes = {"mode": mode, "coordinate_transformation_mode": p["coordinates"]}
    if mode == "nearest":
        attributes["nearest_mode"] = p["rounding"]
    if p.get("antialias"):
        if mode == "linear" and rank == 1:
            return None
        attributes["antialias"] = 1
    if mode == "cubic":
        if rank != 2:  # it has those of planes alone
            return None
        attributes["cubic_coeff_a"] = p["coefficient"]
        attributes["exclude_outside"] = int(p["exclude_outside"])
    if p["scale"][0] is None:
        inputs = [None, None, np.asarray([*x.shape[:2], *p["output"]])]
    else:
        scales = np.asarray([1, 1, *p["scale"]], np.float32)
        if tuple(scales[2:].tolist()) != p["scale"]:
            return None
        inputs = [None, scales]
    return lambda: run_onnx("Resize", x, *inputs, **attributes)[0]


def _onnx_conv_transpose(call: Call, *arrays: np.ndarray) -> Any:
    p = call.plain
    if call.dtype != "float32":
        return None
    if any(m >= s for m, s in zip(p["output_padding"], p["stride"], strict=True)):
        return None  # refused, where PyTorch's and ours may reach the dilation
    attributes = {"kernel_shape": p["kernel"], "strides": p["stride"], "dilations": p["dilation"]}
    attributes |= {"pads": _onnx_pads(p["pads"]), "group": p["groups"]}
    attributes["output_padding"] = p["output_padding"]
    return lambda: run_onnx("ConvTranspose", *arrays, **attributes)[0]


_ONNX = {
    "max_pool": _onnx_pool,
    "avg_pool": _onnx_pool,
    "nearest_unpool": _onnx_resize,
    "linear_unpool": _onnx_resize,
    "cubic_unpool": _onnx_resize,
    "conv_transpose": _onnx_conv_transpose,
}


def run_onnxruntime(call: Call) -> Outcome | None:
    """Return what onnxruntime makes of the call; its arrays are batches of channels."""
    if call.operation not in _ONNX or not all(array.dtype.isnative for array in call.data):
        return None
    rank = len(call.plain.get("output", call.plain.get("kernel", ())))
    lead = 1 if call.operation == "conv_transpose" else 2
    if call.data[0].ndim != lead + rank + (call.operation == "conv_transpose"):
        return None
    if not all(call.data[0].shape):
        return None
    arrays = [np.ascontiguousarray(array) for array in call.data]
    native = _ONNX[call.operation](call, *arrays)
    return None if native is None else outcome(native)


# --- the reference -------------------------------------------------------------------------------


def run_reference(call: Call) -> Outcome | None:
    """Return what the slow reference makes of the call, if it is small."""
    if call.data[0].size > 400 or call.dtype not in (*_FLOATS, "int64", "uint8"):
        return None
    p, arrays = call.plain, call.data
    steps = int(np.prod(p.get("output", (1,)), dtype=float)) * int(np.prod(p.get("kernel", (1,))))
    if not 0 < steps < 2000:
        return None
    sizes: dict[str, Any] = {"output_size": p.get("output")}
    if "scale" in p and p["scale"][0] is not None:
        sizes = {"scale_factor": p["scale"]}
    window = tuple(p.get(name) for name in ("kernel", "stride", "pads", "dilation"))
    match call.operation:
        case "max_pool":
            return outcome(lambda: reference.max_pool(*arrays, *window, p["ceil_mode"]))
        case "avg_pool" if not p["divisor"]:
            modes = (p["ceil_mode"], p["count_include_pad"])
            return outcome(lambda: reference.avg_pool(*arrays, *window, *modes))
        case "fractional_max_pool":
            given = (p["kernel"], p["output"], p["samples"])
            return outcome(lambda: reference.fractional_max_pool(*arrays, *given))
        case "fractional_max_unpool":
            return outcome(lambda: reference.fractional_max_unpool(*arrays, **sizes))
        case "max_unpool" if p["duplicates"] == "sum":
            given = (p["output"], p["duplicates"])
            return outcome(lambda: reference.max_unpool(*arrays, *given))
        case "conv_transpose" if arrays[0].ndim == arrays[1].ndim and not call.options.get(
            "output_size"
        ):
            names = ("stride", "output_padding", "groups", "dilation")
            options = {name: p[name] for name in names} | {"padding": p["pads"]}
            return outcome(lambda: reference.conv_transpose(*arrays, **options))
    return None


NATIVES = {
    "torch.nn.functional": run_torch,
    "onnxruntime": run_onnxruntime,
    "the reference": run_reference,
}
