"""What the harness needs to know about an operation, and about a library's own way to do it.

The operations themselves are in `bench.catalog`.
"""

from __future__ import annotations

import importlib
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from unpool_xp.backends import Backend
from unpool_xp.bench.cases.inputs import NDArray, feature_map, numpy_dtype

if TYPE_CHECKING:
    from unpool_xp.bench.cases.case import Case

Arrays: TypeAlias = dict[str, NDArray]
Layout: TypeAlias = dict[str, tuple[tuple[int, ...], str]]  # name -> shape, dtype
Outputs: TypeAlias = tuple[NDArray, ...]
Planes: TypeAlias = list[int]
RowRange: TypeAlias = tuple[int, int]  # from, to
Function: TypeAlias = Callable[..., Any]
Builder: TypeAlias = "Callable[[Case, Backend], Function]"
Reason: TypeAlias = "Callable[[Case], str | None]"

SIZE_FIELDS = ("kernel", "stride", "padding")


# By name; `bench.catalog` fills it with ours.
OPERATIONS: dict[str, Operation] = {}


def _sizes_as_options(case: Case) -> dict[str, Any]:
    given = {
        "kernel_size": case.kernel,
        "stride": case.stride,
        "padding": case.padding,
        "scale_factor": case.scale,
    }
    return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """Everything the harness needs to know about an operation."""

    function: Callable[..., Any]
    natives: tuple[Native, ...] = ()  # what the libraries themselves offer for it
    needs: tuple[str, ...]  # fields of a case
    takes: tuple[str, ...]
    inputs: Callable[[Case], Layout] = lambda case: {"x": (case.shape, case.dtype)}
    outputs: Callable[[Case], Layout]  # makes the plan, which checks the sizes
    make_inputs: Callable[[Case], Arrays] = lambda case: {
        "x": feature_map(case.shape, case.dtype, rank=case.rank)
    }
    options: Callable[[Case], dict[str, Any]] = _sizes_as_options
    flops: Callable[[Case], int] = lambda case: 0
    # The expected outputs, shape (len(planes), *spatial), for the given planes of the output
    # (numbered over all leading axes) and the given rows of the first spatial axis.
    expected: Callable[[Case, Arrays, Planes, RowRange], Outputs]
    reference_steps: Callable[[Case], float]  # of its innermost loop, for whole planes
    work_per_step: Callable[[Case], float] = lambda case: 1  # elements of a plane in a step
    working_bytes: Callable[[Case], int] = lambda case: 0  # of copies from input to output
    exact: bool = True  # moves values, computes none
    extra_tolerance: Callable[[Case], float] = lambda case: 0  # relative to the largest
    dtype_kinds: str = "fiu"  # of dtype, as NumPy's letters


def total_bytes(layout: Layout) -> int:
    """Return the bytes of all the arrays."""
    return sum(math.prod(shape) * numpy_dtype(dtype).itemsize for shape, dtype in layout.values())


def require(sizes: tuple[Any, ...] | None) -> tuple[Any, ...]:
    """Return sizes that `Case.validate` guarantees to be present."""
    assert sizes is not None  # Case.validate has seen to it
    return sizes


def compute_dtype(case: Case) -> str:
    """Return the dtype to compute in: NumPy cannot compute in bfloat16."""
    return case.dtype if numpy_dtype(case.dtype).kind in "iu" else "float32"


def select_planes(array: NDArray, rank: int, planes: Planes) -> NDArray:
    """Select planes (the last `rank` axes), stack them on one leading axis, cast to 64 bits."""
    return to_64_bit(array.reshape(-1, *array.shape[array.ndim - rank :])[planes])


def to_64_bit(array: NDArray) -> NDArray:
    """Return an array in 64 bits."""
    return array.astype(np.int64 if array.dtype.kind in "iu" else np.float64)


@dataclass(frozen=True)
class Native:
    """One way to do an operation with a library alone.

    Parameters
    ----------
    library : str
        What it is of.
    title : str
        The function; ``{d}`` stands for the rank.
    build : callable
        From a case and a backend to a function of the case's arrays.
    reason : callable, optional
        Returns why a case is unsupported, or None if it is supported.
    values_only : bool, optional
        Whether it returns values without indices.
    """

    library: str
    title: str
    build: Builder
    reason: Reason = lambda case: None
    values_only: bool = False

    def name(self, case: Case) -> str:
        """Return the name of the function for a case."""
        note = " (values only)" if self.values_only else ""
        return self.title.format(d=case.rank) + note

    def bytes_moved(self, case: Case) -> int:
        """Return the bytes of the inputs and of those outputs that it writes."""
        if not self.values_only:
            return case.bytes_moved
        shape, _ = case.outputs["indices"]
        return case.bytes_moved - 8 * math.prod(shape)


def first_reason(*reasons: Reason) -> Reason:
    """Combine checks: return the first reason that applies to a case."""
    return lambda case: next((said for reason in reasons if (said := reason(case))), None)


def reason_unless(holds: Callable[[Case], bool], text: str) -> Reason:
    """Return a check: where a case does not hold, the reason is the text about that case."""
    return lambda case: None if holds(case) else text.format(case=case)


_SHAPE = "shape {case.shape} is not (N, C, *spatial) with 1 to 3 axes"
requires_image_shape = reason_unless(  # or (C, *spatial)
    lambda case: case.rank <= 3 and len(case.lead) in (1, 2), _SHAPE
)
requires_batch = reason_unless(lambda case: case.rank <= 3 and len(case.lead) == 2, _SHAPE)
requires_integer_scale = reason_unless(
    lambda case: all(float(factor).is_integer() for factor in case.scale or ()),
    "scale {case.scale} is not whole",
)
requires_exact_scale = reason_unless(
    lambda case: case.output_plane == tuple(map(operator.mul, case.plane, case.scale or ())),
    "scale {case.scale} is not output size over input size",
)
requires_no_padding = reason_unless(lambda case: not case.padding, "padding {case.padding}")
requires_disjoint_windows = first_reason(
    reason_unless(
        lambda case: case.stride == case.kernel,
        "stride {case.stride} is not the kernel {case.kernel}",
    ),
    requires_no_padding,
)


def native_namespace(backend: Backend) -> Any:
    """Return the library itself, without the standard's namespace around it."""
    names = {"jax": "jax.numpy", "dask": "dask.array"}
    return importlib.import_module(names.get(backend.library, backend.library))


def torch_native(
    name: str,
    reason: Reason,
    options: Callable[[Case], dict[str, Any]] = lambda case: case.options(),
) -> Native:
    """Return the native of a function of ``torch.nn.functional``."""

    def build(case: Case, backend: Backend) -> Function:
        functional, given = importlib.import_module("torch.nn.functional"), options(case)
        function = getattr(functional, name.format(d=case.rank))
        return lambda *arrays: function(*arrays, **given)

    return Native("torch", f"torch.nn.functional.{name}", build, reason)


def lowest_value(dtype: str) -> Any:
    """Return the identity of the maximum: the lowest value, or -inf."""
    kind = numpy_dtype(dtype)
    return kind.type(np.iinfo(kind).min if kind.kind in "iu" else -math.inf)
