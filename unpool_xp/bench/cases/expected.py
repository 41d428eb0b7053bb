"""Check outputs against the reference: nothing is timed until its result is verified."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.gradients import directional_derivative, floating_positions
from unpool_xp.bench.cases.inputs import NDArray
from unpool_xp.bench.cases.operation import (
    Outputs,
    reference_outputs,
    select_planes,
    to_64_bit,
    usual_tolerance,
)
from unpool_xp.capabilities import kind_of

CHECK_SECONDS = 0.2  # time limit of one check
# Cost of one step of the reference's innermost loop, which handles all planes at once.
_STEP_SECONDS, _PLANE_SECONDS = 4e-6, 4e-8
_MIN_PLANES = 64
_DIRECTIONS = 4  # along which gradients without a rule are checked


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
    seconds : float, optional
        What the reference may take, about.
    """

    def __init__(
        self, case: Case, arrays: dict[str, NDArray], seconds: float = CHECK_SECONDS
    ) -> None:
        self.case, forward = case, case.forward
        operation = case.definition
        self.gradients = ExpectedGradients(case, arrays) if case.backward else None
        self._whole = operation.partial_reference is None
        if operation.partial_reference is None:
            self.scope = "all" if operation.reference else "all, against itself on NumPy"
            self.expected = [tuple(reference_outputs(case).values())]
            return
        shape = case.output_shape
        total = math.prod(shape[: len(shape) - case.rank])
        given = {name: arrays[name] for name in forward.inputs}
        steps, work = operation.reference_steps(case), operation.work_per_step(case)
        count, bands = _planes_within_budget(seconds, steps, work, total, shape[-case.rank])
        # Spread over the whole, the first and the last among them.
        self.planes = sorted({round(i) for i in np.linspace(0, total - 1, count)})
        self.row_ranges = bands
        self.scope = "reduced" if len(bands) > 1 else "all" if count == total else "planes"
        reference = operation.partial_reference
        self.expected = [reference(forward, given, self.planes, band) for band in bands]

    def check(self, outputs: Sequence[NDArray] | NDArray, *, values_only: bool = False) -> str:
        """Check outputs against the reference.

        Parameters
        ----------
        outputs : sequence of ndarray
            All the outputs of the operation, on the host; the gradients come last.
        values_only : bool, optional
            Whether the indices are not given.

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
        layout = [n for n in self.case.outputs if not (values_only and n == "indices")]
        if len(host_outputs) != len(layout):
            raise MismatchError(f"{len(host_outputs)} outputs, should be {len(layout)}")
        given = dict(zip(layout, host_outputs, strict=True))
        for name, output in given.items():
            self._check_dtype_and_shape(name, output)
        for number, name in enumerate(self.case.forward.outputs):
            if name not in given:
                continue
            if self._whole:
                self._check_values(name, to_64_bit(given[name]), self.expected[0][number])
                continue
            planes = select_planes(given[name], self.case.rank, self.planes)
            for (start, stop), expected in zip(self.row_ranges, self.expected, strict=True):
                place = functools.partial(self._place, name, start)
                self._check_values(name, planes[:, start:stop], expected[number], place)
        if self.gradients is not None:
            self.gradients.check([given[name] for name in self.case.gradients])
        return self.scope

    def _check_dtype_and_shape(self, name: str, got: NDArray) -> None:
        shape, dtype = self.case.outputs[name]
        # Which integers count positions is the library's own choice; bfloat16 comes back wider
        # where NumPy has none. A user's function may change the dtype.
        integers = name == "indices" and got.dtype.kind == "i"
        widened = dtype == "bfloat16" and got.dtype == np.float32
        alike = self._whole and kind_of(got.dtype.name) == kind_of(dtype)
        if not integers and not widened and not alike and got.dtype.name != dtype:
            raise MismatchError(f"{name} has dtype {got.dtype.name}, should be {dtype}")
        if got.shape != shape:
            whose = ", that of the reference" if self._whole else ""
            raise MismatchError(f"{name} has shape {got.shape}, should be {shape}{whose}")

    def _check_values(
        self,
        name: str,
        got: NDArray,
        want: NDArray,
        place: Callable[[tuple[int, ...]], list[int]] = list,
    ) -> None:
        want = want.astype(got.dtype)
        tolerance = 0.0
        if name != "indices" and want.dtype.kind in "fc":
            tolerance = sum(part.definition.call("tolerance", part) for part in self.case.parts)
        wrong = differing(got, want, tolerance)
        if not wrong.any():
            return
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        kind = np.complex128 if got.dtype.kind == "c" else np.float64
        errors = np.abs(got.astype(kind) - want)[wrong]
        raise MismatchError(
            f"{name}{place(at)} is {got[at]:g}, should be {want[at]:g}; {int(wrong.sum())} of "
            f"{wrong.size} elements looked at differ, by up to {np.max(errors):g}"
        )

    def _place(self, name: str, start: int, at: tuple[int, ...]) -> list[int]:
        """Return where in an output an element of its selected planes and rows is."""
        shape, _ = self.case.outputs[name]
        plane, first, *rest = at
        lead = np.unravel_index(self.planes[plane], shape[: len(shape) - self.case.rank])
        return [*(int(i) for i in lead), start + first, *rest]


class ExpectedGradients:
    """The gradients of a backward case: by the operation's rule, or what they add up to.

    Parameters
    ----------
    case : Case
        The case.
    arrays : dict of str to ndarray
        Its inputs, as `Case.arrays` gives them.
    """

    def __init__(self, case: Case, arrays: dict[str, NDArray]) -> None:
        self.case = case
        self._arrays = {name: to_64_bit(array) for name, array in arrays.items()}
        found = case.definition.gradients(case, self._arrays)
        self._expected = None if found is None else self._merged(found)
        seeds = range(_DIRECTIONS if found is None else 0)
        self._slopes = [self._slope(seed) for seed in seeds]

    def _slope(self, seed: int) -> tuple[dict[str, NDArray], float]:
        """Return a direction by the name of each gradient, and the derivative along it."""
        forward, options = self.case.forward, self.case.options()
        function = self.case.definition.function
        rng = np.random.default_rng(seed)
        names = [list(forward.inputs)[n] for n in floating_positions(forward.inputs)]
        # Of one length everywhere: what is wrong in a single element shows along each.
        signs = [rng.choice((-1.0, 1.0), self._arrays[name].shape) for name in names]
        cotangents = (self._arrays[name] for name in self.case.cotangents)
        derivative = directional_derivative(
            lambda *arrays: function(*arrays, **options),
            {name: self._arrays[name] for name in forward.inputs},
            dict(zip(names, signs, strict=True)),
            dict(zip(floating_positions(forward.outputs), cotangents, strict=True)),
        )
        return dict(zip(self.case.gradients, signs, strict=True)), derivative

    def _merged(self, gradients: Outputs) -> Outputs:
        return self.case.definition.merge_gradients(self.case, self._arrays, gradients)

    def check(self, gradients: Sequence[NDArray]) -> None:
        """Raise a MismatchError where gradients, of the right shapes, are wrong."""
        wide = tuple(to_64_bit(gradient) for gradient in gradients)
        if self._expected is None:
            self._check_slopes(dict(zip(self.case.gradients, wide, strict=True)))
            return
        found = zip(self.case.gradients, self._merged(wide), self._expected, strict=True)
        for name, got, want in found:
            largest = float(np.abs(want).max(initial=0)) or 1.0
            wrong = differing(got / largest, want / largest, self._tolerance(name))
            if wrong.any():
                at = tuple(int(i) for i in np.argwhere(wrong)[0])
                error = float(np.max(np.abs(got - want)[wrong]))
                raise MismatchError(
                    f"{name}{list(at)} is {got[at]:g}, should be {want[at]:g}; {int(wrong.sum())} "
                    f"of {wrong.size} elements differ, by up to {error:g}"
                )

    def _check_slopes(self, gradients: dict[str, NDArray]) -> None:
        for signs, want in self._slopes:
            got = sum(float(np.vdot(signs[name], g)) for name, g in gradients.items())
            # Rounding is independent in each element; that of the differences is relative.
            errors = [
                self._tolerance(name) * float(np.linalg.norm(g)) for name, g in gradients.items()
            ]
            size = math.sqrt(sum(np.linalg.norm(g) ** 2 for g in gradients.values()))
            if not abs(got - want) <= math.hypot(*errors) + 1e-6 * size:
                names = " and ".join(gradients)
                raise MismatchError(
                    f"along a direction of ones and minus ones {names} add up to {got:g}, "
                    f"finite differences to {want:g}"
                )

    def _tolerance(self, name: str) -> float:
        """Return how much a gradient may differ, relative to its largest element."""
        shape, dtype = self.case.gradients[name]
        # Sums of many products, in single precision at least; their errors are independent.
        terms = self.case.definition.gradient_flops(self.case) / (2 * math.prod(shape))
        computing = np.finfo(np.float64 if dtype == "float64" else np.float32)
        rounding = float(computing.eps) * math.sqrt(max(terms, 1))
        return rounding + sum(
            max(usual_tolerance(part), part.definition.tolerance(part)) for part in self.case.parts
        )


def _planes_within_budget(
    limit: float, steps: float, work: float, planes: int, rows: int
) -> tuple[int, list[tuple[int, int]]]:
    """Return how many planes, and which of their rows, fit into the limit in seconds."""
    plane_seconds = work * _PLANE_SECONDS
    count = int((limit / max(steps, 1) - _STEP_SECONDS) / plane_seconds)
    if count >= min(2, planes):
        return min(count, planes), [(0, rows)]
    count = min(_MIN_PLANES, planes)
    seconds = steps * (_STEP_SECONDS + count * plane_seconds)  # for all rows
    band = max(int(rows * limit / seconds / 2), 1)
    return count, [(0, band), (rows - band, rows)] if 2 * band < rows else [(0, rows)]
