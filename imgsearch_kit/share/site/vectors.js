// Unit vectors of all pictures in the memory of the browser, and the rows that are nearest to a query.

// The values of a file of 16-bit floats, as rows of unit norm.
export function unitRows(buffer, dim) {
  const table = new Float32Array(1 << 16);
  for (let code = 0; code < table.length; code++) {
    const exponent = (code >> 10) & 31, fraction = code & 1023, sign = code >> 15 ? -1 : 1;
    table[code] = sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * fraction / 1024);
  }
  const vectors = Float32Array.from(new Uint16Array(buffer), (code) => table[code]);
  for (let start = 0; start < vectors.length; start += dim) {
    const row = vectors.subarray(start, start + dim), norm = Math.hypot(...row);
    for (let i = 0; i < dim; i++) row[i] /= norm;
  }
  return vectors;
}

export function cosine(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

// The query moved towards the marked vectors and away from others (Rocchio 1971), of unit norm; weights are [query, plus,
// minus].
export function rocchio(query, plus, minus, weights) {
  const moved = Float64Array.from(query, (value) => value * weights[0]);
  for (const [vectors, weight] of [[plus, weights[1]], [minus, -weights[2]]]) {
    for (const vector of vectors) vector.forEach((value, i) => { moved[i] += weight * value / vectors.length; });
  }
  const norm = Math.hypot(...moved);
  if (norm < 1e-6) throw new Error("The query and the marks cancel each other. Remove a mark.");
  return Float32Array.from(moved, (value) => value / norm);
}

// The k rows with the largest cosines, [[row, cosine], ...] in order of (-cosine, row); allowed(row) says which may be hits.
export function nearest(query, vectors, k, allowed) {
  const dim = query.length, found = [];
  for (let row = 0; row < vectors.length / dim; row++) {
    if (!allowed(row)) continue;
    let sum = 0;
    for (let i = 0, at = row * dim; i < dim; i++, at++) sum += query[i] * vectors[at];
    found.push([row, Math.fround(sum)]);
  }
  return found.sort(([a, x], [b, y]) => y - x || a - b).slice(0, k);
}
