// The compare tab: the picture of the search tab in several columns, which can be judged without their names. Gradio
// runs it as the body of a function.
import {button, fileName, make, picture} from "../../ui/dom.js";
import {createLines} from "../../ui/joining.js";
import {countWins, isJudgement, qrelsText, shuffled} from "../../ui/judging.js";
import {csvText, keptList, saveFile} from "../../ui/keep.js";
import {currentTab, onAnswer, openTab, searchAtRandom, searchFor, whenShown} from "../../ui/tabs.js";

const KEPT = 2000; // judgements; with more, the oldest are forgotten
const LETTERS = "ABCD";

const root = element.firstElementChild;
let state = null, chosen = [], asked = null, drawn = "", serial = 0, found = null, order = [], judgements = null;

const boxes = make("fieldset", {class: "choices"});
const blind = make("input", {type: "checkbox", onchange: () => { if (found) draw(); drawJudged(); }});
const said = make("p", {class: "status", role: "status"});
const query = make("div", {class: "compared-query"});
const verdict = make("div", {class: "ways verdict"});
const columns = make("div", {class: "columns"});
const judged = make("details", {class: "judged", hidden: true});
const join = createLines(columns);
root.className = "kit tab";
root.append(boxes, make("label", {class: "blind"}, blind, make("span", {}, "Judge blind: shuffled, without names and times; you say which is better")), query, said, verdict, columns, judged);
new ResizeObserver(join).observe(columns);

// -- asking ------------------------------------------------------------------------------------------------------

function drawChoices() {
  boxes.replaceChildren(make("legend", {}, `Two to ${state.most} columns; recall, moves, new and lost hits are against the first`), ...state.columns.map(({spec, name, about}) => make("label", {title: about},
    make("input", {type: "checkbox", value: spec, checked: chosen.includes(spec), disabled: !chosen.includes(spec) && chosen.length >= state.most, onchange: ({target}) => choose(spec, target.checked)}), make("span", {}, name))));
}

function choose(spec, on) {
  chosen = state.columns.map((each) => each.spec).filter((each) => each === spec ? on : chosen.includes(each));
  drawChoices();
  boxes.querySelector(`input[value="${CSS.escape(spec)}"]`)?.focus();
  compare();
}

function empty(words, ...buttons) {
  drawn = "";
  found = null;
  said.textContent = "";
  verdict.replaceChildren();
  columns.replaceChildren(make("div", {class: "empty"}, make("p", {}, words), make("div", {class: "ways"}, buttons)));
}

function compare() {
  if (!state || currentTab() !== "compare") return undefined;
  const preview = asked?.answer.query.preview;
  query.replaceChildren(...(asked ? [button([picture(preview, ""), make("span", {}, asked.answer.query.name)], () => openTab("search"), {class: "small", title: "Back to the search"}),
    button("Random picture", searchAtRandom)] : []));
  if (!asked) return empty("Search for a picture first. Several answers to it are then put side by side here.", button("Search", () => openTab("search")), button("Random picture", searchAtRandom));
  if (chosen.length < 2) return empty("Choose at least two columns.");
  const request = {search: {...asked.search, shown: 0, k: Math.min(asked.search.k, 50)}, columns: chosen};
  const key = JSON.stringify(request);
  if (key === drawn) return undefined;
  drawn = key;
  said.textContent = "Comparing … (a ranking is learned from the whole index the first time)";
  columns.querySelector(".empty")?.remove();
  columns.classList.add("busy");
  return trigger("compare", {...request, serial: ++serial});
}

// -- drawing -----------------------------------------------------------------------------------------------------

const nameOf = (spec) => state.columns.find((each) => each.spec === spec)?.name ?? spec;

function words(hit, first) {
  const move = first || hit.up === 0 ? null : make("span", {class: "moved"}, hit.up === null ? "new" : hit.up > 0 ? `↑${hit.up}` : `↓${-hit.up}`);
  const right = typeof hit.right === "boolean" ? make("span", {class: hit.right ? "mark right" : "mark wrong"}, hit.right ? "✓" : "✗") : null;
  return make("span", {class: "words"}, make("span", {class: "kit-line"}, make("span", {class: "rank"}, String(hit.rank)),
    hit.label ? make("span", {class: "label"}, hit.label) : fileName(hit.file)), blind.checked ? null : make("span", {class: "score"}, hit.score.toFixed(3), move, right));
}

function card(hit, first) {
  const pointed = {onmouseenter: () => point(hit.id), onmouseleave: () => point(null), onfocus: () => point(hit.id), onblur: () => point(null)};
  return make("li", {data: {item: hit.id}}, button([picture(hit.thumbnail, ""), words(hit, first)], () => searchFor(hit.id), {title: hit.name, class: "small", data: {id: hit.id}, ...pointed}),
    blind.checked ? button("✓", () => mark(hit.id), {class: "relevant", "aria-label": `Relevant: ${hit.name}`, title: "Relevant", data: {relevant: hit.id}, "aria-pressed": "false"}) : null);
}

// The same picture in every column.
function point(id) {
  for (const each of columns.querySelectorAll("button[data-id], line")) each.classList.toggle("joined", (each.dataset.id ?? each.dataset.item) === id);
}

function lostCard(hit) {
  return button([picture(hit.thumbnail, ""), hit.absent ? make("span", {}, "not in this index") : null].filter(Boolean), () => searchFor(hit.id), {class: "small", title: hit.name, "aria-label": hit.absent ? `${hit.name}, not in this index` : hit.name, data: {id: hit.id}});
}

function named(column, i) {
  const name = nameOf(column.spec);
  if (column.error) return make("section", {"aria-label": name}, make("h2", {}, name), make("p", {class: "status"}, column.error));
  const right = column.precision === null ? null : `${Math.round(100 * column.precision)} % of its hits are ${found.class}`;
  const recall = column.of ? `recall ${(column.shared / column.of).toFixed(2)} (${column.shared} of ${column.of})` : null;
  return make("section", {"aria-label": name}, make("h2", {}, name), make("p", {class: "status", title: column.how}, [right, i ? recall : "the others are compared with it", `${column.ms} ms`].filter(Boolean).join(" · ")),
    make("ol", {}, column.hits.map((hit) => card(hit, !i))),
    column.lost.length ? make("div", {class: "lost"}, make("h3", {}, `Lost (${column.lost.length})`), make("div", {class: "strip"}, column.lost.map(lostCard))) : null);
}

function nameless(column, i) {
  const name = `Column ${LETTERS[i]}`;
  return make("section", {"aria-label": name}, make("h2", {}, name), button("This is better", () => decide(column.spec), {data: {winner: column.spec}, "aria-pressed": "false", "aria-label": `This is better: ${name}`}),
    make("ol", {}, column.hits.map((hit) => card(hit, true))));
}

function draw() {
  const shown = blind.checked ? order.filter((each) => !each.error) : found.columns;
  columns.classList.remove("busy");
  if (blind.checked && shown.length < 2) return empty("Fewer than two of these columns have an answer. Choose others.");
  columns.style.setProperty("--columns", shown.length);
  columns.replaceChildren(...shown.map(blind.checked ? nameless : named));
  verdict.replaceChildren(...(blind.checked ? [button("Tie", () => decide(""), {data: {winner: ""}, "aria-pressed": "false"}), make("span", {class: "status"}, "Mark relevant hits with ✓."), button("Random picture", searchAtRandom)] : []));
  join();
  return drawMarks();
}

// -- judging -----------------------------------------------------------------------------------------------------

// What is judged now: kept already, or nothing yet.
function judgement() {
  const shown = order.filter((each) => !each.error), specs = shown.map((each) => each.spec).sort();
  const key = JSON.stringify([found.query, specs]), kept = all().find((each) => each.key === key);
  const ids = [...new Set(shown.flatMap((each) => each.hits.map((hit) => hit.id)))];
  return {key, query: found.query, columns: specs.map((spec) => ({spec, name: nameOf(spec)})), winner: kept?.winner ?? null, shown: ids, relevant: (kept?.relevant ?? []).filter((id) => ids.includes(id))};
}

const all = () => judgements.all().filter(isJudgement);

function decide(winner) {
  judgements.add({...judgement(), winner});
  said.textContent = "Kept by this browser. Judge another picture, or open the result below.";
  drawMarks();
}

function mark(id) {
  const now = judgement(), relevant = now.relevant.includes(id) ? now.relevant.filter((each) => each !== id) : [...now.relevant, id];
  judgements.add({...now, relevant});
  drawMarks();
}

function drawMarks() {
  if (!blind.checked) return drawJudged();
  const {winner, relevant} = judgement();
  for (const each of root.querySelectorAll("[data-winner]")) each.setAttribute("aria-pressed", String(each.dataset.winner === winner));
  for (const each of columns.querySelectorAll("[data-relevant]")) each.setAttribute("aria-pressed", String(relevant.includes(each.dataset.relevant)));
  return drawJudged();
}

function drawJudged() {
  const kept = judgements ? all() : [], decided = kept.filter((each) => typeof each.winner === "string"), wins = countWins(kept);
  judged.hidden = !kept.length;
  judged.replaceChildren(make("summary", {}, `Result of ${decided.length} comparison${decided.length === 1 ? "" : "s"}, with names`),
    decided.length ? make("table", {}, make("thead", {}, make("tr", {}, ["Column", "Better", "Tie", "Compared"].map((text) => make("th", {scope: "col"}, text)))),
      make("tbody", {}, wins.map(({name, won, tied, of}) => make("tr", {}, make("th", {scope: "row"}, name), [won, tied, of].map((number) => make("td", {}, String(number))))))) : null,
    make("p", {class: "status"}, "TREC qrels have the hits of every query with a mark: 1 for marked, 0 for shown and not marked."),
    make("div", {class: "ways"}, button("TREC qrels", () => saveFile("judged.qrels", qrelsText(all()), "text/plain")),
      button("Choices as CSV", () => saveFile("choices.csv", csvText([["query", "better", "compared"], ...decided.map(({query: name, winner, columns: compared}) => [name, compared.find((each) => each.spec === winner)?.name ?? "tie", compared.map((each) => each.name).join(" | ")])]), "text/csv")),
      button("Forget all", () => { judgements.clear(); if (found) drawMarks(); else drawJudged(); })));
}

// -- what is told ------------------------------------------------------------------------------------------------

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
    judgements = keptList(`imgsearch-judged-${state.uuid}`, KEPT);
    drawChoices();
    drawJudged();
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
  order = shuffled(found.columns);
  return draw();
});
