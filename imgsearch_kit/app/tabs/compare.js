// The compare tab: the picture of the search tab under several rankings. Gradio runs it as the body of a function.
import {button, make, picture} from "../../ui/dom.js";
import {currentTab, onAnswer, openTab, searchFor, whenShown} from "../../ui/tabs.js";

const root = element.firstElementChild;
let state = null, chosen = [], asked = null, drawn = "", serial = 0, found = null;

const boxes = make("fieldset", {class: "choices"});
const said = make("p", {class: "status", role: "status"});
const query = make("div", {class: "compared-query"});
const columns = make("div", {class: "columns"});
root.className = "kit tab";
root.append(boxes, query, said, columns);

function drawChoices() {
  boxes.replaceChildren(make("legend", {}, `Two to ${state.most} columns; the others are marked against the first`), ...state.columns.map(({spec, name, about}) => make("label", {title: about},
    make("input", {type: "checkbox", value: spec, checked: chosen.includes(spec), disabled: !chosen.includes(spec) && chosen.length >= state.most, onchange: ({target}) => choose(spec, target.checked)}), make("span", {}, name))));
}

function choose(spec, on) {
  chosen = state.columns.map((each) => each.spec).filter((each) => each === spec ? on : chosen.includes(each));
  drawChoices();
  boxes.querySelector(`input[value="${CSS.escape(spec)}"]`)?.focus();
  compare();
}

function compare() {
  if (!state || currentTab() !== "compare") return;
  const preview = asked?.answer.query.preview;
  query.replaceChildren(...(asked ? [button([picture(preview, asked.answer.query.name), make("span", {}, asked.answer.query.name)], () => openTab("search"), {class: "small", title: "Back to the search"})] : []));
  if (!asked) {
    drawn = "";
    said.textContent = "";
    return columns.replaceChildren(make("div", {class: "empty"}, make("p", {}, "Search for a picture first. Its answers under several rankings are then put side by side here."), button("Search", () => openTab("search"))));
  }
  if (chosen.length < 2) {
    said.textContent = "Choose at least two columns.";
    return undefined;
  }
  const request = {search: {...asked.search, shown: 0, k: Math.min(asked.search.k, 50)}, columns: chosen};
  const key = JSON.stringify(request);
  if (key === drawn) return undefined;
  drawn = key;
  said.textContent = "Comparing … (a ranking is learned from the whole index the first time)";
  columns.querySelector(".empty")?.remove();
  columns.classList.add("busy");
  return trigger("compare", {...request, serial: ++serial});
}

function card(hit, first) {
  const move = first || hit.up === 0 ? null : make("span", {class: "moved"}, hit.up === null ? "new" : hit.up > 0 ? `↑${hit.up}` : `↓${-hit.up}`);
  return make("li", {}, button([picture(hit.thumbnail, hit.name), make("span", {class: "words"}, make("span", {class: "kit-line"}, make("span", {class: "rank"}, String(hit.rank)), move,
    make("span", {class: hit.label ? "label" : "label file"}, hit.label || hit.file)), make("span", {class: "score"}, hit.score.toFixed(3),
    typeof hit.right === "boolean" ? make("span", {class: hit.right ? "mark right" : "mark wrong"}, hit.right ? "✓" : "✗") : null))],
  () => searchFor(hit.id), {title: hit.name, class: "small", data: {id: hit.id}, onmouseenter: () => join(hit.id), onmouseleave: () => join(null), onfocus: () => join(hit.id), onblur: () => join(null)}));
}

// The same picture in every column.
function join(id) {
  for (const each of columns.querySelectorAll("[data-id]")) each.classList.toggle("joined", each.dataset.id === id);
}

function draw() {
  columns.classList.remove("busy");
  columns.style.setProperty("--columns", found.columns.length);
  columns.replaceChildren(...found.columns.map((column, i) => {
    const name = state.columns.find((each) => each.spec === column.spec)?.name ?? column.spec;
    if (column.error) return make("section", {"aria-label": name}, make("h2", {}, name), make("p", {class: "status"}, column.error));
    const right = column.precision === null ? null : `${Math.round(100 * column.precision)} % of its hits are ${found.class}`;
    const same = i ? `${column.shared} of the first column's ${column.of}` : "marked against";
    return make("section", {"aria-label": name}, make("h2", {}, name), make("p", {class: "status", title: column.how}, [right, same, `${column.ms} ms`].filter(Boolean).join(" · ")),
      make("ol", {}, column.hits.map((hit) => card(hit, !i))),
      column.lost.length ? make("div", {class: "lost"}, make("h3", {}, `Lost (${column.lost.length})`), make("div", {class: "strip"}, column.lost.map((each) => button(picture(each.thumbnail, each.name), () => searchFor(each.id), {class: "small", title: each.name, data: {id: each.id}})))) : null);
  }));
}

onAnswer((told) => {
  asked = told;
  compare();
});
whenShown("compare", () => {
  if (state) compare();
  else trigger("start", {});
});

watch("value", () => {
  const told = props.value;
  if (told?.kind === "start") {
    state = told;
    chosen = told.chosen;
    drawChoices();
    root.dataset.ready = "";
    return compare();
  }
  if (told?.kind !== "failed" && (told?.kind !== "compared" || told.serial !== serial)) return undefined;
  said.textContent = told.error ?? "";
  if (told.error) {
    drawn = "";
    columns.classList.remove("busy");
    return undefined;
  }
  found = told;
  return draw();
});
