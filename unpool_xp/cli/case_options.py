"""The options that describe one case of an operation, and the case that they make."""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.formatting import number_of
from unpool_xp.bench.cases.loading import is_source, operations
from unpool_xp.bench.cases.operation import Operation
from unpool_xp.bench.cases.parameter import Parameter
from unpool_xp.capabilities import DTYPES
from unpool_xp.cli.common import SHARED_OPTIONS, fail, load_or_fail, notes, operation_names
from unpool_xp.cli.stopping import HIDDEN, StoppableCommand

if TYPE_CHECKING:
    from unpool_xp.bench.catalog.presets import Preset

SHAPE_HELP = "Shape of the first array, e.g. 8,64,112,112."
DtypeOption = Annotated[str, typer.Option(help="Data type of the values.")]


class PassName(StrEnum):
    """What is computed."""

    FORWARD = "forward"
    BACKWARD = "backward"


PassOption = Annotated[
    PassName,
    typer.Option("--pass", help="What to compute; backward: outputs and gradients."),
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


class CaseCommand(StoppableCommand):
    """A command with an option for each parameter of the operations.

    The operations of a file that the command line names are loaded before it is read, and have
    their options then, too.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read a command line, after loading what it names."""
        parser = self.make_parser(ctx)
        parser.ignore_unknown_options = True
        with contextlib.suppress(typer.BadParameter.__base__ or Exception):
            values, rest, _ = parser.parse_args(list(args))
            given = values.get("operation") or []
            for word in [*([given] if isinstance(given, str) else given), *rest]:
                for operation in load_or_fail(word) if is_source(word) else ():
                    self._require_options(operation)
        return super().parse_args(ctx, args)

    def _require_options(self, operation: Operation) -> None:
        """Exit where a parameter has the name of an option of the command."""
        for name in operation.parameters:
            if _option(name) in self._own_options():
                fail(
                    f"{operation.name}: its parameter {name!r} cannot have the name of an "
                    f"option of this command, {_option(name)}"
                )

    def _own_options(self) -> set[str]:
        """Return the options that no parameter can be."""
        own = {word for one in self.params for word in (*one.opts, *one.secondary_opts)}
        return {*own, *SHARED_OPTIONS, "--help"}

    def get_params(self, ctx: Any) -> list[Any]:
        """Return what is given on the command line, parameters after the shape."""
        own = super().get_params(ctx)
        after = [one.name for one in own].index("shape") + 1
        taken = self._own_options()
        known = {
            name: parameter.help
            for operation in reversed([*operations().values()])  # the first has the last word
            for name, parameter in operation.parameters.items()
            if parameter.convert is None and _option(name) not in taken
        }
        return [*own[:after], *_options(*known.items()), *own[after:]]


@functools.cache
def _options(*parameters: tuple[str, str]) -> list[Any]:
    """Return an option for each parameter's name and help, which keeps its text in the context."""

    def keep(ctx: typer.Context, param: typer.CallbackParam, value: str | None) -> None:
        if value is not None:
            ctx.meta.setdefault(HIDDEN, {})[str(param.name)] = value

    def command(**given: Any) -> None:
        """Be what the options are read from."""

    annotations = {
        name: Annotated[
            str | None,
            typer.Option(
                _option(name), metavar="TEXT", help=text, callback=keep, expose_value=False
            ),
        ]
        for name, text in parameters
    }
    command.__annotations__ = annotations
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
            )
            for name, annotation in annotations.items()
        ]
    )
    app = typer.Typer(add_completion=False)
    app.command()(command)
    params: list[Any] = typer.main.get_command(app).params
    return params


def given_parameters(ctx: typer.Context) -> dict[str, str]:
    """Return the parameters of operations that the command line gives, as they are typed."""
    return dict(ctx.meta.get(HIDDEN, {}))


def chosen_cases(
    preset: str | None,
    layers: Path | None,
    shape: str | None,
    names: Sequence[str],
    parameters: Mapping[str, str],
    dtype: str | None,
    *,
    batches: Sequence[int] = (),
    scale_channels: float | None = None,
) -> Preset:
    """Return the cases of a preset, of a file, or those that options describe; exit with why not.

    Without any of them they are those of the operations that have shapes of their own, and of the
    preset "quick". A decoder can have several batches, and its channels scaled.
    """
    from unpool_xp.bench.catalog.presets import DECODERS, Preset, decoder_cases
    from unpool_xp.bench.catalog.presets import preset as preset_of

    choices = {"--preset": preset, "--layers": layers, "--shape": shape}
    given = [option for option, value in choices.items() if value is not None]
    if len(given) > 1:
        fail(f"{' and '.join(given)}: give only one of them")
    is_decoder = layers is not None or preset in DECODERS
    if not is_decoder:
        changes = {"batch": batches or None, "scale_channels": scale_channels}
        require_absent(changes, "is for a decoder: add --preset or --layers")
    own = [name for name in names if operations()[name].shapes] if not given else []
    for name, value in {**parameters, "dtype": dtype}.items():
        if value is not None and not (shape or own or (is_decoder and name == "dtype")):
            fail(f"{_option(name)} describes one case: add --shape")
    if shape is not None:
        if not names:
            fail("--shape describes one case: add --operation")
        cases = [case_of(name, shape, parameters, dtype) for name in names]
        return Preset(tuple(cases))
    if own:
        for name in set(names) - set(own):
            fail(f"{name} has no shapes of its own: give a --shape")
        return Preset(tuple(case for name in own for case in own_cases(name, parameters, dtype)))
    if not is_decoder:
        try:
            return preset_of("quick" if preset is None else preset)
        except ValueError as error:
            fail(str(error))
    changed: dict[str, Any] = {"dtype": dtype, "scale_channels": scale_channels}
    decoders = [decoder_of(preset, layers, batch=n, **changed) for n in batches or (None,)]
    return Preset(tuple(dict.fromkeys(case for one in decoders for case in decoder_cases(one))))


def own_cases(name: str, parameters: Mapping[str, str], dtype: str | None) -> list[Case]:
    """Return a case of each of the shapes that an operation has; exit with why not."""
    shapes = [",".join(map(str, shape)) for shape in operations()[name].shapes]
    return [case_of(name, shape, parameters, dtype) for shape in shapes]


def one_case(
    word: str, shape: str | None, parameters: Mapping[str, str], dtype: str | None
) -> Case:
    """Return the case of an operation by name or from a file; exit with why there is none."""
    name, *others = operation_names([word])
    if others:
        fail(f"{word} has several operations; give one, such as {word}:{name}")
    if shape is not None:
        return case_of(name, shape, parameters, dtype)
    own = own_cases(name, parameters, dtype)
    if not own:
        fail(f"give the --shape of {name}")
    return own[0]


def case_of(operation: str, shape: str, parameters: Mapping[str, str], dtype: str | None) -> Case:
    """Return the case that the options describe; exit with the reason if there is none."""
    dtype = operations()[operation].default_dtype if dtype is None else dtype
    if dtype not in DTYPES:
        fail(f"unknown dtype {dtype!r}; known: {', '.join(DTYPES)}")
    known = operations()[operation].parameters
    values: dict[str, Any] = {
        name: _parse(name, text, known[name]) if name in known else text
        for name, text in parameters.items()
    }
    sizes = _parse_numbers("shape", shape, int)
    try:
        return Case(operation, sizes, dtype=dtype, **values)
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
        fail("--preset and --layers: give only one of them")
    if dtype is not None and dtype not in DTYPES:
        fail(f"unknown dtype {dtype!r}; known: {', '.join(DTYPES)}")
    try:
        if layers is not None:
            case = read_layers(layers, memory_bytes=available_memory())
        elif preset in DECODERS:
            case = DECODERS[preset]()
        else:
            fail(f"--preset {preset!r} is not a decoder; known: {', '.join(DECODERS)}")
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
    if not takes or known == "none":
        return message
    return subject + takes + ", ".join(map(_option, known.split(", ")))


def _option(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def _parse(name: str, text: str, parameter: Parameter) -> Any:
    """Return the value of a parameter's option; exit where it is none."""
    if parameter.kind is str:
        return text
    if parameter.kind is bool:
        if text not in ("true", "false"):
            fail(f"{_option(name)} {text!r} is not true or false")
        return text == "true"
    numbers = _parse_numbers(name, text, parameter.kind)
    return numbers[0] if len(numbers) == 1 else numbers


def _parse_numbers(name: str, text: str, kind: type[Any]) -> tuple[Any, ...]:
    """Return the numbers of an option such as "8,64,112,112"."""
    try:
        return tuple(kind(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        fail(f"{_option(name)} {text!r} must be {kind.__name__} or a list such as 2,2")
