// The pixels that the network sees of a picture file, decoded as the kit decodes: upright, in the file's own colours, on
// white, and squashed to a square.
import {createResizer} from "./resize.js";

const STRIP = 1 << 20; // pixels that are on the canvas at once
const MOST = 178e6; // pixels of a picture

// box is [left, top, right, bottom] as fractions of the upright picture, or null. It throws an Error for a person to read.
export async function pixelsOf(file, side, resampling, box) {
  const picture = await decoded(file);
  try {
    if (picture.width * picture.height > MOST) throw new Error(`The picture has ${picture.width} x ${picture.height} pixels, which is too large.`);
    const [left, top, right, bottom] = box ? pixelsIn(box, picture.width, picture.height) : [0, 0, picture.width, picture.height];
    const width = right - left, height = bottom - top, resizer = createResizer(width, height, side, resampling);
    const rows = Math.max(Math.floor(STRIP / width), 1), canvas = new OffscreenCanvas(width, Math.min(rows, height));
    const context = canvas.getContext("2d", {willReadFrequently: true});
    for (let y = 0; y < height; y += rows) {
      const count = Math.min(rows, height - y);
      context.fillStyle = "#fff";
      context.fillRect(0, 0, width, count);
      context.drawImage(picture, left, top + y, width, count, 0, 0, width, count);
      resizer.strip(context.getImageData(0, 0, width, count).data);
    }
    return resizer.pixels();
  } finally {
    picture.close();
  }
}

async function decoded(file) {
  try {
    return await createImageBitmap(file, {imageOrientation: "from-image", colorSpaceConversion: "none"});
  } catch {
    throw new Error(await isHeic(file) ? "This browser cannot open HEIC pictures; Safari can. Export the picture as JPEG and give that."
      : "This browser cannot open the file as a picture. Give a JPEG, PNG or WEBP.");
  }
}

// Whether a file begins as one of HEIC (ISO/IEC 23008-12) does, whatever its name.
async function isHeic(file) {
  const start = String.fromCharCode(...new Uint8Array(await file.slice(0, 12).arrayBuffer()));
  return /^[^]{4}ftyp(hei|hev|mif1|msf1)/.test(start);
}

// The whole pixels of a box, as the kit rounds them.
function pixelsIn([left, top, right, bottom], width, height) {
  if ((right - left) * width < 1 - 1e-6 || (bottom - top) * height < 1 - 1e-6) throw new Error("The box is smaller than a pixel. Draw a larger one.");
  const whole = (value) => Math.floor(value + 0.5), x = whole(left * width), y = whole(top * height);
  return [x, y, Math.max(x + 1, whole(right * width)), Math.max(y + 1, whole(bottom * height))];
}
