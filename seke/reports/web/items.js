// The table of items: rows are made only where they are seen. What is chosen stands in the address.
// BITS and COUNTS: numbers of an item in `table.bits`, and in `table.counts` (samples, and three kinds in vain).
const ROW = 46, SPARE = 8, PRINTED = 200, BITS = 3, COUNTS = 4;

const HEADS = [
  {key: "name", title: "item", width: 190, by: (table) => table.items},
  {key: "decision", title: "decision", width: 104, by: (table) => table.decision},
  {key: "p", title: "likeliest", width: 210, by: (table) => table.best, likely: true},
  {key: "conflict", title: "conflict", width: 86, number: true, less: true, by: (table) => every(BITS, table.bits, 2)},
  {key: "epistemic", title: "epistemic", width: 92, number: true, less: true, by: (table) => every(BITS, table.bits, 1)},
  {key: "samples", title: "samples", width: 84, number: true, least: true, by: (table) => every(COUNTS, table.counts, 0)},
  {key: "cost", title: "cost", width: 76, number: true, less: true, by: (table) => table.cost},
  {key: "moved", title: "moved", width: 150, less: true, by: (table) => table.moved},
];

function every(width, values, from) {
  return Float32Array.from({length: values.length / width}, (_, row) => values[row * width + from]);
}

function itemsSection(facts, table) {
  const {base} = facts;
  let state = {}, rows = [], sorted = null, shown = "", opened = null, latest = 0;
  const heads = HEADS.filter((head) => head.by(table));
  const keys = new Map();
  const keyOf = (head) => keys.get(head.key) ?? keys.set(head.key, head.by(table)).get(head.key);
  let lower = null;

  const search = make("input", {type: "search", placeholder: "Search items", "aria-label": "search items", oninput: later(() => go({q: search.value || null}, true))});
  const chips = DECISIONS.map((decision) => make("label", {class: `role-${decision}`},
    make("input", {type: "checkbox", value: decision, onchange: () => go({decision: checked().join(",") || null})}), decision));
  const checked = () => chips.map((chip) => chip.firstChild).filter((box) => box.checked).map((box) => box.value);
  const select = (label, name, options) => make("select", {"aria-label": label, "data-name": name, onchange: (event) => go({[name]: event.target.value || null})},
    make("option", {value: ""}, label), options.map((option) => make("option", {value: option}, option)));
  const selects = [select(`any ${named(base.root)}`, "label", base.states), select("any reason", "reason", facts.reasons.slice(1)),
    base.units.length > 0 && select("any unit", "unit", base.units.map((unit) => unit.name)),
    select("any basis", "basis", basisOptions(facts, table)),
    table.moved && select("changed or not", "changed", ["decision", "label", "either"]),
    table.moved && select("then any decision", "then", DECISIONS),
    table.moved && select("then any label", "label2", facts.comparison.states)].filter(Boolean);
  const least = make("input", {type: "number", step: "0.5", placeholder: "conflict ≥", "aria-label": "least conflict in bits", size: 8, oninput: later(() => go({conflict: least.value || null}, true))});
  const told = make("span", {class: "muted", role: "status"});
  const clear = make("button", {type: "button", onclick: () => go({q: null, decision: null, label: null, reason: null, unit: null, basis: null, changed: null, then: null, label2: null, conflict: null})}, "Clear");

  const buttons = heads.map((head) => make("button", {type: "button", onclick: () => go({sort: turned(head.key)})}, head.title));
  const headers = heads.map((head, at) => make("th", {scope: "col", class: classOf(head)}, buttons[at]));
  const body = make("tbody");
  const columns = make("colgroup", {}, make("col", {class: "pic"}), heads.map((head) => make("col", {class: classOf(head)})));
  const grid = make("table", {"aria-label": "items"}, columns, make("thead", {}, make("tr", {}, make("th", {scope: "col", class: "pic"}, make("span", {class: "unseen"}, "face")), headers)), body);
  columns.firstChild.style.width = "52px";
  heads.forEach((head, at) => { columns.children[at + 1].style.width = head.key === "name" ? "auto" : `${head.width}px`; });
  const list = make("div", {class: "list", tabindex: "0", role: "region", "aria-label": "table of items", onscroll: paint, onkeydown: step});
  list.append(grid);
  const holder = make("div", {class: "split"}, list);
  const legendLine = facts.overview.basis.uncalibrated > 0 && uncalibratedLegend();
  const section = [make("div", {class: "filters", role: "search"}, search, make("div", {class: "chips"}, chips), selects, least, clear, told), legendLine, holder].filter(Boolean);

  const go = (change, replace = false) => goTo({...state, section: "items", ...change}, replace);
  const turned = (key) => state.sort === `-${key}` ? key : state.sort === key ? null : `-${key}`;

  function filter() {
    const wanted = state.decision ? state.decision.split(",").map((one) => DECISIONS.indexOf(one)) : null;
    const label = state.label ? base.states.indexOf(state.label) : -1;
    const reason = state.reason ? facts.reasons.indexOf(state.reason) : -1;
    const unit = state.unit ? base.units.findIndex((one) => one.name === state.unit) : -1;
    const then = state.then ? DECISIONS.indexOf(state.then) : -1;
    const label2 = state.label2 && facts.comparison ? facts.comparison.states.indexOf(state.label2) : -1;
    const most = state.conflict ? Number(state.conflict) : null;
    const grounds = state.basis && basisTest(facts, table, state.basis);
    const words = (state.q ?? "").toLowerCase();
    if (words) lower ??= table.items.map((item) => item.toLowerCase());
    const tests = [
      wanted && ((row) => wanted.includes(table.decision[row])),
      label >= 0 && ((row) => table.label[row] === label),
      reason >= 0 && ((row) => table.reason[row] === reason),
      unit >= 0 && ((row) => table.binary[row * base.units.length + unit] >= base.units[unit].cut * FINE),
      most != null && !Number.isNaN(most) && ((row) => table.bits[row * BITS + 2] >= most),
      grounds,
      then >= 0 && table.moved && ((row) => table["other-decision"][row] === then),
      label2 >= 0 && table.moved && ((row) => table["other-label"][row] === label2),
      state.changed && table.moved && ((row) => changed(row, state.changed)),
      words && ((row) => lower[row].includes(words)),
    ].filter(Boolean);
    rows = [];
    for (let row = 0; row < table.count; row++) if (tests.every((test) => test(row))) rows.push(row);
    sort();
  }

  function changed(row, what) {
    if (table["other-decision"][row] === NOT_THERE) return false;
    const decision = table["other-decision"][row] !== table.decision[row];
    const label = facts.comparison.states[table["other-label"][row]] !== base.states[table.label[row]];
    return what === "decision" ? decision : what === "label" ? label : decision || label;
  }

  function sort() {
    const down = state.sort?.startsWith("-"), head = heads.find((one) => one.key === state.sort?.replace("-", ""));
    if (head) {
      const values = keyOf(head), sign = down ? -1 : 1;
      const order = head.key === "name" ? (a, b) => values[a].localeCompare(values[b], "en", {numeric: true}) : (a, b) => values[a] - values[b];
      rows.sort((a, b) => sign * order(a, b) || a - b);
    }
    heads.forEach((one, at) => {
      headers[at].setAttribute("aria-sort", one !== head ? "none" : down ? "descending" : "ascending");
      buttons[at].textContent = one.title + (one !== head ? "" : down ? " ▾" : " ▴");
    });
    sorted = new Map();
    rows.forEach((row, place) => sorted.set(row, place));
    grid.setAttribute("aria-rowcount", rows.length + 1);
    told.textContent = rows.length === table.count ? `${count(table.count)} items` : `${count(rows.length)} of ${count(table.count)} items`;
  }

  function rowOf(row, place) {
    const cells = {
      name: () => make("a", {href: linkTo({...state, section: "items", item: table.items[row]}), dir: "auto", title: table.items[row], tabindex: "-1"}, table.items[row]),
      decision: () => badgeOf(facts, table, row),
      p: () => make("div", {class: "likely"}, make("span", {}, base.states[table.label[row]]), meter(table.best[row] / FINE), make("span", {}, plain(table.best[row] / FINE))),
      conflict: () => signed(table.bits[row * BITS + 2], 1),
      epistemic: () => plain(table.bits[row * BITS + 1]),
      samples: () => samplesOf(row),
      cost: () => short(table.cost[row]),
      moved: () => movedOf(row),
    };
    const address = pictureOf(row);
    const face = address ? make("img", {src: address, alt: ""}) : drawnFace(facts, table, row, "");
    if (face && !address) for (const [name, value] of [["role", "presentation"], ["aria-hidden", "true"]]) face.setAttribute(name, value);
    return make("tr", {class: "row", "aria-rowindex": place + 2, "aria-selected": row === opened ? "true" : "false", onclick: (event) => {
      if (!event.target.closest("a")) go({item: table.items[row]});
    }}, make("td", {class: "pic"}, face), heads.map((head) => make("td", {class: classOf(head)}, cells[head.key]())));
  }

  function samplesOf(row) {
    const [samples, ...bad] = table.counts.subarray(row * COUNTS, (row + 1) * COUNTS);
    const in_vain = bad.reduce((sum, n) => sum + n, 0);
    return count(samples) + (in_vain ? ` (${in_vain} ✕)` : "");
  }

  function movedOf(row) {
    if (table["other-decision"][row] === NOT_THERE) return "not there";
    return `${DECISIONS[table["other-decision"][row]]}, ${facts.comparison.states[table["other-label"][row]]}`;
  }

  function gap(n) {
    const cell = make("td");
    cell.style.height = `${n * ROW}px`;
    return make("tr", {class: "gap", "aria-hidden": "true"}, cell);
  }

  // Put the rows that are in sight into the table, with empty rows as high as all others.
  function paint() {
    const from = Math.max(Math.floor(list.scrollTop / ROW) - SPARE, 0);
    const to = Math.min(from + Math.ceil((list.clientHeight || 800) / ROW) + 2 * SPARE, rows.length);
    const key = `${from} ${to} ${opened} ${latest}`;
    if (key === shown) return;
    shown = key;
    draw_rows(from, to);
  }

  function draw_rows(from, to, after = gap) {
    const empty = !rows.length && make("tr", {}, make("td", {class: "empty", colspan: heads.length + 1}, "No item is like this."));
    body.replaceChildren(...[from > 0 && gap(from), ...rows.slice(from, to).map((row, at) => rowOf(row, from + at)),
      to < rows.length && after(rows.length - to), empty].filter(Boolean));
  }

  // Arrows walk from item to item.
  function step(event) {
    const by = {ArrowDown: 1, ArrowUp: -1, j: 1, k: -1}[event.key];
    if (by) {
      event.preventDefault();
      walk(by);
    }
  }

  function walk(by) {
    const place = sorted.get(opened), next = rows[place == null ? 0 : place + by];
    if (next != null) go({item: table.items[next]}, true);
  }

  async function open(row) {
    opened = row;
    const ticket = ++latest;
    holder.classList.toggle("open", row != null);
    if (row == null) {
      holder.querySelector(".panel")?.remove();
      shown = "";
      return paint();
    }
    const place = sorted.get(row);
    const controls = make("div", {class: "walk"}, make("span", {class: "muted"}, place == null ? "not in the list" : `${count(place + 1)} of ${count(rows.length)}`),
      make("button", {type: "button", disabled: !(place > 0), "aria-label": "previous item", onclick: () => walk(-1)}, "↑"),
      make("button", {type: "button", disabled: place == null || place + 1 >= rows.length, "aria-label": "next item", onclick: () => walk(1)}, "↓"),
      make("button", {type: "button", "aria-label": "close the item", onclick: () => go({item: null})}, "✕"));
    const panel = await itemPanel(facts, table, row, controls);
    if (ticket !== latest) return;
    const focused = holder.contains(document.activeElement) && document.activeElement !== list && holder.lastChild !== list && holder.lastChild.contains(document.activeElement)
      ? document.activeElement.getAttribute("aria-label") : null;
    // The list stays where it is, or it would lose the keys.
    const before = holder.querySelector(".panel");
    if (before) before.replaceWith(panel);
    else holder.append(panel);
    if (focused) panel.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
    if (place != null) reveal(place);
    shown = "";
    paint();
    if (list.offsetWidth && panel.offsetTop > list.offsetTop + 50) panel.scrollIntoView();
  }

  function reveal(place) {
    const top = place * ROW, head = 40;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW + head > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW + head - list.clientHeight;
  }

  const FILTERS = ["q", "decision", "label", "reason", "unit", "basis", "changed", "then", "label2", "conflict"];
  async function show(next) {
    const differs = (names) => names.some((name) => (state[name] ?? "") !== (next[name] ?? ""));
    const fresh = !sorted || differs([...FILTERS, "sort"]);
    state = next;
    if (fresh) {
      if (document.activeElement !== search) search.value = state.q ?? "";
      if (document.activeElement !== least) least.value = state.conflict ?? "";
      chips.forEach((chip) => { chip.firstChild.checked = (state.decision ?? "").split(",").includes(chip.firstChild.value); });
      selects.forEach((one) => { one.value = state[one.dataset.name] ?? ""; });
      clear.hidden = !FILTERS.some((name) => state[name]);
      filter();
      list.scrollTop = 0;
      latest++;
    }
    const row = state.item == null ? null : table.row.get(state.item) ?? null;
    if (row !== opened || fresh) await open(row);
    paint();
  }

  // On paper the list has its first rows; it is printed as well where it was not looked at.
  function print(on) {
    if (!on) {
      shown = "";
      return paint();
    }
    if (!sorted) filter();
    draw_rows(0, Math.min(rows.length, PRINTED), (n) =>
      make("tr", {}, make("td", {class: "empty", colspan: heads.length + 1}, `and ${count(n)} more; a filter chooses others to print`)));
  }
  addEventListener("resize", () => paint());
  return {section, show, print};
}

// Filters by what is accepted of an item, by its required values, and by what is not; those that some item passes.
const ACCEPTED_ON = "accepted on: ", HAS = {inferred: "has values nobody looked at", lacking: "has values with too little evidence", overruled: "has an overruled label"};
const UNCALIBRATED_FILTER = "accepted on uncalibrated numbers*";

function basisOptions(facts, table) {
  const {basis} = facts.overview, {bases} = facts.base;
  return [basis.uncalibrated > 0 && UNCALIBRATED_FILTER,
    ...bases.map((name, at) => basis.items[at] > 0 && ACCEPTED_ON + name),
    basis.inferred > 0 && HAS.inferred, basis.lacking > 0 && HAS.lacking, basis.overruled_total > 0 && HAS.overruled].filter(Boolean);
}

function basisTest(facts, table, option) {
  if (option === UNCALIBRATED_FILTER) return (row) => isUncalibrated(facts, itemBasis(facts, table, row));
  if (option.startsWith(ACCEPTED_ON)) return (row) => itemBasis(facts, table, row) === option.slice(ACCEPTED_ON.length);
  const levels = facts.base.order.length;
  if (option === HAS.inferred) return (row) => table.basis.subarray(row * levels, (row + 1) * levels).includes(INFERRED);
  const bit = option === HAS.lacking ? LACKING : option === HAS.overruled ? OVERRULED : 0;
  return bit ? (row) => (table.marks[row] & bit) > 0 : null;
}

const classOf = (head) => [head.number && "number", head.less && "less", head.least && "least", head.likely && "p", head.key === "decision" && "decision"].filter(Boolean).join(" ") || null;

function later(work, wait = 120) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, wait);
  };
}
