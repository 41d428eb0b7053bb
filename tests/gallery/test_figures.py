"""The figures have the pixels of the photographs, and their labels inside."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from unpool_xp import backends
from unpool_xp.gallery.checkerboard import checkerboard
from unpool_xp.gallery.figures import (
    checkerboard_figure,
    difference,
    grid_figure,
    save,
    shift_figure,
)
from unpool_xp.gallery.photographs import Photograph
from unpool_xp.gallery.scores import Gallery, make_gallery

NUMPY = backends.load("numpy")


def drawn(figure: Figure) -> np.ndarray[Any, Any]:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def blocks(pixels: np.ndarray[Any, Any], side: int) -> np.ndarray[Any, Any]:
    levels = np.rint(np.moveaxis(pixels, 0, -1) * 255).astype(np.uint8)
    return levels.repeat(side, axis=0).repeat(side, axis=1)


def assert_labels_fit(figure: Figure) -> None:
    """Assert that no label overlaps another one or leaves the figure."""
    pixels = drawn(figure)
    labels = [t for t in figure.findobj(Text) if isinstance(t, Text) and t.get_text()]
    boxes = [label.get_window_extent() for label in labels]
    for number, box in enumerate(boxes):
        assert box.x0 >= 0, labels[number]
        assert box.x1 <= pixels.shape[1], labels[number]
        assert box.y0 >= 0, labels[number]
        assert box.y1 <= pixels.shape[0], labels[number]
        for other in range(number):
            assert not box.overlaps(boxes[other]), (labels[number], labels[other])


def test_a_grid_has_a_row_for_each_method_and_a_pair_for_each_stride(made: Gallery) -> None:
    one, two, three = (
        grid_figure([(made, stride) for stride in made.strides[:n]]) for n in (1, 2, 3)
    )
    assert len(one.axes) == len(two.axes) == 2 * (1 + 8)  # one has a legend beside it
    assert len(three.axes) == 3 * (1 + 8)
    for figure in (one, two, three):
        assert_labels_fit(figure)
    texts = [t.get_text() for ax in three.axes for t in ax.texts]
    assert texts.count("whole strides only") == 6
    best, stride = made.methods()[0], made.entry(made.methods()[0], 2.0)
    assert texts.index(f"{best.pooling} → {best.unpooling}") < texts.index("max_pool → max_unpool")
    assert stride is not None
    assert f"{stride.psnr:.1f} dB" in texts


def test_a_tile_shows_each_pixel_of_the_detail_as_a_block(made: Gallery) -> None:
    image = drawn(grid_figure([(made, 2.0)]))
    detail = made.photograph.pixels[:, 50 - 40 : 50 + 40, 60 - 40 : 60 + 40]
    top, left = 28, 28 + 246
    np.testing.assert_array_equal(image[top : top + 240, left : left + 240], blocks(detail, 3))


def test_a_checkerboard_figure_shows_each_pixel_as_a_block(small: Photograph) -> None:
    results = checkerboard(small, NUMPY)
    figure = checkerboard_figure(small, results)
    assert_labels_fit(figure)
    detail = results[-1].picture[:, 50 - 35 : 50 + 35, 60 - 35 : 60 + 35]
    top, left = 140 + 280 + 96, 28 + 4 * 300
    shown = drawn(figure)[top : top + 280, left : left + 280]
    np.testing.assert_array_equal(shown, blocks(detail, 4))


def test_a_difference_is_around_grey() -> None:
    shown = difference(np.asarray([0.5, 0.5, 0.5, 0.0]), np.asarray([0.5, 0.6, 0.4, 1.0]))
    np.testing.assert_allclose(shown, [0.5, 0.65, 0.35, 1])


def test_grey_and_narrow_photographs_are_drawn(small: Photograph) -> None:
    narrow = Photograph("a name that is too long", small.pixels[:1, :40, :], (2, 126))
    gallery = make_gallery(narrow, NUMPY, [2, 2.5])
    assert_labels_fit(grid_figure([(gallery, stride) for stride in gallery.strides]))
    assert_labels_fit(shift_figure(gallery, 2))
    assert_labels_fit(checkerboard_figure(narrow, checkerboard(narrow, NUMPY)))
    with pytest.raises(ValueError, match=r"stride 2\.5"):
        shift_figure(gallery, 2.5)


def test_a_figure_does_not_depend_on_the_users_style(made: Gallery, tmp_path: Path) -> None:
    paths = [tmp_path / "default.png", tmp_path / "style.png"]
    save(grid_figure([(made, 2.0)]), paths[0])
    with mpl.rc_context({"font.size": 30, "axes.grid": True, "savefig.bbox": "tight"}):
        save(grid_figure([(made, 2.0)]), paths[1])
        assert mpl.rcParams["font.size"] == 30
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_name_that_the_font_lacks_is_saved(small: Photograph, tmp_path: Path) -> None:
    named = replace(small, name="写真")
    save(grid_figure([(make_gallery(named, NUMPY, [4]), 4.0)]), tmp_path / "it.png")


def test_pyplot_is_not_imported() -> None:
    # It would choose a backend for the whole process.
    code = "import sys, unpool_xp.gallery.report; print('matplotlib.pyplot' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"
