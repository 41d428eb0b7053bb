// Charts, drawn one after the other. Vega is unpacked for the first of them.

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

// All are drawn at once, seen or not: paper and tall windows have no scrolling. Between two of them
// the page answers its reader.
let queue = Promise.resolve();
function soon(draw) {
  queue = queue.then(() => new Promise((done) => setTimeout(done))).then(draw);
}

// data: {points, lines}; ticks: {xticks, yticks}
function chart(name, label, { points, lines = [], xticks = [], yticks = [], height = 260, kind = "" }) {
  const place = h("div", { class: `chart ${kind}`, role: "figure", "aria-label": label, "data-points": points.length, style: kind ? `min-height: ${height}px` : null });
  let view = null;
  async function draw() {
    if (!place.isConnected) return; // something else is shown by now
    const embed = await vega();
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
  place.addEventListener("gone", () => { view?.finalize(); drawn.delete(place); });
  soon(draw);
  return place;
}

function forget(host) {
  for (const place of host.querySelectorAll(".chart")) place.dispatchEvent(new Event("gone"));
}
const redrawAll = () => [...drawn.values()].forEach(soon);

const DECIMAL_STEPS = [[1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9], [1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]];
// As unpool_xp.bench.report.chart_specs has them.
function decimalTicks(values, most = 8) {
  const [low, high] = few(values);
  const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
  for (const steps of DECIMAL_STEPS) {
    const ticks = [];
    for (let power = first; power <= last; power++) for (const step of steps) ticks.push(Number(`${step}e${power}`));
    const shown = ticks.filter((tick) => tick >= low && tick <= high);
    if (shown.length <= most) return shown;
  }
  const stride = Math.ceil((last - first) / most);
  return Array.from({ length: most }, (_, k) => Number(`1e${first + k * stride}`));
}
function byteTicks(values, most = 5) {
  const [low, high] = few(values);
  const first = Math.floor(Math.log2(low)), last = Math.ceil(Math.log2(high));
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

// Of several of a library's own functions for a case the fastest alone: rows come the fastest first.
function fastestOfEach(at, rows) {
  const seen = new Set();
  return rows.filter((i) => {
    const key = `${at.rows.case[i]} ${at.rows.how[i]}`;
    return !seen.has(key) && seen.add(key);
  });
}

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
  items.push(h("span", {}, "● unpool_xp's, ○ the library's own"));
  if (modes) items.push(h("span", {}, "─── eager, ─ · fused, ┄┄┄ compiled"));
  if (dotted) items.push(h("span", {}, `···· ${dotted}`));
  return h("div", { class: "legend" }, ...items);
}
