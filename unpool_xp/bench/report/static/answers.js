// The answer among what the filters leave: the sums of unpool_xp.bench.report.answers.

function variance(at, i) {
  const low = at.rows.low[i], high = at.rows.high[i];
  return low > 0 && high !== null ? (Math.log(high / low) / (2 * 1.96)) ** 2 : Infinity;
}
function meanRatio(at, pairs) {
  const rows = at.rows;
  const center = mean(pairs.map(([one, other]) => Math.log(rows.seconds[one] / rows.seconds[other])));
  const spread = pairs.reduce((sum, [one, other]) => sum + variance(at, one) + variance(at, other), 0);
  const half = (1.96 * Math.sqrt(spread)) / pairs.length;
  const noise = mean(pairs.map(([one, other]) => Math.max(rows.noise[one] ?? Infinity, rows.noise[other] ?? Infinity)));
  return { estimate: Math.exp(center), low: Number.isFinite(half) ? Math.exp(center - half) : 0, high: Math.exp(center + half), noise };
}
function sureOf(ratio) {
  if (ratio.low > 1 + Math.max(page.threshold, ratio.noise)) return "clear";
  const within = 1 + page.threshold;
  return ratio.low >= 1 / within && ratio.high <= within ? "tie" : "too close to call";
}
const bandOf = (value) => page.bands.findIndex(([most]) => value <= most);

function answerOf({ at, hows }, rows) {
  const byCase = groupBy(rows, (i) => at.rows.case[i]);
  const fastest = new Map();
  const times = new Map(); // how -> case -> row; rows come the fastest first
  for (const [number, mine] of byCase) {
    fastest.set(number, mine.reduce((best, i) => (at.rows.seconds[i] < at.rows.seconds[best] ? i : best)));
    for (const i of mine) {
      const how = at.rows.how[i];
      if (!times.has(how)) times.set(how, new Map());
      const found = times.get(how);
      if (!found.has(number) || at.rows.seconds[i] < at.rows.seconds[found.get(number)]) found.set(number, i);
    }
  }
  const most = Math.max(...[...times.values()].map((found) => found.size));
  const slowness = (found) => [...found].reduce((sum, [number, i]) => sum + Math.log(at.rows.seconds[i] / at.rows.seconds[fastest.get(number)]), 0);
  const order = [...times].filter(([, found]) => found.size === most)
    .map(([how, found]) => ({ how: hows[how], found, slowness: slowness(found) }))
    .sort((a, b) => a.slowness - b.slowness);
  const winner = order[0];
  const beside = (other) => {
    if (!other || other === winner || [...winner.found.keys()].some((number) => !other.found.has(number))) return null;
    return { how: other.how, ...meanRatio(at, [...winner.found].map(([number, i]) => [other.found.get(number), i])) };
  };
  let first = 0;
  for (const [number, i] of winner.found) {
    const best = fastest.get(number);
    if (i === best || sureOf(meanRatio(at, [[i, best]])) !== "clear") first++;
  }
  return {
    winner: winner.how, cases: byCase.size, first,
    next: beside(order.find(({ how }) => how.backend !== winner.how.backend)),
    portable: beside(order.find(({ how }) => how.implementation === "portable")),
  };
}

function answerCell(answer, band) {
  if (!answer) return h("td", { class: "none", "data-band": band }, "not measured");
  const { winner, next, portable } = answer;
  return h("td", { "data-band": band },
    h("div", { class: "win" }, glyph(winner.backend), h("b", {}, winner.label), winner.details ? " " : "",
      winner.details ? h("span", { class: "mode" }, winner.details) : "", " ", h("span", { class: "soft" }, winner.implementation)),
    next ? h("div", { class: "much" }, h("b", {}, times(next.estimate)), " ", h("span", { class: "soft" }, `(${limits(next.low, next.high)}) for`), ` ${fullWords(next.how)}`) : "",
    h("div", { class: "fine" }, h("span", { class: "sure", "data-sure": next ? sureOf(next) : "no other" }, next ? sureOf(next) : "no other"), ` first in ${answer.first} of ${answer.cases}`),
    portable && portable.how !== next?.how ? h("div", { class: "fine" }, `portable: ${howWords(portable.how)} ${times(portable.estimate)}`) : "");
}

function answerTables(selected) {
  const { at, rows } = selected;
  const dtypes = [...groupBy(rows, (i) => at.names.dtype[at.cases.dtype[at.rows.case[i]]])]
    .sort(([a, some], [b, others]) => new Set(others.map((i) => at.rows.case[i])).size - new Set(some.map((i) => at.rows.case[i])).size || compare(a, b));
  return dtypes.map(([dtype, mine], i) => {
    const lines = [...groupBy(mine, (i) => operationOf(at, at.rows.case[i]))].sort(([a], [b]) => compare(a, b));
    const table = h("table", { class: "answer" },
      h("caption", { class: dtypes.length === 1 || i ? "hidden" : null }, dtype),
      h("thead", {}, h("tr", {}, h("th", {}, "Operation"), ...at.bandNumbers.map((band) => h("th", {}, `${page.bands[band][1]} `, h("span", { class: "soft" }, bandLimits(band)))))),
      h("tbody", {}, ...lines.map(([operation, some]) => {
        const bands = groupBy(some, (i) => bandOf(at.cases.bytes[at.rows.case[i]]));
        return h("tr", {}, h("th", { scope: "row" }, operation), ...at.bandNumbers.map((band) =>
          answerCell(bands.has(band) ? answerOf(selected, bands.get(band)) : null, page.bands[band][1])));
      })));
    return i ? h("details", { class: "data" }, h("summary", {}, `The answer in ${dtype}`), table) : table;
  });
}
function bandLimits(band) {
  if (band + 1 === page.bands.length) return "beyond";
  return `up to ${bytes(page.bands[band][0]).replace(/\.\d+/, "")}`;
}
