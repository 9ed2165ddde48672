// The map tab: the explorer over the positions of the site.
import {make} from "../../ui/dom.js";
import {createExplorer} from "../../ui/explorer.js";
import {onAnswer, searchFor, whenShown} from "../../ui/tabs.js";

const STEPS = 65535; // of a position
const TEN = 10;

// Which of some rows are among as many nearest on the map to a place, where some rows are the query itself.
function keptOf(points, x, y, near, own) {
  const far = points.x.map((_, row) => own.includes(row) ? Infinity : (points.x[row] - x) ** 2 + (points.y[row] - y) ** 2);
  const nearest = new Set([...far.keys()].sort((a, b) => far[a] - far[b]).slice(0, near.length));
  return near.map((row) => nearest.has(row));
}

// The hits of a query at the point of a row; the row of the query itself is null for a visitor's picture.
export function placed(points, at, hits, row) {
  const x = points.x[at], y = points.y[at], rows = hits.map(([near]) => near);
  const kept = keptOf(points, x, y, rows, row === null ? [] : [row]);
  return {x, y, near: rows.map((near) => points.ids[near]), cosines: hits.map(([, score]) => score), kept};
}

export function showMap(element, site) {
  const said = make("p", {class: "said", role: "status"}, "Loading the map …");
  const place = make("div", {class: "kit-explorer"});
  let explorer = null, points = null, rowOf = null, asked = null;
  element.append(said, place);

  async function near(id) {
    const row = rowOf.get(id), known = (await site.neighbours(row)).slice(0, TEN);
    return placed(points, row, known, row);
  }

  // The query at its own point, or at that of its nearest picture.
  function pin() {
    if (!explorer) return undefined;
    const hits = asked?.hits.slice(0, TEN) ?? [], at = asked?.row ?? hits[0]?.[0] ?? null;
    said.textContent = asked && asked.row === null && at !== null ? `The pin of ${asked.name} stands at its nearest picture.` : "";
    if (at === null) return explorer.pin(null);
    return explorer.pin({...placed(points, at, hits, asked.row), id: asked.row === null ? null : points.ids[at], name: asked.name});
  }

  async function load() {
    try {
      const [found, positions] = await Promise.all([site.pictures(), site.positions()]);
      rowOf = found.rowOf;
      points = {
        ids: found.ids,
        x: found.ids.map((_, row) => positions[2 * row] / STEPS),
        y: found.ids.map((_, row) => positions[2 * row + 1] / STEPS),
        classes: found.classes,
        names: site.classes.map(({name}) => name),
      };
      explorer = createExplorer(place, {
        thumbnails: async (ids) => Object.fromEntries(ids.map((id) => [id, site.thumbnail(rowOf.get(id))])),
        near,
        onSearch: searchFor,
      });
      explorer.show(points);
      said.textContent = "";
      element.dataset.ready = "";
      pin();
    } catch (error) {
      said.textContent = error.message;
    }
  }

  onAnswer((told) => {
    asked = told && told.answer;
    pin();
  });
  whenShown("map", () => explorer ? explorer.draw() : load());
}
