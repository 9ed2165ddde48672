// Pictures as points on a plane, coloured by class, on a canvas: hover, click, zoom, keyboard, and a pin.
import {make} from "./dom.js";

const NAMES = 40, NEAR = 14; // names drawn at most; pixels from a point within which it is meant
const HUE = 137.508; // degrees; neighbouring numbers of classes get far hues

// points are {x, y} in [0, 1] and class, a row of names or -1; onHover(row or null, at), onPick(row) are told the row.
export function createMap(element, {onHover, onPick}) {
  const canvas = make("canvas", {tabindex: "0", role: "application", "aria-label": "Map of the pictures. Arrow keys go to the nearest picture, Enter searches for it."});
  element.replaceChildren(canvas);
  let points = [], names = [], pin = null, view = {x: 0, y: 0, scale: 1}, at = null, labels = [];

  const size = () => [canvas.clientWidth, canvas.clientHeight];
  const place = ({x, y}) => { // on the canvas, in CSS pixels; the plane keeps its shape
    const [width, height] = size(), side = (Math.min(width, height) - 40) * view.scale;
    return [width / 2 + (x - 0.5) * side + view.x, height / 2 + (0.5 - y) * side + view.y];
  };
  const colour = (name) => name < 0 ? "#888" : `hsl(${(name * HUE) % 360} 65% ${getComputedStyle(canvas).colorScheme === "dark" || document.body.classList.contains("dark") ? 62 : 45}%)`;

  function nearest(x, y) {
    let best = null, least = NEAR ** 2;
    points.forEach((point, row) => {
      const [px, py] = place(point), far = (px - x) ** 2 + (py - y) ** 2;
      if (far < least) [best, least] = [row, far];
    });
    return best;
  }

  function dot(context, point, radius, fill) {
    const [x, y] = place(point);
    context.fillStyle = fill;
    context.beginPath();
    context.arc(x, y, radius, 0, 7);
    context.fill();
  }

  function draw() {
    const [width, height] = size(), ratio = devicePixelRatio || 1;
    if (!width) return;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const context = canvas.getContext("2d"), style = getComputedStyle(canvas);
    context.scale(ratio, ratio);
    const colours = names.map((_, name) => colour(name));
    context.globalAlpha = 0.75;
    for (const point of points) dot(context, point, points.length > 2000 ? 2.2 : 4, colours[point.class] ?? colour(-1));
    context.globalAlpha = 1;
    if (pin) drawPin(context, style);
    if (at !== null) {
      const [x, y] = place(points[at]);
      context.strokeStyle = style.color;
      context.lineWidth = 2;
      context.strokeRect(x - 6, y - 6, 12, 12);
    }
    drawNames(context, style);
  }

  // Lines from the query to its true neighbours, wherever the map has them.
  function drawPin(context, style) {
    const [x, y] = place(points[pin.at]);
    context.strokeStyle = style.color;
    context.lineWidth = 1.2;
    for (const row of pin.to) {
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(...place(points[row]));
      context.stroke();
      dot(context, points[row], 4, style.color);
    }
    dot(context, points[pin.at], 9, style.color);
    dot(context, points[pin.at], 6, "#e11d48");
  }

  // The names of the largest classes, at the middle of their points; one that would cover another is left out.
  function drawNames(context, style) {
    const taken = [];
    context.font = "600 12px sans-serif";
    context.textAlign = "center";
    context.lineWidth = 4;
    context.lineJoin = "round";
    for (const {name, middle} of labels) {
      const [x, y] = place(middle), half = context.measureText(names[name]).width / 2 + 3;
      if (taken.length >= NAMES || taken.some((box) => Math.abs(box.y - y) < 15 && Math.abs(box.x - x) < box.half + half)) continue;
      taken.push({x, y, half});
      context.strokeStyle = style.backgroundColor;
      context.strokeText(names[name], x, y + 4);
      context.fillStyle = style.color;
      context.fillText(names[name], x, y + 4);
    }
  }

  const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

  function point(row) {
    at = row;
    onHover(row, row === null ? null : place(points[row]));
    draw();
  }

  const within = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  let held = null;
  canvas.addEventListener("pointerdown", (event) => { held = {from: within(event), view, moved: false}; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = within(event);
    if (held && Math.hypot(x - held.from[0], y - held.from[1]) > 4) held.moved = true;
    if (held?.moved) {
      view = {...held.view, x: held.view.x + x - held.from[0], y: held.view.y + y - held.from[1]};
      return draw();
    }
    const row = nearest(x, y);
    canvas.style.cursor = row === null ? "grab" : "pointer";
    if (row !== at) point(row);
    return undefined;
  });
  canvas.addEventListener("pointerup", (event) => {
    const row = held && !held.moved ? nearest(...within(event)) : null;
    held = null;
    if (row !== null) onPick(row);
  });
  canvas.addEventListener("pointerleave", () => { if (!held) point(null); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.25 : 0.8, ...within(event));
  }, {passive: false});
  canvas.addEventListener("keydown", (event) => {
    const way = {ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1]}[event.key];
    if (event.key === "Enter" && at !== null) return onPick(at);
    if (!way || !points.length) return undefined;
    event.preventDefault();
    return point(at === null ? pin?.at ?? 0 : beside(way));
  });

  // The nearest point within 45 degrees of a direction.
  function beside([right, down]) {
    const [x, y] = place(points[at]);
    let best = at, least = Infinity;
    points.forEach((each, row) => {
      const [px, py] = place(each), ahead = (px - x) * right + (py - y) * down, aside = Math.abs((px - x) * down) + Math.abs((py - y) * right);
      if (ahead > 0.5 && aside <= ahead && ahead + aside < least) [best, least] = [row, ahead + aside];
    });
    return best;
  }

  function zoom(by, x = size()[0] / 2, y = size()[1] / 2) {
    const scale = Math.min(Math.max(view.scale * by, 0.5), 60), [width, height] = size(), real = scale / view.scale;
    view = {scale, x: (x - width / 2) * (1 - real) + view.x * real, y: (y - height / 2) * (1 - real) + view.y * real};
    draw();
  }

  new ResizeObserver(draw).observe(canvas);
  return {
    show(found, classes) {
      [points, names, pin, at] = [found, classes, null, null];
      const of = classes.map(() => []);
      for (const each of found) of[each.class]?.push(each);
      labels = of.map((members, name) => ({name, members})).filter(({members}) => members.length).sort((a, b) => b.members.length - a.members.length)
        .map(({name, members}) => ({name, middle: {x: median(members.map(({x}) => x)), y: median(members.map(({y}) => y))}}));
      draw();
    },
    pin(row, to) { // rows of the query and of its neighbours; null for none
      pin = row === null ? null : {at: row, to};
      draw();
    },
    zoom,
    whole() {
      view = {x: 0, y: 0, scale: 1};
      draw();
    },
    place: (row) => place(points[row]),
    draw,
  };
}
