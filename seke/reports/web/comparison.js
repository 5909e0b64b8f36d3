// Two runs, or two bases, side by side.
function comparisonSection(facts) {
  const found = facts.comparison;
  const [one, other] = ["this", "the other"];
  const same = (table) => table.reduce((sum, row, at) => sum + row[at], 0);
  const sides = [["items", (s) => count(s.items)], ...DECISIONS.map((d, at) => [d, (s) => percent(s.decisions[at] / s.items, 1)]),
    ["accepted on uncalibrated numbers", (s) => percent(s.uncalibrated / s.items, 1)],
    ...Object.keys(found.sides[0].levels).map((level) => [`${named(level)} accepted`, (s) => percent(s.levels[level])]),
    ["samples per item", (s) => plain(s.samples)], ["epistemic bits", (s) => plain(s.epistemic)], ["conflict bits", (s) => plain(s.conflict)]];
  return [
    make("p", {class: "lead"}, `${count(found.both)} items are in both` + (found.only[0] || found.only[1] ? `, ${count(found.only[0])} only in ${one}, ${count(found.only[1])} only in ${other}.` : ".")),
    make("div", {class: "figures"},
      figure(count(found.both - same(found.decisions)), "decisions differ", "requery"),
      figure(count(found.both - same(found.labels)), "labels differ", "evidence"),
      figure(percent(found.moved, 1), `of the probability of ${facts.base.root} moved on average`, "posterior")),
    make("div", {class: "cards"},
      card("Side by side", tableOf("side by side", ["", `#${one}`, `#${other}`], [
        ["source", ...found.names], ["base", ...found.bases], ["population", ...found.populations],
        ...sides.map(([name, show]) => [name, ...found.sides.map(show)])])),
      card("Decisions", crossed("decisions", DECISIONS, found.decisions, one, other, (a, b) => linkTo({section: "items", decision: DECISIONS[a], then: DECISIONS[b]}))),
      wide("Labels", crossed("labels", found.states, found.labels, one, other, (a, b) => linkTo({section: "items", label: found.states[a], label2: found.states[b]})))),
  ];
}

function crossed(label, names, counts, one, other, link) {
  const most = Math.max(...counts.flat(), 1);
  const head = make("tr", {}, make("th", {scope: "col"}, `${one} \\ ${other}`), names.map((name) => make("th", {scope: "col"}, name)));
  const rows = names.map((name, a) => make("tr", {}, make("th", {scope: "row"}, name), counts[a].map((n, b) =>
    make("td", {shade: Math.sqrt(n / most), class: a === b && "diagonal"}, n > 0 ? make("a", {href: link(a, b), "aria-label": `${n} items from ${name} to ${names[b]}`}, count(n)) : "·"))));
  return scrolling(label, make("table", {class: "heat", "aria-label": label}, make("thead", {}, head), make("tbody", {}, rows)));
}
