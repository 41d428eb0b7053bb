"""The figures of the gallery.

Lengths are in pixels. At 72 dots per inch a point is a pixel, so font sizes are in pixels too, and
the sizes of the axes make every pixel of a photograph a block of whole pixels.
"""

from __future__ import annotations

import contextlib
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from unpool_xp.gallery.checkerboard import Upsampled
from unpool_xp.gallery.methods import find_method
from unpool_xp.gallery.photographs import NDArray, Photograph
from unpool_xp.gallery.scores import Entry, Gallery, best_shift, rank_methods

AMPLIFICATION = 3  # of the differences

_DPI = 72
_MARGIN = 28
_TEXT, _HEADING = 24, 28  # font sizes
_INK, _GREY, _RED, _RULE = "#16181d", "#5b616e", "#d1242f", "#d5d8de"
_COUNTS = ListedColormap(["#fff3d6", "#ffd27a", "#f2a93b", "#d9822b"])

_DETAIL = 80  # pixels of a photograph in a tile
_TILE = 3 * _DETAIL
_RIGHT = _TILE + 6  # where the right tile of a pair starts
_PAIR = _RIGHT + _TILE
_GAP = 30  # between pairs
_HEAD = 40  # more than a tile, for the labels of the columns
_LEGEND = (
    "Left: the photograph after pooling and unpooling. Right: its difference from the original, "
    f"times\N{NO-BREAK SPACE}{AMPLIFICATION}; grey is no difference. Shown is the red frame; PSNR "
    "and SSIM are of the whole photograph. The best mean PSNR comes first."
)

_ZOOM_DETAIL, _ZOOM_TILE = 32, 480  # of the figure of the half-cell shift
_CHECKER_DETAIL, _CHECKER_TILE = 70, 280


@contextlib.contextmanager
def _default_style() -> Iterator[None]:
    """Ignore the user's matplotlibrc, so that figures are the same on every machine."""
    with mpl.rc_context():
        mpl.rcdefaults()
        yield


@_default_style()
def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file."""
    with warnings.catch_warnings():
        # The name of a photograph may be in a script that the font lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(path)


def difference(original: NDArray, picture: NDArray) -> NDArray:
    """Return the amplified difference of two pictures around a middle grey, from 0 to 1."""
    return np.clip(0.5 + AMPLIFICATION * (picture - original) / 2, 0, 1)


@_default_style()
def grid_figure(columns: Sequence[tuple[Gallery, float]]) -> Figure:
    """Draw a row for each method, best first, and a column for each photograph and stride.

    The photographs are above their columns.
    """
    entries = [e for gallery, stride in columns for e in gallery.entries if e.stride == stride]
    methods = rank_methods(entries)
    width = max(len(columns), 2)  # the legend needs the room
    heights = [_TILE + _HEAD, *[_TILE] * len(methods)]
    figure, axes = _subplots(width, heights, _PAIR, (_GAP, 96), (_MARGIN, 52))
    for (row, _), ax in np.ndenumerate(axes):
        ax.set(xlim=(0, _PAIR), ylim=(heights[row], 0), autoscale_on=False)
    previous = None
    for ax, (gallery, stride) in zip(axes[0], columns, strict=False):
        if gallery is not previous:
            _draw_original(ax, gallery.photograph)
        previous = gallery
        ax.text(0, _TILE + 66, f"stride {stride:g}", size=_HEADING, color=_INK)
        ax.text(_RIGHT, _TILE + 66, "difference", size=_TEXT, color=_GREY)
    if columns[0][0] is previous:
        text = textwrap.fill(_LEGEND, 35)
        axes[0, 1].text(0, -4, text, size=_TEXT, color=_GREY, va="top", linespacing=1.3)
    for row, method in zip(axes[1:], methods, strict=True):
        end = width * (_PAIR + _GAP) - _GAP
        row[0].plot((0, end), (-46, -46), color=_RULE, linewidth=2, clip_on=False)
        row[0].text(0, -14, f"{method.pooling} → {method.unpooling}", size=_HEADING, color=_INK)
        for ax, (gallery, stride) in zip(row, columns, strict=False):
            _draw_pair(ax, gallery.photograph, gallery.entry(method, stride))
    return figure


def _draw_original(ax: Axes, photograph: Photograph) -> None:
    """Draw the whole photograph with the frame of the detail, and the detail."""
    rows, columns = photograph.size
    scale = _TILE / max(rows, columns)
    left, top = (_TILE - columns * scale) / 2, (_TILE - rows * scale) / 2
    extent = (left, left + columns * scale, top + rows * scale, top)
    ax.imshow(_rgb(photograph.pixels), extent=extent, aspect="auto", interpolation="antialiased")
    window = _window(photograph, photograph.pixels, _DETAIL)
    y, x = (scale * part.start for part in window)
    side = scale * (window[0].stop - window[0].start)
    frame = Rectangle((left + x, top + y), side, side, fill=False, edgecolor=_RED, linewidth=4)
    ax.add_patch(frame)
    _draw_tile(ax, _RIGHT, photograph.pixels[:, *window])
    name = photograph.name if len(photograph.name) < 16 else f"{photograph.name[:14]}…"
    ax.text(0, _TILE + 26, name, size=_TEXT, color=_INK, parse_math=False)
    ax.text(_RIGHT, _TILE + 26, "before pooling", size=_TEXT, color=_GREY)


def _draw_pair(ax: Axes, photograph: Photograph, entry: Entry | None) -> None:
    """Draw a picture and its difference from the original, with its scores below."""
    if entry is None:
        ax.text(0, 30, "whole strides only", size=_TEXT, color=_GREY)
        return
    window = _window(photograph, entry.picture, _DETAIL)
    _draw_tile(ax, 0, entry.picture[:, *window])
    _draw_tile(ax, _RIGHT, difference(entry.original, entry.picture)[:, *window])
    ax.text(0, _TILE + 26, f"{entry.psnr:.1f} dB", size=_TEXT, color=_INK)
    ax.text(_RIGHT, _TILE + 26, f"SSIM {entry.ssim:.2f}", size=_TEXT, color=_GREY)


def _draw_tile(ax: Axes, left: int, picture: NDArray) -> None:
    extent = (left, left + _TILE, _TILE, 0)
    ax.imshow(_rgb(picture), extent=extent, aspect="auto", interpolation="nearest")


@_default_style()
def shift_figure(gallery: Gallery, stride: float) -> Figure:
    """Draw a detail before and after linear unpooling, with a cross at the same pixel of each.

    Below each picture is the brightness along the horizontal line.

    Raises
    ------
    ValueError
        If the gallery has no average pooling with this stride.
    """
    names = [f"linear_unpool {name}" for name in ("asymmetric", "half_pixel")]
    found = [gallery.entry(find_method("avg_pool", name), stride) for name in names]
    entries = [entry for entry in found if entry is not None]
    if len(entries) < len(found):
        raise ValueError(f"stride {stride:g} is not a whole stride of this gallery")
    original = entries[0].original
    pictures = [original, *(entry.picture for entry in entries)]
    titles = [("the photograph", f"before avg_pool with stride {stride:g}")]
    for name, entry in zip(names, entries, strict=True):
        shift = best_shift(entry.original, entry.picture, stride)
        direction = "up and to the left" if shift > 0.05 else "off"
        titles.append((name, f"{abs(shift):.2f} pixels {direction}"))

    side = min(_ZOOM_DETAIL, *original.shape[1:])
    row, column = _dark_spot(gallery.photograph, original, side)
    rows, columns = (slice(c - side // 2, c - side // 2 + side) for c in (row, column))
    brightness = [picture.mean(0)[row, columns] for picture in pictures]
    low, high = float(brightness[0].min()), float(brightness[0].max())
    space = max(0.08 * (high - low), 1e-9)
    figure, axes = _subplots(3, [_ZOOM_TILE, 170], _ZOOM_TILE, (24, 30), (96, _MARGIN))
    for number, picture in enumerate(pictures):
        above, below = axes[:, number]
        _title(above, *titles[number])
        above.imshow(_rgb(picture[:, rows, columns]), interpolation="nearest", aspect="auto")
        above.axhline(side // 2, color=_RED, linewidth=3, linestyle="--")
        above.axvline(side // 2, color=_RED, linewidth=3, linestyle="--")
        for values, color in ((brightness[0], _INK), (brightness[number], _RED))[: number + 1]:
            below.plot(values, color=color, linewidth=4)
        below.axvline(side // 2, color=_RED, linewidth=1)
        below.set(xlim=(-0.5, side - 0.5), ylim=(low - space, high + space))
        below.spines[:].set(visible=True, color=_RULE)
    return figure


def _dark_spot(photograph: Photograph, picture: NDArray, side: int) -> tuple[int, int]:
    """Return the centre of the darkest spot of the detail, with room around it for a square."""
    from scipy import ndimage

    grey = picture.mean(0)
    darkness = ndimage.gaussian_filter(grey, 5) - ndimage.gaussian_filter(grey, 2)
    window = _window(photograph, picture, _DETAIL - 16)
    spot = np.unravel_index(darkness[window].argmax(), darkness[window].shape)
    row, column = (
        min(max(part.start + int(i), side // 2), n - side + side // 2)
        for part, i, n in zip(window, spot, grey.shape, strict=True)
    )
    return row, column


@_default_style()
def checkerboard_figure(photograph: Photograph, results: Sequence[Upsampled]) -> Figure:
    """Draw a column for each upsampler: the overlap of its weights, its picture, the difference."""
    tile = _CHECKER_TILE
    figure, axes = _subplots(len(results), [tile] * 3, tile, (20, 96), (140, _MARGIN))
    for ax, words in zip(
        axes[:, 0],
        (
            "how many weights are added up in each cell",
            "the photograph, halved by avg_pool and doubled again, all weights equal",
            f"its difference from the photograph, times {AMPLIFICATION}",
        ),
        strict=True,
    ):
        _label(ax, (0, 1), 12, words, _GREY)
    for (top, middle, bottom), result in zip(axes.T, results, strict=True):
        _title(top, result.upsampler.name, result.upsampler.detail, 48)
        _draw_counts(top, result.counts)
        color = _RED if result.unevenness else _INK
        _label(top, (0, 0), -28, f"unevenness {100 * result.unevenness:.0f} %", color)
        window = _window(photograph, result.picture, _CHECKER_DETAIL)
        wrong = difference(result.original, result.picture)
        for ax, picture in ((middle, result.picture), (bottom, wrong)):
            ax.imshow(_rgb(picture[:, *window]), interpolation="nearest", aspect="auto")
        _label(middle, (0, 0), -28, f"{result.psnr:.1f} dB", _INK)
    return figure


def _draw_counts(ax: Axes, counts: NDArray) -> None:
    """Write each count into its cell; the larger, the darker."""
    _, levels = np.unique(counts, return_inverse=True)
    shades = levels.reshape(counts.shape)
    ax.pcolormesh(shades, cmap=_COUNTS, vmin=0, vmax=3, edgecolors="white", linewidth=2)
    ax.invert_yaxis()
    for (row, column), count in np.ndenumerate(counts):
        ax.text(column + 0.5, row + 0.5, f"{count}", size=20, color=_INK, ha="center", va="center")


def _subplots(
    columns: int, heights: Sequence[int], width: int, gaps: tuple[int, int], ends: tuple[int, int]
) -> tuple[Figure, NDArray]:
    """Return a figure with bare axes of these sizes; `ends` is the space above and below them."""
    total_width = 2 * _MARGIN + columns * width + (columns - 1) * gaps[0]
    total_height = sum(ends) + sum(heights) + (len(heights) - 1) * gaps[1]
    figure = Figure((total_width / _DPI, total_height / _DPI), dpi=_DPI, facecolor="white")
    axes = figure.subplots(
        len(heights),
        columns,
        squeeze=False,
        height_ratios=heights,
        gridspec_kw={
            "left": _MARGIN / total_width,
            "right": 1 - _MARGIN / total_width,
            "top": 1 - ends[0] / total_height,
            "bottom": ends[1] / total_height,
            "wspace": gaps[0] / width,
            "hspace": gaps[1] / np.mean(heights),
        },
    )
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[], facecolor="white")
        ax.spines[:].set_visible(False)
    return figure, axes


def _window(photograph: Photograph, picture: NDArray, side: int) -> tuple[slice, slice]:
    """Return the rows and columns around the focus; the picture may lack the last ones."""
    side = min(side, *picture.shape[1:])
    starts = (
        min(max(centre - side // 2, 0), n - side)
        for centre, n in zip(photograph.focus, picture.shape[1:], strict=True)
    )
    rows, columns = (slice(start, start + side) for start in starts)
    return rows, columns


def _rgb(picture: NDArray) -> NDArray:
    """Return 8-bit colours, shape (row, column, 3), of one or three channels, axis 0."""
    pixels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return np.broadcast_to(np.moveaxis(pixels, 0, -1), (*pixels.shape[1:], 3))


def _title(ax: Axes, title: str, detail: str, above: int = 0) -> None:
    _label(ax, (0, 1), 48 + above, title, _INK, _HEADING)
    _label(ax, (0, 1), 14 + above, detail, _GREY)


def _label(
    ax: Axes, corner: tuple[int, int], above: int, words: str, color: str, size: int = _TEXT
) -> None:
    """Write words at a distance above a corner of the axes."""
    ax.annotate(
        words,
        corner,
        (0, above),
        xycoords="axes fraction",
        textcoords="offset points",
        size=size,
        color=color,
    )
