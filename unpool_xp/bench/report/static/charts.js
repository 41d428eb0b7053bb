// Charts, drawn when they come into view. Vega is unpacked for the first of them.

const MOST_SVG = 300; // points: beyond, an element each would be too many
const drawn = new Map(); // place -> redraw
let vegaReady = null;

function vega() {
  vegaReady ??= unsqueeze("vega").then((response) => response.text()).then((code) => {
    document.head.append(h("script", {}, `(() => {${code}\n})();`)); // its names stay its own
    return window.vegaEmbed;
  });
  return vegaReady;
}

const isDark = () => {
  const forced = document.documentElement.dataset.theme;
  return forced ? forced === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

const comingUp = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    comingUp.unobserve(entry.target);
    entry.target.dispatchEvent(new Event("inview"));
  }
}, { rootMargin: "250px" });

function whenInView(place, act) {
  place.addEventListener("inview", act, { once: true });
  comingUp.observe(place);
}

// data: {points, lines}; ticks: {xticks, yticks}
function chart(name, label, { points, lines = [], xticks = [], yticks = [], height = 260, kind = "" }) {
  const place = h("div", { class: `chart ${kind}`, role: "img", "aria-label": label, "data-points": points.length, style: kind ? `min-height: ${height}px` : null });
  let view = null, turn = 0;
  async function draw() {
    const mine = ++turn;
    const embed = await vega();
    if (mine !== turn || !place.isConnected) return;
    const spec = structuredClone(page.specs[name]);
    spec.datasets = { points, lines };
    if (spec.layer && !lines.length) spec.layer = spec.layer.filter((layer) => layer.data?.name !== "lines");
    spec.height = height;
    const ticks = { xticks, yticks };
    for (const parameter of spec.params) if (parameter.name in ticks) parameter.value = ticks[parameter.name];
    const config = structuredClone(page.themes[isDark() ? "dark" : "light"]);
    config.background = "transparent";
    if (place.clientWidth < 420) config.axis.labelFontSize = 10;
    const options = {
      mode: "vega-lite", config, renderer: points.length > MOST_SVG ? "canvas" : "svg",
      tooltip: { theme: isDark() ? "dark" : "light" },
      actions: { export: true, source: false, compiled: false, editor: false },
    };
    try {
      view?.finalize();
      view = (await embed(place, spec, options)).view;
      drawn.set(place, draw);
    } catch (error) {
      place.textContent = `The chart could not be drawn: ${error}`;
      console.error(error);
    }
  }
  place.addEventListener("gone", () => { turn++; view?.finalize(); drawn.delete(place); });
  whenInView(place, draw);
  return place;
}

function forget(host) {
  for (const place of host.querySelectorAll(".chart")) {
    comingUp.unobserve(place);
    place.dispatchEvent(new Event("gone"));
  }
}
const redrawAll = () => [...drawn.values()].forEach((draw) => draw());

function decimalTicks(values) {
  const first = Math.floor(Math.log10(Math.min(...few(values)))), last = Math.ceil(Math.log10(Math.max(...few(values))));
  const steps = last - first <= 2 ? [1, 2, 5] : [1];
  const ticks = [];
  const stride = Math.max(1, Math.ceil((last - first) / 8));
  for (let power = first; power <= last; power += stride) for (const step of steps) ticks.push(Number(`${step}e${power}`));
  return ticks;
}
function byteTicks(values, most = 5) {
  const sizes = few(values);
  const first = Math.floor(Math.log2(Math.min(...sizes))), last = Math.ceil(Math.log2(Math.max(...sizes)));
  const step = Math.max(1, Math.ceil((last - first) / most));
  const ticks = [];
  for (let power = first; power <= last; power += step) ticks.push(2 ** power);
  return ticks;
}
// The ends of many values: a call takes only so many arguments.
function few(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

// --- what several charts are made of ---

function pointOf({ at, hows }, i) {
  const how = hows[at.rows.how[i]];
  const best = bestSeconds(at)[at.rows.case[i]];
  const value = at.rows.seconds[i], low = at.rows.low[i] > 0 ? at.rows.low[i] : value;
  return {
    backend: how.label, mode: how.mode, ran: how.ran, threads: how.threads, implementation: how.implementation,
    function: at.names.function[at.rows.function[i]],
    how: `${how.label} ${how.ran} ${how.implementation}`,
    operation: operationOf(at, at.rows.case[i]),
    settings: settingsOf(at, at.rows.case[i]),
    case: caseWords(at, at.rows.case[i]),
    bytes: at.rows.bytes[i], seconds: value, low, high: at.rows.low[i] > 0 ? at.rows.high[i] : value,
    median: seconds(value), interval: interval(at.rows.low[i], at.rows.high[i], value),
    over: times(value / best), rate: `${digits(rateOf(at, i))} GB/s`,
  };
}

// One quantity, an operation a line, one dot a backend, mode and implementation.
function dots(name, label, field, points, mark) {
  if (!points.length) return null;
  const values = points.map((point) => point[field]);
  const shown = mark === null ? values : [...values, mark];
  const lanes = Math.max(1, new Set(points.map((point) => point.how)).size);
  const operations = new Set(points.map((point) => point.operation)).size;
  return chart(name, label, {
    points, lines: mark === null ? [] : [{ [field]: mark }], xticks: decimalTicks(shown),
    height: operations * Math.max(34, Math.min(90, 7 * lanes)), kind: "dots",
  });
}

function legend({ at, rows, hows }, { dotted = "", modes = true } = {}) {
  const seen = new Set(rows.map((i) => hows[at.rows.how[i]].backend));
  const items = [...seen].sort((a, b) => a - b).map((backend) => h("span", {}, glyph(backend), page.backends[backend].name));
  items.push(h("span", {}, "● portable, ○ native"));
  if (modes) items.push(h("span", {}, "─── eager, ┄┄┄ compiled"));
  if (dotted) items.push(h("span", {}, `···· ${dotted}`));
  return h("div", { class: "legend" }, ...items);
}
