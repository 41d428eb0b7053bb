"""A decoder from a file: its layers one after another, as TOML or JSON."""

from __future__ import annotations

import contextlib
import json
import re
import tomllib
from bisect import bisect_left
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from unpool_xp.bench.cases.case import Case
from unpool_xp.capabilities import DTYPES

_KEYS = ("shape", "dtype", "name", "layers")
_GAP = re.compile(r"[\s,:]*")  # between the tokens of JSON


class LayerError(ValueError):
    """A layer that does not fit.

    Parameters
    ----------
    number : int
        Of the layer, from 1.
    layer : object
        What was given for it.
    reason : str
        What is wrong.
    """

    def __init__(self, number: int, layer: object, reason: str) -> None:
        given = layer if isinstance(layer, Mapping) else {}
        names = [given.get("operation"), given.get("name")]
        title = " ".join(name for name in names if isinstance(name, str) and name.isprintable())
        super().__init__(f"layer {number}{f' ({title})' if title else ''}: {reason}")
        self.number = number


def read_layers(path: str | Path, *, memory_bytes: int | None = None) -> Case:
    r"""Read a decoder from a file.

    Parameters
    ----------
    path : str or Path
        A file that ends with ``.toml`` or ``.json``, in UTF-8. Its keys are ``shape``, of what goes
        in, the batch first; ``dtype``, by default ``"float32"``; ``name``, by default the name of
        the file; and ``layers``, tables of an ``operation``, its parameters, a ``name`` where
        wanted and, where the operation takes indices, ``indices``, the name of the pooling whose
        indices they are.
    memory_bytes : int, optional
        What is available: no layer may need more. Default: any layer may.

    Returns
    -------
    Case
        Of the operation "decoder".

    Raises
    ------
    ValueError
        If the file is not such a file, or a layer does not follow from those before it. The message
        names the file, the line, the layer, counted from 1, and the reason.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from unpool_xp.bench.cases.layers import read_layers
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "decoder.toml"
    ...     _ = file.write_text('shape = [1, 8, 32, 32]\n'
    ...                         '[[layers]]\noperation = "nearest_unpool"\nscale = 2\n')
    ...     [part.name for part in read_layers(file).parts]
    ['nearest_unpool-1x8x32x32-f2x2-float32']
    """
    path = Path(path)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise ValueError(f"{path}: a file of layers ends with {' or '.join(_READERS)}")
    try:
        return _decoder(read(path.read_bytes()), path.stem, memory_bytes)
    except _FileError as error:
        raise ValueError(f"{path}:{error.line}: {error}") from error


class _FileError(ValueError):
    """What is wrong at a line of a file."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


class _Document:
    """What a file holds, and where: `line_of` takes a key, or the number of a layer from 1."""

    def __init__(self, data: Any, line_of: Callable[[str | int], int]) -> None:
        self.data, self.line_of = data, line_of


def _decoder(file: _Document, stem: str, memory_bytes: int | None) -> Case:
    data = file.data
    if not isinstance(data, dict):
        raise _FileError(1, f"shape and layers are missing: it holds no keys but {data!r:.80}")
    for key, value in data.items():
        if key not in _KEYS:
            raise _FileError(file.line_of(key), f"unknown key {key!r}; known: {', '.join(_KEYS)}")
        if key == "shape" and not isinstance(value, list):
            raise _FileError(file.line_of(key), f"shape={value!r} must be a list of ints >= 1")
        if key == "dtype" and value not in DTYPES:
            reason = f"unknown dtype {value!r}; known: {', '.join(DTYPES)}"
            raise _FileError(file.line_of(key), reason)
    for key in ("shape", "layers"):
        if key not in data:
            raise _FileError(1, f"{key} is missing")
    try:
        case = Case("decoder", **{"name": stem, **data})
        for number, part in enumerate(case.parts, start=1):
            if memory_bytes is not None and part.needed_bytes > memory_bytes:
                sizes = part.needed_bytes / 1e9, memory_bytes / 1e9
                reason = "too large: it needs about {:.1f} GB, {:.1f} are available".format(*sizes)
                raise LayerError(number, case.layers[number - 1], reason)
    except LayerError as error:
        raise _FileError(file.line_of(error.number), str(error)) from error
    except ValueError as error:
        reason = str(error).removeprefix("Case: ")
        key = next((key for key in data if reason.startswith(f"{key}")), "shape")
        raise _FileError(file.line_of(key), reason) from error
    return case


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _FileError(line, f"it is not UTF-8: {error.reason}") from error


def _read_toml(data: bytes) -> _Document:
    text = _text(data)
    lines = text.split("\n")
    try:
        found = tomllib.loads(text)
    except ValueError as error:  # of a number with thousands of digits, too
        place = re.search(r" \(at line (\d+), column \d+\)$", str(error))
        at_end = str(error).endswith("(at end of document)")
        line = int(place[1]) if place else len(lines) if at_end else 1
        raise _FileError(line, str(error)) from error
    except RecursionError as error:
        raise _FileError(1, "it is nested too deeply") from error

    def before(stop: int) -> tuple[int, dict[str, Any]]:
        """Return the last line up to `stop` at which no value is left open, and what is there."""
        for end in range(stop, 0, -1):
            for tail in ("", "]"):  # between the entries of a list
                with contextlib.suppress(ValueError):
                    return end, tomllib.loads("\n".join(lines[:end]) + tail)
        return 0, {}

    def line_of(wanted: str | int) -> int:
        def is_there(stop: int) -> bool:
            part = before(stop)[1]
            if isinstance(wanted, str):
                return wanted in part
            return len(part.get("layers", ())) >= wanted

        last = bisect_left(range(len(lines)), True, key=lambda line: is_there(line + 1))
        return before(last)[0] + 1

    return _Document(found, line_of)


def _read_json(data: bytes) -> _Document:
    text = _text(data)
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise _FileError(error.lineno, str(error)) from error
    except (ValueError, RecursionError) as error:
        raise _FileError(1, str(error)) from error

    def line_of(wanted: str | int) -> int:
        return text.count("\n", 0, _json_places(text)[wanted]) + 1

    return _Document(found, line_of)


def _json_places(text: str) -> dict[str | int, int]:
    """Return where the keys of an object begin, and the layers by their number from 1."""
    decode, places = json.JSONDecoder().raw_decode, dict[str | int, int]()

    def skip(at: int) -> int:
        found = _GAP.match(text, at)
        return found.end() if found else at

    at = skip(text.index("{") + 1)
    while text[at] != "}":
        start = at
        key, at = decode(text, at)
        places[key], at = start, skip(at)
        if key == "layers" and text[at] == "[":
            number, at = 1, skip(at + 1)
            while text[at] != "]":
                places[number] = at
                number, at = number + 1, skip(decode(text, at)[1])
            at += 1
        else:
            _, at = decode(text, at)
        at = skip(at)
    return places


_READERS: dict[str, Callable[[bytes], _Document]] = {".toml": _read_toml, ".json": _read_json}
