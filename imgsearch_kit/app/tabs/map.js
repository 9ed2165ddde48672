// The map tab: learns the map, and answers the explorer's questions by the server's. Gradio runs it as a function's body.
import {button, make} from "../../ui/dom.js";
import {createExplorer} from "../../ui/explorer.js";
import {onAnswer, onTheme, searchFor, searchIn, whenShown} from "../../ui/tabs.js";

const root = element.firstElementChild;
const LOST = 30000; // milliseconds after which no answer is waited for
let found = null, asked = null, placed = null;

const said = make("p", {class: "status", role: "status"});
const learn = button("Learn the map", () => {
  setLearning(true);
  said.textContent = "Learning the map …";
  trigger("learn", {});
}, {class: "kit-first", hidden: true});
const cancel = button("Cancel", () => {
  trigger("stop", {});
  setLearning(false);
  trigger("start", {});
}, {hidden: true});
const bar = make("progress", {max: 1, value: 0, "aria-label": "Share of the map that is learned", hidden: true});
const place = make("div", {class: "kit-explorer", hidden: true});
root.className = "kit tab";
root.append(make("div", {class: "ways"}, learn, cancel, bar, said), place);
const explorer = createExplorer(place, {
  thumbnails: (ids) => ask("thumbnails", {ids}).then((told) => told.thumbnails),
  near: (id) => ask("near", {id}),
  onSearch: searchFor,
  onClasses: searchIn,
});

function setLearning(on) {
  learn.hidden = true;
  cancel.hidden = bar.hidden = !on;
  bar.value = 0;
}

// One question at a time, because of two answers at once Gradio shows the later one only.
const questions = [];
let serial = 0, open = null;
function ask(kind, given) {
  return new Promise((resolve, reject) => {
    questions.push({kind, given, resolve, reject});
    next();
  });
}
function next() {
  if (open || !questions.length) return;
  open = {...questions.shift(), serial: ++serial};
  const mine = open;
  setTimeout(() => { if (open === mine) close().reject(new Error("There was no answer.")); }, LOST);
  trigger(mine.kind, {...mine.given, serial});
}
function close() {
  const closed = open;
  open = null;
  next();
  return closed;
}
function receive(told) {
  if (told.serial !== open?.serial) return;
  const {resolve, reject} = close();
  if (told.error) reject(new Error(told.error));
  else resolve(told);
}

// The query of the search tab, once for each.
async function drawPin() {
  if (!found?.ids || placed === asked) return;
  placed = asked;
  const mine = asked;
  if (!mine) return explorer.pin(null);
  const {search, answer: {query}} = mine, steered = search.box || search.also.length || search.plus.length || search.minus.length;
  try {
    const told = await ask("near", search);
    if (asked === mine) explorer.pin({...told, id: steered ? null : search.id, name: query.name, label: query.label, thumbnail: query.preview});
  } catch (error) {
    if (asked !== mine) return undefined;
    explorer.pin(null);
    said.textContent = error.message;
  }
  return undefined;
}

const shown = () => document.body.dataset.tab === "map";
onAnswer((told) => {
  asked = told;
  if (shown()) drawPin();
});
onTheme(() => { if (found?.ids) explorer.draw(); });
whenShown("map", () => {
  if (found?.ids) explorer.draw();
  if (bar.hidden) trigger("start", {});
});

watch("value", () => {
  const told = props.value;
  if (told?.kind === "failed") {
    if (told.event === open?.kind) return close().reject(new Error(told.error));
    setLearning(false);
    said.textContent = told.error;
    learn.hidden = told.event !== "learn"; // it can be asked for again
    root.dataset.ready = "";
    return undefined;
  }
  if (told?.kind === "told") receive(told);
  if (told?.kind === "learning" && !bar.hidden) bar.value = told.done;
  if (told?.kind !== "map") return undefined;
  setLearning(false);
  said.textContent = told.said;
  learn.hidden = !told.learn;
  place.hidden = !told.ids;
  root.dataset.ready = "";
  const same = found?.ids && JSON.stringify(found) === JSON.stringify(told);
  found = told;
  if (!told.ids) return undefined;
  if (!same) {
    placed = null;
    explorer.show(told);
  }
  return drawPin();
});
