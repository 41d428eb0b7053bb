// Maps: one line per case, one column per backend, coloured by how many times as long it takes.

// --- every backend at every size ---

function heatCell(ratio, title, words = times(ratio)) {
  const strength = Math.min(1, Math.abs(Math.log2(ratio)) / 3.3) * 78;
  const colour = `color-mix(in srgb, var(${ratio > 1 ? "--slow" : "--fast"}) ${strength.toFixed(0)}%, transparent)`;
  return h("td", { class: "cell", style: `background: ${colour}`, title }, words);
}
const heatCase = (at) => ({ name: "case", kind: "name", value: (line) => line.number, cell: (line) => h("span", {}, operationOf(at, line.number), " ", at.cases.shape[line.number], " ", h("span", { class: "soft" }, settingsOf(at, line.number))) });

function heatSection(selected) {
  const { at, hows } = selected;
  const rows = fastestOfEach(at, selected.rows);
  if (!rows.length) return [nothing("No time matches the filters.")];
  const best = bestSeconds(at);
  const over = (i) => at.rows.seconds[i] / best[at.rows.case[i]];
  const columns = [...new Set(rows.map((i) => at.rows.how[i]))].map((number) => hows[number]).sort((a, b) => compare(ownWords(a), ownWords(b)));
  const lines = [...groupBy(rows, (i) => at.rows.case[i])].map(([number, mine]) => ({ number, of: new Map(mine.map((i) => [at.rows.how[i], i])) }));
  const cell = (i) => {
    if (i === undefined) return h("td", {});
    const mark = at.rows.place[i] === 1 ? " ✓" : at.rows.undecided[i] ? " ?" : "";
    return heatCell(over(i), `${nameOf(at, i)}, ${seconds(at.rows.seconds[i])}`, `${times(over(i))}${mark}`);
  };
  return [
    h("p", { class: "note" }, "How many times as long as the fastest of the case. ✓: the fastest and those tied with it. ?: not enough samples to tell. “own” is the fastest of the library's own functions."),
    pagedTable([heatCase(at), ...columns.map((how) => ({
      name: ownWords(how), number: true, value: (line) => (line.of.has(how.number) ? over(line.of.get(how.number)) : null), cell: (line) => cell(line.of.get(how.number)),
    }))], lines, { className: "heat", size: 50 }),
  ];
}

// --- the portability tax ---

function taxSection({ at, hows, howOn, caseOn }) {
  const taxes = at.tax.case.map((_, i) => i).filter((i) => caseOn[at.tax.case[i]] && allowed(hows[at.tax.how[i]]));
  if (!taxes.length) return [nothing("No case that matches the filters has both a portable and a native time on the same backend and in the same mode.")];
  const columns = [...new Set(taxes.map((i) => at.tax.how[i]))].map((number) => hows[number]).sort((a, b) => compare(howWords(a), howWords(b)));
  const cells = groupBy(taxes, (i) => at.tax.case[i]);
  const lines = [...cells].map(([number, mine]) => ({ number, of: new Map(mine.map((i) => [at.tax.how[i], i])), worst: Math.max(...mine.map((i) => at.tax.ratio[i])) })).sort((a, b) => b.worst - a.worst);
  const means = columns.map((how) => [how, taxes.filter((i) => at.tax.how[i] === how.number).map((i) => at.tax.ratio[i])]).sort(([, a], [, b]) => geometric(a) - geometric(b));
  const heat = (line, how) => {
    const i = line.of.get(how.number);
    if (i === undefined) return h("td", {});
    const ratio = at.tax.ratio[i];
    return heatCell(ratio, `${times(ratio)} (${limits(at.tax.low[i], at.tax.high[i])}) over ${at.names.function[at.tax.function[i]]}`);
  };
  return [
    listed("In the geometric mean over the cases", means.map(([how, values]) => h("span", {}, h("b", {}, times(geometric(values))), ` on ${howWords(how)}`))),
    h("p", { class: "note" }, "Each cell is the time of unpool_xp's function over that of the library's fastest own: blue (below 1) is faster, orange (above 1) slower, empty means there is nothing to compare. Point at a cell for its interval and the native function; the table has them, too."),
    pagedTable([
      heatCase(at),
      ...columns.map((how) => ({ name: howWords(how), number: true, value: (line) => { const i = line.of.get(how.number); return i === undefined ? null : at.tax.ratio[i]; }, cell: (line) => heat(line, how) })),
    ], lines, { className: "heat" }),
    tableBehind(`Table: ${many(taxes.length, "ratio")} with intervals`, () => pagedTable([
      { name: "case", value: (i) => caseWords(at, at.tax.case[i]), cell: (i) => caseWords(at, at.tax.case[i]) },
      { name: "backend", value: (i) => howWords(hows[at.tax.how[i]]), cell: (i) => howCell(hows[at.tax.how[i]]) },
      { name: "fastest native", value: (i) => at.names.function[at.tax.function[i]], cell: (i) => h("code", {}, at.names.function[at.tax.function[i]]) },
      { name: "portable over it", number: true, value: (i) => at.tax.ratio[i], cell: (i) => times(at.tax.ratio[i]) },
      { name: "95 % interval", number: true, cell: (i) => limits(at.tax.low[i], at.tax.high[i]) },
    ], taxes)),
  ];
}
// A tax is of both implementations: only the backend and the mode can leave it out.
const allowed = (how) => (!chosen.mode || how.mode === chosen.mode) && !chosen.without.has(how.label);
