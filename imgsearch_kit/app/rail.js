// The rail at the left of the tabs that show something of the current picture: the picture, and the filters of its
// search, which can be changed here too. On a phone it is folded. Gradio runs it as the body of a function.
import {button, make, picture} from "../ui/dom.js";
import {onAnswer, onRefused, openTab, refine} from "../ui/tabs.js";

const root = element.firstElementChild;
let shown = null; // the search, its answer and what can be chosen

const fold = button("", () => {
  fold.setAttribute("aria-expanded", String(root.classList.toggle("unfolded")));
}, {class: "fold", "aria-expanded": "false", "aria-controls": "rail-body"});
const place = make("div", {class: "rail-query"});
const rank = make("select", {id: "rail-rank", onchange: () => refine({rank: rank.value})});
const classes = make("div", {class: "rail-classes"});
const add = make("select", {"aria-label": "Only this class, too", onchange: () => refine({classes: [...shown.search.classes, add.value]})});
const rest = make("p", {class: "status"});
const said = make("p", {class: "kit-said", role: "alert"});
root.className = "kit rail";
root.append(fold, make("div", {id: "rail-body"}, place,
  make("label", {class: "rail-rank"}, make("span", {}, "Ranking of the search"), rank), classes, add, rest, said));

function draw() {
  document.body.classList.toggle("railed", Boolean(shown));
  if (!shown) return;
  const {search, answer, choices} = shown, {name, preview} = answer.query;
  said.textContent = "";
  fold.replaceChildren(picture(preview, ""), make("span", {}, name));
  place.replaceChildren(button([picture(preview, ""), make("span", {}, name)], () => openTab("search"), {title: "Back to the search"}));
  rank.replaceChildren(...choices.rankings.map((each) => make("option", {value: each.spec}, each.label)));
  if (!choices.rankings.some((each) => each.spec === search.rank)) rank.append(make("option", {value: search.rank}, search.rank));
  rank.value = search.rank;
  const read = new Map(choices.classes.map(([exact, words]) => [exact, words]));
  const without = (exact) => search.classes.filter((each) => each !== exact);
  classes.replaceChildren(...(search.classes.length ? [make("span", {}, "Only these classes"), make("div", {class: "strip"}, search.classes.map((exact) => make("span", {class: "chip"}, make("span", {}, read.get(exact) ?? exact),
    button("×", () => refine({classes: without(exact)}), {"aria-label": `Remove ${read.get(exact) ?? exact}`, class: "kit-round"}))))] : []));
  add.hidden = !choices.classes.length;
  add.replaceChildren(make("option", {value: ""}, search.classes.length ? "… and this class" : "Only this class …"), ...choices.classes.filter(([exact]) => !search.classes.includes(exact)).map(([exact, words]) => make("option", {value: exact}, words)));
  add.value = "";
  rest.textContent = [`${search.k} hits`, search.box && "a part of the picture", search.also.length && `and ${search.also.length} more pictures`, search.plus.length && `+${search.plus.length}`, search.minus.length && `−${search.minus.length}`,
    search.least !== null && `score at least ${search.least}`, search.distinct !== null && "without near-duplicates"].filter(Boolean).join(" · ");
}

onAnswer((told) => {
  shown = told;
  draw();
});
onRefused((words) => {
  draw();
  said.textContent = words;
});
