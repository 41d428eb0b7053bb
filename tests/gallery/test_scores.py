"""The gallery: its numbers by hand, its pictures by their size, and no network."""

from __future__ import annotations

import json
import math
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import unpool_xp as ux
from unpool_xp import backends
from unpool_xp.gallery import photographs as gallery_photos
from unpool_xp.gallery.checkerboard import checkerboard, overlap, unevenness
from unpool_xp.gallery.figures import DETAIL, GAP, MARGIN, TILE, Column, difference, grid
from unpool_xp.gallery.methods import METHODS
from unpool_xp.gallery.photographs import (
    SHIPPED,
    Photograph,
    read_photograph,
    shipped_photograph,
)
from unpool_xp.gallery.report import exhibition
from unpool_xp.gallery.scenes import best_shift, checkerboard_scene, shift_scene
from unpool_xp.gallery.scores import Gallery, make_gallery, psnr, settled, ssim

from tests.conftest import CPU, GPU
from tests.test_check import run

NUMPY = backends.load("numpy")


@pytest.fixture(scope="module")
def small() -> Photograph:
    """A colour detail of a photograph, neither side of which is a multiple of all strides."""
    pixels = shipped_photograph("chelsea").pixels[:, 60:163, 90:217]
    return Photograph("small", pixels, (50, 60))


@pytest.fixture(scope="module")
def made(small: Photograph) -> Gallery:
    return make_gallery(small, NUMPY, [2, 3, 2.5])


# --- numbers -------------------------------------------------------------------------------------


def test_psnr_by_hand() -> None:
    # A mean squared error of 0.01 is a hundredth of the peak's square: 20 dB.
    original = np.full((1, 16, 16), 0.5)
    assert psnr(original, original + 0.1) == pytest.approx(20)
    # One cell of 256 wrong by 0.5: 10*log10(256 / 0.25).
    picture = original.copy()
    picture[0, 3, 4] = 1
    assert psnr(original, picture) == pytest.approx(10 * math.log10(1024))
    assert psnr(original, original) == math.inf


def test_ssim_has_the_channels_apart() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.random((2, 3, 24, 20))
    assert ssim(a, a) == pytest.approx(1)
    channels = [ssim(a[i : i + 1], b[i : i + 1]) for i in range(3)]
    assert ssim(a, b) == pytest.approx(np.mean(channels))


def test_a_pair_by_hand() -> None:
    # Two levels in each window of 2x2: 0 and 1 make a mean of 0.5, off by 0.5 everywhere.
    stripes = np.tile([0.0, 1.0], (1, 32, 16))
    gallery = make_gallery(Photograph("stripes", stripes, (8, 8)), NUMPY, [2])
    found = {entry.method.name: entry.psnr for entry in gallery.entries}
    assert found["avg_pool, nearest_unpool"] == pytest.approx(10 * math.log10(4), abs=1e-3)
    # The maximum everywhere is off by 1 in every second cell.
    assert found["max_pool, nearest_unpool"] == pytest.approx(10 * math.log10(2), abs=1e-3)
    # One of the two ones of a window is back, the other is zero: off by 1 in every fourth cell.
    assert found["max_pool, max_unpool"] == pytest.approx(10 * math.log10(4), abs=1e-3)


def test_each_method_is_there_once_for_each_stride(made: Gallery) -> None:
    assert made.strides == [2, 3, 2.5]
    counts = {stride: sum(e.stride == stride for e in made.entries) for stride in made.strides}
    assert counts == {2: 8, 3: 8, 2.5: 2}
    assert len({method.name for method in METHODS}) == len(METHODS)
    for entry in made.entries:
        assert entry.picture.shape == entry.original.shape
        whole = entry.stride.is_integer()
        rows = 103 - 103 % int(entry.stride) if whole else 103
        assert entry.picture.shape[1] == rows
        assert psnr(entry.original, entry.picture) == entry.psnr


def test_the_best_psnr_stands_first(made: Gallery) -> None:
    means = [np.mean([made.at(m, s).psnr for s in (2, 3)]) for m in made.methods()]  # type: ignore[union-attr]
    assert means == sorted(means, reverse=True)
    assert made.methods()[0].unpooling == "linear_unpool half_pixel"
    assert made.methods()[-1].unpooling == "max_unpool"


def test_indices_bring_the_maxima_to_their_places(small: Photograph, made: Gallery) -> None:
    (method,) = (m for m in METHODS if m.unpooling.endswith("with indices"))
    entry = made.at(method, 2.5)
    assert entry is not None
    size = tuple(int(n / 2.5) for n in small.size)
    pooled = ux.fractional_max_pool(small.pixels, (3, 3), output_size=size, samples=(0.5, 0.5))
    flat = entry.picture.reshape(3, -1)
    there = np.take_along_axis(flat, pooled.indices.reshape(3, -1), 1)
    np.testing.assert_allclose(there, pooled.values.reshape(3, -1), atol=1e-5)


@pytest.mark.parametrize("label", [*CPU[1:], *GPU])
def test_every_backend_gives_the_same_pictures(
    label: str, small: Photograph, made: Gallery
) -> None:
    try:
        backend = backends.load(label)
    except backends.BackendUnavailableError as missing:
        if label in GPU:
            pytest.skip(f"needs a GPU: {missing}")
        raise
    there = make_gallery(small, backend, made.strides)
    assert there.backend == label
    for ours, theirs in zip(made.entries, there.entries, strict=True):
        np.testing.assert_array_equal(ours.picture, theirs.picture, ours.method.name)
        assert (ours.psnr, ours.ssim) == (theirs.psnr, theirs.ssim)


def test_settled_pictures_have_ties_and_last_bits_behind_them() -> None:
    ties = (np.arange(100) + 0.5) / 65535
    for error in (-1e-15, 0, 1e-15):
        np.testing.assert_array_equal(settled(ties + error), np.arange(1, 101) / 65535)
    np.testing.assert_array_equal(settled(np.asarray([-0.1, 1.1])), [0, 1])
    exact = np.arange(256) / 255
    np.testing.assert_allclose(settled(exact), exact, atol=1e-12)


def test_jax_is_left_in_the_precision_it_had(small: Photograph) -> None:
    import jax

    before = jax.config.jax_enable_x64
    try:
        jax.config.update("jax_enable_x64", False)
        make_gallery(small, backends.load("jax:cpu"), [4])
        assert not jax.config.jax_enable_x64
    finally:
        jax.config.update("jax_enable_x64", before)


# --- the half-cell shift -------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [2, 3, 4])
def test_asymmetric_is_half_a_cell_off_and_half_pixel_is_not(stride: int) -> None:
    gallery = make_gallery(shipped_photograph("camera"), NUMPY, [stride])
    found = {
        entry.method.unpooling: best_shift(entry.original, entry.picture, stride)
        for entry in gallery.entries
        if entry.method.pooling == "avg_pool"
    }
    assert found["linear_unpool asymmetric"] == pytest.approx((stride - 1) / 2, abs=0.05)
    assert found["linear_unpool half_pixel"] == pytest.approx(0, abs=0.05)


# --- the checkerboard ----------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", range(1, 9))
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_overlap_is_what_a_transposed_convolution_of_ones_adds_up(kernel: int, stride: int) -> None:
    ones, weight = np.ones((1, 20)), np.ones((1, 1, kernel))
    counts = ux.conv_transpose(ones, weight, stride=stride)[0]
    within = counts[8 * stride : 12 * stride].reshape(-1, stride)
    np.testing.assert_array_equal(within, np.tile(overlap(kernel, stride), (4, 1)))
    assert (unevenness(within) == 0) == (kernel % stride == 0)


def test_unevenness_by_hand() -> None:
    # 4, 2, 2, 1: mean 9/4, mean square 25/4, variance 25/4 - 81/16 = 19/16.
    assert unevenness([4, 2, 2, 1]) == pytest.approx(math.sqrt(19) / 9)


def test_the_checkerboard_is_where_the_kernel_is_no_multiple(small: Photograph) -> None:
    done = {(d.way.name, d.way.kernel): d for d in checkerboard(small, NUMPY)}
    uneven = {key for key, d in done.items() if d.unevenness > 0}
    assert uneven == {("conv_transpose", 3), ("conv_transpose", 5)}
    three = done["conv_transpose", 3]
    assert three.unevenness == pytest.approx(math.sqrt(19) / 9)
    assert set(three.counts.flat) == {1, 2, 4}
    assert max(d.psnr for key, d in done.items() if key in uneven) < 20
    assert min(d.psnr for key, d in done.items() if key not in uneven) > 20
    # Its brightness is kept, so the PSNR says something.
    for d in done.values():
        inside = d.picture[:, 8:-8, 8:-8].mean()
        assert inside == pytest.approx(small.pixels[:, 8:-8, 8:-8].mean(), rel=0.05)


# --- pictures ------------------------------------------------------------------------------------


def test_the_grid_has_a_row_a_method_and_a_pair_a_stride(made: Gallery) -> None:
    one, two, three = (grid([Column(made, s) for s in made.strides[:n]]).size for n in (1, 2, 3))
    assert one[0] == two[0]  # the legend needs the room
    pair = 2 * TILE + GAP
    assert three[0] - two[0] == pair + 30
    assert two[0] == 2 * MARGIN + 2 * pair + 30
    assert one[1] == two[1] == three[1]
    few = Gallery(made.photograph, "numpy", made.entries[:3])
    row = (one[1] - grid([Column(few, 2.0)]).size[1]) / 5
    assert row > TILE
    assert row == int(row)


def test_a_tile_shows_the_pixels_of_the_detail(made: Gallery) -> None:
    image = np.asarray(grid([Column(made, 2.0)]))
    zoom = TILE // DETAIL
    top, left = MARGIN, MARGIN + TILE + GAP
    shown = image[top : top + TILE : zoom, left : left + TILE : zoom]
    part = made.photograph.pixels[:, 50 - 40 : 50 + 40, 60 - 40 : 60 + 40]
    wanted = np.rint(np.moveaxis(part, 0, -1) * 255)
    np.testing.assert_array_equal(shown, wanted)


def test_the_difference_is_around_grey() -> None:
    there = difference(np.asarray([0.5, 0.5, 0.5, 0.0]), np.asarray([0.5, 0.6, 0.4, 1.0]))
    np.testing.assert_allclose(there, [0.5, 0.65, 0.35, 1])


def test_scenes_are_drawn_for_grey_and_for_narrow_pictures(small: Photograph) -> None:
    narrow = Photograph("narrow", small.pixels[:1, :40, :], (2, 126))
    gallery = make_gallery(narrow, NUMPY, [2, 2.5])
    sizes = {grid([Column(gallery, s) for s in gallery.strides]).mode}
    sizes.add(shift_scene(gallery, 2).mode)
    sizes.add(checkerboard_scene(narrow, checkerboard(narrow, NUMPY)).mode)
    assert sizes == {"RGB"}
    with pytest.raises(ValueError, match=r"stride 2\.5"):
        shift_scene(gallery, 2.5)


# --- photographs ---------------------------------------------------------------------------------


def forbid_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_photographs_need_no_network(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_network(monkeypatch)
    with pytest.raises(AssertionError):
        socket.create_connection(("localhost", 9))
    photograph = shipped_photograph(name)
    assert photograph.name == name
    assert photograph.notes == ()
    assert 0 <= photograph.pixels.min() < 0.1 < 0.9 < photograph.pixels.max() <= 1


def test_a_photograph_that_did_not_come_along_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_network(monkeypatch)
    with pytest.raises(ValueError, match="known: astronaut"):
        shipped_photograph("lena")
    monkeypatch.setattr(gallery_photos, "files", lambda package: tmp_path)
    with pytest.raises(FileNotFoundError, match=r"camera\.png"):
        shipped_photograph("camera")


def ramp(*shape: int, most: int, dtype: Any) -> np.ndarray:
    return np.linspace(0, most, math.prod(shape)).reshape(shape).astype(dtype)


def saved(folder: Path, image: Image.Image, name: str = "it.png", **options: Any) -> Path:
    image.save(folder / name, **options)
    return folder / name


def test_pictures_of_every_kind_are_read(tmp_path: Path) -> None:
    grey = ramp(20, 24, most=255, dtype=np.uint8)
    read = read_photograph(saved(tmp_path, Image.fromarray(grey)))
    np.testing.assert_array_equal(read.pixels, grey[None] / 255)

    colour = ramp(20, 24, 3, most=255, dtype=np.uint8)
    read = read_photograph(saved(tmp_path, Image.fromarray(colour)))
    np.testing.assert_array_equal(read.pixels, np.moveaxis(colour, -1, 0) / 255)
    assert read.notes == ()

    deep = ramp(20, 24, most=65535, dtype=np.uint16)
    read = read_photograph(saved(tmp_path, Image.fromarray(deep)))
    np.testing.assert_array_equal(read.pixels, deep[None] / 65535)

    photo = read_photograph(saved(tmp_path, Image.fromarray(colour), "it.jpg", quality=95))
    assert np.abs(photo.pixels - np.moveaxis(colour, -1, 0) / 255).max() < 0.1
    inks = saved(tmp_path, Image.fromarray(colour).convert("CMYK"), "inks.jpg")
    assert read_photograph(inks).pixels.shape == (3, 20, 24)
    for mode, channels in (("1", 1), ("P", 3), ("LA", 3)):
        image = Image.fromarray(grey).convert(mode)
        assert read_photograph(saved(tmp_path, image)).pixels.shape == (channels, 20, 24)


def test_a_transparent_picture_is_on_white(tmp_path: Path) -> None:
    pixels = np.zeros((20, 20, 4), dtype=np.uint8)
    pixels[..., 0], pixels[:, 10:, 3] = 200, 255
    read = read_photograph(saved(tmp_path, Image.fromarray(pixels)))
    assert read.notes == ("on white where it is transparent",)
    assert (read.pixels[:, :, :10] == 1).all()
    np.testing.assert_allclose(read.pixels[:, 0, 15], [200 / 255, 0, 0])


def test_a_picture_is_upright_and_reduced(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    lying = Image.fromarray(ramp(20, 40, most=255, dtype=np.uint8))
    assert read_photograph(saved(tmp_path, lying, "it.jpg", exif=exif)).size == (40, 20)
    large = ramp(60, 2100, most=255, dtype=np.uint8)
    read = read_photograph(saved(tmp_path, Image.fromarray(large)))
    assert read.size == (20, 700)
    assert read.notes == ("reduced by 3, to 700x20 pixels",)
    np.testing.assert_allclose(read.pixels[0, 0, 0], large[:3, :3].mean() / 255)


def test_what_is_shown_is_where_there_is_most_to_see(tmp_path: Path) -> None:
    picture = np.zeros((200, 300), dtype=np.uint8)
    picture[120:180:2, 200:280:2] = 255
    row, column = read_photograph(saved(tmp_path, Image.fromarray(picture))).look
    assert 120 <= row <= 180
    assert 200 <= column <= 280


def damaged(folder: Path) -> Path:
    path = saved(folder, Image.fromarray(ramp(99, 99, most=255, dtype=np.uint8)), "damaged.png")
    path.write_bytes(path.read_bytes()[:200])
    return path


def text(folder: Path) -> Path:
    (folder / "letter.png").write_text("no picture")
    return folder / "letter.png"


BAD = {
    "no such file": lambda folder: folder / "gone.png",
    "no picture of a known format": text,
    "cannot be read": damaged,
    "10x40 pixels; each side must have at least 16": lambda folder: saved(
        folder, Image.new("L", (10, 40))
    ),
    "nothing says what is white": lambda folder: saved(
        folder, Image.fromarray(np.ones((20, 20), np.float32)), "it.tif"
    ),
    "directory": lambda folder: folder,
}


@pytest.mark.parametrize("message", list(BAD))
def test_a_bad_file_is_named(message: str, tmp_path: Path) -> None:
    path = BAD[message](tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        read_photograph(path)
    assert str(path) in str(caught.value)


def test_bad_arguments_are_named(small: Photograph, tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("L", (20, 30)))
    with pytest.raises(ValueError, match=r"look=\(30, 0\) lies outside the 30 rows"):
        read_photograph(path, look=(30, 0))
    for stride in (1, 0, -2, 15, math.nan, math.inf):
        with pytest.raises(ValueError, match="must be above 1 and at most 14 for the 103 rows"):
            make_gallery(small, NUMPY, [stride])
    with pytest.raises(ValueError, match="none given"):
        make_gallery(small, NUMPY, [])
    tiny = Photograph("tiny", small.pixels[:, :20, :20], (9, 9))
    with pytest.raises(ValueError, match="tiny must have at least 32 rows"):
        checkerboard(tiny, NUMPY)


# --- the command ---------------------------------------------------------------------------------


def test_the_command_writes_a_grid_and_prints_a_table(tmp_path: Path, small: Photograph) -> None:
    pixels = np.rint(np.moveaxis(small.pixels, 0, -1) * 255).astype(np.uint8)
    path = saved(tmp_path, Image.fromarray(pixels), "my [cat].png")
    to = tmp_path / "out"
    shown = run("gallery", str(path), "-s", "2", "-s", "3", "--to", str(to))
    assert shown.returncode == 0, shown.stderr
    assert max(map(len, shown.stdout.splitlines())) <= 80
    lines = shown.stdout.splitlines()
    assert lines[0] == "my [cat], 127x103 pixels"
    table = [line.split() for line in lines[2:10]]
    assert [words[0] for words in table][-1] == "max"
    scores = [float(words[-4]) for words in table]
    assert scores == sorted(scores, reverse=True)
    names = {"gallery.png", "gallery-shift.png", "gallery-checkerboard.png", "gallery.md"}
    assert {p.name for p in to.iterdir()} == names
    markdown = (to / "gallery.md").read_text(encoding="utf-8")
    assert all(f"]({name})" in markdown for name in names - {"gallery.md"})
    assert markdown.count("| avg_pool | ") == 4

    # The same on another backend, to the byte; and as JSON.
    there = tmp_path / "torch"
    again = run(
        *("gallery", str(path), "-s", "2", "-s", "3", "--to", str(there)),
        *("--backend", "torch", "--json"),
    )
    answer = json.loads(again.stdout)
    assert answer["backend"] == "torch:cpu"
    for name in names - {"gallery.md"}:
        assert (there / name).read_bytes() == (to / name).read_bytes(), name
    (photograph,) = answer["photographs"]
    assert (photograph["rows"], photograph["columns"]) == (103, 127)
    best = max(photograph["results"], key=lambda result: result["psnr_db"])
    assert best["unpooling"] == "linear_unpool half_pixel"
    assert {done["detail"] for done in answer["checkerboard"] if done["unevenness"]} == {
        "kernel 3, stride 2",
        "kernel 5, stride 2",
    }


def test_several_photographs_share_a_sheet(small: Photograph) -> None:
    shown = exhibition(None, NUMPY, [4])
    assert [g.photograph.name for g in shown.galleries] == list(SHIPPED)
    pictures = {name: image for name, _, image in shown.pictures()}
    assert set(pictures) == {
        *("gallery.png", "gallery-shift.png", "gallery-checkerboard.png"),
        *(f"gallery-{name}.png" for name in SHIPPED),
    }
    assert pictures["gallery.png"].width > pictures["gallery-camera.png"].width


def test_a_flat_picture_loses_nothing_and_still_is_json(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("L", (20, 20), 128))
    shown = exhibition(path, NUMPY, [2])
    assert shown.checkerboard == ()
    answer = json.loads(json.dumps(shown.as_json([]), allow_nan=False))
    results = answer["photographs"][0]["results"]
    lossless = {r["unpooling"] for r in results if r["psnr_db"] is None}
    assert "nearest_unpool" in lossless
    assert "max_unpool" not in lossless
    shown.write(tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.png"], "gone.png: no such file"),
        (["--stride", "1"], "stride 1 must be above 1"),
        (["--backend", "nothing"], "unknown backend 'nothing'"),
    ],
)
def test_the_command_refuses_what_cannot_be(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    shown = run("gallery", *arguments, "--to", str(tmp_path / "out"))
    assert shown.returncode == 2
    assert message in " ".join(shown.stderr.split())
    assert "Traceback" not in shown.stderr
    assert not (tmp_path / "out").exists()
