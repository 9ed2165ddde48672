// The antialiased resizing of Pillow on 8-bit pixels, bit by bit: first across, then down, each rounded to whole values.

const BITS = 22; // of the fraction of a weight
const FILTERS = {
  bilinear: {support: 1, at: (x) => Math.max(1 - Math.abs(x), 0)},
  bicubic: {support: 2, at: (x) => { // Catmull and Rom's
    const far = Math.abs(x);
    if (far < 1) return (1.5 * far - 2.5) * far * far + 1;
    return far < 2 ? (((far - 5) * far + 8) * far - 4) * -0.5 : 0;
  }},
};

// For each of `after` places: the first of the `before` values that it depends on, and their weights as whole numbers.
function weightsOf(before, after, {support, at}) {
  const step = before / after, wide = Math.max(step, 1), reach = support * wide;
  return Array.from({length: after}, (_, place) => {
    const middle = (place + 0.5) * step;
    const first = Math.max(Math.trunc(middle - reach + 0.5), 0), end = Math.min(Math.trunc(middle + reach + 0.5), before);
    const weights = Array.from({length: end - first}, (_, i) => at((i + first - middle + 0.5) * (1 / wide)));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return {first, weights: Int32Array.from(weights, (weight) => Math.trunc(weight / sum * 2 ** BITS + (weight < 0 ? -0.5 : 0.5)))};
  });
}

const clipped = (sum) => Math.min(Math.max(sum >> BITS, 0), 255);
const HALF = 2 ** (BITS - 1);

// Takes a picture of width x height as strips of RGBA rows from the top, and gives side x side RGB.
export function createResizer(width, height, side, resampling) {
  const filter = FILTERS[resampling];
  if (!filter) throw new Error(`There is no filter ${resampling}.`);
  const across = weightsOf(width, side, filter), down = weightsOf(height, side, filter);
  const narrow = new Uint8Array(side * height * 3);
  let filled = 0;
  return {
    strip(rgba) {
      for (let start = 0; start < rgba.length; start += 4 * width, filled++) {
        for (let x = 0; x < side; x++) {
          const {first, weights} = across[x], to = 3 * (filled * side + x);
          let red = HALF, green = HALF, blue = HALF;
          for (let i = 0, from = start + 4 * first; i < weights.length; i++, from += 4) {
            red += rgba[from] * weights[i];
            green += rgba[from + 1] * weights[i];
            blue += rgba[from + 2] * weights[i];
          }
          narrow[to] = clipped(red);
          narrow[to + 1] = clipped(green);
          narrow[to + 2] = clipped(blue);
        }
      }
    },
    pixels() {
      const row = 3 * side, squashed = new Uint8Array(side * row);
      down.forEach(({first, weights}, y) => {
        for (let x = 0; x < row; x++) {
          let sum = HALF;
          for (let i = 0; i < weights.length; i++) sum += narrow[(first + i) * row + x] * weights[i];
          squashed[y * row + x] = clipped(sum);
        }
      });
      return squashed;
    },
  };
}
