// Putting the page together, and following what its reader does.

const SECTIONS = [
  ["time", "Time against size", "Down is faster. Where the lines cross, another backend takes over. Bars are 95 % intervals.", timeSection],
  ["heat", "Every backend at every size", "How many times as long as the fastest each takes.", heatSection],
  ["threads", "Time against threads", "More threads help until they wait for memory, or for each other. Down is faster.", threadSection],
  ["batch", "Throughput against batch", "Items per second. Up is faster. A larger batch helps until the library, or the memory, has enough to do.", batchSection],
  ["share", "How close to a plain copy", "Most of these operations only move values, so they cannot be faster than a copy of the same bytes.", shareSection],
  ["crossover", "Where the answer changes", "Small calls are overhead, large ones are memory: the best backend for one is often not the best for the other.", crossoverSection],
  ["tax", "The portability tax", "One implementation for all libraries, compared with each library's own function.", taxSection],
  ["compile", "When compiling pays", "The first compiled call is slow. After how many calls does it pay?", compileSection],
  ["memory", "Memory at its peak", "What a call allocates on top of its inputs.", memorySection],
  ["cases", "Every case", "Open a case to see everything that was measured.", caseSection],
  ["failures", "Without a time", "What failed, gave a wrong result, or is not supported.", failureSection],
];
const bodies = new Map(); // name -> {body, render}

function build() {
  const needs = { threads: hasThreads, batch: hasBatches };
  const here = SECTIONS.filter(([name]) => !needs[name] || page.machines.some(needs[name]));
  byId("sections").append(...here.map(([name, title, caption, render]) => {
    const body = h("div", { class: "body" });
    bodies.set(name, { body, render });
    return h("section", { id: name, "data-section": name }, h("h2", {}, title), h("p", { class: "caption" }, caption), body);
  }));
}

function contents() {
  const { anchor } = machine();
  const links = [[`${anchor}-answer`, "The answer"], ...SECTIONS.map(([name, title]) => [name, title]), ["pairs", "Other machines"], [`${anchor}-claims`, "Claims"], [`${anchor}-facts`, "The machine"]];
  byId("contents").replaceChildren(...links.filter(([id]) => byId(id)).map(([id, words]) => h("a", { href: `#${id}` }, words)));
}

function refresh() {
  const current = selection();
  for (const { body, render } of bodies.values()) {
    forget(body);
    body.replaceChildren(...render(current).filter((child) => child !== null && child !== ""));
  }
  const at = machine();
  byId("f-count").textContent = `${count(current.rows.length)} of ${many(at.rows.case.length, "time")}`;
  byId("f-reset").hidden = !filtered();
  answers();
}

// The answer is that of the rows: filters hide lines of it, and change none.
function answers() {
  for (const line of document.querySelectorAll("tr[data-operation]")) {
    line.hidden = Boolean((chosen.operation && line.dataset.operation !== chosen.operation) || (chosen.dtype && line.dataset.dtype !== chosen.dtype));
  }
  for (const part of document.querySelectorAll(".decisions")) {
    part.hidden = !part.querySelector("tbody tr:not([hidden])");
    if (chosen.dtype) part.open = true;
  }
  for (const note of document.querySelectorAll(".filtered")) note.hidden = !(chosen.mode || chosen.implementation || chosen.without.size);
}

// --- filters ---

function fillSelect(id, all, names) {
  byId(id).replaceChildren(h("option", { value: "" }, all), ...names.map((name) => h("option", { value: name }, name)));
}

function offerFilters() {
  const at = machine();
  fillSelect("f-operation", "all operations", [...at.names.operation].sort());
  fillSelect("f-dtype", "all dtypes", at.names.dtype);
  byId("f-mode").value = byId("f-implementation").value = "";
  Object.assign(chosen, { operation: "", dtype: "", mode: "", implementation: "", without: new Set() });
  const here = [...new Set(at.names.how.map(([backend]) => backend))].sort((a, b) => a - b);
  byId("f-backends").replaceChildren(...here.map((backend) => {
    const box = h("input", { type: "checkbox", checked: true, value: backend });
    box.addEventListener("change", () => {
      chosen.without[box.checked ? "delete" : "add"](page.backends[backend].name);
      refresh();
    });
    return h("label", { class: "chip" }, box, glyph(backend), page.backends[backend].name);
  }));
}

function showMachine(number) {
  chosen.machine = number;
  for (const section of document.querySelectorAll(".machine")) section.hidden = Number(section.dataset.machine) !== number;
  for (const pair of document.querySelectorAll(".pair")) pair.hidden = !pair.dataset.machines.split(" ").includes(String(number));
  contents();
  offerFilters();
  refresh();
}

// --- theme and download ---

const THEMES = ["auto", "light", "dark"];
function setTheme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  byId("theme").textContent = `Theme: ${name}`;
  redrawAll();
}

async function download(event) {
  const link = byId("download");
  if (link.href.startsWith("blob:")) return;
  event.preventDefault();
  const blob = await (await unsqueeze("raw")).blob();
  link.href = URL.createObjectURL(new Blob([blob], { type: "application/x-ndjson" }));
  link.click();
}

function listen() {
  let theme = "auto";
  const button = byId("theme");
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    setTheme(theme);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
  for (const name of ["operation", "dtype", "mode", "implementation"]) {
    byId(`f-${name}`).addEventListener("change", (event) => {
      chosen[name] = event.target.value;
      refresh();
    });
  }
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", (event) => {
    event.preventDefault();
    offerFilters();
    refresh();
  });
  byId("machine")?.addEventListener("change", (event) => showMachine(Number(event.target.value)));
  byId("download")?.addEventListener("click", download);
}

async function start() {
  if (typeof DecompressionStream === "undefined") {
    byId("sections").append(h("p", { class: "warning" }, "This browser is too old for the charts and tables: it has no DecompressionStream. The answers and the claims are here; every table is in report.md."));
    return;
  }
  page = await (await unsqueeze("data")).json();
  byId("filters").hidden = false;
  build();
  listen();
  const wanted = page.machines.findIndex((one) => `#${one.anchor}` === location.hash);
  if (byId("machine")) byId("machine").value = Math.max(0, wanted);
  showMachine(Math.max(0, wanted));
  await queue;
  document.documentElement.dataset.ready = "yes";
}
start();
