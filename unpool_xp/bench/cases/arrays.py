"""The arrays of a case: its inputs, what its reference makes of them, and their layouts."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from unpool_xp.backends.libraries import own_words
from unpool_xp.bench.cases.inputs import numpy_dtype
from unpool_xp.bench.cases.operation import (
    Arrays,
    Layout,
    Operation,
    OperationError,
    to_64_bit,
)

if TYPE_CHECKING:
    from unpool_xp.bench.cases.case import Case


def make_arrays(case: Case) -> Arrays:
    """Return the inputs of a case by name; floating-point ones are of the dtype of the case.

    Raises
    ------
    OperationError
        If what makes them raises, or gives anything but arrays of NumPy.
    """
    operation = case.definition
    rng = np.random.default_rng(0)
    made = operation.call("inputs", case.shape, case.dtype, case.all_parameters, rng)
    if not isinstance(made, Mapping):
        arrays = made if isinstance(made, tuple) else (made,)
        made = dict(zip(_argument_names(operation, len(arrays)), arrays, strict=True))
    if not made or not all(_is_plain(array) for array in made.values()):
        raise OperationError(
            f"{operation.name}: inputs returned {_kinds(made.values())}; it has to be an array of "
            "numbers of NumPy, a tuple of them, or a dict"
        )
    dtype = numpy_dtype(case.dtype)
    to_cast = "f" if dtype.kind in "fV" else ""  # bfloat16 is of the kind V
    return {
        name: array.astype(dtype, copy=False) if array.dtype.kind in to_cast else array
        for name, array in made.items()
    }


def _is_plain(array: object) -> bool:
    """Return whether it is an array of numbers or of truth values."""
    if type(array) is not np.ndarray:
        return False
    return array.dtype.kind in "biufc" or array.dtype.name == "bfloat16"


def _kinds(values: Any) -> str:
    """Return what values are, in words."""
    named = (
        f"an array of {one.dtype}" if isinstance(one, np.ndarray) else type(one).__name__
        for one in values
    )
    return ", ".join(named) or "nothing"


def _argument_names(operation: Operation, count: int) -> list[str]:
    """Return the names of the function's arrays: its first arguments."""
    try:
        signature = inspect.signature(operation.function)
    except (TypeError, ValueError):  # of a function in C
        names = []
    else:
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        names = [one.name for one in signature.parameters.values() if one.kind in kinds]
    names = [name for name in names if name not in operation.parameters]
    return names[:count] if len(names) >= count else [f"x{n + 1}" for n in range(count)]


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
            f"{operation.name}: {who} returned {_kinds(outputs)}; it has to be an array of NumPy "
            "or a tuple of them"
        )
    if len(outputs) != len(operation.outputs):
        raise OperationError(
            f"{operation.name}: {who} returned {len(outputs)} arrays; "
            f"outputs={tuple(operation.outputs)} names {len(operation.outputs)}"
        )
    return dict(zip(operation.outputs, map(np.asarray, outputs), strict=True))


def input_layout(case: Case) -> Layout:
    """Return the shapes and the dtypes of the inputs of a case, from making them."""
    return _input_layout(case.definition.inputs, case)


@functools.lru_cache(maxsize=64)
def _input_layout(inputs: Callable[..., Any], case: Case) -> Layout:
    return {name: (array.shape, array.dtype.name) for name, array in make_arrays(case).items()}


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
