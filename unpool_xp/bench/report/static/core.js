"use strict";
// State, words and elements. What a row says becomes text only: nothing here parses markup.

const byId = (id) => document.getElementById(id);

function h(tag, attributes = {}, ...children) {
  const element = tag === "svg" || tag === "path" ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

async function unsqueeze(id) {
  const text = atob(byId(id).textContent);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
}

// --- numbers in words, as unpool_xp.bench.cases.formatting has them ---

function digits(value) {
  if (!(value > 0) || value === Infinity) return String(value);
  const places = Math.max(0, 2 - Math.floor(Math.log10(value * 1.0005)));
  const shown = Math.min(places, 6);
  return value.toLocaleString("en-US", { minimumFractionDigits: shown, maximumFractionDigits: shown });
}
const count = (value) => value.toLocaleString("en-US");
const times = (value) => digits(value) + "x";
const percent = (share) => digits(share * 100) + "%";
const UNITS = [[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]];
const unitOf = (value) => UNITS.find((unit) => value >= 0.9995 * unit[0]) ?? UNITS[3];

function seconds(value) {
  const [scale, unit] = unitOf(value);
  return `${digits(value / scale)} ${unit}`;
}
function interval(low, high, near) {
  if (!(low > 0) || high === null) return "too few samples";
  const [scale, unit] = unitOf(near);
  return `${digits(low / scale)} to ${digits(high / scale)} ${unit}`;
}
function limits(low, high) {
  return !(low > 0) || high === null || high === Infinity ? "too few samples" : `${digits(low)} to ${digits(high)}`;
}
function bytes(value) {
  for (const [power, unit] of [[3, "GiB"], [2, "MiB"], [1, "KiB"]]) {
    if (value >= 1024 ** power) return `${digits(value / 1024 ** power)} ${unit}`;
  }
  return `${count(value)} B`;
}
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const geometric = (values) => Math.exp(mean(values.map(Math.log)));
const many = (number, word) => `${count(number)} ${word}${number === 1 || word.endsWith("s") ? "" : "s"}`;

// --- what is chosen ---

let page = null; // all the numbers
const chosen = { machine: 0, operation: "", dtype: "", mode: "", implementation: "", without: new Set() };
const machine = () => page.machines[chosen.machine];
const filtered = () => Boolean(chosen.operation || chosen.dtype || chosen.mode || chosen.implementation || chosen.without.size);

function howOf(at, number) {
  const [backend, mode, implementation, threads] = at.names.how[number];
  const counted = threads === null ? "" : ` ${many(threads, "thread")}`;
  return {
    number, backend, label: page.backends[backend].name, mode, implementation, threads,
    ran: mode + counted, details: ((mode === "eager" ? "" : mode) + counted).trim(),
  };
}
const howWords = (how) => `${how.label} ${how.details}`.trim();
const ownWords = (how, words = howWords(how)) => words + (how.implementation === "native" ? " own" : "");
const nameOf = (at, i) => at.names.name[at.rows.name[i]]; // as the terminal has it

// The cases and rows that the filters leave, with the columns of a row.
function selection() {
  const at = machine();
  const caseOn = at.cases.operation.map((operation, i) =>
    (!chosen.operation || at.names.operation[operation] === chosen.operation)
    && (!chosen.dtype || at.names.dtype[at.cases.dtype[i]] === chosen.dtype));
  const hows = at.names.how.map((_, number) => howOf(at, number));
  const howOn = hows.map((how) =>
    (!chosen.mode || how.mode === chosen.mode)
    && (!chosen.implementation || how.implementation === chosen.implementation)
    && !chosen.without.has(how.label));
  const rows = [];
  for (let i = 0; i < at.rows.case.length; i++) {
    if (caseOn[at.rows.case[i]] && howOn[at.rows.how[i]]) rows.push(i);
  }
  const cases = [];
  caseOn.forEach((on, i) => on && cases.push(i));
  return { at, hows, howOn, caseOn, rows, cases };
}
const operationOf = (at, number) => at.names.operation[at.cases.operation[number]];
const settingsOf = (at, number) => at.names.settings[at.cases.settings[number]];
const caseWords = (at, number) => `${operationOf(at, number)} ${at.cases.shape[number]}, ${settingsOf(at, number)}`;

// That of the most cases comes first.
const dtypeRank = (at, i) => -at.cases.dtype.filter((dtype) => dtype === at.cases.dtype[at.rows.case[i]]).length;

function glyph(backend) {
  return h("span", { class: "glyph", style: `color: var(--b${backend})`, "aria-hidden": "true" }, page.backends[backend].glyph);
}
function howCell(how, words = howWords(how)) {
  return h("span", {}, glyph(how.backend), words);
}
function groupBy(items, key) {
  const groups = new Map();
  for (const item of items) {
    const name = key(item);
    if (groups.has(name)) groups.get(name).push(item);
    else groups.set(name, [item]);
  }
  return groups;
}
