"""What the gallery leaves: pictures, a table in Markdown, the numbers for scripts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unpool_xp.backends import Backend
from unpool_xp.gallery.checkerboard import FEWEST, Doubled, checkerboard
from unpool_xp.gallery.figures import AMPLIFIED, Column, grid
from unpool_xp.gallery.photographs import SHIPPED, read_photograph, shipped_photograph
from unpool_xp.gallery.scenes import checkerboard_scene, shift_scene
from unpool_xp.gallery.scores import Entry, Gallery, make_gallery

_SHORT = (("fractional_max", "frac_max"), ("_pool", ""), ("_unpool", ""))


@dataclass(frozen=True)
class Exhibition:
    """All that one call of the command made.

    Attributes
    ----------
    galleries : sequence of Gallery
        One for each photograph, all with the same strides.
    checkerboard : sequence of Doubled
        Of the first photograph; empty where it is too small.
    """

    galleries: Sequence[Gallery]
    checkerboard: Sequence[Doubled]

    def pictures(self) -> Iterator[tuple[str, str, Image.Image]]:
        """Yield the name of a file, what it shows, and the picture."""
        first = self.galleries[0]
        if len(self.galleries) == 1:
            yield "gallery.png", first.photograph.name, _strides(first)
        else:
            stride = first.strides[-1]
            sheet = grid([Column(gallery, stride) for gallery in self.galleries])
            yield "gallery.png", f"every photograph, stride {stride:g}", sheet
            for gallery in self.galleries:
                name = gallery.photograph.name
                yield f"gallery-{name}.png", f"{name}, every stride", _strides(gallery)
        whole = [stride for stride in first.strides if stride.is_integer()]
        if whole:
            yield "gallery-shift.png", "the half-cell shift", shift_scene(first, max(whole))
        if self.checkerboard:
            scene = checkerboard_scene(first.photograph, self.checkerboard)
            yield "gallery-checkerboard.png", "uneven overlap, and the cure", scene

    def write(self, folder: Path) -> list[Path]:
        """Write the pictures and ``gallery.md``; return where."""
        folder.mkdir(parents=True, exist_ok=True)
        paths, lines = [], self._markdown()
        for name, shown, image in self.pictures():
            image.save(folder / name, optimize=True)
            paths.append(folder / name)
            lines += [f"## {shown[0].upper()}{shown[1:]}", "", f"![{shown}]({name})", ""]
        paths.append(folder / "gallery.md")
        paths[-1].write_text("\n".join(lines), encoding="utf-8")
        return paths

    def _markdown(self) -> list[str]:
        lines = [
            "# Photographs pooled and unpooled",
            "",
            f"By unpool_xp on {self.galleries[0].backend}. PSNR in decibels and SSIM, of the whole "
            "photograph; the best mean PSNR stands first. In the pictures the difference is "
            f"multiplied by {AMPLIFIED}.",
            "",
        ]
        for gallery in self.galleries:
            photograph, strides = gallery.photograph, gallery.strides
            rows, columns = photograph.size
            notes = "".join(f"; {note}" for note in photograph.notes)
            lines += [f"## {photograph.name}, {columns}x{rows}{notes}", ""]
            lines.append(
                "| pooling | unpooling |"
                + "".join(f" stride {s:g}: PSNR | SSIM |" for s in strides)
            )
            lines.append("|---|---|" + "---:|---:|" * len(strides))
            for method in gallery.methods():
                entries = (gallery.at(method, stride) for stride in strides)
                cells = "".join(f" {_db(e)} | {_ssim(e)} |" for e in entries)
                lines.append(f"| {method.pooling} | {method.unpooling} |{cells}")
            lines.append("")
        if self.checkerboard:
            lines += ["## Doubled with equal weights", "", "| by | | unevenness | PSNR |"]
            lines.append("|---|---|---:|---:|")
            lines += [
                f"| {done.way.name} | {done.way.detail} | {done.unevenness:.0%} | {done.psnr:.1f} |"
                for done in self.checkerboard
            ]
            lines.append("")
        return lines

    def as_json(self, files: Sequence[Path]) -> dict[str, Any]:
        """Return the numbers, for scripts; a PSNR without an end is null."""
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
                    "by": done.way.name,
                    "detail": done.way.detail,
                    "unevenness": done.unevenness,
                    "psnr_db": done.psnr if math.isfinite(done.psnr) else None,
                }
                for done in self.checkerboard
            ],
            "files": [str(path) for path in files],
        }

    def print(self, console: Console) -> None:
        """Print a table for each photograph, the best mean PSNR first."""
        for gallery in self.galleries:
            photograph, strides = gallery.photograph, gallery.strides
            rows, columns = photograph.size
            console.print(f"[bold]{escape(photograph.name)}[/], {columns}x{rows} pixels")
            for note in photograph.notes:
                console.print(f"[yellow]{note}[/]")
            # As many strides side by side as a terminal is wide.
            for start in range(0, len(strides), 3):
                console.print(_table(gallery, strides[start : start + 3]))
            console.print()
        if self.checkerboard:
            console.print("[bold]doubled with equal weights[/]")
            table = Table(box=None, pad_edge=False, header_style="bold")
            for name in ("by", ""):
                table.add_column(name, no_wrap=True)
            for name in ("unevenness", "PSNR dB"):
                table.add_column(name, justify="right", no_wrap=True)
            for done in self.checkerboard:
                share = f"{done.unevenness:.0%}"
                marked = f"[red]{share}[/]" if done.unevenness else share
                table.add_row(done.way.name, done.way.detail, marked, f"{done.psnr:.1f}")
            console.print(table)


def exhibition(
    image: Path | None,
    backend: Backend,
    strides: Sequence[float],
    *,
    progress: Callable[[str], object] = lambda said: None,
) -> Exhibition:
    """Send a picture, or the photographs of scikit-image, through every method.

    Parameters
    ----------
    image : Path or None
        A file. None: the photographs that scikit-image ships.
    backend : Backend
        The library that does it.
    strides : sequence of float
        Cells that become one, along each axis.
    progress : callable, optional
        Called with the name of each photograph.

    Returns
    -------
    Exhibition
        To be written, printed, or given to a script.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no picture that can be read, or a stride cannot be.
    """
    photographs = [read_photograph(image)] if image else [shipped_photograph(n) for n in SHIPPED]
    galleries = []
    for photograph in photographs:
        progress(f"{photograph.name} on {backend.label}")
        galleries.append(make_gallery(photograph, backend, strides))
    large = min(photographs[0].size) >= FEWEST
    return Exhibition(galleries, checkerboard(photographs[0], backend) if large else ())


def _strides(gallery: Gallery) -> Image.Image:
    return grid([Column(gallery, stride) for stride in gallery.strides])


def _table(gallery: Gallery, strides: Sequence[float]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("pool", no_wrap=True)
    table.add_column("unpool", no_wrap=True)
    for stride in strides:
        table.add_column(f"s={stride:g} dB", justify="right", no_wrap=True)
        table.add_column("SSIM", justify="right", no_wrap=True)
    for method in gallery.methods():
        names = [method.pooling, method.unpooling]
        for long, short in _SHORT:
            names = [name.replace(long, short) for name in names]
        entries = [gallery.at(method, stride) for stride in strides]
        cells = [cell for entry in entries for cell in (_db(entry), _ssim(entry))]
        table.add_row(*names, *cells)
    return table


def _db(entry: Entry | None) -> str:
    return "-" if entry is None else f"{entry.psnr:.1f}"


def _ssim(entry: Entry | None) -> str:
    return "-" if entry is None else f"{entry.ssim:.2f}"
