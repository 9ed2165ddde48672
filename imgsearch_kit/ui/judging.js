// Judgements of compared columns: which one is better, and which hits are relevant. A judgement has the query's name,
// the columns as {spec, name}, the winner's spec ("" for a tie, null for none yet), and ids: all shown, and relevant.

export function shuffled(items) {
  const found = [...items];
  for (let i = found.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [found[i], found[j]] = [found[j], found[i]];
  }
  return found;
}

// Whether something that the browser kept is a judgement.
export function isJudgement(item) {
  const texts = (list) => Array.isArray(list) && list.every((each) => typeof each === "string");
  return typeof item?.query === "string" && texts(item.shown) && texts(item.relevant)
    && Array.isArray(item.columns) && item.columns.every((each) => typeof each?.spec === "string" && typeof each.name === "string");
}

// How often each column won of the comparisons it was in, most often first.
export function countWins(judgements) {
  const found = new Map();
  for (const {columns, winner} of judgements.filter((each) => typeof each.winner === "string")) {
    for (const {spec, name} of columns) {
      const row = found.get(spec) ?? {spec, name, won: 0, tied: 0, of: 0};
      found.set(spec, {...row, won: row.won + (winner === spec), tied: row.tied + (winner === ""), of: row.of + 1});
    }
  }
  return [...found.values()].sort((a, b) => b.won / b.of - a.won / a.of);
}

// The lines "query 0 picture relevance" of TREC. Where a hit of a query is marked, the others that were shown are not
// relevant; a query without any mark says nothing. Of two judgements on the same, the newest, which comes first, counts.
export function qrelsText(judgements) {
  const judged = new Map();
  for (const {query, shown, relevant} of [...judgements].reverse().filter((each) => each.relevant.length)) {
    const of = judged.get(query) ?? new Map();
    for (const id of shown) of.set(id, relevant.includes(id) ? 1 : 0);
    judged.set(query, of);
  }
  return [...judged].map(([query, of]) => [...of].map(([id, relevance]) => `${trecId(query)} 0 ${trecId(id)} ${relevance}\n`).join("")).join("");
}

// An id without white space and control characters, as the kit's own runs write it.
const SPACES = /[%\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/g;
const trecId = (id) => id.replace(SPACES, encodeURIComponent);
