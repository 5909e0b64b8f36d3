// Exact inference in a compiled network: sums over the cliques of its junction tree, given each root state.
// Tables are (K root states, cells of the clique), rows one after another.

// The coordinate of a node in each of a clique's cells; of a block also that of its cell node.
function coordinates(network, sizes, nodes, name) {
  const at = nodes.indexOf(name), cells = nodes.reduce((product, node) => product * sizes[node], 1);
  if (at < 0) {
    const {parents, function: states} = network.functions[name];
    const block = coordinates(network, sizes, nodes, parents[0]);
    return Uint16Array.from(block, (state) => states[state]);
  }
  const after = nodes.slice(at + 1).reduce((product, node) => product * sizes[node], 1);
  return Uint16Array.from({length: cells}, (_, cell) => Math.floor(cell / after) % sizes[name]);
}

// For each cell of a clique the place in a table over some of its nodes.
function placesIn(network, sizes, nodes, names) {
  const cells = nodes.reduce((product, node) => product * sizes[node], 1), places = new Uint32Array(cells);
  for (const name of names) {
    const states = coordinates(network, sizes, nodes, name), size = sizes[name];
    for (let cell = 0; cell < cells; cell++) places[cell] = places[cell] * size + states[cell];
  }
  return places;
}

const sizeOf = (sizes, names) => names.reduce((product, name) => product * sizes[name], 1);

// The tree of a network: tables, and which cells belong to which state, separator and event.
function treeOf(network) {
  const K = network.states[network.root].length, sizes = {};
  for (const [name, node] of Object.entries({...network.nodes, ...network.functions})) sizes[name] = node.size;
  const tree = {network, K, sizes, cliques: network.cliques.map((clique) => ({
    nodes: clique.nodes,
    cells: sizeOf(sizes, clique.nodes),
    children: clique.children,
    top: !clique.separator.length,
    separators: sizeOf(sizes, clique.separator),
    up: placesIn(network, sizes, clique.nodes, clique.separator),
    down: clique.children.map((child) => placesIn(network, sizes, clique.nodes, network.cliques[child].separator)),
    evidence: clique.evidence.flatMap((node) => network.nodes[node].variables.map((variable) => ({variable,
      state: stateOf(network, sizes, clique.nodes, node, variable)}))),
  }))};
  const logs = tree.cliques.map((clique) => new Float64Array(K * clique.cells));
  for (const {nodes, log} of network.factors) addFactor(tree, logs, nodes, log);
  const linked = Object.entries(network.functions).filter(([, {parents}]) => !isBlock(network, parents[0]));
  for (const [name, {parents, function: states, size}] of linked) {
    const table = states.flatMap((state) => Array.from({length: size}, (_, other) => other === state ? 0 : -Infinity));
    addFactor(tree, logs, [...parents, name], table);
  }
  tree.logScale = new Float64Array(K);
  tree.tables = logs.map((table, at) => {
    const cells = tree.cliques[at].cells;
    for (let k = 0; k < K; k++) {
      const row = table.subarray(k * cells, (k + 1) * cells), peak = row.reduce((most, log) => Math.max(most, log));
      tree.logScale[k] += peak;
      for (let cell = 0; cell < cells; cell++) row[cell] = Math.exp(row[cell] - peak);
    }
    return table;
  });
  tree.derived = Object.entries(network.derived).map(([name, {node, states, state}]) => {
    const clique = tree.cliques.findIndex(({nodes}) => nodes.includes(node));
    const of = coordinates(network, sizes, tree.cliques[clique].nodes, node);
    return {name, states, clique, state: Int16Array.from(of, (value) => state[value])};
  });
  tree.rules = network.rules.map((rule) => ({...rule, condition: eventOf(tree, rule.nodes, rule.condition),
    violated: eventOf(tree, rule.nodes, rule.violated)}));
  tree.prior = passed(tree, {});
  return tree;
}

const isBlock = (network, name) => name in network.nodes && network.nodes[name].cell !== "";

// The value of a variable in each cell of a clique that has its node.
function stateOf(network, sizes, nodes, node, variable) {
  const values = network.nodes[node].values[variable];
  return Uint16Array.from(coordinates(network, sizes, nodes, node), (state) => values[state]);
}

// The first clique that holds these nodes, or -1.
const cliqueWith = (tree, nodes) => tree.cliques.findIndex((clique) => nodes.every((name) => clique.nodes.includes(name)));

function addFactor(tree, tables, nodes, log) {
  const at = cliqueWith(tree, nodes), {cells, nodes: all} = tree.cliques[at];
  const places = placesIn(tree.network, tree.sizes, all, nodes), size = sizeOf(tree.sizes, nodes);
  const rows = log.length / size;
  for (let k = 0; k < tree.K; k++) {
    const row = rows > 1 ? k * size : 0;
    for (let cell = 0; cell < cells; cell++) tables[at][k * cells + cell] += log[row + places[cell]];
  }
}

// A table over some nodes (K or 1 rows) as one of a clique's cells; null where no clique has them all.
function eventOf(tree, nodes, bits) {
  const values = Float64Array.from(bits, Number), size = sizeOf(tree.sizes, nodes), rows = values.length / size;
  if (!nodes.length) return {clique: -1, table: Float64Array.from({length: tree.K}, (_, k) => values[rows > 1 ? k : 0])};
  const at = cliqueWith(tree, nodes);
  if (at < 0) return null;
  const {cells, nodes: all} = tree.cliques[at], places = placesIn(tree.network, tree.sizes, all, nodes);
  const table = new Float64Array(tree.K * cells);
  for (let k = 0; k < tree.K; k++) {
    for (let cell = 0; cell < cells; cell++) table[k * cells + cell] = values[(rows > 1 ? k * size : 0) + places[cell]];
  }
  return {clique: at, table};
}

// Sums out all below the root. evidence: variable -> likelihood of each state. tables: in place of the tree's.
// Returns log of the sum given each root state, and, unless they are not wanted, P(cell | root state, evidence).
function passed(tree, evidence, tables = tree.tables, beliefsToo = true) {
  const {K, cliques} = tree, log = Float64Array.from(tree.logScale), products = [], messages = [];
  cliques.forEach((clique, at) => {
    const {cells, separators, up} = clique, product = Float64Array.from(tables[at]);
    for (const {variable, state} of clique.evidence) {
      const u = evidence[variable];
      if (!u) continue;
      for (let k = 0, i = 0; k < K; k++) for (let cell = 0; cell < cells; cell++, i++) product[i] *= u[state[cell]];
    }
    clique.children.forEach((child, number) => {
      const message = messages[child], places = clique.down[number], size = cliques[child].separators;
      for (let k = 0, i = 0; k < K; k++) for (let cell = 0; cell < cells; cell++, i++) product[i] *= message[k * size + places[cell]];
    });
    const message = new Float64Array(K * separators);
    for (let k = 0, i = 0; k < K; k++) for (let cell = 0; cell < cells; cell++, i++) message[k * separators + up[cell]] += product[i];
    // Each root state's message is scaled, so that many small numbers stay numbers.
    for (let k = 0; k < K; k++) {
      const row = message.subarray(k * separators, (k + 1) * separators);
      const peak = row.reduce((most, value) => Math.max(most, value), 0);
      log[k] += Math.log(peak);
      if (peak > 0) for (let i = 0; i < separators; i++) row[i] /= peak;
    }
    products.push(product);
    messages.push(message);
  });
  if (!beliefsToo) return {log};
  for (let at = cliques.length - 1; at >= 0; at--) {
    const {cells, top} = cliques[at], belief = products[at];
    if (top) for (let k = 0; k < K; k++) normalise(belief.subarray(k * cells, (k + 1) * cells));
    cliques[at].children.forEach((child, number) => {
      const places = cliques[at].down[number], {separators: size, cells: childCells, up} = cliques[child];
      const pull = new Float64Array(K * size), sums = new Float64Array(K * size), below = products[child];
      for (let k = 0, i = 0; k < K; k++) for (let cell = 0; cell < cells; cell++, i++) pull[k * size + places[cell]] += belief[i];
      for (let k = 0, i = 0; k < K; k++) for (let cell = 0; cell < childCells; cell++, i++) sums[k * size + up[cell]] += below[i];
      for (let i = 0; i < pull.length; i++) pull[i] = sums[i] > 0 ? pull[i] / sums[i] : 0;
      for (let k = 0, i = 0; k < K; k++) for (let cell = 0; cell < childCells; cell++, i++) below[i] *= pull[k * size + up[cell]];
    });
  }
  return {log, beliefs: products};
}

function normalise(row) {
  let sum = 0;
  for (const value of row) sum += value;
  if (sum > 0) for (let i = 0; i < row.length; i++) row[i] /= sum;
}

const logSum = (logs) => {
  const peak = Math.max(...logs);
  return peak === -Infinity ? peak : peak + Math.log(logs.reduce((sum, log) => sum + Math.exp(log - peak), 0));
};

// P(root state, row) of rows of evidence, each {logWeight, logs: variable -> log-likelihoods}.
// log: (rows) of arrays (K), with the population's prior and evidence about the root; logZ: of all.
function rootOf(tree, population, rows, beliefsToo = true) {
  const {network} = tree;
  const parts = rows.map(({logWeight, logs}) => {
    const evidence = {};
    let shift = logWeight;
    for (const [name, values] of Object.entries(logs)) {
      if (name === network.root) continue;
      const peak = Math.max(...values);
      shift += peak;
      evidence[name] = values.map((value) => peak === -Infinity ? 0 : Math.exp(value - peak));
    }
    const pass = Object.keys(evidence).length ? passed(tree, evidence, tree.tables, beliefsToo) : tree.prior;
    const ofRoot = logs[network.root];
    const log = Array.from(pass.log, (value, k) => value + network.log_prior[population][k] + shift + (ofRoot ? ofRoot[k] : 0));
    return {log, beliefs: pass.beliefs};
  });
  const logZ = logSum(parts.flatMap(({log}) => log));
  const shares = parts.map(({log}) => log.map((value) => logZ === -Infinity ? 0 : Math.exp(value - logZ)));
  return {parts, shares, logZ, p: network.log_prior[population].map((_, k) => shares.reduce((sum, row) => sum + row[k], 0))};
}

// All posteriors given rows of evidence; null where the base excludes the evidence.
function posterior(tree, population, rows) {
  const {network, K, cliques} = tree, {parts, shares, logZ, p} = rootOf(tree, population, rows);
  if (logZ === -Infinity) return null;
  // P(root state, cell | evidence) of each clique.
  const joint = cliques.map(({cells}, at) => {
    const total = new Float64Array(K * cells);
    parts.forEach(({beliefs}, row) => {
      for (let k = 0, i = 0; k < K; k++) for (let cell = 0; cell < cells; cell++, i++) total[i] += shares[row][k] * beliefs[at][i];
    });
    return total;
  });
  const marginals = {[network.root]: p};
  cliques.forEach(({cells, evidence}, at) => {
    for (const {variable, state} of evidence) {
      const sums = new Array(network.states[variable].length).fill(0);
      for (let k = 0, i = 0; k < K; k++) for (let cell = 0; cell < cells; cell++, i++) sums[state[cell]] += joint[at][i];
      marginals[variable] = sums;
    }
  });
  for (const {name, states, clique, state} of tree.derived) {
    const sums = new Array(states.length).fill(0), {cells} = cliques[clique];
    for (let k = 0, i = 0; k < K; k++) for (let cell = 0; cell < cells; cell++, i++) if (state[cell] >= 0) sums[state[cell]] += joint[clique][i];
    marginals[name] = sums;
  }
  const probability = (event) => event && (event.clique < 0 ? event.table.reduce((sum, value, k) => sum + value * p[k], 0)
    : event.table.reduce((sum, value, i) => sum + value * joint[event.clique][i], 0));
  const rules = tree.rules.map(({condition, violated}) => ({fires: probability(condition), violated: probability(violated)}));
  return {p, marginals, joint, rules, logZ, rows: shares.map((row) => row.reduce((sum, share) => sum + share, 0))};
}

// P(state of a variable | root state) by the knowledge alone: rows of root states.
function givenRoot(tree, variable) {
  const size = tree.network.states[variable].length, rows = [];
  tree.cliques.forEach(({cells, evidence}, at) => {
    const own = evidence.find((entry) => entry.variable === variable);
    if (!own) return;
    for (let k = 0; k < tree.K; k++) {
      const row = new Array(size).fill(0);
      for (let cell = 0; cell < cells; cell++) row[own.state[cell]] += tree.prior.beliefs[at][k * cells + cell];
      rows.push(row);
    }
  });
  return rows;
}
