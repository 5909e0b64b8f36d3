const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const fields = Object.fromEntries(data.fields.map((field) => [field.name, field]));
// Keys of units, in the order of the keyboard; those of commands are left out.
const UNIT_KEYS = [..."qwertyiopasdfghjkl"].filter((key) => key !== "p");
const NUMBER_KEYS = [..."vbmc"];
// Everything that this person answered: task -> answer.
let answers = {};
let annotator = "";
let place = 0;
// The answer that is being given: values, and whether the prediction was shown.
let draft = { values: {}, shown: false };
let since = 0;

const task = () => data.tasks[place];
const storeName = () => `seke-review ${data.id} ${annotator}`;
const made = (tag, options, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options || {})) {
    if (name in element && name !== "list") element[name] = value; else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
};
const say = (text) => { byId("message").textContent = text; };

// Storage: the server, or this browser ------------------------------------------------------------

async function readAnswers() {
  if (!data.served) return JSON.parse(localStorage.getItem(storeName()) || "{}");
  const reply = await fetch(`answers?annotator=${encodeURIComponent(annotator)}`);
  if (!reply.ok) throw new Error(await reply.text());
  const stored = {};
  for (const line of (await reply.text()).split("\n")) {
    if (line) { const answer = JSON.parse(line); stored[answer.task] = answer; }
  }
  return stored;
}

async function keepAnswer(answer) {
  if (data.served) {
    const reply = await fetch("answer", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(answer),
    });
    if (!reply.ok) throw new Error(await reply.text());
  } else {
    // Another tab may have answered meanwhile.
    answers = { ...answers, ...await readAnswers() };
    localStorage.setItem(storeName(), JSON.stringify({ ...answers, [answer.task]: answer }));
  }
  answers[answer.task] = answer;
}

function download() {
  const lines = Object.values(answers).map((answer) => JSON.stringify(answer) + "\n");
  const link = made("a", { href: URL.createObjectURL(new Blob(lines, { type: "application/x-ndjson" })) });
  link.download = `answers-${annotator.replace(/[^\w-]+/g, "-")}.jsonl`;
  document.body.append(link);
  link.click();
  link.remove();
}

// Fields ------------------------------------------------------------------------------------------

function choice(field, keys) {
  const hint = made("p", { className: "muted hint" });
  const box = made("div", { className: "choices", role: "radiogroup" });
  box.setAttribute("aria-label", field.label);
  field.options.forEach((option, number) => {
    const key = number < 10 ? String((number + 1) % 10) : "";
    const button = made("button", { type: "button", role: "radio", title: option.description }, option.value);
    if (key) { button.append(made("kbd", {}, key)); keys[key] = () => button.click(); }
    button.dataset.value = option.value;
    button.onclick = () => { draft.values[field.name] = option.value; hint.textContent = option.description; paint(); };
    box.append(button);
  });
  box.paint = () => {
    for (const button of box.children) {
      button.setAttribute("aria-checked", String(draft.values[field.name] === button.dataset.value));
    }
  };
  return made("div", { className: "field" }, made("h3", {}, field.label), box, hint);
}

// One unit alone is a choice of two, and its place may be hidden.
function unit(field, keys) {
  const options = [[true, "present", "1"], [false, "absent", "2"], [null, "cannot be seen", "3"]];
  const box = made("div", { className: "choices", role: "radiogroup" });
  box.setAttribute("aria-label", field.label);
  for (const [value, text, key] of options) {
    const button = made("button", { type: "button", role: "radio" }, text, made("kbd", {}, key));
    button.value = String(value);
    button.onclick = () => { draft.values[field.name] = value; paint(); };
    keys[key] = () => button.click();
    box.append(button);
  }
  box.paint = () => {
    for (const button of box.children) button.setAttribute("aria-checked", String(String(draft.values[field.name]) === button.value));
  };
  return made("div", { className: "field" }, made("h3", {}, field.label), box, made("p", { className: "muted hint" }, field.description || ""));
}

function units(list, keys) {
  const hint = made("p", { className: "muted hint" }, "Mark what is there. Again, or Shift and the key: its place cannot be seen.");
  const box = made("div", { className: "units" });
  list.forEach((field, number) => {
    const key = UNIT_KEYS[number] || "";
    const button = made("button", { type: "button", title: field.description || "" }, field.label);
    if (key) button.append(made("kbd", {}, key));
    const set = (value) => {
      draft.values[field.name] = value;
      hint.textContent = field.description || "";
      paint();
    };
    const toggle = (value) => set(draft.values[field.name] === value ? false : value);
    // By touch there is no Shift: absent, there, cannot be seen, absent.
    button.onclick = () => set(new Map([[false, true], [true, null], [null, false]]).get(draft.values[field.name]));
    if (key) { keys[key] = () => toggle(true); keys[key.toUpperCase()] = () => toggle(null); }
    button.dataset.name = field.name;
    box.append(button);
  });
  box.paint = () => {
    for (const button of box.children) {
      const value = draft.values[button.dataset.name];
      button.setAttribute("aria-pressed", String(value === true));
      button.dataset.hidden = value === null ? "yes" : "no";
    }
  };
  return made("div", { className: "field" }, made("h3", {}, "What is there?"), box, hint);
}

function number(field, key, keys) {
  const id = `number-${field.name}`;
  const range = made("input", { type: "range", id, min: field.low, max: field.high, step: field.step });
  const output = made("output", { htmlFor: id });
  const hint = made("p", { className: "muted hint" });
  const set = () => { draft.values[field.name] = Math.round(range.value * 1e4) / 1e4; paint(); };
  range.oninput = set;
  range.onpointerup = set;
  range.onkeydown = (event) => { if (event.key === " ") { event.preventDefault(); set(); } };
  if (key) keys[key] = () => range.focus();
  const box = made("div", { className: "number" }, range, output,
    made("div", { className: "ends muted" }, made("span", {}, String(field.low)), made("span", {}, "0"), made("span", {}, String(field.high))));
  box.paint = () => {
    const value = draft.values[field.name];
    range.dataset.set = value === undefined ? "no" : "yes";
    range.value = value === undefined ? (field.low + field.high) / 2 : value;
    output.textContent = value === undefined ? "–" : value.toFixed(2);
    // The point of the scale that is next to the value; texts begin with their number.
    const away = (text) => Math.abs(parseFloat(text) - value);
    hint.textContent = value === undefined ? field.description
      : [...field.anchors].sort((a, b) => away(a) - away(b))[0] || field.description;
  };
  const label = made("label", { htmlFor: id }, field.label + " ");
  if (key) label.append(made("kbd", {}, key));
  return made("div", { className: "field" }, made("h3", {}, label), box, hint);
}

let fieldKeys = {};

function drawFields() {
  const asked = task().asks.map((name) => fields[name]).filter(Boolean);
  const binary = asked.filter((field) => field.kind === "binary");
  const numbers = asked.filter((field) => field.kind === "interval");
  fieldKeys = {};
  const parts = asked.filter((field) => field.options).map((field) => choice(field, fieldKeys));
  if (binary.length === 1) parts.push(unit(binary[0], fieldKeys));
  if (binary.length > 1) parts.push(units(binary, fieldKeys));
  parts.push(...numbers.map((field, at) => number(field, NUMBER_KEYS[at], fieldKeys)));
  byId("fields").replaceChildren(...parts);
}

function paint() {
  for (const box of byId("fields").querySelectorAll(".choices, .units, .number")) box.paint();
}

// Of several units those that are not marked are absent; of one alone that is said.
function blank() {
  const binary = task().asks.filter((name) => fields[name].kind === "binary");
  return Object.fromEntries(binary.length > 1 ? binary.map((name) => [name, false]) : []);
}

// Walking -----------------------------------------------------------------------------------------

function show(at) {
  place = Math.max(0, Math.min(at, data.tasks.length));
  const finished = place === data.tasks.length;
  byId("work").hidden = finished;
  byId("done").hidden = !finished;
  byId("save").hidden = byId("save-all").hidden = data.served;
  count();
  if (finished) { sumUp(); return; }
  const earlier = answers[task().task];
  draft = { values: earlier ? { ...blank(), ...earlier.values } : blank(), shown: Boolean(earlier && earlier.shown) };
  byId("picture").src = task().picture;
  byId("item").textContent = `face ${place + 1} of ${data.tasks.length}`;
  byId("state").textContent = earlier ? { ok: "answered", refused: "skipped", not_judged: "cannot be judged" }[earlier.status] : "";
  byId("ask").textContent = task().ask;
  drawFields();
  paint();
  showBelief();
  say("");
  warned = -1;
  since = performance.now();
  window.scrollTo(0, 0);
  const range = byId("fields").querySelector("input[type=range]");
  if (range && !byId("fields").querySelector(".choices, .units")) range.focus(); else document.activeElement.blur();
}

function showBelief() {
  byId("believed").hidden = !draft.shown;
  byId("believed").textContent = draft.shown ? `The run believes: ${task().believed}` : "";
  byId("peek").hidden = draft.shown || task().believed === null;
}

function count() {
  const done = data.tasks.filter((entry) => answers[entry.task]).length;
  byId("bar").style.width = `${100 * done / data.tasks.length}%`;
  document.querySelector(".progress").setAttribute("aria-valuenow", String(done));
  document.querySelector(".progress").setAttribute("aria-valuemax", String(data.tasks.length));
  byId("count").textContent = `${done} of ${data.tasks.length}`;
}

function sumUp() {
  const by = (status) => data.tasks.filter((entry) => answers[entry.task]?.status === status).length;
  byId("sum").textContent = `${by("ok")} answered, ${by("not_judged")} cannot be judged, ${by("refused")} skipped.`;
  byId("then").textContent = data.served
    ? "Everything is kept by the server; you may close this page."
    : "Save the answers to a file, and hand that to whoever gave you this page.";
}

function missing() {
  return task().asks.filter((name) => draft.values[name] === undefined);
}

let saving = false;
let warned = -1;

async function save(status) {
  if (saving || byId("work").hidden) return;
  if (status === "ok") {
    const open = missing();
    const units = task().asks.filter((name) => fields[name].kind === "binary");
    if (warned !== place && units.length > 1 && units.every((name) => draft.values[name] === false)) {
      warned = place;
      say("Nothing is marked. Enter again says that nothing of it is there.");
      return;
    }
    if (open.length === task().asks.length) { say("Nothing is answered yet. x: cannot be judged; n: skip."); return; }
    if (open.length && warned !== place) {
      warned = place;
      say(`Not answered: ${open.map((name) => fields[name].label).join(", ")}. Enter again saves the rest.`);
      const range = byId(`number-${open[0]}`);
      if (range) range.focus();
      return;
    }
  }
  saving = true;
  try {
    await keepAnswer({
      task: task().task, item: task().item, annotator, status, values: status === "ok" ? draft.values : {},
      shown: draft.shown, seconds: Math.round((performance.now() - since) / 100) / 10,
    });
    const next = data.tasks.findIndex((entry, at) => at > place && !answers[entry.task]);
    const open = data.tasks.findIndex((entry) => !answers[entry.task]);
    show(next >= 0 ? next : open >= 0 ? open : data.tasks.length);
  } catch (error) {
    say(`This answer is not kept: ${error.message || error}. It still stands here; try again.`);
  } finally {
    saving = false;
  }
}

const back = () => show(place - 1);
const peek = () => { if (task() && task().believed !== null) { draft.shown = true; showBelief(); } };
const clear = () => { draft.values = blank(); paint(); say(""); };
const help = () => byId("help").showModal();
const COMMANDS = { Enter: () => save("ok"), x: () => save("not_judged"), n: () => save("refused"), p: peek, z: clear, ArrowLeft: back, Backspace: back, "?": help };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !annotator || byId("help").open) return;
  const range = event.target.type === "range";
  if (range && event.key.startsWith("Arrow")) return;
  if (byId("work").hidden) {
    if (event.key === "ArrowLeft" || event.key === "Backspace") { event.preventDefault(); back(); }
    return;
  }
  if (event.key === "Enter" && event.target.closest?.(".buttons, .tools, figure")) return;
  const run = fieldKeys[event.key] || COMMANDS[event.key];
  if (!run) return;
  // A button that has the focus would be pressed as well.
  event.preventDefault();
  run();
});
for (const [id, run] of [["next", COMMANDS.Enter], ["none", COMMANDS.x], ["skip", COMMANDS.n], ["clear", clear], ["back", back], ["again", back], ["peek", peek], ["save", download], ["save-all", download], ["help-button", help]]) byId(id).onclick = run;

byId("keys").append(...[
  ["1 to 9", "choose"], ["letters", "mark what is there; with Shift: its place cannot be seen"], ["v, b", "to the scales; then the arrow keys; Space takes the middle"],
  ["Enter", "save and go on"], ["x", "cannot be judged"], ["n", "skip"], ["z", "clear this one"], ["← or Backspace", "back to the one before, to change it"], ["p", "show what the run believes, where it may be shown"],
].flatMap(([key, text]) => [made("dt", {}, made("kbd", {}, key)), made("dd", {}, text)]));

async function begin(name) {
  annotator = name;
  try { answers = await readAnswers(); } catch (error) { annotator = ""; alert(error.message || error); return; }
  byId("start").hidden = true;
  const open = data.tasks.findIndex((entry) => !answers[entry.task]);
  show(open >= 0 ? open : data.tasks.length);
}
byId("start").onsubmit = (event) => { event.preventDefault(); if (byId("who").value.trim()) begin(byId("who").value.trim()); };
// What another tab answered counts here, too.
const refresh = async () => { if (annotator) { answers = { ...answers, ...await readAnswers() }; count(); if (!byId("work").hidden) byId("state").textContent = answers[task().task] ? "answered" : ""; } };
window.addEventListener("storage", () => { refresh(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh().catch((error) => say(String(error.message || error))); });
count();
byId("who").focus();
document.documentElement.dataset.ready = "yes";
