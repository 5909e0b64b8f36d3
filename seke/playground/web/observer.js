// The likelihood of one reading of an observer: one question, asked once or several times with the same answers.

const LEAST = 1e-300;

// The normal distribution function: a series near 0, a continued fraction in the tails.
function normalBelow(z) {
  const x = Math.abs(z);
  if (x < 3) {
    let term = x, sum = x;
    for (let n = 1; term > 1e-17 * sum; n++) { term *= x * x / (2 * n + 1); sum += term; }
    return 0.5 + Math.sign(z) * sum * Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
  }
  let fraction = 0;
  for (let n = 200; n > 0; n--) fraction = n / (x + fraction);
  const tail = Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI) / (x + fraction);
  return z > 0 ? 1 - tail : tail;
}

// log Σ_m mix[x][m] exp(logs[m]) of each row x.
function logMixture(logs, mix) {
  const peak = Math.max(...logs);
  return mix.map((row) => Math.log(Math.max(row.reduce((sum, share, m) => sum + share * Math.exp(logs[m] - peak), 0), LEAST)) + peak);
}

// log P(the same answer so many times | type) of labels whose draws scatter by Dirichlet counts alpha.
function labelLogs(instrument, question, answer, times) {
  const alpha = instrument.by_question[question] ?? instrument.alpha;
  return alpha.map((row) => {
    const mass = row.reduce((sum, count) => sum + count, 0);
    let log = 0;
    for (let draw = 0; draw < times; draw++) log += Math.log((row[answer] + draw) / (mass + draw));
    return log;
  });
}

// P(what a reading brings out | bin), rows of bins, and log P(an answer | what it brings out).
function numberKernel(instrument, edges) {
  const [first, last, count] = instrument.cuts, low = edges[0], high = edges.at(-1), sigma = instrument.perception;
  const cuts = Array.from({length: count}, (_, i) => first + (last - first) * i / (count - 1));
  const inner = cuts.slice(1, -1);
  const integral = edges.map((edge) => inner.map((cut) => {
    const z = (cut - edge) / sigma;
    return z * normalBelow(z) + Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI);
  }));
  const clip = (value, least, most) => Math.min(Math.max(value, least), most);
  const mix = edges.slice(1).map((_, bin) => {
    const spread = sigma / (edges[bin + 1] - edges[bin]);
    const below = [0, ...inner.map((_, i) => clip(spread * (integral[bin][i] - integral[bin + 1][i]), 0, 1)), 1];
    return below.slice(1).map((value, i) => {
      const even = (clip(cuts[i + 1], low, high) - clip(cuts[i], low, high)) / (high - low);
      return (1 - instrument.stray) * Math.max(value - below[i], 0) + instrument.stray * even;
    });
  });
  const nodes = cuts.slice(1).map((cut, i) => (cut + cuts[i]) / 2), half = instrument.grid / 2, far = 1e3 * (high - low);
  const logs = (value) => {
    const lower = value <= low + 1e-9 ? low - far : value - half, upper = value >= high - 1e-9 ? high + far : value + half;
    const apart = instrument.nothing - value, isNothing = Number(-half <= apart && apart < half);
    const width = (Math.min(upper, high) - Math.max(lower, low)) / (high - low);
    return nodes.map((node) => {
      const centre = instrument.gain * node + instrument.offset;
      const inside = normalBelow((upper - centre) / instrument.noise) - normalBelow((lower - centre) / instrument.noise);
      const likely = instrument.slip * width + (1 - instrument.slip) * ((1 - instrument.blank) * inside + instrument.blank * isNothing);
      return Math.log(Math.max(likely, LEAST));
    });
  };
  return {mix, logs};
}

// The types that a label brings with it: P(type | root state that is named), and overall for a label that names none.
function impliedTypes(tree, prior, observer, name, mix) {
  const table = givenRoot(tree, name), states = tree.network.states[tree.network.root];
  states.forEach((state, k) => {
    const p = observer.stereotype[state]?.[name];
    if (p != null) table[k] = [1 - p, p];
  });
  table.push(table[0].map((_, state) => prior.reduce((sum, share, k) => sum + share * table[k][state], 0)));
  const labels = observer.labels[name];
  if (labels) return table.map((row) => labels.answer_of.map((answer, m) => row[answer] * labels.share[m]));
  return table.map((row) => mix[0].map((_, m) => row.reduce((sum, p, state) => sum + p * mix[state][m], 0)));
}

// Rows of evidence: the answers come from the item, or, with the probability of halo, from the label.
// prior: P(root state) of the population. said: variable -> answer: a root state by name, true or false, a number.
function readingRows(tree, prior, observer, question, said, times) {
  const {network} = tree, root = network.root, logs = {}, types = {}, followed = [];
  for (const [name, answer] of Object.entries(said)) {
    const number = observer.numbers[name], labels = observer.labels[name];
    if (!question.variables.includes(name)) continue;
    const kernel = number ? numberKernel(number, network.edges[name]) : null;
    const place = labels && labels.answers.indexOf(name === root ? answer : String(answer));
    const ofType = number ? kernel.logs(answer).map((log) => times * log) : labelLogs(labels, question.name, place, times);
    const mix = number ? kernel.mix : labels.mix;
    types[name] = ofType;
    logs[name] = logMixture(ofType, mix).map((log) => observer.exponent * log);
    if (name !== root && question.halo) followed.push(logMixture(ofType, impliedTypes(tree, prior, observer, name, mix)));
  }
  const own = observer.labels[root];
  if (!followed.length || !own) return [{logWeight: 0, logs}];
  const states = network.states[root], named = own.answer_of.map((answer) => {
    const state = states.indexOf(own.answers[answer]);
    return state < 0 ? states.length : state;
  });
  const ofType = named.map((state, m) => (types[root]?.[m] ?? 0) + followed.reduce((sum, log) => sum + log[state], 0));
  const following = {logWeight: Math.log(question.halo), logs: {[root]: logMixture(ofType, own.mix).map((log) => observer.exponent * log)}};
  return question.halo >= 1 ? [following] : [{logWeight: Math.log1p(-question.halo), logs}, following];
}
