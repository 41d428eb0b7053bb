"""Cases from a file: read as they are, or refused with the file, the entry and the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.layers import read_layers

POOL = Case("max_pool", (1, 8, 32, 32), kernel=2)
UP = Case("nearest_unpool", (1, 8, 16, 16), scale=(2.0, 1.5), dtype="float16")
TOML = """
[[layers]]
operation = "max_pool"
shape = [1, 8, 32, 32]
kernel = 2

[[layers]]
operation = "nearest_unpool"
shape = [1, 8, 16, 16]
scale = [2, 1.5]
dtype = "float16"
"""


def as_layer(case: Case) -> dict[str, Any]:
    fields = {"operation": case.operation, "shape": case.shape, "dtype": case.dtype}
    return {**fields, **case.parameters}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", TOML),
        ("a.json", json.dumps([as_layer(POOL), as_layer(UP)])),
        ("a.JSON", "\ufeff" + json.dumps({"layers": [as_layer(POOL), as_layer(UP)]})),
    ],
)
def test_a_file_has_cases(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert read_layers(path) == [POOL, UP]


def entry(**changed: object) -> str:
    return json.dumps([as_layer(POOL), {**as_layer(POOL), **changed}])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            entry(kernal=2),
            "layer 2: Case: kernal=2 is not for max_pool, which takes kernel",
        ),
        (entry(kernel="2"), "layer 2: Case: kernel='2' must be numbers, one an axis"),
        (entry(kernel=[2, True]), r"layer 2: Case: kernel=\[2, True\] must be numbers"),
        (entry(kernel=9, shape=[1, 1, 4, 4]), "layer 2: .*spans 9 cells, more than the 4"),
        (entry(kernel=None), "layer 2: Case: kernel=None; max_pool needs it"),
        (entry(shape=[0]), r"layer 2: Case: shape=\(0,\) must be a tuple of ints >= 1"),
        (entry(shape=[10**30] * 4), r"layer 2: Case: shape=\(10+, .* is too large: "),
        (entry(operation="upsample"), "layer 2: Case: unknown operation 'upsample'; known: "),
        (entry(dtype="f4"), "layer 2: unknown dtype 'f4'; known: "),
        (entry(scale=2), "layer 2: .*scale"),
        ('[{"operation": "max_pool"}]', "layer 1: Object missing required field `shape`"),
        ("[]", "it has no layers"),
        ("{}", "Object missing required field `layers`"),
        ('{"layers": [], "name": "x"}', "Object contains unknown field `name`"),
        ("[1]", r"Expected `object`, got `int` - at `\$.layers\[0\]`"),
        ("3", "Expected `object`, got `int`"),
        ("{", "Expecting property name"),
        ("[" * 100_000, ".*recursion"),
        (b"\xff\xfe[\x00", ".*codec can't decode"),
    ],
)
def test_what_is_no_case_is_named(tmp_path: Path, text: str | bytes, reason: str) -> None:
    path = tmp_path / "my layers.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=f"my layers.json: {reason}"):
        read_layers(path)


UNPOOL = '[[layers]]\noperation = "nearest_unpool"\n'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("layers = 3", r"Expected `array`, got `int` - at `\$.layers`"),
        ("[layers]\noperation = 1", "Expected `array`, got `object`"),
        ("operation =", "Invalid value"),
        (
            '[[layers]]\noperation = "nearest_unpool"\nshape = [1, 1, 2, 2]\nscale = inf',
            "layer 1: ",
        ),
        (
            '[[layers]]\noperation = "nearest_unpool"\nshape = 1979-05-27',
            "layer 1: Expected `array`",
        ),
    ],
)
def test_what_is_no_toml_of_cases_is_named(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "layers.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=f"layers.toml: {reason}"):
        read_layers(path)


def test_a_file_says_by_its_ending_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a.yaml: a file of layers ends with .toml or .json"):
        read_layers(tmp_path / "a.yaml")
    with pytest.raises(FileNotFoundError):
        read_layers(tmp_path / "a.toml")
