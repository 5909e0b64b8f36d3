// Elements out of values. Texts of anybody's become text nodes and nothing else.
const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name === "width%") element.style.width = `${value}%`;
    else if (name === "shade") shade(element, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// A cell as blue as its share.
function shade(element, share) {
  element.style.background = `color-mix(in srgb, var(--posterior) ${Math.round(share * 52)}%, var(--band))`;
}

const percent = (share, digits = 0) => share == null ? "–" : `${(100 * share).toFixed(digits)} %`;
// A share that somebody declared, to its last digit.
const exactly = (share) => share == null ? "–" : `${Number((100 * share).toPrecision(12))} %`;
const count = (value) => Number(value).toLocaleString("en-US");
const plain = (value, digits = 2) => value == null || Number.isNaN(value) ? "–" : Number(value).toFixed(digits);
const short = (value) => value == null ? "–" : String(Number(Number(value).toPrecision(3)));
function signed(value, digits = 2) {
  const words = Math.abs(value).toFixed(digits);
  return Number(words) === 0 ? words : (value < 0 ? "−" : "+") + words;
}
const between = (low, high, digits = 0) => low == null ? "" : `${(100 * low).toFixed(digits)}–${(100 * high).toFixed(digits)} %`;

const named = (name) => name === "binary" ? "action units together" : name.replaceAll("_", " ");
const titled = (name) => named(name).replace(/^./, (sign) => sign.toUpperCase());

// What is accepted on numbers that were not calibrated has an asterisk, and half a dot where the word has no room.
const UNCALIBRATED = "accepted on declared numbers, or on numbers calibrated for another design";
const badge = (decision, uncalibrated = false) => make("span", {class: `badge role-${decision}${uncalibrated ? " uncalibrated" : ""}`,
  title: uncalibrated && UNCALIBRATED}, make("span", {}, decision + (uncalibrated ? "*" : "")));
const uncalibratedLegend = () => make("p", {class: "muted"}, `* ${UNCALIBRATED}`);
const meter = (share, role) => make("span", {class: `meter role-${role ?? "posterior"}`, "aria-hidden": "true"},
  make("i", {"width%": Math.min(Math.max(share, 0), 1) * 100}));

function stack(shares, roles, label) {
  const bars = shares.map((share, at) => share > 0 && make("i", {class: `role-${roles[at]}`, "width%": share * 100}));
  return make("div", {class: "stack", role: "img", "aria-label": label}, bars);
}

const card = (title, ...children) => make("section", {class: "card"}, make("h3", {}, title), children);
const wide = (title, ...children) => make("section", {class: "card wide"}, make("h3", {}, title), children);
const figure = (value, text, role) => make("div", {class: `figure${role ? ` role-${role}` : ""}`},
  make("b", {}, value), make("span", {class: "muted"}, text));
const scrolling = (label, ...children) => make("div", {class: "scroll", tabindex: "0", role: "group", "aria-label": label}, children);

// heads: texts, those that begin with # are of numbers. rows: lists of cells, each a text, an element or a list of both.
function tableOf(label, heads, rows, kind = "") {
  const numeric = heads.map((head) => head.startsWith("#"));
  const first = make("tr", {}, heads.map((head, at) => make("th", {scope: "col", class: numeric[at] && "number"},
    head.replace("#", ""))));
  const body = rows.map((row) => make("tr", {}, row.map((cell, at) =>
    make(at ? "td" : "th", {scope: at ? null : "row", class: numeric[at] && "number", dir: "auto"}, cell))));
  return scrolling(label, make("table", {class: kind, "aria-label": label}, make("thead", {}, first), make("tbody", {}, body)));
}

// The first rows, and the others below a line that opens them.
function longTable(label, heads, rows, most = 12) {
  if (rows.length <= most + 3) return tableOf(label, heads, rows);
  return [tableOf(label, heads, rows.slice(0, most)),
    make("details", {}, make("summary", {}, `${count(rows.length - most)} more`), tableOf(`${label}, the rest`, heads, rows.slice(most)))];
}

function drawnFace(facts, table, row, title) {
  const {units, face} = facts.base;
  if (!face) return null;
  const p = Object.fromEntries(units.map((unit, at) => [unit.name, table.binary[row * units.length + at] / FINE]));
  const drawn = new DOMParser().parseFromString(drawFace(face, p, title), "image/svg+xml").documentElement;
  return document.importNode(drawn, true);
}
