"""The options that describe one case of an operation, and the case that they make."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.formatting import number_of
from unpool_xp.bench.cases.operation import operations
from unpool_xp.capabilities import DTYPES
from unpool_xp.cli.common import fail, notes

if TYPE_CHECKING:
    from unpool_xp.bench.catalog.presets import Preset

SHAPE_HELP = "Shape of the first array, e.g. 8,64,112,112."
KernelOption = Annotated[str | None, typer.Option(help="Kernel size, e.g. 2 or 3,2.")]
StrideOption = Annotated[str | None, typer.Option(help="Default: the kernel.")]
PaddingOption = Annotated[str | None, typer.Option(help="Default: none.")]
ScaleOption = Annotated[str | None, typer.Option(help="Output size over input size.")]
ChannelsOption = Annotated[int | None, typer.Option(help="Output channels.")]
DtypeOption = Annotated[str, typer.Option(help="Of the values.")]


class PassName(StrEnum):
    """What is computed."""

    FORWARD = "forward"
    BACKWARD = "backward"


PassOption = Annotated[
    PassName,
    typer.Option("--pass", help="backward: the outputs and the gradients, where there are."),
]


def in_pass(cases: Sequence[Case], pass_: PassName) -> list[Case]:
    """Return cases, in the backward pass those that have gradients; exit where none has."""
    if pass_ is PassName.FORWARD:
        return list(cases)
    found, reasons = [], []
    for case in cases:
        try:
            found.append(case.replace(backward=True))
        except ValueError as error:
            reasons.append(str(error).removeprefix("Case: backward=True: "))
    if not found:
        fail(f"--pass backward: {reasons[0]}")
    if reasons:
        notes.print(f"left out: {number_of(len(reasons), 'case')} of integers, without a gradient")
    return found


def chosen_cases(
    preset: str | None,
    layers: Path | None,
    shape: str | None,
    operations: Sequence[str],
    settings: Mapping[str, Any],
    *,
    batches: Sequence[int] = (),
    scale_channels: float | None = None,
) -> Preset:
    """Return the cases of a preset, of a file, or the one that options describe; exit with why not.

    The settings are the other arguments of `case_of`, None where they are not given. A decoder can
    be had in several batches, and with its channels scaled.
    """
    from unpool_xp.bench.catalog.presets import DECODERS, Preset, decoder_cases
    from unpool_xp.bench.catalog.presets import preset as preset_of

    choices = {"--preset": preset, "--layers": layers, "--shape": shape}
    given = [option for option, value in choices.items() if value is not None]
    if len(given) > 1:
        fail(f"{' and '.join(given)}: give one of them")
    is_decoder = layers is not None or preset in DECODERS
    if not is_decoder:
        changes = {"batch": batches or None, "scale_channels": scale_channels}
        require_absent(changes, "is of a decoder: give its --preset or --layers as well")
    for name, value in settings.items():
        if value is not None and shape is None and not (is_decoder and name == "dtype"):
            fail(f"--{name.replace('_', '-')} is of one case: give its --shape as well")
    try:
        if shape is not None:
            if len(operations) != 1:
                fail("--shape is of one case: give its --operation, once")
            settings = {**settings, "dtype": settings["dtype"] or "float32"}
            return Preset((case_of(operations[0], shape=shape, **settings),))
        if not is_decoder:
            return preset_of(preset or "quick")
    except ValueError as error:
        fail(str(error))
    changed: dict[str, Any] = {"dtype": settings["dtype"], "scale_channels": scale_channels}
    decoders = [decoder_of(preset, layers, batch=n, **changed) for n in batches or (None,)]
    return Preset(tuple(dict.fromkeys(case for one in decoders for case in decoder_cases(one))))


def case_of(
    operation: str,
    *,
    shape: str,
    kernel: str | None,
    stride: str | None,
    padding: str | None,
    scale: str | None,
    out_channels: int | None,
    dtype: str,
) -> Case:
    """Return the case that the options describe; exit with the reason if there is none."""
    if dtype not in DTYPES:
        fail(f"unknown dtype {dtype!r}; known: {', '.join(DTYPES)}")
    try:
        return Case(
            operation,
            _parse_numbers("shape", shape, int) or (),
            kernel=_per_axis(_parse_numbers("kernel", kernel, int)),
            stride=_per_axis(_parse_numbers("stride", stride, int)),
            padding=_per_axis(_parse_numbers("padding", padding, int)),
            scale=_per_axis(_parse_numbers("scale", scale, float)),
            out_channels=out_channels,
            dtype=dtype,
        )
    except (ValueError, TypeError) as error:
        fail(as_options(str(error)))


def decoder_of(
    preset: str | None,
    layers: Path | None,
    *,
    batch: int | None = None,
    dtype: str | None = None,
    scale_channels: float | None = None,
) -> Case:
    """Return the decoder of a preset or of a file, changed as options say; exit with why not."""
    from unpool_xp.bench.cases.layers import read_layers
    from unpool_xp.bench.catalog.decoder import scaled
    from unpool_xp.bench.catalog.presets import DECODERS
    from unpool_xp.bench.measure.host.cgroup import available_memory

    if preset is not None and layers is not None:
        fail("--preset and --layers: give one of them")
    if dtype is not None and dtype not in DTYPES:
        fail(f"unknown dtype {dtype!r}; known: {', '.join(DTYPES)}")
    try:
        if layers is not None:
            case = read_layers(layers, memory_bytes=available_memory())
        elif preset in DECODERS:
            case = DECODERS[preset]()
        else:
            fail(f"--preset {preset!r} is no decoder; known: {', '.join(DECODERS)}")
        return scaled(case, batch=batch, dtype=dtype, channels=scale_channels)
    except OSError as error:
        fail(f"--layers {layers}: {error.strerror}")
    except ValueError as error:
        fail(str(error).replace("scaled: channels=", "--scale-channels "))


def require_absent(options: Mapping[str, object], why: str) -> None:
    """Exit where one of these options is given."""
    for name, value in options.items():
        if value is not None:
            fail(f"{_option(name)} {value!r} {why}")


def as_options(message: str) -> str:
    """Return what is wrong with a case in the words of the command line, its options."""
    message = message.removeprefix("Case: ")
    missing = re.fullmatch(r"(\w+)=None; (.*) needs it", message)
    if missing:
        return f"{_option(missing[1])} is missing: {missing[2]} needs it"
    parameters = {name for operation in operations().values() for name in operation.parameters}
    fields = "|".join({"operation", "shape", "dtype", *parameters})
    message = re.sub(rf"\b({fields})=", lambda field: f"{_option(field[1])} ", message)
    subject, takes, known = message.partition(", which takes ")
    return subject + takes + ", ".join(map(_option, known.split(", "))) if takes else message


def _option(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def _parse_numbers(
    name: str, text: str | None, kind: type[int] | type[float]
) -> tuple[Any, ...] | None:
    """Return the numbers of an option such as "8,64,112,112"."""
    if text is None:
        return None
    try:
        return tuple(kind(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        fail(f"--{name} {text!r} is no {kind.__name__} or list of them such as 2,2")


def _per_axis(sizes: tuple[Any, ...] | None) -> Any:
    """Return one number for all spatial axes as such, several as they are."""
    return sizes[0] if sizes is not None and len(sizes) == 1 else sizes
