// One item: all that is known of it.
async function itemPanel(facts, table, row, walk) {
  const detail = await detailOf(row), {base} = facts;
  const root = base.states.map((_, state) => table.root[row * base.states.length + state] / FINE);
  const parts = [
    portraits(facts, table, row),
    widePart(titled(base.root), barsOf(base, root, detail.readings ?? [])),
    base.intervals.length === 2 && table.intervals && part(titled(base.intervals.map((one) => one.name).join(" and ")), planeOf(base, table, row, detail)),
    base.intervals.length > 0 && base.intervals.length !== 2 && part("Numbers", numbersOf(base, table, row)),
    base.units.length > 0 && part(base.face ? "Action units" : "Yes or no", unitsOf(facts, table, row)),
    widePart("What each value rests on", groundsOf(facts, table, row, detail)),
    part("Conflict and violated rules", conflictOf(facts, table, row, detail)),
    part("What next", nextOf(facts, table, row, detail)),
    detail.gold && part("Gold", goldOf(base, detail.gold)),
    table["other-decision"] && part("In the compared records", otherOf(facts, table, row)),
  ];
  return make("article", {class: "panel", "aria-label": `item ${table.items[row]}`, tabindex: "-1"},
    make("header", {}, make("h2", {dir: "auto"}, table.items[row]), walk),
    make("p", {dir: "auto"}, badgeOf(facts, table, row), "  ", make("b", {}, `${base.states[table.label[row]]} ${plain(table.best[row] / FINE)}`),
      detail.reasons.length > 0 && ` (${detail.reasons.join("; ")})`, restsOn(facts, table, row), guaranteeOf(detail.guarantee)),
    make("div", {class: "parts"}, parts),
    stepsOf(base, detail));
}

const widePart = (title, ...children) => make("section", {class: "wide"}, make("h3", {}, title), children);
const part = (title, ...children) => make("section", {}, make("h3", {}, title), children);
const guaranteeOf = (found) => found && (found.holds ? `; covered by a guarantee (${exactly(found.alpha)} wrong at most)` : `; no guarantee: ${found.why}`);

function portraits(facts, table, row) {
  const address = pictureOf(row);
  const face = drawnFace(facts, table, row, `face drawn from the action units of ${table.items[row]}`);
  if (!address && !face) return null;
  return widePart(address ? "Picture and drawn face" : "Face, drawn from the action units", make("div", {class: "portraits"},
    address && make("figure", {}, make("img", {src: address, alt: `picture of ${table.items[row]}`}), make("figcaption", {}, "the picture")),
    face && make("figure", {}, face, make("figcaption", {}, "as its action units are believed"))));
}

// Prior, what each reading alone says (likelihoods with a sum of 1), posterior.
function barsOf(base, posterior, readings) {
  const shown = readings.slice(0, 5);
  const columns = [{title: "prior", below: base.population, p: base.prior, role: "prior"},
    ...shown.map(([observer, question, view, p]) => ({title: base.questions[question].name.replaceAll("_", " "),
      below: base.observers[observer].name + (view === "face" ? "" : `, ${view}`), p: p.map((one) => one / 1000), role: "evidence"})),
    {title: "posterior", below: readings.length > 5 ? `${readings.length - 5} more readings` : "", p: posterior, role: "posterior"}];
  const left = 84, gap = 10, last = 132, each = Math.max(52, Math.min(92, 300 / Math.max(columns.length - 1, 1)));
  const width = left + (each + gap) * (columns.length - 1) + last, height = 44 + 22 * posterior.length;
  const best = posterior.indexOf(Math.max(...posterior));
  // On a phone the letters shrink a little before the posterior has to be scrolled to.
  const told = base.states.map((state, at) => `${state} ${plain(posterior[at])}`).join(", ");
  const picture = draw("svg", {viewBox: `0 0 ${width} ${height}`, width, role: "img", "aria-label": `posterior: ${told}`});
  base.states.forEach((state, at) => picture.append(text(left - 8, 59 + 22 * at, cut(state, 12), {"text-anchor": "end", class: "f-ink",
    "font-weight": at === best ? 650 : 400})));
  columns.forEach((column, number) => {
    const x = left + (each + gap) * number, full = number === columns.length - 1 ? last - 42 : each;
    picture.append(text(x, 14, cut(column.title, full / 6.4 + (column.role === "posterior" ? 6 : 0)), {class: `f-${column.role === "prior" ? "muted" : column.role}`, "font-weight": 650}),
      text(x, 30, cut(column.below, (full + gap) / 5.4), {"font-size": 10}));
    column.p.forEach((p, at) => {
      const y = 48 + 22 * at;
      picture.append(draw("rect", {x, y, width: full, height: 14, class: "f-band"}),
        draw("rect", {x, y, width: Math.max(p * full, 0), height: 14, class: `f-${column.role}`}, draw("title", {}, `${base.states[at]} ${plain(p, 3)}`)));
      if (column.role === "posterior") picture.append(text(x + full + 5, y + 11, plain(p, 3), {class: "f-ink", "font-weight": at === best ? 650 : 400}));
    });
  });
  Object.assign(picture.style, {minWidth: `${0.72 * width}px`, maxWidth: `${width}px`});
  return [make("div", {class: "scroll", tabindex: "0", role: "group", "aria-label": "probabilities"}, picture),
    readings.length > 0 && make("p", {class: "muted"}, "The column of a reading shows how well this reading alone fits each state.")];
}

const cut = (words, most) => words.length <= most ? words : words.slice(0, Math.max(Math.floor(most) - 1, 1)) + "…";

// Points of the ellipse at so many standard deviations.
function ellipseOf({mean, sd, r}, radius) {
  const side = Math.sqrt(Math.max(1 - r * r, 0));
  return Array.from({length: 49}, (_, at) => {
    const turn = at / 48 * 2 * Math.PI, x = Math.cos(turn);
    return [mean[0] + radius * sd[0] * x, mean[1] + radius * sd[1] * (r * x + side * Math.sin(turn))];
  });
}

function numbersOf(base, table, row) {
  const {intervals} = base, values = table.intervals, each = intervals.length * 4;
  return tableOf("numbers", ["variable", "#mean", "#90 % interval"], intervals.map((one, i) => {
    const at = row * each + 4 * i;
    return [one.name, signed(values[at]), `${signed(values[at + 2])} to ${signed(values[at + 3])}`];
  }));
}

function planeOf(base, table, row, detail) {
  const [a, b] = base.intervals;
  const {picture, px, py} = framed(`plane of ${a.name} and ${b.name}`, {low: a.low, high: a.high, title: a.name, ticks: [a.low, (a.low + a.high) / 2, a.high]},
    {low: b.low, high: b.high, title: b.name, ticks: [b.low, (b.low + b.high) / 2, b.high]}, {width: 340, height: 330});
  const inside = ([x, y]) => [px(Math.min(Math.max(x, a.low), a.high)), py(Math.min(Math.max(y, b.low), b.high))];
  const closed = (points, more) => path(points.map(inside), {"stroke-width": 1.2, ...more});
  base.regions.forEach((one) => picture.append(closed(ellipseOf(one, 0.5), {class: "f-prior", fill: null, opacity: 0.16})));
  const at = row * 8, values = table.intervals, r = table.correlation[row];
  const posterior = {mean: [values[at], values[at + 4]], sd: [values[at + 1], values[at + 5]], r: Number.isNaN(r) ? 0 : r};
  for (const [mass, opacity] of [[0.9, 0.2], [0.5, 0.34]]) {
    picture.append(closed(ellipseOf(posterior, Math.sqrt(-2 * Math.log(1 - mass))), {class: "f-posterior s-posterior", fill: null, opacity}));
  }
  for (const [point, n] of pointsOf(base, detail)) {
    const [x, y] = inside(point);
    picture.append(draw("circle", {cx: x, cy: y, r: 3.2 * Math.sqrt(Math.min(n, 9)), class: "f-evidence s-paper"}, draw("title", {}, `${n} answers: ${point.join(", ")}`)));
  }
  const taken = [];
  [...base.regions.keys()].sort((one, other) => base.regions[other].mean[1] - base.regions[one].mean[1]).forEach((state) => {
    const [x, y] = inside(base.regions[state].mean);
    const off = [0, 12, -12, 24, -24].find((by) => taken.every(([u, v]) => Math.abs(y + by - v) >= 11 || Math.abs(x - u) >= 54)) ?? 0;
    taken.push([x, y + off]);
    picture.append(text(Math.min(Math.max(x, 84), 300), y + off + 4, base.states[state], {"text-anchor": "middle", "font-size": 10.5, class: "f-ink"}));
  });
  const [x, y] = inside(posterior.mean);
  for (const [role, width] of [["paper", 4.5], ["posterior", 2.2]]) {
    picture.append(path([[x - 6, y], [x + 6, y]], {class: `s-${role}`, "stroke-width": width}), path([[x, y - 6], [x, y + 6]], {class: `s-${role}`, "stroke-width": width}));
  }
  const told = [a, b].map((one, i) => `${one.name} ${signed(posterior.mean[i])} (${signed(values[at + 4 * i + 2])} to ${signed(values[at + 4 * i + 3])})`);
  return [picture, make("p", {class: "muted"}, `${told.join(", ")}: mean and 90 % interval.`),
    legend(["posterior", "posterior, 50 and 90 % of a Gaussian with its moments"], ["evidence", "answers"], ["prior", "expected"])];
}

// Answers that give both numbers, and how often each pair was given.
function pointsOf(base, detail) {
  const found = new Map();
  for (const step of detail.steps ?? []) {
    const numbers = base.intervals.map(({name}) => step[5].find((said) => said.startsWith(`${name} `))?.slice(name.length + 1));
    if (numbers.every((one) => one != null)) {
      const key = numbers.join(",");
      found.set(key, [numbers.map(Number), (found.get(key)?.[1] ?? 0) + 1]);
    }
  }
  return found.values();
}

const BASIS_WORDS = {declared: "declared numbers", "another design": "a calibration of another design", "declared (people)": "what people or labels say",
  calibrated: "a calibration", certified: "a certificate"};
const ORIGIN_WORDS = {seen: "somebody looked", label: "a label says so", inferred: "nobody looked", unknown: "not stated"};

function restsOn(facts, table, row) {
  const basis = itemBasis(facts, table, row);
  return basis && (basis in BASIS_WORDS ? `; rests on ${BASIS_WORDS[basis]}` : "; its record does not say what it rests on");
}

// Each variable with the decision about it, whether anybody looked, and what it rests on when it is accepted.
function groundsOf(facts, table, row, detail) {
  const {base} = facts, item = DECISIONS[table.decision[row]];
  const rows = base.order.map((name, at) => {
    const place = row * base.order.length + at, code = table.basis[place];
    const basis = base.bases[code], decision = code === INFERRED ? "inferred" : code === NOTHING ? item === "requery" ? "requery" : "reject" : "accept";
    const notes = [(detail.lacking ?? []).includes(name) && "the answers about it say too little",
      (detail.overruled ?? []).includes(name) && (base.labels_final ? "label kept although what was seen contradicts it" : "label overruled by what was seen")];
    return [name, badge(decision, isUncalibrated(facts, basis)), ORIGIN_WORDS[base.origins[table.origin[place]]],
      basis ?? "", percent(table.risk[place] / FINE, 1), notes.filter(Boolean).join("; ")];
  });
  const starred = rows.some((_, at) => isUncalibrated(facts, base.bases[table.basis[row * base.order.length + at]]));
  return [longTable("grounds", ["variable", "decision", "looked at?", "rests on", "#risk", "note"], rows, 4), starred && uncalibratedLegend()];
}

const acceptedOf = (base, table, row, name) => table.accepted[row * base.order.length + base.order.indexOf(name)];
const WORDS = {accept: ["absent", "present"], reject: ["open", "open"], requery: ["ask", "ask"], inferred: ["inferred", "inferred"]};

function unitsOf(facts, table, row) {
  const {base} = facts, item = DECISIONS[table.decision[row]];
  return make("div", {class: "units"}, base.units.flatMap((unit, at) => {
    const p = table.binary[row * base.units.length + at] / FINE, active = p >= unit.cut;
    const accepted = acceptedOf(base, table, row, unit.name), code = table.basis[row * base.order.length + base.order.indexOf(unit.name)];
    const decision = accepted ? "accept" : code === INFERRED ? "inferred" : item === "requery" ? "requery" : "reject";
    const uncalibrated = isUncalibrated(facts, base.bases[code]);
    return [make("span", {class: active && "on"}, unit.name), make("span", {class: `label ${active ? "on" : "muted"}`, title: unit.label}, unit.label === unit.name ? "" : unit.label),
      meter(p, active ? "posterior" : "prior"), make("span", {class: "number"}, plain(p)),
      make("span", {class: `badge role-${decision}${uncalibrated ? " uncalibrated" : ""}`, title: base.bases[code]},
        WORDS[decision][Number(active)] + (uncalibrated ? "*" : ""))];
  }));
}

function conflictOf(facts, table, row, detail) {
  const conflict = table.bits[row * 3 + 2], rules = new Map(facts.knowledge.rules.map((one) => [one.name, one]));
  const violations = detail.violations ?? [];
  return [make("p", {}, `Readings conflict by ${signed(conflict)} bits`, make("span", {class: "muted"},
    conflict > 0 ? " (above 0: less probable together than apart)" : " (below 0: they support one another)")),
  detail.conflict != null && make("p", {}, `The strongest disagreement of one reading with the others has a probability of at most ${short(detail.conflict)}`,
    make("span", {class: "muted"}, ` (below ${short(facts.base.conflict)} nothing is accepted)`)),
  make("ul", {class: "plain"}, violations.map(([name, p]) => {
    const rule = rules.get(name);
    return make("li", {}, make("b", {}, `${name} ${plain(p)}`), rule && make("span", {}, ` ${rule.statement}`), rule && make("div", {class: "place"}, `${rule.place}, ${rule.source}`));
  })), !violations.length && make("p", {class: "muted"}, "No rule is violated with a probability of .1 or more."),
  (detail.contradictions ?? []).map(([contradiction, about]) => make("p", {}, make("b", {}, contradiction), `: to be looked at again are ${about.join(", ")}`)),
  checksOf(detail)];
}

function checksOf(detail) {
  if (!detail.checks) return null;
  const side = ([value, risk]) => `${typeof value === "number" ? signed(value) : value} (risk ${percent(risk, 1)})`;
  const rows = detail.checks.map(([about, without, together]) => [about, side(without), side(together),
    without[2].map((text) => `${text}: ${together[2].includes(text) ? "still there" : "solved"}`).join("; ") || "none named it"]);
  return make("section", {}, make("h3", {}, "Questions about one thing alone, and what they changed"),
    tableOf("checks", ["about", "without", "with", "contradictions"], rows, "checks"));
}

function nextOf(facts, table, row, detail) {
  const {base} = facts, next = detail.next;
  const at = (n) => table.bits[row * 3 + n];
  const open = base.order.filter((name) => !acceptedOf(base, table, row, name));
  const risk = (name) => table.risk[row * base.order.length + base.order.indexOf(name)] / FINE;
  return [next ? make("p", {}, "Ask ", make("b", {}, next.question), next.about && ` about ${next.about}`, ` of ${next.observer ?? "an observer"}, view ${next.view ?? "face"}, ${next.samples === 1 ? "1 answer" : `${next.samples} answers`}. `,
    next.check && `It comes first, as it checks a contradiction (${next.check}). `,
    `It is expected to lower the risk of the open values by ${short(next.gain)} more than it costs${next.check ? "." : "; no other question does better for its price."}`)
    : make("p", {}, "No further question is worth its price."),
  make("p", {class: "muted"}, `Still open: ${plain(at(0))} bits of entropy in the required variables. One further ideal reading could settle ${plain(at(1))} of them.`),
  open.length > 0 && make("p", {class: "muted"}, `Not accepted: ${open.map((name) => `${name} (risk ${percent(risk(name), 1)})`).join(", ")}.`)];
}

function goldOf(base, gold) {
  const active = base.units.filter((unit) => gold[unit.name]).map((unit) => unit.name);
  const rest = Object.entries(gold).filter(([name]) => !base.units.some((unit) => unit.name === name));
  return make("p", {}, [...rest.map(([name, value]) => `${name} ${value}`), base.units.some((unit) => unit.name in gold) && (active.join(" ") || "no unit")].filter(Boolean).join("; "));
}

function otherOf(facts, table, row) {
  const decision = table["other-decision"][row];
  if (decision === NOT_THERE) return make("p", {class: "muted"}, "They have no such item.");
  return make("p", {}, badge(DECISIONS[decision]), ` ${facts.comparison.states[table["other-label"][row]]} ${plain(table["other-p"][row] / FINE)}; ${percent(table.moved[row] / FINE)} of the probability moved`);
}

function stepsOf(base, detail) {
  const steps = detail.steps ?? [];
  if (!steps.length) return null;
  const states = base.states.length, rows = steps.map((step, at) => {
    const [observer, question, view, about, status, said, absent, after, when] = step;
    const best = after && after.slice(0, states).indexOf(Math.max(...after.slice(0, states)));
    const words = status ? status : [...said, absent > 0 && `${absent} absent`].filter(Boolean).join(", ") || "nothing";
    return [String(at + 1), base.questions[question].name.replaceAll("_", " ") + (about && ` about ${about}`) + (view === "face" ? "" : `, ${view}`),
      base.observers[observer].name, make("span", {class: "said"}, words),
      after ? `${base.states[best]} ${plain(after[best] / 1000)}` : "…",
      ...base.intervals.map((_, i) => after ? signed(after[states + i] / 1000) : "…"),
      when ? new Date(when * 1000).toISOString().slice(0, 19).replace("T", " ") : ""];
  });
  const timed = steps.some((step) => step[8]);
  const heads = ["#no.", "question", "of", "answer", `${base.root} then`, ...base.intervals.map((one) => `#${one.name} then`), ...(timed ? ["when (UTC)"] : [])];
  return make("section", {}, make("h3", {}, "Answers, in their order, and the posterior after each"),
    courseOf(base, steps), tableOf("answers", heads, timed ? rows : rows.map((row) => row.slice(0, -1)), "answers"));
}

function courseOf(base, steps) {
  const path = [base.prior, ...steps.map((step) => step[7]?.map((one) => one / 1000))];
  if (steps.length < 2) return null;
  const reach = base.states.map((_, state) => Math.max(...path.map((p) => p?.[state] ?? 0)));
  const shown = [...base.states.keys()].sort((one, other) => reach[other] - reach[one]).slice(0, 4);
  const roles = ["posterior", "evidence", "accept", "prior"];
  const lines = shown.map((state, at) => ({role: roles[at], dashed: at % 2 === 1, points: path.map((p, step) => [step, p?.[state]])}));
  return [overTime("after each answer", "answers", lines, path.length, null), legend(...shown.map((state, at) => [roles[at], base.states[state], at % 2 === 1]))];
}
