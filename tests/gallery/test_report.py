"""The command writes pictures, a table in Markdown and JSON, the same on every backend."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.command import run
from unpool_xp import backends
from unpool_xp.gallery.photographs import SHIPPED, Photograph
from unpool_xp.gallery.report import make_report

NUMPY = backends.load("numpy")


def test_the_command_writes_a_grid_and_prints_a_table(tmp_path: Path, small: Photograph) -> None:
    path, to = tmp_path / "my [cat].png", tmp_path / "out"
    pixels = np.rint(np.moveaxis(small.pixels, 0, -1) * 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    shown = run("gallery", str(path), "-s", "2", "-s", "3", "--to", str(to))
    assert shown.returncode == 0, shown.stderr
    assert max(map(len, shown.stdout.splitlines())) <= 80
    lines = shown.stdout.splitlines()
    assert lines[0] == "my [cat], 127x103 pixels"
    table = [line.split() for line in lines[3:11]]
    assert table[-1][0] == "max_pool"
    scores = [float(words[-4].rstrip(",")) for words in table]
    assert scores == sorted(scores, reverse=True)
    names = {"gallery.png", "gallery-shift.png", "gallery-checkerboard.png", "gallery.md"}
    assert {p.name for p in to.iterdir()} == names
    markdown = (to / "gallery.md").read_text(encoding="utf-8")
    assert all(f"]({name})" in markdown for name in names - {"gallery.md"})
    assert markdown.count("| avg_pool | ") == 4

    again = run("gallery", str(path), "-s", "2", "--to", str(to), "--backend", "torch", "--json")
    answer = json.loads(again.stdout)
    assert answer["backend"] == "torch:cpu"
    (photograph,) = answer["photographs"]
    assert (photograph["rows"], photograph["columns"]) == (103, 127)
    best = max(photograph["results"], key=lambda result: result["psnr_db"])
    assert best["unpooling"] == "linear_unpool half_pixel"
    assert {made["detail"] for made in answer["checkerboard"] if made["unevenness"]} == {
        "kernel 3, stride 2",
        "kernel 5, stride 2",
    }


def test_several_photographs_share_a_sheet() -> None:
    report = make_report(None, NUMPY, [4])
    assert [g.photograph.name for g in report.galleries] == list(SHIPPED)
    figures = {name: figure for name, _, figure in report.figures()}
    assert set(figures) == {
        *("gallery.png", "gallery-shift.png", "gallery-checkerboard.png"),
        *(f"gallery-{name}.png" for name in SHIPPED),
    }
    widths = [figures[f"gallery{name}.png"].get_figwidth() for name in ("", "-camera")]
    assert widths[0] > widths[1]


def test_a_flat_small_picture_loses_nothing_and_is_valid_json(tmp_path: Path) -> None:
    Image.new("L", (20, 20), 128).save(tmp_path / "flat.png")
    report = make_report(tmp_path / "flat.png", NUMPY, [2])
    assert report.checkerboard == ()
    answer = json.loads(json.dumps(report.as_json([]), allow_nan=False))
    results = answer["photographs"][0]["results"]
    lossless = {result["unpooling"] for result in results if result["psnr_db"] is None}
    assert "nearest_unpool" in lossless
    assert "max_unpool" not in lossless
    report.write(tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.png"], "gone.png: no such file"),
        (["--stride", "1"], "stride 1 must be above 1"),
        (["--backend", "nothing"], "unknown backend 'nothing'"),
    ],
)
def test_the_command_refuses_bad_arguments(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    shown = run("gallery", *arguments, "--to", str(tmp_path / "out"))
    assert shown.returncode == 2
    assert message in " ".join(shown.stderr.split())
    assert not (tmp_path / "out").exists()
