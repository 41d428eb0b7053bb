"""A whole decoder as one operation: layers of the others, one after another."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from unpool_xp.backends.base import as_tuple
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.expected import CHECK_SECONDS, ExpectedOutputs
from unpool_xp.bench.cases.inputs import NDArray, feature_map
from unpool_xp.bench.cases.native import output_names
from unpool_xp.bench.cases.native_chain import native_chains
from unpool_xp.bench.cases.operation import (
    Arrays,
    Layout,
    Operation,
    Outputs,
    Planes,
    RowRange,
    Shape,
    select_planes,
    total_bytes,
)
from unpool_xp.bench.cases.parameter import Parameter, parameter_text
from unpool_xp.bench.catalog.convolution import make_weight
from unpool_xp.bench.catalog.decoder_layers import check_layers, check_text, layers_of


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


def scaled(
    case: Case, *, batch: int | None = None, dtype: str | None = None, channels: float | None = None
) -> Case:
    """Return a decoder with another batch or dtype, or with other numbers of channels.

    Parameters
    ----------
    case : Case
        The decoder.
    batch : int, optional
        How many items go in.
    dtype : str, optional
        Of the values.
    channels : float, optional
        What every number of channels is multiplied by, then rounded, to 1 at least.

    Returns
    -------
    Case
        The decoder; default: as it was.

    Raises
    ------
    ValueError
        If there is no such decoder.

    Examples
    --------
    >>> from unpool_xp.bench.catalog.decoder import scaled
    >>> from unpool_xp.bench.catalog.presets import DECODERS
    >>> scaled(DECODERS["unet"](), batch=4, channels=0.5).output_shape
    (4, 32, 224, 224)
    """
    if channels is not None and not 0 < channels < math.inf:
        raise ValueError(f"scaled: channels={channels!r} must be a number above 0")

    def multiplied(count: int) -> int:
        return max(round(count * (channels or 1)), 1)

    layers = [
        {key: multiplied(value) if key == "out_channels" else value for key, value in layer.items()}
        for layer in case.layers
    ]
    items, before, *plane = case.shape
    shape = (items if batch is None else batch, multiplied(before), *plane)
    return case.replace(shape=shape, dtype=dtype or case.dtype, layers=layers)


def layer_cases(case: Case) -> list[Case]:
    """Return the layers of a decoder as cases of their own."""
    return [layer.case for layer in layers_of(case)]


def _input_layout(case: Case) -> Layout:
    weights = {
        f"{name}_{number}": layer.case.forward.inputs[name]
        for number, layer in enumerate(layers_of(case), start=1)
        for name in layer.weights
    }
    return {"x": (case.shape, case.dtype), **weights}


def _output_layout(case: Case) -> Layout:
    last = layers_of(case)[-1].case
    return last.forward.outputs


def _make_inputs(
    shape: Shape, dtype: str, parameters: Mapping[str, Any], rng: np.random.Generator
) -> Arrays:
    case = Case("decoder", shape, dtype=dtype, **parameters)
    arrays: Arrays = {"x": feature_map(case.shape, case.dtype, rank=layers_of(case)[0].case.rank)}
    sources = [layer.source for layer in layers_of(case) if layer.source is not None]
    for number, layer in enumerate(layers_of(case), start=1):
        for name in layer.weights:
            weight = make_weight(layer.case, np.random.default_rng(0))
            copied = number <= max(sources, default=0)
            arrays[f"{name}_{number}"] = _copying(weight) if copied else weight
    return arrays


def _copying(weight: NDArray) -> NDArray:
    """Return weights of which each output channel copies an input channel.

    No sum is rounded then, so no rounding decides where a later pooling has its maxima.
    """
    copying = np.zeros_like(weight)
    outputs = np.arange(weight.shape[1])
    taps = copying.reshape(*weight.shape[:2], -1)  # a view
    taps[outputs % len(weight), outputs, 0] = 1
    return copying


def _options(case: Case) -> dict[str, Any]:
    steps = [
        Step(layer.case.definition.function, layer.case.options(), len(layer.weights), layer.source)
        for layer in layers_of(case)
    ]
    return {"layers": tuple(steps)}


def _names(case: Case) -> list[tuple[list[str], list[str]]]:
    """Return the names of the arrays that each layer takes and makes."""
    layers, (x, *weights) = layers_of(case.forward), case.forward.inputs
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
    for number, layer in enumerate(layers_of(wide)):
        values = [x, *([] if layer.source is None else [indices[layer.source]])]
        values += [weights.pop(0) for _ in layer.weights]
        outputs = as_tuple(layer.case.definition.function(*values, **layer.case.options()))
        yield layer.case, dict(zip(layer.case.inputs, values, strict=True)), outputs
        x = outputs[0]
        if len(outputs) > 1:
            indices[number] = outputs[1]


def _expected(case: Case, arrays: Arrays, planes: Planes, rows: RowRange) -> Outputs:
    """Run the layers, and check each against its own reference."""
    outputs: Outputs = ()
    for layer, given, outputs in _run(case, arrays):
        ExpectedOutputs(layer, given, CHECK_SECONDS / len(case.layers)).check(outputs)
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


def _layers_text(layers: Any) -> str:
    """Return how many layers there are, and what tells them from others; a file may hold any."""
    number = len(layers) if isinstance(layers, tuple | list) else 0
    text = re.sub(r"(?<=\d)\.0\b", "", parameter_text(layers))  # 2.0 is 2
    return f"{number}layers~{crc32(text.encode()):08x}"


DECODER = (
    Operation(
        name="decoder",
        function=decoder,
        parameters={
            "name": Parameter(
                help="Name of the decoder.",
                required=True,
                convert=lambda value, axes: check_text("name", value),
                text=str,
            ),
            "layers": Parameter(
                help="Layers of the decoder.",
                required=True,
                convert=check_layers,
                text=_layers_text,
                brief_text=lambda layers: "",
            ),
        },
        rank=lambda c: layers_of(c)[-1].case.rank,
        parts=layer_cases,
        names=_names,
        natives_of=native_chains,
        input_layout=_input_layout,
        output_layout=_output_layout,
        inputs=_make_inputs,
        options=_options,
        flops=lambda c: sum(part.definition.flops(part) for part in layer_cases(c)),
        gradient_flops=lambda c: sum(
            part.definition.gradient_flops(part) for part in layer_cases(c)
        ),
        gradients=_gradients,
        partial_reference=_expected,
        reference_steps=lambda c: 1,
        work_per_step=lambda c: min(math.prod(c.output_plane) / 4, 1e6),  # a comparison
        working_bytes=_working_bytes,
        dtype_kinds="fiu",
    ),
)
