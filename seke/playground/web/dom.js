// Elements out of values, and numbers as text. Texts of anybody's become text nodes and nothing else.
const byId = (id) => document.getElementById(id);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name === "width%") element.style.width = `${value}%`;
    else if (name === "start%") element.style.insetInlineStart = `${value}%`;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes = {}, ...children) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const put = (id, ...children) => byId(id).replaceChildren(...children.flat(Infinity).filter((child) => child != null && child !== false));

// Never 0 or 100 % of what is neither.
function percent(p) {
  if (p == null || Number.isNaN(p)) return "–";
  // What is certain but for rounding is certain.
  if (p > 1e-12 && p < 0.005) return "<1\u00a0%";
  if (p < 1 - 1e-12 && p > 0.995) return ">99\u00a0%";
  return `${Math.round(100 * p)}\u00a0%`;
}
const minus = (text) => text.replace("-", "−");
const plain = (value, digits = 2) => minus(Number(value.toFixed(digits)) === 0 ? (0).toFixed(digits) : value.toFixed(digits));
const signed = (value, digits = 1) => (Number(value.toFixed(digits)) > 0 ? "+" : "") + plain(value, digits);
const short = (value) => minus(String(Number(value.toPrecision(3))));
// Numbers of an interval variable, as fine as its bins ask for.
const inUnits = (edges, value) => plain(value, Math.min(Math.max(1 - Math.floor(Math.log10(edges[1] - edges[0]) + 1e-9), 0), 4));
const words = (name) => name.replaceAll("_", " ");
const meter = (p, role = "posterior", mark = null) => make("span", {class: `meter role-${role}`, "aria-hidden": "true"},
  make("i", {"width%": 100 * p}), mark != null && make("b", {"start%": 100 * mark}));

// A bar to the right for what speaks for, to the left for what speaks against.
function balance(bits, most) {
  const share = Math.min(Math.abs(bits) / most, 1) * 50;
  return make("span", {class: "balance", "aria-hidden": "true"}, make("i", {"width%": share, "start%": bits < 0 ? 50 - share : 50,
    class: bits < 0 ? "against" : "for"}));
}

// heads that begin with # are of numbers. rows: lists of cells.
function tableOf(label, heads, rows) {
  const numeric = heads.map((head) => head.startsWith("#"));
  const first = make("tr", {}, heads.map((head, at) => make("th", {scope: "col", class: numeric[at] && "number"}, head.replace("#", ""))));
  const body = rows.map((row) => make("tr", {}, row.map((cell, at) => make(at ? "td" : "th", {scope: at ? null : "row",
    class: numeric[at] && "number", "data-head": heads[at].replace("#", "")}, cell))));
  return make("table", {"aria-label": label}, make("thead", {}, first), make("tbody", {}, body));
}
