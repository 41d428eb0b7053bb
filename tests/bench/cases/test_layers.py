"""Decoders from a file: read as they are, or refused with the line, the layer and the reason."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.layers import read_layers

LAYERS = [
    {"operation": "max_pool", "kernel": 2, "name": "pool"},
    {"operation": "linear_unpool", "scale": [1.0, 1.0]},
    {"operation": "max_unpool", "indices": "pool"},
]
DECODER = Case("decoder", (1, 8, 32, 32), dtype="float16", name="mine", layers=LAYERS)
JSON = {"shape": [1, 8, 32, 32], "dtype": "float16", "layers": LAYERS}
POOL = """[[layers]]  # of the encoder
operation = "max_pool"
kernel = 2
name = "pool"
"""
UNPOOL = '[[layers]]\noperation = "max_unpool"\nindices = "pool"\n'
UP = '[[layers]]\noperation = "nearest_unpool"\nscale = 2\n'
SHAPE = "shape = [1, 8, 32, 32]\n"
TOML = f'{SHAPE}dtype = "float16"\n{POOL}\n{UP.replace("nearest", "linear")}\n{UNPOOL}'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mine.toml", TOML.replace("scale = 2", "scale = 1")),
        ("mine.TOML", "\ufeff" + TOML.replace("scale = 2", "scale = [1, 1.0]")),
        ("mine.toml", TOML.replace("scale = 2", "scale = 1").replace("\n", "\r\n")),
        ("mine.json", json.dumps(JSON)),
        ("other.JSON", "\ufeff" + json.dumps(JSON | {"name": "mine"}, indent=1)),
    ],
)
def test_a_file_holds_a_decoder(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode())
    assert read_layers(path) == DECODER
    with pytest.raises(ValueError, match=r":\d+: layer 1 .*too large: it needs about 0.0 GB"):
        read_layers(path, memory_bytes=1000)


def refused(path: Path, text: str | bytes) -> tuple[int, str]:
    """Return the line and the reason of the error of a file."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
        read_layers(path)
    line, _, reason = str(caught.value).removeprefix(f"{path}:").partition(": ")
    return int(line), reason


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "shape is missing"),
        (SHAPE, 1, "layers is missing"),
        (SHAPE + "layers = []", 2, "layers must be a list of one layer or more"),
        (SHAPE + "layers = 3", 2, "layers must be a list"),
        (SHAPE + "[layers]\noperation = 1", 2, "layers must be a list"),
        ("operation =", 1, "Invalid value"),
        (SHAPE + "\n\n[[layers]\n", 4, "Expected"),
        (SHAPE + 'name = """\n\n', 4, "Unterminated string"),
        (f"a = {'9' * 5000}", 1, "Exceeds the limit"),
        ("a = " + "[" * 100_000, 1, "it is nested too deeply"),
        (b"shape = [1]\n\xff\xfe[\x00", 2, "it is not UTF-8"),
        ("\n# ours\nshap = [1]", 3, "unknown key 'shap'; known: shape, dtype, name, layers"),
        ("shape = 1979-05-27\n" + UP, 1, "shape=datetime.date(1979, 5, 27) must be a list"),
        ("\nshape = [1, 8, 0]\n" + UP, 2, "shape=[1, 8, 0] must be a tuple of ints >= 1"),
        ("\nshape = [1, 8.0, 8]\n" + UP, 2, "shape=[1, 8.0, 8]"),
        ("\nshape = [1, 8]\n" + UP, 2, "shape=(1, 8) must be (batch, channels, *spatial)"),
        (SHAPE + 'dtype = "f4"\n' + UP, 2, "unknown dtype 'f4'; known: "),
        (SHAPE + "dtype = [1]\n" + UP, 2, "unknown dtype [1]"),
        (SHAPE + 'dtype = "bool"\n' + UP, 2, "dtype='bool' is not one that decoder takes"),
        (SHAPE + "name = 3\n" + UP, 2, "name=3 must be printable text"),
        (SHAPE + 'name = "\\u001b[2J"\n' + UP, 2, r"name='\x1b[2J' must be printable text"),
        (SHAPE + POOL + UP.replace("sc", "csa"), 6, "layer 2 (nearest_unpool): csaale=2 is"),
        (SHAPE + POOL + UP + UNPOOL, 9, "layer 3 (max_unpool): values of shape (1, 8, 32, 32) do"),
        (SHAPE + UNPOOL + POOL, 2, "layer 1 (max_unpool): indices='pool' is layer 2, which comes"),
        (SHAPE + UP + UNPOOL, 5, "layer 2 (max_unpool): indices='pool' does not name a layer"),
        (SHAPE + POOL + UP + POOL, 9, "layer 3 (max_pool pool): name='pool' is also the name of"),
        (SHAPE + UP * 1000 + POOL, 3002, "layer 1001 (max_pool pool): 1001 layers are too many"),
        (SHAPE + UP * 40, 71, "layer 24 (nearest_unpool): shape=(1, 8, 268435456, "),
        (f'note = """\n{UP}"""\n' + SHAPE + UP, 1, "unknown key 'note'"),
        (
            f'{SHAPE}name = """\\\n[[layers]]\\\nx"""\n{UP}[["layers"]]\nscale = 2',
            8,
            "layer 2: operation=None must be printable text",
        ),
        (
            SHAPE + 'layers = [\n {operation = "nearest_unpool", scale = [1,\n 2]},\n'
            ' {operation = "max_pool"},\n]',
            5,
            "layer 2 (max_pool): kernel=None; max_pool needs it",
        ),
    ],
)
def test_what_is_wrong_in_toml_is_named_by_its_line(
    tmp_path: Path, text: str | bytes, line: int, reason: str
) -> None:
    found, said = refused(tmp_path / "my decoder.toml", text)
    assert said.startswith(reason)
    assert found == line


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "Expecting value"),
        ("{\n", 2, "Expecting property name"),
        ("[]", 1, "shape and layers are missing: it holds no keys but []"),
        ("3", 1, "shape and layers are missing: it holds no keys but 3"),
        ("{}", 1, "shape is missing"),
        ('{"layers": [],\n"shape": [1]}', 1, "layers must be a list of one layer or more"),
        (json.dumps(JSON | {"layers": [LAYERS[0], 1]}, indent=0), 15, "layer 2: 1 must be a table"),
        (json.dumps(JSON | {"layers": [3, "]"]}, indent=0), 10, "layer 1: 3 must be a table"),
        (json.dumps(JSON | {"layers": None}, indent=0), 9, "layers=None; decoder needs it"),
        (json.dumps(JSON | {"shape": {"layers": 1}}), 1, "shape={'layers': 1} must be a list"),
        (json.dumps(JSON | {"name": None}, indent=0), 27, "name=None; decoder needs it"),
        (json.dumps({"x": ["}", {}]} | JSON, indent=0), 2, "unknown key 'x'"),
        (json.dumps(JSON | {"dtype": "int8"}, indent=0), 15, "layer 2 (linear_unpool): dtype"),
        ("[" * 100_000, 1, "maximum recursion depth"),
    ],
)
def test_what_is_wrong_in_json_is_named_by_its_line(
    tmp_path: Path, text: str, line: int, reason: str
) -> None:
    found, said = refused(tmp_path / "a.json", text)
    assert said.startswith(reason)
    assert found == line


def test_a_file_says_by_its_ending_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a.yaml: a file of layers ends with .toml or .json"):
        read_layers(tmp_path / "a.yaml")
    with pytest.raises(FileNotFoundError):
        read_layers(tmp_path / "a.toml")
