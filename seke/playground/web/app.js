// Begins the page; served, it waits for the next version of the base and says what that changed.
const NOTICEABLE = 0.005;

function build() {
  buildControls();
  buildPlane();
  byId("about").textContent = `digest ${facts.knowledge.digest}${facts.knowledge.description ? ` · ${facts.knowledge.description.trim()}` : ""}`;
  showExamples();
}

const outcomeOf = (of, example, given = {...nothingKnown(), population: of.facts.network.reference}) => {
  const found = posterior(of.tree, given.population, rowsOf(given, example.values, of));
  return found && {found, met: example.demands.map((demand) => isMet(of, found, demand))};
};

function showExamples() {
  const now = {facts, tree}, examples = examplesOf(now).filter(({typical}) => !typical);
  byId("examples").parentElement.hidden = !examples.length;
  if (!examples.length) return;
  const rows = examples.map((example) => {
    const outcome = outcomeOf(now, example), [first] = outcome ? firstTwo(outcome.found.p) : [0];
    const holds = outcome && outcome.met.every(Boolean);
    return [make("button", {type: "button", class: "plainly", onclick: () => { open(example); byId("main").scrollIntoView(); }}, words(example.name).replaceAll("-", " ")),
      [make("div", {}, example.statement), make("div", {class: "place"}, example.place)],
      outcome ? `${words(rootStates()[first])} ${percent(outcome.found.p[first])}` : "impossible",
      make("span", {class: `badge role-${holds ? "accept" : "reject"}`}, holds ? "holds" : "fails"),
      example.demands.map((demand, at) => make("div", {class: outcome?.met[at] ? null : "failed"}, demand.text))];
  });
  const held = examples.filter((example) => outcomeOf(now, example)?.met.every(Boolean)).length;
  put("examples", make("p", {class: "muted"}, `${held} of ${examples.length} hold. Press one to set it.`), tableOf("Examples", ["example", "what it says", "what follows", "as wanted", "wanted"], rows));
}

// What a new version changed: entries of the files, and what follows in the examples and of what is set.
function showChanges(changes) {
  const now = {facts, tree}, box = byId("changes");
  const here = {name: "what is set on this page", values: known(state), demands: [], statement: "", here: true};
  const rows = [here, ...examplesOf(before).filter(({typical}) => !typical)].map((example) => {
    const given = example.here ? state : undefined, after = examplesOf(now).find(({name}) => name === example.name) ?? (example.here ? example : null);
    const old = outcomeOf(before, example, given), next = after && outcomeOf(now, after, given);
    if (!old || !next) return null;
    const moves = old.found.p.map((p, k) => {
      const same = rootStates().indexOf(before.facts.network.states[before.facts.network.root][k]);
      return {text: words(before.facts.network.states[before.facts.network.root][k]), old: p, next: same < 0 ? 0 : next.found.p[same]};
    }).sort((a, b) => Math.abs(b.next - b.old) - Math.abs(a.next - a.old));
    const verdict = (met) => met.length ? (met.every(Boolean) ? "holds" : "fails") : "";
    return {example, moves, old: verdict(old.met), next: verdict(next.met), distance: Math.abs(moves[0].next - moves[0].old)};
  }).filter((row) => row && (row.distance >= NOTICEABLE || row.old !== row.next)).sort((a, b) => b.distance - a.distance);
  box.hidden = false;
  box.replaceChildren(make("h2", {id: "changes-title"}, "What the last change of the files did"),
    changes.length ? make("ul", {class: "plain"}, changes.map(({path, text, place}) => make("li", {}, make("b", {}, path), ` ${text} `, make("span", {class: "place"}, place)))) : make("p", {}, "The files say the same as before."),
    rows.length ? tableOf("Changes", ["example", "what moved most", "as wanted"], rows.map(({example, moves, old, next}) => [words(example.name).replaceAll("-", " "),
      moves.slice(0, 2).filter(({old: p, next: q}) => Math.abs(p - q) >= NOTICEABLE).map((move) => make("div", {}, `${move.text} ${percent(move.old)} → ${percent(move.next)}`)),
      old === next ? next : `${old} → ${next}`])) : make("p", {}, "No example, and nothing that is set here, moves by half a percent."));
}

function take(next) {
  const changed = next.changes;
  before = {facts, tree};
  const address = addressOf(state);
  facts = next.facts;
  tree = treeOf(facts.network);
  fit = null;
  state = stateAt(address);
  build();
  showChanges(changed);
  show();
}

function notice(text, fault = false) {
  const box = byId("notice");
  box.className = fault ? "fault" : "";
  box.replaceChildren(...(text ? [make("pre", {}, text)] : []));
}

// Asks the server for what is newer than this page has; the answer comes when there is something.
async function follow() {
  let version = facts.version, failures = 0;
  for (;;) {
    try {
      const reply = await fetch(`next?after=${version}`);
      if (!reply.ok) throw new Error(await reply.text());
      failures = 0;
      const next = await reply.json();
      version = next.version;
      if (next.facts) take(next);
      notice(next.fault || next.busy, Boolean(next.fault));
    } catch {
      failures += 1;
      if (failures > 3) notice("The program that serves this page has ended. The page still works, without news of the files.");
      await new Promise((done) => { setTimeout(done, Math.min(500 * failures, 5000)); });
    }
  }
}

state = stateAt(location.hash.slice(1));
build();
show();
window.addEventListener("hashchange", () => { state = stateAt(location.hash.slice(1)); show(); });
document.documentElement.dataset.ready = "yes";
if (facts.served) follow();
