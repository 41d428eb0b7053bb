"""What is measured: one operation on one shape, on a backend in a mode."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from unpool_xp.bench.cases.formatting import sizes_text, threads_text
from unpool_xp.bench.cases.inputs import numpy_dtype
from unpool_xp.bench.cases.native import Native
from unpool_xp.bench.cases.operation import (
    SIZE_FIELDS,
    Arrays,
    Layout,
    Operation,
    operations,
    total_bytes,
)

_MAX_COUNT = 2**63 - 1  # of bytes or operations, in a row


@dataclass(frozen=True)
class Case:
    """One operation on one shape.

    Parameters
    ----------
    operation : str
        One of `operations`.
    shape : tuple of int
        Shape of the operation's first array.
    kernel, stride, padding : tuple of int, optional
        One entry per spatial axis; an int applies to every axis after the first two. The
        stride defaults to the kernel.
    scale : tuple of float, optional
        Output size over input size.
    out_channels : int, optional
        Of a transposed convolution.
    dtype : str, optional
        Of the values.

    Raises
    ------
    ValueError
        If an argument is invalid; the message names it and its value.

    Examples
    --------
    >>> from unpool_xp.bench.cases.case import Case
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
        def set_field(name: str, value: object) -> None:
            object.__setattr__(self, name, value)  # frozen from here on

        shape: Any = self.shape
        if not isinstance(shape, tuple | list) or not all(type(n) is int and n > 0 for n in shape):
            raise ValueError(f"Case: shape={shape!r} must be a tuple of ints >= 1")
        set_field("shape", tuple(shape))
        for name in (*SIZE_FIELDS, "scale"):
            value: Any = getattr(self, name)
            if isinstance(value, int | float):
                value = (value,) * (len(self.shape) - 2)
            if value is not None:
                allowed = int | float if name == "scale" else int
                if not all(isinstance(n, allowed) and not isinstance(n, bool) for n in value):
                    raise ValueError(f"Case: {name}={value!r} must be numbers, one an axis")
                set_field(name, tuple(value))
        if self.operation not in operations():
            raise ValueError(
                f"Case: unknown operation {self.operation!r}; known: {', '.join(operations())}"
            )
        if self.kernel is not None and self.stride is None and "stride" in self.definition.takes:
            set_field("stride", self.kernel)
        if self.padding is not None and not any(self.padding):
            set_field("padding", None)
        self.validate()

    def validate(self) -> None:
        """Raise a ValueError that names the invalid argument and its value."""
        takes = self.definition.takes
        for name in (*SIZE_FIELDS, "scale", "out_channels"):
            value = getattr(self, name)
            if value is not None and name not in takes:
                raise ValueError(
                    f"Case: {name}={value!r} is not for {self.operation}, which takes "
                    + ", ".join(takes)
                )
        for name in self.definition.needs:
            if getattr(self, name) is None:
                raise ValueError(f"Case: {name}=None; {self.operation} needs it")
        channels: Any = self.out_channels
        if channels is not None and (type(channels) is not int or channels < 1):
            raise ValueError(f"Case: out_channels={channels!r} must be an int >= 1")
        if (
            numpy_dtype(self.dtype).kind not in self.definition.dtype_kinds
            and self.dtype != "bfloat16"
        ):
            raise ValueError(f"Case: dtype={self.dtype!r} is not one that {self.operation} takes")
        try:
            self.definition.outputs(self)  # makes the plan, which checks the sizes
        except TypeError as error:
            raise ValueError(str(error)) from error
        if max(self.bytes_moved, self.flops) > _MAX_COUNT:
            raise ValueError(f"Case: shape={self.shape} is too large: no row can hold its bytes")

    @property
    def definition(self) -> Operation:
        """What describes the operation."""
        return operations()[self.operation]

    @property
    def rank(self) -> int:
        """Number of trailing axes that the operation acts on."""
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
    def window_size(self) -> int:
        """Number of elements in a window."""
        return math.prod(self.kernel or ())

    @property
    def padding_pairs(self) -> tuple[tuple[int, int], ...]:
        """Padding before and after, for each axis."""
        return tuple((p, p) for p in self.padding or (0,) * self.rank)

    @property
    def name(self) -> str:
        """A stable, readable name."""
        return "-".join([*name_parts(self), self.dtype])

    @property
    def short_name(self) -> str:
        """The name without the dtype and with one number for equal sizes of the axes."""
        return " ".join(name_parts(self, brief=True))

    def to_json(self) -> dict[str, Any]:
        """Return the case as plain lists, numbers and strings."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Case:
        """Rebuild a case from `to_json`; raise a ValueError if the data is invalid."""
        unknown = set(data) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"Case: unknown fields {sorted(unknown)}")
        try:
            values: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"Case: {error}") from error

    def natives(self, library: str) -> list[Native]:
        """Return what a library itself has for the operation, for this case or not."""
        return [native for native in self.definition.natives if native.library == library]

    def find_native(self, library: str, name: str) -> Native:
        """Return the native of that name; raise a ValueError that lists those there are."""
        by_name = {native.name(self): native for native in self.natives(library)}
        if name not in by_name:
            known = ", ".join(by_name) or "none"
            raise ValueError(
                f"{library} has no native {name!r} for {self.operation}; known: {known}"
            )
        return by_name[name]

    def arrays(self) -> Arrays:
        """Return the inputs on the host, in the order of the arguments."""
        return self.definition.make_inputs(self)

    def options(self) -> dict[str, Any]:
        """Return the keyword options of the portable call."""
        return self.definition.options(self)

    @property
    def inputs(self) -> Layout:
        """The shape and the dtype of each input."""
        return self.definition.inputs(self)

    @property
    def outputs(self) -> Layout:
        """The shape and the dtype of each output."""
        return self.definition.outputs(self)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the first output."""
        return next(iter(self.outputs.values()))[0]

    @property
    def output_plane(self) -> tuple[int, ...]:
        """The trailing axes of the outputs."""
        return self.output_shape[len(self.output_shape) - self.rank :]

    @property
    def bytes_moved(self) -> int:
        """Inputs read once, outputs written once."""
        return total_bytes(self.inputs) + total_bytes(self.outputs)

    @property
    def flops(self) -> int:
        """Additions, multiplications and comparisons of values."""
        return self.definition.flops(self)

    @property
    def needed_bytes(self) -> int:
        """An estimate for one process: inputs and outputs on host and device, working copies."""
        arrays = 2 * total_bytes(self.inputs) + 5 * total_bytes(self.outputs)
        return arrays + self.definition.working_bytes(self)


def name_parts(case: Any, *, brief: bool = False) -> list[str]:
    """Return the parts of the name of a case, or of anything that has the fields of one.

    `brief` makes one number of equal sizes of the axes.
    """
    parts = [case.operation, sizes_text(case.shape)]
    sizes = (case.kernel, case.stride, case.padding, case.scale)
    for letter, size in zip("kspf", sizes, strict=True):
        if size is not None:
            alike = brief and len(set(size)) == 1
            parts.append(letter + sizes_text(size[:1] if alike else size))
    if case.out_channels is not None:
        parts.append(f"c{case.out_channels}")
    return parts


@dataclass(frozen=True)
class BackendMode:
    """A backend and how functions run on it, such as "torch:cpu" or "jax:cpu compiled 2 threads".

    Parameters
    ----------
    label : str
        The backend, as `unpool_xp.backends` labels it.
    mode : {"eager", "compiled"}, optional
        How functions run.
    threads : int, optional
        The number of threads that was chosen. Default: none was.

    Examples
    --------
    >>> from unpool_xp.bench.cases.case import BackendMode
    >>> BackendMode.parse("jax:cpu/compiled")
    BackendMode(label='jax:cpu', mode='compiled', threads=None)
    >>> str(BackendMode("torch:cpu"))
    'torch:cpu'
    """

    label: str
    mode: str = "eager"
    threads: int | None = None

    @classmethod
    def parse(cls, text: str, default: str = "eager") -> BackendMode:
        """Read "jax:cpu compiled" or "jax:cpu/compiled"; without a mode it is the default."""
        label, _, mode = text.replace("/", " ").partition(" ")
        if mode not in ("", "eager", "compiled"):
            raise ValueError(f"unknown mode {mode!r} in {text!r}; known: eager, compiled")
        return cls(label, mode or default)

    @property
    def library(self) -> str:
        """The library's name, "torch" for "torch:cpu"."""
        return self.label.partition(":")[0]

    @property
    def details(self) -> str:
        """All but the label, such as "compiled 2 threads"; empty for the default."""
        mode = "" if self.mode == "eager" else self.mode
        return f"{mode}{threads_text(self.threads)}".strip()

    def __str__(self) -> str:
        return f"{self.label} {self.details}".strip()
