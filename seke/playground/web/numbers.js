// How far each declared number carries an answer: derivatives of a root state's log-odds through the fit of the
// network, by the adjoint method, as `engine.analysis.adjoint` has them.

// Means and covariances of the features that the fit is about, given each root state; null where there are none.
function featuresOf(tree, knowledge) {
  const {network, K, cliques} = tree;
  if (!cliques.length) return null;
  const features = [], wide = (clique, value) => {
    const {cells} = cliques[clique], table = new Float64Array(K * cells);
    for (let k = 0, i = 0; k < K; k++) for (let cell = 0; cell < cells; cell++, i++) table[i] = value(k, cell);
    features.push({clique, table});
  };
  for (const name of knowledge.binaries) {
    const clique = cliqueWith(tree, [name]), state = coordinates(network, tree.sizes, cliques[clique].nodes, name);
    wide(clique, (k, cell) => state[cell]);
  }
  const block = Object.keys(network.nodes).find((name) => network.nodes[name].variables[0] in network.edges);
  if (block) {
    const clique = cliqueWith(tree, [block]), z = knowledge.intervals.map((name, i) => {
      const edges = network.edges[name], state = stateOf(network, tree.sizes, cliques[clique].nodes, block, name);
      return (k, cell) => ((edges[state[cell]] + edges[state[cell] + 1]) / 2 - knowledge.moments[k].mean[i]) / knowledge.moments[k].sd[i];
    });
    z.forEach((first) => wide(clique, first));
    z.forEach((first, i) => z.slice(i).forEach((second) => wide(clique, (k, cell) => first(k, cell) * second(k, cell))));
  }
  const local = features.length, fitted = tree.rules.filter(({status}) => status !== "decided");
  for (const {condition, violated, confidence} of fitted) {
    wide(condition.clique, (k, cell) => {
      const i = k * cliques[condition.clique].cells + cell;
      return condition.table[i] * (1 - violated.table[i] - confidence);
    });
  }
  for (const {condition} of fitted) features.push(condition);
  for (const {pair} of knowledge.couplings) {
    const clique = cliqueWith(tree, pair), [first, second] = pair.map((name) => coordinates(network, tree.sizes, cliques[clique].nodes, name));
    wide(clique, (k, cell) => first[cell] * second[cell]);
  }
  const mean = meansOf(tree, features, tree.prior.beliefs);
  // One feature after the other tilts the tables: E[f g] = E[g | tilted by f] E[f]. A shift keeps tables positive.
  const moved = local + fitted.length, covariance = Array.from({length: K}, () => []);
  for (let i = 0; i < moved; i++) {
    const {clique, table} = features[i], shift = 1 - table.reduce((least, value) => Math.min(least, value), 0);
    const tables = tree.tables.map((own, at) => at === clique ? own.map((value, cell) => value * (table[cell] + shift)) : own);
    const tilted = meansOf(tree, features, passed(tree, {}, tables).beliefs);
    for (let k = 0; k < K; k++) {
      covariance[k].push(tilted[k].map((value, j) => value * (mean[k][i] + shift) - shift * mean[k][j] - mean[k][i] * mean[k][j]));
    }
  }
  return {features, local, fitted, mean, ...arrowOf(knowledge.populations[network.reference].p, covariance, local, fitted)};
}

const meansOf = (tree, features, beliefs) => Array.from({length: tree.K}, (_, k) => features.map(({clique, table}) => {
  const {cells} = tree.cliques[clique], belief = beliefs[clique];
  let sum = 0;
  for (let i = k * cells; i < (k + 1) * cells; i++) sum += belief[i] * table[i];
  return sum;
}));

// The Hessian of the fit in parts: a block of each root state's local parameters, and rules that tie these.
function arrowOf(weights, covariance, local, fitted) {
  const which = fitted.flatMap(({status}, number) => status === "met" ? [local + number] : []);
  const size = weights.length * local + which.length;
  let trace = 0;
  weights.forEach((weight, k) => { for (let i = 0; i < local; i++) trace += weight * covariance[k][i][i]; });
  const square = which.map((i) => which.map((j) => weights.reduce((sum, weight, k) => sum + weight * covariance[k][i][j], 0)));
  square.forEach((row, i) => { trace += row[i]; });
  const ridge = 1e-11 * trace / size;
  const blocks = weights.map((weight, k) => inverse(Array.from({length: local}, (_, i) =>
    Array.from({length: local}, (_, j) => weight * covariance[k][i][j] + (i === j ? ridge : 0)))));
  const ties = weights.map((weight, k) => Array.from({length: local}, (_, i) => which.map((j) => weight * covariance[k][i][j])));
  const carried = blocks.map((block, k) => block.map((row) => which.map((_, j) => row.reduce((sum, value, i) => sum + value * ties[k][i][j], 0))));
  square.forEach((row, i) => row.forEach((_, j) => {
    row[j] += i === j ? ridge : 0;
    for (let k = 0; k < weights.length; k++) for (let l = 0; l < local; l++) row[j] -= ties[k][l][i] * carried[k][l][j];
  }));
  return {weights, covariance, which, blocks, carried, schur: inverse(square)};
}

// The inverse of a positive definite matrix, by Gauss and Jordan.
function inverse(matrix) {
  const size = matrix.length, rows = matrix.map((row, i) => [...row, ...row.map((_, j) => Number(i === j))]);
  for (let i = 0; i < size; i++) {
    let pivot = i;
    for (let r = i + 1; r < size; r++) if (Math.abs(rows[r][i]) > Math.abs(rows[pivot][i])) pivot = r;
    [rows[i], rows[pivot]] = [rows[pivot], rows[i]];
    const scale = rows[i][i];
    for (let j = i; j < 2 * size; j++) rows[i][j] /= scale;
    for (let r = 0; r < size; r++) {
      const factor = rows[r][i];
      if (r !== i && factor) for (let j = i; j < 2 * size; j++) rows[r][j] -= factor * rows[i][j];
    }
  }
  return rows.map((row) => row.slice(size));
}

// Derivatives (nats) of the log-odds of a root state against the others, given rows of evidence.
// cells: binary -> by root state; means: by root state and interval; couplings: by the log of the odds ratio;
// rules: by the confidence; without: name of a rule or coupling -> the change to first order if it were left out.
function slopesOf(tree, knowledge, fit, evidence, target) {
  const {parts, shares, p} = evidence, {features, local, fitted, mean, weights, covariance, which, blocks, carried, schur} = fit;
  const K = tree.K, others = Math.max(1 - p[target], 1e-12);
  const contrast = p.map((value, k) => k === target ? 1 : -value / others);
  const after = Array.from({length: K}, () => new Array(features.length).fill(0));
  parts.forEach(({beliefs}, row) => meansOf(tree, features, beliefs).forEach((means, k) => {
    const share = p[k] > 0 ? shares[row][k] / p[k] : 0;
    means.forEach((value, i) => { after[k][i] += share * value; });
  }));
  const u = after.map((row, k) => row.map((value, i) => contrast[k] * (value - (p[k] > 0 ? mean[k][i] : value))));
  const first = blocks.map((block, k) => block.map((row) => row.reduce((sum, value, i) => sum + value * u[k][i], 0)));
  const right = which.map((i, r) => u.reduce((sum, row) => sum + row[i], 0)
    - carried.reduce((sum, block, k) => sum + block.reduce((inner, row, l) => inner + row[r] * u[k][l], 0), 0));
  const ofRules = schur.map((row) => row.reduce((sum, value, i) => sum + value * right[i], 0));
  const y = first.map((row, k) => row.map((value, l) => value - carried[k][l].reduce((sum, tie, r) => sum + tie * ofRules[r], 0)));
  const tilted = (i) => u.reduce((sum, row) => sum + row[i], 0) - weights.reduce((sum, weight, k) => {
    const locals = y[k].reduce((inner, value, l) => inner + value * covariance[k][l][i], 0);
    return sum + weight * which.reduce((inner, rule, r) => inner + ofRules[r] * covariance[k][rule][i], locals);
  }, 0);
  const slopes = {cells: {}, means: [], couplings: {}, rules: {}, without: {}};
  knowledge.binaries.forEach((name, j) => { slopes.cells[name] = weights.map((weight, k) => weight * y[k][j]); });
  slopes.means = weights.map((weight, k) => knowledge.intervals.map((_, i) =>
    weight * y[k][knowledge.binaries.length + i] / knowledge.moments[k].sd[i]));
  fitted.forEach(({name, status, weight, p_if}, number) => {
    const at = which.indexOf(local + number);
    slopes.rules[name] = status === "met" ? -weight * tilted(local + fitted.length + number) + ofRules[at] * p_if : 0;
    slopes.without[name] = status === "met" ? -weight * ofRules[at] / schur[at][at] : -weight * tilted(local + number);
  });
  knowledge.couplings.forEach(({name, odds_ratio: ratio}, number) => {
    slopes.couplings[name] = tilted(local + 2 * fitted.length + number);
    slopes.without[name] = -Math.log(ratio) * slopes.couplings[name];
  });
  return slopes;
}
