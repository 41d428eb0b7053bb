// Tables that show a page of their rows at a time, however many there are.

const PAGE = 25;

// columns: {name, value(item) to sort by, cell(item) text or element, number, words}
function pagedTable(columns, items, { size = PAGE, className = "" } = {}) {
  const host = h("div", {});
  let order = items, at = 0, sorted = null, rising = true;
  const body = h("tbody", {});
  const heads = columns.map((column, i) => {
    const button = h("button", { type: "button", onclick: () => sortBy(i) }, column.name);
    return h("th", { scope: "col", class: column.number ? "number" : null }, column.value ? button : column.name);
  });
  const where = h("span", {});
  const back = h("button", { type: "button", class: "button", onclick: () => turn(-1) }, "Previous");
  const next = h("button", { type: "button", class: "button", onclick: () => turn(1) }, "Next");
  const pager = h("div", { class: "pager" }, back, next, where);

  function sortBy(i) {
    rising = sorted === i ? !rising : true;
    sorted = i;
    const sign = rising ? 1 : -1;
    const keys = new Map(items.map((item) => [item, columns[i].value(item)]));
    order = [...items].sort((a, b) => sign * compare(keys.get(a), keys.get(b)));
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[i].setAttribute("aria-sort", rising ? "ascending" : "descending");
    at = 0;
    show();
  }
  function turn(by) {
    at = Math.max(0, Math.min(at + by * size, Math.floor((items.length - 1) / size) * size));
    show();
  }
  function show() {
    body.replaceChildren(...order.slice(at, at + size).map((item) => h("tr", {}, ...columns.map((column) => {
      const content = column.cell(item);
      const kind = [column.number && "number", column.words && "words", column.kind].filter(Boolean).join(" ");
      return content instanceof HTMLTableCellElement ? content : h("td", { class: kind || null }, content);
    }))));
    back.disabled = at === 0;
    next.disabled = at + size >= items.length;
    where.textContent = `${count(Math.min(at + 1, items.length))} to ${count(Math.min(at + size, items.length))} of ${count(items.length)}`;
  }
  show();
  host.append(h("div", { class: "box" }, h("table", { class: className || null }, h("thead", {}, h("tr", {}, ...heads)), body)));
  if (items.length > size) host.append(pager);
  return host;
}

function compare(a, b) {
  if (a === b) return 0;
  if (a === null || a === undefined) return 1;
  if (b === null || b === undefined) return -1;
  return a < b ? -1 : 1;
}

// The table behind a chart: made when it is opened.
function tableBehind(words, make) {
  const details = h("details", { class: "data" }, h("summary", {}, words));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(make());
  });
  return details;
}

// --- columns of rows, for several tables ---

function rowColumns({ at, hows }) {
  const rows = at.rows;
  const how = (i) => hows[rows.how[i]];
  const best = bestSeconds(at);
  return {
    operation: { name: "operation", value: (i) => operationOf(at, rows.case[i]), cell: (i) => operationOf(at, rows.case[i]) },
    shape: { name: "shape", value: (i) => at.cases.elements[rows.case[i]], cell: (i) => at.cases.shape[rows.case[i]] },
    settings: { name: "settings", value: (i) => settingsOf(at, rows.case[i]), cell: (i) => settingsOf(at, rows.case[i]) },
    bytes: { name: "in and out", number: true, value: (i) => rows.bytes[i], cell: (i) => bytes(rows.bytes[i]) },
    place: { name: "place", number: true, value: (i) => rows.place[i], cell: (i) => placeWords(at, i) },
    backend: { name: "backend", value: (i) => nameOf(at, i), cell: (i) => howCell(how(i), nameOf(at, i)) },
    function: { name: "function", value: (i) => at.names.function[rows.function[i]], cell: (i) => h("code", {}, at.names.function[rows.function[i]]) },
    time: { name: "time", number: true, value: (i) => rows.seconds[i], cell: (i) => seconds(rows.seconds[i]) + (rows.disturbed[i] ? " !" : "") },
    interval: { name: "95 % interval", number: true, cell: (i) => h("span", {}, interval(rows.low[i], rows.high[i], rows.seconds[i]), rows.between[i] && h("div", { class: "fine" }, rows.between[i])) },
    cold: { name: "after a rest", number: true, value: (i) => rows.cold[i], cell: (i) => (rows.cold[i] === null ? "" : seconds(rows.cold[i])) },
    over: { name: "over the best", number: true, value: (i) => rows.seconds[i] / best[rows.case[i]], cell: (i) => overWords(at, i, best) },
    rate: { name: "GB/s", number: true, value: (i) => rateOf(at, i), cell: (i) => digits(rateOf(at, i)) },
    share: { name: "of a copy", number: true, value: (i) => shareOf(at, i), cell: (i) => shareCell(at, i) },
    samples: { name: "samples", number: true, value: (i) => rows.samples[i], cell: (i) => count(rows.samples[i]) },
    scope: { name: "checked", value: (i) => at.names.scope[rows.scope[i]], cell: (i) => at.names.scope[rows.scope[i]] },
  };
}

const bestCache = new WeakMap();
function bestSeconds(at) {
  if (!bestCache.has(at)) {
    const best = [];
    at.rows.case.forEach((number, i) => { best[number] = Math.min(best[number] ?? Infinity, at.rows.seconds[i]); });
    bestCache.set(at, best);
  }
  return bestCache.get(at);
}
// As the terminal has them: = as fast as the one above, ? not enough samples.
function placeWords({ rows }, i) {
  const shared = rows.case[i - 1] === rows.case[i] && rows.place[i - 1] === rows.place[i];
  return `${rows.place[i]}${rows.undecided[i] ? "?" : shared ? "=" : ""}`;
}
function overWords(at, i, best) {
  const over = times(at.rows.seconds[i] / best[at.rows.case[i]]);
  if (!at.rows.undecided[i]) return over;
  const needed = at.rows.needed[i];
  const words = needed === null ? "the samples cannot tell" : `${digits(needed)} times the samples would decide`;
  return h("span", {}, over, h("div", { class: "fine" }, words));
}
// Older rows have no call after a rest.
const coldColumn = (at) => (at.rows.cold.some((value) => value !== null) ? ["cold"] : []);
const rateOf = (at, i) => at.rows.bytes[i] / at.rows.seconds[i] / 1e9;
function shareOf(at, i) {
  return at.rows.limit[i] ? rateOf(at, i) / at.rows.limit[i] : null;
}
const doubtful = (at, i) => shareOf(at, i) > 1 && at.rows.bytes[i] > at.beyond_cache;
function shareCell(at, i) {
  const share = shareOf(at, i);
  if (share === null) return "";
  return doubtful(at, i) ? h("span", {}, h("span", { class: "tag" }, "above copy"), ` ${percent(share)}`) : percent(share);
}

// --- the samples behind a time, a mark each ---

let rawLines = null; // the rows as the page carries them
async function rawRows(numbers) {
  rawLines ??= unsqueeze("raw").then((response) => response.text()).then((text) => text.split("\n"));
  const lines = await rawLines;
  return numbers.map((number) => JSON.parse(lines[number]));
}

// The strips of one case, on one scale: each sample over the median of its row, a line of marks a process.
async function samplesColumn(at, rows) {
  const raw = new Map((await rawRows(rows.map((i) => at.rows.line[i]))).map((row, k) => [rows[k], row]));
  const over = (i) => raw.get(i).samples_s.map((sample) => Math.log(sample / at.rows.seconds[i]));
  const reach = Math.min(Math.log(3), few([Math.log(1.1), ...rows.flatMap((i) => over(i).map(Math.abs))])[1]);
  return {
    name: "samples", value: (i) => at.rows.samples[i],
    cell: (i) => {
      const { process, disturbed } = raw.get(i), values = over(i);
      const lanes = [...new Set(process)], height = 6 * Math.max(lanes.length, 2), lane = height / Math.max(lanes.length, 1);
      const marks = (which) => values.map((value, k) => (Boolean(disturbed?.[k]) === which
        ? `M${(75 + 72 * Math.max(-1, Math.min(1, value / reach))).toFixed(1)} ${lane * Math.max(0, lanes.indexOf(process[k])) + 1}v${lane - 2}` : "")).join("");
      const [low, high] = few(values).map(Math.exp);
      const words = `${many(values.length, "sample")}, from ${times(low)} to ${times(high)} of the median`;
      return values.length ? h("span", { class: "strip", title: words }, h("svg", { width: 150, height, role: "img", "aria-label": words },
        h("path", { d: `M75 0v${height}`, class: "middle" }), h("path", { d: marks(false) }), h("path", { d: marks(true), class: "disturbed" })), ` ${count(at.rows.samples[i])}`) : count(at.rows.samples[i]);
    },
  };
}
