"""Two pictures that show one thing each: the half-cell shift, and the checkerboard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from unpool_xp.gallery.checkerboard import Doubled
from unpool_xp.gallery.figures import (
    AMPLIFIED,
    INK,
    MARGIN,
    MARK,
    QUIET,
    Canvas,
    Point,
    difference,
    window,
)
from unpool_xp.gallery.methods import METHODS
from unpool_xp.gallery.photographs import NDArray, Photograph
from unpool_xp.gallery.scores import Gallery

_PANEL = 480
_AROUND = 32  # pixels in a panel
_CURVE = 170
_CELL = 35
_SIDE = 8 * _CELL
_STRIPE = ("#fff3d6", "#ffd27a", "#f2a93b", "#d9822b")  # more weights, more colour
_ASYMMETRIC, _HALF_PIXEL = (
    next(m for m in METHODS if m.unpooling == f"linear_unpool {name}")
    for name in ("asymmetric", "half_pixel")
)


def best_shift(original: NDArray, picture: NDArray, most: float) -> float:
    """Return by how many pixels, down and to the right, a picture must move to fit best.

    Parameters
    ----------
    original, picture : ndarray
        Shape (channel, row, column).
    most : float
        The largest shift to look for.

    Returns
    -------
    float
        Where the mean squared difference of the greys, away from the border, is least.
    """
    from scipy import ndimage, optimize

    wanted, given = original.mean(0), picture.mean(0)
    border = int(most) + 4
    inner = (slice(border, -border),) * 2

    def error(shift: float) -> float:
        moved = ndimage.shift(given, (shift, shift), order=3, mode="nearest")
        return float(np.square(moved[inner] - wanted[inner]).mean())

    found = optimize.minimize_scalar(error, bounds=(-most, most), method="bounded")
    return float(found.x)


def shift_scene(gallery: Gallery, stride: float) -> Image.Image:
    """Draw a detail before and after, with one cross at the same pixel of each.

    Parameters
    ----------
    gallery : Gallery
        Of a photograph.
    stride : float
        One of its strides, whole.

    Returns
    -------
    Image
        The detail as it was, "asymmetric" and "half_pixel", and the brightness along the line.

    Raises
    ------
    ValueError
        If the gallery has no such entries.
    """
    pair = [gallery.at(method, stride) for method in (_ASYMMETRIC, _HALF_PIXEL)]
    entries = [entry for entry in pair if entry is not None]
    if len(entries) < len(pair):
        raise ValueError(f"stride {stride:g} is none of a whole one that was made")
    around = min(_AROUND, *entries[0].original.shape[1:])
    centre = _spot(gallery.photograph, entries[0].original, around)
    part = tuple(slice(c - around // 2, c - around // 2 + around) for c in centre)
    width = 2 * MARGIN + 3 * _PANEL + 2 * 24
    canvas = Canvas.of(width, 118 + _PANEL + 30 + _CURVE + MARGIN)
    pictures = [entries[0].original, *(entry.picture for entry in entries)]
    words = ["the photograph", *(f"linear_unpool {name}" for name in ("asymmetric", "half_pixel"))]
    said = [f"avg_pool with stride {stride:g} follows"]
    for entry in entries:
        moved = best_shift(entry.original, entry.picture, stride)
        where = "up and to the left" if moved > 0.05 else "off"
        said.append(f"{abs(moved):.2f} pixels {where}")
    for number, picture in enumerate(pictures):
        left, top = MARGIN + number * (_PANEL + 24), 100
        canvas.text(words[number], (left, 46), 32)
        canvas.text(said[number], (left, 84), 28, QUIET)
        canvas.tile(picture[(slice(None), *part)], (left, top), _PANEL)
        _cross(canvas, (left, top), around)
        _curve(canvas, pictures[0], picture, centre, around, (left, top + _PANEL + 30))
    return canvas.image


def _spot(photograph: Photograph, picture: NDArray, around: int) -> tuple[int, int]:
    """Return the middle of the darkest spot of what is shown that has room around it."""
    from scipy import ndimage

    half = -(-around // 2)
    rows, columns = (
        slice(max(part.start + 8, half), max(min(part.stop - 8, n - half), half + 1))
        for part, n in zip(window(photograph), picture.shape[1:], strict=True)
    )
    grey = picture.mean(0)
    darker = ndimage.gaussian_filter(grey, 2) - ndimage.gaussian_filter(grey, 5)
    shown = darker[rows, columns]
    row, column = divmod(int(shown.argmin()), shown.shape[1])
    return rows.start + row, columns.start + column


def _cross(canvas: Canvas, at: Point, around: int) -> None:
    left, top = at
    middle = round((around // 2 + 0.5) * _PANEL / around)
    for start in range(0, _PANEL, 16):
        end = min(start + 9, _PANEL - 1)
        canvas.draw.line((left + middle, top + start, left + middle, top + end), MARK, 3)
        canvas.draw.line((left + start, top + middle, left + end, top + middle), MARK, 3)


def _curve(
    canvas: Canvas,
    original: NDArray,
    picture: NDArray,
    centre: tuple[int, int],
    around: int,
    at: Point,
) -> None:
    """Draw the brightness along the horizontal line, over that of the photograph."""
    left, top = at
    row, start = centre[0], centre[1] - around // 2
    canvas.draw.rectangle((left, top, left + _PANEL, top + _CURVE), outline="#d5d8de")
    lines = [original[:, row].mean(0)[start : start + around]]
    if picture is not original:
        lines.append(picture[:, row].mean(0)[start : start + around])
    low, high = float(lines[0].min()), float(lines[0].max())
    for values, color in zip(lines, (INK, MARK), strict=False):
        points = [
            (
                left + (i + 0.5) * _PANEL / around,
                top + 12 + (_CURVE - 24) * (1 - (float(value) - low) / max(high - low, 1e-9)),
            )
            for i, value in enumerate(values)
        ]
        canvas.draw.line(points, color, 4, joint="curve")
    middle = left + round((around // 2 + 0.5) * _PANEL / around)
    canvas.draw.line((middle, top, middle, top + _CURVE), MARK, 1)


def checkerboard_scene(photograph: Photograph, made: Sequence[Doubled]) -> Image.Image:
    """Draw the counts of weights, the photograph and its difference, for each way to double it.

    Parameters
    ----------
    photograph : Photograph
        What was doubled.
    made : sequence of Doubled
        What became of it.

    Returns
    -------
    Image
        A column for each.
    """
    width = 2 * MARGIN + len(made) * _SIDE + (len(made) - 1) * 20
    tops = [150, 150 + _SIDE + 96, 150 + 2 * _SIDE + 186]
    canvas = Canvas.of(width, tops[2] + _SIDE + MARGIN)
    for top, words in zip(
        tops,
        (
            "how many weights are added up in each cell",
            "the photograph, halved by avg_pool and doubled again, all weights equal",
            f"its difference from the photograph, times {AMPLIFIED}",
        ),
        strict=True,
    ):
        canvas.text(words, (MARGIN, top - 14), 26, QUIET)
    shown = (slice(None), *window(photograph, _SIDE // 4))
    original = photograph.pixels
    for number, done in enumerate(made):
        left = MARGIN + number * (_SIDE + 20)
        canvas.fitted(done.way.name, (left, 46), _SIDE, 30)
        canvas.fitted(done.way.detail, (left, 82), _SIDE, 26)
        _counts(canvas, done.counts, (left, tops[0]))
        uneven = f"unevenness {100 * done.unevenness:.0f} %"
        canvas.text(uneven, (left, tops[0] + _SIDE + 32), 26, MARK if done.unevenness else INK)
        canvas.tile(done.picture[shown], (left, tops[1]), _SIDE)
        canvas.text(f"{done.psnr:.1f} dB", (left, tops[1] + _SIDE + 32), 26)
        rows, columns = done.picture.shape[1:]
        wrong = difference(original[:, :rows, :columns], done.picture)
        canvas.tile(wrong[shown], (left, tops[2]), _SIDE)
    return canvas.image


def _counts(canvas: Canvas, counts: NDArray, at: Point) -> None:
    """Write each count into its cell, the darker the larger."""
    left, top = at
    levels = sorted({int(count) for count in counts.flat})
    for (row, column), count in np.ndenumerate(counts):
        x, y = left + column * _CELL, top + row * _CELL
        shade = _STRIPE[min(levels.index(int(count)), len(_STRIPE) - 1)]
        canvas.draw.rectangle((x, y, x + _CELL - 2, y + _CELL - 2), fill=shade)
        canvas.text(str(count), (x + _CELL // 2 - 1, y + _CELL // 2), 22, anchor="mm")
