// The map tab: all pictures as points, and the query as a pin. Gradio runs it as the body of a function.
import {button, make, picture} from "../../ui/dom.js";
import {createMap} from "../../ui/map.js";
import {onAnswer, onTheme, searchFor, whenShown} from "../../ui/tabs.js";

const root = element.firstElementChild;
let found = null, rows = new Map(), asked = null, hovered = null, waiting = 0;
const seen = new Map(); // thumbnails by id

const said = make("p", {class: "status", role: "status"});
const learn = button("Learn the map", () => {
  learn.hidden = true;
  said.textContent = "Learning the map …";
  trigger("learn", {});
}, {class: "kit-first", hidden: true});
const tools = make("div", {class: "ways", hidden: true}, button("+", () => map.zoom(1.5), {"aria-label": "Nearer"}), button("−", () => map.zoom(1 / 1.5), {"aria-label": "Farther"}), button("Whole map", () => map.whole()));
const place = make("div", {class: "map-place", hidden: true}), plane = make("div", {class: "map-plane"});
const tip = make("div", {class: "map-tip", hidden: true, "aria-live": "polite"});
const pinned = make("p", {class: "status"});
root.className = "kit tab";
place.append(plane, tip);
root.append(make("div", {class: "ways"}, learn, said), tools, pinned, place);
const map = createMap(plane, {onHover: hover, onPick: (row) => searchFor(found.ids[row])});

function hover(row, at) {
  clearTimeout(waiting);
  hovered = row;
  tip.hidden = true;
  if (row === null) return;
  const id = found.ids[row];
  if (seen.has(id)) drawTip(at);
  else waiting = setTimeout(() => trigger("thumbnail", {id}), 80);
}

function drawTip([x, y]) {
  const {name, thumbnail} = seen.get(found.ids[hovered]), width = plane.clientWidth;
  tip.replaceChildren(picture(thumbnail, name), make("b", {}, found.names[found.classes[hovered]] ?? ""), make("span", {}, name));
  tip.hidden = false;
  Object.assign(tip.style, {left: `${Math.min(Math.max(x + 14, 4), width - 170)}px`, top: `${Math.min(y + 14, Math.max(plane.clientHeight - 200, 0))}px`});
}

// The query of the search tab: at its own point, or at that of its nearest picture.
function drawPin() {
  if (!found?.ids) return;
  const {answer} = asked ?? {};
  const near = (answer?.hits ?? []).slice(0, 10).map((hit) => rows.get(hit.id)).filter((row) => row !== undefined);
  const own = rows.get(answer?.query.id ?? answer?.own[0]?.id);
  const at = own ?? near[0] ?? null;
  pinned.textContent = at === null ? "Search for a picture to see its place and its true neighbours here." : `The pin is ${answer.query.name}${own === undefined ? ", at its nearest picture" : ""}; lines lead to its first ${near.length} neighbours.`;
  map.pin(at, near);
}

onAnswer((told) => {
  asked = told;
  drawPin();
});
onTheme(() => { if (found?.ids) map.draw(); });
whenShown("map", () => {
  if (found?.ids) map.draw();
  trigger("start", {});
});

watch("value", () => {
  const told = props.value;
  if (told?.kind === "thumbnail") {
    seen.set(told.id, told);
    if (hovered !== null && found.ids[hovered] === told.id) drawTip(map.place(hovered));
  }
  if (told?.kind === "failed" && told.event !== "thumbnail") { // it can be asked for again
    said.textContent = told.error;
    learn.hidden = told.event !== "learn";
    root.dataset.ready = "";
  }
  if (told?.kind !== "map") return;
  said.textContent = told.said;
  learn.hidden = !told.learn;
  place.hidden = tools.hidden = !told.ids;
  const same = found?.ids && JSON.stringify(found) === JSON.stringify(told);
  found = told;
  root.dataset.ready = "";
  if (!told.ids || same) return;
  rows = new Map(told.ids.map((id, row) => [id, row]));
  map.show(told.ids.map((_, row) => ({x: told.x[row], y: told.y[row], class: told.classes[row]})), told.names);
  drawPin();
});
