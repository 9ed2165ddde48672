// Pictures as points on a plane, on a canvas: class names, thumbnails where there is room, arrows to outliers, a pin, a lasso.
import {make, readable} from "./dom.js";
import {watchGestures} from "./gestures.js";
import {arrowsTo, classMiddles, lens, nearestSpot, placedNames, roomy, shortened, viewOf, within} from "./plane.js";

const NAMES = 40, REACH = 14, REACH_TOUCH = 26, REACH_ARROW = 16; // names at most; pixels within which a point or an arrow is meant
const NEAREST = 400, FARTHEST = 0.25, CLOSE = 10, CLOSEST = 150, STEP = 60; // scales, the last two of a flight to one point and to several; pixels of an arrow key
const FAR = 0.05; // outside of the unit square, from which a point is an outlier
const WHOLE = {x: 0.5, y: 0.5, scale: 1};
const THUMBS = 60, THUMB = 52, REST = 160; // thumbnails at most, their pixels; milliseconds after which a view is at rest
const FEW = 60, NAMELESS = 2000, NEAR = 2.5; // points in view, without classes too, and a scale, from which there are thumbnails
const ABOVE = 13; // pixels of a name above its crowd
const HUE = 137.508; // degrees; neighbouring numbers of classes get far hues
export const SHAPES = ["circle", "square", "triangle", "diamond"];

export const hueOf = (name, dark) => name < 0 ? "#888" : `hsl(${(name * HUE) % 360} 65% ${dark ? 62 : 42}%)`;
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// thumbnails(ids) resolves to {id: address}. onHover(row or null, place), onPick(row or null), onLasso(rows) and, once the view is at
// rest, onRest(rows in view, the nearest to the middle first) are told of what happens.
export function createMap(element, {onHover = () => {}, onPick = () => {}, onLasso = () => {}, onRest = () => {}, thumbnails = null} = {}) {
  const canvas = make("canvas", {tabindex: "0", role: "application", "aria-label": "Map of the pictures. Arrow keys move it, plus and minus zoom, 0 shows the whole map; the pictures in view are listed after it."});
  element.replaceChildren(canvas);
  const images = new Map(), asked = new Set(); // by id
  let points = {ids: [], x: [], y: [], classes: []}, names = [], middles = [], outliers = [];
  let view = WHOLE, marked = null, pin = null, shown = null, lit = null, line = null, drawing = false, arrows = [], spots = [], frame = 0, resting = 0, flight = 0;

  const size = () => [canvas.clientWidth, canvas.clientHeight];
  const sees = (row) => (!shown || shown.has(row)) && (!lit || lit.has(row));
  const rowsOf = () => points.ids.map((_, row) => row);
  const place = (row) => lens(size(), view).on(points.x[row], points.y[row]);

  // -- drawing -----------------------------------------------------------------------------------------------------

  function draw() {
    if (!frame) frame = requestAnimationFrame(drawn);
  }

  function drawn() {
    frame = 0;
    const [width, height] = size(), ratio = devicePixelRatio || 1;
    if (!width) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    const context = canvas.getContext("2d"), style = getComputedStyle(canvas), {on} = lens([width, height], view);
    const ink = style.color, ground = style.backgroundColor, dark = (ink.match(/[\d.]+/g) ?? [0]).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) > 382;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    spots = [];
    const faded = [];
    for (let row = 0; row < points.ids.length; row++) {
      if (shown && !shown.has(row)) continue;
      const [x, y] = on(points.x[row], points.y[row]);
      if (x < -30 || y < -30 || x > width + 30 || y > height + 30) continue;
      (lit && !lit.has(row) ? faded : spots).push([row, x, y]);
    }
    const radius = Math.min((points.ids.length > 2000 ? 2.2 : 4) * Math.max(1, view.scale ** 0.35), 6);
    context.globalAlpha = 0.13;
    drawDots(context, faded, radius, dark);
    context.globalAlpha = 0.8;
    drawDots(context, spots, radius, dark);
    context.globalAlpha = 1;
    if (showsThumbnails()) drawThumbnails(context, dark);
    if (pin) drawPin(context, on, ink, ground);
    if (marked !== null) ring(context, place(marked), 8, ink, ground);
    drawNames(context, on, ink, ground);
    drawArrows(context, on, ink, ground);
    if (line) drawLasso(context, ink);
    clearTimeout(resting);
    resting = setTimeout(atRest, REST);
  }

  // Points of one class are one path, which is what makes thousands of them quick.
  function drawDots(context, found, radius, dark) {
    const of = new Map();
    for (const spot of found) {
      const name = points.classes[spot[0]];
      if (!of.has(name)) of.set(name, []);
      of.get(name).push(spot);
    }
    for (const [name, members] of of) {
      context.fillStyle = hueOf(name, dark);
      context.beginPath();
      for (const [, x, y] of members) trace(context, SHAPES[Math.max(name, 0) % SHAPES.length], x, y, radius);
      context.fill();
    }
  }

  function trace(context, shape, x, y, r) {
    if (shape === "circle") {
      context.moveTo(x + r, y);
      context.arc(x, y, r, 0, 7);
    } else if (shape === "square") context.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
    else {
      const corners = shape === "triangle" ? [[0, -1.25], [1.15, 0.85], [-1.15, 0.85]] : [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]];
      corners.forEach(([dx, dy], i) => context[i ? "lineTo" : "moveTo"](x + dx * r, y + dy * r));
      context.closePath();
    }
  }

  // Points without classes have one colour and no names, so thumbnails alone say what is where.
  function showsThumbnails() {
    return Boolean(thumbnails) && (view.scale >= NEAR || spots.length <= (names.length ? FEW : NAMELESS));
  }

  // The pin's pictures come first.
  function withRoom() {
    const first = new Set(pin && [pin.row, ...pin.to]);
    return roomy(first.size ? [...spots.filter(([row]) => row === pin.row), ...spots.filter(([row]) => row !== pin.row && first.has(row)), ...spots.filter(([row]) => !first.has(row))] : spots, THUMB + 4, THUMBS);
  }

  function drawThumbnails(context, dark) {
    for (const [row, x, y] of withRoom()) {
      const image = images.get(points.ids[row]);
      if (!image?.naturalWidth) continue;
      const by = THUMB / Math.max(image.naturalWidth, image.naturalHeight), [width, height] = [image.naturalWidth * by, image.naturalHeight * by];
      context.fillStyle = hueOf(points.classes[row], dark);
      context.fillRect(x - width / 2 - 2, y - height / 2 - 2, width + 4, height + 4);
      context.drawImage(image, x - width / 2, y - height / 2, width, height);
    }
  }

  function ring(context, [x, y], radius, ink, ground) {
    for (const [colour, width] of [[ground, 5], [ink, 2]]) {
      Object.assign(context, {strokeStyle: colour, lineWidth: width});
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      context.stroke();
    }
  }

  // Lines from the query to its true neighbours: whole to those that are near on the map too, broken to the others.
  function drawPin(context, on, ink, ground) {
    const [x, y] = on(pin.x, pin.y);
    pin.to.forEach((row, i) => {
      const end = place(row);
      Object.assign(context, {strokeStyle: ink, lineWidth: pin.kept[i] ? 1.8 : 1.2});
      context.setLineDash(pin.kept[i] ? [] : [4, 4]);
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(...end);
      context.stroke();
      context.setLineDash([]);
      ring(context, end, 5, ink, ground);
    });
    context.beginPath(); // a drop whose point is at the place
    context.moveTo(x, y);
    context.bezierCurveTo(x - 3, y - 10, x - 11, y - 13, x - 11, y - 21);
    context.arc(x, y - 21, 11, Math.PI, 0);
    context.bezierCurveTo(x + 11, y - 13, x + 3, y - 10, x, y);
    Object.assign(context, {fillStyle: "#e11d48", strokeStyle: ground, lineWidth: 2});
    context.fill();
    context.stroke();
    context.beginPath();
    context.arc(x, y - 21, 4, 0, 7);
    context.fillStyle = "#fff";
    context.fill();
  }

  function drawNames(context, on, ink, ground) {
    context.font = "600 12px system-ui, sans-serif";
    Object.assign(context, {textAlign: "center", textBaseline: "middle", lineWidth: 4, lineJoin: "round"});
    const candidates = middles.map(({name, x, y}) => {
      const text = shortened(readable(names[name])), [px, py] = on(x, y);
      return {name, text, x: px, y: py - ABOVE, width: context.measureText(text).width + 8}; // so that a small crowd is seen
    });
    for (const {text, x, y} of placedNames(candidates, 17, size(), NAMES)) {
      context.strokeStyle = ground;
      context.strokeText(text, x, y);
      context.fillStyle = ink;
      context.fillText(text, x, y);
    }
  }

  function drawArrows(context, on, ink, ground) {
    arrows = arrowsTo([...new Set([...outliers.filter(sees), ...(pin?.to ?? [])])].map((row) => [row, ...on(points.x[row], points.y[row])]), size());
    for (const {x, y, angle, rows} of arrows) {
      context.save();
      context.translate(x, y);
      context.rotate(angle);
      context.beginPath();
      for (const [px, py] of [[10, 0], [-6, -8], [-2, 0], [-6, 8]]) context.lineTo(px, py);
      context.closePath();
      Object.assign(context, {fillStyle: ink, strokeStyle: ground, lineWidth: 2});
      context.stroke();
      context.fill();
      context.restore();
      if (rows.length < 2) continue;
      const [tx, ty] = [x - 16 * Math.cos(angle), y - 16 * Math.sin(angle)];
      context.strokeText(String(rows.length), tx, ty);
      context.fillText(String(rows.length), tx, ty);
    }
  }

  function drawLasso(context, ink) {
    context.beginPath();
    for (const [x, y] of line) context.lineTo(x, y);
    context.closePath();
    Object.assign(context, {strokeStyle: ink, lineWidth: 1.5, fillStyle: "rgb(79 70 229 / 15%)"});
    context.setLineDash([5, 4]);
    context.fill();
    context.stroke();
    context.setLineDash([]);
  }

  // -- what is loaded when nothing moves ---------------------------------------------------------------------------

  function atRest() {
    const [width, height] = size(), inside = spots.filter(([, x, y]) => x >= 0 && y >= 0 && x <= width && y <= height);
    const far = ([, x, y]) => (x - width / 2) ** 2 + (y - height / 2) ** 2;
    onRest(inside.sort((a, b) => far(a) - far(b)).map(([row]) => row));
    if (showsThumbnails()) fetchImages(withRoom().map(([row]) => points.ids[row]));
  }

  async function fetchImages(ids) {
    const wanted = ids.filter((id) => !images.has(id) && !asked.has(id)), of = points;
    if (!wanted.length) return;
    for (const id of wanted) asked.add(id);
    const found = await thumbnails(wanted).catch(() => ({}));
    for (const id of wanted) asked.delete(id);
    if (of !== points) return;
    for (const [id, src] of Object.entries(found)) {
      const image = new Image();
      image.onload = draw;
      image.src = src;
      images.set(id, image); // also a missing one, which is not asked for again
    }
    for (const old of [...images.keys()].slice(0, -600)) images.delete(old);
  }

  // -- moving ------------------------------------------------------------------------------------------------------

  function look(next) {
    cancelAnimationFrame(flight);
    view = next;
    draw();
  }

  function zoom(by, x = size()[0] / 2, y = size()[1] / 2) {
    const scale = Math.min(Math.max(view.scale * by, FARTHEST), NEAREST), [mx, my] = lens(size(), view).off(x, y), shrink = view.scale / scale;
    look({scale, x: mx + (view.x - mx) * shrink, y: my + (view.y - my) * shrink});
  }

  function pan(dx, dy) {
    const {off} = lens(size(), view), [width, height] = size(), [x, y] = off(width / 2 - dx, height / 2 - dy);
    look({...view, x, y});
  }

  function flyTo(next) {
    if (still() || !size()[0]) return look(next);
    cancelAnimationFrame(flight);
    const from = view, began = performance.now();
    const step = (now) => {
      const share = Math.min((now - began) / 500, 1), eased = share * share * (3 - 2 * share), scale = from.scale * (next.scale / from.scale) ** eased;
      const way = from.scale === next.scale ? eased : (1 / from.scale - 1 / scale) / (1 / from.scale - 1 / next.scale); // so that the goal does not swing
      view = {scale, x: from.x + (next.x - from.x) * way, y: from.y + (next.y - from.y) * way};
      draw();
      if (share < 1) flight = requestAnimationFrame(step);
    };
    flight = requestAnimationFrame(step);
    return undefined;
  }

  const flyToAll = (places) => { if (places.length) flyTo(viewOf(places, size()[0] ? size() : [800, 600], places.length > 1 ? CLOSEST : CLOSE)); };
  const fly = (rows) => flyToAll(rows.map((row) => [points.x[row], points.y[row]]));

  const arrowAt = (x, y, touch = false) => arrows.find((arrow) => Math.hypot(arrow.x - x, arrow.y - y) < (touch ? REACH_TOUCH : REACH_ARROW));
  watchGestures(canvas, {
    pan, zoom,
    draws: () => drawing,
    tap(x, y, touch) {
      const arrow = arrowAt(x, y, touch);
      if (arrow) fly(arrow.rows);
      else onPick(nearestSpot(spots, x, y, touch ? REACH_TOUCH : REACH));
    },
    hover(x, y) {
      const arrow = x === null ? null : arrowAt(x, y), row = x === null || arrow ? null : nearestSpot(spots, x, y, REACH);
      canvas.style.cursor = drawing ? "crosshair" : arrow || row !== null ? "pointer" : "grab";
      if (row !== marked) point(row);
    },
    lasso(places, done) {
      line = done ? null : places;
      draw();
      if (!done || places.length < 3) return;
      drawing = false;
      onLasso(spots.filter(([, x, y]) => within(places, x, y)).map(([row]) => row));
    },
  });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const does = {ArrowLeft: () => pan(STEP, 0), ArrowRight: () => pan(-STEP, 0), ArrowUp: () => pan(0, STEP), ArrowDown: () => pan(0, -STEP),
      "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: () => flyTo(WHOLE), Home: () => flyTo(WHOLE)}[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  });

  function point(row) {
    marked = row;
    onHover(row, row === null ? null : place(row));
    draw();
  }

  function nameClasses() {
    middles = classMiddles({...points, classes: points.classes.map((name, row) => sees(row) ? name : -1)}, names.length);
    draw();
  }

  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new MutationObserver(draw).observe(document.body, {attributes: true, attributeFilter: ["class"]});

  return {
    // Columns of one row a picture: ids, x and y, in [0, 1] but for outliers, and classes, rows of names or -1.
    show(found, classNames) {
      [points, names] = [found, classNames];
      [marked, pin, shown, lit, line, view] = [null, null, null, null, null, WHOLE];
      images.clear();
      outliers = rowsOf().filter((row) => Math.min(found.x[row], found.y[row]) < -FAR || Math.max(found.x[row], found.y[row]) > 1 + FAR);
      nameClasses();
    },
    pin(at) { // {row or undefined, x, y, to, kept}: rows of the neighbours, and which are near on the map; null for none
      pin = at;
      draw();
    },
    only(rows) { // the others are not drawn; null for all
      shown = rows && new Set(rows);
      nameClasses();
    },
    light(rows) { // the others fade; null for none
      lit = rows && new Set(rows);
      nameClasses();
    },
    lasso(on) {
      drawing = on;
      canvas.style.cursor = on ? "crosshair" : "grab";
    },
    mark(row) {
      marked = row;
      draw();
    },
    inView: () => {
      const [width, height] = size();
      return spots.filter(([, x, y]) => x >= 0 && y >= 0 && x <= width && y <= height).map(([row]) => row);
    },
    zoom, fly, place, draw,
    flyTo: flyToAll, // places, [x, y] each
    whole: () => flyTo(WHOLE),
  };
}
