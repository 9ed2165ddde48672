// The work that would stop the page for a moment, in a worker: pixels, the network, and the search among all vectors.
import {loadNetwork} from "./network.js";
import {pixelsOf} from "./pixels.js";
import {cosine, nearest, rocchio, unitRows} from "./vectors.js";

const MOST_OWN = 50; // pictures that are the query itself

let site = null, network = null, vectors = null;

const row = async (number) => (await all()).subarray(number * site.dim, (number + 1) * site.dim);

async function all() {
  vectors ??= fetch(site.vectors).then(async (answer) => {
    if (!answer.ok) throw new Error(`The vectors cannot be fetched (${answer.status}).`);
    return unitRows(await answer.arrayBuffer(), site.dim);
  });
  try {
    return await vectors;
  } catch (error) {
    vectors = null; // another try may find the network of the visitor again
    throw error;
  }
}

async function loaded(progress) {
  network ??= loadNetwork(site.files, site, progress);
  try {
    return await network;
  } catch (error) {
    network = null;
    throw new Error(`The network cannot be computed in this browser (${error?.message ?? error}). Search with a picture of the site: click one.`);
  }
}

const does = {
  start(given) {
    site = given;
  },
  // The unit vector of a picture file, or of the box on it.
  async embed({file, box}, progress) {
    const pixels = await pixelsOf(file, site.side, site.resampling, box);
    const ready = await loaded(progress), started = performance.now();
    return {vector: await ready.vector(pixels), ms: performance.now() - started, threads: ready.threads};
  },
  // The pixels alone, as the network would see them.
  pixels: ({file, side, resampling, box}) => pixelsOf(file, side, resampling, box),
  // The nearest rows of a row or a vector, and apart those that are the query itself, each [[row, cosine], ...]. plus and
  // minus are marked rows, classes the wanted ones or none; marks move the query, and are no hits.
  async search({query, plus, minus, classOf, classes, k}) {
    const gallery = await all(), wanted = new Set(classes), hidden = new Set([...plus, ...minus, query]);
    const start = typeof query === "number" ? await row(query) : query;
    const least = typeof query === "number" ? site.own.row : site.own.given;
    const own = nearest(start, gallery, MOST_OWN, (at) => !hidden.has(at)).filter(([, score]) => score > least);
    for (const [at] of own) hidden.add(at);
    const moved = plus.length || minus.length ? rocchio(start, await Promise.all(plus.map(row)), await Promise.all(minus.map(row)), site.weights) : start;
    return {own, hits: nearest(moved, gallery, k, (at) => !hidden.has(at) && (!wanted.size || wanted.has(classOf[at])))};
  },
  // The least cosine between the vectors of the probe pictures here and where the site was made.
  async verify({probes, expected}) {
    const ready = await loaded(() => {}), cosines = [];
    for (const [i, url] of probes.entries()) {
      const pixels = await pixelsOf(await (await fetch(url)).blob(), site.side, site.resampling, null);
      cosines.push(cosine(await ready.vector(pixels), expected[i]));
    }
    return Math.min(...cosines);
  },
};

self.addEventListener("message", async ({data: {serial, kind, given}}) => {
  try {
    self.postMessage({serial, result: await does[kind](given, (share) => self.postMessage({serial, share}))});
  } catch (error) {
    self.postMessage({serial, error: String(error?.message ?? error)});
  }
});
