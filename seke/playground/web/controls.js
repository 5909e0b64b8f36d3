// What can be set: by radio buttons, lists and sliders, all of them by keyboard.
const choice = (value, text, chosen) => make("option", {value, selected: chosen}, text);

function change(part) {
  state = {...state, ...part};
  if (!rootAnswers(state).includes(state.root)) state.root = "";
  show();
}

function buildControls() {
  const {knowledge, network, observers} = facts;
  const population = byId("population");
  population.replaceChildren(...Object.keys(knowledge.populations).map((name) => choice(name, words(name))));
  population.onchange = () => change({population: population.value});
  byId("reset").onclick = () => { state = nothingKnown(); show(); };
  byId("link").onclick = copyLink;
  put("asked", exampleControl(), observers.length > 0 && observerControl(),
    field("root", words(variable(rootName()).label), make("select", {id: "is", onchange: () => change({root: byId("is").value})})),
    knowledge.intervals.map(intervalControl),
    make("div", {id: "units"}, knowledge.binaries.map(unitControl)));
}

const field = (id, text, ...children) => make("div", {class: "field", id: `field-${id}`},
  make("label", {for: children[0]?.id ?? null}, text), children, make("p", {class: "muted unreported", hidden: true}, "not asked about in this question"));

function exampleControl() {
  const examples = examplesOf({facts, tree}), list = make("select", {id: "example"}, choice("", "choose one"));
  const group = (label, typical) => {
    const members = examples.map((example, at) => [example, at]).filter(([example]) => Boolean(example.typical) === typical);
    if (members.length) list.append(make("optgroup", {label}, members.map(([example, at]) => choice(at, example.statement || words(example.name).replaceAll("-", " ")))));
  };
  group("Examples of the base", false);
  group("What each shows more often than not", true);
  list.onchange = () => { if (list.value) open(examples[Number(list.value)]); };
  return examples.length > 0 && field("example", "Begin with an example", list);
}

function open(example) {
  const kept = {population: state.population, by: "", question: "", times: 1};
  state = {...nothingKnown(), ...kept};
  for (const [name, value] of Object.entries(example.values)) {
    if (name in facts.network.edges) state.ranges[name] = value; else state.units[name] = value;
  }
  show();
}

function observerControl() {
  const by = make("select", {id: "by"}, choice("", "known facts"), facts.observers.map(({name, label}) => choice(name, `the answers of: ${label}`)));
  const question = make("select", {id: "question"}), times = make("select", {id: "times"}, TIMES.map((count) => choice(count, count === 1 ? "once" : `${count} times alike`)));
  by.onchange = () => change({by: by.value, question: by.value ? facts.observers.find(({name}) => name === by.value).questions[0].name : "", times: 1});
  question.onchange = () => change({question: question.value});
  times.onchange = () => change({times: Number(times.value)});
  return make("div", {class: "field", id: "field-by"}, make("label", {for: "by"}, "Taken as"), by,
    make("div", {class: "asking"}, make("label", {for: "question"}, "asked"), question, times));
}

function intervalControl(name) {
  const edges = facts.network.edges[name], step = (edges[1] - edges[0]) / 2, ends = {min: edges[0], max: edges.at(-1), step};
  const set = make("input", {type: "checkbox", id: `set-${name}`});
  const slider = (id, label) => make("input", {type: "range", id: `${id}-${name}`, "aria-label": label, ...ends});
  const low = slider("low", `${variable(name).label} at least`), high = slider("high", `${variable(name).label} at most`), text = make("output", {id: `text-${name}`});
  const write = (values) => change({ranges: {...state.ranges, [name]: values}});
  set.onchange = () => {
    const ranges = {...state.ranges};
    if (set.checked) ranges[name] = state.by ? [0, 0].map(() => middle([edges[0], edges.at(-1)])) : [middle([edges[0], edges.at(-1)]), edges.at(-1)];
    else delete ranges[name];
    change({ranges});
  };
  low.oninput = () => write([Number(low.value), state.by ? Number(low.value) : Math.max(Number(low.value), Number(high.value))]);
  high.oninput = () => write([Math.min(Number(low.value), Number(high.value)), Number(high.value)]);
  return make("div", {class: "field interval", id: `field-${name}`}, make("label", {class: "inline"}, set, words(variable(name).label)), text,
    make("div", {class: "sliders", id: `sliders-${name}`}, low, high), make("p", {class: "muted unreported", hidden: true}, "not asked about in this question"));
}

const UNIT_WORDS = [["", "not asked"], ["1", "seen"], ["0", "not seen"]];

function unitControl(name) {
  const {label, description, about} = variable(name);
  const radios = UNIT_WORDS.map(([value, text]) => make("label", {class: `way way-${value || "none"}`},
    make("input", {type: "radio", name, value, onchange: () => {
      const units = {...state.units};
      if (value) units[name] = value === "1"; else delete units[name];
      change({units});
    }}), make("span", {}, text)));
  const more = [about.muscle && `Muscle: ${about.muscle}.`, description, about.rest && `At rest: ${about.rest}`].filter(Boolean);
  return make("fieldset", {class: "unit", id: `field-${name}`}, make("legend", {class: "unseen"}, labelOf(name)),
    make("details", {}, make("summary", {}, make("b", {}, codeOf(name) || words(label)), codeOf(name) && ` ${words(label)}`), more.map((text) => make("p", {class: "muted"}, text))),
    make("div", {class: "ways"}, radios),
    make("div", {class: "belief", id: `belief-${name}`}, meter(0), make("span", {class: "number"})));
}

// Sets all controls to what the state says.
function showControls() {
  const observer = observerOf(state);
  byId("population").value = state.population;
  byId("is").replaceChildren(...["", ...rootAnswers(state)].map((text) => choice(text, text ? words(text) : "not asked", text === state.root)));
  if (byId("example")) byId("example").value = "";
  if (byId("by")) {
    byId("by").value = state.by;
    byId("field-by").querySelector(".asking").hidden = !observer;
    byId("question").replaceChildren(...(observer?.questions ?? []).map(({name, label}) => choice(name, label, name === state.question)));
    byId("times").value = String(state.times);
  }
  for (const name of [rootName(), ...facts.knowledge.intervals, ...facts.knowledge.binaries]) {
    const box = byId(name === rootName() ? "field-root" : `field-${name}`), note = box.querySelector(".unreported"), known = reports(name);
    box.classList.toggle("off", !known);
    if (note) note.hidden = known;
    for (const control of box.querySelectorAll("input, select")) control.disabled = !known;
  }
  for (const name of facts.knowledge.binaries) {
    const value = name in state.units ? String(Number(state.units[name])) : "";
    byId(`field-${name}`).querySelector(`input[value="${value}"]`).checked = true;
  }
  for (const name of facts.knowledge.intervals) {
    const range = state.ranges[name], edges = facts.network.edges[name];
    byId(`set-${name}`).checked = Boolean(range);
    byId(`sliders-${name}`).hidden = !range;
    byId(`high-${name}`).hidden = Boolean(state.by);
    if (range) {
      byId(`low-${name}`).value = state.by ? middle(range) : range[0];
      byId(`high-${name}`).value = range[1];
    }
    byId(`text-${name}`).textContent = range ? rangeText(name, range) : "not asked";
    byId(`low-${name}`).setAttribute("aria-label", state.by ? variable(name).label : `${variable(name).label} at least`);
    byId(`low-${name}`).max = edges.at(-1);
  }
}

async function copyLink() {
  const button = byId("link");
  try {
    await navigator.clipboard.writeText(`${location.href.split("#")[0]}#${addressOf(state)}`);
    button.textContent = "Copied";
  } catch {
    // Without leave to write to the clipboard the address bar has the link all the same.
    button.textContent = "See the address bar";
  }
  setTimeout(() => { button.textContent = "Copy link"; }, 2000);
}
