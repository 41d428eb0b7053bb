"""What the harness needs to know about an operation, and about a library's own way to do it.

The operations themselves are plugins, as `bench.catalog` is one.
"""

from __future__ import annotations

import functools
import keyword
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from unpool_xp.backends.files import module_title
from unpool_xp.backends.libraries import own_words
from unpool_xp.bench.cases.inputs import (
    NDArray,
    OperationError,
    feature_map,
    kinds_of,
    make_arrays,
    numpy_dtype,
)
from unpool_xp.bench.cases.native import Native, output_names
from unpool_xp.bench.cases.parameter import Parameter

if TYPE_CHECKING:
    from unpool_xp.bench.cases.case import Case

Arrays: TypeAlias = dict[str, NDArray]
Layout: TypeAlias = dict[str, tuple[tuple[int, ...], str]]  # name -> shape, dtype
Outputs: TypeAlias = tuple[NDArray, ...]
Planes: TypeAlias = list[int]
RowRange: TypeAlias = tuple[int, int]  # from, to
Shape: TypeAlias = tuple[int, ...]
Panel: TypeAlias = "Mapping[tuple[str | int, ...], Case]"

_NAME = re.compile(r"[A-Za-z]\w*")
_FIELDS = ("operation", "shape", "dtype", "backward")  # of a case
# Relative to the largest magnitude, for computed values.
TOLERANCE = {
    "float64": 1e-12,
    "float32": 1e-5,
    "float16": 4e-3,
    "bfloat16": 3e-2,
    "complex128": 1e-12,
    "complex64": 1e-5,
}

KERNEL = Parameter(help="Kernel size, e.g. 2 or 3,2.", per_axis=True, required=True, letter="k")
STRIDE = Parameter(
    help="Stride. Default: the kernel size.",
    per_axis=True,
    default=lambda given: given["kernel"],
    letter="s",
)
PADDING = Parameter(
    help="Padding on each side. Default: none.", per_axis=True, default=0, letter="p"
)
SCALE = Parameter(
    help="Factor, output size over input size.",
    kind=float,
    per_axis=True,
    required=True,
    letter="f",
)
OUTPUT_SIZE = Parameter(
    help="Size of the plane that was pooled. Default: the smallest.", per_axis=True, letter="o"
)
WINDOW = {"kernel": KERNEL, "stride": STRIDE, "padding": PADDING}


def sizes_as_options(case: Case) -> dict[str, Any]:
    """Return the parameters as the names that PyTorch has for them."""
    names = {"kernel": "kernel_size", "scale": "scale_factor"}
    return {names.get(name, name): value for name, value in case.parameters.items()}


def _rank_of_sizes(case: Case) -> int:
    """Return the length of the first parameter that has one size per axis."""
    for name, parameter in case.definition.parameters.items():
        if parameter.per_axis:
            return len(case.parameters[name])
    return 0


def feature_map_layout(case: Case) -> Layout:
    """Return the layout of one feature map."""
    return {"x": (case.shape, case.dtype)}


def usual_tolerance(case: Case) -> float:
    """Return how far what was computed in a dtype may be off, relative to the largest value."""
    return TOLERANCE.get(case.dtype, 0.0)


def no_tolerance(case: Case) -> float:
    """Return 0: the values are moved, not computed."""
    return 0.0


def _feature_map(
    shape: Shape, dtype: str, parameters: Mapping[str, Any], rng: np.random.Generator
) -> Arrays:
    axes = (len(value) for value in parameters.values() if isinstance(value, tuple))
    return {"x": feature_map(shape, dtype, rank=next(axes, None))}


@dataclass(frozen=True, kw_only=True, eq=False)
class Operation:
    """A function of arrays, and what the suite needs to know to check and to time it.

    A name, a function and what makes its inputs are enough. The operations of `unpool_xp` are
    described by it as well; the fields that are not listed here are for references that are too
    slow to run whole, and for gradients by a rule.

    Parameters
    ----------
    name : str
        What cases, rows and the command line call it.
    function : callable
        From arrays of any library, and the parameters by name, to an array or a tuple of arrays.
    parameters : mapping of str to Parameter, optional
        Those of a case, such as ``{"axis": Parameter(help="Axis.", default=0)}``; each is an
        option of the command line. Default: none.
    inputs : callable, optional
        ``inputs(shape, dtype, parameters, rng)`` returns an array of NumPy, or several as a tuple
        or by name. The generator is the same each time. Default: one feature map of a photograph.
    outputs : sequence of str, optional
        The names of what the function returns.
    reference : callable, optional
        Like the function, of NumPy's arrays in 64 bits: slow, obvious and independent. Default: the
        function itself on such arrays, which tells where a library differs from NumPy, and not
        whether NumPy is right.
    tolerance : callable, optional
        From a case to how far a value may be off, relative to the largest. Default: 1e-5 in
        float32, as other precisions have it. Integers are always exact.
    shapes : sequence of tuple of int, optional
        The shapes that are checked and measured where none is given.
    dtype_kinds : str, optional
        The kinds of dtypes of a case, as NumPy's letters. Default: "f", floating-point alone.
    flops : callable, optional
        From a case to the number of its additions, multiplications and comparisons. Default: 0.
    bytes_moved : callable, optional
        From a case to how many bytes are to be read and written. Default: all the inputs and all
        the outputs, once.
    natives : sequence of Native, optional
        What the libraries themselves offer for it.
    lazy, compiled, backward : bool, optional
        Whether it runs on lazy arrays, under a compiler, and has gradients. Default: it is tried.

    Raises
    ------
    OperationError
        If a field is not what it has to be; the message names it and its value.

    See Also
    --------
    unpool_xp.bench.load_operations : Finds operations in a file.

    Examples
    --------
    >>> import array_api_extra as xpx
    >>> from unpool_xp.bench import Case, Operation
    >>> cov = Operation(
    ...     name="cov",
    ...     function=xpx.cov,
    ...     inputs=lambda shape, dtype, parameters, rng: rng.standard_normal(shape).astype(dtype),
    ...     shapes=[(8, 1000)],
    ... )
    >>> cov.title
    'array_api_extra.cov'
    """

    name: str
    function: Callable[..., Any]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    inputs: Callable[[Shape, str, Mapping[str, Any], np.random.Generator], Any] = _feature_map
    outputs: Sequence[str] = ("y",)
    reference: Callable[..., Any] | None = None
    tolerance: Callable[[Case], float] = usual_tolerance
    shapes: Sequence[Shape] = ()
    dtype_kinds: str = "f"
    flops: Callable[[Case], int] = lambda case: 0
    bytes_moved: Callable[[Case], int] | None = None
    natives: Sequence[Native] = ()
    lazy: bool = True
    compiled: bool = True
    backward: bool = True

    natives_of: Callable[[Case], Sequence[Native]] = lambda case: ()  # more, for this case alone
    # The inputs and outputs of a case without making them. That of the outputs makes the plan,
    # which checks the sizes.
    input_layout: Callable[[Case], Layout] | None = None
    output_layout: Callable[[Case], Layout] | None = None
    # From a case to the options of the function. Default: all parameters.
    options: Callable[[Case], dict[str, Any]] = lambda case: case.all_parameters
    # Those of the gradients alone. What is linear in each of its inputs takes as many for each.
    gradient_flops: Callable[[Case], int] = lambda case: (
        len(case.gradients) * case.definition.flops(case)
    )
    # The expected outputs, shape (len(planes), *spatial), for the given planes of the output
    # (numbered over all leading axes) and the given rows of the first spatial axis. Default: the
    # whole of the reference.
    partial_reference: Callable[[Case, Arrays, Planes, RowRange], Outputs] | None = None
    reference_steps: Callable[[Case], float] = lambda case: 1  # of its innermost loop
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
    # The cases that commits are compared on, by what tells one from the others in their history.
    panel: Callable[[Operation], Panel] = lambda self: {(case.name,): case for case in self.cases()}
    rank: Callable[[Case], int] = _rank_of_sizes  # how many trailing axes it acts on
    parts: Callable[[Case], Sequence[Case]] = lambda case: (case,)  # of one operation, in a row
    # For each part, the names of the arrays that it takes and makes, in lines of Python where the
    # inputs have their names, and the last outputs those of `output_names`.
    names: Callable[[Case], Sequence[tuple[Sequence[str], Sequence[str]]]] = lambda case: (
        (list(case.forward.inputs), output_names(case)),
    )

    def __post_init__(self) -> None:
        self._require(isinstance(self.name, str) and _NAME.fullmatch(self.name), "name", "a word")
        for field_name in ("function", "inputs", "tolerance", "flops"):
            self._require(callable(getattr(self, field_name)), field_name, "callable")
        for field_name in ("shapes", "natives", "outputs"):
            is_sequence = isinstance(getattr(self, field_name), tuple | list)
            self._require(is_sequence, field_name, "a tuple or a list")
        for field_name in ("reference", "bytes_moved"):
            value = getattr(self, field_name)
            self._require(value is None or callable(value), field_name, "callable")
        kinds = isinstance(self.dtype_kinds, str) and set(self.dtype_kinds)
        self._require(kinds and kinds <= set("fiucb"), "dtype_kinds", "some of the letters fiucb")
        parameters = self.parameters
        self._require(
            isinstance(parameters, Mapping)
            and all(isinstance(one, Parameter) for one in parameters.values()),
            "parameters",
            "a mapping of names to Parameter",
        )
        for name, parameter in parameters.items():
            fine = name not in _FIELDS and name.isidentifier() and not keyword.iskeyword(name)
            self._require(fine, "parameters", f"of words other than {', '.join(_FIELDS)}")
            if parameter.default is not None and not callable(parameter.default):
                try:
                    parameter.check(name, parameter.default, 1)
                except ValueError as error:
                    said = str(error).removeprefix("Case: ")
                    raise OperationError(f"Operation: the default {said}") from error
        natives = all(isinstance(native, Native) for native in self.natives)
        self._require(natives, "natives", "a sequence of Native")
        for shape in self.shapes:
            sizes = isinstance(shape, tuple | list) and all(type(n) is int and n > 0 for n in shape)
            self._require(sizes, "shapes", "tuples of ints >= 1")

    def _require(self, fine: object, name: str, what: str) -> None:
        if not fine:
            raise OperationError(f"Operation: {name}={getattr(self, name)!r} must be {what}")

    def call(self, field_name: str, *arguments: Any) -> Any:
        """Call what a field has; whatever that raises becomes one line that names the field."""
        try:
            return getattr(self, field_name)(*arguments)
        except Exception as error:
            raise OperationError(f"{self.name}: {field_name} raised {own_words(error)}") from error

    @property
    def title(self) -> str:
        """The function as rows name it: the top of the package, and the operation's name."""
        return f"{self.module.partition('.')[0]}.{self.function_name}"

    @property
    def function_name(self) -> str:
        """The name of the function; of one that has none, that of the operation."""
        name = getattr(self.function, "__name__", "<lambda>")
        return self.name if name == "<lambda>" else name

    @property
    def module(self) -> str:
        """Where the function is imported from: as far up in its package as it is there."""
        module: str = getattr(self.function, "__module__", None) or "builtins"
        parts = module.split(".")
        parents = (".".join(parts[:n]) for n in range(1, len(parts)))
        name, function = self.function_name, self.function
        found = (one for one in parents if getattr(sys.modules.get(one), name, None) is function)
        return module_title(next(found, module))

    @property
    def default_dtype(self) -> str:
        """The dtype that it is measured in where none is given."""
        usual = {"f": "float32", "i": "int64", "u": "uint8", "c": "complex64", "b": "bool"}
        return next(dtype for kind, dtype in usual.items() if kind in self.dtype_kinds)

    def cases(self, dtype: str = "") -> list[Case]:
        """Return a case of each of its shapes, with the parameters' defaults.

        Parameters
        ----------
        dtype : str, optional
            Of the values. Default: float32, or what it takes instead.

        Returns
        -------
        list of Case
            In the order of the shapes.

        Raises
        ------
        ValueError
            If a parameter has no default, or the dtype is not one that it takes.
        """
        from unpool_xp.bench.cases.case import Case

        dtype = dtype or self.default_dtype
        return [Case(self, tuple(shape), dtype=dtype) for shape in self.shapes]


def reference_outputs(case: Case) -> Arrays:
    """Return all the outputs of a case by name, by the reference, or by the function on NumPy.

    Raises
    ------
    OperationError
        If the reference raises, or returns anything but arrays.
    """
    operation = case.definition
    return _reference_outputs(operation.reference or operation.function, case.forward)


@functools.lru_cache(maxsize=1)
def _reference_outputs(reference: Callable[..., Any], case: Case) -> Arrays:
    operation = case.definition
    who = "the reference" if operation.reference else "the function on NumPy"
    wide = [to_64_bit(array) for array in make_arrays(case).values()]
    try:
        found = reference(*wide, **case.options())
    except Exception as error:
        raise OperationError(f"{operation.name}: {who} raised {own_words(error)}") from error
    outputs = found if isinstance(found, tuple) else (found,)
    if not all(isinstance(one, np.ndarray | np.generic) for one in outputs):
        raise OperationError(
            f"{operation.name}: {who} returned {kinds_of(outputs)}; it must return a NumPy array "
            "or a tuple of them"
        )
    if len(outputs) != len(operation.outputs):
        raise OperationError(
            f"{operation.name}: {who} returned {len(outputs)} arrays; "
            f"outputs={tuple(operation.outputs)} names {len(operation.outputs)}"
        )
    return dict(zip(operation.outputs, map(np.asarray, outputs), strict=True))


def output_layout(case: Case) -> Layout:
    """Return the shapes of the outputs of a case, from its reference, and dtypes to expect."""
    single = case.dtype in ("float32", "complex64")
    narrow = {"f": case.dtype, "c": "complex64" if single else "complex128"}
    if numpy_dtype(case.dtype).kind in "biu":
        del narrow["f"]
    return {
        name: (array.shape, narrow.get(array.dtype.kind, array.dtype.name))
        for name, array in reference_outputs(case).items()
    }


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
    """Return an array in the widest dtype of its kind; bfloat16 is a kind of its own in NumPy."""
    wide = {"b": np.bool_, "i": np.int64, "u": np.int64, "c": np.complex128}
    return array.astype(wide.get(array.dtype.kind, np.float64))
