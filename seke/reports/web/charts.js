// Charts as SVG elements, whose colours are classes of the page.
const text = (x, y, words, more = {}) => draw("text", {x, y, "font-size": 11.5, class: "f-muted", ...more}, words);
const path = (points, more) => draw("path", {d: "M" + points.map(([x, y]) => `${x.toFixed(2)} ${y.toFixed(2)}`).join("L"),
  fill: "none", "stroke-width": 2, "stroke-linejoin": "round", ...more});

function ticksOf(low, high, most = 5) {
  const raw = (high - low) / most || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= raw * 0.999);
  const ticks = [];
  for (let tick = Math.ceil(low / step - 1e-9) * step; tick <= high + step * 1e-6; tick += step) ticks.push(+tick.toPrecision(12));
  return ticks;
}

// A frame with axes. x, y: {low, high, title, show}. Returns the picture and the places of values in it.
function framed(label, x, y, {width = 440, height = 250, left = 54, bottom = 44, top = 10, right = 22} = {}) {
  const inner = {width: width - left - right, height: height - top - bottom};
  const px = (value) => left + (value - x.low) / (x.high - x.low || 1) * inner.width;
  const py = (value) => top + inner.height - (value - y.low) / (y.high - y.low || 1) * inner.height;
  const picture = draw("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label});
  for (const tick of y.ticks ?? ticksOf(y.low, y.high)) {
    picture.append(draw("line", {x1: left, x2: width - right, y1: py(tick), y2: py(tick), class: "s-grid"}),
      text(left - 7, py(tick) + 4, (y.show ?? short)(tick), {"text-anchor": "end"}));
  }
  for (const tick of x.ticks ?? ticksOf(x.low, x.high)) {
    picture.append(text(px(tick), height - bottom + 16, (x.show ?? short)(tick), {"text-anchor": "middle"}));
  }
  picture.append(draw("line", {x1: left, x2: width - right, y1: py(y.low), y2: py(y.low), class: "s-muted"}),
    text(left + inner.width / 2, height - 8, x.title, {"text-anchor": "middle"}));
  if (y.title) picture.append(text(13, top + inner.height / 2, y.title, {"text-anchor": "middle",
    transform: `rotate(-90 13 ${top + inner.height / 2})`}));
  return {picture, px, py};
}

function histogram(label, found, title, role = "posterior") {
  if (found.counts.length === 1) return null;
  const high = Math.max(...found.counts, 1);
  const {picture, px, py} = framed(label, {low: found.edges[0], high: found.edges.at(-1), title, ticks: found.whole ? wholes(found.edges) : null},
    {low: 0, high, title: "items", show: compact}, {height: 190});
  found.counts.forEach((n, at) => {
    const from = px(found.edges[at]) + 1, to = px(found.edges[at + 1]) - 1;
    picture.append(draw("rect", {x: from, width: Math.max(to - from, 1), y: py(n), height: py(0) - py(n), class: `f-${role}`},
      draw("title", {}, `${short(found.edges[at])} to ${short(found.edges[at + 1])}: ${count(n)} items`)));
  });
  return picture;
}

// Whole numbers under their bars, at most a dozen of them.
function wholes(edges) {
  const step = Math.ceil((edges.length - 1) / 12);
  return edges.slice(0, -1).map((edge) => edge + 0.5).filter((_, at) => at % step === 0);
}

const compact = (value) => value >= 1000 ? `${short(value / 1000)}k` : short(value);

function riskCoverage(curve) {
  const all = [...curve.stated, ...(curve.true?.error ?? []), curve.limit ?? 0];
  const {picture, px, py} = framed(`risk against coverage of ${curve.name}`,
    {low: 0, high: 1, title: "coverage: share that is kept, lowest risk first", show: (v) => percent(v)},
    {low: 0, high: Math.max(...all, 0.02) * 1.06, title: "mean risk of the kept share", show: exactly}, {height: 280});
  if (curve.accepted != null) {
    const x = px(curve.accepted);
    picture.append(draw("line", {x1: x, x2: x, y1: py(0), y2: 10, class: "s-accept", "stroke-width": 1.5, "stroke-dasharray": "3 3"}),
      text(x + (curve.accepted > 0.6 ? -5 : 5), 20, `accepted ${percent(curve.accepted)}`,
        {"text-anchor": curve.accepted > 0.6 ? "end" : "start", class: "f-accept"}));
  }
  picture.append(path(curve.coverage.map((x, at) => [px(x), py(curve.stated[at])]), {class: "s-posterior"}));
  if (curve.true) {
    picture.append(path(curve.true.coverage.map((x, at) => [px(x), py(curve.true.error[at])]),
      {class: "s-evidence", "stroke-dasharray": "6 4"}));
  }
  return picture;
}

function reliabilityOf(found) {
  const {picture, px, py} = framed(`reliability of ${found.name}`, {low: 0, high: 1, title: "stated probability"},
    {low: 0, high: 1, title: "observed share"}, {width: 330, height: 300});
  picture.append(path([[px(0), py(0)], [px(1), py(1)]], {class: "s-muted", "stroke-width": 1, "stroke-dasharray": "4 4"}));
  found.stated.forEach((p, at) => {
    picture.append(draw("line", {x1: px(p), x2: px(p), y1: py(found.low[at]), y2: py(found.high[at]), class: "s-evidence", "stroke-width": 1.6}),
      draw("circle", {cx: px(p), cy: py(found.share[at]), r: 4, class: "f-evidence"},
        draw("title", {}, `stated ${plain(p)}, true in ${plain(found.share[at])} of ${count(found.count[at])}`)));
  });
  return picture;
}

// lines: [{name, points: [[x, y, half]], role, dashed}], y in [0, 1].
function overTime(label, title, lines, steps, show) {
  const {picture, px, py} = framed(label, {low: 0, high: Math.max(steps - 1, 1), title, ticks: show ? [0, steps - 1] : ticksOf(0, Math.max(steps - 1, 1)).filter(Number.isInteger), show},
    {low: 0, high: 1, show: (v) => percent(v)}, {height: 200, right: 36});
  for (const line of lines) {
    const points = line.points.filter(([, y]) => y != null);
    for (const [x, y, half] of points) {
      if (half) picture.append(draw("line", {x1: px(x), x2: px(x), y1: py(Math.max(y - half, 0)), y2: py(Math.min(y + half, 1)),
        class: `s-${line.role}`, "stroke-width": 1}));
    }
    picture.append(path(points.map(([x, y]) => [px(x), py(y)]), {class: `s-${line.role}`, "stroke-dasharray": line.dashed && "5 4"}),
      ...points.map(([x, y]) => draw("circle", {cx: px(x), cy: py(y), r: 2.6, class: `f-${line.role}`})));
  }
  return picture;
}

// A share with its interval against the declared one, both in [0, 1].
function dumbbell(declared, observed, low, high) {
  const x = (value) => 4 + value * 100;
  const outside = declared < low || declared > high;
  return draw("svg", {viewBox: "0 0 108 18", width: 108, height: 18, role: "img",
    "aria-label": `declared ${plain(declared)}, observed ${plain(observed)}, ${plain(low)} to ${plain(high)}`},
    draw("line", {x1: 4, x2: 104, y1: 9, y2: 9, class: "s-grid"}),
    draw("line", {x1: x(low), x2: x(high), y1: 9, y2: 9, class: outside ? "s-reject" : "s-posterior", "stroke-width": 4, "stroke-linecap": "round"}),
    draw("line", {x1: x(declared), x2: x(declared), y1: 2, y2: 16, class: "s-ink", "stroke-width": 2}),
    draw("circle", {cx: x(observed), cy: 9, r: 3.6, class: outside ? "f-reject" : "f-posterior"}));
}

const legend = (...entries) => make("div", {class: "legend"}, entries.filter(Boolean).map(([role, words, dashed]) =>
  make("span", {class: `role-${role}`}, make("i", {class: dashed && "dashed"}), words)));
