// What follows: posteriors, the drawn face, what speaks for it, rules, numbers.
const LEAST_SHOWN_RULE = 0.05, MOST_NUMBERS = 12;
const bitsOf = (p, target) => Math.log2(Math.max(p[target], 1e-300) / Math.max(p.reduce((sum, value, k) => k === target ? sum : sum + value, 0), 1e-300));

const figureOf = (name, value) => inUnits(facts.network.edges[name], value);
const rangeText = (name, range) => state.by ? figureOf(name, middle(range)) : `${figureOf(name, range[0])} to ${figureOf(name, range[1])}`;
// Odds beyond this are none: a fact decides.
const CERTAIN = 60;
const bitsText = (bits, sure, ruledOut, digits = 1) => Math.abs(bits) < CERTAIN ? `${signed(bits, digits)} bits` : bits > 0 ? sure : ruledOut;

// The likeliest root state and the next.
function firstTwo(p) {
  const order = p.map((_, k) => k).sort((a, b) => p[b] - p[a]);
  return [order[0], order[1] ?? order[0]];
}

// The posteriors at once; what explains them follows as soon as the browser has drawn these.
let explaining = 0, addressing = 0;

function show() {
  showControls();
  clearTimeout(explaining);
  clearTimeout(addressing);
  // Browsers refuse addresses that change with each step of a slider.
  addressing = setTimeout(() => history.replaceState(null, "", `#${addressOf(state)}`), 150);
  document.documentElement.dataset.explained = "no";
  const values = Object.fromEntries(Object.entries(known(state)).filter(([name]) => reports(name)));
  const found = posterior(tree, state.population, rowsOf(state, values));
  document.body.classList.toggle("impossible", !found);
  if (!found) {
    put("sentence", "The base holds all this together to be impossible. Take something back.");
    put("strip", "impossible by this base");
    document.documentElement.dataset.explained = "yes";
    return;
  }
  const [first, second] = firstTwo(found.p), target = state.target ? rootStates().indexOf(state.target) : first;
  showSentence(found, first, second, Object.keys(values).length);
  showRoot(found, target);
  showBeliefs(found);
  showDerived(found);
  explaining = setTimeout(() => explain(values, found, target, target === first ? second : first), 0);
}

function explain(values, found, target, rival) {
  showFace(found);
  showPlane(found);
  showWeights(values, found, target, rival);
  const slopes = slopesAt(values, target);
  showRules(found, slopes);
  showNumbers(found, slopes, target);
  document.documentElement.dataset.explained = "yes";
}

function slopesAt(values, target) {
  fit ??= featuresOf(tree, facts.knowledge);
  return fit && slopesOf(tree, facts.knowledge, fit, rootOf(tree, state.population, rowsOf(state, values)), target);
}

function showSentence(found, first, second, count) {
  const names = rootStates().map(words), numbers = facts.knowledge.intervals.map((name) => {
    const {mean, sd} = meanOf(facts.network, name, found.marginals[name]);
    return `${words(variable(name).label)} ${figureOf(name, mean)} ± ${figureOf(name, sd)}`;
  });
  const parts = [`${names[first]} ${percent(found.p[first])}`, ...numbers].join(", ");
  put("sentence", count ? "Likeliest: " : "Nothing is known yet: base rates alone. ", make("b", {}, parts), found.p[second] > 0 && `; next ${names[second]} ${percent(found.p[second])}`, ".");
  put("strip", make("b", {}, `${names[first]} ${percent(found.p[first])}`), ` · ${names[second]} ${percent(found.p[second])}`, numbers.map((text) => ` · ${text}`));
}

function showRoot(found, target) {
  const prior = facts.knowledge.populations[state.population].p, focused = document.activeElement?.dataset?.state;
  put("root", make("p", {class: "muted"}, "Press one to see what speaks for it. The mark shows the base rate."),
    rootStates().map((text, k) => make("button", {type: "button", class: "bar", "aria-pressed": String(k === target), "data-state": text,
      title: variable(rootName()).descriptions[text] ?? null, onclick: () => change({target: text === state.target ? "" : text})},
    make("span", {}, words(text)), meter(found.p[k], k === target ? "posterior" : "prior", prior[k]), make("span", {class: "number"}, percent(found.p[k])))));
  if (focused) byId("root").querySelector(`[data-state="${CSS.escape(focused)}"]`)?.focus();
}

function showBeliefs(found) {
  for (const name of facts.knowledge.binaries) {
    const box = byId(`belief-${name}`), p = found.marginals[name][1];
    box.querySelector("i").style.width = `${100 * p}%`;
    box.lastChild.textContent = percent(p);
  }
}

function showFace(found) {
  if (!facts.face) return;
  const units = Object.fromEntries(facts.knowledge.binaries.map((name) => [name, Math.min(Math.max(found.marginals[name][1], 0), 1)]));
  const drawn = new DOMParser().parseFromString(drawFace(facts.face, units, "the face that the base expects"), "image/svg+xml").documentElement;
  put("face", document.importNode(drawn, true));
}

// The plane of the first two interval variables is built once; afterwards its cells only change their shade.
let plane = null;
const SIZE = 200, LEFT = 34, TOP = 8;
const placeIn = (name, value) => (value - facts.network.edges[name][0]) / (facts.network.edges[name].at(-1) - facts.network.edges[name][0]);

function buildPlane() {
  const {knowledge: {intervals}, network} = facts;
  plane = null;
  put("plane");
  if (intervals.length < 2) return;
  const [across, up] = intervals, block = Object.keys(network.nodes).find((name) => network.nodes[name].variables.includes(across));
  const clique = cliqueWith(tree, [block]), {nodes} = tree.cliques[clique];
  const columns = network.states[across].length, rows = network.states[up].length;
  const cells = Array.from({length: columns * rows}, (_, i) => draw("rect", {x: LEFT + i % columns * SIZE / columns, y: TOP + SIZE - (Math.floor(i / columns) + 1) * SIZE / rows,
    width: SIZE / columns + 0.3, height: SIZE / rows + 0.3, class: "f-posterior", opacity: 0}));
  const mean = draw("circle", {r: 4, class: "mean"});
  const text = (x, y, label, more = {}) => draw("text", {x, y, class: "f-muted", "font-size": 10, "text-anchor": "middle", ...more}, label);
  const [low, high] = [0, -1].map((at) => [across, up].map((name) => short(network.edges[name].at(at))));
  const zero = [across, up].map((name) => placeIn(name, 0));
  put("plane", draw("svg", {viewBox: `0 0 ${LEFT + SIZE + 10} ${SIZE + 34}`, role: "img", "aria-label": `${variable(across).label} across, ${variable(up).label} upwards`},
    cells,
    zero[0] > 0 && zero[0] < 1 && draw("line", {x1: LEFT + zero[0] * SIZE, x2: LEFT + zero[0] * SIZE, y1: TOP, y2: TOP + SIZE, class: "s-grid"}),
    zero[1] > 0 && zero[1] < 1 && draw("line", {x1: LEFT, x2: LEFT + SIZE, y1: TOP + (1 - zero[1]) * SIZE, y2: TOP + (1 - zero[1]) * SIZE, class: "s-grid"}),
    draw("rect", {x: LEFT, y: TOP, width: SIZE, height: SIZE, class: "plane"}), mean,
    text(LEFT, TOP + SIZE + 12, low[0]), text(LEFT + SIZE, TOP + SIZE + 12, high[0]), text(LEFT + SIZE / 2, TOP + SIZE + 20, words(variable(across).label)),
    text(LEFT - 5, TOP + SIZE, low[1], {"text-anchor": "end"}), text(LEFT - 5, TOP + 8, high[1], {"text-anchor": "end"}),
    text(10, TOP + SIZE / 2, words(variable(up).label), {transform: `rotate(-90 10 ${TOP + SIZE / 2})`})));
  plane = {clique, cells, mean, columns, x: stateOf(network, tree.sizes, nodes, block, across), y: stateOf(network, tree.sizes, nodes, block, up)};
}

function showPlane(found) {
  const {intervals} = facts.knowledge, figures = intervals.map((name) => meanOf(facts.network, name, found.marginals[name]));
  put("figures", intervals.map((name, i) => make("div", {}, intervals.length !== 2 && make("div", {class: "histogram", "aria-hidden": "true"}, histogramOf(found.marginals[name])),
    make("p", {}, make("b", {}, words(variable(name).label)), ` ${figureOf(name, figures[i].mean)} ± ${figureOf(name, figures[i].sd)}; 9 in 10 lie between ${figureOf(name, figures[i].low)} and ${figureOf(name, figures[i].high)}`))));
  if (!plane) return;
  const p = new Float64Array(plane.cells.length), {cells} = tree.cliques[plane.clique], joint = found.joint[plane.clique];
  for (let k = 0, i = 0; k < tree.K; k++) for (let cell = 0; cell < cells; cell++, i++) p[plane.y[cell] * plane.columns + plane.x[cell]] += joint[i];
  const most = p.reduce((peak, value) => Math.max(peak, value), 0);
  plane.cells.forEach((cell, i) => cell.setAttribute("opacity", (p[i] / most).toFixed(3)));
  plane.mean.setAttribute("cx", LEFT + SIZE * placeIn(intervals[0], figures[0].mean));
  plane.mean.setAttribute("cy", TOP + SIZE * (1 - placeIn(intervals[1], figures[1].mean)));
}

function histogramOf(p) {
  const most = Math.max(...p);
  return p.map((value) => { const bar = make("i", {}); bar.style.height = `${100 * value / most}%`; return bar; });
}

function showDerived(found) {
  put("derived", tree.derived.map(({name, states}) => make("div", {class: "group"}, make("h3", {}, variable(name).label),
    states.map((text, at) => make("div", {class: "bar"}, make("span", {}, words(text)), meter(found.marginals[name][at]), make("span", {class: "number"}, percent(found.marginals[name][at])))))));
}

const citation = ({place, cite}) => {
  const {source, text, note} = facts.citations[cite];
  return make("details", {class: "cite"}, make("summary", {}, make("span", {class: "place"}, place), " ", make("span", {class: "muted"}, words(source))),
    text && make("p", {}, text), note && make("p", {}, note));
};
const cellOf = (name, k) => facts.knowledge.cells[name][k];

// Each piece of evidence: how many bits it weighs, left out of all there is, and the numbers that say so.
function showWeights(values, found, target, rival) {
  const names = rootStates().map(words), all = bitsOf(found.p, target), prior = bitsOf(facts.knowledge.populations[state.population].p, target);
  byId("weights-title").textContent = `What speaks for ${names[target]}`;
  const pieces = Object.entries(values).map(([name, value]) => {
    const rest = Object.fromEntries(Object.entries(values).filter(([other]) => other !== name));
    const {p} = rootOf(tree, state.population, rowsOf(state, rest), false);
    return {name, value, bits: all - bitsOf(p, target), without: p[target]};
  }).sort((a, b) => Math.abs(b.bits) - Math.abs(a.bits));
  const most = Math.max(2, Math.abs(prior), ...pieces.map(({bits}) => Math.abs(bits)).filter((bits) => bits < CERTAIN));
  const saying = state.by ? "says: " : "";
  const rows = pieces.map(({name, value, bits, without}) => [[saying, valueText(name, value)], [balance(bits, most), make("span", {class: "number"}, bitsText(bits, "decides it", "rules it out"))],
    percent(without), [saidHow(name, value, target, rival), numbersBehind(name, target, rival)]]);
  put("weights", make("p", {class: "muted"}, "A bit doubles the odds. Each piece is weighed by leaving it out of everything that is set; pieces overlap, so they need not add up."),
    tableOf("What speaks for it", ["what is set", "for or against", "#without it", "numbers behind it"],
      [...rows, ["base rate", [balance(prior, most), make("span", {class: "number"}, `${signed(prior)} bits`)], "",
        [`${names[target]} ${percent(facts.knowledge.populations[state.population].p[target])} `, citation(facts.knowledge.populations[state.population])]]]),
    make("p", {}, Math.abs(all) < CERTAIN ? `All together: ${signed(all)} bits, that is ${percent(found.p[target])}.` : `All together: ${all > 0 ? "certain" : "ruled out"}.`),
    found.rows.length > 1 && make("p", {}, `Halo: this observer may write what its label implies instead of looking. That it did so here: ${percent(found.rows[1])}.`));
}

function valueText(name, value) {
  if (name === rootName()) return `${variable(name).label}: ${words(value)}`;
  if (name in facts.network.edges) return `${words(variable(name).label)} ${rangeText(name, value)}`;
  return `${labelOf(name)} ${value ? "seen" : "not seen"}`;
}

// How often the observer says this, in cases where it is so and where it is not.
function saidHow(name, value, target, rival) {
  if (!state.by) return "";
  const observer = observerOf(state), labels = observer.labels[name], numbers = observer.numbers[name];
  if (numbers) return make("div", {class: "behind"}, `its readings scatter by ${figureOf(name, numbers.perception)} `, citation(numbers));
  const alpha = labels.by_question[state.question] ?? labels.alpha, answer = labels.answers.indexOf(String(value));
  const share = (truth) => labels.mix[truth].reduce((sum, p, m) => sum + p * alpha[m][answer] / alpha[m].reduce((total, count) => total + count, 0), 0);
  const text = name === rootName() ? `said in ${percent(share(target))} of ${words(rootStates()[target])}, ${percent(share(rival))} of ${words(rootStates()[rival])} `
    : `said in ${percent(share(Number(value)))} where it is so, ${percent(share(Number(!value)))} where it is not `;
  return make("div", {class: "behind"}, text, citation(labels));
}

function numbersBehind(name, target, rival) {
  const names = rootStates().map(words);
  if (name === rootName()) return "";
  return [target, rival].map((k) => {
    const cell = name in facts.network.edges ? facts.knowledge.moments[k] : cellOf(name, k);
    const figure = name in facts.network.edges ? `mean ${figureOf(name, cell.mean[facts.knowledge.intervals.indexOf(name)])}` : `${percent(cell.p)}`;
    return make("div", {class: "behind"}, `${figure} in ${names[k]} `, citation(cell));
  });
}

function showRules(found, slopes) {
  const rows = tree.rules.map((rule, at) => ({rule, declared: facts.knowledge.rules[rule.name], ...found.rules[at]})).sort((a, b) => b.fires - a.fires);
  const row = ({rule, declared, fires, violated}) => [
    [make("div", {}, declared.statement || words(rule.name)), make("div", {class: "place"}, `if ${declared.if} then ${declared.then}`), citation(declared)],
    percent(fires), fires > 0 ? percent(Math.min(Math.max(1 - violated / fires, 0), 1)) : "–", [percent(rule.confidence), rule.status === "unmet" && make("div", {class: "muted"}, "not reached")],
    slopes && rule.name in slopes.without ? `${signed(slopes.without[rule.name] / Math.LN2, 2)} bits` : "–"];
  const heads = ["rule", "#applies here", "#and then holds", "#declared", "#without it"];
  const firing = rows.filter(({fires}) => fires >= LEAST_SHOWN_RULE), silent = rows.filter(({fires}) => !(fires >= LEAST_SHOWN_RULE));
  put("rules", !rows.length && make("p", {}, "The base has no rules."),
    rows.length > 0 && make("p", {class: "muted"}, "How likely a rule applies here, and how likely what it says holds if it does, beside what the base declares in general. Last: what the rule's absence would change, to first order."),
    firing.length > 0 && tableOf("Rules that fire", heads, firing.map(row)),
    silent.length > 0 && make("details", {}, make("summary", {}, `${silent.length} more that hardly apply here`), tableOf("Other rules", heads, silent.map(row))));
}

// All declared numbers with the derivative of the target's log-odds and a step of their own uncertainty.
function numbersWith(slopes) {
  const {knowledge, network} = facts, states = rootStates(), numbers = [];
  for (const name of knowledge.binaries) {
    knowledge.cells[name].forEach((cell, k) => numbers.push({text: `${labelOf(name)} in ${words(states[k])}`, value: percent(cell.p), raw: cell.p, n: cell.n, cited: cell,
      step: Math.sqrt(cell.p * (1 - cell.p) / cell.n), slope: slopes.cells[name][k], moved: (step) => percent(Math.min(Math.max(cell.p + step, 0), 1))}));
  }
  knowledge.moments.forEach((moments, k) => knowledge.intervals.forEach((name, i) => numbers.push({text: `mean ${words(variable(name).label)} of ${words(states[k])}`,
    value: figureOf(name, moments.mean[i]), n: moments.n, cited: moments, step: moments.sd[i] / Math.sqrt(moments.n), slope: slopes.means[k][i], moved: (step) => figureOf(name, moments.mean[i] + step)})));
  for (const coupling of knowledge.couplings) {
    numbers.push({text: `${coupling.pair.map(words).join(" with ")}: odds ratio`, hint: coupling.statement, value: short(coupling.odds_ratio), n: coupling.n, cited: coupling,
      step: 4 / Math.sqrt(coupling.n), slope: slopes.couplings[coupling.name], moved: (step) => short(coupling.odds_ratio * Math.exp(step))});
  }
  for (const rule of network.rules) {
    const declared = knowledge.rules[rule.name], c = rule.confidence;
    numbers.push({text: `rule ${words(rule.name).replaceAll("-", " ")}`, hint: declared.statement, value: percent(c), n: declared.n, cited: declared,
      step: Math.sqrt(c * (1 - c) / declared.n), slope: slopes.rules[rule.name] ?? 0, moved: (step) => percent(Math.min(Math.max(c + step, 0), 1))});
  }
  return numbers.map((number) => ({...number, effect: number.slope * number.step})).sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect));
}

function showNumbers(found, slopes, target) {
  if (!slopes) { put("carry", make("p", {}, "The base has no numbers below the root.")); return; }
  const numbers = numbersWith(slopes).slice(0, MOST_NUMBERS).filter(({effect}) => Math.abs(effect) > 1e-6), p = found.p[target];
  byId("carry-title").textContent = `Numbers that carry ${words(rootStates()[target])}`;
  const most = Math.max(0.5, ...numbers.map(({effect}) => Math.abs(effect) / Math.LN2));
  const rows = numbers.map(({text, hint, value, n, cited, step, effect, moved}) => {
    const after = 1 / (1 + (1 - p) / Math.max(p, 1e-300) * Math.exp(-effect));
    return [[make("div", {}, `${text}: `, make("b", {}, value)), hint && make("div", {class: "muted"}, hint), citation(cited)], short(n), `${value} → ${moved(step)}`,
      [balance(effect / Math.LN2, most), make("span", {class: "number"}, `${signed(effect / Math.LN2, 2)} bits`)], `${percent(p)} → ${percent(after)}`];
  });
  put("carry", make("p", {class: "muted"}, "The numbers of the base to which the answer is most sensitive. Each is moved up by as much as its strength leaves it uncertain (worth n observed cases); what follows is to first order, the others staying as they are."),
    numbers.length ? tableOf("Numbers", ["number", "#n", "a step up", "for or against", "#would be"], rows) : make("p", {}, "None moves it."));
}
