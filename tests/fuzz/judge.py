"""Tell whether outcomes of a call agree, and whether they keep what every operation promises."""

from __future__ import annotations

import dataclasses

import numpy as np

from tests.fuzz.differences import DIFFERENCES
from tests.fuzz.libraries import LAZY, TARGETS, Outcome, run
from tests.fuzz.pieces import Call
from unpool_xp import reference
from unpool_xp.bench.cases.expected import differing
from unpool_xp.bench.cases.operation import TOLERANCE

MOVES = ("max_pool", "adaptive_max_pool", "fractional_max_pool", "nearest_unpool", "max_unpool")
MOVES += ("convert_indices",)  # values that are moved are exactly equal


def broken_promise(call: Call, got: Outcome, target: str) -> str | None:
    """Return what an outcome of ours breaks, if anything."""
    error = got.error
    if error is not None and target == "torch compiled":
        return None  # torch wraps it
    if error is not None:
        named = str(error).startswith(f"{call.operation}: ")
        if not isinstance(error, TypeError | ValueError | IndexError) or not named:
            return f"an error that is not ours by name: {type(error).__name__}: {error}"
        return None
    if call.mistake:
        return "a mistake that is taken"
    data = call.data[0]
    values, *indices = got.outputs
    if values.dtype != data.dtype and call.operation != "convert_indices":
        return f"dtype {values.dtype.str} of {data.dtype.str}"
    if any(index.dtype != np.int64 for index in indices):
        return f"indices of {indices[0].dtype}"
    output = call.plain.get("output")
    if output is not None and values.shape[-len(output) :] != tuple(output):
        return f"shape {values.shape}, not (..., {output})"
    if any(np.may_share_memory(one, array) for one in got.outputs for array in call.data):
        return "a result that shares memory with an input"
    return None


def expected_from(call: Call, base: Outcome, target: str) -> Outcome | None:
    """Return what NumPy's outcome means for a target: a lazy one cannot refuse indices.

    It drops those outside; into what it converts those that cannot be is not said.
    """
    if target not in LAZY or not isinstance(base.error, IndexError):
        return base
    if call.operation == "max_unpool":
        options = call.options | {"check_indices": False}
        return run("numpy", dataclasses.replace(call, options=options))
    if call.operation == "fractional_max_unpool":
        wide = call.data[0].astype(np.float64), call.data[1]
        scale, output = call.plain["scale"], call.plain["output"]
        given = {"output_size": output} if scale[0] is None else {"scale_factor": scale}
        right = reference.fractional_max_unpool(*wide, **given)
        return Outcome((right.astype(call.data[0].dtype),))
    return None


def disagreement(call: Call, ours: Outcome, theirs: Outcome, label: str) -> str | None:
    """Return how two outcomes differ, unless it is meant."""
    how = _difference(call, ours, theirs, label)
    if how is None or any(is_meant(call, label, ours, theirs) for is_meant in DIFFERENCES):
        return None
    return how


def _difference(call: Call, ours: Outcome, theirs: Outcome, label: str) -> str | None:
    if ours.error or theirs.error:
        if ours.error and theirs.error:
            # torch.compile wraps an error in one of its own.
            same = label == "torch compiled" or type(ours.error) is type(theirs.error)
            if same or label not in TARGETS:
                return None
            return f"{ours.error!r}, there {theirs.error!r}"
        if ours.error:
            return f"refused ({type(ours.error).__name__}: {ours.error}), there taken"
        return f"taken, there {type(theirs.error).__name__}: {theirs.error}"
    for one, other in zip(ours.outputs, theirs.outputs, strict=False):
        if one.shape != other.shape:
            return f"shape {one.shape}, there {other.shape}"
        if label in TARGETS and one.dtype != other.dtype:
            return f"dtype {one.dtype}, there {other.dtype}"
        exact = call.operation in MOVES and call.plain.get("duplicates") != "sum"
        tolerance = 0.0 if exact else TOLERANCE.get(call.dtype, 0.0)
        if label not in TARGETS and "scale" in call.plain:
            tolerance *= 40  # they find coordinates in the dtype of the array
        with np.errstate(all="ignore"):
            wrong = differing(one, other, tolerance)
        if exact and label != "onnxruntime" and one.dtype.kind in "fV":
            wide, there = one.astype(np.float64), other.astype(np.float64)
            wrong |= (np.signbit(wide) != np.signbit(there)) & (wide == wide)
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0].tolist())
            first = f"first {one[at]}, there {other[at]} at {at}"
            return f"{int(wrong.sum())} of {wrong.size} differ, {first}"
    return None
