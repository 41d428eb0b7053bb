"""The pictures of the gallery: tiles, words, and where they stand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from unpool_xp.gallery.methods import Method
from unpool_xp.gallery.photographs import NDArray, Photograph
from unpool_xp.gallery.scores import Entry, Gallery, by_psnr

Point: TypeAlias = tuple[int, int]

AMPLIFIED = 3  # the differences
TILE = 240
DETAIL = 80  # pixels of the photograph in a tile, each then shown as a block
MARGIN = 28
GAP = 6  # between a picture and its difference

_BETWEEN = 30
_PAIR = 2 * TILE + GAP
_LINE = 42
_LEGEND = (
    "Each pair: what came back after pooling and unpooling, and its difference from the "
    f"photograph, times {AMPLIFIED}. Grey: none; brighter: too bright; darker: too dark. Shown is "
    "the red frame; PSNR and SSIM are of the whole. The best mean PSNR stands first."
)
PAPER, INK, QUIET, MARK = "#ffffff", "#16181d", "#5b616e", "#d1242f"


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font that Pillow brings, the same on every machine.

    Parameters
    ----------
    size : int
        In pixels.

    Returns
    -------
    ImageFont
        The font.
    """
    return ImageFont.load_default(size)


def as_image(picture: NDArray) -> Image.Image:
    """Return an array as a picture.

    Parameters
    ----------
    picture : ndarray
        Shape (channel, row, column) with one or three channels, from 0 to 1.

    Returns
    -------
    Image
        In colour.
    """
    pixels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(np.moveaxis(pixels, 0, -1).squeeze())).convert(
        "RGB"
    )


def difference(original: NDArray, picture: NDArray) -> NDArray:
    """Return by how much a picture is too bright or too dark, `AMPLIFIED`, around a middle grey.

    Parameters
    ----------
    original, picture : ndarray
        Of one shape, from 0 to 1.

    Returns
    -------
    ndarray
        The same shape; 0.5 where they are equal.
    """
    return np.clip(0.5 + AMPLIFIED * (picture - original) / 2, 0, 1)


@dataclass(frozen=True)
class Canvas:
    """A sheet of paper to put tiles and words on."""

    image: Image.Image
    draw: ImageDraw.ImageDraw

    @classmethod
    def of(cls, width: int, height: int) -> Canvas:
        """Return an empty one of a size."""
        image = Image.new("RGB", (width, height), PAPER)
        return cls(image, ImageDraw.Draw(image))

    def tile(self, picture: NDArray, at: Point, side: int = TILE) -> None:
        """Put an array down as a square, its pixels as blocks."""
        block = as_image(picture).resize((side, side), Image.Resampling.NEAREST)
        self.image.paste(block, at)

    def text(
        self, words: str, at: Point, size: int = 26, color: str = INK, anchor: str = "ls"
    ) -> None:
        """Write words on a base line."""
        self.draw.text(at, words, fill=color, font=font(size), anchor=anchor)

    def fitted(self, words: str, at: Point, width: int, size: int = 26, color: str = INK) -> None:
        """Write words on a base line, as small as their width needs."""
        while size > 12 and self.draw.textlength(words, font(size)) > width:
            size -= 1
        self.text(words, at, size, color)

    def arrow(self, at: Point, color: str = QUIET) -> None:
        """Draw an arrow to the right that ends 34 pixels further."""
        x, y = at
        self.draw.line((x, y, x + 30, y), fill=color, width=3)
        self.draw.polygon(((x + 34, y), (x + 22, y - 7), (x + 22, y + 7)), fill=color)


def window(photograph: Photograph, side: int = DETAIL) -> tuple[slice, slice]:
    """Return the part of a photograph that is shown enlarged.

    Parameters
    ----------
    photograph : Photograph
        The whole.
    side : int, optional
        Its rows and columns, where there are so many.

    Returns
    -------
    tuple of slice
        Of rows and of columns.
    """
    side = min(side, *photograph.size)
    starts = (
        min(max(middle - side // 2, 0), n - side)
        for middle, n in zip(photograph.look, photograph.size, strict=True)
    )
    first, second = (slice(start, start + side) for start in starts)
    return first, second


@dataclass(frozen=True)
class Column:
    """A photograph at a stride: a column of the grid."""

    gallery: Gallery
    stride: float

    def entry(self, method: Method) -> Entry | None:
        """Return what one method made of it."""
        return self.gallery.at(method, self.stride)

    def part(self, picture: NDArray) -> NDArray:
        """Return the part shown of a picture, which may have lost its last rows or columns."""
        rows, columns = window(self.gallery.photograph)
        side = rows.stop - rows.start
        row = min(rows.start, max(picture.shape[1] - side, 0))
        column = min(columns.start, max(picture.shape[2] - side, 0))
        return picture[:, row : row + side, column : column + side]


def grid(columns: Sequence[Column]) -> Image.Image:
    """Draw a row for each method, best first, and a column for each photograph and stride.

    Parameters
    ----------
    columns : sequence of Column
        At least one.

    Returns
    -------
    Image
        The grid, with the photographs above it.
    """
    methods = by_psnr([Gallery(c.gallery.photograph, "", _of(c)) for c in columns])
    wide = max(len(columns), 2)
    width = 2 * MARGIN + wide * _PAIR + (wide - 1) * _BETWEEN
    head = MARGIN + TILE + 31 + 2 * _LINE
    row_height = _LINE + TILE + _LINE + 22
    canvas = Canvas.of(width, head + len(methods) * row_height + MARGIN // 2)
    lefts = [MARGIN + i * (_PAIR + _BETWEEN) for i in range(len(columns))]
    _head(canvas, columns, lefts)
    for number, method in enumerate(methods):
        top = head + number * row_height
        canvas.draw.line((MARGIN, top, width - MARGIN, top), fill="#d5d8de", width=2)
        _heading(canvas, method, (MARGIN, top + 38))
        for column, left in zip(columns, lefts, strict=True):
            _pair(canvas, column, column.entry(method), (left, top + _LINE + 12))
    return canvas.image


def _of(column: Column) -> tuple[Entry, ...]:
    return tuple(e for e in column.gallery.entries if e.stride == column.stride)


def _heading(canvas: Canvas, method: Method, at: Point) -> None:
    x, y = at
    canvas.text(method.pooling, (x, y), 30)
    x += math.ceil(canvas.draw.textlength(method.pooling, font(30))) + 14
    canvas.arrow((x, y - 10))
    canvas.text(method.unpooling, (x + 48, y), 30)


def _pair(canvas: Canvas, column: Column, entry: Entry | None, at: Point) -> None:
    left, top = at
    if entry is None:
        canvas.text("takes whole strides alone", (left, top + 30), 24, QUIET)
        return
    canvas.tile(column.part(entry.picture), at)
    wrong = difference(entry.original, entry.picture)
    canvas.tile(column.part(wrong), (left + TILE + GAP, top))
    canvas.text(f"{entry.psnr:.1f} dB", (left, top + TILE + 31))
    canvas.text(f"SSIM {entry.ssim:.2f}", (left + TILE + GAP, top + TILE + 31), color=QUIET)


def _head(canvas: Canvas, columns: Sequence[Column], lefts: Sequence[int]) -> None:
    """Draw the photographs, with what is shown of them, and name the columns."""
    seen = None
    for column, left in zip(columns, lefts, strict=True):
        if column.gallery is not seen:
            _original(canvas, column, (left, MARGIN))
            seen = column.gallery
    if columns[0].gallery is seen:
        left = MARGIN + _PAIR + _BETWEEN
        _legend(canvas, (left, MARGIN), canvas.image.width - MARGIN - left)
    below = MARGIN + TILE + 31 + _LINE + 16
    for column, left in zip(columns, lefts, strict=True):
        canvas.text(f"stride {column.stride:g}", (left, below), 30)
        canvas.text("difference", (left + TILE + GAP, below), 26, QUIET)


def _original(canvas: Canvas, column: Column, at: Point) -> None:
    """Draw the whole photograph, the part that is shown marked, and that part."""
    photograph, (left, top) = column.gallery.photograph, at
    rows, columns = photograph.size
    scale = TILE / max(rows, columns)
    size = max(round(columns * scale), 1), max(round(rows * scale), 1)
    whole = as_image(photograph.pixels).resize(size, Image.Resampling.LANCZOS)
    corner = left + (TILE - size[0]) // 2, top + (TILE - size[1]) // 2
    canvas.image.paste(whole, corner)
    shown = window(photograph)
    box = [round(n * scale) for part in shown[::-1] for n in (part.start, part.stop)]
    canvas.draw.rectangle(
        (corner[0] + box[0], corner[1] + box[2], corner[0] + box[1], corner[1] + box[3]),
        outline=MARK,
        width=4,
    )
    canvas.tile(column.part(photograph.pixels), (left + TILE + GAP, top))
    canvas.fitted(photograph.name, (left, top + TILE + 31), TILE)
    canvas.text("before pooling", (left + TILE + GAP, top + TILE + 31), 26, QUIET)


def _legend(canvas: Canvas, at: Point, width: int) -> None:
    (left, top), line = at, ""
    for word in f"{_LEGEND} ".split(" "):
        if line and (not word or canvas.draw.textlength(f"{line} {word}", font(26)) > width):
            canvas.text(line, (left, top + 24), 26, QUIET)
            top, line = top + 42, ""
        line = f"{line} {word}".strip()
