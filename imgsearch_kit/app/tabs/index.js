// The index tab: what the index is, which files failed, and where that is allowed what changes it. Gradio runs it as a
// function's body.
import {button, make, withCode} from "../../ui/dom.js";
import {currentTab, tellIndexed, whenShown} from "../../ui/tabs.js";

const root = element.firstElementChild;
let state = null, running = false, place = null, known = null, timer = 0;

const passport = make("dl", {class: "passport"});
const failed = make("section", {class: "failed", "aria-label": "Files that could not be indexed"});
const said = make("p", {class: "status", role: "status"});
const bar = make("progress", {max: 1, value: 0, "aria-label": "Share of the files that is done", hidden: true});
const cancel = button("Cancel", stop, {hidden: true});
const report = make("div", {class: "report", tabindex: "-1"});
const run = make("div", {class: "run"}, make("div", {class: "ways"}, bar, cancel, said), report);
const acts = make("section", {class: "acts", "aria-label": "Change the index"});
const table = make("input", {type: "file", id: "labels-file", accept: ".csv,.tsv,.txt,text/csv", hidden: true, "aria-label": "Table of labels"});
table.addEventListener("change", sendLabels);
root.className = "kit tab";
root.append(run, make("div", {class: "halves"}, make("div", {}, passport, failed), acts));

const files = (rows, all) => [make("div", {class: "table", tabindex: "0", role: "region", "aria-label": "Files and reasons"}, make("table", {},
  make("thead", {}, make("tr", {}, make("th", {scope: "col"}, "File"), make("th", {scope: "col"}, "Reason"))),
  make("tbody", {}, rows.map(([path, reason]) => make("tr", {}, make("td", {}, path), make("td", {}, reason)))))),
rows.length < all ? make("p", {class: "status"}, `The first ${rows.length.toLocaleString("en")} of ${all.toLocaleString("en")}.`) : null].filter(Boolean);

function drawAbout() {
  passport.replaceChildren(...state.passport.flatMap(([name, words]) => [make("dt", {}, name), make("dd", {}, words)]));
  document.querySelector("#head .status").textContent = state.indexed.line;
  failed.replaceChildren(make("h2", {}, state.failures ? `Could not be indexed (${state.failures.toLocaleString("en")})` : "Every file could be indexed"),
    ...(state.failures ? files(state.failed, state.failures) : []));
}

// -- changes -------------------------------------------------------------------------------------------------------

function begin(event, given, words) {
  setRunning(true);
  report.replaceChildren();
  said.textContent = words;
  cancel.focus(); // what was clicked cannot be now
  trigger(event, given);
}

function stop() {
  trigger("stop", {});
  setRunning(false);
  said.textContent = "Cancelled. What was read until then is kept.";
  setTimeout(renew, 1000); // the batch in flight ends first
}

function setRunning(on) {
  running = on;
  cancel.hidden = !on;
  bar.hidden = true;
  lock();
}

// While something runs, here or in another window, nothing else can be begun.
function lock() {
  for (const each of acts.querySelectorAll("button, input")) each.disabled = running || Boolean(state?.doing);
}

function drawDone(done) {
  bar.hidden = !done;
  if (!done) return;
  const [finished, total] = done;
  bar.value = total ? finished / total : 1;
  said.textContent = total ? `${finished.toLocaleString("en")} of ${total.toLocaleString("en")} files to read are done` : "No file is new or changed";
}

function drawReport(told) {
  const focused = document.activeElement === cancel;
  setRunning(false);
  said.textContent = "";
  const words = told.error ? make("p", {class: "status error", role: "alert"}, told.error) : make("p", {class: "status done", role: "status"}, told.title);
  report.replaceChildren(words, ...(told.notes ?? []).map((note) => make("p", {class: "status"}, note)),
    ...(told.failures ? [make("h3", {}, `Failed (${told.failures.toLocaleString("en")})`), ...files(told.failed, told.failures)] : []));
  if (focused) report.focus();
}

async function sendLabels() {
  const chosen = table.files[0];
  table.value = "";
  if (!chosen) return;
  setRunning(true);
  report.replaceChildren();
  said.textContent = "Sending the table …";
  try {
    const {path} = await upload(chosen);
    begin("labels", {file: path}, "Reading the labels …");
    cancel.hidden = true; // it takes moments
  } catch {
    drawReport({error: `${chosen.name} could not be sent. Tables may have 32 MB at most.`});
  }
}

function drawActs() {
  acts.hidden = !state.changes;
  if (!state.changes) return;
  if (state.fixed) return acts.replaceChildren(make("p", {class: "status"}, state.fixed));
  const labels = make("section", {}, make("h2", {}, "Labels"), make("p", {class: "status"}, withCode("From a table (CSV) with the columns path and label; `imgsearch export -o labels.csv` writes one to fill in. Nothing is extracted again.")), make("div", {class: "ways"}, button("Choose a table", () => table.click())), table);
  const parts = state.blind ? [make("p", {class: "status"}, state.blind)] : [folders(), place && state.below ? chooser() : null];
  acts.replaceChildren(...[state.note && make("p", {class: "status"}, state.note), ...parts, labels].filter(Boolean));
  lock();
  return undefined;
}

function folders() {
  const rows = state.folders.map(([prefix, words]) => make("li", {}, make("span", {class: "path"}, words), make("div", {class: "ways"},
    button("Bring up to date", () => begin("refresh", {prefix}, "Looking for new and changed files …")),
    button("Remove what is gone", (event) => ask(event.target, () => begin("refresh", {prefix, prune: true}, "Looking for files that are gone …"), "Remove pictures whose file is gone from the index")))));
  return make("section", {}, make("h2", {}, state.folders.length === 1 ? "Folder" : "Folders"), rows.length ? make("ul", {class: "folders"}, rows) : make("p", {class: "status"}, "The index knows no folder of its pictures."),
    state.below ? null : make("p", {class: "status"}, "To add folders here, start the page with --add-below FOLDER."));
}

// A second click on the same button does it, a click elsewhere leaves it.
function ask(asked, does, words) {
  if (asked.dataset.sure) return does();
  asked.dataset.sure = "yes";
  asked.textContent = "Sure?";
  asked.title = words;
  asked.focus(); // Safari does not focus a button that is clicked
  return asked.addEventListener("blur", () => {
    delete asked.dataset.sure;
    asked.textContent = "Remove what is gone";
  }, {once: true});
}

// The folders below the one that was given at start, to be walked through.
function chooser() {
  const {folder: path, names, prefix, again, refused, error} = place;
  const steps = path ? path.split("/") : [];
  const trail = [button(state.below.split(/[\\/]/).pop() || state.below, () => walk(""), {title: state.below}), ...steps.map((step, i) => button(step, () => walk(steps.slice(0, i + 1).join("/"))))];
  const name = make("input", {type: "text", id: "prefix", value: prefix, maxlength: 100, autocomplete: "off", spellcheck: "false"});
  const asks = !again && !refused && state.folders.length;
  const add = (event) => {
    event.preventDefault();
    begin("grow", {folder: path, prefix: name.value.trim()}, "Looking for pictures …");
  };
  const moved = refused || again ? [] : state.folders.map(([of, words]) => button(`${words} has moved here`, () => begin("move", {folder: path, prefix: of}, "Comparing the folder with the index …")));
  return make("section", {"aria-label": "Add a folder"}, make("h2", {}, "Add a folder"), make("nav", {class: "crumbs", "aria-label": "Folder"}, trail),
    error ? make("p", {class: "status error", role: "alert"}, error) : null,
    names?.length ? make("ul", {class: "below"}, names.map(([exact, shown]) => make("li", {}, button(shown, () => walk(path ? `${path}/${exact}` : exact))))) : make("p", {class: "status"}, "No folder lies in this one."),
    refused ? make("p", {class: "status"}, refused) : make("form", {class: "add", onsubmit: add},
      asks ? make("label", {}, make("span", {}, "Name before its ids"), name) : null,
      make("button", {type: "submit", class: "kit-first"}, again ? "Bring this folder up to date" : "Index this folder")),
    moved.length ? make("details", {}, make("summary", {}, "Has an indexed folder moved here?"), make("div", {class: "ways"}, moved)) : null);
}

// What was begun in another window, or ends after it was cancelled.
function drawElsewhere({doing, done}) {
  if (doing) {
    drawDone(done);
    if (!done) said.textContent = `${doing.replace(/^./, (letter) => letter.toUpperCase())} …`;
    if (currentTab() === "index") timer = setTimeout(renew, 2000);
  } else if (!bar.hidden) {
    bar.hidden = true;
    said.textContent = "";
  }
}

const walk = (folder) => trigger("folders", {folder});

// -- answers -------------------------------------------------------------------------------------------------------

function renew() {
  clearTimeout(timer);
  trigger("start", {});
}

// The other tabs hear of a change when it is done; while it runs only the line at the top follows.
function heed({indexed}, done) {
  if (!indexed || indexed.state === known) return;
  document.querySelector("#head .status").textContent = indexed.line;
  if (!done) return;
  known = indexed.state;
  tellIndexed();
}

whenShown("index", () => { if (!running) renew(); });

watch("value", () => {
  const told = props.value;
  if (told?.kind === "start") {
    root.dataset.ready = "";
    if (told.error) return report.replaceChildren(make("p", {class: "status error", role: "alert"}, told.error));
    known ??= told.indexed.state;
    state = told;
    heed(told, true);
    drawAbout();
    if (running) return undefined;
    drawActs();
    if (told.below && !told.fixed && !told.blind) walk(place?.folder ?? "");
    return drawElsewhere(told);
  }
  if (told?.kind === "folders") {
    if (told.error && place && told.folder) return drawReport(told);
    place = told;
    const open = acts.querySelector("details")?.open, focused = acts.querySelector(".crumbs")?.parentElement.contains(document.activeElement);
    drawActs();
    if (focused) acts.querySelector(".crumbs button:last-child").focus();
    if (open && acts.querySelector("details")) acts.querySelector("details").open = true;
  }
  if (told?.kind === "doing" && running) {
    drawDone(told.done);
    heed(told, false);
  }
  if (told?.kind !== "done" || !running) return undefined;
  drawReport(told);
  heed(told, true);
  return renew();
});
