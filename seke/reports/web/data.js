// The blocks of the page: base64 of gzip, unpacked when they are first asked for.
const ARRAYS = {u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array};
const FINE = 10000, ITEMS_A_BLOCK = 256, PICTURES_A_BLOCK = 32;
const DECISIONS = ["accept", "requery", "reject"];
const NOT_THERE = 255;
// Of a value: it is only inferred, or it is open and so rests on nothing.
const INFERRED = 254, NOTHING = 255;
// Bits of an item's marks.
const LACKING = 1, OVERRULED = 2;
const unpacked = new Map();

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  return Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
}

async function unpack(element) {
  const stream = new Blob([bytesOf(element.textContent)]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const kind = element.dataset.kind;
  return kind === "json" ? JSON.parse(new TextDecoder().decode(buffer)) : new ARRAYS[kind](buffer);
}

// What stands in a block, or null where the page has no such block.
function block(name) {
  if (!unpacked.has(name)) {
    const element = document.getElementById(name);
    unpacked.set(name, element ? unpack(element) : Promise.resolve(null));
  }
  return unpacked.get(name);
}

const COLUMNS = ["items", "decision", "reason", "root", "binary", "accepted", "basis", "origin", "item-basis", "marks", "risk", "bits", "intervals", "correlation",
  "counts", "cost", "other-decision", "other-label", "other-p", "moved"];

// All columns by name, the facts, and what is made of them once.
async function readTable(facts) {
  const found = await Promise.all(COLUMNS.map(block));
  const table = Object.fromEntries(COLUMNS.map((name, at) => [name, found[at]]));
  const count = facts.items, states = facts.base.states.length;
  table.count = count;
  table.label = new Uint8Array(count);
  table.best = new Uint16Array(count);
  for (let row = 0; row < count; row++) {
    for (let state = 0; state < states; state++) {
      const p = table.root[row * states + state];
      if (p > table.best[row]) {
        table.best[row] = p;
        table.label[row] = state;
      }
    }
  }
  table.row = new Map(table.items.map((item, row) => [item, row]));
  return table;
}

// On what an accepted item rests, by its required values; null where it is not accepted, or records do not say.
function itemBasis(facts, table, row) {
  const at = table["item-basis"][row];
  return at === NOTHING ? null : facts.base.bases[at];
}

const isUncalibrated = (facts, basis) => facts.base.uncalibrated.includes(basis);
const badgeOf = (facts, table, row) => badge(DECISIONS[table.decision[row]], isUncalibrated(facts, itemBasis(facts, table, row)));

async function detailOf(row) {
  return (await block(`details-${Math.floor(row / ITEMS_A_BLOCK)}`))[row % ITEMS_A_BLOCK];
}

// The address of an item's picture, or null.
function pictureOf(row) {
  const element = document.getElementById(`pictures-${Math.floor(row / PICTURES_A_BLOCK)}`);
  if (!element) return null;
  element.lines ??= element.textContent.split("\n");
  const line = element.lines[row % PICTURES_A_BLOCK];
  return line ? `data:image/jpeg;base64,${line}` : null;
}
