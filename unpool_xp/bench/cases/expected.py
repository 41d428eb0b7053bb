"""Check outputs against the reference: nothing is timed until its result is verified."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.inputs import NDArray
from unpool_xp.bench.cases.operation import select_planes

CHECK_SECONDS = 0.2  # time limit of one check
# Cost of one step of the reference's innermost loop, which handles all planes at once.
_STEP_SECONDS, _PLANE_SECONDS = 4e-6, 4e-8
_MIN_PLANES = 64

# Relative to the largest magnitude, for computed values; moved values must match exactly.
TOLERANCE = {
    "float64": 1e-12,
    "float32": 1e-5,
    "float16": 4e-3,
    "bfloat16": 3e-2,
    "complex128": 1e-12,
    "complex64": 1e-5,
}


class MismatchError(ValueError):
    """An output differs from the reference; the message says where and by how much."""


def differing(got: NDArray, want: NDArray, tolerance: float = 0.0) -> NDArray:
    """Return which elements differ by more than the tolerance times the largest magnitude."""
    wide: Any = np.float64
    if "c" in (got.dtype.kind, want.dtype.kind):
        wide = np.complex128
    elif got.dtype.kind in "iub" and want.dtype.kind in "iub":
        wide = np.uint64 if got.dtype == np.uint64 else np.int64
    got, want = got.astype(wide), want.astype(wide)
    same: NDArray = (got == want) | ((got != got) & (want != want))
    if tolerance:
        largest = np.abs(want[np.isfinite(want)]).max(initial=1)
        with np.errstate(invalid="ignore"):  # infinity less itself
            same |= np.abs(got - want) <= tolerance * largest
    return ~same


class ExpectedOutputs:
    """The expected outputs of a case, computed once and checked against any number of outputs.

    Parameters
    ----------
    case : Case
        The case.
    arrays : dict of str to ndarray
        Its inputs, as `Case.arrays` gives them.
    """

    def __init__(self, case: Case, arrays: dict[str, NDArray]) -> None:
        self.case = case
        shape = case.output_shape
        total = math.prod(shape[: len(shape) - case.rank])
        operation = case.definition
        count, bands = _planes_within_budget(
            operation.reference_steps(case), operation.work_per_step(case), total, shape[-case.rank]
        )
        # Spread over the whole, the first and the last among them.
        self.planes = sorted({round(i) for i in np.linspace(0, total - 1, count)})
        self.row_ranges = bands
        self.scope = "reduced" if len(bands) > 1 else "all" if count == total else "planes"
        self.expected = [operation.expected(case, arrays, self.planes, band) for band in bands]

    def check(self, outputs: Sequence[NDArray] | NDArray, *, values_only: bool = False) -> str:
        """Check outputs against the reference.

        Parameters
        ----------
        outputs : sequence of ndarray
            All the outputs of the operation, on the host.
        values_only : bool, optional
            Whether only the first output is given.

        Returns
        -------
        str
            How much was checked: "all", "planes" (a sample that includes the first and the
            last) or "reduced" (only the first and last rows of such a sample).

        Raises
        ------
        MismatchError
            If a dtype, a shape or an element differs.
        """
        host_outputs = [outputs] if isinstance(outputs, np.ndarray) else list(outputs)
        layout = list(self.case.outputs)[: 1 if values_only else None]
        if len(host_outputs) != len(layout):
            raise MismatchError(f"{len(host_outputs)} outputs, should be {len(layout)}")
        for number, name in enumerate(layout):
            self._check_dtype_and_shape(name, host_outputs[number])
            planes = select_planes(host_outputs[number], self.case.rank, self.planes)
            for (start, stop), expected in zip(self.row_ranges, self.expected, strict=True):
                self._check_values(name, start, planes[:, start:stop], expected[number])
        return self.scope

    def _check_dtype_and_shape(self, name: str, got: NDArray) -> None:
        shape, dtype = self.case.outputs[name]
        # Which integers count positions is the library's own choice; bfloat16 comes back wider
        # where NumPy has none.
        integers = name == "indices" and got.dtype.kind == "i"
        widened = dtype == "bfloat16" and got.dtype == np.float32
        if not integers and not widened and got.dtype.name != dtype:
            raise MismatchError(f"{name} has dtype {got.dtype.name}, should be {dtype}")
        if got.shape != shape:
            raise MismatchError(f"{name} has shape {got.shape}, should be {shape}")

    def _check_values(self, name: str, start: int, got: NDArray, want: NDArray) -> None:
        shape, _ = self.case.outputs[name]
        want = want.astype(got.dtype)
        tolerance = 0.0
        if name != "indices":
            tolerance = sum(map(_tolerance, self.case.parts))
        wrong = differing(got, want, tolerance)
        if not wrong.any():
            return
        plane, first, *rest = (int(i) for i in np.argwhere(wrong)[0])
        lead = np.unravel_index(self.planes[plane], shape[: len(shape) - self.case.rank])
        index = [*(int(i) for i in lead), start + first, *rest]
        at = (plane, first, *rest)
        largest_error = float(np.max(np.abs(got.astype(np.float64) - want)[wrong]))
        raise MismatchError(
            f"{name}{index} is {got[at]:g}, should be {want[at]:g}; {int(wrong.sum())} of "
            f"{wrong.size} elements looked at differ, by up to {largest_error:g}"
        )


def _tolerance(part: Case) -> float:
    """Return how far values may be off, relative to the largest."""
    operation = part.definition
    if operation.exact:
        return 0.0
    return TOLERANCE.get(part.dtype, 0) + operation.extra_tolerance(part)


def _planes_within_budget(
    steps: float, work: float, planes: int, rows: int
) -> tuple[int, list[tuple[int, int]]]:
    """Return how many planes, and which of their rows, fit into the time limit of a check."""
    plane_seconds = work * _PLANE_SECONDS
    count = int((CHECK_SECONDS / max(steps, 1) - _STEP_SECONDS) / plane_seconds)
    if count >= min(2, planes):
        return min(count, planes), [(0, rows)]
    count = min(_MIN_PLANES, planes)
    seconds = steps * (_STEP_SECONDS + count * plane_seconds)  # for all rows
    band = max(int(rows * CHECK_SECONDS / seconds / 2), 1)
    return count, [(0, band), (rows - band, rows)] if 2 * band < rows else [(0, rows)]
