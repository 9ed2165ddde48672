// A picture on which a box can be drawn, by mouse, by touch, or by four numbers.
import {button, make, picture} from "./dom.js";

const SMALLEST = 0.02; // of a side; less is a click, not a box
const SIDES = ["Left", "Top", "Right", "Bottom"];

// A box is [left, top, right, bottom] as fractions of the upright picture, with three decimals; null is all of it.
export function readBox(values) {
  const box = values.map((value) => Math.round(Math.min(Math.max(Number(value), 0), 1) * 1000) / 1000);
  if (box.length !== 4 || box.some(Number.isNaN)) return null;
  const [left, top, right, bottom] = box;
  if (right - left < SMALLEST || bottom - top < SMALLEST) return null;
  return box.join() === "0,0,1,1" ? null : box;
}

// onChange(box) is called when the pointer is released or a number was typed, never while it moves.
export function createCrop(element, {onChange} = {}) {
  let box = null, image = null;
  const frame = make("div", {class: "kit-frame"});
  const shade = make("div", {class: "kit-box", hidden: true}, ["nw", "ne", "sw", "se"].map((corner) => make("i", {data: {corner}})));
  const numbers = SIDES.map((name) => make("input", {type: "number", min: 0, max: 1, step: 0.01, inputmode: "decimal"}));
  const said = make("p", {class: "kit-said", role: "alert"});
  const suggested = make("div", {class: "kit-suggested"});
  const fields = make("fieldset", {class: "kit-numbers"}, make("legend", {}, "Drag a box on the picture, or give its sides as fractions"),
    numbers.map((input, i) => make("label", {}, make("span", {}, SIDES[i]), input)), said, suggested);

  function draw(shown) {
    const [left, top, right, bottom] = shown || [0, 0, 1, 1];
    shade.hidden = !shown;
    Object.assign(shade.style, {left: `${left * 100}%`, top: `${top * 100}%`, width: `${(right - left) * 100}%`, height: `${(bottom - top) * 100}%`});
    [left, top, right, bottom].forEach((value, i) => {
      if (numbers[i] !== document.activeElement) numbers[i].value = Math.round(value * 1000) / 1000; // else it is being typed
    });
  }

  function at(event) {
    const place = image.getBoundingClientRect();
    const within = (value) => Math.min(Math.max(value, 0), 1);
    return [within((event.clientX - place.left) / place.width), within((event.clientY - place.top) / place.height)];
  }

  const ordered = ([ax, ay], [bx, by]) => [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];

  function moved([left, top, right, bottom], [fromX, fromY], [toX, toY]) {
    const dx = Math.min(Math.max(toX - fromX, -left), 1 - right), dy = Math.min(Math.max(toY - fromY, -top), 1 - bottom);
    return [left + dx, top + dy, right + dx, bottom + dy];
  }

  // A corner resizes the box, its inside moves it, and anywhere else begins a new one.
  frame.addEventListener("pointerdown", (event) => {
    if (!element.classList.contains("cropping") || !image || event.button > 0) return;
    event.preventDefault();
    const corner = event.target.dataset.corner, start = at(event), old = box;
    const [left, top, right, bottom] = old || [0, 0, 1, 1];
    const fixed = corner ? [corner[1] === "w" ? right : left, corner[0] === "n" ? bottom : top] : start;
    const move = old && !corner && event.target === shade;
    let drawn = old;
    const follow = (moving) => { draw(drawn = move ? moved(old, start, at(moving)) : ordered(fixed, at(moving))); };
    frame.setPointerCapture(event.pointerId);
    frame.addEventListener("pointermove", follow);
    const stop = () => {
      frame.removeEventListener("pointermove", follow);
      frame.removeEventListener("pointerup", released);
      frame.removeEventListener("pointercancel", stop);
      draw(box);
    };
    const released = () => {
      const wanted = readBox(drawn || []);
      stop();
      if (String(wanted) !== String(box) && (wanted || move || corner)) change(wanted);
    };
    frame.addEventListener("pointerup", released);
    frame.addEventListener("pointercancel", stop);
  });

  fields.addEventListener("change", () => {
    const values = numbers.map((input) => input.value === "" ? NaN : Number(input.value));
    const wanted = readBox(values), whole = values.join() === "0,0,1,1";
    if ((wanted || whole) && values.every((value) => value >= 0 && value <= 1)) return change(wanted);
    said.textContent = "Give fractions from 0 to 1: left below right, and top below bottom.";
  });

  function change(wanted) {
    said.textContent = "";
    draw(box = wanted);
    onChange?.(box);
  }

  element.replaceChildren(frame, fields);
  return {
    show(src, alt) {
      image = picture(src, alt);
      if (!src) image = (frame.replaceChildren(image), null);
      else frame.replaceChildren(image, shade);
      if (image) image.draggable = false;
    },
    // Boxes to choose from, strongest first.
    suggest(boxes) {
      suggested.replaceChildren(...(boxes.length ? [make("span", {}, "Suggested"),
        ...boxes.map((each, i) => button(String(i + 1), () => change(readBox(each)), {"aria-label": `${i + 1}. suggested box`}))] : []));
    },
    set(wanted) {
      if (String(wanted) === String(box) && fields.contains(document.activeElement)) return; // numbers are being typed
      draw(box = wanted);
    },
    cropping(on) {
      element.classList.toggle("cropping", on);
    },
  };
}
