// What of the knowledge the data use, and what they contradict.
function knowledgeSection(facts, table) {
  const {knowledge} = facts;
  return [
    make("p", {class: "lead"}, "Where data and declared numbers part, either the number is wrong for these pictures, or the observers see something else. Look at the items before you change the YAML."),
    make("div", {class: "cards"},
      wide("Rules", rulesTable(facts, table)),
      wide("Numbers that the data contradict", cellsTable(knowledge)),
      sensitivityCard(facts, table),
      wide("The network", make("div", {class: "scroll network", tabindex: "0", role: "group", "aria-label": "the network"},
        make("img", {src: knowledge.network, alt: "The compiled network: the root, its variables by region, couplings and rules"})))),
  ];
}

function rulesTable(facts, table) {
  const {rules} = facts.knowledge;
  if (!rules.length) return make("p", {class: "muted"}, "The base has no rules.");
  const known = rules.some((one) => one.fires != null);
  const sorted = [...rules].sort((a, b) => (b.violated ?? b.clear) - (a.violated ?? a.clear));
  const rows = sorted.map((one) => [
    [make("b", {}, one.name), make("div", {class: "muted"}, one.statement), make("div", {class: "place"}, `${one.if}  →  ${one.then}`),
      make("div", {class: "place"}, `${one.place}, ${one.source}`)],
    exactly(one.confidence),
    ...(known ? [one.fires == null ? one.status : [percent(one.fires, 1), make("div", {class: "muted"}, `base ${percent(one.expected_if, 1)}`)],
      one.violated == null ? "–" : [make("span", {class: one.low > one.expected && "outside"}, percent(one.violated, 1)),
        make("div", {class: "muted"}, between(one.low, one.high, 1))], percent(one.expected, 1)] : []),
    count(one.clear),
    one.rows.map((row) => make("a", {class: "jump", href: linkTo({section: "items", item: table.items[row]})}, table.items[row])).flatMap((a) => [a, " "]),
  ]);
  return [longTable("rules", ["rule", "#confidence", ...(known ? ["#its if holds", "#violated then", "#expected"] : []), "#clearly", "for instance"], rows, 14),
    make("p", {class: "muted"}, known
      ? "Expected counts under the posteriors. Violated: the share of items where the if holds and the then does not; red where its whole 95 % interval is above what the base expects. Clearly: items with a probability of .5 or more."
      : "Records without samples show only clear violations (a probability of .5 or more).")];
}

function cellsTable(knowledge) {
  if (!knowledge.cells.length) return make("p", {class: "muted"}, "Not known without samples (--samples) or gold (--gold).");
  const outside = knowledge.cells.filter((one) => one.outside && one.n >= 5);
  const rows = outside.map((one) => [`P(${one.variable} | ${one.state})`, short(one.declared), plain(one.observed, 3),
    one.low == null ? "" : dumbbell(one.declared, one.observed, one.low, one.high), short(one.n), signed(one.z, 1),
    make("span", {class: "place"}, `${one.place}, ${one.source}`)]);
  const source = knowledge.truth === "gold"
    ? "Counts of gold." : `Expected counts under the posteriors of ${count(knowledge.cell_items)} items; the declared numbers pull these counts towards themselves, so a difference is more likely too small than too large.`;
  return [make("p", {class: "muted"}, `${count(outside.length)} of ${count(knowledge.cells.length)} declared numbers lie outside the 95 % interval of the observed share; about ${count(Math.round(0.05 * knowledge.cells.length))} would by chance if all were right. ${source} z: the difference in standard errors.`),
    rows.length > 0 && [longTable("numbers that the data contradict", ["number", "#declared", "#observed", "0 to 1", "#items", "#z", "where, source"], rows),
      legend(["ink", "declared (upright line)"], ["posterior", "observed, with its interval"])]];
}

function sensitivityCard(facts, table) {
  const numbers = facts.knowledge.sensitivities;
  if (!numbers) return wide("Numbers that move the decisions", make("p", {class: "muted"}, "Add --sensitivity to compute them; it takes half a minute."));
  const rows = numbers.map((one) => [make("span", {class: "place"}, one.path), short(one.value), plain(one.per_tenth, 4), signed(one.largest, 3),
    table.row.has(one.item) ? make("a", {class: "jump", href: linkTo({section: "items", item: one.item})}, one.item) : one.item,
    count(one.flips), make("span", {class: "place"}, `${one.place}, ${one.source}`)]);
  return wide("Numbers that move the decisions", longTable("sensitivities", ["number", "#is", "#p per 0.1", "#most", "of item", "#decisions changed", "where, source"], rows),
    make("p", {class: "muted"}, `How far a change of 0.1 in a number moves the probability that the decision about ${facts.base.root} is right, measured on evenly spaced items.`));
}
