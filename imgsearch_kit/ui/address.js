// A search in the address of the page, so that a link opens it again.

const OURS = ["tab", "id", "k", "classes", "rank", "box", "plus", "minus", "least", "distinct"];

// A search has: id, also, k, classes, rank, box, plus, minus, least, distinct; the first id of several is the query that
// is shown, the others are searched for together with it. What is as usual is left out, what is not ours is kept.
export function toAddress(search, usual, before = "", tab = "search") {
  const query = new URLSearchParams(before);
  for (const name of OURS) query.delete(name);
  if (search.id || tab !== "search") query.set("tab", tab);
  if (!search.id) return query.toString();
  for (const id of [search.id, ...search.also]) query.append("id", id);
  if (search.k !== usual.k) query.set("k", search.k);
  for (const name of search.classes) query.append("classes", name);
  if (search.rank !== usual.rank) query.set("rank", search.rank);
  if (search.box) query.set("box", search.box.join(","));
  for (const id of search.plus) query.append("plus", id);
  for (const id of search.minus) query.append("minus", id);
  for (const name of ["least", "distinct"]) if (search[name] !== null) query.set(name, search[name]);
  return query.toString();
}

// The search of an address; numbers that are none stay as they are written, so that the answer can say so.
export function fromAddress(address, usual) {
  const query = new URLSearchParams(address);
  const number = (text) => text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
  const ids = query.getAll("id");
  const optional = (name) => query.get(name) ? number(query.get(name)) : null;
  return {
    id: ids[0] ?? null,
    also: ids.slice(1),
    k: query.has("k") ? number(query.get("k")) : usual.k,
    classes: query.getAll("classes"),
    rank: query.get("rank") ?? usual.rank,
    box: query.get("box") ? query.get("box").split(",").map(number) : null,
    plus: query.getAll("plus"),
    minus: query.getAll("minus"),
    least: optional("least"),
    distinct: optional("distinct"),
  };
}
