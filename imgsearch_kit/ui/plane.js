// Where things stand on the plane of a map, as numbers alone: what the screen shows, what is near, what a lasso holds.
// A spot is [row, x, y] in pixels.

const BORDER = 24, CLOSE = 22; // pixels left around the whole map; arrows nearer than that become one

// The map from a view, {x, y} in the middle and its scale, to the pixels of a screen and back.
export function lens([width, height], view) {
  const side = Math.max(Math.min(width, height) - 2 * BORDER, 1) * view.scale;
  return {
    on: (x, y) => [width / 2 + (x - view.x) * side, height / 2 - (y - view.y) * side],
    off: (px, py) => [view.x + (px - width / 2) / side, view.y - (py - height / 2) / side],
  };
}

// The view that shows all of some places, [x, y] each, no nearer than "most".
export function viewOf(places, [width, height], most) {
  const ends = [0, 1].map((axis) => places.reduce(([low, high], place) => [Math.min(low, place[axis]), Math.max(high, place[axis])], [Infinity, -Infinity]));
  const [[left, right], [low, high]] = ends, least = Math.min(width, height) - 2 * BORDER;
  const scale = Math.min((width - 2 * BORDER) / ((right - left) * least || 1e-9), (height - 2 * BORDER) / ((high - low) * least || 1e-9), most);
  return {x: (left + right) / 2, y: (low + high) / 2, scale: Math.max(scale * (scale < most ? 0.86 : 1), 0.05)};
}

// The row of the spot next to a place on the screen, within a reach; null for none.
export function nearestSpot(spots, x, y, reach) {
  let best = null, least = reach ** 2;
  for (const [row, sx, sy] of spots) {
    const far = (sx - x) ** 2 + (sy - y) ** 2;
    if (far <= least) [best, least] = [row, far];
  }
  return best;
}

// Whether a place is within a polygon of [x, y].
export function within(polygon, x, y) {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [ax, ay] = polygon[i], [bx, by] = polygon[j];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

// Of some spots, in order, those that have room: at most so many, "apart" pixels from each other.
export function roomy(spots, apart, most) {
  const taken = new Map(), kept = [];
  const cell = (value) => Math.floor(value / apart);
  for (const spot of spots) {
    const [, x, y] = spot, [column, line] = [cell(x), cell(y)];
    let free = true;
    for (let i = -1; i <= 1 && free; i++) {
      for (let j = -1; j <= 1 && free; j++) {
        const other = taken.get(`${column + i} ${line + j}`);
        free = !other || Math.abs(other[1] - x) >= apart || Math.abs(other[2] - y) >= apart;
      }
    }
    if (!free) continue;
    taken.set(`${column} ${line}`, spot);
    kept.push(spot);
    if (kept.length >= most) break;
  }
  return kept;
}

// Arrows at the border of a screen to spots outside of it, near ones joined: {x, y, angle, rows}.
export function arrowsTo(spots, [width, height]) {
  const arrows = [], edge = 12;
  for (const [row, x, y] of spots) {
    if (x >= 0 && x <= width && y >= 0 && y <= height) continue;
    const at = [Math.min(Math.max(x, edge), width - edge), Math.min(Math.max(y, edge), height - edge)];
    const near = arrows.find((arrow) => Math.hypot(arrow.x - at[0], arrow.y - at[1]) < CLOSE);
    if (near) near.rows.push(row);
    else arrows.push({x: at[0], y: at[1], angle: Math.atan2(y - at[1], x - at[0]), rows: [row]});
  }
  return arrows;
}

// Where names stand so that none covers another, in their order: {name, text, x, y}. A name is {name, text, x, y, width}.
export function placedNames(names, height, [across, down], most) {
  const placed = [];
  for (const {width, ...each} of names) {
    if (placed.length >= most) break;
    const half = width / 2, x = Math.min(Math.max(each.x, half + 2), across - half - 2);
    if (each.x < 0 || each.x > across || each.y < 0 || each.y > down) continue;
    const y = Math.min(Math.max(each.y, height / 2), down - height / 2);
    if (placed.some((other) => Math.abs(other.y - y) < height && Math.abs(other.x - x) < other.half + half)) continue;
    placed.push({...each, x, y, half});
  }
  return placed;
}

export function shortened(text, most = 22) {
  const letters = [...text];
  return letters.length > most ? `${letters.slice(0, most - 1).join("")}…` : text;
}

const CELLS = 24; // of a grid over the unit square, a side

// The middle of the thickest crowd of some points, [x, y] each: their median may lie where none of them is.
function crowd(places) {
  const cells = new Map();
  for (const place of places) {
    const cell = place.map((value) => Math.floor(value * CELLS)).join();
    cells.set(cell, [...(cells.get(cell) ?? []), place]);
  }
  const thickest = [...cells.values()].reduce((best, each) => each.length > best.length ? each : best);
  return [0, 1].map((axis) => thickest.reduce((sum, place) => sum + place[axis], 0) / thickest.length);
}

// Of each class its size and the middle of its thickest crowd, the largest first: {name, size, x, y}; of {x, y, classes} columns.
export function classMiddles({x, y, classes}, number) {
  const members = Array.from({length: number}, () => []);
  classes.forEach((name, row) => members[name]?.push([x[row], y[row]]));
  return members.map((places, name) => ({name, places})).filter(({places}) => places.length).map(({name, places}) => {
    const [across, up] = crowd(places);
    return {name, size: places.length, x: across, y: up};
  }).sort((a, b) => b.size - a.size);
}

// The rows of what somebody types: those of a class of this name, else a picture of this id, else all that contain it.
export function soughtRows(text, {ids, classes, names}) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return [];
  const all = ids.map((_, row) => row), lower = names.map((name) => name.toLowerCase());
  const same = lower.indexOf(wanted), one = ids.indexOf(text.trim());
  if (same >= 0) return all.filter((row) => lower[classes[row]] === wanted);
  if (one >= 0) return [one];
  return all.filter((row) => ids[row].toLowerCase().includes(wanted) || lower[classes[row]]?.includes(wanted));
}
