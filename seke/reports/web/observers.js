// How observers answered.
function observersSection(facts) {
  if (!facts.observers) return [make("p", {class: "note"}, "Posterior records alone do not say who answered what; name the samples with --samples.")];
  const {observers, truth} = facts.observers;
  return [
    make("p", {class: "lead"}, truth === "gold" ? "The truth is the gold label. Intervals are 95 % intervals; an item counts once, however often it was asked about."
      : "There are no gold labels, so the posteriors stand in for the truth, and they depend on the declared reliabilities. A difference here is a hint, not a measurement. Intervals are 95 % intervals; an item counts once."),
    observers.map((one) => observerPart(facts, one)),
  ];
}

function observerPart(facts, one) {
  const bad = (one.refused + one.unreadable + one.not_judged) / one.answers;
  return make("section", {}, make("h2", {}, one.label || one.name), make("div", {class: "figures"},
    figure(count(one.answers), "answers"), figure(percent(one.refused / one.answers, 1), "refused", "reject"),
    figure(percent(one.unreadable / one.answers, 1), "unreadable", "requery"),
    figure(percent(one.not_judged / one.answers, 1), "not judged", "requery"),
    one.agreement.map((pair) => figure(percent(pair.share), `of pairs of ${pair.name} agree (${between(pair.low, pair.high)})`)),
    one.halo.map((halo) => figure(percent(halo.observed), `of answers to ${halo.question} follow their label (declared ${exactly(halo.declared)})`, "evidence"))),
  make("div", {class: "cards"},
    confusionCard(facts, one),
    one.units.length > 0 && unitsCard(one),
    one.numbers.length > 0 && card("Numbers", tableOf("numbers", ["variable", "#answer − truth", "#scatter", "#items"],
      one.numbers.map((n) => [n.name, [signed(n.mean), ` ±${plain(n.half)}`], plain(n.sd), count(n.n)])),
    make("p", {class: "muted"}, "Mean difference with its 95 % interval, and the standard deviation of the differences.")),
    one.drift && driftCard(one, bad),
    card("Questions", tableOf("questions", ["question", "#answers"], one.questions.map((q) => [q.name, count(q.answers)])))));
}

function confusionCard(facts, one) {
  const found = one.confusion;
  if (!found) return null;
  const heads = make("tr", {}, make("th", {scope: "col"}, "truth"), found.answers.map((answer) => make("th", {scope: "col"}, answer)),
    make("th", {scope: "col", class: "number"}, "items"));
  const rows = found.states.map((state, row) => make("tr", {}, make("th", {scope: "row"}, state), found.answers.map((answer, at) => {
    const met = found.observed[row][at], declared = found.declared[row][at];
    const outside = found.n[row] >= 5 && (declared < found.low[row][at] || declared > found.high[row][at]);
    return make("td", {shade: met, class: answer === state && "diagonal",
      title: `declared ${percent(declared, 1)}, observed ${percent(met, 1)}, interval ${between(found.low[row][at], found.high[row][at], 1)}`},
    percent(met), make("small", {}, outside ? `≠ ${percent(declared)}` : percent(declared)));
  }), make("td", {class: "number"}, count(Math.round(found.n[row])))));
  const label = `confusion of ${one.name}`;
  return wide("Its answers, by the truth", scrolling(label, make("table", {class: "heat", "aria-label": label}, make("thead", {}, heads), make("tbody", {}, rows))),
    make("p", {class: "muted"}, "Large: observed share; small: declared, with ≠ where it lies outside the interval of the observed share. Rows sum to 100 %."));
}

function unitsCard(one) {
  const rows = one.units.map((unit) => [unit.name,
    ...[1, 0].flatMap((state) => [dumbbell(unit.declared[state], unit.observed[state], unit.low[state], unit.high[state]), percent(unit.observed[state])]),
    count(Math.round(unit.n[1]))]);
  return card("Action units", tableOf("action units", ["unit", "called, where active", "#share", "called, where not", "#share", "#active"], rows),
    legend(["ink", "declared (upright)"], ["posterior", "observed"], ["reject", "observed, declared outside"]),
    make("p", {class: "muted"}, "Answers that seem to follow their label instead of looking (halo) count less."));
}

function driftCard(one) {
  const {parts, timed} = one.drift;
  const lines = [{name: "right", role: "posterior", points: parts.map((p, at) => [at, p.right, p.half])},
    {name: "refused", role: "reject", dashed: true, points: parts.map((p, at) => [at, p.refused])}];
  const when = timed && parts[0].from != null ? (at) => new Date(parts[at].from * 1000).toISOString().slice(0, 16).replace("T", " ") : null;
  return card("Drift", overTime(`drift of ${one.name}`, timed ? "time of the answers" : "part of the items, in their order", lines, parts.length, when),
    legend(["posterior", "posterior probability of the label it named"], ["reject", "refused, unreadable or not judged", true]));
}
