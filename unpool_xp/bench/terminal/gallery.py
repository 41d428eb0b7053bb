"""What `gallery` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from unpool_xp.bench.terminal.tables import print_line, text_table

if TYPE_CHECKING:
    from unpool_xp.gallery.report import GalleryReport

_SIDE_BY_SIDE = 3  # strides; beside the names they fill 80 columns


def print_gallery(console: Console, report: GalleryReport) -> None:
    """Print tables for each photograph, best mean PSNR first."""
    for gallery in report.galleries:
        photograph, strides = gallery.photograph, gallery.strides
        rows, columns = photograph.size
        size = f"{columns}x{rows} pixels"
        print_line(console, f"[bold]{escape(photograph.name)}[/], {size}")
        for note in photograph.notes:
            print_line(console, escape(note), style="yellow")
        for start in range(0, len(strides), _SIDE_BY_SIDE):
            shown = strides[start : start + _SIDE_BY_SIDE]
            heads = (f"stride {stride:g}\ndB, SSIM" for stride in shown)
            table = text_table("pool", "unpool", *heads, align="LL" + "R" * len(shown))
            for method in gallery.methods():
                entries = (gallery.entry(method, stride) for stride in shown)
                cells = (f"{one.psnr:.1f}, {one.ssim:.2f}" if one else "-" for one in entries)
                table.add_row(method.pooling, method.unpooling, *cells)
            console.print(table)
        console.print()
    if report.checkerboard:
        print_line(console, "doubled with equal weights", style="bold")
        table = text_table("by", "", "unevenness", "PSNR dB", align="LlRR")
        for name, detail, share, psnr in report.upsampler_rows():
            table.add_row(name, detail, share if share == "0%" else f"[red]{share}[/]", psnr)
        console.print(table)
