// Asks the worker, and waits for its answers.

// ask(kind, given, onProgress) resolves to what the worker answers, or throws its Error.
export function createHelper() {
  const worker = new Worker(new URL("./worker.js", import.meta.url), {type: "module"}), waiting = new Map();
  let serial = 0, broken = "";
  worker.addEventListener("message", ({data}) => {
    const asked = waiting.get(data.serial);
    if (data.share !== undefined) return asked?.progress(data.share);
    waiting.delete(data.serial);
    return data.error === undefined ? asked.resolve(data.result) : asked.reject(new Error(data.error));
  });
  worker.addEventListener("error", (event) => {
    broken = `This browser cannot run the page's worker${event.message ? ` (${event.message})` : ""}.`;
    for (const {reject} of waiting.values()) reject(new Error(broken));
    waiting.clear();
  });
  return (kind, given, progress = () => {}) => new Promise((resolve, reject) => {
    if (broken) return reject(new Error(broken));
    waiting.set(++serial, {resolve, reject, progress});
    return worker.postMessage({serial, kind, given});
  });
}
