"""Charts of time against size, as Vega-Lite specifications that need nothing from outside."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from unpool_xp.bench.ranking import Ranked
from unpool_xp.bench.results import Row, elements

# Okabe and Ito, told apart with every kind of colour blindness; the shapes are fewer by one, so
# that where the colours begin again the shapes do not.
_COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7"),
    *("#E69F00", "#56B4E9", "#000000", "#F0E442"),
)
_SHAPES = (
    *("circle", "square", "triangle-up", "diamond"),
    *("cross", "triangle-down", "triangle-right"),
)
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_PNG_WIDTH = 640
CAPTION = (
    "Filled: portable; hollow: native. A line joins the sizes of one kernel, stride and dtype."
)


def theme(*, dark: bool = False) -> dict[str, Any]:
    """Return a Vega-Lite configuration.

    Parameters
    ----------
    dark : bool, optional
        Whether it is for a dark background.

    Returns
    -------
    dict
        The configuration.
    """
    text, grid = ("#c9ced6", "#333942") if dark else ("#3d434b", "#e3e6ea")
    words = {
        "labelColor": text,
        "titleColor": text,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    }
    colours = ["#f2f2f2" if colour == "#000000" and dark else colour for colour in _COLOURS]
    return {
        "background": "transparent" if dark else "white",
        "font": _FONT,
        "range": {"category": colours},
        "axis": {
            **words,
            "titlePadding": 8,
            "gridColor": grid,
            "domainColor": text,
            "tickColor": text,
        },
        "legend": {
            **words,
            "symbolSize": 70,
            "symbolFillColor": text,
            "symbolStrokeColor": text,
        },
        "title": {
            "color": text,
            "subtitleColor": text,
            "anchor": "start",
            "fontSize": 14,
            "offset": 12,
        },
        "view": {"stroke": None},
    }


def time_chart(
    rankings: Iterable[Sequence[Ranked]],
    backends: Sequence[str],
    describe: Callable[[Row], str],
) -> dict[str, Any] | None:
    """Return a chart of time against size, on logarithmic axes.

    Parameters
    ----------
    rankings : iterable of sequence of Ranked
        Of one operation on one machine, a ranking a case.
    backends : sequence of str
        All that share a colour scale with this chart.
    describe : callable
        From a row to the words for its kernel, stride and the like; a line joins rows with the
        same ones.

    Returns
    -------
    dict or None
        The specification, without colours: see `theme`. None where there is nothing to draw.
    """
    points = [
        _point(entry, describe(entry.row))
        for ranking in rankings
        for entry in ranking
        if entry.place and elements(entry.row) > 0
    ]
    if not points:
        return None
    chart = alt.Chart()
    chosen = alt.selection_point(fields=["backend"], bind="legend")
    scale = alt.Scale(domain=list(backends))
    shown = {point["backend"] for point in points}
    backend: dict[str, Any] = {
        "field": "backend",
        "type": "nominal",
        "title": "backend",
        "sort": None,
        "legend": alt.Legend(values=[name for name in backends if name in shown]),
    }
    ends = [point[name] for point in points for name in ("low", "high")]
    colour = alt.Color(**backend, scale=scale)
    x = alt.X("elements:Q").scale(type="log", nice=False, padding=24)
    x = x.title("elements of the first array").axis(
        format="~s", values=_ticks([p["elements"] for p in points]), grid=False
    )
    y = alt.Y("seconds:Q").scale(type="log", nice=False, padding=16).title("time of a call")
    y = y.axis(labelExpr="format(datum.value, '~s') + 's'", values=_ticks(ends))
    opacity = alt.when(chosen).then(alt.value(1.0)).otherwise(alt.value(0.12))
    modes = alt.Scale(domain=["eager", "compiled"], range=[[1, 0], [5, 4]])
    lines = chart.mark_line(strokeWidth=1.5).encode(
        x=x,
        y=y,
        color=colour,
        strokeDash=alt.StrokeDash(
            "mode:N", sort=None, title="mode", scale=modes, legend=alt.Legend(symbolSize=500)
        ),
        detail=["implementation:N", "function:N", "settings:N"],
        opacity=opacity,
    )
    rules = chart.mark_rule(strokeWidth=1.5).encode(x=x, y="low:Q", y2="high:Q", color=colour)
    filled = alt.Scale(domain=["portable", "native"], range=[1, 0])
    symbols = chart.mark_point(size=70, strokeWidth=1.6, strokeDash=[]).encode(
        x=x,
        y=y,
        color=colour,
        fill=alt.Fill(**backend, scale=scale),
        shape=alt.Shape(**backend, scale=alt.Scale(domain=list(backends), range=_SHAPES)),
        # Its legend would be an empty symbol beside a full one of no colour: see CAPTION.
        fillOpacity=alt.FillOpacity("implementation:N", sort=None, scale=filled, legend=None),
        opacity=opacity,
        tooltip=[
            *("backend:N", "mode:N", "implementation:N", "function:N", "shape:N", "settings:N"),
            alt.Tooltip("seconds:Q", format=".3~s", title="seconds"),
            alt.Tooltip("ratio:Q", format=".2f", title="over the best"),
        ],
    )
    layers = (lines + rules.encode(opacity=opacity) + symbols).add_params(chosen)
    spec: dict[str, Any] = layers.properties(width="container", height=320).to_dict()
    # The address in $schema is never fetched, but a page for offline use has none; the theme
    # is given where the chart is drawn.
    del spec["$schema"], spec["config"]
    spec["data"] = {"values": points}  # once for all layers, which inherit it
    for layer in spec["layer"]:
        layer.pop("data", None)
    return spec


def _ticks(values: Sequence[float]) -> list[float]:
    """Return powers of ten around values, with 2 and 5 between where there are few."""
    first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    steps = (1, 2, 5) if last - first <= 3 else (1,)
    return [float(f"{step}e{power}") for power in range(first, last + 1) for step in steps]


def _point(entry: Ranked, settings: str) -> dict[str, Any]:
    assert entry.seconds is not None
    assert entry.interval is not None
    assert entry.to_best is not None
    row: Row = entry.row
    bounded = entry.interval.low > 0
    return {
        **{name: row[name] for name in ("backend", "mode", "implementation", "function")},
        "shape": "x".join(map(str, row["shape"])),
        "settings": settings,
        "elements": elements(row),
        "seconds": entry.seconds,
        "low": entry.interval.low if bounded else entry.seconds,
        "high": entry.interval.high if bounded else entry.seconds,
        "ratio": entry.to_best.estimate,
    }


def write_png(spec: dict[str, Any], path: str | Path, title: str) -> Path:
    """Draw a chart on white.

    Parameters
    ----------
    spec : dict
        As `time_chart` returns it.
    path : str or Path
        The file.
    title : str
        To stand above it.

    Returns
    -------
    Path
        The file.
    """
    words = {"text": title, "subtitle": CAPTION}
    whole = {**spec, "width": _PNG_WIDTH, "title": words, "padding": 12}
    Path(path).write_bytes(vl_convert.vegalite_to_png(whole, scale=2, config=theme()))
    return Path(path)


@functools.cache
def javascript() -> str:
    """Return the code that draws specifications, fit to stand in a script element."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace(
        "</script", "<\\/script"
    )
