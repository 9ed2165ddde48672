// The evaluate tab: three means, the classes as bars, and the queries behind them. Gradio runs it as a function's body.
import {createClassTable} from "../../ui/classes.js";
import {button, make, picture, withCode} from "../../ui/dom.js";
import {createFindings} from "../../ui/findings.js";
import {createMatrix, sharesOf} from "../../ui/matrix.js";
import {searchFor, whenShown} from "../../ui/tabs.js";
import {createWhatIf} from "../../ui/whatif.js";

const root = element.firstElementChild;
const ENDS = 15, PAIRS = 12; // classes shown of either end, and pairs of classes
const ORDERS = {worst: "Worst first", best: "Best first", name: "By name", table: "Table"};
const PLAIN = {"P@4": "of the first 4 neighbours share the class", "mAP": "mean average precision over all places", "P@10": "of the first 10 neighbours share the class"};

let state = null, result = null, measure = "P@4", order = "worst", all = false, running = "", shares = null, openedIn = null, serial = 0, supposing = false, asked = "", table = null;

const rank = make("select", {"aria-label": "Ranking to evaluate"});
const go = button("Evaluate", evaluate, {class: "kit-first"});
const cancel = button("Cancel", stop, {hidden: true});
const said = make("p", {class: "status", role: "status"});
const bar = make("progress", {max: 1, value: 0, "aria-label": "Share that is evaluated", hidden: true});
const body = make("div", {class: "evaluated"});
root.className = "kit tab";
const controls = make("div", {class: "ways"}, rank, go, cancel, bar, said);
const supposed = make("div", {}), looked = make("div", {}), confused = make("div", {}), look = button("Look for findings", examine);
const whatIf = createWhatIf(supposed, {onChange: suppose});
const findings = createFindings(looked, {onAsk: (finding, start) => trigger("finding", {finding, start}), onPick: searchFor});
const matrix = createMatrix(confused, {onOpen: (row, column) => open({class: result.labels[row].exact, found: result.labels[column].exact}, "#cell")});
const part = (title, about, ...inside) => make("section", {class: "part", "aria-label": title, hidden: true}, make("h2", {}, title), make("p", {class: "status"}, about), inside);
const parts = {
  whatIf: part("What if", "The figures with other classes or fewer pictures, at once; nothing is changed in the index.", supposed),
  matrix: part("Confusion matrix", "Choose a cell to see the queries behind it.", make("div", {class: "halves wide"}, confused, make("section", {id: "cell", "aria-label": "Queries of a cell", "aria-live": "polite"}))),
  findings: part("Findings", "Copies, hubs, orphans and labels that the neighbours contradict.", make("div", {class: "ways"}, look), looked),
};
root.append(controls, body, parts.findings, parts.matrix);

const fixed = (value, digits = 2) => value === null ? "?" : value.toFixed(digits);

function evaluate() {
  setRunning("evaluate");
  said.textContent = rank.value === "as indexed" ? "Evaluating …" : "Learning the ranking …";
  trigger("evaluate", {rank: rank.value});
}

function examine() {
  setRunning("examine");
  said.textContent = "Looking for findings …";
  trigger("examine", {});
}

function stop() {
  trigger("stop", {});
  supposing = false;
  asked = "";
  setRunning("");
  said.textContent = "Cancelled.";
}

function setRunning(what) {
  running = what;
  rank.disabled = go.disabled = look.disabled = Boolean(what);
  cancel.hidden = bar.hidden = !what;
  bar.value = 0;
}

// Asks for the figures under the changes chosen, one answer at a time: of changes that come meanwhile the last is asked.
const keyOf = (changes) => changes ? JSON.stringify(changes) : "";

function suppose(changes) {
  const wanted = keyOf(changes);
  if (supposing || wanted === asked) return;
  asked = wanted;
  if (!changes) return;
  supposing = true;
  trigger("suppose", {...changes, rank: rank.value, serial: ++serial});
}

function supposedTold(told) {
  if (told.kind === "supposed" && told.serial !== serial) return;
  const still = keyOf(whatIf.changes()) === asked;
  if (still) whatIf.told(told);
  if (!told.bounded && !told.error) return;
  supposing = false;
  if (!still) suppose(whatIf.changes());
  else if (told.error) asked = ""; // it can be asked for again
}

function drawControls({again}) {
  go.hidden = !again || Boolean(state.none);
  go.textContent = result ? "Evaluate again" : "Evaluate";
  go.classList.toggle("kit-first", !result);
}

function drawParts() {
  const there = Boolean(result) && !state.none;
  parts.whatIf.hidden = !there || !state.supposes;
  parts.matrix.hidden = !there;
  parts.findings.hidden = Boolean(state.none);
  look.hidden = Boolean(state.findings);
  looked.hidden = !state.findings;
  if (state.findings) findings.show(state.findings, state.uuid);
  if (!there) return;
  whatIf.show({labels: result.labels, figures: result.figures, hubs: state.findings?.counts.hubs ?? null});
  matrix.show(result);
  parts.matrix.querySelector("#cell").replaceChildren();
}

function drawResult() {
  shares = result && sharesOf(result);
  asked = "";
  whatIf.reset();
  drawParts();
  if (state.none || !result) {
    const words = state.none || "How often do the neighbours of a picture share its class? Each picture of a class is searched for among all others. The result is kept.";
    body.replaceChildren(make("div", {class: "empty"}, make("p", {}, withCode(words))));
    return;
  }
  const figures = Object.entries(result.figures).map(([name, {value, low, high, chance}]) => make("div", {class: "figure"},
    make("h2", {}, name), make("strong", {}, fixed(value, 3)), make("span", {}, `95 %: ${fixed(low, 3)} to ${fixed(high, 3)}`),
    make("span", {}, `by chance ${fixed(chance, 3)}`), make("small", {}, PLAIN[name])));
  body.replaceChildren(make("div", {class: "figures"}, figures), make("p", {class: "status"}, [result.title, ...result.notes].join(" · ")), parts.whatIf,
    make("div", {class: "halves"}, make("section", {id: "bars", "aria-label": "Classes"}), make("div", {}, make("section", {id: "opened", "aria-label": "Queries", "aria-live": "polite"}), pairs())));
  table = createClassTable(result.classes, {onOpen: (each) => open({class: each.exact, found: ""})});
  drawBars();
  drawOpened(null);
}

const choice = (names, chosen, choose) => Object.entries(names).map(([name, words]) => button(words, () => {
  choose(name);
  body.querySelector(`[data-choice="${name}"]`)?.focus();
}, {"aria-pressed": String(name === chosen), data: {choice: name}}));

function drawBars() {
  const orders = choice(ORDERS, order, (name) => { order = name; drawBars(); });
  if (order === "table") return body.querySelector("#bars").replaceChildren(make("div", {class: "ways"}, orders), table);
  const by = (each) => each.figures[measure].value;
  const compare = {worst: (a, b) => by(a) - by(b), best: (a, b) => by(b) - by(a), name: () => 0}[order];
  const sorted = [...result.classes].sort(compare), many = sorted.length > 2 * ENDS && !all && order !== "name";
  const part = (title, classes) => [title && make("h3", {}, title), make("ul", {class: "bars"}, classes.map(oneBar))];
  const ends = order === "worst" ? ["Worst", "Best"] : ["Best", "Worst"];
  const far = many ? sorted.slice(-ENDS).reverse() : [];
  return body.querySelector("#bars").replaceChildren(
    make("div", {class: "ways"}, choice({"P@4": "P@4", mAP: "mAP", "P@10": "P@10"}, measure, (name) => { measure = name; drawBars(); }), orders),
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
  const {labels} = result, few = shares.pairs.slice(0, PAIRS);
  return make("section", {"aria-label": "Confused classes"}, make("h3", {}, "Confused most"),
    few.length ? make("ul", {class: "pairs"}, few.map(({row, column, share}) => make("li", {}, button([make("span", {}, labels[row].name), make("span", {class: "arrow"}, "shows"), make("span", {}, labels[column].name),
      make("span", {class: "value"}, `${(100 * share).toFixed(0)} %`)], () => open({class: labels[row].exact, found: labels[column].exact}), {title: `${(100 * share).toFixed(1)} % of the first 4 neighbours`})))) : make("p", {class: "status"}, "No class is found for another one's queries."));
}

function open(wanted, place = "#opened") {
  openedIn = place;
  root.querySelector(place).replaceChildren(make("p", {class: "status busy"}, "Looking …"));
  trigger("opened", {...wanted, rank: rank.value});
}

function drawOpened(told) {
  const place = root.querySelector(told ? openedIn : "#opened");
  if (!place) return undefined;
  if (!told) return place.replaceChildren(make("p", {class: "status"}, "Choose a class to see its worst queries."));
  if (told.error) return place.replaceChildren(make("p", {class: "status error", role: "alert"}, told.error));
  const seen = (text) => result.labels.find((each) => each.exact === text)?.name ?? text;
  const title = told.found ? `${seen(told.class)} that shows ${seen(told.found)}` : `Worst queries of ${seen(told.class)}`;
  const two = told.found && told.found !== told.class;
  const about = !told.queries.length ? "No query of this class has such a picture among its first four neighbours." : `At the left the query, then ${told.found ? "the first such neighbour" : "its first neighbours"}. Click one to search with it.`;
  place.replaceChildren(make("h3", {}, title), make("p", {class: "status"}, about), two && state.supposes ? make("div", {class: "ways"}, button("What if they were one class?", () => {
    whatIf.join(told.class, told.found);
    parts.whatIf.scrollIntoView({block: "nearest"});
  })) : "",
    make("ul", {class: told.found ? "rows twos" : "rows"}, told.queries.map((query) => make("li", {}, small(query, "query"), query.hits.map((hit) => small(hit, hit.right ? "right" : "wrong"))))));
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
  if (told?.kind === "supposed" || told?.event === "suppose") return supposedTold(told);
  if (told?.kind === "finding" || told?.event === "finding") return findings.told(told);
  if (told?.kind === "start" && !running) {
    const same = state && JSON.stringify([told.result, told.findings]) === JSON.stringify([result, state.findings]);
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
  const ofWork = {evaluated: "evaluate", examined: "examine", failed: told?.event}[told?.kind];
  if (!running || ofWork !== running) return undefined;
  if (told.done !== undefined) {
    bar.value = told.done;
    if (told.done) said.textContent = `${Math.round(100 * told.done)} % done`;
    return undefined;
  }
  setRunning("");
  said.textContent = told.error ?? "";
  if (told.error) return undefined;
  if (told.findings) {
    state.findings = told.findings;
    return drawParts();
  }
  result = told.result;
  drawControls(told);
  return drawResult();
});
