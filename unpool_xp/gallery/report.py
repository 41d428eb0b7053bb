"""What the gallery command writes and prints: figures, tables in Markdown, JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from unpool_xp.backends import Backend
from unpool_xp.gallery.checkerboard import SMALLEST, Upsampled, checkerboard
from unpool_xp.gallery.figures import (
    AMPLIFICATION,
    checkerboard_figure,
    grid_figure,
    save,
    shift_figure,
)
from unpool_xp.gallery.photographs import SHIPPED, read_photograph, shipped_photograph
from unpool_xp.gallery.scores import Gallery, make_gallery


@dataclass(frozen=True)
class GalleryReport:
    """The results of one run of the command."""

    galleries: Sequence[Gallery]  # one for each photograph, all with the same strides
    checkerboard: Sequence[Upsampled]  # of the first photograph; empty if it is too small

    def figures(self) -> Iterator[tuple[str, str, Figure]]:
        """Yield the file name, the caption and the figure of each picture."""
        first = self.galleries[0]
        if len(self.galleries) == 1:
            yield "gallery.png", first.photograph.name, _every_stride(first)
        else:
            stride = first.strides[-1]
            sheet = grid_figure([(gallery, stride) for gallery in self.galleries])
            yield "gallery.png", f"every photograph, stride {stride:g}", sheet
            for gallery in self.galleries:
                name = gallery.photograph.name
                yield f"gallery-{name}.png", f"{name}, every stride", _every_stride(gallery)
        whole = [stride for stride in first.strides if stride.is_integer()]
        if whole:
            yield "gallery-shift.png", "the half-cell shift", shift_figure(first, max(whole))
        if self.checkerboard:
            figure = checkerboard_figure(first.photograph, self.checkerboard)
            yield "gallery-checkerboard.png", "uneven overlap, and the cure", figure

    def write(self, folder: Path) -> list[Path]:
        """Write the pictures and ``gallery.md``; return their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        paths, lines = [], self._markdown()
        for name, caption, figure in self.figures():
            save(figure, folder / name)
            paths.append(folder / name)
            lines += [f"## {caption[0].upper()}{caption[1:]}", "", f"![{caption}]({name})", ""]
        paths.append(folder / "gallery.md")
        paths[-1].write_text("\n".join(lines), encoding="utf-8")
        return paths

    def as_json(self, files: Sequence[Path]) -> dict[str, Any]:
        """Return the scores for scripts; an infinite PSNR is None."""
        return {
            "backend": self.galleries[0].backend,
            "photographs": [
                {
                    "name": gallery.photograph.name,
                    "rows": gallery.photograph.size[0],
                    "columns": gallery.photograph.size[1],
                    "notes": list(gallery.photograph.notes),
                    "results": [
                        {
                            "pooling": entry.method.pooling,
                            "unpooling": entry.method.unpooling,
                            "stride": entry.stride,
                            "psnr_db": entry.psnr if math.isfinite(entry.psnr) else None,
                            "ssim": entry.ssim,
                        }
                        for entry in gallery.entries
                    ],
                }
                for gallery in self.galleries
            ],
            "checkerboard": [
                {
                    "by": result.upsampler.name,
                    "detail": result.upsampler.detail,
                    "unevenness": result.unevenness,
                    "psnr_db": result.psnr if math.isfinite(result.psnr) else None,
                }
                for result in self.checkerboard
            ],
            "files": [str(path) for path in files],
        }

    def _markdown(self) -> list[str]:
        lines = [
            "# Photographs pooled and unpooled",
            "",
            f"By unpool_xp on {self.galleries[0].backend}. PSNR in decibels and SSIM, of the whole "
            "photograph; the best mean PSNR comes first. In the pictures the difference is "
            f"multiplied by {AMPLIFICATION}.",
            "",
        ]
        for gallery in self.galleries:
            photograph, strides = gallery.photograph, gallery.strides
            rows, columns = photograph.size
            notes = "".join(f"; {note}" for note in photograph.notes)
            heads = [f"stride {stride:g}: PSNR | SSIM" for stride in strides]
            lines += [
                f"## {photograph.name}, {columns}x{rows}{notes}",
                "",
                _line(["pooling", "unpooling", *heads]),
                "|---|---|" + "---:|---:|" * len(strides),
                *map(_line, _score_rows(gallery)),
                "",
            ]
        if self.checkerboard:
            lines += ["## Doubled with equal weights", "", "| by | | unevenness | PSNR |"]
            lines += ["|---|---|---:|---:|", *map(_line, self.upsampler_rows()), ""]
        return lines

    def upsampler_rows(self) -> Iterator[list[str]]:
        """Yield the name and detail of each way to double, its unevenness and its PSNR."""
        for result in self.checkerboard:
            names = [result.upsampler.name, result.upsampler.detail]
            yield [*names, f"{result.unevenness:.0%}", f"{result.psnr:.1f}"]


def make_report(
    image: Path | None,
    backend: Backend,
    strides: Sequence[float],
    *,
    progress: Callable[[str], object] = lambda text: None,
) -> GalleryReport:
    """Run a picture file, or the photographs of scikit-image, through every method.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file cannot be read as a picture or a stride is out of range.
    """
    photographs = [read_photograph(image)] if image else [shipped_photograph(n) for n in SHIPPED]
    galleries = []
    for photograph in photographs:
        progress(f"{photograph.name} on {backend.label}")
        galleries.append(make_gallery(photograph, backend, strides))
    large = min(photographs[0].size) >= SMALLEST
    return GalleryReport(galleries, checkerboard(photographs[0], backend) if large else ())


def _every_stride(gallery: Gallery) -> Figure:
    return grid_figure([(gallery, stride) for stride in gallery.strides])


def _score_rows(gallery: Gallery) -> Iterator[list[str]]:
    """Yield the labels of each method and its scores, "-" where the method cannot do it."""
    for method in gallery.methods():
        row = [method.pooling, method.unpooling]
        for stride in gallery.strides:
            entry = gallery.entry(method, stride)
            row += [f"{entry.psnr:.1f}", f"{entry.ssim:.2f}"] if entry else ["-", "-"]
        yield row


def _line(cells: Sequence[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"
