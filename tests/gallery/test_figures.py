"""The figures have the pixels of the photographs, and their labels inside."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from tests.support.command import python
from unpool_xp import backends
from unpool_xp.gallery.checkerboard import checkerboard
from unpool_xp.gallery.figures import checkerboard_figure, grid_figure, save, shift_figure
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
    boxes = {label: label.get_window_extent() for label in labels}
    for label, box in boxes.items():
        assert min(*box.p0, *(pixels.shape[1::-1] - box.p1)) >= 0, label
    for (one, box), (other, near) in itertools.combinations(boxes.items(), 2):
        assert not box.overlaps(near), (one, other)


def test_a_grid_has_a_row_for_each_method_and_a_pair_for_each_stride(made: Gallery) -> None:
    one, three = (grid_figure([(made, stride) for stride in made.strides[:n]]) for n in (1, 3))
    assert len(one.axes) == 2 * (1 + 8)  # there is a legend beside it
    assert len(three.axes) == 3 * (1 + 8)
    for figure in (one, three):
        assert_labels_fit(figure)
    texts = [t.get_text() for ax in three.axes for t in ax.texts]
    assert texts.count("whole strides only") == 6
    best, stride = made.methods()[0], made.entry(made.methods()[0], 2.0)
    assert texts.index(f"{best.pooling} → {best.unpooling}") < texts.index("max_pool → max_unpool")
    assert stride is not None
    assert f"{stride.psnr:.1f} dB" in texts


def test_a_tile_shows_each_pixel_of_the_detail_as_a_block(made: Gallery) -> None:
    image = drawn(grid_figure([(made, 2.0)]))
    top, left = 28, 28 + 246
    detail = made.photograph.pixels[:, 50 - 40 : 50 + 40, 60 - 40 : 60 + 40]
    np.testing.assert_array_equal(image[top : top + 240, left : left + 240], blocks(detail, 3))
    # In the next row the picture, and beside it three times what it lacks, around grey.
    entry = made.entry(made.methods()[0], 2.0)
    assert entry is not None
    picture, original = (p[:, 10:90, 20:100] for p in (entry.picture, entry.original))
    shown = np.clip(0.5 + 1.5 * (picture - original), 0, 1)
    top += 240 + 40 + 96
    np.testing.assert_array_equal(image[top : top + 240, left : left + 240], blocks(shown, 3))


def test_a_checkerboard_figure_shows_each_pixel_as_a_block(small: Photograph) -> None:
    results = checkerboard(small, NUMPY)
    figure = checkerboard_figure(small, results)
    assert_labels_fit(figure)
    detail = results[-1].picture[:, 50 - 35 : 50 + 35, 60 - 35 : 60 + 35]
    top, left = 140 + 280 + 96, 28 + 4 * 300
    shown = drawn(figure)[top : top + 280, left : left + 280]
    np.testing.assert_array_equal(shown, blocks(detail, 4))


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
    assert python("-c", code).stdout.strip() == "False"
