"""A photograph pooled and brought back by every method: pictures and numbers, made anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from docutils import nodes
from docutils.parsers.rst import directives
from PIL import Image
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import unpool_xp as ux

Picture = npt.NDArray[np.float32]

_FACE = (slice(0, 192), slice(128, 320))  # what the pictures show
_ENLARGED = 2


def photograph() -> Picture:
    """Return the picture, shape (channel, row, column), from 0 to 1."""
    return np.moveaxis(data.astronaut(), -1, 0).astype(np.float32) / 255


def ways_back(picture: Picture, factor: int) -> dict[str, Picture]:
    """Return the picture pooled by a factor and brought back to its size, by each method."""
    size, plane = (factor, factor), picture.shape[-2:]
    values, indices = ux.max_pool(picture, size)
    means = ux.avg_pool(picture, size)
    ratio = (1 / factor, 1 / factor)
    drawn = ux.fractional_max_pool(picture, size, output_ratio=ratio, samples=(0.5, 0.5))

    # A kernel that makes the transposed convolution interpolate; a network would learn one.
    reach = 1 - np.abs(np.arange(2 * factor) - factor + 0.5) / factor
    kernel = np.outer(reach, reach).astype(np.float32)
    weight = np.stack([kernel] * len(picture))[:, None]
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


def psnr(picture: Picture, back: Picture) -> float:
    """Return the peak signal-to-noise ratio, in decibels."""
    return float(peak_signal_noise_ratio(picture, back, data_range=1))


def ssim(picture: Picture, back: Picture) -> float:
    """Return the structural similarity, 1 for the same picture."""
    return float(structural_similarity(picture, back, data_range=1, channel_axis=0))


class PhotoGrid(SphinxDirective):
    """The photograph after each method, with PSNR and SSIM; the argument is the factor."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a grid of figures."""
        factor = directives.positive_int(self.arguments[0])
        for module in (ux.pooling, ux.unpooling, ux.convolution):
            self.env.note_dependency(str(module.__file__))
        picture = photograph()
        lines = [".. container:: photo-grid", ""]
        lines += self.figure(f"{factor}-original", picture, "the photograph")
        for number, (name, back) in enumerate(ways_back(picture, factor).items()):
            scores = f"{psnr(picture, back):.1f} dB, SSIM {ssim(picture, back):.2f}"
            lines += self.figure(f"{factor}-{number}", back, f"{name}: {scores}")
        return self.parse_text_to_nodes("\n".join(lines))

    def figure(self, file: str, picture: Picture, caption: str) -> list[str]:
        """Save a part of a picture; return the figure, indented."""
        folder = Path(self.env.srcdir, "_build", "photograph")
        folder.mkdir(parents=True, exist_ok=True)
        shown = np.moveaxis(picture[:, *_FACE], 0, -1)
        pixels = np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)
        image = Image.fromarray(pixels)
        size = (image.width * _ENLARGED, image.height * _ENLARGED)
        image.resize(size, Image.Resampling.NEAREST).save(folder / f"{file}.png", optimize=True)
        return [
            f"   .. figure:: /_build/photograph/{file}.png",
            f"      :alt: {caption}",
            "",
            f"      {caption}",
            "",
        ]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("photo-grid", PhotoGrid)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
