"""A whole decoder as one operation: layers of the others, one after another."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from unpool_xp.backends.base import as_tuple
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.expected import ExpectedOutputs
from unpool_xp.bench.cases.inputs import NDArray, feature_map
from unpool_xp.bench.cases.native import output_names
from unpool_xp.bench.cases.operation import (
    Arrays,
    Layout,
    Operation,
    Outputs,
    Planes,
    RowRange,
    operations,
    select_planes,
    total_bytes,
)
from unpool_xp.bench.cases.parameter import Parameter, check_parameters, parameter_text

MAX_LAYERS = 1000
# What takes the indices of an earlier layer, and which layers it can take them from.
_UNPOOLINGS = {
    "max_unpool": ("max_pool",),
    "fractional_max_unpool": ("fractional_max_pool", "max_pool", "adaptive_max_pool"),
}
_FROM_POOLING = ("kernel", "stride", "padding", "output_size")  # of max_unpool


class LayerError(ValueError):
    """A layer that does not fit.

    Parameters
    ----------
    number : int
        Of the layer, from 1.
    layer : mapping
        What was given for it.
    reason : str
        What is wrong.
    """

    def __init__(self, number: int, layer: Any, reason: str) -> None:
        given = layer if isinstance(layer, Mapping) else {}
        names = [given.get("operation"), given.get("name")]
        title = " ".join(name for name in names if isinstance(name, str))
        super().__init__(f"layer {number}{f' ({title})' if title else ''}: {reason}")
        self.number = number


class Step(NamedTuple):
    """A layer as it is called: the arrays first, then the options.

    Attributes
    ----------
    function : callable
        Of an operation.
    options : dict
        Its keyword options.
    weights : int
        How many of the arrays that were given are its own.
    source : int or None
        The layer, from 0, whose indices it takes.
    """

    function: Callable[..., Any]
    options: dict[str, Any]
    weights: int
    source: int | None


def decoder(x: Any, /, *weights: Any, layers: Sequence[Step]) -> Any:
    """Run layers one after another, on the arrays of any library.

    Parameters
    ----------
    x : array
        What goes in.
    *weights : array
        Those of all layers, in their order.
    layers : sequence of Step
        The layers.

    Returns
    -------
    array or MaxPooled
        What the last layer returns.
    """
    needed = {layer.source for layer in layers}
    indices: dict[int, Any] = {}
    first, output = 0, x
    for number, layer in enumerate(layers):
        given = weights[first : first + layer.weights]
        first += layer.weights
        if layer.source is not None:
            given = (indices[layer.source], *given)
        output = layer.function(x, *given, **layer.options)
        x = output[0] if isinstance(output, tuple) else output
        if number in needed:
            indices[number] = output[1]
    return output


@dataclass(frozen=True)
class _Layer:
    """A layer in its place."""

    case: Case
    weights: tuple[str, ...]  # the names of its own inputs, as its operation has them
    source: int | None  # from 0


def layer_cases(case: Case) -> list[Case]:
    """Return the layers of a decoder as cases of their own."""
    return [layer.case for layer in _layers(case)]


@functools.lru_cache(maxsize=64)
def _layers(case: Case) -> tuple[_Layer, ...]:
    """Return the layers of a decoder; raise a LayerError where one does not follow."""
    made: list[_Layer] = []
    shape = case.shape
    for number, layer in enumerate(case.layers, start=1):
        try:
            made.append(_follow(case, made, shape))
        except (ValueError, TypeError, ArithmeticError, MemoryError) as error:
            reason = str(error).removeprefix("Case: ")
            raise LayerError(number, layer, reason) from error
        shape = made[-1].case.output_shape
    return tuple(made)


def _follow(case: Case, before: Sequence[_Layer], shape: tuple[int, ...]) -> _Layer:
    """Return the layer that comes after some, of an array of the given shape."""
    given = dict(case.layers[len(before)])
    given.pop("name", None)
    source = _source(case, len(before), given.pop("indices", None))
    pool = None if source is None else before[source].case
    if pool is not None and shape != pool.output_shape:
        name = case.layers[source]["name"]
        raise ValueError(
            f"values of shape {shape} do not fit the indices of {name!r}, of shape "
            f"{pool.output_shape}"
        )
    fields: dict[str, Any] = {"dtype": case.dtype, "backward": case.backward}
    if pool is not None and given["operation"] == "max_unpool":
        made = _undo(pool, shape, **fields)
    else:
        made = Case(shape=shape, **fields, **given)
    if pool is not None and made.output_shape != pool.shape:
        name = case.layers[source]["name"]
        raise ValueError(
            f"its output of shape {made.output_shape} is not what {name!r} pooled, of shape "
            f"{pool.shape}"
        )
    _, *others = made.definition.inputs(made)
    weights = tuple(others[1:] if pool is not None else others)
    return _Layer(made, weights, source)


def _undo(pool: Case, shape: tuple[int, ...], **fields: Any) -> Case:
    """Return the unpooling that has the plane of a pooling."""
    window: dict[str, Any] = {name: pool.parameters.get(name) for name in _FROM_POOLING}
    made = Case("max_unpool", shape, **fields, **window)
    return made if made.output_shape == pool.shape else made.replace(output_size=pool.plane)


def _source(case: Case, number: int, name: str | None) -> int | None:
    """Return which layer, from 0, a layer takes its indices from."""
    operation = case.layers[number]["operation"]
    takes = _UNPOOLINGS.get(operation)
    if takes is None:
        if name is not None:
            raise ValueError(f"indices={name!r} is not for {operation}")
        return None
    names = [layer.get("name") for layer in case.layers]
    if name is None:
        raise ValueError(f"indices is missing: it names the {' or '.join(takes)} to undo")
    if name not in names:
        raise ValueError(f"indices={name!r} is the name of no layer")
    source = names.index(name)
    if source >= number:
        where = "this very layer" if source == number else f"layer {source + 1}, which comes later"
        raise ValueError(f"indices={name!r} is {where}")
    other = case.layers[source]["operation"]
    if other not in takes:
        raise ValueError(f"indices={name!r} is a {other}, not a {' or '.join(takes)}")
    return source


def _check_layers(value: Any, axes: int) -> tuple[dict[str, Any], ...]:
    """Return layers as a case keeps them: each with all of its parameters."""
    if not isinstance(value, tuple | list) or not value:
        raise ValueError("Case: layers must be a list of one layer or more")
    if len(value) > MAX_LAYERS:
        raise ValueError(f"Case: layers: {len(value)} are too many, {MAX_LAYERS} at most")
    checked: list[dict[str, Any]] = []
    numbers: dict[str, int] = {}
    for number, layer in enumerate(value, start=1):
        try:
            checked.append(_check_layer(layer, axes))
            name = checked[-1].get("name")
            if name in numbers:
                raise ValueError(f"name={name!r} is that of layer {numbers[name]}, too")
        except ValueError as error:
            raise LayerError(number, layer, str(error).removeprefix("Case: ")) from error
        if name is not None:
            numbers[name] = number
    return tuple(checked)


def _check_layer(layer: Any, axes: int) -> dict[str, Any]:
    if not isinstance(layer, Mapping):
        raise ValueError(f"{layer!r} must be a table of an operation and its parameters")
    for key in ("operation", "name", "indices"):
        value = layer.get(key)
        if not (isinstance(value, str) and value) and (value is not None or key == "operation"):
            raise ValueError(f"{key}={value!r} must be text")
    operation = layer["operation"]
    known = {name: of for name, of in operations().items() if of is not DECODER["decoder"]}
    if operation not in known:
        raise ValueError(f"unknown operation {operation!r}; known: {', '.join(known)}")
    given = {key: value for key, value in layer.items() if key not in ("operation", "name")}
    kept = {key: layer[key] for key in ("operation", "name") if layer.get(key) is not None}
    parameters = known[operation].parameters
    if operation in _UNPOOLINGS:
        taken = _FROM_POOLING if operation == "max_unpool" else ()
        for key in taken:
            if given.get(key) is not None:
                raise ValueError(f"{key}={given[key]!r} is that of the pooling that indices names")
        parameters = {key: of for key, of in parameters.items() if key not in taken}
        parameters = {"indices": Parameter(help="", kind=str), **parameters}
    return {**kept, **check_parameters(operation, parameters, axes, given)}


def _inputs(case: Case) -> Layout:
    weights = {
        f"{name}_{number}": layer.case.definition.inputs(layer.case)[name]
        for number, layer in enumerate(_layers(case), start=1)
        for name in layer.weights
    }
    return {"x": (case.shape, case.dtype), **weights}


def _make_inputs(case: Case) -> Arrays:
    arrays: Arrays = {"x": feature_map(case.shape, case.dtype, rank=_layers(case)[0].case.rank)}
    for number, layer in enumerate(_layers(case), start=1):
        made = layer.case.definition.make_weights(layer.case)
        arrays |= {f"{name}_{number}": made[name] for name in layer.weights}
    return arrays


def _options(case: Case) -> dict[str, Any]:
    steps = [
        Step(layer.case.definition.function, layer.case.options(), len(layer.weights), layer.source)
        for layer in _layers(case)
    ]
    return {"layers": tuple(steps)}


def _names(case: Case) -> list[tuple[list[str], list[str]]]:
    """Return the names of the arrays that each layer takes and makes."""
    layers, (x, *weights) = _layers(case.forward), case.forward.inputs
    sources = {layer.source for layer in layers}
    names = []
    for number, layer in enumerate(layers):
        taken = [x] if layer.source is None else [x, f"indices_{layer.source + 1}"]
        taken += [weights.pop(0) for _ in layer.weights]
        x = "y"
        made = [x, *(f"indices_{number + 1}" for _ in range(len(layer.case.outputs) - 1))]
        if number not in sources:  # nobody takes its indices
            made[1:] = ["_"] * (len(made) - 1)
        names.append((taken, made))
    names[-1] = (names[-1][0], output_names(case))
    return names


def _run(case: Case, arrays: Arrays) -> Iterator[tuple[Case, Arrays, Outputs]]:
    """Run the layers in double precision: yield each with its inputs and outputs."""
    wide = case.forward
    wide = wide if np.dtype(arrays["x"].dtype).kind in "iu" else wide.replace(dtype="float64")
    x, *weights = (arrays[name].astype(wide.dtype, copy=False) for name in wide.inputs)
    indices: dict[int, NDArray] = {}
    for number, layer in enumerate(_layers(wide)):
        values = [x, *([] if layer.source is None else [indices[layer.source]])]
        values += [weights.pop(0) for _ in layer.weights]
        outputs = as_tuple(layer.case.definition.function(*values, **layer.case.options()))
        yield layer.case, dict(zip(layer.case.inputs, values, strict=True)), outputs
        x = outputs[0]
        if len(outputs) > 1:
            indices[number] = outputs[1]


def _expected(case: Case, arrays: Arrays, planes: Planes, rows: RowRange) -> Outputs:
    """Run the layers, and check each against its own reference, in the time for one of them."""
    outputs: Outputs = ()
    for layer, given, outputs in _run(case, arrays):
        ExpectedOutputs(layer, given, 1 / len(case.parts)).check(outputs)
    return tuple(select_planes(out, case.rank, planes)[:, slice(*rows)] for out in outputs)


def _gradients(case: Case, arrays: Arrays) -> Outputs | None:
    """Go back through the layers, by the rule of each; None where one has no rule."""
    arrived, by_weights = arrays["cotangent"], list[NDArray]()
    for layer, given, _ in reversed(list(_run(case, arrays))):
        found = layer.definition.gradients(layer, given | {"cotangent": arrived})
        if found is None:
            return None
        arrived, *others = found
        by_weights = [*others, *by_weights]
    return (arrived, *by_weights)


def _working_bytes(case: Case) -> int:
    """Return what the largest layer needs, and the outputs of all others, in double precision."""
    parts = layer_cases(case)
    outputs = [total_bytes(part.outputs) for part in parts]
    return max(part.needed_bytes for part in parts) + 2 * sum(outputs)


def _layers_text(layers: Sequence[Mapping[str, Any]]) -> str:
    """Return how many layers there are, and what tells them from others."""
    return f"{len(layers)}layers~{crc32(parameter_text(layers).encode()):08x}"


DECODER: dict[str, Operation] = {
    "decoder": Operation(
        function=decoder,
        parameters={
            "name": Parameter(help="What it is called.", kind=str, required=True, text=str),
            "layers": Parameter(
                help="Its layers.",
                required=True,
                convert=_check_layers,
                text=_layers_text,
                brief_text=lambda layers: "",
            ),
        },
        rank=lambda c: _layers(c)[-1].case.rank,
        parts=layer_cases,
        names=_names,
        inputs=_inputs,
        outputs=lambda c: _layers(c)[-1].case.forward.outputs,
        make_inputs=_make_inputs,
        options=_options,
        flops=lambda c: sum(part.definition.flops(part) for part in layer_cases(c)),
        gradient_flops=lambda c: sum(
            part.definition.gradient_flops(part) for part in layer_cases(c)
        ),
        gradients=_gradients,
        expected=_expected,
        reference_steps=lambda c: 1,
        work_per_step=lambda c: min(math.prod(c.output_plane) / 4, 1e6),  # a comparison
        working_bytes=_working_bytes,
    ),
}
