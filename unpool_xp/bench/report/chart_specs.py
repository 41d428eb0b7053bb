"""The charts of a report as Vega-Lite specifications: the data is put in where they are drawn."""

from __future__ import annotations

import functools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import altair as alt

from unpool_xp.bench.cases.formatting import threads_text
from unpool_xp.bench.report.charts import styles
from unpool_xp.bench.report.ranked import Contender, RankedCase, by_series

_DECIMAL_STEPS = (
    *((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)),
)
_MOST_CASES = 20  # of a picture
_SECONDS = "format(datum.value, '~s') + 's'"
_BYTES = (
    "datum.value < 1024 ? datum.value + ' B' : datum.value < 1048576 ? datum.value / 1024 + ' KiB'"
    " : datum.value < 1073741824 ? datum.value / 1048576 + ' MiB'"
    " : datum.value / 1073741824 + ' GiB'"
)
_RATIO = "format(datum.value, '~r') + 'x'"
_SHARE = "format(datum.value, '.2~p')"
_CALLS = "format(datum.value, '~s')"


def chart_specs(backends: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the charts of the page by name; their scales have these backends in this order.

    The page fills in the data "points" (some have "lines" too) and the parameters "xticks" and
    "yticks".
    """
    return {
        "time": _page_spec(_time_chart(backends, _bytes_axis())),
        "threads": _page_spec(_time_chart(backends, _doubling_axis("threads"), line="mode")),
        "batch": _page_spec(_throughput_chart(backends)),
        "share": _page_spec(_dot_plot(backends, "share", "share of a plain copy", _SHARE, 1)),
        "payback": _page_spec(
            _dot_plot(backends, "calls", "calls until compiling has paid", _CALLS, None)
        ),
        "memory": _page_spec(_dot_plot(backends, "peak", "peak over inputs + outputs", _RATIO, 1)),
        "device": _page_spec(_device_chart()),
    }


def time_png_spec(
    cases: Iterable[RankedCase],
    backends: Sequence[str],
    copy_rate: Callable[[RankedCase], float | None],
) -> dict[str, Any] | None:
    """Return the chart of time against size of one operation on one machine, with its data.

    None where there is nothing to draw. It shows the kernel, stride and dtype with the most sizes,
    which the title names; where none has two sizes all of them, and no line.
    """
    cases = _cases_to_draw([case for case in cases if case.timed and case.bytes_moved > 0])
    # Of several of a library's own functions the fastest alone.
    fastest = [
        (case, list({Contender.of(t.row): t for t in reversed(case.timed)}.values()))
        for case in cases
    ]
    points: list[dict[str, Any]] = [
        {
            "backend": t.row.backend,
            "mode": t.row.mode,
            "ran": f"{t.row.mode}{threads_text(t.row.threads_asked)}",
            "implementation": t.row.implementation,
            "function": t.row.function,
            "settings": case.settings,
            "bytes": case.bytes_moved,
            "seconds": t.seconds,
            "low": t.interval.low or t.seconds,
            "high": t.interval.high if math.isfinite(t.interval.high) else t.seconds,
        }
        for case, timed in fastest
        for t in timed
    ]
    if not points:
        return None
    shown = {point["backend"] for point in points}
    legend = tuple(name for name in backends if name in shown)
    spec: dict[str, Any] = json.loads(_time_png_json(tuple(backends), legend))
    sizes = [point["bytes"] for point in points]
    least = min(point["low"] for point in points) / 2
    copies = [(case.bytes_moved, rate) for case in cases if (rate := copy_rate(case))]
    spec["datasets"] = {"points": points, "lines": _copy_line(copies, least)}
    if not spec["datasets"]["lines"]:
        spec["layer"] = [layer for layer in spec["layer"] if layer["data"]["name"] != "lines"]
    ticks = {
        "xticks": byte_ticks(sizes),
        "yticks": decimal_ticks([p[name] for p in points for name in ("low", "high")]),
    }
    if len({case.settings for case in cases}) == 1:
        spec["title"] = {"text": cases[0].settings}
    else:
        spec["title"] = {"text": "Each kernel and stride at one size."}
    for parameter in spec["params"]:
        if parameter["name"] in ticks:
            parameter["value"] = ticks[parameter["name"]]
    return spec


def _cases_to_draw(cases: list[RankedCase]) -> list[RankedCase]:
    """Return those of the settings with the most sizes; all where none has two, and room is."""
    dtypes = Counter(case.first_row.dtype for case in cases)
    most = max(
        by_series(cases), key=lambda one: (len(one), dtypes[one[0].first_row.dtype]), default=[]
    )
    return cases if len(most) == 1 and len(cases) <= _MOST_CASES else most


@functools.cache
def _time_png_json(backends: tuple[str, ...], legend: tuple[str, ...]) -> str:
    return json.dumps(_page_spec(_time_chart(backends, _bytes_axis(), legend=list(legend))))


def _copy_line(copies: Iterable[tuple[int, float]], least: float) -> list[dict[str, float]]:
    """Return the times of plain copies, as far as they take no less than this."""
    line = sorted((size, size / rate / 1e9) for size, rate in set(copies))
    start = next((i for i, (_, seconds) in enumerate(line) if seconds >= least), len(line))
    points = line[start:]
    if 0 < start < len(line):  # it enters between two sizes
        (before, quick), (size, slow) = line[start - 1 : start + 1]
        part = math.log(least / quick) / math.log(slow / quick)
        points.insert(0, (before * (size / before) ** part, least))
    return [{"bytes": size, "seconds": seconds} for size, seconds in points if len(points) > 1]


def decimal_ticks(values: Sequence[float], most: int = 8) -> list[float]:
    """Return round numbers between the least and the most of the values, as many as have room."""
    low, high = min(values), max(values)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for steps in _DECIMAL_STEPS:
        ticks = [float(f"{step}e{power}") for power in range(first, last + 1) for step in steps]
        shown = [tick for tick in ticks if low <= tick <= high]
        if len(shown) <= most:
            return shown
    return [float(f"1e{power}") for power in range(first, last, math.ceil((last - first) / most))]


def byte_ticks(values: Sequence[int]) -> list[int]:
    """Return powers of two around sizes, at most eight."""
    first, last = math.floor(math.log2(min(values))), math.ceil(math.log2(max(values)))
    step = max(1, math.ceil((last - first) / 7))
    return [2**power for power in range(first, last + 1, step)]


# --- the charts ----------------------------------------------------------------------------------


_WORDS = {
    "case": "case",
    "median": "median",
    "interval": "95 % interval",
    "over": "over the best",
}
_TOOLTIP_FIELDS = (
    *("backend:N", alt.Tooltip("ran:N", title="mode"), "implementation:N", "function:N"),
)


def _log_axis(channel: Any, title: str, labels: str, ticks: str) -> Any:
    scale = channel.scale(type="log", nice=False, padding=20 if ticks == "xticks" else 12)
    return scale.title(title).axis(labelExpr=labels, values={"expr": ticks})


def _bytes_axis() -> Any:
    x = alt.X("bytes:Q").scale(type="log", base=2, nice=False, padding=20)
    x = x.title("bytes in and out of a call")
    return x.axis(labelExpr=_BYTES, values={"expr": "xticks"}, grid=False)


def _doubling_axis(field: str) -> Any:
    x = alt.X(f"{field}:Q").scale(type="log", base=2, nice=False, padding=20)
    return x.title(field).axis(format="d", values={"expr": "xticks"}, grid=False)


def _with_ticks(layers: Any) -> Any:
    return layers.add_params(*(alt.param(name=name, value=[]) for name in ("xticks", "yticks")))


def _reference_line() -> Any:
    return alt.Chart(alt.NamedData("lines")).mark_rule(strokeDash=[4, 3], strokeWidth=1.2)


def _backend(legend: Any) -> dict[str, Any]:
    shown = None if legend is None else alt.Legend(values=legend)
    field = {"field": "backend", "type": "nominal", "title": "backend", "sort": None}
    return {**field, "legend": shown}


def _marks(chart: Any, backends: Sequence[str], legend: Any = None, **encoding: Any) -> Any:
    """Return symbols: the colour and shape are the backend, filled is portable, hollow native."""
    domain, backend = list(backends), _backend(legend)
    scale = alt.Scale(domain=domain)
    filled = alt.Scale(domain=["portable", "native"], range=[1, 0])
    return chart.mark_point(size=60, strokeWidth=1.6, strokeDash=[]).encode(
        color=alt.Color(**backend, scale=scale),
        fill=alt.Fill(**backend, scale=scale),
        shape=alt.Shape(
            **backend, scale=alt.Scale(domain=domain, range=[s.shape for s in styles(domain)])
        ),
        fillOpacity=alt.FillOpacity("implementation:O", sort=None, scale=filled, legend=None),
        **encoding,
    )


def _time_chart(backends: Sequence[str], x: Any, *, line: str = "ran", legend: Any = None) -> Any:
    """Return the time over x; a line joins what has the same `line` and is else alike."""
    y = _log_axis(alt.Y("seconds:Q"), "time of a call", _SECONDS, "yticks")
    words = {**_WORDS, "rate": "bandwidth"}
    lines = _lines(backends, x, y, "low:Q", "high:Q", words, line=line, legend=legend)
    copies = alt.Chart(alt.NamedData("lines"))
    copy = copies.mark_line(strokeWidth=1, strokeDash=[2, 3], opacity=0.7, color="#8a93a0")
    return _with_ticks(copy.encode(x=x, y=y) + lines)


def _throughput_chart(backends: Sequence[str]) -> Any:
    """Return the items per second over the batch."""
    y = _log_axis(alt.Y("items:Q"), "items per second", _CALLS, "yticks")
    words = {"throughput": "throughput", **_WORDS}
    return _with_ticks(_lines(backends, _doubling_axis("batch"), y, "fewest:Q", "most:Q", words))


def _lines(
    backends: Sequence[str],
    x: Any,
    y: Any,
    low: str,
    high: str,
    words: Mapping[str, str],
    *,
    line: str = "ran",
    legend: Any = None,
) -> Any:
    """Return lines, intervals and symbols; the one that is pointed at stands out."""
    chart = alt.Chart(alt.NamedData("points"))
    near = alt.selection_point(
        name="near",
        fields=["backend", line, "implementation"],
        on="pointerover",
        clear="pointerout",
    )
    opacity = alt.when(near).then(alt.value(1.0)).otherwise(alt.value(0.15))
    colour = alt.Color(**_backend(legend), scale=alt.Scale(domain=list(backends)))
    modes = alt.Scale(domain=["eager", "fused", "compiled"], range=[[1, 0], [8, 3, 2, 3], [5, 3]])
    dash = alt.StrokeDash(
        "mode:N", sort=None, scale=modes, legend=legend and alt.Legend(symbolSize=500)
    )
    lines = chart.mark_line(strokeWidth=1.5).encode(
        x=x,
        y=y,
        color=colour,
        strokeDash=dash,
        detail=[f"{line}:N", "implementation:N", "settings:N"],
        opacity=opacity,
    )
    rules = chart.mark_rule(strokeWidth=1.5).encode(
        x=x, y=low, y2=high, color=colour, opacity=opacity
    )
    titled = (alt.Tooltip(f"{name}:N", title=title) for name, title in words.items())
    tooltip = [*_TOOLTIP_FIELDS, *titled]
    symbols = _marks(chart, backends, legend, x=x, y=y, opacity=opacity, tooltip=tooltip)
    # The selection is of the symbols: a line or a rule is too thin to point at.
    return lines + rules + symbols.add_params(near)


def _dot_plot(
    backends: Sequence[str], field: str, title: str, labels: str, mark: float | None
) -> Any:
    """Return one quantity, an operation a line."""
    chart = alt.Chart(alt.NamedData("points"))
    x = _log_axis(alt.X(f"{field}:Q"), title, labels, "xticks")
    y = alt.Y("operation:N").title(None)
    y = y.axis(labelFontSize=12, grid=True, ticks=False, tickBand="extent")
    tooltip = [
        *_TOOLTIP_FIELDS,
        alt.Tooltip("case:N", title="case"),
        alt.Tooltip("words:N", title=title),
    ]
    dots = _marks(chart, backends, x=x, y=y, tooltip=tooltip, yOffset=alt.YOffset("how:N"))
    return _with_ticks(dots if mark is None else _reference_line().encode(x=x) + dots)


def _device_chart() -> Any:
    chart = alt.Chart(alt.NamedData("points"))
    y = _log_axis(alt.Y("ratio:Q"), "CPU time over GPU time", _RATIO, "yticks")
    x = _bytes_axis()

    def by_copies(channel: Any, *values: Any) -> Any:
        scale = alt.Scale(domain=["on the device", "with copies"], range=values)
        return channel("copies:N", sort=None, scale=scale, legend=None)

    colour = by_copies(alt.Color, "#2f8fc4", "#cc5200")
    dash = by_copies(alt.StrokeDash, [1, 0], [5, 3])
    lines = chart.mark_line(strokeWidth=1.6).encode(
        x=x, y=y, color=colour, strokeDash=dash, detail="settings:N"
    )
    dots = chart.mark_point(filled=True, size=50).encode(
        x=x,
        y=y,
        color=colour,
        shape=by_copies(alt.Shape, "circle", "square"),
        tooltip=["case:N", "cpu:N", "gpu:N", "copies:N", alt.Tooltip("words:N", title="CPU / GPU")],
    )
    return _with_ticks(_reference_line().encode(y=y) + lines + dots)


def _page_spec(chart: Any) -> dict[str, Any]:
    spec: dict[str, Any] = chart.properties(width="container", height=260).to_dict()
    # The address in $schema is never fetched, but a page for offline use has none; the theme
    # is given where the chart is drawn.
    del spec["$schema"], spec["config"]
    spec.pop("datasets", None)
    return spec
