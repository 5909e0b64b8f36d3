// What is set on the page, as evidence and as the end of its address.
let facts = JSON.parse(byId("data").textContent);
let tree = treeOf(facts.network);
// Before the last change of the files: {facts, tree}, or null.
let before = null;
// Means and covariances of the fit; null until they were asked for.
let fit = null;

const TIMES = [1, 2, 5, 10];
const nothingKnown = () => ({units: {}, root: "", ranges: {}, by: "", question: "", times: 1, population: facts.network.reference, target: ""});
let state = nothingKnown();

const rootName = () => facts.network.root;
const rootStates = () => facts.network.states[rootName()];
const variable = (name) => facts.knowledge.variables[name];
// A code such as AU12 stands before its label; a name that the label repeats is left out.
const codeOf = (name) => variable(name).label.toLowerCase().includes(words(name).toLowerCase()) ? "" : words(name);
const labelOf = (name) => [codeOf(name), words(variable(name).label)].filter(Boolean).join(" ");
const observerOf = (given, from = facts) => from.observers.find(({name}) => name === given.by);
const questionOf = (given, from = facts) => observerOf(given, from)?.questions.find(({name}) => name === given.question);
// Whether the observer of the page reports a variable; what is known as a fact may be about any.
const reports = (name) => !state.by || questionOf(state).variables.includes(name);
const middle = ([low, high]) => (low + high) / 2;

// What may be said of the root: its states, or the answers that the observer has for it.
const rootAnswers = (given) => given.by ? observerOf(given).labels[rootName()]?.answers ?? [] : rootStates();

// Everything that is set, by variable: a root state, true or false, [low, high].
function known(given) {
  const all = {...given.units, ...given.ranges};
  if (given.root) all[facts.network.root] = given.root;
  return all;
}

// Rows of evidence, by facts or as an observer's answers. values: as of `known`; of: {facts, tree} to use.
function rowsOf(given, values, of = {facts, tree}) {
  const {network, knowledge} = of.facts, names = Object.keys(values).filter((name) => name in network.states);
  const observer = observerOf(given, of.facts), question = questionOf(given, of.facts);
  if (observer && question) {
    const said = {};
    for (const name of names) said[name] = name in network.edges ? middle(values[name]) : values[name];
    return readingRows(of.tree, knowledge.populations[given.population].p, observer, question, said, given.times);
  }
  const logs = {};
  for (const name of names) logs[name] = possible(of.facts, name, values[name]).map((allowed) => allowed ? 0 : -Infinity);
  return [{logWeight: 0, logs}];
}

// Which states of a variable a value leaves possible.
function possible({network}, name, value) {
  if (name === network.root) return network.states[name].map((text) => text === value);
  if (!(name in network.edges)) return [!value, value];
  const edges = network.edges[name], centres = edges.slice(1).map((edge, i) => (edge + edges[i]) / 2);
  const inside = centres.map((centre) => centre > value[0] - 1e-9 && centre < value[1] + 1e-9);
  if (inside.some(Boolean)) return inside;
  // A range within one bin is that bin.
  const bin = Math.min(Math.max(edges.findLastIndex((edge) => edge <= middle(value) + 1e-9), 0), centres.length - 1);
  return centres.map((_, i) => i === bin);
}

// The page's address says what is set: it can be kept, and sent to others who have the same page.
function addressOf(given) {
  const parts = [];
  const add = (key, value) => parts.push(`${encodeURIComponent(key)}=${encodeURIComponent(value)}`);
  if (given.population !== facts.network.reference) add("population", given.population);
  if (given.by) { add("by", given.by); add("question", given.question); add("times", given.times); }
  if (given.root) add("is", given.root);
  for (const [name, value] of Object.entries(given.units)) add(name, value ? 1 : 0);
  for (const [name, range] of Object.entries(given.ranges)) add(name, range.join("~"));
  if (given.target) add("about", given.target);
  return parts.join("&");
}

function stateAt(address) {
  const given = nothingKnown(), fields = new URLSearchParams(address);
  for (const [key, value] of fields) {
    if (key === "population" && value in facts.knowledge.populations) given.population = value;
    else if (key === "about" && rootStates().includes(value)) given.target = value;
    else if (facts.knowledge.binaries.includes(key) && /^[01]$/.test(value)) given.units[key] = value === "1";
    else if (facts.knowledge.intervals.includes(key)) {
      const range = value.split("~").map(Number), edges = facts.network.edges[key];
      if (range.length === 2 && range.every(Number.isFinite) && range[0] <= range[1]) {
        given.ranges[key] = range.map((end) => Math.min(Math.max(end, edges[0]), edges.at(-1)));
      }
    }
  }
  if (facts.observers.some(({name}) => name === fields.get("by"))) {
    given.by = fields.get("by");
    const {questions} = observerOf(given);
    given.question = questions.some(({name}) => name === fields.get("question")) ? fields.get("question") : questions[0].name;
    given.times = TIMES.includes(Number(fields.get("times"))) ? Number(fields.get("times")) : 1;
  }
  if (rootAnswers(given).includes(fields.get("is"))) given.root = fields.get("is");
  return given;
}

// Examples to begin with: those of the base, and of each root state what it shows more often than not.
function examplesOf(of) {
  const {knowledge, network} = of.facts, given = Object.fromEntries(knowledge.binaries.map((name) => [name, givenRoot(of.tree, name)]));
  const typical = knowledge.binaries.length ? network.states[network.root].map((text, k) => ({name: `typical ${words(text)}`, typical: true,
    values: Object.fromEntries(knowledge.binaries.map((name) => [name, given[name][k][1] > 0.5])), demands: [], statement: ""})) : [];
  const declared = knowledge.examples.map((example) => ({...example, values: Object.fromEntries(
    Object.entries(example.given).map(([name, states]) => [name, valueOf(network, name, states)]))}));
  return [...declared, ...typical];
}

// A value of the page that leaves these states possible.
function valueOf(network, name, states) {
  if (!(name in network.edges)) return states[1] === 1;
  const edges = network.edges[name];
  return [edges[states.indexOf(1)], edges[states.lastIndexOf(1) + 1]];
}

// Whether a demand of an example is met, by its posterior.
function isMet(of, found, {variable: name, state: at, compare, value, states, not_first: notFirst}) {
  const {network} = of.facts;
  if (states) {
    const rival = notFirst ? Math.max(...found.p.filter((_, k) => k !== states[0])) : found.p[states[0]];
    return rival > (notFirst ? found.p[states[0]] : found.p[states[1]]);
  }
  const p = found.marginals[name];
  const figure = at != null ? p[at] : name in network.edges ? meanOf(network, name, p).mean : p[1];
  return {">": figure > value, ">=": figure >= value, "<": figure < value, "<=": figure <= value}[compare];
}

// Mean, standard deviation and the ends of the middle 90 %, values being uniform within bins.
function meanOf(network, name, p) {
  const edges = network.edges[name], width = edges[1] - edges[0], centre = (i) => (edges[i] + edges[i + 1]) / 2;
  const mean = p.reduce((sum, share, i) => sum + share * centre(i), 0);
  const sd = Math.sqrt(Math.max(p.reduce((sum, share, i) => sum + share * (centre(i) - mean) ** 2, 0) + width ** 2 / 12, 0));
  const at = (wanted) => {
    let below = 0;
    for (let i = 0; i < p.length; i++) {
      if (below + p[i] >= wanted) return edges[i] + width * (p[i] > 0 ? (wanted - below) / p[i] : 0);
      below += p[i];
    }
    return edges.at(-1);
  };
  return {mean, sd, low: at(0.05), high: at(0.95)};
}
