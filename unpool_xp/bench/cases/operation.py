"""What the harness needs to know about an operation, and about a library's own way to do it.

The operations themselves are plugins, as `bench.catalog` is one.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from unpool_xp.bench.cases.inputs import NDArray, feature_map, numpy_dtype
from unpool_xp.bench.cases.native import Native, output_names
from unpool_xp.bench.cases.parameter import Parameter

if TYPE_CHECKING:
    from unpool_xp.bench.cases.case import Case

Arrays: TypeAlias = dict[str, NDArray]
Layout: TypeAlias = dict[str, tuple[tuple[int, ...], str]]  # name -> shape, dtype
Outputs: TypeAlias = tuple[NDArray, ...]
Planes: TypeAlias = list[int]
RowRange: TypeAlias = tuple[int, int]  # from, to

KERNEL = Parameter(help="Kernel size, e.g. 2 or 3,2.", per_axis=True, required=True, letter="k")
STRIDE = Parameter(
    help="Default: the kernel.", per_axis=True, default=lambda given: given["kernel"], letter="s"
)
PADDING = Parameter(help="Default: none.", per_axis=True, default=0, letter="p")
SCALE = Parameter(
    help="Output size over input size.", kind=float, per_axis=True, required=True, letter="f"
)
OUTPUT_SIZE = Parameter(
    help="Of the plane that was pooled. Default: the smallest.", per_axis=True, letter="o"
)
WINDOW = {"kernel": KERNEL, "stride": STRIDE, "padding": PADDING}


@functools.cache
def operations() -> Mapping[str, Operation]:
    """Return the operations by name, of all installed packages that offer some: ours is one."""
    found: dict[str, Operation] = {}
    for point in entry_points(group="unpool_xp.operations"):
        found |= point.load()
    return found


def _sizes_as_options(case: Case) -> dict[str, Any]:
    names = {"kernel": "kernel_size", "scale": "scale_factor"}
    return {names.get(name, name): value for name, value in case.parameters.items()}


def _rank_of_sizes(case: Case) -> int:
    """Return how many sizes the first parameter has that has one an axis."""
    for name, parameter in case.definition.parameters.items():
        if parameter.per_axis:
            return len(case.parameters[name])
    return 0


def _made_inputs(case: Case) -> Arrays:
    weights = case.definition.make_weights(case)
    return {"x": feature_map(case.shape, case.dtype, rank=case.rank), **weights}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """Everything the harness needs to know about an operation."""

    function: Callable[..., Any]
    natives: tuple[Native, ...] = ()  # what the libraries themselves offer for it
    natives_of: Callable[[Case], Sequence[Native]] = lambda case: ()  # more, for this case alone
    parameters: Mapping[str, Parameter]  # of a case
    inputs: Callable[[Case], Layout] = lambda case: {"x": (case.shape, case.dtype)}
    outputs: Callable[[Case], Layout]  # makes the plan, which checks the sizes
    make_weights: Callable[[Case], Arrays] = lambda case: {}  # the inputs after a feature map
    make_inputs: Callable[[Case], Arrays] = _made_inputs
    options: Callable[[Case], dict[str, Any]] = _sizes_as_options
    flops: Callable[[Case], int] = lambda case: 0
    # Those of the gradients alone. What is linear in each of its inputs takes as many for each.
    gradient_flops: Callable[[Case], int] = lambda case: (
        len(case.gradients) * case.definition.flops(case)
    )
    # The expected outputs, shape (len(planes), *spatial), for the given planes of the output
    # (numbered over all leading axes) and the given rows of the first spatial axis.
    expected: Callable[[Case, Arrays, Planes, RowRange], Outputs]
    reference_steps: Callable[[Case], float]  # of its innermost loop, for whole planes
    work_per_step: Callable[[Case], float] = lambda case: 1  # elements of a plane in a step
    # The gradients by the floating-point inputs, in their order, in float64, of all arrays in 64
    # bits, cotangents last. None: they are checked by finite differences along some directions.
    gradients: Callable[[Case, Arrays], Outputs | None] = lambda case, arrays: None
    # What is compared of gradients: where one of several elements has it, no matter which, their
    # sum at the first of them.
    merge_gradients: Callable[[Case, Arrays, Outputs], Outputs] = lambda case, arrays, gradients: (
        gradients
    )
    working_bytes: Callable[[Case], int] = lambda case: 0  # of copies from input to output
    exact: bool = True  # moves values, computes none
    extra_tolerance: Callable[[Case], float] = lambda case: 0  # relative to the largest
    dtype_kinds: str = "fiu"  # of dtype, as NumPy's letters
    rank: Callable[[Case], int] = _rank_of_sizes  # how many trailing axes it acts on
    # The cases of single operations that it does one after another.
    parts: Callable[[Case], Sequence[Case]] = lambda case: (case,)
    # For each part, the names of the arrays that it takes and makes, in lines of Python where the
    # inputs have their names, and the last outputs those of `output_names`.
    names: Callable[[Case], Sequence[tuple[Sequence[str], Sequence[str]]]] = lambda case: (
        (list(case.forward.inputs), output_names(case)),
    )


def total_bytes(layout: Layout) -> int:
    """Return the bytes of all the arrays."""
    return sum(math.prod(shape) * numpy_dtype(dtype).itemsize for shape, dtype in layout.values())


def compute_dtype(case: Case) -> str:
    """Return the dtype to compute in: NumPy cannot compute in bfloat16."""
    return case.dtype if numpy_dtype(case.dtype).kind in "iu" else "float32"


def select_planes(array: NDArray, rank: int, planes: Planes) -> NDArray:
    """Select planes (the last `rank` axes), stack them on one leading axis, cast to 64 bits."""
    return to_64_bit(array.reshape(-1, *array.shape[array.ndim - rank :])[planes])


def to_64_bit(array: NDArray) -> NDArray:
    """Return an array in 64 bits."""
    return array.astype(np.int64 if array.dtype.kind in "iu" else np.float64)
