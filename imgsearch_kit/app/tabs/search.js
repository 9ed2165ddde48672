// The search tab: asks the server, draws its answers, and keeps the address. Gradio runs it as the body of a function.
// A search is what address.js describes and "picture", the path of an upload on the server.
import {fromAddress, toAddress} from "../../ui/address.js";
import {takePicture} from "../../ui/camera.js";
import {createCrop} from "../../ui/crop.js";
import {button, fileName, make, picture} from "../../ui/dom.js";
import {createPicker, watchGiven} from "../../ui/given.js";
import {createGrid} from "../../ui/grid.js";
import {csvText, keptList, saveFile, smallPicture} from "../../ui/keep.js";
import {createPanel} from "../../ui/panel.js";
import {currentTab, onIndexed, onRefine, onSearch, onSearchIn, openTab, tellAnswer, tellRefused} from "../../ui/tabs.js";

const root = element.firstElementChild;
const QUERY = {picture: null, id: null, also: [], box: null, plus: [], minus: []}; // what another query replaces
const IDLE = {...QUERY, k: 10, classes: [], rank: "", least: null, distinct: null};
const LOST = 30000; // milliseconds after which no answer is waited for
const UNSURE = 4000; // ... after which the server is asked whether it is there
const STOPPED = "The server of this page does not answer: it was stopped, or the connection is lost. Try again when it is back.";
const DISTINCT = 0.97; // a cosine above which two hits count as near-duplicates
const GONE = /no longer here|not uploaded/; // after an hour, or when the server was started anew
const MARKS = {also: "Together with", plus: "More like", minus: "Less like"};
const RANK_HELP = ["Type a SPEC into the field above and press Enter: steps joined by commas, each pca:DIMS:POWER, rca:DIMS:N, dba:N:ALPHA, qe:N:ALPHA or, at the end, krecip:K1:K2:LAMBDA. For example dba:5:1,qe:5:1."];

let basket = null, trail = null; // pictures kept over searches, and the searches before; of this browser and index
let uploads = null; // searches with uploads, of this window, while the server may still have them
let start = null, usual = {k: 10, rank: ""};
let wanted = {...IDLE}; // what is chosen, answered or not
let shown = null; // the search that the answers on the page belong to
let answer = null;
let pending = null, serial = 0, opened = null;
const questions = {}; // the serial of the latest question on one picture, by its kind
let suggestedFor = null;

// -- the parts ---------------------------------------------------------------------------------------------------

const file = createPicker(send, {id: "query-file"});
const view = make("div", {id: "query"});
const crop = createCrop(view, {onChange: (box) => ask({box})});
const cropper = button("Crop", () => setCropping(cropper.getAttribute("aria-pressed") !== "true"), {"aria-pressed": "false", hidden: true});
const remover = button("Remove", () => home(), {id: "remove", hidden: true});
const known = make("input", {type: "text", id: "query-id", placeholder: "Id, or address of a picture", "aria-label": "Id of an indexed picture, or address of one", autocomplete: "off", spellcheck: "false"});
const settingsButton = button("Settings", () => {
  settingsButton.setAttribute("aria-expanded", String(root.classList.toggle("settings-open")));
}, {id: "settings-button", "aria-expanded": "false", "aria-controls": "settings"});
const ways = make("div", {class: "ways"},
  button("Upload", () => file.click(), {class: "kit-first"}), button("Camera", photograph), button("Random", () => ask(QUERY, {random: true})), cropper, remover, settingsButton);
const byId = make("form", {class: "by-id"}, known, make("button", {type: "submit"}, "Search"));

const number = make("input", {id: "k", type: "text", inputmode: "numeric", "aria-label": "Number of neighbours", "aria-describedby": "k-said"});
const numberSaid = make("p", {id: "k-said", class: "kit-said", role: "alert"});
const numbers = [10, 20, 50].map((k) => button(String(k), () => chooseNumber(String(k)), {data: {k}, "aria-pressed": "false"}));
const classFinder = make("input", {type: "search", placeholder: "Find a class", "aria-label": "Find a class"});
const classList = make("div", {class: "class-list"});
const classes = make("fieldset", {id: "classes", hidden: true}, make("legend", {}, "Only these classes"), classFinder, classList);
const least = make("input", {id: "least", type: "number", min: -1, max: 1, step: 0.05, placeholder: "any"});
const leastSaid = make("p", {class: "kit-said", role: "alert"});
const distinct = make("input", {id: "distinct", type: "checkbox"});
const rank = make("select", {id: "rank-choice", "aria-label": "Ranking"});
const spec = make("input", {id: "rank-spec", type: "text", "aria-label": "Your own SPEC", placeholder: "dba:5:1,qe:5:1", spellcheck: "false", hidden: true});
const rankAbout = make("p", {class: "about"});
const rankHelp = make("details", {hidden: true}, make("summary", {}, "How to write a SPEC"), make("p", {}, RANK_HELP));
const settings = make("section", {id: "settings", "aria-label": "Settings"},
  make("fieldset", {}, make("legend", {}, "Neighbours"), make("div", {class: "numbers"}, numbers, number), numberSaid),
  classes,
  make("div", {}, make("label", {class: "least"}, make("span", {}, "Score at least"), least), leastSaid,
    make("label", {class: "distinct"}, distinct, make("span", {}, "Hide near-duplicates of each other"))),
  make("fieldset", {id: "rank"}, make("legend", {}, "Ranking"), rank, spec, rankAbout, rankHelp));
const basketBox = make("details", {id: "basket", hidden: true});
const historyBox = make("details", {id: "history", hidden: true});
const zip = zipButton(() => answer.hits.map((hit) => hit.id));
const exports = make("div", {id: "exports", hidden: true}, make("span", {}, "Export the hits:"),
  button("CSV", () => exportHits("csv")), button("JSON", () => exportHits("json")), button("Receipt", writeReceipt), zip);
const banner = make("div", {id: "banner"});
const status = make("div", {id: "status"});
const note = make("div", {id: "note"});
const own = make("div", {id: "own"});
const marks = make("div", {id: "marks"});
const welcome = make("div", {id: "welcome"});
const hits = make("div", {id: "hits"});
const grid = createGrid(hits, {onPick: openDetails, onVote: vote});
const more = button("Show more", () => ask({}, {more: true, push: false}), {id: "more", hidden: true});
const side = make("div", {id: "side"});
const panel = createPanel(side, {onStep: step, onClose: closed});

root.className = "kit search";
root.append(
  make("section", {id: "ask", "aria-label": "Your picture"}, file, view, ways, byId, settings, basketBox, historyBox),
  make("section", {id: "answers", "aria-label": "Answers"}, banner, status, note, marks, own, welcome, hits, more, exports),
  side);

// -- asking ------------------------------------------------------------------------------------------------------

// The "remark" is shown beside the answer. With "quiet" the shown search is asked again, for what the server has learned meanwhile; with "focus" the first hit gets it.
function ask(change, {push = true, random = false, more: further = false, quiet = false, focus = false, remark = null} = {}) {
  const other_than = wanted.id ?? shown?.id; // a picture by chance is another than this
  if (!quiet) wanted = {...wanted, ...change};
  questions.fetched = null;
  const search = quiet ? shown : wanted;
  const request = further ? {...search, k: answer.hits.length + 50, shown: answer.hits.length} : search;
  pending = {serial: ++serial, search, push, further, quiet, focus, remark};
  if (!quiet) {
    const learns = wanted.rank && wanted.rank !== "as indexed" && wanted.rank !== shown?.rank;
    say(learns ? "Ranking … (the first time, it is learned from the whole index)" : "Searching …", "busy");
    syncSettings();
    watchServer(serial);
  }
  submit({...request, serial, random, other_than, state: start.state});
}

// One search at a time: of those that come meanwhile the last is sent when the answer is there.
let sent = 0, waiting = null;
function submit(request) {
  if (sent && Date.now() - sent < LOST) waiting = request;
  else {
    sent = Date.now();
    trigger("ask", request);
  }
}

// Gradio does not tell that a server has gone, so a search that takes long asks for it.
function watchServer(asked) {
  setTimeout(async () => {
    if (pending?.serial !== asked) return;
    if (await serverAnswers()) return watchServer(asked);
    sent = 0;
    waiting = null;
    if (pending?.serial === asked) refuse({error: STOPPED});
  }, UNSURE);
}

async function serverAnswers() {
  try {
    await fetch(location.pathname, {method: "HEAD", cache: "no-store"});
    return true;
  } catch {
    return false;
  }
}

function answered() {
  const next = waiting;
  sent = 0;
  waiting = null;
  if (next) submit(next);
}

// Marks a picture as liked (1) or not (-1); the same mark again removes it.
function vote(id, sign) {
  const without = (ids) => ids.filter((each) => each !== id);
  const [to, from] = sign > 0 ? ["plus", "minus"] : ["minus", "plus"];
  ask({[from]: without(wanted[from]), [to]: wanted[to].includes(id) ? without(wanted[to]) : [...wanted[to], id]});
}

async function send(chosen, count = 1) {
  if (!chosen) return;
  openTab("search");
  say("Sending the picture …", "busy");
  try {
    const {path} = await upload(chosen);
    ask({...QUERY, picture: path}, {remark: count > 1 ? `with the first of ${count} files` : null});
  } catch {
    refuse({error: await serverAnswers() ? `${chosen.name} could not be sent. Pictures may have 32 MB at most.` : STOPPED});
  }
}

const isAddress = (text) => /^https?:\/\/\S+$/i.test(text);

// The server brings a picture from the Internet.
function fetchPicture(address) {
  questions.fetched = ++serial;
  openTab("search");
  say("Fetching the picture …", "busy");
  trigger("fetch", {address, serial});
}

async function photograph() {
  try {
    await send(await takePicture(root));
  } catch (error) {
    refuse({error: error.message});
  }
}

// Removes the query: the page is as at the beginning.
function home({push = true} = {}) {
  pending = shown = answer = null;
  serial += 1;
  wanted = {...wanted, ...QUERY};
  panel.close();
  drawIdle();
  tellAnswer(null);
  if (push) remember();
}

function remember() {
  const query = toAddress(wanted, usual, location.search, currentTab()), url = location.pathname + (query ? `?${query}` : "") + location.hash;
  const state = {...history.state, kit: wanted};
  const same = url === location.pathname + location.search + location.hash && history.state?.kit?.picture === wanted.picture;
  if (same) history.replaceState(state, "", url);
  else history.pushState(state, "", url);
}

// The search that the address, or this entry of the history, stands for; one that is shown already stays.
function recall({again = false} = {}) {
  const found = {...IDLE, ...fromAddress(location.search, usual), picture: history.state?.kit?.picture ?? null};
  const same = (search) => toAddress(found, usual) === toAddress(search, usual) && found.picture === search.picture;
  if (!again && !pending && same(shown ?? IDLE)) return;
  wanted = found;
  if (found.id || found.picture) ask({}, {push: false});
  else home({push: false});
}

// -- answers -----------------------------------------------------------------------------------------------------

function say(text, kind = "done", how = []) {
  const line = make("p", {class: `status ${kind}`, role: kind === "error" ? "alert" : "status"}, text);
  const details = how.length ? make("details", {id: "how"}, make("summary", {}, "How"), make("p", {}, how.join(" · "))) : null;
  status.replaceChildren(...[line, details].filter(Boolean));
  root.classList.toggle("busy", kind === "busy");
}

function refuse({error, waiting = false}) {
  pending = null;
  if (!waiting) wanted = shown ? {...shown} : {...wanted, ...QUERY};
  say(shown ? `${error.replace(/\.$/, "")}. The earlier results are still shown below.` : error, "error");
  syncSettings();
  tellRefused(error);
}

function receive(found) {
  if (!pending || (found.serial !== null && found.serial !== pending.serial)) return; // of an earlier question
  const {search, push, further, quiet, focus, remark} = pending;
  if (found.error && !quiet) return refuse(search.picture && GONE.test(found.error) ? forgetUpload(search.picture) : found);
  pending = null;
  if (quiet) return learned(found);
  const change = further ? null : moves(search, found.hits);
  wanted = {...search, id: found.query.id, picture: found.query.picture};
  shown = {...wanted};
  if (further) {
    answer = {...found, hits: [...answer.hits, ...found.hits]};
    grid.append(found.hits);
  } else {
    answer = found;
    grid.show(found.hits);
    panel.close();
  }
  drawRankings(found.rankings);
  if (found.indexed.state !== start.state) drawIndexed(found.indexed);
  drawAnswer();
  if (!further && currentTab() === "search" && status.getBoundingClientRect().bottom < 0) status.scrollIntoView(); // it is asked for further down
  if (focus && currentTab() === "search") grid.focus(found.hits[0]?.id); // what had it is in a tab that is hidden now
  for (const words of [change, remark]) if (words) status.firstChild.after(make("span", {class: "status change"}, words));
  tellAnswer(shown, answer, {classes: start.classes, rankings: start.rankings});
  if (push) remember();
  if (shown.id && !further) {
    const query = toAddress(shown, usual);
    trail.add({key: query, name: [answer.query.name, ...particulars(shown)].join(" · "), thumbnail: answer.own[0]?.thumbnail ?? "", search: {...shown, picture: null}, at: Date.now()});
    drawKept();
  } else if (shown.picture && !further) keepUpload(shown, answer.query);
}

// Draws what the server has learned of scores into the answer that is shown, or asks once more.
function learned(found) {
  if (found.error) return;
  const known = new Map(found.hits.map((hit) => [hit.id, hit]));
  answer = {...answer, note: found.note, learning: found.learning, errs: found.errs, unknown: found.unknown, hits: answer.hits.map((hit) => ({...hit, ...known.get(hit.id), rank: hit.rank}))};
  drawRankings(found.rankings);
  if (!found.learning) {
    grid.show(answer.hits);
    drawNote();
  }
  askLater();
}

function askLater() {
  const {learning} = answer, for_ = shown;
  if (!learning) return;
  setTimeout(() => { if (shown === for_ && !pending) ask({}, {push: false, quiet: true}); }, 1500);
}

function drawNote() {
  note.replaceChildren(...(answer.note ? [make("p", {class: "unlike", role: "note", title: answer.errs}, answer.note)] : []));
  if (answer.unknown && document.querySelector("#how p")) document.querySelector("#how p").textContent = [...answer.how, answer.unknown].join(" · ");
}

// What another ranking or another mark did to the answer before it: every hit that moved gets a word on it.
function moves(search, found) {
  const same = (name) => String(search[name]) === String(shown?.[name]);
  if (!["picture", "id", "also", "k", "classes", "box", "least", "distinct"].every(same) || ["rank", "plus", "minus"].every(same)) return null;
  const before = new Map(answer.hits.map((hit) => [hit.id, hit.rank]));
  let moved = 0, fresh = 0;
  for (const hit of found) {
    const was = before.get(hit.id);
    if (was === hit.rank) continue;
    hit.moved = was === undefined ? "new" : was > hit.rank ? `↑${was - hit.rank}` : `↓${hit.rank - was}`;
    if (was === undefined) fresh += 1;
    else moved += 1;
  }
  return moved + fresh ? `${moved} moved, ${fresh} new` : "Nothing moved";
}

function drawAnswer() {
  const {query} = answer;
  crop.show(query.preview, query.name);
  crop.set(shown.box);
  if (suggestedFor !== (query.id ?? query.name)) {
    suggestedFor = null;
    crop.suggest([]);
  }
  view.dataset.query = query.id ?? query.name;
  for (const each of [cropper, remover]) each.hidden = false;
  if (!query.preview) setCropping(false);
  cropper.hidden = !query.preview || shown.also.length > 0; // a box belongs to one query
  say(answer.status, "done", answer.how);
  drawNote();
  askLater();
  own.replaceChildren(...(answer.own.length ? [
    make("p", {}, shown.also.length ? "These pictures are in the index:" : `This picture is ${answer.own.length > 1 ? `${answer.own.length} times ` : ""}in the index:`),
    make("div", {class: "strip"}, answer.own.map((each) => button([picture(each.thumbnail, each.name), make("span", {}, each.name)],
      () => openDetails(each.id), {class: "small", title: each.name, data: {id: each.id}})))] : []));
  drawMarks();
  welcome.replaceChildren(...(answer.nothing && !answer.hits.length ? [empty("No neighbours", answer.nothing)] : []));
  more.hidden = !answer.more;
  exports.hidden = !answer.hits.length;
  known.value = query.id ?? "";
  root.classList.add("answered");
  syncSettings();
}

// The index has grown or shrunk since the page was opened.
function drawIndexed(indexed) {
  start = {...start, ...indexed};
  drawSettings();
  const line = document.querySelector("#head .status");
  if (line) line.textContent = indexed.line;
}

function drawMarks() {
  marks.replaceChildren(...Object.entries(MARKS).filter(([name]) => answer.marks[name].length).map(([name, words]) =>
    make("div", {class: `marked ${name}`}, make("span", {}, words), answer.marks[name].map((each) => make("span", {class: "chip"},
      button(picture(each.thumbnail, each.name), () => openDetails(each.id), {title: each.name, data: {id: each.id}}),
      button("×", () => ask({[name]: wanted[name].filter((id) => id !== each.id)}), {"aria-label": `Remove ${each.name}`, class: "kit-round"}))))));
}

function empty(headline, text) {
  return make("div", {class: "empty"}, make("h2", {}, headline), make("p", {}, text));
}

function drawIdle() {
  crop.set(null);
  view.querySelector(".kit-frame").replaceChildren(make("p", {class: "drop-here"}, matchMedia("(pointer: coarse)").matches ? "Upload a picture, or take one" : "Drop a picture anywhere, or paste one with Ctrl+V"));
  delete view.dataset.query;
  setCropping(false);
  for (const each of [cropper, remover, more, exports]) each.hidden = true;
  for (const each of [note, own, marks]) each.replaceChildren();
  status.replaceChildren();
  root.classList.remove("busy", "answered");
  grid.show([]);
  known.value = "";
  if (!start.pictures) {
    welcome.replaceChildren(make("div", {class: "empty"}, make("h2", {}, "Nothing is indexed yet"),
      make("p", {}, "Type ", make("code", {}, "imgsearch index FOLDER"), " in a terminal, then reload.")));
  } else {
    const count = start.pictures === 1 ? "the one indexed picture" : `${start.pictures.toLocaleString("en")} indexed pictures`;
    welcome.replaceChildren(
      make("p", {class: "intro"}, `Show a picture, and this page finds those of ${count} that look most like it. Begin with one of these, or with one of your own.`),
      make("ul", {class: "tiles"}, start.tiles.map((tile) => make("li", {},
        button([picture(tile.thumbnail, tile.name), tile.label ? make("span", {class: "label"}, tile.label) : fileName(tile.file)],
          () => ask({...QUERY, id: tile.id}), {class: "tile", title: tile.name, data: {id: tile.id}})))));
  }
  syncSettings();
}

// -- settings ----------------------------------------------------------------------------------------------------

function chooseNumber(text) {
  const k = Number(text), right = /^\d+$/.test(text.trim()) && k >= 1 && k <= start.most;
  numberSaid.textContent = right ? "" : `Give a whole number from 1 to ${start.most}; it is “${text.slice(0, 20)}”.`;
  number.setAttribute("aria-invalid", String(!right));
  if (right && k !== wanted.k) change({k});
  else if (right) number.value = String(k);
}

// A setting that was changed: the shown search is asked anew, if there is one.
function change(changed) {
  if (wanted.id || wanted.picture) return ask(changed);
  wanted = {...wanted, ...changed};
  syncSettings();
}

function chooseRank(choice) {
  spec.hidden = rankHelp.hidden = choice !== "other";
  if (choice === "other") spec.focus();
  else change({rank: choice});
}

function syncSettings() {
  number.value = String(wanted.k);
  number.removeAttribute("aria-invalid");
  numberSaid.textContent = "";
  for (const each of numbers) each.setAttribute("aria-pressed", String(Number(each.dataset.k) === wanted.k));
  for (const box of classList.querySelectorAll("input")) box.checked = wanted.classes.includes(box.value);
  least.value = wanted.least ?? "";
  leastSaid.textContent = "";
  distinct.checked = wanted.distinct !== null;
  const named = start.rankings.find((each) => each.spec === wanted.rank);
  rank.value = named ? wanted.rank : "other";
  spec.hidden = rankHelp.hidden = Boolean(named);
  spec.value = named ? "" : wanted.rank;
  rankAbout.textContent = named ? named.about : start.other;
}

function drawSettings() {
  classes.hidden = !start.classes.length;
  classFinder.hidden = start.classes.length < 12;
  classList.replaceChildren(...start.classes.map(([name, read, count]) => make("label", {}, make("input", {type: "checkbox", value: name}), make("span", {}, read), make("small", {}, count.toLocaleString("en")))));
  drawRankings(start.rankings);
}

// The rankings with what is known of them.
function drawRankings(rankings) {
  start = {...start, rankings};
  const chosen = rank.value;
  rank.replaceChildren(...rankings.map((each) => make("option", {value: each.spec}, each.label)), make("option", {value: "other"}, "Your own SPEC …"));
  rank.value = chosen || usual.rank;
}

function setCropping(on) {
  cropper.setAttribute("aria-pressed", String(on));
  crop.cropping(on);
  if (on && suggestedFor !== view.dataset.query) { // asked for when they can be used
    suggestedFor = view.dataset.query;
    questions.boxes = ++serial;
    trigger("boxes", {...shown, serial});
  }
}

number.addEventListener("change", () => chooseNumber(number.value));
classFinder.addEventListener("input", () => {
  const sought = classFinder.value.toLowerCase();
  for (const label of classList.children) label.hidden = !label.textContent.toLowerCase().includes(sought);
});
classList.addEventListener("change", () => change({classes: [...classList.querySelectorAll("input:checked")].map((box) => box.value)}));
least.addEventListener("change", () => {
  const value = least.value === "" ? null : Number(least.value), right = least.validity.valid || least.validity.stepMismatch;
  if (right && (value === null || Math.abs(value) <= 1)) change({least: value});
  else leastSaid.textContent = "Give a cosine from -1 to 1, or nothing.";
});
distinct.addEventListener("change", () => change({distinct: distinct.checked ? DISTINCT : null}));
rank.addEventListener("change", () => chooseRank(rank.value));
spec.addEventListener("change", () => change({rank: spec.value.trim()}));
byId.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = known.value.trim();
  if (isAddress(text)) fetchPicture(text);
  else if (text) ask({...QUERY, id: text});
});

// -- details -----------------------------------------------------------------------------------------------------

function openDetails(id) {
  opened = {id};
  questions.details = ++serial;
  stopExplaining();
  trigger("details", {id, serial});
}

// What the server told of one picture; only the answer to the latest question of its kind counts.
document.addEventListener("imgsearch-told", ({detail}) => {
  if (detail?.kind === "failed") return failed(detail);
  if (!detail || detail.serial !== questions[detail.kind]) return undefined;
  if (detail.kind === "details") return drawDetails(detail);
  if (detail.kind === "boxes") return crop.suggest(detail.boxes);
  if (detail.kind === "reverse") return drawReverse(detail);
  if (detail.kind === "explained") return drawExplained(detail);
  if (detail.kind === "receipt") return saveReceipt(detail);
  return detail.error ? refuse(detail) : ask({...QUERY, picture: detail.path});
});

// An error that nobody foresaw, told where the answer would have been; a crop needs no suggested boxes.
function failed({event, error}) {
  if (event === "ask") return receive({serial: null, error});
  if (event === "fetch") return refuse({error});
  if (event === "explain" || event === "reverse") return panel.say(error);
  return event === "boxes" ? undefined : say(error, "error");
}

function drawExplained(detail) {
  if (detail.error) return panel.say(detail.error);
  if (detail.done !== undefined) return panel.say(`${Math.round(detail.done * 100)} % done …`);
  panel.explain(detail.query, detail.hit, detail.box);
  return panel.say(detail.note);
}

// In whose top ten a picture is.
function drawReverse(detail) {
  if (detail.error) return panel.say(detail.error);
  panel.say(detail.count ? `In the top ten of ${detail.count}${detail.cards.length < detail.count ? `; the first ${detail.cards.length}:` : ":"}` : "In nobody's top ten.");
  return panel.strip(detail.cards, openDetails);
}

function explain(id) {
  questions.explained = ++serial;
  panel.say("Comparing place by place …");
  trigger("explain", {...shown, hit: id, serial});
}

function drawDetails(detail) {
  if (detail.error) return say(detail.error, "error");
  const hit = answer?.hits.find((each) => each.id === detail.id);
  const scored = hit ? [["Rank", String(hit.rank)], ["Score", hit.score.toFixed(4)], ...(hit.meaning ? [["Meaning", hit.meaning]] : [])] : [];
  const [first, ...rest] = detail.facts;
  const act = (text, does) => [text, () => { panel.close(); does(); }];
  const actions = [
    act("Search with this", () => { ask({...QUERY, id: detail.id}); scrollTo({top: 0}); }),
    ...(start.explains.way && answer && !shown.also.length && detail.id !== shown.id ? [["Why these match", () => explain(detail.id)]] : []),
    act("More like this", () => vote(detail.id, 1)),
    act("Less like this", () => vote(detail.id, -1)),
    ["In whose top ten", () => {
      questions.reverse = ++serial;
      panel.say("Looking …");
      trigger("reverse", {id: detail.id, serial});
    }],
    [basket.has(detail.id) ? "Take out of the basket" : "Keep in the basket", () => keep(detail)],
    act("Add to the query", () => ask({also: [...wanted.also.filter((id) => id !== detail.id), detail.id], box: null})),
    ...(detail.exact ? [act("All of this class", () => ask({classes: [detail.exact], k: start.most}))] : []),
  ];
  panel.show({...detail, caption: hit ? `Rank ${hit.rank}` : "Indexed", facts: [first, ...scored, ...rest]}, answer?.query, actions);
  root.classList.add("side-open");
  return grid.current(detail.id);
}

function step(by) {
  const all = answer?.hits ?? [], next = all[all.findIndex((each) => each.id === opened.id) + by];
  if (next) openDetails(next.id);
}

function stopExplaining() {
  if (questions.explained) trigger("stop", {});
  questions.explained = null;
}

function closed() {
  stopExplaining();
  root.classList.remove("side-open");
  const id = opened?.id;
  opened = null;
  grid.current(null);
  if (id === undefined) return;
  grid.focus(id);
  if (document.activeElement?.dataset.id !== id) own.querySelector("button")?.focus();
}

// -- what this browser keeps -----------------------------------------------------------------------------------------

function keep(detail) {
  const was = basket.has(detail.id), found = [...(answer?.hits ?? []), ...(answer?.own ?? [])].find((each) => each.id === detail.id);
  if (was) basket.remove(detail.id);
  else basket.add({key: detail.id, name: detail.name, label: detail.exact ?? null, thumbnail: found?.thumbnail ?? ""});
  drawKept();
  drawDetails(detail);
  panel.say(was ? "Taken out of the basket." : "Kept in the basket.");
}

async function keepUpload(search, {name, preview}) {
  const thumbnail = preview ? await smallPicture(preview) : "";
  uploads.add({key: JSON.stringify(search), name: [name, ...particulars(search)].join(" · "), thumbnail, search, at: Date.now()});
  drawKept();
}

function forgetUpload(path) {
  for (const item of uploads.all()) if (item.search.picture === path) uploads.remove(item.key);
  drawKept();
  return {error: "That picture is no longer on the server: uploads are kept for an hour. Drop it again."};
}

// What sets a search apart from the usual one, a few words each.
function particulars({k, classes: kept, rank: ranking, box, also, plus, minus}) {
  const named = start.rankings.find((each) => each.spec === ranking)?.name ?? ranking;
  return [k !== usual.k && `${k} hits`, also.length && `and ${also.length} more`, plus.length && `+${plus.length}`, minus.length && `−${minus.length}`,
    box && "box", ranking !== usual.rank && named, ...kept].filter(Boolean);
}

function drawKept() {
  const chip = (item, does, remove) => make("span", {class: "chip"},
    button([item.thumbnail ? picture(item.thumbnail, "") : null, make("span", {}, item.name)].filter(Boolean), does, {title: item.name}),
    button("×", remove, {"aria-label": `Remove ${item.name}`, class: "kit-round"}));
  const kept = basket.all(), before = [...trail.all(), ...uploads.all()].sort((a, b) => (b.at ?? 0) - (a.at ?? 0));
  basketBox.hidden = !kept.length;
  basketBox.replaceChildren(make("summary", {}, `Basket (${kept.length})`),
    make("div", {class: "kept"}, kept.map((item) => chip(item, () => openDetails(item.key), () => { basket.remove(item.key); drawKept(); }))),
    make("div", {class: "ways"},
      button("Search with all", () => ask({...QUERY, id: kept[0].key, also: kept.slice(1).map((item) => item.key)})),
      button("CSV", () => saveFile("basket.csv", csvText([["id", "label"], ...kept.map((item) => [item.key, item.label])]), "text/csv")),
      button("JSON", () => saveFile("basket.json", JSON.stringify(kept.map((item) => ({id: item.key, label: item.label})), null, 2), "application/json")),
      ...(start.originals ? [zipButton(() => kept.map((item) => item.key))] : []),
      button("Empty", () => { basket.clear(); drawKept(); })));
  historyBox.hidden = !before.length;
  historyBox.replaceChildren(make("summary", {}, `History (${before.length})`),
    make("p", {class: "about"}, "Kept by this browser alone; searches with a picture of yours in this window, for the hour that the server has it."),
    make("div", {class: "kept"}, before.map((item) => chip(item, () => ask({...IDLE, ...item.search}), () => { for (const each of [trail, uploads]) each.remove(item.key); drawKept(); }))),
    button("Forget all", () => { for (const each of [trail, uploads]) each.clear(); drawKept(); }));
}

function exportHits(kind) {
  const rows = answer.hits.map(({rank, id, label, score}) => ({rank, id, label, score}));
  if (kind === "csv") return saveFile("hits.csv", csvText([["rank", "id", "label", "score"], ...rows.map(Object.values)]), "text/csv");
  return saveFile("hits.json", JSON.stringify({query: {...shown, picture: undefined, file: shown.id ? undefined : answer.query.name}, hits: rows}, null, 2), "application/json");
}

// The server searches again for the shown hits, and writes the receipt.
function writeReceipt() {
  questions.receipt = ++serial;
  say("Writing the receipt …", "busy");
  trigger("receipt", {...shown, k: Math.max(shown.k, answer.hits.length), shown: answer.hits.length, serial});
}

function saveReceipt(detail) {
  if (detail.error) return say(detail.error, "error");
  say(answer?.status ?? "", "done", answer?.how);
  return saveFile("receipt.html", detail.page, "text/html");
}

// A button that saves the original files of some pictures.
function zipButton(ids) {
  return button("ZIP", async () => {
    say("Packing the original files …", "busy");
    try {
      const body = new FormData();
      for (const id of ids()) body.append("id", id);
      const packed = await fetch(new URL("originals", location.href), {method: "POST", body});
      if (!packed.ok) throw new Error((await packed.json()).detail);
      saveFile("pictures.zip", await packed.blob(), "application/zip");
      say(answer?.status ?? "The original files are saved.", "done", answer?.how);
    } catch (error) {
      say(`The original files could not be saved: ${error.message}`, "error");
    }
  });
}

// -- from anywhere on the page -----------------------------------------------------------------------------------

watchGiven(document.documentElement, send, (text) => { if (isAddress(text)) fetchPicture(text); });
document.addEventListener("keydown", (event) => { if (event.key === "Escape") panel.close(); });
let early = null; // what another tab searched for before this one had begun
function seek(id) {
  if (start) ask({...QUERY, id}, {random: id === null, focus: id !== null});
  else early = {id};
}
onSearch(seek);
onRefine((changed) => ask(changed));
onIndexed(() => trigger("again", {}));
onSearchIn((classes) => change({classes}));
window.addEventListener("popstate", () => { if (start) recall(); });
window.addEventListener("storage", () => { if (start) drawKept(); }); // another window has kept something

watch("value", () => {
  const told = props.value;
  if (told?.kind === "answer" || told?.kind === "failed") answered();
  if (told?.kind === "failed") return failed(told);
  if (told?.kind === "answer") return receive(told);
  if (told?.kind !== "start") return undefined;
  start = told;
  usual = told.usual;
  basket = keptList(`imgsearch-basket-${start.uuid}`, 200);
  trail = keptList(`imgsearch-history-${start.uuid}`, 30);
  uploads = keptList(`imgsearch-uploads-${start.uuid}`, 12, {window: true});
  banner.replaceChildren(...(start.moved ? [make("p", {class: "unlike", role: "note"}, start.moved)] : []));
  zip.hidden = !start.originals;
  drawSettings();
  drawKept();
  drawIdle();
  recall({again: true});
  if (early) seek(early.id);
  early = null;
  root.dataset.ready = "";
  return undefined;
});
