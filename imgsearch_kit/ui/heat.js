// How much each place of a picture adds to a match, drawn over it.
import {make} from "./dom.js";

// rows are numbers from the top; what is at or below zero stays clear. box is where on the picture they lie.
export function heat(rows, box) {
  const height = rows.length, width = rows[0].length;
  const canvas = make("canvas", {width, height, class: "kit-heat", "aria-hidden": "true"});
  const context = canvas.getContext("2d"), pixels = context.createImageData(width, height);
  const most = Math.max(...rows.flat(), 1e-9);
  rows.flat().forEach((value, i) => pixels.data.set([255, 90, 0, Math.round(200 * Math.max(value, 0) / most)], 4 * i));
  context.putImageData(pixels, 0, 0);
  const [left, top, right, bottom] = box || [0, 0, 1, 1];
  Object.assign(canvas.style, {left: `${left * 100}%`, top: `${top * 100}%`, width: `${(right - left) * 100}%`, height: `${(bottom - top) * 100}%`});
  return canvas;
}
