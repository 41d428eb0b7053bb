"""Photographs pooled and unpooled: the figures and tables of the pages, computed on each build."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from docutils import nodes
from docutils.parsers.rst import directives
from matplotlib.figure import Figure
from matplotlib.image import imsave
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import unpool_xp as ux
from unpool_xp import backends
from unpool_xp.gallery.checkerboard import checkerboard
from unpool_xp.gallery.figures import checkerboard_figure, grid_figure, save, shift_figure
from unpool_xp.gallery.photographs import SHIPPED, NDArray, shipped_photograph
from unpool_xp.gallery.scores import STRIDES, Gallery, make_gallery, psnr, ssim

_FACE = (slice(0, 192), slice(128, 320))  # the part of "astronaut" in a photo-grid


@functools.cache
def gallery(name: str) -> Gallery:
    """Return a photograph after every method."""
    return make_gallery(shipped_photograph(name), backends.load("numpy"))


def strides() -> Figure:
    """Draw the first photograph at every stride."""
    return grid_figure([(gallery(SHIPPED[0]), stride) for stride in STRIDES])


def sheet() -> Figure:
    """Draw every photograph at the last stride."""
    return grid_figure([(gallery(name), STRIDES[-1]) for name in SHIPPED])


def shift() -> Figure:
    """Draw the half-cell shift."""
    return shift_figure(gallery(SHIPPED[0]), STRIDES[-1])


def uneven() -> Figure:
    """Draw the checkerboard."""
    photograph = shipped_photograph(SHIPPED[0])
    return checkerboard_figure(photograph, checkerboard(photograph, backends.load("numpy")))


FIGURES: dict[str, tuple[Callable[[], Figure], str]] = {
    "strides": (strides, "a photograph after each method at strides 2, 3 and 4"),
    "photographs": (sheet, "three photographs after each method at stride 4"),
    "shift": (shift, "a detail of a photograph before and after, a cross at the same pixel"),
    "checkerboard": (uneven, "a photograph doubled in five ways, two of them with a checkerboard"),
}


def ways_back(picture: NDArray, factor: int) -> dict[str, NDArray]:
    """Return the picture pooled by a factor and brought back to its size, by each method."""
    size, plane = (factor, factor), picture.shape[-2:]
    values, indices = ux.max_pool(picture, size)
    means = ux.avg_pool(picture, size)
    ratio = (1 / factor, 1 / factor)
    drawn = ux.fractional_max_pool(picture, size, output_ratio=ratio, samples=(0.5, 0.5))

    # A kernel that makes the transposed convolution interpolate; a network would learn one.
    reach = 1 - np.abs(np.arange(2 * factor) - factor + 0.5) / factor
    weight = np.stack([np.outer(reach, reach)] * len(picture))[:, None]
    half = {"stride": factor, "padding": factor // 2, "groups": len(picture)}

    return {
        "nearest_unpool": ux.nearest_unpool(values, size),
        "max_unpool": ux.max_unpool(values, indices, size),
        "linear_unpool, half_pixel": ux.linear_unpool(values, size, coordinates="half_pixel"),
        "fractional_max_unpool": ux.fractional_max_unpool(values, scale_factor=size),
        "fractional_max_unpool, indices": ux.fractional_max_unpool(*drawn, output_size=plane),
        "conv_transpose, bilinear weights": ux.conv_transpose(values, weight, **half),
        "avg_pool, nearest_unpool": ux.nearest_unpool(means, size),
        "avg_pool, linear_unpool": ux.linear_unpool(means, size, coordinates="half_pixel"),
    }


class _Directive(SphinxDirective):
    required_arguments = 1

    def folder(self, name: str) -> Path:
        """Return a folder for images; the page is rebuilt when an operation changes."""
        for module in (ux.pooling, ux.unpooling, ux.convolution):
            self.env.note_dependency(str(module.__file__))
        folder = Path(self.env.srcdir, "_build", name)
        folder.mkdir(parents=True, exist_ok=True)
        return folder


class GalleryPicture(_Directive):
    """One of the figures, by its name."""

    def run(self) -> list[nodes.Node]:
        """Draw it; return the image."""
        name = directives.choice(self.arguments[0], tuple(FIGURES))
        draw, alt = FIGURES[name]
        save(draw(), self.folder("gallery") / f"{name}.png")
        text = f".. image:: /_build/gallery/{name}.png\n   :alt: {alt}\n   :width: 100%\n"
        return self.parse_text_to_nodes(text)


class GalleryTable(_Directive):
    """PSNR and SSIM of a photograph after each method; the argument is its name."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        made = gallery(directives.choice(self.arguments[0], SHIPPED))
        head = ["pooling", "unpooling", *(f"stride {stride:g}" for stride in STRIDES)]
        rows = [head]
        for method in made.methods():
            entries = [entry for stride in STRIDES if (entry := made.entry(method, stride))]
            scores = [f"{entry.psnr:.1f} dB, {entry.ssim:.2f}" for entry in entries]
            rows.append([method.pooling, method.unpooling, *scores])
        lines = [".. list-table::", "   :header-rows: 1", "   :class: wide", ""]
        for row in rows:
            lines += [f"   {'  -' if i else '* -'} {cell}" for i, cell in enumerate(row)]
        return self.parse_text_to_nodes("\n".join([*lines, ""]))


class PhotoGrid(_Directive):
    """A photograph after each of `ways_back`, with its scores; the argument is the factor."""

    def run(self) -> list[nodes.Node]:
        """Return a grid of figures."""
        factor = directives.positive_int(self.arguments[0])
        photograph = shipped_photograph("astronaut").pixels
        shown = [("the photograph", photograph)]
        for name, back in ways_back(photograph, factor).items():
            scores = f"{psnr(photograph, back):.1f} dB, SSIM {ssim(photograph, back):.2f}"
            shown.append((f"{name}: {scores}", back))
        lines = [".. container:: photo-grid", ""]
        for number, (caption, picture) in enumerate(shown):
            face = np.moveaxis(picture[:, *_FACE], 0, -1).clip(0, 1)
            file = f"{factor}-{number}.png"
            imsave(self.folder("photograph") / file, np.rint(face * 255).astype(np.uint8))
            lines += [
                f"   .. figure:: /_build/photograph/{file}",
                f"      :alt: {caption}",
                "",
                f"      {caption}",
                "",
            ]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("gallery-picture", GalleryPicture)
    app.add_directive("gallery-table", GalleryTable)
    app.add_directive("photo-grid", PhotoGrid)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
