// The parts of a site, each fetched when it is first needed; a row is the place of a picture among all.

const ROOT = new URL("../../../", import.meta.url);

async function fetched(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url.pathname} cannot be fetched (${answer.status}). Load the page again.`);
  return answer;
}

// Calls a function once, and again only after it failed.
function once(make) {
  let made = null;
  return () => made ??= make().catch((error) => { made = null; throw error; });
}

export async function openSite() {
  const site = await (await fetched(new URL("site.json", ROOT))).json();
  const at = (path) => { // a new version is never mixed with what a browser has kept of an old one
    const url = new URL(path, ROOT);
    url.searchParams.set("v", site.version);
    return url;
  };
  const shards = new Map();
  const json = async (path) => (await fetched(at(path))).json();
  const pictures = once(async () => {
    const {ids, classes} = await json("data/pictures.json");
    return {ids, classes, rowOf: new Map(ids.map((id, row) => [id, row]))};
  });
  return {
    ...site,
    megabytes: Math.round((site.files.binary.size + site.files.network.size) / 1e6),
    url: (path) => at(path).href,
    thumbnail: (row) => at(`thumbnails/${Math.floor(row / site.perFolder)}/${row}.webp`).href,
    pictures,
    evaluation: once(() => json("data/evaluation.json")),
    probeVectors: once(() => json("data/probes.json")),
    positions: once(async () => new Uint16Array(await (await fetched(at("data/map.bin"))).arrayBuffer())),
    // The nearest other rows of a row, [[row, cosine], ...], nearest first.
    async neighbours(row) {
      const {k, shard} = site.neighbours, number = Math.floor(row / shard), place = row % shard;
      if (!k) return [];
      if (!shards.has(number)) shards.set(number, once(async () => (await fetched(at(`data/neighbours/${number}.bin`))).arrayBuffer()));
      const file = new DataView(await shards.get(number)()), rows = file.byteLength / (6 * k);
      return Array.from({length: k}, (_, i) => {
        const cell = place * k + i;
        return [file.getUint32(4 * cell, true), file.getInt16(4 * rows * k + 2 * cell, true) / 32767];
      });
    },
  };
}
