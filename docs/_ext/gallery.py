"""The pictures and the table of the gallery, made anew with the page."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import unpool_xp as ux
from unpool_xp import backends
from unpool_xp.gallery.checkerboard import checkerboard
from unpool_xp.gallery.figures import Column, grid
from unpool_xp.gallery.photographs import SHIPPED, shipped_photograph
from unpool_xp.gallery.scenes import checkerboard_scene, shift_scene
from unpool_xp.gallery.scores import STRIDES, Gallery, make_gallery

Maker = Callable[[], Image.Image]


@functools.cache
def gallery(name: str) -> Gallery:
    """Return a photograph after every method."""
    return make_gallery(shipped_photograph(name), backends.load("numpy"))


def strides() -> Image.Image:
    """Draw the first photograph at every stride."""
    return grid([Column(gallery(SHIPPED[0]), stride) for stride in STRIDES])


def sheet() -> Image.Image:
    """Draw every photograph at the last stride."""
    return grid([Column(gallery(name), STRIDES[-1]) for name in SHIPPED])


def shift() -> Image.Image:
    """Draw the half-cell shift."""
    return shift_scene(gallery(SHIPPED[0]), STRIDES[-1])


def uneven() -> Image.Image:
    """Draw the checkerboard."""
    photograph = shipped_photograph(SHIPPED[0])
    return checkerboard_scene(photograph, checkerboard(photograph, backends.load("numpy")))


PICTURES: dict[str, tuple[Maker, str]] = {
    "strides": (strides, "a photograph after each method at strides 2, 3 and 4"),
    "photographs": (sheet, "three photographs after each method at stride 4"),
    "shift": (shift, "a detail of a photograph before and after, a cross at the same pixel"),
    "checkerboard": (uneven, "a photograph doubled in five ways, two of them with a checkerboard"),
}


class GalleryPicture(SphinxDirective):
    """One of the pictures, by its name."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Draw it; return the image."""
        name = directives.choice(self.arguments[0], tuple(PICTURES))
        for module in (ux.pooling, ux.unpooling, ux.convolution):
            self.env.note_dependency(str(module.__file__))
        make, alt = PICTURES[name]
        folder = Path(self.env.srcdir, "_build", "gallery")
        folder.mkdir(parents=True, exist_ok=True)
        make().save(folder / f"{name}.png", optimize=True)
        text = f".. image:: /_build/gallery/{name}.png\n   :alt: {alt}\n   :width: 100%\n"
        return self.parse_text_to_nodes(text)


class GalleryTable(SphinxDirective):
    """PSNR and SSIM of a photograph after each method; the argument is its name."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        made = gallery(directives.choice(self.arguments[0], SHIPPED))
        head = ["pooling", "unpooling", *(f"stride {stride:g}" for stride in STRIDES)]
        rows = [head]
        for method in made.methods():
            entries = [entry for stride in STRIDES if (entry := made.at(method, stride))]
            scores = [f"{entry.psnr:.1f} dB, {entry.ssim:.2f}" for entry in entries]
            rows.append([method.pooling, method.unpooling, *scores])
        lines = [".. list-table::", "   :header-rows: 1", "   :class: wide", ""]
        for row in rows:
            lines += [f"   {'  -' if i else '* -'} {cell}" for i, cell in enumerate(row)]
        return self.parse_text_to_nodes("\n".join([*lines, ""]))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("gallery-picture", GalleryPicture)
    app.add_directive("gallery-table", GalleryTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
