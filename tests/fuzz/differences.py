"""The differences that are meant, each with its reason; whatever else differs is a fault.

Each is a function of the call, what it is compared with, and the two outcomes. It is asked only
where they differ, and says whether that is why.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from tests.fuzz.libraries import TARGETS, Outcome
from tests.fuzz.pieces import Call, resized
from unpool_xp import reference

NATIVE = ("torch.nn.functional", "onnxruntime")


def sizes(call: Call, label: str, ours: Outcome, theirs: Outcome) -> bool:
    """Find natives that take the floor of a product all but whole (pytorch/pytorch#62396)."""
    scales = call.plain.get("scale")
    if label not in NATIVE or not scales or scales[0] is None:
        return False
    plane = call.data[0].shape[-len(scales) :]
    real: Any = np.float32 if label == "onnxruntime" else float
    floors = tuple(math.floor(real(n) * real(s)) for n, s in zip(plane, scales, strict=True))
    wanted = tuple(resized(n, s) for n, s in zip(plane, scales, strict=True))
    if theirs.error:
        return 0 in floors and 0 not in wanted
    return theirs.outputs[0].shape[-len(scales) :] == floors != wanted


def duplicates(call: Call, label: str, ours: Outcome, theirs: Outcome) -> bool:
    """Find several values at one position, of which each library may keep another."""
    if "max_unpool" not in call.operation or len(call.arrays) < 2 or ours.error or theirs.error:
        return False
    if call.plain.get("duplicates") == "sum":
        return False
    one, other = ours.outputs[0], theirs.outputs[0].astype(call.data[0].dtype)
    rank = len(call.plain["output"])
    rows = call.data[1].reshape(-1, math.prod(call.data[1].shape[-rank:]))
    if one.shape != other.shape or all(len(np.unique(row)) == row.size for row in rows):
        return False
    with np.errstate(all="ignore"):
        differs = ~np.isclose(
            one.astype(complex), other.astype(complex), 1e-3, 1e-6, equal_nan=True
        )
    # Zeros between maxima are interpolated, so all but zero, and of any sign.
    signs = (np.signbit(one.real) != np.signbit(other.real)) & (one == one)
    differs |= signs & (call.operation == "max_unpool")
    kept = [reference.is_candidate(array, *call.data, rank) for array in (one, other)]
    return bool((kept[0] & kept[1])[differs].all())


def copied_axes(call: Call, label: str, ours: Outcome, theirs: Outcome) -> bool:
    """Find axes that keep their size under a factor other than 1: copied here, and by PyTorch.

    onnxruntime copies them only where all axes keep theirs, and then whatever the operation.
    """
    scales = call.plain.get("scale")
    if label != "onnxruntime" or not scales or scales[0] is None:
        return False
    plane = call.data[0].shape[-len(scales) :]
    return any(resized(n, s) == n and s != 1 for n, s in zip(plane, scales, strict=True))


def floors_in_float32(call: Call, label: str, ours: Outcome, theirs: Outcome) -> bool:
    """Find cells whose place lies so little below a whole number that in float32 it is that number.

    PyTorch takes the floor of a place in float32, of float64 too, and so moves it by some 1e-6.
    """
    scales = call.plain.get("scale")
    if label != "torch.nn.functional" or not scales or scales[0] is None:
        return False
    if ours.error or theirs.error or ours.outputs[0].shape != theirs.outputs[0].shape:
        return False
    one, other = ours.outputs[0], theirs.outputs[0]
    moved = np.zeros((), bool)
    for m, scale in zip(call.plain["output"], scales, strict=True):
        places = (np.arange(m) + 0.5) / scale - 0.5
        moved = moved[..., None] | (np.floor(places.astype(np.float32)) != np.floor(places))
    largest = np.abs(one[np.isfinite(one)]).max(initial=1)
    with np.errstate(invalid="ignore"):
        error = np.abs(np.where(np.isfinite(one) | np.isfinite(other), one - other, 0))
    return bool((error <= np.where(moved, 1e-5, 1e-10) * largest).all())


def edges(call: Call, label: str, ours: Outcome, theirs: Outcome) -> bool:
    """Find cells of a nearest resizing whose source lies on the edge between two elements.

    Ours takes a position within 4 ulp of a whole number for that number, the reference none, and
    the natives find positions in float32; PyTorch's "nearest" also takes a factor for 1 or 2
    where the size comes out so.
    """
    if label in TARGETS or call.operation != "nearest_unpool" or ours.error or theirs.error:
        return False
    one, other = ours.outputs[0], theirs.outputs[0]
    if one.shape != other.shape:
        return False
    differs = (one != other) & ~((one != one) & (other != other))
    p = call.plain
    rank = len(p["output"])
    plane = call.data[0].shape[-rank:]
    certain = np.ones((), bool)
    for n, m, scale in zip(plane, p["output"], p["scale"], strict=True):
        if label != "onnxruntime" and scale is not None and m in (n, 2 * n) and scale * n != m:
            return True
        certain = certain[..., None] & _certain(n, m, scale, p["coordinates"], p["rounding"])
    return not bool((differs & certain).any())


def _certain(n: int, m: int, scale: float | None, coordinates: str, rounding: str) -> np.ndarray:
    """Return for which output cells float32 finds the right source."""
    exact = Fraction(m, n) if scale is None else Fraction(scale)
    if exact.denominator == 1 and coordinates == "asymmetric":
        return np.ones(m, bool)
    half = Fraction(1, 2)
    edge = half if rounding.startswith("round") else Fraction()
    certain = []
    for o in range(m):
        match coordinates:
            case "asymmetric":
                source = o / exact
            case "align_corners":
                source = Fraction(o * (n - 1), max(m - 1, 1))
            case "half_pixel_symmetric":
                source = Fraction(n, 2) * (1 - m / (n * exact)) + (o + half) / exact - half
            case _:
                source = (o + half) / exact - half
        certain.append(abs(source - edge - round(source - edge)) > Fraction(1, 10**4))
    return np.asarray(certain)


def beyond_finite(call: Call, label: str, ours: Outcome, theirs: Outcome) -> bool:
    """Find NaN and infinities times weights that are zero, or so in float32 alone.

    Natives make NaN of them. Ours leaves such elements out, and finds the weights in float64.
    """
    if label in TARGETS or "_unpool" not in call.operation or ours.error or theirs.error:
        return False
    one, other = ours.outputs[0], theirs.outputs[0]
    if one.shape != other.shape or np.isfinite(call.data[0]).all():
        return False
    finite = np.isfinite(one) & np.isfinite(other)
    return bool(np.allclose(one[finite], other[finite], rtol=1e-3, atol=1e-3))


def nan_in_onnx(call: Call, label: str, ours: Outcome, theirs: Outcome) -> bool:
    """Find NaN in onnxruntime's MaxPool: passed over, unless it comes first in its window."""
    return label == "onnxruntime" and "pool" in call.operation and np.isnan(call.data[0]).any()


def empty_windows(call: Call, label: str, ours: Outcome, theirs: Outcome) -> bool:
    """Find windows whose dilation steps over the whole plane: no maximum, no mean."""
    return label in NATIVE and "without a single element" in str(ours.error)


def indices_outside_a_chunk(call: Call, label: str, ours: Outcome, theirs: Outcome) -> bool:
    """Find indices that lie in the plane but not in their window, where a plane is in chunks."""
    return (
        label == "dask"
        and call.operation == "max_unpool"
        and "kernel_size" in call.options
        and isinstance(theirs.error, IndexError)
    )


def lost_signs(call: Call, label: str, ours: Outcome, theirs: Outcome) -> bool:
    """Find zeros without their sign: Sparse has no entry for one, ndonnx picks another zero."""
    if label not in ("sparse", "ndonnx") or ours.error or theirs.error:
        return False
    pairs = zip(ours.outputs, theirs.outputs, strict=True)
    return all(np.array_equal(one, other, equal_nan=True) for one, other in pairs)


DIFFERENCES = (
    sizes,
    duplicates,
    copied_axes,
    floors_in_float32,
    edges,
    beyond_finite,
    nan_in_onnx,
    empty_windows,
    indices_outside_a_chunk,
    lost_signs,
)
