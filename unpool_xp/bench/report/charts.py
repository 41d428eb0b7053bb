"""How charts look and how they are drawn; what they show is in `chart_specs`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vl_convert

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Style:
    """How a backend looks, the same in every report."""

    light: str  # its colour on a light page
    dark: str
    shape: str  # its symbol, as Vega names it
    glyph: str  # the symbol as a character


# After Okabe and Ito, told apart with every kind of colour blindness; darker on white than theirs
# where a thin line would not be seen. The shapes are fewer by one, so that where the colours begin
# again the shapes do not.
_COLOURS = (
    ("#0068a8", "#5db4f0"),  # blue
    ("#cc5200", "#ff8f45"),  # vermilion
    ("#007a58", "#2fc795"),  # green
    ("#a8487f", "#ea9cc8"),  # purple
    ("#a87000", "#edb440"),  # orange
    ("#2f8fc4", "#9bd6ff"),  # sky
    ("#30343a", "#e8eaed"),  # black
    ("#7d7400", "#f0e442"),  # yellow
)
_SHAPES = (
    *(("circle", "●"), ("square", "■"), ("triangle-up", "▲"), ("diamond", "◆")),
    *(("cross", "✚"), ("triangle-down", "▼"), ("triangle-right", "▶")),
)
_KNOWN_BACKENDS = (
    *("numpy", "torch:cpu", "jax:cpu", "cupy:cuda", "dask", "torch:cuda", "jax:cuda"),
    *("array_api_strict", "mlx:cpu", "mlx:gpu", "torch:mps"),
)


def styles(backends: Sequence[str]) -> list[Style]:
    """Return how backends look: known ones always the same, others in their order."""
    order = [*_KNOWN_BACKENDS, *(name for name in backends if name not in _KNOWN_BACKENDS)]
    numbers = map(order.index, backends)
    return [Style(*_COLOURS[n % len(_COLOURS)], *_SHAPES[n % len(_SHAPES)]) for n in numbers]


def theme(backends: Sequence[str], *, dark: bool = False) -> dict[str, Any]:
    """Return a Vega-Lite configuration; the labels are in the order of the scales of the charts."""
    text, soft, grid = (
        ("#d7dbe0", "#9aa3ae", "#2b3138") if dark else ("#2b3036", "#626b76", "#e8eaed")
    )
    words = {
        "labelColor": soft,
        "titleColor": soft,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
    }
    return {
        "background": "transparent",
        "font": FONT,
        "range": {"category": [s.dark if dark else s.light for s in styles(backends)]},
        "axis": {
            **words,
            "titlePadding": 8,
            "gridColor": grid,
            "domain": False,
            "tickColor": grid,
            "labelPadding": 5,
        },
        "legend": {
            **words,
            "labelColor": text,
            "symbolSize": 70,
            "symbolFillColor": text,
            "symbolStrokeColor": text,
        },
        "title": {
            "color": text,
            "subtitleColor": soft,
            "anchor": "start",
            "fontSize": 14,
            "offset": 12,
        },
        "rule": {"color": text},
        "text": {"color": soft, "fontSize": 11},
        "view": {"stroke": None},
    }


def write_png(
    spec: dict[str, Any], path: str | Path, title: str, subtitle: str, backends: Sequence[str]
) -> Path:
    """Draw a whole chart on white; a title of its own becomes a line of the subtitle."""
    settings = [spec["title"]["text"]] if "title" in spec else []
    words = {"text": title, "subtitle": [*settings, subtitle]}
    whole = {**spec, "width": 640, "height": 340, "title": words, "padding": 16}
    config = {**theme(backends), "background": "white"}
    Path(path).write_bytes(vl_convert.vegalite_to_png(whole, scale=2, config=config))
    return Path(path)


@functools.cache
def javascript() -> str:
    """Return the code that draws specifications: Vega, and nothing that it would fetch."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
