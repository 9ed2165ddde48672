// Searches by rows of the site and by visitors' pictures, with what is needed fetched when it is: neighbours that are known,
// all vectors, or the network.
import {createHelper} from "./helper.js";

export function createEmbedding(site) {
  const {output, dim, side, resampling} = site.extractor;
  const vectors = new Map(); // of visitors' pictures, by file and box, so that a mark or a class costs no computing
  let helper = null, verified = false, wrong = "";

  function ask(kind, given, progress) {
    if (!helper) {
      helper = createHelper();
      const files = Object.fromEntries(Object.entries(site.files).map(([name, {path, size}]) => [name, {url: site.url(path), size}]));
      helper("start", {output, dim, side, resampling, files, vectors: site.url("data/vectors.f16"), weights: site.weights, own: site.own});
    }
    return helper(kind, given, progress);
  }

  return {
    // The answer to a row, {own, hits}: from its known neighbours where these are enough.
    async ofRow(row, options) {
      if (!options.plus.length && !options.minus.length && !options.classes.length) {
        const known = await site.neighbours(row), own = known.filter(([, score]) => score > site.own.row), hits = known.slice(own.length);
        if (hits.length >= options.k || known.length === site.count - 1) return {own, hits: hits.slice(0, options.k)};
      }
      return ask("search", {query: row, ...options});
    },
    ofVector: (vector, options) => ask("search", {query: vector, ...options}),
    // The vector of a visitor's picture, and words on how it was made.
    async ofFile(file, box, progress) {
      if (wrong) throw new Error(wrong);
      const key = `${box}`, of = vectors.get(file) ?? new Map();
      if (!of.has(key)) of.set(key, await ask("embed", {file, box}, progress));
      vectors.clear(); // one picture at a time
      vectors.set(file, of);
      const {vector, ms, threads} = of.get(key);
      return {vector, words: `computed here in ${Math.round(ms).toLocaleString("en")} ms by ${threads} ${threads === 1 ? "thread" : "threads"}`};
    },
    verified: () => verified,
    // It throws an Error when this browser computes something else than the maker of the site did.
    async verify() {
      const {vectors: expected} = await site.probeVectors();
      const least = await ask("verify", {probes: site.probes.files.map((name) => site.url(`data/${name}`)), expected});
      if (!(least >= site.probes.least)) {
        wrong = `This browser computes something else than the maker of the site (cosine ${least.toFixed(4)} of the probe pictures, at least ${site.probes.least} is expected), so pictures of yours cannot be searched for. Search with a picture of the site: click one.`;
        throw new Error(wrong);
      }
      verified = true;
    },
  };
}
