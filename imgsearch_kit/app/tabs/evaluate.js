// The evaluate tab: three means, the classes as bars, and the queries behind them. Gradio runs it as a function's body.
import {button, make, picture} from "../../ui/dom.js";
import {searchFor, whenShown} from "../../ui/tabs.js";

const root = element.firstElementChild;
const ENDS = 15; // classes shown of either end
const ORDERS = {worst: "Worst first", best: "Best first", name: "By name"};
const PLAIN = {"P@4": "of the first 4 neighbours share the class", "mAP": "mean average precision over all places", "P@10": "of the first 10 neighbours share the class"};

let state = null, result = null, measure = "P@4", order = "worst", all = false, running = false;

const rank = make("select", {"aria-label": "Ranking to evaluate"});
const go = button("Evaluate", evaluate, {class: "kit-first"});
const cancel = button("Cancel", stop, {hidden: true});
const said = make("p", {class: "status", role: "status"});
const bar = make("progress", {max: 1, value: 0, "aria-label": "Share that is evaluated", hidden: true});
const body = make("div", {class: "evaluated"});
root.className = "kit tab";
const controls = make("div", {class: "ways"}, rank, go, cancel, bar, said);
root.append(controls, body);

const fixed = (value, digits = 2) => value === null ? "?" : value.toFixed(digits);

function evaluate() {
  setRunning(true);
  said.textContent = rank.value === "as indexed" ? "Evaluating …" : "Learning the ranking …";
  trigger("evaluate", {rank: rank.value});
}

function stop() {
  trigger("stop", {});
  setRunning(false);
  said.textContent = "Cancelled.";
}

function setRunning(on) {
  running = on;
  rank.disabled = go.disabled = on;
  cancel.hidden = bar.hidden = !on;
  bar.value = 0;
}

function drawControls({again}) {
  go.hidden = !again || Boolean(state.none);
  go.textContent = result ? "Evaluate again" : "Evaluate";
  go.classList.toggle("kit-first", !result);
}

function drawResult() {
  if (state.none || !result) {
    const words = state.none || "How often do the neighbours of a picture share its class? Each picture of a class is searched for among all others. The result is kept.";
    body.replaceChildren(make("div", {class: "empty"}, make("p", {}, words)));
    return;
  }
  const figures = Object.entries(result.figures).map(([name, {value, low, high, chance}]) => make("div", {class: "figure"},
    make("h2", {}, name), make("strong", {}, fixed(value, 3)), make("span", {}, `95 %: ${fixed(low, 3)} to ${fixed(high, 3)}`),
    make("span", {}, `by chance ${fixed(chance, 3)}`), make("small", {}, PLAIN[name])));
  body.replaceChildren(make("div", {class: "figures"}, figures), make("p", {class: "status"}, [result.title, ...result.notes].join(" · ")),
    make("div", {class: "halves"}, make("section", {id: "bars", "aria-label": "Classes"}), make("div", {}, make("section", {id: "opened", "aria-label": "Queries"}), pairs())));
  drawBars();
  drawOpened(null);
}

const choice = (names, chosen, choose) => Object.entries(names).map(([name, words]) => button(words, () => choose(name), {"aria-pressed": String(name === chosen)}));

function drawBars() {
  const by = (each) => each.figures[measure].value;
  const compare = {worst: (a, b) => by(a) - by(b), best: (a, b) => by(b) - by(a), name: () => 0}[order];
  const sorted = [...result.classes].sort(compare), many = sorted.length > 2 * ENDS && !all && order !== "name";
  const part = (title, classes) => [title && make("h3", {}, title), make("ul", {class: "bars"}, classes.map(oneBar))];
  const ends = order === "worst" ? ["Worst", "Best"] : ["Best", "Worst"];
  const far = many ? sorted.slice(-ENDS).reverse() : [];
  body.querySelector("#bars").replaceChildren(
    make("div", {class: "ways"}, choice({"P@4": "P@4", mAP: "mAP", "P@10": "P@10"}, measure, (name) => { measure = name; drawBars(); }),
      choice(ORDERS, order, (name) => { order = name; drawBars(); })),
    make("p", {class: "status"}, "Thin line: 95 % interval. Red mark: by chance."),
    ...[many ? [part(`${ends[0]} ${ENDS} of ${sorted.length} classes`, sorted.slice(0, ENDS)), part(`${ends[1]} ${ENDS}`, far)] : part("", sorted)].flat(Infinity).filter(Boolean),
    ...(sorted.length > 2 * ENDS && order !== "name" ? [button(all ? "Show the ends only" : `Show all ${sorted.length}`, () => { all = !all; drawBars(); })] : []));
}

function oneBar({exact, name, queries, figures}) {
  const {value, low, high, chance} = figures[measure], percent = (share) => `${(100 * share).toFixed(1)}%`;
  const range = low === null ? null : make("u", {style: `left:${percent(low)};width:${percent(high - low)}`});
  const words = `${measure} ${fixed(value)}${low === null ? "" : `, 95 % ${fixed(low)} to ${fixed(high)}`}, by chance ${fixed(chance)}, ${queries} ${queries === 1 ? "query" : "queries"}`;
  return make("li", {}, button([make("span", {class: "name"}, name), make("span", {class: "bar", "aria-hidden": "true"}, make("i", {style: `width:${percent(value)}`}), range, make("b", {style: `left:${percent(chance)}`})),
    make("span", {class: "value"}, fixed(value))], () => open({class: exact, found: ""}), {title: words, data: {class: exact}}));
}

function pairs() {
  return make("section", {"aria-label": "Confused classes"}, make("h3", {}, "Confused most"),
    result.pairs.length ? make("ul", {class: "pairs"}, result.pairs.map((pair) => make("li", {}, button([make("span", {}, pair.name), make("span", {class: "arrow"}, "shows"), make("span", {}, pair.other),
      make("span", {class: "value"}, `${(100 * pair.share).toFixed(0)} %`)], () => open({class: pair.class, found: pair.found}), {title: `${(100 * pair.share).toFixed(1)} % of the first 4 neighbours`})))) : make("p", {class: "status"}, "No class is found for another one's queries."));
}

function open(asked) {
  body.querySelector("#opened").replaceChildren(make("p", {class: "status busy"}, "Looking …"));
  trigger("opened", {...asked, rank: rank.value});
}

function drawOpened(told) {
  const place = body.querySelector("#opened");
  if (!place) return;
  if (!told) return place.replaceChildren(make("p", {class: "status"}, "Choose a class to see its worst queries."));
  if (told.error) return place.replaceChildren(make("p", {class: "status error", role: "alert"}, told.error));
  const seen = (text) => result.classes.find((each) => each.exact === text)?.name ?? text;
  const title = told.found ? `${seen(told.class)} that shows ${seen(told.found)}` : `Worst queries of ${seen(told.class)}`;
  place.replaceChildren(make("h3", {}, title), make("p", {class: "status"}, "At the left the query, then its first neighbours. Click one to search with it."),
    make("ul", {class: "rows"}, told.queries.map((query) => make("li", {}, small(query, "query"), query.hits.map((hit) => small(hit, hit.right ? "right" : "wrong"))))));
  if (matchMedia("(max-width: 900px)").matches) place.scrollIntoView({block: "start"});
  return undefined;
}

function small(card, kind) {
  const words = {query: "Query", right: "✓", wrong: "✗"}[kind];
  return button([picture(card.thumbnail, card.name), make("span", {class: kind}, kind === "query" ? words : `${words} ${card.label}`)], () => searchFor(card.id), {class: `small ${kind}`, title: card.name, data: {id: card.id}});
}

rank.addEventListener("change", () => trigger("start", {rank: rank.value}));
whenShown("evaluate", () => { if (!running) trigger("start", {rank: rank.value}); });

watch("value", () => {
  const told = props.value;
  if (told?.kind === "opened") return drawOpened(told);
  if (told?.kind === "start" && !running) {
    const same = state && JSON.stringify(told.result) === JSON.stringify(result);
    state = told;
    result = told.result;
    rank.replaceChildren(...told.rankings.map((each) => make("option", {value: each.spec, title: each.about}, each.name)));
    rank.value = told.rank;
    rank.hidden = Boolean(told.none);
    said.textContent = "";
    drawControls(told);
    if (!same || !body.children.length) drawResult();
    root.dataset.ready = "";
  }
  if (told?.kind === "failed" && told.event === "opened") return drawOpened(told);
  if (told?.kind === "failed" && told.event === "start") said.textContent = told.error;
  if (!(told?.kind === "evaluated" || told?.event === "evaluate") || !running) return undefined;
  if (told.done !== undefined) {
    bar.value = told.done;
    if (told.done) said.textContent = `${Math.round(100 * told.done)} % done`;
    return undefined;
  }
  setRunning(false);
  said.textContent = told.error ?? "";
  if (told.error) return undefined;
  result = told.result;
  drawControls(told);
  return drawResult();
});
