"""Files of cases: the layers of somebody's own model, as TOML or JSON."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from unpool_xp.bench.cases.case import Case
from unpool_xp.capabilities import DTYPES

_READERS: dict[str, Callable[[str], Any]] = {".toml": tomllib.loads, ".json": json.loads}


class _Layer(msgspec.Struct):
    """What every layer of a file has, its parameters aside."""

    operation: str
    shape: tuple[int, ...]
    dtype: str = "float32"


class _Layers(msgspec.Struct, forbid_unknown_fields=True):
    layers: list[dict[str, Any]]


def read_layers(path: str | Path) -> list[Case]:
    r"""Read cases from a file.

    Parameters
    ----------
    path : str or Path
        A file that ends with ``.toml``, with a table ``[[layers]]`` for each case, or one that ends
        with ``.json``, with a list of objects, or an object whose ``layers`` is one. The keys are
        the fields of `Case`.

    Returns
    -------
    list of Case
        In the order of the file.

    Raises
    ------
    ValueError
        If the file is not readable as such, or an entry is no case; the message names the file,
        the entry, counted from 1, and the reason.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from unpool_xp.bench.cases.layers import read_layers
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "decoder.toml"
    ...     _ = file.write_text('[[layers]]\noperation = "nearest_unpool"\n'
    ...                         'shape = [1, 8, 32, 32]\nscale = 2\n')
    ...     [case.name for case in read_layers(file)]
    ['nearest_unpool-1x8x32x32-f2x2-float32']
    """
    path = Path(path)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise ValueError(f"{path}: a file of layers ends with {' or '.join(_READERS)}")
    try:
        found = read(path.read_text(encoding="utf-8-sig"))
        found = {"layers": found} if isinstance(found, list) else found
        entries = msgspec.convert(found, _Layers).layers
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from error
    if not entries:
        raise ValueError(f"{path}: it has no layers")
    cases = []
    for number, entry in enumerate(entries, start=1):
        try:
            layer = msgspec.convert(entry, _Layer)
            if layer.dtype not in DTYPES:
                raise ValueError(f"unknown dtype {layer.dtype!r}; known: {', '.join(DTYPES)}")
            fields = msgspec.structs.asdict(layer)
            cases.append(Case(**{**entry, **fields}))
        except (ValueError, TypeError, ArithmeticError, MemoryError) as error:
            raise ValueError(f"{path}: layer {number}: {error}") from error
    return cases
