// What became of the items.
function overviewSection(facts) {
  const {overview, items} = facts;
  const curve = make("div", {});
  const chosen = make("select", {"aria-label": "risk of what", onchange: () => curve.replaceChildren(...curveOf(overview.curves[chosen.value], overview.guarantee))},
    overview.curves.map((one, at) => make("option", {value: at}, named(one.name))));
  curve.append(...curveOf(overview.curves[0], overview.guarantee));
  return [
    facts.missing.map((one) => make("p", {class: "note"}, one)),
    facts.overview.totals?.scripted > 0 && make("p", {class: "note"}, `${facts.overview.totals.scripted === facts.overview.totals.answers ? "All" : count(facts.overview.totals.scripted)} answers of this run are made up (scripted): its labels say nothing about the pictures.`),
    facts.stopped && make("p", {class: "note"}, `The run stopped before its end: ${facts.stopped}`),
    facts.failures.map((one) => make("p", {class: "note"}, one)),
    make("div", {class: "figures"},
      figure(count(items), "items"),
      DECISIONS.map((decision, at) => figure(percent(overview.decisions[at] / items, 1),
        [badge(decision), ` ${count(overview.decisions[at])}`, decision === "accept" && overview.basis.uncalibrated > 0 &&
          [", ", make("a", {href: linkTo({section: "items", basis: UNCALIBRATED_FILTER})}, `${count(overview.basis.uncalibrated)} of them uncalibrated*`)]], decision)),
      figure(plain(overview.samples.mean), "samples per item"),
      overview.cost && figure(overview.unit === "USD" ? plain(overview.cost.total) : count(Math.round(overview.cost.total)), overview.unit === "USD" ? "USD in all" : "units of cost in all")),
    make("div", {class: "cards"},
      card("What is accepted", levelsTable(overview)),
      card("What accepted values rest on", basisTable(facts)),
      card(["Coverage against risk ", chosen], curve, guaranteeLine(overview.guarantee)),
      card("Why not accepted", reasonsList(overview)),
      card("Classes", classesTable(facts)),
      card("Samples per item", histogram("samples per item", overview.samples, "samples"), spread(overview.samples, "samples"),
        counted(overview.counts)),
      overview.cost && card(`${overview.unit === "USD" ? "Price" : "Cost"} per item`,
        histogram("cost per item", overview.cost, overview.unit === "USD" ? "USD" : "cost, as the base counts it", "prior"),
        spread(overview.cost, ""), paid(overview.totals)),
      overview.reliability.map((one) => card(`Are the stated probabilities right? ${named(one.name)}`, reliabilityOf(one),
        make("p", {class: "muted"}, `The truth is the gold label; bars are 95 % intervals. Expected calibration error ${plain(one.ece, 3)}.`))),
      certificatesCard(overview.guarantee)),
  ];
}

function levelsTable(overview) {
  const known = overview.gold > 0, drawn = overview.levels.some((level) => level.of_knowledge !== null);
  const heads = ["level", "#accepted", "#not calibrated*", "#inferred", "#stated risk", ...(drawn ? ["#doubt from the base"] : []), ...(known ? ["#wrong, 95 % interval"] : [])];
  const rows = overview.levels.map((level) => [named(level.name), percent(level.accepted), percent(level.uncalibrated), percent(level.inferred), percent(level.stated, 1),
    ...(drawn ? [percent(level.of_knowledge, 1)] : []), ...(known ? [make("span", {}, percent(level.wrong, 1), make("span", {class: "muted below"}, between(level.low, level.high, 1)))] : [])]);
  return [tableOf("what is accepted", heads, rows), make("p", {class: "muted"}, known
    ? `Accepted values are compared with the gold labels of ${count(overview.gold)} items.${overview.gold_evidence ? ` Note: ${overview.gold_evidence}.` : ""}`
    : "These are accepted values. Without gold labels (--gold) it is not known how many are wrong."), overview.basis.uncalibrated > 0 && uncalibratedLegend()];
}

// Accepted values and items by what they rest on, the weaker first, and values that were not accepted because nobody looked at them.
function basisTable(facts) {
  const {basis} = facts.overview, {base} = facts, of = (option) => linkTo({section: "items", basis: option});
  const rows = base.bases.map((name, at) => basis.values[at] + basis.items[at] > 0 && [name + (base.uncalibrated.includes(name) ? "*" : ""),
    count(basis.values[at]), basis.items[at] > 0 ? make("a", {href: of(ACCEPTED_ON + name)}, count(basis.items[at])) : "0"]).filter(Boolean);
  const line = (number, words, option) => number > 0 && make("li", {}, make("a", {href: of(option)}, count(number)), ` ${words}`);
  const which = basis.overruled.map(([name, number]) => `${count(number)} ${name}`).join(", ");
  return [rows.length > 0 ? tableOf("bases", ["accepted on", "#values", "#items"], rows) : make("p", {class: "muted"}, "Nothing is accepted."),
    make("p", {class: "muted"}, `An item rests on the weakest of its required values (${base.required.map(named).join(", ")}).`),
    make("ul", {class: "plain"}, [
      line(basis.inferred, `${basis.inferred === 1 ? "value is" : "values are"} inferred and not accepted, because nobody looked`, HAS.inferred),
      line(basis.lacking, `yes-or-no ${basis.lacking === 1 ? "value is" : "values are"} not accepted, because the answers about ${basis.lacking === 1 ? "it" : "them"} say too little (a likelihood ratio below ${short(base.evidence)})`, HAS.lacking),
      line(basis.overruled_total, `${basis.overruled_total === 1 ? "label" : "labels"} of the data set ${base.labels_final ? "kept despite contradicting answers" : "overruled by what was seen"}: ${which}`, HAS.overruled)]),
    basis.uncalibrated > 0 && uncalibratedLegend()];
}

const curveOf = (curve, guarantee) => [riskCoverage(curve), legend(["posterior", "stated risk"], curve.true && ["evidence", "wrong, by gold", true],
  ["accept", "share accepted", true]), limitLine(curve, guarantee)].filter(Boolean);

// What the limit is a limit of, and up to which risk values are accepted so that it is kept.
function limitLine(curve, guarantee) {
  if (curve.limit == null || guarantee.holds) return null;
  const highest = curve.highest == null ? "" : ` The highest risk that was accepted is ${percent(curve.highest, 1)}.`;
  if (curve.of === "each") return make("p", {class: "muted"}, `Limit of each risk: a value is accepted if its risk is ${exactly(curve.limit)} or less.${highest}`);
  const [low, high] = curve.thresholds ?? [], risk = low === high ? percent(low, 1) : `${percent(low, 1)} to ${percent(high, 1)} (by value)`;
  const kept = curve.thresholds ? `Accepting only risks of at most ${risk} keeps this limit.`
    : "The base has no threshold that keeps this limit. Unless the file itself had enough items to find one, the limit caps each single risk.";
  return make("p", {class: "muted"}, `Limit of the mean risk: at most ${exactly(curve.limit)} of the accepted values of a variable may be wrong on average. ${kept}${highest}`);
}

function guaranteeLine(guarantee) {
  if (!guarantee.holds) return make("p", {class: "note"}, make("b", {}, "No guarantee. "), guarantee.why.join(" "));
  const certified = guarantee.certificates.filter((one) => one.threshold != null).length;
  return make("p", {class: "note"}, make("b", {}, "Guaranteed: "), `at most ${exactly(guarantee.alpha)} of what is accepted is wrong, ` +
    `for ${certified} of ${guarantee.certificates.length} certificates at once, with probability ${exactly(1 - guarantee.delta)}; ` +
    `it covers ${count(guarantee.inside)} items` + (guarantee.outside ? `, not the ${count(guarantee.outside)} that were asked in another way.` : "."));
}

function certificatesCard(guarantee) {
  if (!guarantee.certificates) return null;
  const risk = (number) => number == null ? "–" : short(number);
  const asked = guarantee.certificates.some((one) => one.aim != null);
  const rows = guarantee.certificates.map((one) => [one.about, risk(one.limit), ...(asked ? [risk(one.aim)] : []), risk(one.threshold),
    count(one.n), count(one.errors), plain(one.bound, 3), percent(one.coverage),
    make("div", {class: "sentence"}, one.lacks || one.worst_in_words)]);
  const titles = ["of", "#limit", ...(asked ? ["#asked to"] : []), "#accepted up to risk", `#${guarantee.unit}s`, "#wrong", "#bound",
    "#coverage", "lacks, or beside it"];
  return wide("Certificates", longTable("certificates", titles, rows),
    make("p", {class: "muted"}, `Made ${guarantee.made} from ${count(guarantee.items)} items. ${guarantee.assumptions.join(" ")}`));
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
  const {classes, unanswered} = facts.overview, known = classes.some((one) => one.gold != null);
  const sum = (decisions) => decisions.reduce((a, b) => a + b, 0);
  const most = Math.max(...[...classes.map((one) => one.decisions), unanswered].map(sum), 1);
  const row = (name, decisions, ...more) => [name, stack(decisions.map((n) => n / most), DECISIONS,
    decisions.map((n, at) => `${count(n)} ${DECISIONS[at]}`).join(", ")), count(sum(decisions)), ...more];
  const rows = classes.map((one) => row(one.state, one.decisions, count(Math.round(one.expected)), ...(known ? [count(one.gold)] : [])));
  if (sum(unanswered)) rows.push(row("(no answer)", unanswered, "", ...(known ? [""] : [])));
  return [tableOf("classes", [facts.base.root, "by decision", "#likeliest", "#expected", ...(known ? ["#gold"] : [])], rows),
    make("p", {class: "muted"}, `Likeliest: the number of items with this state as their best guess. Expected: the sum of its probabilities over all items. Items without an answer that could be read are in neither. Prior: ${facts.base.population}.`)];
}

const spread = (found, what) => make("p", {class: "muted"}, found.q05 === found.q95 && found.counts.length === 1
  ? `all have ${short(found.mean)} ${what}` : `mean ${short(found.mean)}; 5 % have ${short(found.q05)} or less, half ${short(found.q50)} or less, 95 % ${short(found.q95)} or less`);
const counted = (counts) => make("p", {class: "muted"}, `${count(counts.samples)} answers, ${count(counts.refused)} refused, ${count(counts.unreadable)} unreadable, ${count(counts.not_judged)} not judged`);
const paid = (totals) => totals && make("p", {class: "muted"}, `${count(totals.requests)} requests (${count(totals.failed)} failed), ` +
  `${count(totals.prompt_tokens)} + ${count(totals.answer_tokens)} tokens` +
  (totals.spent || totals.perhaps || (!totals.unpriced && totals.answers > totals.refused) ? `, ${plain(totals.spent, 4)} USD` : totals.unpriced ? ", no prices known" : "") +
  (totals.perhaps ? `, perhaps ${plain(totals.perhaps, 4)} more` : ""));
