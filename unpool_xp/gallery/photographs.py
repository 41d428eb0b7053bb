"""The photographs of the gallery: those that scikit-image ships, or any picture file."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

import unpool_xp as ux

NDArray: TypeAlias = np.ndarray[Any, Any]

# In scikit-image's wheel, so that nothing is downloaded; each with the position of the eyes.
_FOCUS = {"astronaut": (102, 222), "camera": (122, 258), "chelsea": (120, 178)}
SHIPPED = tuple(_FOCUS)
LARGEST = 1024  # pixels along a side; larger photographs are reduced first
SMALLEST = 16
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")


@dataclass(frozen=True)
class Photograph:
    """A photograph to pool and unpool."""

    name: str
    pixels: NDArray = field(repr=False)  # shape (1 or 3, row, column), float64 from 0 to 1
    focus: tuple[int, int]  # row and column of the centre of the enlarged detail
    notes: tuple[str, ...] = ()  # how it was changed on reading

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.pixels.shape[-2], self.pixels.shape[-1]


def shipped_photograph(name: str) -> Photograph:
    """Return one of the photographs `SHIPPED` with scikit-image.

    Raises
    ------
    ValueError
        If the name is unknown.
    FileNotFoundError
        If scikit-image was installed without its pictures.

    Examples
    --------
    >>> from unpool_xp.gallery.photographs import shipped_photograph
    >>> shipped_photograph("camera").pixels.shape
    (1, 512, 512)
    """
    if name not in SHIPPED:
        raise ValueError(f"unknown photograph {name!r}; known: {', '.join(SHIPPED)}")
    # Not skimage.data, which downloads a missing file.
    path = Path(str(files("skimage") / "data" / f"{name}.png"))
    if not path.is_file():
        raise FileNotFoundError(f"{path}: this scikit-image came without it; give a picture")
    return replace(read_photograph(path), focus=_FOCUS[name])


def read_photograph(path: Path | str) -> Photograph:
    """Read a picture file of any format that Pillow supports.

    Parameters
    ----------
    path : Path or str
        For example a PNG or a JPEG: grey or colour, with or without transparency, or 16-bit grey.

    Returns
    -------
    Photograph
        Upright, transparency on white, at most `LARGEST` pixels along a side; the focus is where
        the variance is largest.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is not a picture, is damaged, too small, or has no fixed white level.
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
    # Each of Pillow's readers has its own errors for a damaged file.
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from error
    pixels, notes = _pixels(upright, path)
    if min(pixels.shape[1:]) < SMALLEST:
        size = f"{pixels.shape[2]}x{pixels.shape[1]}"
        raise ValueError(f"{path}: {size} pixels; each side must have at least {SMALLEST}")
    factor = -(-max(pixels.shape[1:]) // LARGEST)
    if factor > 1 and min(pixels.shape[1:]) // factor >= SMALLEST:
        pixels = ux.avg_pool(pixels, (factor, factor))
        notes.append(f"reduced by {factor}, to {pixels.shape[2]}x{pixels.shape[1]} pixels")
    return Photograph(path.stem, pixels, _busiest(pixels), tuple(notes))


def _pixels(image: Image.Image, path: Path) -> tuple[NDArray, list[str]]:
    """Return the values from 0 to 1, channels first, and notes on the conversion."""
    notes: list[str] = []
    if image.mode in _SIXTEEN_BITS or image.mode == "I":
        deep = np.asarray(image, dtype=np.float64)
        if deep.min() < 0 or deep.max() > 65535:
            raise ValueError(f"{path}: 32-bit values have no defined white")
        return deep[None] / 65535, notes
    if image.mode == "F":
        raise ValueError(f"{path}: floating-point values have no defined white")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        notes.append("on white where it is transparent")
    # Palettes and CMYK become colour, even if all their colours happen to be grey.
    image = image.convert("L" if image.mode in ("1", "L") else "RGB")
    values = np.asarray(image, dtype=np.float64) / 255
    return (values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)), notes


def _busiest(pixels: NDArray) -> tuple[int, int]:
    """Return the centre of the window with the largest variance."""
    window = min(80, *pixels.shape[1:])
    step = max(window // 4, 1)
    grey = pixels.mean(0)
    views = np.lib.stride_tricks.sliding_window_view(grey, (window, window))[::step, ::step]
    spread = np.asarray([[view.var() for view in row] for row in views])
    row, column = divmod(int(spread.argmax()), spread.shape[1])
    return row * step + window // 2, column * step + window // 2
