"""What is measured: a case, and the table of operations.

A new operation is one entry in `OPERATIONS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeAlias

import numpy as np

import unpool_xp
from unpool_xp import _geometry, _resize
from unpool_xp.bench import reference
from unpool_xp.bench.photo import NDArray, feature_map, numpy_dtype

Layout: TypeAlias = dict[str, tuple[tuple[int, ...], str]]  # name -> shape, dtype
Planes: TypeAlias = list[int]
Rows: TypeAlias = tuple[int, int]  # from, to

_SIZES = ("kernel", "stride", "padding")


@dataclass(frozen=True)
class Case:
    """One operation on one shape.

    Parameters
    ----------
    operation : str
        A name in `OPERATIONS`.
    shape : tuple of int
        Of the operation's first array.
    kernel, stride, padding : tuple of int, optional
        One entry a spatial axis; an int stands for every axis after the first two. The stride
        is the kernel where it is left out.
    scale : tuple of float, optional
        Output size over input size.
    out_channels : int, optional
        Of a transposed convolution.
    dtype : str, optional
        Of the values.

    Raises
    ------
    ValueError
        If an argument cannot be; the message names it and its value.

    Examples
    --------
    >>> from unpool_xp.bench.cases import Case
    >>> Case("max_pool", (1, 8, 32, 32), kernel=2).name
    'max_pool-1x8x32x32-k2x2-s2x2-float32'
    """

    operation: str
    shape: tuple[int, ...]
    kernel: tuple[int, ...] | None = None
    stride: tuple[int, ...] | None = None
    padding: tuple[int, ...] | None = None
    scale: tuple[float, ...] | None = None
    out_channels: int | None = None
    dtype: str = "float32"

    def __post_init__(self) -> None:
        def settle(name: str, value: object) -> None:
            object.__setattr__(self, name, value)  # frozen from here on

        shape: Any = self.shape
        if not isinstance(shape, tuple | list) or not all(type(n) is int and n > 0 for n in shape):
            raise ValueError(f"Case: shape={shape!r} must be a tuple of ints >= 1")
        settle("shape", tuple(shape))
        for name in (*_SIZES, "scale"):
            value: Any = getattr(self, name)
            if isinstance(value, int | float):
                value = (value,) * (len(self.shape) - 2)
            if value is not None:
                allowed = int | float if name == "scale" else int
                if not all(isinstance(n, allowed) and not isinstance(n, bool) for n in value):
                    raise ValueError(f"Case: {name}={value!r} must be numbers, one an axis")
                settle(name, tuple(value))
        if self.kernel is not None and self.stride is None:
            settle("stride", self.kernel)
        if self.padding is not None and not any(self.padding):
            settle("padding", None)
        self.validate()

    def validate(self) -> None:
        """Raise a ValueError that names the argument that cannot be, and its value."""
        if self.operation not in OPERATIONS:
            known = ", ".join(OPERATIONS)
            raise ValueError(f"Case: unknown operation {self.operation!r}; known: {known}")
        takes = self._spec.takes
        for name in (*_SIZES, "scale", "out_channels"):
            value = getattr(self, name)
            if value is not None and name not in takes:
                raise ValueError(
                    f"Case: {name}={value!r} is not for {self.operation}, which takes "
                    + ", ".join(takes)
                )
        for name in self._spec.needs:
            if getattr(self, name) is None:
                raise ValueError(f"Case: {name}=None; {self.operation} needs it")
        if numpy_dtype(self.dtype).kind not in self._spec.kinds and self.dtype != "bfloat16":
            raise ValueError(f"Case: dtype={self.dtype!r} is not one that {self.operation} takes")
        try:
            self._spec.outputs(self)  # makes the plan, which checks the sizes
        except TypeError as error:
            raise ValueError(str(error)) from error

    @property
    def _spec(self) -> OperationSpec:
        return OPERATIONS[self.operation]

    @property
    def rank(self) -> int:
        """On how many trailing axes the operation acts."""
        sizes = self.scale if self.kernel is None else self.kernel
        return len(sizes or ())

    @property
    def name(self) -> str:
        """A stable, readable name."""
        parts = [self.operation, "x".join(map(str, self.shape))]
        for letter, size in zip("kspf", (self.kernel, self.stride, self.padding, self.scale)):  # noqa: B905
            if size is not None:
                parts.append(letter + "x".join(f"{n:g}" for n in size))
        if self.out_channels is not None:
            parts.append(f"c{self.out_channels}")
        return "-".join([*parts, self.dtype])

    def to_json(self) -> dict[str, Any]:
        """Return the case as plain lists, numbers and strings."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Case:
        """Return the case of `to_json`; a ValueError where it is none."""
        unknown = set(data) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"Case: unknown fields {sorted(unknown)}")
        try:
            given: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
            return cls(**given)
        except TypeError as error:
            raise ValueError(f"Case: {error}") from error

    def arrays(self) -> dict[str, NDArray]:
        """Return the inputs on the host, in the order of the arguments."""
        return self._spec.make(self)

    def options(self) -> dict[str, Any]:
        """Return the keyword options of the portable call."""
        return self._spec.options(self)

    @property
    def outputs(self) -> Layout:
        """The shape and the dtype of each output."""
        return self._spec.outputs(self)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the first output."""
        return next(iter(self.outputs.values()))[0]

    @property
    def bytes_moved(self) -> int:
        """Inputs read once, outputs written once."""
        return _bytes(self._spec.inputs(self)) + _bytes(self.outputs)

    @property
    def flops(self) -> int:
        """Additions, multiplications and comparisons of values."""
        return self._spec.flops(self)

    @property
    def needed_bytes(self) -> int:
        """An estimate for one process: inputs and outputs on host and device, working copies."""
        return 2 * _bytes(self._spec.inputs(self)) + 5 * _bytes(self.outputs)


@dataclass(frozen=True)
class OperationSpec:
    """All that the harness has to know of an operation."""

    function: Callable[..., Any]
    needs: tuple[str, ...]  # fields of Case
    takes: tuple[str, ...]
    inputs: Callable[[Case], Layout]
    outputs: Callable[[Case], Layout]
    make: Callable[[Case], dict[str, NDArray]]
    options: Callable[[Case], dict[str, Any]]
    flops: Callable[[Case], int]
    # The right outputs, shape (len(planes), *spatial): some planes, by their number among all the
    # planes of the output, and of each some rows of the first spatial axis.
    oracle: Callable[[Case, dict[str, NDArray], Planes, Rows], tuple[NDArray, ...]]
    steps: Callable[[Case], float]  # of the oracle's innermost loop, for whole planes
    exact: bool = True  # moves values, computes none
    kinds: str = "fiu"  # of dtype, as NumPy's letters


def _bytes(layout: Layout) -> int:
    return sum(math.prod(shape) * numpy_dtype(dtype).itemsize for shape, dtype in layout.values())


def _x(case: Case) -> Layout:
    return {"x": (case.shape, case.dtype)}


def _photo_x(case: Case) -> dict[str, NDArray]:
    return {"x": feature_map(case.shape, case.dtype, rank=case.rank)}


def _windows(case: Case) -> dict[str, Any]:
    padding = {} if case.padding is None else {"padding": case.padding}
    return {"kernel_size": case.kernel, "stride": case.stride, **padding}


def _scale(case: Case) -> dict[str, Any]:
    return {"scale_factor": case.scale}


def _padding_pairs(case: Case) -> tuple[tuple[int, int], ...]:
    return tuple((p, p) for p in case.padding or (0,) * case.rank)


def _lead(case: Case) -> tuple[int, ...]:
    return case.shape[: len(case.shape) - case.rank]


def _given(sizes: tuple[Any, ...] | None) -> tuple[Any, ...]:
    assert sizes is not None  # Case.validate has seen to it
    return sizes


def _taps(case: Case) -> int:
    return math.prod(case.kernel or ())


def _plane(layout: Layout, case: Case) -> int:
    """Return the number of elements in a plane of the first output."""
    shape, _ = next(iter(layout.values()))
    return math.prod(shape[len(shape) - case.rank :])


def pick(array: NDArray, rank: int, planes: Planes) -> NDArray:
    """Return some of the planes of the last `rank` axes, in one leading axis, in 64 bits."""
    some = array.reshape(-1, *array.shape[array.ndim - rank :])[planes]
    return some.astype(np.int64 if array.dtype.kind in "iu" else np.float64)


# --- max_pool ------------------------------------------------------------------------------------


def _pooled(case: Case) -> tuple[int, ...]:
    options = {"padding": 0, **_windows(case), "dilation": 1, "ceil_mode": False}
    return (*_lead(case), *_geometry.windows("max_pool", case.shape, **options).output)


def _pool_oracle(
    case: Case, arrays: dict[str, NDArray], planes: Planes, rows: Rows
) -> tuple[NDArray, ...]:
    x = pick(arrays["x"], case.rank, planes)
    kernel, stride, pairs = _given(case.kernel), _given(case.stride), _padding_pairs(case)
    # What the windows of these rows meet; what of it is not there is padding.
    first = rows[0] * stride[0] - pairs[0][0]
    end = (rows[1] - 1) * stride[0] - pairs[0][0] + kernel[0]
    low, high = max(first, 0), min(end, x.shape[1])
    pairs = ((low - first, end - high), *pairs[1:])
    ones = (1,) * case.rank
    values, indices = reference.max_pool(x[:, low:high], kernel, stride, pairs, ones, False)
    return values, indices + low * math.prod(x.shape[2:])


# --- nearest_unpool ------------------------------------------------------------------------------


def _resized(case: Case) -> tuple[int, ...]:
    plan = _resize.resize(case.operation, case.shape, case.scale, None)
    return (*_lead(case), *(axis.output for axis in plan))


def _nearest_oracle(
    case: Case, arrays: dict[str, NDArray], planes: Planes, rows: Rows
) -> tuple[NDArray, ...]:
    x = pick(arrays["x"], case.rank, planes)
    factor = _given(case.scale)[0]
    # With a whole factor it may start at any row, otherwise at the first only.
    low = int(rows[0] // factor) if float(factor).is_integer() else 0
    high = min(math.ceil(rows[1] / factor) + 1, x.shape[1])
    found = reference.nearest_unpool(x[:, low:high], scale_factor=case.scale)
    skipped = int(low * factor)
    return (found[:, rows[0] - skipped : rows[1] - skipped],)


# --- max_unpool ----------------------------------------------------------------------------------


def _unpooled(case: Case) -> tuple[int, ...]:
    options = {"padding": 0, **_windows(case), "dilation": 1, "output_size": None}
    return (*_lead(case), *_geometry.unpooled_plane("max_unpool", case.shape, **options)[1])


def _pooled_photo(case: Case) -> dict[str, NDArray]:
    # Half precision is pooled in single: NumPy knows no bfloat16.
    dtype = case.dtype if numpy_dtype(case.dtype).kind in "iu" else "float32"
    x = feature_map(_unpooled(case), dtype, rank=case.rank)
    values, indices = unpool_xp.max_pool(x, **_windows(case))
    return {"values": values.astype(numpy_dtype(case.dtype)), "indices": indices.astype(np.int64)}


def _unpool_oracle(
    case: Case, arrays: dict[str, NDArray], planes: Planes, rows: Rows
) -> tuple[NDArray, ...]:
    values, indices = (pick(arrays[name], case.rank, planes) for name in ("values", "indices"))
    _, *others = _unpooled(case)[-case.rank :]
    before = _padding_pairs(case)[0][0]
    # The windows that reach into these rows; what they have elsewhere falls outside.
    low = max(-(-(rows[0] + before - _given(case.kernel)[0] + 1) // _given(case.stride)[0]), 0)
    high = (rows[1] - 1 + before) // _given(case.stride)[0] + 1
    plane = (rows[1] - rows[0], *others)
    places = indices[:, low:high] - rows[0] * math.prod(others)
    return (reference.max_unpool(values[:, low:high], places, plane, "any"),)


OPERATIONS: dict[str, OperationSpec] = {
    "max_pool": OperationSpec(
        function=unpool_xp.max_pool,
        needs=("kernel",),
        takes=_SIZES,
        inputs=_x,
        outputs=lambda c: {"values": (_pooled(c), c.dtype), "indices": (_pooled(c), "int64")},
        make=_photo_x,
        options=_windows,
        flops=lambda c: math.prod(_pooled(c)) * (_taps(c) - 1),
        oracle=_pool_oracle,
        steps=lambda c: _plane(c.outputs, c) * _taps(c),
    ),
    "max_unpool": OperationSpec(
        function=unpool_xp.max_unpool,
        needs=("kernel",),
        takes=_SIZES,
        inputs=lambda c: {"values": (c.shape, c.dtype), "indices": (c.shape, "int64")},
        outputs=lambda c: {"unpooled": (_unpooled(c), c.dtype)},
        make=_pooled_photo,
        options=_windows,
        flops=lambda c: 0,
        oracle=_unpool_oracle,
        steps=lambda c: math.prod(c.shape[-c.rank :]),
    ),
    "nearest_unpool": OperationSpec(
        function=unpool_xp.nearest_unpool,
        needs=("scale",),
        takes=("scale",),
        inputs=_x,
        outputs=lambda c: {"unpooled": (_resized(c), c.dtype)},
        make=_photo_x,
        options=_scale,
        flops=lambda c: 0,
        oracle=_nearest_oracle,
        steps=lambda c: _plane(c.outputs, c) / 3,  # a cheap step
    ),
}
