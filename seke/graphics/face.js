// Draws the face of face.yaml in a browser: the same SVG text as face.py makes, from the same table.
// data: what face_data() returns, as JSON. units: {"AU12": 0.9, ...}; what is left out or null is at rest.
function drawFace(data, units, title = "face drawn from action units") {
  const known = {};
  for (const unit of Object.keys(data.units)) {
    if (units[unit] != null) known[unit] = units[unit];
  }
  const p = (unit) => (unit === "always" ? 1 : known[unit] ?? 0);
  const places = faceLandmarks(data, p);
  const number = (value) => String(Math.floor(value * 100 + 0.5) / 100 + 0);
  const points = (...list) => list.map(([x, y]) => `${number(x)} ${number(y)}`).join(" ");
  const escaped = (text) => String(text).slice(0, 200).replace(/[&<>"']/g,
    (sign) => ({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})[sign]);

  const place = (side, across, name, x, y) => {
    const sign = across ? -side : side;
    return [data.middle + sign * (places[name][0] + Number(x ?? 0)), places[name][1] + Number(y ?? 0)];
  };
  const ellipse = ([x, y], rx, ry) => {
    const kx = 0.5523 * rx, ky = 0.5523 * ry;
    return `M ${points([x - rx, y])} C ${points([x - rx, y - ky], [x - kx, y - ry], [x, y - ry])} ` +
      `C ${points([x + kx, y - ry], [x + rx, y - ky], [x + rx, y])} ` +
      `C ${points([x + rx, y + ky], [x + kx, y + ry], [x, y + ry])} ` +
      `C ${points([x - kx, y + ry], [x - rx, y + ky], [x - rx, y])} Z`;
  };
  const outline = (one, side) => {
    if (one.ellipse) {
      const [, across, name, x, y] = one.ellipse[0].match(/^(-?)(\w+?)(?:\+(-?[\d.]+),(-?[\d.]+))?$/);
      return ellipse(place(side, across, name, x, y), one.ellipse[1], one.ellipse[2]);
    }
    return one.path.replace(/\{(-?)(\w+?)(?:\+(-?[\d.]+),(-?[\d.]+))?\}/g,
      (_, across, name, x, y) => points(place(side, across, name, x, y)));
  };

  const drawn = data.shapes.flatMap((one) => {
    const shares = Object.entries(one.seen ?? {always: 1});
    const opacity = Math.min(shares.reduce((sum, [unit, share]) => sum + share * p(unit), 0), 1);
    if (opacity < 0.005) return [];
    const both = one.sides === "both";
    return (both ? [-1, 1] : [1]).map((side) => {
      const name = one.name + (both ? (side < 0 ? "-left" : "-right") : "");
      const classes = [one.fill && `f-${one.fill}`, one.stroke && `s-${one.stroke}`].filter(Boolean).join(" ");
      const stroke = one.stroke ? ` stroke="${data.colours[one.stroke]}" stroke-width="${number(one.width)}"` +
        ' stroke-linecap="round" stroke-linejoin="round"' : "";
      const fill = one.fill ? data.colours[one.fill] : "none";
      const seen = opacity < 1 ? ` opacity="${number(opacity)}"` : "";
      return `<path data-name="${name}" class="${classes}" fill="${fill}"${stroke}${seen} d="${outline(one, side)}"/>`;
    });
  });

  const likely = Object.entries(known).filter(([, value]) => value >= 0.5);
  const told = likely.map(([unit, value]) => `${unit} ${value.toFixed(2)}`).join(", ");
  const [width, height] = data.size;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" ` +
    `height="${height}" role="img" aria-label="${escaped(title)}"><desc>${told || "no action unit is likely"}` +
    `</desc>${drawn.join("")}</svg>`;
}

// Where each landmark of the right half is. p: gives the probability of a unit.
function faceLandmarks(data, p) {
  const places = {};
  for (const [name, [x, y]] of Object.entries(data.landmarks)) places[name] = [x, y];
  const move = (moves, share) => {
    for (const [name, [x, y]] of Object.entries(moves)) {
      places[name] = [places[name][0] + share * x, places[name][1] + share * y];
    }
  };
  for (const [unit, one] of Object.entries(data.units)) move(one.moves, p(unit));
  for (const one of data.together) move(one.moves, one.of.reduce((share, unit) => share * p(unit), 1));
  for (const [upper, lower] of data.apart) {
    const above = places[upper], below = places[lower];
    if (below[1] < above[1]) {
      const middle = (above[1] + below[1]) / 2;
      places[upper] = [above[0], middle];
      places[lower] = [below[0], middle];
    }
  }
  for (const [name, one] of Object.entries(data.between)) {
    const a = places[one.of], b = places[one.to];
    places[name] = [a[0] + one.at * (b[0] - a[0]) + one.by[0], a[1] + one.at * (b[1] - a[1]) + one.by[1]];
  }
  return places;
}
