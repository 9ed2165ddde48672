// The search in a notebook cell: draws what the kernel answers, and tells it what is dropped, marked and chosen.
import {createCrop} from "../ui/crop.js";
import {button, make, picture} from "../ui/dom.js";
import {createExplorer} from "../ui/explorer.js";
import {createPicker, watchGiven} from "../ui/given.js";
import {createGrid} from "../ui/grid.js";

const PART = 1_000_000; // bytes of a message: a notebook server refuses large ones
const UNMARKED = {plus: [], minus: []};
const MARKS = {plus: "More like", minus: "Less like"};

function render({model, el}) {
  const set = (values) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    model.save_changes();
  };
  const ask = (values) => {
    said.textContent = "Searching …";
    set(values);
  };

  // -- the parts -------------------------------------------------------------------------------------------------
  const {classes, rankings, tiles, pictures} = model.get("_choices");
  const file = createPicker(send);
  const view = make("div", {class: "query"});
  const crop = createCrop(view, {onChange: (box) => ask({box})});
  const cropper = button("Crop", () => {
    const on = cropper.getAttribute("aria-pressed") !== "true";
    cropper.setAttribute("aria-pressed", String(on));
    crop.cropping(on);
  }, {"aria-pressed": "false"});
  const remover = button("Remove", () => ask({query: null, marks: UNMARKED, box: null}));
  const mapper = button("Map", () => setMap(mapper.getAttribute("aria-pressed") !== "true"), {"aria-pressed": "false"});
  const drop = make("p", {class: "drop"}, "Drop a picture here, or paste one.");
  const rank = make("select", {"aria-label": "Ranking", onchange: () => ask({rank: rank.value})},
    rankings.map(({spec, name, about}) => make("option", {value: spec, title: about}, name)));
  const number = make("select", {"aria-label": "Number of neighbours", onchange: () => ask({k: Number(number.value)})});
  const classBox = make("details", {class: "classes"}, make("summary", {}, "Classes"), make("div", {class: "class-list"},
    classes.map(([exact, name, count]) => make("label", {}, make("input", {type: "checkbox", value: exact, onchange: chooseClasses}), make("span", {}, `${name} (${count})`)))));
  const said = make("p", {class: "said", role: "status"});
  const error = make("p", {class: "kit-said", role: "alert"});
  const marks = make("div", {class: "marks"});
  const own = make("div", {class: "own"});
  const hits = make("div", {class: "hits"});
  const basket = make("div", {class: "basket"});
  const plane = make("div", {class: "kit-explorer", hidden: true});
  const grid = createGrid(hits, {onPick: searchFor, onVote: vote, onKeep: keep});
  const root = make("div", {class: "kit widget", data: {lmSuppressShortcuts: "true"}, tabindex: "-1"},
    make("section", {class: "ask", "aria-label": "Your picture"}, file, view, drop,
      make("div", {class: "ways"}, button("Upload", () => file.click(), {class: "kit-first"}), cropper, remover, mapper),
      make("div", {class: "ways"}, number, rank), classes.length ? classBox : null, basket),
    make("section", {class: "answers", "aria-label": "Neighbours"}, error, said, marks, own, hits, plane));

  // -- asking ----------------------------------------------------------------------------------------------------
  function searchFor(id) {
    ask({query: {id}, marks: UNMARKED, box: null});
  }

  function vote(id, sign) {
    const name = sign > 0 ? "plus" : "minus", now = {...UNMARKED, ...model.get("marks")}, was = now[name].includes(id);
    const others = {plus: now.plus.filter((each) => each !== id), minus: now.minus.filter((each) => each !== id)};
    ask({marks: was ? others : {...others, [name]: [...others[name], id]}});
  }

  function keep(id) {
    const now = model.get("basket");
    set({basket: now.includes(id) ? now.filter((each) => each !== id) : [...now, id]});
  }

  function chooseClasses() {
    ask({classes: [...classBox.querySelectorAll("input:checked")].map((input) => input.value)});
  }

  async function send(blob) {
    said.textContent = "Searching …";
    const data = await blob.arrayBuffer(), parts = Math.max(Math.ceil(data.byteLength / PART), 1);
    for (let part = 0; part < parts; part++) {
      model.send({kind: "picture", name: blob.name ?? "", part, last: part === parts - 1}, undefined, [data.slice(part * PART, (part + 1) * PART)]);
    }
  }

  // -- the map ---------------------------------------------------------------------------------------------------
  const questions = new Map();
  let serial = 0, explorer = null;
  function question(kind, given = {}) {
    return new Promise((resolve, reject) => {
      questions.set(++serial, {resolve, reject});
      model.send({kind, serial, ...given});
    });
  }
  const told = (answer) => {
    const asked = questions.get(answer?.serial);
    if (answer?.kind !== "told" || !asked) return;
    questions.delete(answer.serial);
    if (answer.error) asked.reject(new Error(answer.error));
    else asked.resolve(answer);
  };

  async function setMap(on) {
    mapper.setAttribute("aria-pressed", String(on));
    plane.hidden = !on;
    hits.hidden = own.hidden = on;
    if (!on) return draw();
    if (explorer) return explorer.draw();
    said.textContent = "Learning the map …";
    try {
      const {points} = await question("map");
      explorer = createExplorer(plane, {
        thumbnails: async (ids) => (await question("thumbnails", {ids})).thumbnails,
        near: (id) => question("near", {id}),
        onSearch: (id) => { setMap(false); searchFor(id); },
        onSelect: (ids) => set({selection: ids}),
      });
      explorer.show(points);
      said.textContent = "";
    } catch (failed) {
      said.textContent = failed.message;
      plane.hidden = true;
      hits.hidden = own.hidden = false;
      mapper.setAttribute("aria-pressed", "false");
    }
    return undefined;
  }

  root.addEventListener("click", (event) => { if (!root.contains(document.activeElement) || event.target === drop) root.focus({preventScroll: true}); });
  const unwatch = watchGiven(root, send);

  // -- drawing ---------------------------------------------------------------------------------------------------
  const strip = (title, cards, onPick, words) => [make("span", {}, title), ...cards.map((card) =>
    button([picture(card.thumbnail, card.name)], () => onPick(card.id), {title: `${card.name}: ${words}`, "aria-label": `${card.name}: ${words}`}))];

  function draw() {
    const shown = model.get("_shown"), query = shown.query ?? null, failed = model.get("error");
    error.textContent = failed;
    view.hidden = cropper.hidden = remover.hidden = !query;
    drop.hidden = Boolean(query);
    if (query) crop.show(query.thumbnail, query.name);
    view.dataset.query = query?.name ?? "";
    crop.set(model.get("box"));
    said.textContent = [query ? shown.title : `${pictures.toLocaleString("en")} pictures. Click one, or drop your own.`, shown.note].filter(Boolean).join(" ");
    const marked = {...UNMARKED, ...model.get("marks")};
    marks.replaceChildren(...Object.entries(MARKS).flatMap(([name, words]) => shown.marks?.[name]?.length
      ? strip(words, shown.marks[name], (id) => vote(id, name === "plus" ? 1 : -1), "remove the mark") : []));
    own.replaceChildren(...(shown.own?.length && !query?.id ? strip("Indexed as", shown.own, searchFor, "search with it") : []));
    grid.show(query ? shown.hits : tiles);
    grid.mark(marked.plus, marked.minus);
    grid.keep(model.get("basket"));
  }

  function drawSettings() {
    const k = model.get("k"), chosen = model.get("rank");
    number.replaceChildren(...[...new Set([5, 10, 20, 50, k])].sort((a, b) => a - b).map((each) => make("option", {value: each, selected: each === k}, `Top ${each}`)));
    if (![...rank.options].some((each) => each.value === chosen)) rank.append(make("option", {value: chosen}, chosen));
    rank.value = chosen;
    const wanted = model.get("classes");
    for (const input of classBox.querySelectorAll("input")) input.checked = wanted.includes(input.value);
    classBox.querySelector("summary").textContent = wanted.length ? `Classes: ${wanted.length} chosen` : "Classes: all";
  }

  function drawBasket() {
    const kept = model.get("_kept");
    basket.replaceChildren(...(kept.length ? strip(`Basket (${kept.length})`, kept, keep, "take out of the basket") : []));
    grid.keep(model.get("basket"));
  }

  const listening = {"change:_shown": draw, "change:error": draw, "change:_kept": drawBasket, "change:basket": drawBasket,
    "change:k": drawSettings, "change:rank": drawSettings, "change:classes": drawSettings, "change:box": () => crop.set(model.get("box"))};
  for (const [name, does] of Object.entries(listening)) model.on(name, does);
  model.on("msg:custom", told);
  draw();
  drawSettings();
  drawBasket();
  el.append(root);
  return () => {
    unwatch();
    model.off("msg:custom", told);
    for (const [name, does] of Object.entries(listening)) model.off(name, does);
  };
}

export default {render};
