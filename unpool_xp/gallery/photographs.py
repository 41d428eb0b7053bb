"""Photographs for the gallery: those that scikit-image ships, or a file of one's own."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

NDArray: TypeAlias = np.ndarray[Any, Any]

SHIPPED = ("astronaut", "camera", "chelsea")  # in scikit-image's wheel: nothing is downloaded
LARGEST = 1024  # pixels a side; beyond it a photograph is reduced first
SMALLEST = 16
_LOOKS = {"astronaut": (102, 222), "camera": (122, 258), "chelsea": (120, 178)}  # at the eyes
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")


@dataclass(frozen=True)
class Photograph:
    """A picture to be pooled.

    Attributes
    ----------
    name : str
        The name of its file, without the ending.
    pixels : ndarray
        Shape ``(channel, row, column)`` with one or three channels, float64 from 0 to 1.
    look : tuple of int
        Row and column of the middle of what is shown enlarged.
    notes : tuple of str
        What was done to it when it was read.
    """

    name: str
    pixels: NDArray = field(repr=False)
    look: tuple[int, int]
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.pixels.shape[-2], self.pixels.shape[-1]


def shipped_photograph(name: str) -> Photograph:
    """Return a photograph that is part of scikit-image.

    Parameters
    ----------
    name : str
        One of `SHIPPED`.

    Returns
    -------
    Photograph
        The photograph, read from the installed package.

    Raises
    ------
    ValueError
        If `name` is none of them.
    FileNotFoundError
        If this scikit-image came without its pictures.

    Examples
    --------
    >>> from unpool_xp.gallery.photographs import shipped_photograph
    >>> shipped_photograph("camera").pixels.shape
    (1, 512, 512)
    """
    if name not in SHIPPED:
        raise ValueError(f"unknown photograph {name!r}; known: {', '.join(SHIPPED)}")
    # The file itself: skimage.data would download what it does not find.
    path = Path(str(files("skimage") / "data" / f"{name}.png"))
    if not path.is_file():
        raise FileNotFoundError(f"{path}: this scikit-image came without it; give a picture")
    return read_photograph(path, look=_LOOKS[name])


def read_photograph(path: Path | str, *, look: tuple[int, int] | None = None) -> Photograph:
    """Read a picture of any format that Pillow reads.

    Parameters
    ----------
    path : Path or str
        A PNG, a JPEG, or the like: grey or colour, with or without transparency, grey of 16 bits.
    look : tuple of int, optional
        Row and column of the middle of what is to be shown enlarged. Default: where there is most
        to see.

    Returns
    -------
    Photograph
        Upright, on white where it is transparent, with a side of `LARGEST` pixels at the most.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no picture, is damaged, too small, or of a kind without a fixed white; or if
        `look` lies outside of it.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.load()
                upright = ImageOps.exif_transpose(image)
    except UnidentifiedImageError as error:
        raise ValueError(f"{path}: no picture of a known format") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"{path}: too large a picture; {error}") from error
    # Pillow's readers raise each their own for a damaged file.
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from error
    pixels, notes = _pixels(upright, path)
    if min(pixels.shape[1:]) < SMALLEST:
        size = f"{pixels.shape[2]}x{pixels.shape[1]}"
        raise ValueError(f"{path}: {size} pixels; each side must have at least {SMALLEST}")
    factor = -(-max(pixels.shape[1:]) // LARGEST)
    if factor > 1 and min(pixels.shape[1:]) // factor >= SMALLEST:
        pixels = _reduced(pixels, factor)
        notes.append(f"reduced by {factor}, to {pixels.shape[2]}x{pixels.shape[1]} pixels")
    rows, columns = pixels.shape[1:]
    if look is None:
        look = _busiest(pixels)
    elif not (0 <= look[0] < rows and 0 <= look[1] < columns):
        raise ValueError(f"look={look!r} lies outside the {rows} rows and {columns} columns")
    return Photograph(path.stem, pixels, look, tuple(notes))


def _pixels(image: Image.Image, path: Path) -> tuple[NDArray, list[str]]:
    """Return the values from 0 to 1, channel first, and what had to be done for it."""
    notes: list[str] = []
    if image.mode in _SIXTEEN_BITS or image.mode == "I":
        deep = np.asarray(image, dtype=np.float64)
        if deep.min() < 0 or deep.max() > 65535:
            raise ValueError(f"{path}: values of 32 bits, for which nothing says what is white")
        return deep[None] / 65535, notes
    if image.mode == "F":
        raise ValueError(f"{path}: floating-point values, for which nothing says what is white")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        notes.append("on white where it is transparent")
    # A palette or an ink may turn out grey; a picture with three equal channels stays in colour.
    image = image.convert("L" if image.mode in ("1", "L") else "RGB")
    values = np.asarray(image, dtype=np.float64) / 255
    return (values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)), notes


def _reduced(pixels: NDArray, factor: int) -> NDArray:
    """Return the means of blocks."""
    channels, rows, columns = pixels.shape[0], pixels.shape[1] // factor, pixels.shape[2] // factor
    blocks = pixels[:, : rows * factor, : columns * factor]
    means: NDArray = blocks.reshape(channels, rows, factor, columns, factor).mean((2, 4))
    return means


def _busiest(pixels: NDArray) -> tuple[int, int]:
    """Return the middle of the window with the largest variance."""
    window = min(80, *pixels.shape[1:])
    step = max(window // 4, 1)
    grey = pixels.mean(0)
    views = np.lib.stride_tricks.sliding_window_view(grey, (window, window))[::step, ::step]
    spread = np.asarray([[view.var() for view in row] for row in views])
    row, column = divmod(int(spread.argmax()), spread.shape[1])
    return row * step + window // 2, column * step + window // 2
