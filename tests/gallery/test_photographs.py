"""Photographs are read from every kind of file, and without a network."""

from __future__ import annotations

import math
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from unpool_xp.gallery import photographs
from unpool_xp.gallery.photographs import SHIPPED, read_photograph, shipped_photograph


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_photographs_need_no_network(name: str) -> None:
    photograph = shipped_photograph(name)
    assert (photograph.name, photograph.notes) == (name, ())
    assert 0 <= photograph.pixels.min() < 0.1 < 0.9 < photograph.pixels.max() <= 1


def test_a_missing_shipped_photograph_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="known: astronaut"):
        shipped_photograph("lena")
    monkeypatch.setattr(photographs, "files", lambda package: tmp_path)
    with pytest.raises(FileNotFoundError, match=r"camera\.png"):
        shipped_photograph("camera")


def ramp(*shape: int, largest: int = 255, dtype: Any = np.uint8) -> np.ndarray:
    return np.linspace(0, largest, math.prod(shape)).reshape(shape).astype(dtype)


def saved(folder: Path, image: Image.Image, name: str = "it.png", **options: Any) -> Path:
    image.save(folder / name, **options)
    return folder / name


def test_pictures_of_every_kind_are_read(tmp_path: Path) -> None:
    grey, colour = ramp(20, 24), ramp(20, 24, 3)
    deep = ramp(20, 24, largest=65535, dtype=np.uint16)
    for array, pixels in (
        (grey, grey[None] / 255),
        (colour, np.moveaxis(colour, -1, 0) / 255),
        (deep, deep[None] / 65535),
    ):
        read = read_photograph(saved(tmp_path, Image.fromarray(array)))
        np.testing.assert_array_equal(read.pixels, pixels)
        assert read.notes == ()

    photo = read_photograph(saved(tmp_path, Image.fromarray(colour), "it.jpg", quality=95))
    assert np.abs(photo.pixels - np.moveaxis(colour, -1, 0) / 255).max() < 0.1
    cmyk = saved(tmp_path, Image.fromarray(colour).convert("CMYK"), "cmyk.jpg")
    assert read_photograph(cmyk).pixels.shape == (3, 20, 24)
    for mode, channels in (("1", 1), ("P", 3), ("LA", 3)):
        image = Image.fromarray(grey).convert(mode)
        assert read_photograph(saved(tmp_path, image)).pixels.shape == (channels, 20, 24)


def test_transparency_is_put_on_white(tmp_path: Path) -> None:
    pixels = np.zeros((20, 20, 4), dtype=np.uint8)
    pixels[..., 0], pixels[:, 10:, 3] = 200, 255
    read = read_photograph(saved(tmp_path, Image.fromarray(pixels)))
    assert read.notes == ("on white where it is transparent",)
    assert (read.pixels[:, :, :10] == 1).all()
    np.testing.assert_allclose(read.pixels[:, 0, 15], [200 / 255, 0, 0])


def test_a_picture_is_turned_upright_and_reduced(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    lying = Image.fromarray(ramp(20, 40))
    assert read_photograph(saved(tmp_path, lying, "it.jpg", exif=exif)).size == (40, 20)
    large = ramp(60, 2100)
    read = read_photograph(saved(tmp_path, Image.fromarray(large)))
    assert read.size == (20, 700)
    assert read.notes == ("reduced by 3, to 700x20 pixels",)
    np.testing.assert_allclose(read.pixels[0, 0, 0], large[:3, :3].mean() / 255)


def test_the_focus_is_where_the_variance_is_largest(tmp_path: Path) -> None:
    picture = np.zeros((200, 300), dtype=np.uint8)
    picture[120:180:2, 200:280:2] = 255
    row, column = read_photograph(saved(tmp_path, Image.fromarray(picture))).focus
    assert 120 <= row <= 180
    assert 200 <= column <= 280


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    damaged, text = tmp_path / "damaged.png", tmp_path / "letter.png"
    damaged.write_bytes(saved(tmp_path, Image.fromarray(ramp(99, 99))).read_bytes()[:200])
    text.write_text("no picture")
    no_white = Image.fromarray(np.ones((20, 20), np.float32))
    for path, message in (
        (tmp_path / "gone.png", "no such file"),
        (text, "no picture of a known format"),
        (damaged, "cannot be read"),
        (tmp_path, "directory"),
        (saved(tmp_path, Image.new("L", (10, 40))), "10x40 pixels; each side must have at least"),
        (saved(tmp_path, no_white, "it.tif"), "no defined white"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
            read_photograph(path)
        assert str(path) in str(caught.value)
