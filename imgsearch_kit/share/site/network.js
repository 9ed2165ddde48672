// The network in the browser: its runtime and its weights are fetched once, with progress, and kept by the browser.

const THREADS = 4; // at most; more than one only where the host sends the headers of cross-origin isolation

// files are {runtime, glue, binary, network}, each {url, size} with an absolute url; progress gets the share that is there.
export async function loadNetwork(files, {output, side, dim}, progress) {
  const total = files.binary.size + files.network.size, arrived = {};
  const bring = ({url, size}) => fetched(url, size, (bytes) => {
    arrived[url] = bytes;
    progress(Math.min(Object.values(arrived).reduce((sum, each) => sum + each, 0) / total, 1));
  });
  const [ort, binary, network] = await Promise.all([import(files.runtime.url), bring(files.binary), bring(files.network)]);
  ort.env.wasm.wasmBinary = binary;
  ort.env.wasm.wasmPaths = {mjs: files.glue.url, wasm: files.binary.url};
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, THREADS) : 1;
  const session = await ort.InferenceSession.create(new Uint8Array(network), {executionProviders: ["wasm"]});
  return {
    threads: ort.env.wasm.numThreads,
    // The unit vector of side x side RGB pixels.
    async vector(pixels) {
      const answer = await session.run({pixels: new ort.Tensor("uint8", pixels, [1, side, side, 3])}, [output]);
      const found = answer[output].data;
      if (found.length !== dim || !found.every(Number.isFinite)) throw new Error("The network gives no valid vector here.");
      return Float32Array.from(found);
    },
  };
}

async function fetched(url, size, progress) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url} cannot be fetched (${answer.status}).`);
  const whole = new Uint8Array(size), reader = answer.body.getReader();
  let at = 0;
  for (;;) {
    const {done, value} = await reader.read();
    if (done) break;
    if (at + value.length > size) throw new Error(`${url} is longer than the ${size} bytes that were packed.`);
    whole.set(value, at);
    progress(at += value.length);
  }
  if (at !== size) throw new Error(`${url} has ${at} of ${size} bytes.`);
  return whole.buffer;
}
