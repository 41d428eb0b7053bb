"""A parameter of an operation: what a case, the command line and a name make of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from unpool_xp.bench.cases.formatting import sizes_text


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of an operation.

    Parameters
    ----------
    help : str
        What it is, for the command line.
    kind : type, optional
        int, float, bool or str. A float may be given as an int.
    per_axis : bool, optional
        Whether there is one for each axis that the operation acts on. The first such parameter
        decides how many axes that are.
    least : int, optional
        The smallest value. Default: the operation sees to it.
    required : bool, optional
        Whether there must be one.
    default : optional
        What it is where it is not given; a case that gives just this is the same case. A callable
        takes the parameters before it.
    letter : str, optional
        What stands before its value in the name of a case. Default: its name.
    convert : callable, optional
        From a value, and the number of axes after the first two, to what a case keeps of it; it
        raises a ValueError. `kind` and `least` do not matter then.
    text : callable, optional
        From a value to what stands for it in the name of a case, without a letter.
    brief_text : callable, optional
        The same for the short name. Default: `text`.
    """

    help: str
    kind: type[int] | type[float] | type[bool] | type[str] = int
    per_axis: bool = False
    least: int | None = None
    required: bool = False
    default: Any = None
    letter: str = ""
    convert: Callable[[Any, int], Any] | None = None
    text: Callable[[Any], str] | None = None
    brief_text: Callable[[Any], str] | None = None

    def check(self, name: str, value: Any, axes: int) -> Any:
        """Return a value as a case keeps it; raise a ValueError that names it."""
        if self.convert is not None:
            return self.convert(value, axes)
        if not self.per_axis:
            if not self._is_one(value):
                least = "" if self.least is None else f" >= {self.least}"
                article = "an" if self.kind is int else "a"
                kind = f"{article} {self.kind.__name__}{least}"
                raise ValueError(f"Case: {name}={value!r} must be {kind}")
            return value
        sizes = (value,) * axes if isinstance(value, int | float) else value
        if not isinstance(sizes, tuple | list) or not all(map(self._is_one, sizes)):
            raise ValueError(f"Case: {name}={sizes!r} must be numbers, one per axis")
        return tuple(sizes)

    def name_part(self, name: str, value: Any, *, brief: bool = False) -> str:
        """Return what stands for a value in the name of a case; `brief` is the short name."""
        text = (self.brief_text if brief else None) or self.text
        if text is not None:
            return text(value)
        between = "=" if self.kind is str and not self.letter else ""
        return (self.letter or name) + between + parameter_text(value, brief=brief)

    def _is_one(self, value: Any) -> bool:
        allowed = (int, float) if self.kind is float else (self.kind,)
        return type(value) in allowed and (self.least is None or value >= self.least)


def parameter_text(value: Any, *, brief: bool = False) -> str:
    """Return any value that a row may hold as a parameter."""
    if not isinstance(value, tuple | list):
        return str(value)
    if not all(isinstance(one, int | float) for one in value):
        return json.dumps(value)
    return sizes_text(value[:1] if brief and len(set(value)) == 1 else value)


def check_parameters(
    operation: str,
    known: Mapping[str, Parameter],
    axes: int,
    given: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the parameters of a case, in their order, without those that are left out.

    `axes` is how many there are after the first two of the shape. Raises a ValueError that names
    the first parameter that is wrong.
    """
    for name, value in given.items():
        if value is not None and name not in known:
            takes = ", ".join(known) or "none"
            raise ValueError(f"Case: {name}={value!r} is not for {operation}, which takes {takes}")
    checked: dict[str, Any] = {}
    for name, parameter in known.items():
        value, default = given.get(name), parameter.default
        if value is None and callable(default):
            value = default(checked)
        if value is not None:
            value = parameter.check(name, value, axes)
            left_out = None if default is None or callable(default) else default
            if left_out is None or value != parameter.check(name, left_out, axes):
                checked[name] = value
        elif parameter.required:
            raise ValueError(f"Case: {name}=None; {operation} needs it")
    return checked
