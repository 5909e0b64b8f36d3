// What became of the items.
function overviewSection(facts) {
  const {overview, items} = facts;
  const curve = make("div", {});
  const chosen = make("select", {"aria-label": "risk of what", onchange: () => curve.replaceChildren(...curveOf(overview.curves[chosen.value], overview.guarantee))},
    overview.curves.map((one, at) => make("option", {value: at}, named(one.name))));
  curve.append(...curveOf(overview.curves[0], overview.guarantee));
  return [
    facts.missing.map((one) => make("p", {class: "note"}, one)),
    facts.stopped && make("p", {class: "note"}, `The run stopped before its end: ${facts.stopped}`),
    make("div", {class: "figures"},
      figure(count(items), "items"),
      DECISIONS.map((decision, at) => figure(percent(overview.decisions[at] / items, 1),
        [badge(decision), ` ${count(overview.decisions[at])}`], decision)),
      figure(plain(overview.samples.mean), "samples an item"),
      overview.cost && figure(overview.unit === "USD" ? plain(overview.cost.total) : count(Math.round(overview.cost.total)), overview.unit === "USD" ? "USD in all" : "units of cost in all")),
    make("div", {class: "cards"},
      card("What is accepted", levelsTable(overview)),
      card(["Coverage against risk ", chosen], curve, guaranteeLine(overview.guarantee)),
      card("Why not accepted", reasonsList(overview)),
      card("Classes", classesTable(facts)),
      card("Samples an item", histogram("samples an item", overview.samples, "samples"), spread(overview.samples, "samples"),
        counted(overview.counts)),
      overview.cost && card(`${overview.unit === "USD" ? "Price" : "Cost"} of an item`,
        histogram("cost of an item", overview.cost, overview.unit === "USD" ? "USD" : "cost, as the base counts it", "prior"),
        spread(overview.cost, ""), paid(overview.totals)),
      overview.reliability.map((one) => card(`Is what is stated so? ${named(one.name)}`, reliabilityOf(one),
        make("p", {class: "muted"}, `Gold decides; bars are 95 % intervals. Expected calibration error ${plain(one.ece, 3)}.`))),
      certificatesCard(overview.guarantee)),
  ];
}

function levelsTable(overview) {
  const known = overview.gold > 0;
  const heads = ["level", "#accepted", "#stated risk", ...(known ? ["#wrong", "#95 % interval"] : [])];
  const rows = overview.levels.map((level) => [named(level.name), percent(level.accepted), percent(level.stated, 1),
    ...(known ? [percent(level.wrong, 1), between(level.low, level.high, 1)] : [])]);
  return [tableOf("what is accepted", heads, rows), make("p", {class: "muted"}, known
    ? `Of accepted values, against gold of ${count(overview.gold)} items.`
    : "Of accepted values. No gold is at hand (--gold), so what is truly wrong is not known.")];
}

const curveOf = (curve, guarantee) => [riskCoverage(curve), legend(["posterior", "stated risk"], curve.true && ["evidence", "wrong, by gold", true],
  ["accept", "share accepted", true]), make("p", {class: "muted"}, curve.limit == null || guarantee.holds ? "" : `A value is accepted at a risk of ${exactly(curve.limit)} or less.`)].filter(Boolean);

function guaranteeLine(guarantee) {
  if (!guarantee.holds) return make("p", {class: "note"}, make("b", {}, "No guarantee. "), guarantee.why.join(" "));
  const certified = guarantee.certificates.filter((one) => one.threshold != null).length;
  return make("p", {class: "note"}, make("b", {}, "Guaranteed: "), `at most ${exactly(guarantee.alpha)} of what is accepted is wrong, ` +
    `for ${certified} of ${guarantee.certificates.length} values at once, with probability ${exactly(1 - guarantee.delta)}; ` +
    `it covers ${count(guarantee.inside)} items` + (guarantee.outside ? `, not the ${count(guarantee.outside)} that were asked otherwise.` : "."));
}

function certificatesCard(guarantee) {
  if (!guarantee.certificates) return null;
  const rows = guarantee.certificates.map((one) => [one.value, one.threshold == null ? "–" : short(one.threshold), count(one.n),
    count(one.errors), plain(one.bound, 3), percent(one.coverage), one.lacks]);
  return wide("Certificates", longTable("certificates", ["value", "#accepted up to risk", `#${guarantee.unit}s`, "#wrong", "#bound", "#coverage", "lacks"], rows),
    make("p", {class: "muted"}, `Made ${guarantee.made} of ${count(guarantee.items)} items. ${guarantee.assumptions.join(" ")}`));
}

function reasonsList(overview) {
  const parts = ["reject", "requery"].map((decision) => {
    const rows = overview.reasons[decision].filter(([reason]) => reason !== "open");
    return rows.length > 0 && [make("p", {}, badge(decision)), tableOf(`reasons to ${decision}`, ["reason", "#items"],
      rows.map(([reason, n]) => [reason, count(n)]))];
  });
  const next = overview.next.length > 0 && tableOf("asked next", ["would be asked next", "#items"], overview.next.map(([what, n]) => [named(what), count(n)]));
  return [parts, next, !parts.some(Boolean) && !next && make("p", {class: "muted"}, "Everything is accepted.")];
}

function classesTable(facts) {
  const {classes} = facts.overview, known = classes.some((one) => one.gold != null);
  const most = Math.max(...classes.map((one) => one.decisions.reduce((a, b) => a + b, 0)), 1);
  const rows = classes.map((one) => {
    const told = one.decisions.map((n, at) => `${count(n)} ${DECISIONS[at]}`).join(", ");
    return [one.state, stack(one.decisions.map((n) => n / most), DECISIONS, told),
      count(one.decisions.reduce((a, b) => a + b, 0)), count(Math.round(one.expected)), ...(known ? [count(one.gold)] : [])];
  });
  return [tableOf("classes", [facts.base.root, "by decision", "#likeliest", "#expected", ...(known ? ["#gold"] : [])], rows),
    make("p", {class: "muted"}, `Likeliest: items of which it is the best guess. Expected: the sum of its probabilities. Prior: ${facts.base.population}.`)];
}

const spread = (found, what) => make("p", {class: "muted"}, found.q05 === found.q95 && found.counts.length === 1
  ? `all have ${short(found.mean)} ${what}` : `mean ${short(found.mean)}; 5 % have ${short(found.q05)} or less, half ${short(found.q50)} or less, 95 % ${short(found.q95)} or less`);
const counted = (counts) => make("p", {class: "muted"}, `${count(counts.samples)} answers, ${count(counts.refused)} refused, ${count(counts.unreadable)} unreadable`);
const paid = (totals) => totals && make("p", {class: "muted"}, `${count(totals.requests)} requests (${count(totals.failed)} failed), ` +
  `${count(totals.prompt_tokens)} + ${count(totals.answer_tokens)} tokens, ${plain(totals.spent, 4)} USD` +
  (totals.perhaps ? `, perhaps ${plain(totals.perhaps, 4)} more` : ""));
