"""The layers of a decoder: each is checked, and its shapes follow from those before it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.layers import LayerError
from unpool_xp.bench.cases.loading import operations
from unpool_xp.bench.cases.parameter import Parameter, check_parameters

MAX_LAYERS = 1000
# What takes the indices of an earlier layer, and which layers it can take them from.
_UNPOOLINGS = {
    "max_unpool": ("max_pool",),
    "fractional_max_unpool": ("fractional_max_pool", "max_pool", "adaptive_max_pool"),
}
_FROM_POOLING = ("kernel", "stride", "padding", "output_size")  # of max_unpool


@dataclass(frozen=True)
class Layer:
    """A layer in its place."""

    case: Case
    weights: tuple[str, ...]  # the names of its own inputs, as its operation has them
    source: int | None  # from 0


@functools.lru_cache(maxsize=64)
def layers_of(case: Case) -> tuple[Layer, ...]:
    """Return the layers of a decoder; raise a LayerError where one does not follow."""
    if len(case.shape) < 3:
        raise ValueError(f"Case: shape={case.shape} must be (batch, channels, *spatial)")
    made: list[Layer] = []
    shape = case.shape
    for number, layer in enumerate(case.layers, start=1):
        try:
            made.append(_follow(case, made, shape))
        except (ValueError, TypeError, ArithmeticError, MemoryError) as error:
            reason = str(error).removeprefix("Case: ")
            raise LayerError(number, layer, reason) from error
        shape = made[-1].case.output_shape
    return tuple(made)


def _follow(case: Case, before: Sequence[Layer], shape: tuple[int, ...]) -> Layer:
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
    if pool is not None and source != len(before) - 1 and _overlaps(pool):
        name = case.layers[source]["name"]
        raise ValueError(
            f"the windows of {name!r} may overlap, and libraries differ in which of two values "
            "at one place they keep, so only the very next layer can undo it"
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
    _, *others = made.forward.inputs
    weights = tuple(others[1:] if pool is not None else others)
    return Layer(made, weights, source)


def _overlaps(pool: Case) -> bool:
    """Return whether two windows of a pooling can have their maximum at one place."""
    if pool.operation != "max_pool":
        return True
    return any(k > s for k, s in zip(pool.kernel, pool.stride, strict=True))


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
        raise ValueError(f"indices={name!r} does not name a layer")
    source = names.index(name)
    if source >= number:
        where = "this very layer" if source == number else f"layer {source + 1}, which comes later"
        raise ValueError(f"indices={name!r} is {where}")
    other = case.layers[source]["operation"]
    if other not in takes:
        raise ValueError(f"indices={name!r} is a {other}, not a {' or '.join(takes)}")
    return source


def check_layers(value: Any, axes: int) -> tuple[dict[str, Any], ...]:
    """Return layers as a case keeps them: each with all of its parameters."""
    if not isinstance(value, tuple | list) or not value:
        raise ValueError("Case: layers must be a list of one layer or more")
    if len(value) > MAX_LAYERS:
        reason = f"{len(value)} layers are too many, {MAX_LAYERS} at most"
        raise LayerError(MAX_LAYERS + 1, value[MAX_LAYERS], reason)
    checked: list[dict[str, Any]] = []
    numbers: dict[str, int] = {}
    for number, layer in enumerate(value, start=1):
        try:
            checked.append(_check_layer(layer, axes))
            name = checked[-1].get("name")
            if name in numbers:
                raise ValueError(f"name={name!r} is also the name of layer {numbers[name]}")
        except ValueError as error:
            raise LayerError(number, layer, str(error).removeprefix("Case: ")) from error
        if name is not None:
            numbers[name] = number
    return tuple(checked)


def check_text(key: str, value: Any) -> str:
    """Return a name as it is; what a terminal would not print is none."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError(f"Case: {key}={value!r} must be printable text")
    return value


def _check_layer(layer: Any, axes: int) -> dict[str, Any]:
    if not isinstance(layer, Mapping):
        raise ValueError(f"{layer!r} must be a table of an operation and its parameters")
    for key in ("operation", "name", "indices"):
        value = layer.get(key)
        if value is not None or key == "operation":
            check_text(key, value)
    operation = layer["operation"]
    # Those whose sizes follow without computing them.
    known = {
        name: of
        for name, of in operations().items()
        if of.output_layout is not None and name != "decoder"
    }
    if operation not in known:
        raise ValueError(f"unknown operation {operation!r}; known: {', '.join(known)}")
    given = {key: value for key, value in layer.items() if key not in ("operation", "name")}
    kept = {key: layer[key] for key in ("operation", "name") if layer.get(key) is not None}
    parameters = known[operation].parameters
    if operation in _UNPOOLINGS:
        taken = _FROM_POOLING if operation == "max_unpool" else ()
        for key in taken:
            if given.get(key) is not None:
                raise ValueError(f"{key}={given[key]!r} is set by the pooling that indices names")
        parameters = {key: of for key, of in parameters.items() if key not in taken}
        parameters = {"indices": Parameter(help="", kind=str), **parameters}
    return {**kept, **check_parameters(operation, parameters, axes, given)}
