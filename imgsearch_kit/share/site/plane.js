// The map tab: all pictures as points, alike ones near each other; a click searches.
import {button, make, picture} from "../../ui/dom.js";
import {createMap} from "../../ui/map.js";
import {onAnswer, searchFor, whenShown} from "../../ui/tabs.js";

const STEPS = 65535; // of a position

export function showMap(element, site) {
  const said = make("p", {class: "said", role: "status"}, "Loading the map …");
  const place = make("div", {class: "map-place"}), plane = make("div", {class: "map-plane"}), tip = make("div", {class: "map-tip", hidden: true, "aria-live": "polite"});
  let map = null, pictures = null, asked = null;
  const tools = make("div", {class: "ways"}, button("+", () => map?.zoom(1.5), {"aria-label": "Nearer"}), button("−", () => map?.zoom(1 / 1.5), {"aria-label": "Farther"}), button("Whole map", () => map?.whole()), said);
  place.append(plane, tip);
  element.append(tools, place);

  function hover(row, at) {
    tip.hidden = row === null;
    if (row === null) return;
    const name = pictures.ids[row];
    tip.replaceChildren(picture(site.thumbnail(row), name), make("b", {}, site.classes[pictures.classes[row]]?.name ?? ""), make("span", {}, name));
    Object.assign(tip.style, {left: `${Math.min(Math.max(at[0] + 14, 4), plane.clientWidth - 170)}px`, top: `${Math.min(at[1] + 14, Math.max(plane.clientHeight - 200, 0))}px`});
  }

  // The query at its own point, or at that of its nearest picture.
  function pin() {
    if (!map || !asked) return map?.pin(null, []);
    const near = asked.hits.slice(0, 10).map(([row]) => row), at = asked.row ?? near[0] ?? null;
    said.textContent = at === null ? "" : `The pin is ${asked.name}${asked.row === null ? ", at its nearest picture" : ""}; lines lead to its first neighbours.`;
    return map.pin(at, near);
  }

  async function load() {
    try {
      const [found, positions] = await Promise.all([site.pictures(), site.positions()]);
      pictures = found;
      map = createMap(plane, {onHover: hover, onPick: (row) => searchFor(found.ids[row])});
      map.show(found.ids.map((_, row) => ({x: positions[2 * row] / STEPS, y: positions[2 * row + 1] / STEPS, class: found.classes[row]})), site.classes.map(({name}) => name));
      said.textContent = "Alike pictures lie near each other. Point at one to see it, click to search for it.";
      element.dataset.ready = "";
      pin();
    } catch (error) {
      said.textContent = error.message;
    }
  }

  onAnswer((told) => { asked = told && told.answer; pin(); });
  whenShown("map", () => map ? map.draw() : load());
}
