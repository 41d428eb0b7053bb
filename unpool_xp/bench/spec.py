"""What the harness has to know of an operation, and the arguments that all of them share.

The specs themselves are in `specs_pooling`, `specs_unpooling` and `specs_convolution`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from unpool_xp import reference
from unpool_xp.bench.photo import NDArray, feature_map, numpy_dtype

Layout: TypeAlias = dict[str, tuple[tuple[int, ...], str]]  # name -> shape, dtype
Planes: TypeAlias = list[int]
Rows: TypeAlias = tuple[int, int]  # from, to

SIZES = ("kernel", "stride", "padding")


@dataclass(frozen=True)
class Parameters:
    """The arguments of an operation on one shape; `cases.Case` is the one that checks them."""

    operation: str
    shape: tuple[int, ...]
    kernel: tuple[int, ...] | None = None
    stride: tuple[int, ...] | None = None
    padding: tuple[int, ...] | None = None
    scale: tuple[float, ...] | None = None
    out_channels: int | None = None
    dtype: str = "float32"

    @property
    def rank(self) -> int:
        """On how many trailing axes the operation acts."""
        sizes = self.scale if self.kernel is None else self.kernel
        return len(sizes or ())

    @property
    def lead(self) -> tuple[int, ...]:
        """The axes before those of the plane."""
        return self.shape[: len(self.shape) - self.rank]

    @property
    def plane(self) -> tuple[int, ...]:
        """The trailing axes that the operation acts on."""
        return self.shape[len(self.shape) - self.rank :]

    @property
    def taps(self) -> int:
        """How many elements a window has."""
        return math.prod(self.kernel or ())

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The padding before and after each axis."""
        return tuple((p, p) for p in self.padding or (0,) * self.rank)


def no_bytes(case: Parameters) -> int:
    """Return that an operation needs no large copies of its own."""
    return 0


def one_step(case: Parameters) -> float:
    """Return that a plane takes part in a step of the oracle with one element."""
    return 1


def no_rounding(case: Parameters) -> float:
    """Return that values are as exact as their dtype lets them be."""
    return 0


@dataclass(frozen=True)
class OperationSpec:
    """All that the harness has to know of an operation."""

    function: Callable[..., Any]
    needs: tuple[str, ...]  # fields of Parameters
    takes: tuple[str, ...]
    inputs: Callable[[Parameters], Layout]
    outputs: Callable[[Parameters], Layout]  # makes the plan, which checks the sizes
    make: Callable[[Parameters], dict[str, NDArray]]
    options: Callable[[Parameters], dict[str, Any]]
    flops: Callable[[Parameters], int]
    # The right outputs, shape (len(planes), *spatial): some planes, by their number among all the
    # planes of the output, and of each some rows of the first spatial axis.
    oracle: Callable[[Parameters, dict[str, NDArray], Planes, Rows], tuple[NDArray, ...]]
    steps: Callable[[Parameters], float]  # of the oracle's innermost loop, for whole planes
    work: Callable[[Parameters], float] = one_step  # elements of a plane in a step
    working_bytes: Callable[[Parameters], int] = no_bytes  # of copies between input and output
    exact: bool = True  # moves values, computes none
    rounding: Callable[[Parameters], float] = no_rounding  # more of it, relative to the largest
    kinds: str = "fiu"  # of dtype, as NumPy's letters


# --- what specs are made of ----------------------------------------------------------------------


def total_bytes(layout: Layout) -> int:
    """Return the bytes of all the arrays."""
    return sum(math.prod(shape) * numpy_dtype(dtype).itemsize for shape, dtype in layout.values())


def given(sizes: tuple[Any, ...] | None) -> tuple[Any, ...]:
    """Return sizes that the case is known to have."""
    assert sizes is not None  # Case.validate has seen to it
    return sizes


def x_alone(case: Parameters) -> Layout:
    """Return the inputs of an operation on one array."""
    return {"x": (case.shape, case.dtype)}


def photo_x(case: Parameters) -> dict[str, NDArray]:
    """Return a feature map as the one input."""
    return {"x": feature_map(case.shape, case.dtype, rank=case.rank)}


def single(case: Parameters) -> str:
    """Return the dtype to make half precision from: NumPy computes with no bfloat16."""
    return case.dtype if numpy_dtype(case.dtype).kind in "iu" else "float32"


def window_options(case: Parameters) -> dict[str, Any]:
    """Return the options of an operation on windows."""
    padding = {} if case.padding is None else {"padding": case.padding}
    return {"kernel_size": case.kernel, "stride": case.stride, **padding}


def scale_option(case: Parameters) -> dict[str, Any]:
    """Return the options of an operation that takes a factor alone."""
    return {"scale_factor": case.scale}


def pick(array: NDArray, rank: int, planes: Planes) -> NDArray:
    """Return some of the planes of the last `rank` axes, in one leading axis, in 64 bits."""
    return wide(array.reshape(-1, *array.shape[array.ndim - rank :])[planes])


def wide(array: NDArray) -> NDArray:
    """Return an array in 64 bits."""
    return array.astype(np.int64 if array.dtype.kind in "iu" else np.float64)


def linear_rows(case: Parameters, x: NDArray, rows: Rows, coordinates: str) -> NDArray:
    """Return some rows of the linear interpolation of planes, shape (planes, *spatial)."""
    factor = given(case.scale)
    # The axes are apart: the first one whole, and only the wanted rows of it go on.
    columns = np.moveaxis(x, 1, -1)
    first = reference.linear_unpool(columns, scale_factor=factor[:1], coordinates=coordinates)
    x = np.moveaxis(first[..., rows[0] : rows[1]], -1, 1)
    if case.rank == 1:
        return x
    return reference.linear_unpool(x, scale_factor=factor[1:], coordinates=coordinates)
