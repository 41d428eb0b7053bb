// The parts of the page that follow the filters: each says what to conclude, draws, and has a table.

const nothing = (words) => h("p", { class: "plain" }, words);
const finding = (...words) => h("p", { class: "finding" }, ...words);
const listed = (words, items) => h("div", { class: "finding" }, `${words}:`, h("ul", {}, ...items.map((item) => h("li", {}, item))));

// --- time against size ---

function timeSection(selected) {
  const { at, rows } = selected;
  if (!rows.length) return [nothing("No time matches the filters.")];
  const groups = [...groupBy(rows, (i) => operationOf(at, at.rows.case[i]))].sort(([a], [b]) => compare(a, b));
  const cards = h("div", { class: groups.length === 1 ? "cards one" : "cards" },
    ...groups.map(([operation, mine]) => timeCard(selected, operation, mine, groups.length === 1)));
  const columns = rowColumns(selected);
  const shown = ["operation", "shape", "settings", "bytes", "backend", "function", "time", "interval", ...coldColumn(at), "over", "rate", "share", "samples", "scope"];
  return [legend(selected, { dotted: "a plain copy of the bytes" }), cards,
    tableBehind(`Table: ${many(rows.length, "time")}`, () => pagedTable(shown.map((name) => columns[name]), rows))];
}

function timeCard(selected, operation, rows, large) {
  const { at } = selected;
  const bySettings = [...groupBy(rows, (i) => settingsOf(at, at.rows.case[i]))]
    .map(([name, mine]) => ({ name, mine, sizes: new Set(mine.map((i) => at.rows.case[i])).size }))
    .sort((a, b) => b.sizes - a.sizes || dtypeRank(at, a.mine[0]) - dtypeRank(at, b.mine[0]) || compare(a.name, b.name));
  const place = h("div", {});
  const pick = h("select", { "aria-label": `Settings of ${operation}` },
    h("option", { value: "" }, `all settings (${many(new Set(rows.map((i) => at.rows.case[i])).size, "case")})`),
    ...bySettings.map(({ name, sizes }, i) => h("option", { value: i + 1 }, `${name} (${many(sizes, "size")})`)));
  // Those with the most sizes are shown first; where none has two there is no line to draw.
  pick.value = bySettings[0].sizes > 1 ? "1" : "";
  function draw() {
    const mine = pick.value ? bySettings[pick.value - 1].mine : rows;
    const points = fastestOfEach(at, mine).map((i) => pointOf(selected, i)).filter((point) => point.bytes > 0);
    const sizes = few(points.map((point) => point.bytes));
    const lines = points.length ? copyLine(at, mine, few(points.map((point) => point.low))[0] / 2) : [];
    forget(place);
    place.replaceChildren(points.length ? chart("time", `Time of ${operation} against size; the table below has the numbers`, {
      points, lines, xticks: byteTicks(sizes, large ? 10 : 5), height: large ? 400 : 270,
      yticks: decimalTicks([...few(points.map((p) => p.low)), ...few(points.map((p) => p.high)), ...lines.map((l) => l.seconds)].flat()),
    }) : nothing("Nothing to draw: no call moves a byte."));
  }
  pick.addEventListener("change", draw);
  draw();
  return h("article", { class: "card", "data-operation": operation }, h("header", {}, h("h3", {}, operation), bySettings.length > 1 ? pick : ""), place);
}

// The times of plain copies on the CPU, as far as they take no less than this; a GPU's own on its own.
function copyLine(at, rows, least) {
  const cases = [...new Set(rows.map((i) => at.rows.case[i]))].filter((number) => at.cases.copy[number] && at.cases.bytes[number]);
  const rates = new Map(cases.map((number) => [at.cases.bytes[number], at.cases.copy[number] * 1e9]));
  const line = [...rates].map(([size, rate]) => ({ bytes: size, seconds: size / rate })).sort((a, b) => a.bytes - b.bytes);
  const start = line.findIndex((point) => point.seconds >= least);
  if (start < 0) return [];
  const points = line.slice(start);
  if (start > 0) { // it enters between two sizes
    const [before, after] = [line[start - 1], line[start]];
    const part = Math.log(least / before.seconds) / Math.log(after.seconds / before.seconds);
    points.unshift({ bytes: before.bytes * (after.bytes / before.bytes) ** part, seconds: least });
  }
  return points.length > 1 ? points : [];
}

// --- time against threads ---

const hasThreads = (at) => at.names.how.some(([, , , threads]) => threads !== null);

// A line of the chart: the rows of a case that differ in the number of threads alone, fewest first.
function threadSeries({ at, rows, hows }) {
  const how = (i) => hows[at.rows.how[i]];
  const alike = (i) => [at.rows.case[i], at.rows.function[i], how(i).backend, how(i).mode, how(i).implementation].join(" ");
  return [...groupBy(rows.filter((i) => how(i).threads !== null), alike).values()]
    .filter((mine) => mine.length > 1).map((mine) => mine.sort((a, b) => how(a).threads - how(b).threads));
}

function threadSection(selected) {
  const { at, hows } = selected;
  const how = (i) => hows[at.rows.how[i]];
  const series = threadSeries(selected);
  if (!series.length) return [nothing("Nothing that matches the filters was measured with several numbers of threads.")];
  const operation = (i) => operationOf(at, at.rows.case[i]);
  const gain = (mine) => at.rows.seconds[mine[0]] / at.rows.seconds[mine.at(-1)];
  const span = (mine) => [how(mine[0]), how(mine.at(-1))].map((one) => one.threads);
  const told = [...groupBy(series, (mine) => [how(mine[0]).label, how(mine[0]).mode, how(mine[0]).implementation, ...span(mine)].join(" ")).values()]
    .map((alike) => [alike[0], geometric(alike.map(gain))]).sort((a, b) => b[1] - a[1]);
  const first = new Map(series.flatMap((mine) => mine.map((i) => [i, mine[0]])));
  const rows = [...first.keys()];
  const groups = [...groupBy(rows, operation)].sort(([a], [b]) => compare(a, b));
  const columns = rowColumns(selected);
  const shown = ["operation", "shape", "settings", "backend", "function", "time", "interval"];
  return [
    listed("In the geometric mean over the cases", told.map(([mine, ratio]) => h("span", {}, h("b", {}, times(ratio)),
      ` as fast with ${many(span(mine)[1], "thread")} as with ${span(mine)[0]}: ${ownWords(how(mine[0]), how(mine[0]).label + (how(mine[0]).mode === "compiled" ? " compiled" : ""))}`))),
    legend({ ...selected, rows }, { dotted: "perfect scaling of the fastest" }),
    h("div", { class: groups.length === 1 ? "cards one" : "cards" }, ...groups.map(([name, mine]) => threadCard(selected, name, mine))),
    tableBehind(`Table: ${many(rows.length, "time")}`, () => pagedTable([
      ...shown.map((name) => columns[name]),
      { name: "over the fewest", number: true, value: (i) => at.rows.seconds[i] / at.rows.seconds[first.get(i)], cell: (i) => times(at.rows.seconds[i] / at.rows.seconds[first.get(i)]) },
    ], rows)),
  ];
}

function threadCard(selected, operation, rows) {
  const { at } = selected;
  const byCase = [...groupBy(rows, (i) => at.rows.case[i])].sort(([a], [b]) => at.cases.bytes[b] - at.cases.bytes[a]);
  const place = h("div", {});
  const pick = h("select", { "aria-label": `Case of ${operation}` },
    ...byCase.map(([number], i) => h("option", { value: i }, `${at.cases.shape[number]}, ${settingsOf(at, number)}`)));
  function draw() {
    const points = fastestOfEach(at, byCase[pick.value][1]).map((i) => pointOf(selected, i));
    const numbers = [...new Set(points.map((point) => point.threads))].sort((a, b) => a - b);
    const fastest = Math.min(...points.filter((point) => point.threads === numbers[0]).map((point) => point.seconds));
    const lines = few(numbers).map((threads) => ({ threads, seconds: (fastest * numbers[0]) / threads }));
    forget(place);
    place.replaceChildren(chart("threads", `Time of ${operation} against threads; the table below has the numbers`, {
      points, lines, xticks: numbers, height: 270,
      yticks: decimalTicks([...points.flatMap((point) => [point.low, point.high]), ...lines.map((line) => line.seconds)]),
    }));
  }
  pick.addEventListener("change", draw);
  draw();
  return h("article", { class: "card", "data-operation": operation }, h("header", {}, h("h3", {}, operation), byCase.length > 1 ? pick : ""), place);
}

// --- throughput against batch ---

// A line of the chart: three rows or more that differ in the first axis of the shape alone.
function batchSeries({ at, rows }) {
  const alike = (i) => [batchKey(at, i), at.rows.how[i], at.rows.function[i]].join(" ");
  return [...groupBy(rows, alike).values()].filter((mine) => mine.length > 2)
    .map((mine) => mine.sort((a, b) => batchOf(at, a) - batchOf(at, b)));
}
const batchOf = (at, i) => Number(at.cases.shape[at.rows.case[i]].split("x")[0]);
const batchRest = (at, i) => at.cases.shape[at.rows.case[i]].split("x").slice(1).join("x");
const batchKey = (at, i) => [at.cases.operation[at.rows.case[i]], at.cases.settings[at.rows.case[i]], batchRest(at, i)].join(" ");
const itemsOf = (at, i) => batchOf(at, i) / at.rows.seconds[i];
const hasBatches = (at) => batchSeries({ at, rows: at.rows.case.map((_, i) => i) }).length > 0;

function batchSection(selected) {
  const { at } = selected;
  const rows = batchSeries(selected).flat();
  if (!rows.length) return [nothing("Nothing that matches the filters was measured with three batches or more.")];
  const batches = (mine) => new Set(mine.map((i) => batchOf(at, i))).size;
  const groups = [...groupBy(rows, (i) => operationOf(at, at.rows.case[i]))].sort(([a], [b]) => compare(a, b))
    .map(([name, mine]) => [name, [...groupBy(mine, (i) => batchKey(at, i)).values()].sort((a, b) => batches(b) - batches(a))]);
  const columns = rowColumns(selected);
  const shown = ["operation", "shape", "settings", "backend", "function", "time", "interval"];
  return [
    listed("The fastest at each batch", groups.map(([name, [mine]]) => h("span", {}, h("b", {}, name), ` ${batchWords(at, mine)}: ${fastestByBatch(at, mine)}`))),
    legend({ ...selected, rows }),
    h("div", { class: groups.length === 1 ? "cards one" : "cards" }, ...groups.map(([name, alike]) => batchCard(selected, name, alike))),
    tableBehind(`Table: ${many(rows.length, "time")}`, () => pagedTable([
      ...shown.map((name) => columns[name]),
      { name: "items per second", number: true, value: (i) => itemsOf(at, i), cell: (i) => digits(itemsOf(at, i)) },
    ], rows)),
  ];
}

const batchWords = (at, [i]) => `${batchRest(at, i)}, ${settingsOf(at, at.rows.case[i])}`;

function fastestByBatch(at, rows) {
  const byBatch = [...groupBy(rows, (i) => batchOf(at, i))].sort(([a], [b]) => a - b);
  return byBatch.map(([batch, mine]) => {
    const best = mine.reduce((one, i) => (at.rows.seconds[i] < at.rows.seconds[one] ? i : one));
    return `${count(batch)}: ${nameOf(at, best)}, ${digits(itemsOf(at, best))} items/s`;
  }).join("; ");
}

function batchCard(selected, operation, alike) {
  const { at } = selected;
  const place = h("div", {});
  const pick = h("select", { "aria-label": `Case of ${operation}` }, ...alike.map((mine, i) => h("option", { value: i }, batchWords(at, mine))));
  function draw() {
    const points = fastestOfEach(at, alike[pick.value]).map((i) => {
      const point = pointOf(selected, i), batch = batchOf(at, i);
      return { ...point, batch, items: batch / point.seconds, fewest: batch / point.high, most: batch / point.low, throughput: `${digits(itemsOf(at, i))} items/s` };
    });
    forget(place);
    place.replaceChildren(chart("batch", `Items per second of ${operation} against the batch; the table below has the numbers`, {
      points, xticks: [...new Set(points.map((point) => point.batch))].sort((a, b) => a - b), height: 270,
      yticks: decimalTicks(points.flatMap((point) => [point.fewest, point.most])),
    }));
  }
  pick.addEventListener("change", draw);
  draw();
  return h("article", { class: "card", "data-operation": operation }, h("header", {}, h("h3", {}, operation), alike.length > 1 ? pick : ""), place);
}

// --- share of the copy bandwidth ---

function shareSection(selected) {
  const { at } = selected;
  const rows = selected.rows.filter((i) => shareOf(at, i) !== null);
  if (!rows.length) return [nothing(at.ceilings.some(Boolean)
    ? "The data of these cases may fit into a cache, and no copy of their size was measured, so there is no share to show."
    : "No copy bandwidth was measured on these devices, so there is no share of it to show.")];
  // The largest size of each: where caches help the least.
  const largest = [...groupBy(rows, (i) => `${operationOf(at, at.rows.case[i])} ${at.rows.how[i]}`).values()]
    .map((mine) => mine.reduce((best, i) => (at.rows.bytes[i] > at.rows.bytes[best] || (at.rows.bytes[i] === at.rows.bytes[best] && at.rows.seconds[i] < at.rows.seconds[best]) ? i : best)));
  const points = largest.map((i) => ({ ...pointOf(selected, i), share: shareOf(at, i), words: `${percent(shareOf(at, i))} at ${bytes(at.rows.bytes[i])}` })).filter((point) => point.share > 0);
  const best = [...groupBy(points, (point) => point.operation)].map(([operation, some]) => [operation, Math.max(...some.map((point) => point.share))]).sort((a, b) => b[1] - a[1]);
  const flagged = rows.filter((i) => doubtful(at, i));
  const copies = at.ceilings.filter(Boolean);
  const ceilings = copies.map(([rate, backend, moved, device]) => `${digits(rate)} GB/s on ${device} (${backend}${moved === null ? "" : `, ${bytes(moved)} in and out`})`);
  const note = copies.some(([, , moved]) => moved === null)
    ? `A plain copy: ${ceilings.join("; ")}. Up to ${bytes(at.beyond_cache)} the data may fit a cache, which is faster than memory: more than 100% is possible there${flagged.length ? "." : "; no larger call is above it."}`
    : `Beside the fastest plain copy of as many bytes on the same device, half of them read and half written; of the largest: ${ceilings.join("; ")}.`;
  const columns = rowColumns(selected);
  const shown = ["operation", "shape", "settings", "bytes", "backend", "function", "time", "rate", "share"];
  return [
    listed("On the best backend, at the largest size of each", best.map(([operation, share]) => h("span", {}, h("b", {}, percent(share)), ` ${operation}`))),
    flagged.length ? h("p", { class: "warning" }, `${many(flagged.length, "row")} of more than ${bytes(at.beyond_cache)} above the speed of a plain copy: marked as doubtful in the table, not a success.`) : "",
    h("p", { class: "note" }, note),
    legend(selected, { modes: false }),
    dots("share", "Share of the copy bandwidth by operation and backend", "share", points, 1),
    tableBehind(`Table: ${many(rows.length, "share")}`, () => pagedTable(shown.map((name) => columns[name]), rows)),
  ];
}

// --- crossovers ---

function crossoverSection(selected) {
  return [h("h3", {}, "CPU and GPU"), ...devicePart(selected), h("h3", {}, "From backend to backend"), ...changePart(selected)];
}

function devicePart({ at, caseOn }) {
  if (!at.names.backend.some((name) => at.names.how.some(([backend]) => at.names.backend[backend] === name && isGpu(name)))) {
    return [nothing("No GPU was measured on this machine, so there is no crossover between CPU and GPU.")];
  }
  const series = at.devices.filter((one) => caseOn[one.case[0]]);
  const crossings = at.crossovers.filter((one) => caseOn[one.case]);
  if (!crossings.length) return [nothing("No case that matches the filters was tried on a GPU.")];
  const words = [[0, "on the device", (one) => one.ratio], [1, "with copies", (one) => one.copied]];
  const points = series.flatMap((one) => one.case.flatMap((number, k) => words.filter(([, , get]) => get(one)[k] !== null).map(([, name, get]) => ({
    settings: `${operationOf(at, number)} ${settingsOf(at, number)}`, case: caseWords(at, number), bytes: at.cases.bytes[number], ratio: get(one)[k], copies: name,
    operation: operationOf(at, number),
    cpu: nameOf(at, one.cpu[k]), gpu: nameOf(at, one.gpu[k]), words: times(get(one)[k]),
  }))));
  const charts = [...groupBy(points, (point) => point.operation)].map(([operation, mine]) => h("article", { class: "card" }, h("h3", {}, operation),
    chart("device", `CPU time over GPU time of ${operation}`, { points: mine, lines: [{ ratio: 1 }], xticks: byteTicks(mine.map((p) => p.bytes)), yticks: decimalTicks([1, ...mine.map((p) => p.ratio)]), height: 230 })));
  const since = (which) => crossings.filter((one) => one.from[which] !== null).length;
  return [
    finding(`With the data on the device a GPU backend is faster than the best on the CPU from some size on in ${since(0)} of ${many(crossings.length, "comparison")}; with copies there and back for every call, in ${since(1)}.`),
    h("p", { class: "note" }, "Each GPU backend beside the best of the CPU, size by size; sizes are elements of the operation's first array. Quicker and slower: by more than noise and 5 %. With copies: each call copies its inputs to the device and its output back. All modes and implementations count, whatever the filters hide."),
    pagedTable([
      { name: "operation", value: (one) => operationOf(at, one.case), cell: (one) => operationOf(at, one.case) },
      { name: "settings", value: (one) => settingsOf(at, one.case), cell: (one) => settingsOf(at, one.case) },
      { name: "on", value: (one) => page.backends[one.backend].name, cell: (one) => h("span", {}, glyph(one.backend), page.backends[one.backend].name) },
      { name: "sizes", number: true, value: (one) => one.sizes, cell: (one) => String(one.sizes) },
      ...["data on the device", "copies counted"].map((name, k) => ({ name, words: true, value: (one) => one.from[k], cell: (one) => one.text[k] })),
    ], crossings, { size: 15 }),
    ...(points.length ? [
      h("p", { class: "note" }, "Below, the best CPU backend over the best GPU backend, by their medians: above 1 the GPU is faster."),
      h("div", { class: "legend" }, h("span", {}, h("span", { style: "color: #2f8fc4" }, "─●─"), " on the device"), h("span", {}, h("span", { style: "color: #cc5200" }, "┄■┄"), " with copies"), h("span", {}, "┄┄ as fast as each other")),
      h("div", { class: "cards" }, ...charts),
    ] : []),
  ];
}
const isGpu = (name) => name.includes(":") && !["", "cpu"].includes(name.slice(name.indexOf(":") + 1));

function changePart({ at, caseOn, hows }) {
  const series = at.changes.filter((changes) => changes.length && caseOn[changes[0].case]);
  if (!series.length) return [nothing("Each kernel and stride was measured at one size only, so where the answer changes is unknown. Sweep with --preset full for several sizes; the answer above goes by size across kernels.")];
  const changing = series.filter((changes) => changes.length > 1);
  const step = (change) => {
    const how = hows[at.rows.how[change.row]];
    const from = change.after === null ? `${bytes(at.cases.bytes[change.case])} on` : `${bytes(at.cases.bytes[change.after])} to ${bytes(at.cases.bytes[change.case])}`;
    const tied = change.tied.length ? ` (tied with ${change.tied.join(", ")})` : "";
    return h("div", {}, h("span", { class: "soft" }, change.after === null ? `from ${from}: ` : `somewhere from ${from}: `), glyph(how.backend), h("b", {}, nameOf(at, change.row)), h("span", { class: "soft" }, tied));
  };
  return [
    finding(`The fastest backend changes with size in ${changing.length} of ${many(series.length, "series")} that were measured at several sizes.`),
    h("p", { class: "note" }, "All backends count, whatever the filters hide. A change counts only if the previous winner is known to be slower."),
    pagedTable([
      { name: "operation", value: (changes) => operationOf(at, changes[0].case), cell: (changes) => operationOf(at, changes[0].case) },
      { name: "settings", value: (changes) => settingsOf(at, changes[0].case), cell: (changes) => settingsOf(at, changes[0].case) },
      { name: "changes", number: true, value: (changes) => changes.length - 1, cell: (changes) => String(changes.length - 1) },
      { name: "fastest, small to large", words: true, cell: (changes) => h("div", {}, ...changes.map(step)) },
    ], [...series].sort((a, b) => b.length - a.length), { size: 15 }),
  ];
}

// --- compiling ---

function compileSection(selected) {
  const { at, hows, caseOn } = selected;
  const of = at.paybacks.row.map((_, k) => k).filter((k) => {
    const i = at.paybacks.row[k], how = hows[at.rows.how[i]];
    return caseOn[at.rows.case[i]] && !chosen.without.has(how.label) && (!chosen.implementation || how.implementation === chosen.implementation);
  });
  if (!of.length) return [nothing("No case that matches the filters was measured both eager and compiled.")];
  const row = (k) => at.paybacks.row[k], how = (k) => hows[at.rows.how[row(k)]];
  const calls = (k) => at.paybacks.calls[k];
  const points = of.filter((k) => calls(k) !== null).map((k) => ({ ...pointOf(selected, row(k)), calls: calls(k), words: count(calls(k)) }));
  const told = [...groupBy(of, (k) => ownWords(how(k), how(k).label))].sort(([a], [b]) => compare(a, b)).map(([label, mine]) => {
    const paid = mine.filter((k) => calls(k) !== null);
    const never = mine.length - paid.length;
    return `${label}: ` + (paid.length ? `after ${many(Math.round(median(paid.map(calls))), "call")} (median of ${many(paid.length, "case")})` : "")
      + (never ? `${paid.length ? ", " : ""}never in ${count(never)}` : "");
  });
  return [
    listed("Compiling has paid on", told),
    h("p", { class: "note" }, "The number of calls after which compiled, slow first call included, has taken less time than eager. Never: compiled is not faster. The mode filter has no effect here."),
    legend({ ...selected, rows: of.map(row) }, { modes: false }),
    dots("payback", "Calls until compiling has paid, by operation and backend", "calls", points, null) ?? "",
    tableBehind(`Table: ${many(of.length, "compiled row")}`, () => pagedTable([
      { name: "case", value: (k) => caseWords(at, at.rows.case[row(k)]), cell: (k) => caseWords(at, at.rows.case[row(k)]) },
      { name: "backend", value: (k) => nameOf(at, row(k)), cell: (k) => howCell(how(k), nameOf(at, row(k))) },
      { name: "first call", number: true, value: (k) => at.rows.first[row(k)], cell: (k) => seconds(at.rows.first[row(k)]) },
      { name: "compiled", number: true, value: (k) => at.rows.seconds[row(k)], cell: (k) => seconds(at.rows.seconds[row(k)]) },
      { name: "eager", number: true, value: (k) => at.rows.seconds[at.paybacks.eager[k]], cell: (k) => seconds(at.rows.seconds[at.paybacks.eager[k]]) },
      { name: "eager over compiled", number: true, value: (k) => at.rows.seconds[at.paybacks.eager[k]] / at.rows.seconds[row(k)], cell: (k) => times(at.rows.seconds[at.paybacks.eager[k]] / at.rows.seconds[row(k)]) },
      { name: "pays after", number: true, value: (k) => calls(k) ?? Infinity, cell: (k) => (calls(k) === null ? "never" : many(calls(k), "call")) + (at.paybacks.clear[k] ? "" : " (not clear)") },
    ], of)),
  ];
}

// --- memory ---

function memorySection(selected) {
  const { at, hows } = selected;
  const rows = selected.rows.filter((i) => at.rows.peak[i] !== null && at.rows.bytes[i] > 0);
  if (!rows.length) return [nothing("Peak memory was not measured here: sweep with --memory.")];
  const over = (i) => at.rows.peak[i] / at.rows.bytes[i];
  const largest = [...groupBy(rows, (i) => `${operationOf(at, at.rows.case[i])} ${at.rows.how[i]}`).values()].map((mine) => mine.reduce((best, i) => (at.rows.bytes[i] > at.rows.bytes[best] ? i : best)));
  const points = largest.filter((i) => over(i) > 0).map((i) => ({ ...pointOf(selected, i), peak: over(i), words: `${times(over(i))}: ${bytes(at.rows.peak[i])} at ${bytes(at.rows.bytes[i])}` }));
  const told = [...groupBy(rows, (i) => howWords(hows[at.rows.how[i]]))].map(([label, mine]) => [label, median(mine.map(over))]).sort((a, b) => a[1] - b[1]);
  const columns = rowColumns(selected);
  return [
    listed("A call adds, over its inputs and outputs (median of the cases)", told.map(([label, value]) => h("span", {}, h("b", {}, times(value)), ` on ${label}`))),
    h("p", { class: "note" }, "The most memory that a call allocates on top of its inputs, over the bytes of inputs and outputs, at the largest size of each. An operation without working copies allocates only its outputs: below 1."),
    legend(selected, { modes: false }),
    dots("memory", "Peak memory over inputs and outputs, by operation and backend", "peak", points, 1) ?? "",
    tableBehind(`Table: ${many(rows.length, "peak")}`, () => pagedTable([
      ...["operation", "shape", "settings", "backend", "function", "bytes"].map((name) => columns[name]),
      { name: "peak", number: true, value: (i) => at.rows.peak[i], cell: (i) => bytes(at.rows.peak[i]) },
      { name: "over in and out", number: true, value: over, cell: (i) => times(over(i)) },
    ], rows)),
  ];
}

// --- every case, and what has no time ---

function caseSection(selected) {
  const { at, cases, rows } = selected;
  const byCase = groupBy(rows, (i) => at.rows.case[i]);
  const failures = groupBy(failuresOf(selected), (k) => at.failures.case[k]);
  const all = cases.filter((number) => byCase.has(number) || failures.has(number));
  if (!all.length) return [nothing("No case matches the filters.")];
  const host = h("div", {}), where = h("span", {}), search = h("input", { type: "search", placeholder: "Search: max_unpool 3x3", "aria-label": "Search the cases" });
  const back = h("button", { type: "button", class: "button", onclick: () => turn(-1) }, "Previous");
  const next = h("button", { type: "button", class: "button", onclick: () => turn(1) }, "Next");
  let start = 0, found = all;
  function turn(by) {
    start = Math.max(0, start + by * PAGE);
    show();
  }
  function show() {
    host.replaceChildren(...found.slice(start, start + PAGE).map((number) => caseDetails(selected, number, byCase.get(number) ?? [], failures.get(number) ?? [])));
    back.disabled = start === 0;
    next.disabled = start + PAGE >= found.length;
    where.textContent = found.length ? `${count(start + 1)} to ${count(Math.min(start + PAGE, found.length))} of ${many(found.length, "case")}` : "no case";
  }
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    found = all.filter((number) => { const name = caseWords(at, number).toLowerCase(); return words.every((word) => name.includes(word)); });
    start = 0;
    show();
  });
  show();
  return [h("div", { class: "pager" }, search, back, next, where), host];
}

function caseDetails(selected, number, rows, failures) {
  const { at, hows } = selected;
  const best = rows.reduce((one, i) => (one === null || at.rows.seconds[i] < at.rows.seconds[one] ? i : one), null);
  const tied = rows.filter((i) => i !== best && best !== null && at.rows.place[i] === at.rows.place[best]).map((i) => nameOf(at, i));
  const details = h("details", { class: "case" }, h("summary", {},
    h("b", {}, operationOf(at, number)), h("span", {}, at.cases.shape[number]), h("span", { class: "soft" }, settingsOf(at, number)),
    h("span", { class: "end" }, ...(best === null ? ["no time"] : [howCell(hows[at.rows.how[best]], nameOf(at, best)), ` ${seconds(at.rows.seconds[best])}`, tied.length ? `, tied with ${tied.join(", ")}` : ""]))));
  details.addEventListener("toggle", async () => {
    if (!details.open || details.dataset.filled) return;
    details.dataset.filled = "yes";
    const columns = { ...rowColumns(selected), samples: await samplesColumn(at, rows) };
    const shown = ["place", "backend", "time", "samples", "interval", ...coldColumn(at), "over", "rate", "share", "function", "scope"];
    details.append(
      ...at.cases.notes[number].map((note) => h("p", { class: "note" }, note)),
      rows.length ? pagedTable(shown.map((name) => columns[name]), rows) : h("p", { class: "warning" }, "Nothing here has a checked result."),
      failures.length ? failureTable(selected, failures) : "");
  });
  return details;
}

function failuresOf({ at, caseOn, howOn }) {
  return at.failures.case.map((_, k) => k).filter((k) => caseOn[at.failures.case[k]] && howOn[at.failures.how[k]]);
}
function failureTable({ at, hows }, failures) {
  const how = (k) => hows[at.failures.how[k]];
  return pagedTable([
    { name: "backend", value: (k) => how(k).label, cell: (k) => howCell(how(k)) },
    { name: "function", value: (k) => at.names.function[at.failures.function[k]], cell: (k) => h("code", {}, at.names.function[at.failures.function[k]]) },
    { name: "case", value: (k) => caseWords(at, at.failures.case[k]), cell: (k) => caseWords(at, at.failures.case[k]) },
    { name: "reason", words: true, value: (k) => at.names.reason[at.failures.reason[k]], cell: (k) => at.names.reason[at.failures.reason[k]] },
  ], failures);
}
function failureSection(selected) {
  const failures = failuresOf(selected);
  if (!failures.length) return [nothing("Every row that matches the filters has a checked result and a time.")];
  return [finding(`${many(failures.length, "row")} without a time, and therefore not ranked.`), failureTable(selected, failures)];
}
