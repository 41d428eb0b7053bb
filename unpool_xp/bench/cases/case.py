"""What is measured: one operation on one shape, on a backend in a mode."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from unpool_xp.bench.cases import gradients
from unpool_xp.bench.cases.formatting import sizes_text, threads_text
from unpool_xp.bench.cases.inputs import input_layout, make_arrays, numpy_dtype
from unpool_xp.bench.cases.loading import operations
from unpool_xp.bench.cases.native import Native
from unpool_xp.bench.cases.operation import Arrays, Layout, Operation, output_layout, total_bytes
from unpool_xp.bench.cases.parameter import Parameter, check_parameters
from unpool_xp.capabilities import LIBRARIES, Library, why_not

MODES = ("eager", "fused", "compiled")  # fused: eager under ``set_fusion("auto")``
_MAX_COUNT = 2**63 - 1  # of bytes or operations, in a row


@dataclass(frozen=True, init=False)
class Case:
    """One operation on one shape.

    Parameters
    ----------
    operation : str or Operation
        One of `operations`, or any other itself.
    shape : tuple of int
        Shape of the operation's first array.
    dtype : str, optional
        Of the values.
    backward : bool, optional
        Whether the gradients by all floating-point inputs are computed as well. What arrives at the
        outputs, the cotangent, is then one more input, and the gradients are more outputs.
    **parameters
        Those of the operation, such as ``kernel=2`` or ``scale=(2, 1.5)``; one number for every
        axis after the first two, or one per axis. They are attributes of the case, too; where they
        are left out, those with one number per axis are None, others have their default.

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
    dtype: str
    backward: bool
    parameters: Mapping[str, Any] = field(hash=False)

    def __init__(
        self,
        operation: str | Operation,
        shape: tuple[int, ...],
        *,
        dtype: str = "float32",
        backward: bool = False,
        **parameters: Any,
    ) -> None:
        if not isinstance(shape, tuple | list) or not all(type(n) is int and n > 0 for n in shape):
            raise ValueError(f"Case: shape={shape!r} must be a tuple of ints >= 1")
        known = operations() if isinstance(operation, str) else {operation.name: operation}
        name = operation if isinstance(operation, str) else operation.name
        if name not in known:
            raise ValueError(f"Case: unknown operation {name!r}; known: {', '.join(known)}")
        checked = check_parameters(name, known[name].parameters, len(shape) - 2, parameters)
        fields = (name, tuple(shape), dtype, backward, MappingProxyType(checked))
        for one, value in zip(self.__dataclass_fields__, fields, strict=True):
            object.__setattr__(self, one, value)  # frozen from here on
        object.__setattr__(self, "_definition", known[name])
        self._validate()

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping that is read-only, and the functions of an operation, cannot be pickled.
        return Case.from_json, (self.to_json(),)

    def __getattr__(self, name: str) -> Any:
        # Only what is no field comes here; while a copy is made there are no fields yet.
        if name.startswith("_") or name not in self.definition.parameters:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        known = self.definition.parameters[name]
        return (self.parameters if known.per_axis else self.all_parameters).get(name)

    def _validate(self) -> None:
        """Raise a ValueError that names the invalid argument and its value."""
        if (
            numpy_dtype(self.dtype).kind not in self.definition.dtype_kinds
            and self.dtype != "bfloat16"
        ):
            raise ValueError(f"Case: dtype={self.dtype!r} is not one that {self.operation} takes")
        if self.definition.output_layout is not None:
            try:
                self.definition.output_layout(self)  # makes the plan, which checks the sizes
            except TypeError as error:
                raise ValueError(str(error)) from error
        if self.backward and not self.definition.backward:
            raise ValueError(f"Case: backward=True: {self.operation} has no gradient")
        if self.backward and not self.gradients:
            raise ValueError(
                f"Case: backward=True: {self.operation} of {self.dtype} has no gradient; only "
                "floating-point values have one"
            )
        if self.definition.output_layout and max(self.bytes_moved, self.flops) > _MAX_COUNT:
            raise ValueError(f"Case: shape={self.shape} is too large: no row can hold its bytes")

    def replace(self, **changes: Any) -> Case:
        """Return the case with other fields or parameters; None leaves a parameter out."""
        given = {name: getattr(self, name) for name in ("shape", "dtype", "backward")}
        given |= {"operation": self.definition, **self.parameters}
        return Case(**given | changes)

    @property
    def pass_(self) -> Literal["forward", "backward"]:
        """What is computed: the outputs, or the gradients as well."""
        return "backward" if self.backward else "forward"

    @property
    def forward(self) -> Case:
        """The same case without the gradients."""
        return self.replace(backward=False) if self.backward else self

    @property
    def definition(self) -> Operation:
        """What describes the operation."""
        found: Operation = self._definition
        return found

    @property
    def all_parameters(self) -> dict[str, Any]:
        """The parameters with those that are left out, at their defaults."""
        known, axes = self.definition.parameters, len(self.shape) - 2
        left_out = {
            name: parameter.check(name, parameter.default, axes)
            for name, parameter in known.items()
            if parameter.default is not None and not callable(parameter.default)
        }
        given = left_out | dict(self.parameters)
        return {name: given[name] for name in known if name in given}

    @property
    def rank(self) -> int:
        """Number of trailing axes that the operation acts on."""
        return self.definition.rank(self)

    @property
    def parts(self) -> Sequence[Case]:
        """The cases of single operations that it is made of; itself, if it is one."""
        return self.definition.parts(self)

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
        return math.prod(self.kernel)

    @property
    def padding_pairs(self) -> tuple[tuple[int, int], ...]:
        """Padding before and after, for each axis."""
        return tuple((p, p) for p in self.padding or (0,) * self.rank)

    @property
    def name(self) -> str:
        """A stable, readable name."""
        return case_text(self.definition, self.shape, self.parameters, self.dtype, self.pass_)

    @property
    def short_name(self) -> str:
        """The name without the dtype and with one number for equal sizes of the axes."""
        return " ".join(_name_parts(self.definition, self.shape, self.parameters, brief=True))

    def to_json(self) -> dict[str, Any]:
        """Return the case as plain lists, numbers and strings: the fields of a row."""
        given = _CaseFields(
            self.operation, self.shape, self.dtype, self.pass_, dict(self.parameters)
        )
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(given))
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Case:
        """Rebuild a case from `to_json`; raise a ValueError if the data is invalid."""
        try:
            given = msgspec.convert(data, _CaseFields)
        except msgspec.ValidationError as error:
            raise ValueError(f"Case: {error}") from error
        return cls(
            given.operation,
            given.shape,
            dtype=given.dtype,
            backward=given.pass_ == "backward",
            **given.parameters,
        )

    def natives(self, library: str) -> list[Native]:
        """Return what a library itself has for the operation, for this case or not."""
        natives = (*self.definition.natives, *self.definition.natives_of(self))
        return [native for native in natives if native.library == library]

    def why_not(self, library: str) -> str | None:
        """Return why a library cannot do the case, or None where `capabilities` knows no reason."""
        if not self.definition.lazy and not LIBRARIES.get(library, Library()).reads_values:
            return f"{self.operation} does not run on lazy arrays"
        reasons = (
            why_not(part.operation, library, part.dtype, backward=self.backward)
            for part in self.parts
        )
        return next(filter(None, reasons), None)

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
        """Return the inputs on the host, in the order of the arguments; cotangents come last."""
        return make_arrays(self) | gradients.make_cotangents(self.cotangents)

    def options(self) -> dict[str, Any]:
        """Return the keyword options of the portable call."""
        return self.definition.options(self)

    @property
    def inputs(self) -> Layout:
        """The shape and the dtype of each input."""
        return self._input_layout | self.cotangents

    @property
    def cotangents(self) -> Layout:
        """The shape and the dtype of what arrives at each floating-point output in the backward."""
        return gradients.cotangent_layout(self._output_layout) if self.backward else {}

    @property
    def outputs(self) -> Layout:
        """The shape and the dtype of each output; gradients come last."""
        return self._output_layout | self.gradients

    @property
    def gradients(self) -> Layout:
        """The shape and the dtype of the gradient by each floating-point input."""
        return gradients.gradient_layout(self._input_layout) if self.backward else {}

    @property
    def _input_layout(self) -> Layout:
        known = self.definition.input_layout
        return input_layout(self.forward) if known is None else known(self)

    @property
    def _output_layout(self) -> Layout:
        known = self.definition.output_layout
        return output_layout(self.forward) if known is None else known(self)

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
        """Inputs read once, outputs written once, cotangents and gradients among them."""
        if self.definition.bytes_moved is not None:
            return int(self.definition.call("bytes_moved", self))
        return total_bytes(self.inputs) + total_bytes(self.outputs)

    @property
    def flops(self) -> int:
        """Additions, multiplications and comparisons of values."""
        operation = self.definition
        forward = int(operation.call("flops", self))
        return forward + (operation.gradient_flops(self) if self.backward else 0)

    @property
    def needed_bytes(self) -> int:
        """An estimate for one process: inputs and outputs on host and device, working copies."""
        if self.definition.output_layout is None:  # nothing is computed to find that out
            return 8 * math.prod(self.shape) * numpy_dtype(self.dtype).itemsize
        arrays = 2 * total_bytes(self.inputs) + 5 * total_bytes(self.outputs)
        working = self.definition.working_bytes(self)
        # What the forward keeps for the backward, and the gradients in float64 to check them.
        return arrays + working if not self.backward else 2 * (arrays + working)


def case_text(
    operation: str | Operation,
    shape: Sequence[int],
    parameters: Mapping[str, Any],
    dtype: str,
    pass_: str,
) -> str:
    """Return the name of a case, or of a row that has these fields."""
    parts = [*_name_parts(operation, shape, parameters), dtype]
    return "-".join([*parts, *(["backward"] if pass_ == "backward" else [])])


def _name_parts(
    operation: str | Operation,
    shape: Sequence[int],
    parameters: Mapping[str, Any],
    *,
    brief: bool = False,
) -> list[str]:
    """Return the parts of the name of a case; `brief` makes one number of equal sizes of axes."""
    definition = operations().get(operation) if isinstance(operation, str) else operation
    known = definition.parameters if definition else {}
    parts = [definition.name if definition else str(operation), sizes_text(shape)]
    for name, value in parameters.items():
        parameter = known.get(name) or Parameter(help="")
        parts.append(parameter.name_part(name, value, brief=brief))
    return list(filter(None, parts))


class _CaseFields(msgspec.Struct, forbid_unknown_fields=True, rename={"pass_": "pass"}):
    """The fields of a row that are of the case."""

    operation: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    pass_: Literal["forward", "backward"] = "forward"
    parameters: dict[str, Any] = {}


@dataclass(frozen=True)
class BackendMode:
    """A backend and how functions run on it, such as "torch:cpu" or "jax:cpu compiled 2 threads".

    Parameters
    ----------
    label : str
        The backend, as `unpool_xp.backends` labels it.
    mode : {"eager", "fused", "compiled"}, optional
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
        if mode not in ("", *MODES):
            raise ValueError(f"unknown mode {mode!r} in {text!r}; known: {', '.join(MODES)}")
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
