// The search tab: a query, which is a picture of the site or of the visitor, and its neighbours. A search is what address.js
// describes and "file", the visitor's picture.
import {fromAddress, toAddress} from "../../ui/address.js";
import {takePicture} from "../../ui/camera.js";
import {button, make, picture} from "../../ui/dom.js";
import {watchGiven} from "../../ui/given.js";
import {createGrid} from "../../ui/grid.js";
import {currentTab, onSearch, openTab, tellAnswer} from "../../ui/tabs.js";
import {createAsked} from "./asked.js";
import {createClasses} from "./classes.js";
import {createEmbedding} from "./embedding.js";

const USUAL = {k: 20, rank: ""}, FURTHER = 20;

export function showSearch(root, site) {
  const embedding = createEmbedding(site);
  let shown = null, serial = 0;

  const said = make("p", {class: "said", role: "status"}), unverified = make("p", {class: "unverified", role: "status"});
  const bar = make("progress", {max: 1, value: 0, "aria-label": "Share of the network that is loaded", hidden: true});
  const marks = make("div", {class: "marks"}), own = make("div", {class: "own"}), tiles = make("ul", {class: "tiles"}), place = make("div", {id: "hits"});
  const grid = createGrid(place, {onPick: (id) => ask({...idle(), id}), onVote: vote});
  const further = button("Show more", () => ask({...shown, k: shown.k + FURTHER}), {class: "further", hidden: true});
  const answers = make("div", {class: "answers"}, said, unverified, marks, own, tiles, place, further);
  const asked = createAsked({
    onBox: (box) => ask({...shown, box}),
    onFile: (file) => send(file),
    onCamera: async () => {
      try {
        const taken = await takePicture(root);
        if (taken) send(taken);
      } catch (error) {
        say(error.message, true);
      }
    },
    onAny: () => ask({...idle(), id: Math.floor(Math.random() * site.count)}),
    onClear: () => ask(idle()),
  });
  const classes = createClasses(site.classes, (chosen) => { if (shown) ask({...shown, classes: chosen, k: USUAL.k}); });
  root.append(make("div", {class: "search"}, make("div", {class: "ask"}, asked.element, bar, classes.element), answers));

  const idle = () => ({...fromAddress("", USUAL), classes: classes.chosen(), file: null});
  const say = (text, wrong = false) => {
    said.textContent = text;
    said.classList.toggle("wrong", wrong);
  };
  const nameOf = (row, pictures) => pictures.ids[row];

  function send(file) {
    openTab("search", false);
    return ask({...idle(), file});
  }

  // Marks a hit, or takes the same mark from it.
  function vote(id, sign) {
    const [to, from] = sign > 0 ? ["plus", "minus"] : ["minus", "plus"];
    const without = (ids) => ids.filter((each) => each !== id);
    ask({...shown, [to]: shown[to].includes(id) ? without(shown[to]) : [...shown[to], id], [from]: without(shown[from]), k: USUAL.k});
  }

  // Searches, and draws the answer unless another search was asked for meanwhile; with focus, that of the keyboard stays in
  // the answers.
  async function ask(search, {push = true, focus = answers.contains(document.activeElement)} = {}) {
    const mine = ++serial, last = () => mine === serial;
    root.classList.add("busy");
    try {
      const pictures = await site.pictures();
      if (typeof search.id === "number") search.id = pictures.ids[search.id];
      if (!last()) return;
      const another = search.id !== shown?.id || search.file !== shown.file;
      shown = search;
      const row = search.id === null ? null : rowOf(search.id, pictures);
      asked.show(search, row === null ? "" : site.thumbnail(row));
      if (push) keepAddress();
      if (row === null && !search.file) return drawIdle();
      const found = await answer(search, row, pictures, last);
      if (!last()) return;
      draw(found, pictures);
      if (another && said.getBoundingClientRect().bottom < 0) root.scrollIntoView(); // it was asked for further down
      if (focus && (another || !answers.contains(document.activeElement))) grid.focus(found.hits.length ? nameOf(found.hits[0][0], pictures) : "");
    } catch (error) {
      if (!last()) return;
      clear();
      say(error.message, true);
      drawTiles();
    } finally {
      if (last()) {
        root.classList.remove("busy");
        bar.hidden = true;
        root.dataset.answered = String(mine);
      }
    }
  }

  function rowOf(id, pictures) {
    const row = pictures.rowOf.get(id);
    if (row === undefined) throw new Error(`This site has no picture ${id}.`);
    return row;
  }

  async function answer(search, row, pictures, last) {
    const rows = (ids) => ids.map((id) => rowOf(id, pictures));
    const options = {plus: rows(search.plus), minus: rows(search.minus), classes: classes.numbers(search.classes), k: search.k, classOf: pictures.classes};
    if (row !== null) return {...await embedding.ofRow(row, options), row, name: search.id};
    say("Reading the picture …");
    unverified.textContent = "";
    const {vector, words} = await embedding.ofFile(search.file, search.box, (share) => {
      if (!last()) return;
      bar.hidden = share === 1;
      bar.value = share;
      say(share === 1 ? "Starting the network …" : `Loading the network, once: ${Math.round(100 * share)} % of ${site.megabytes} MB`);
    });
    return {...await embedding.ofVector(vector, options), row: null, name: search.file.name, words};
  }

  function clear() {
    grid.show([]);
    tiles.replaceChildren();
    marks.replaceChildren();
    own.replaceChildren();
    further.hidden = true;
    unverified.textContent = "";
    tellAnswer(null);
  }

  function drawIdle() {
    clear();
    say("Drop, paste or take a picture to see what here is most like it, or click one of these.");
    drawTiles();
  }

  function drawTiles() {
    tiles.replaceChildren(...site.tiles.map(({row, id, label}) => make("li", {}, button([picture(site.thumbnail(row), id), make("span", {}, label || id.split("/").pop())],
      () => ask({...idle(), id}), {title: id}))));
  }

  function draw(found, pictures) {
    const small = (row, act) => button(picture(site.thumbnail(row), nameOf(row, pictures)), act, {title: nameOf(row, pictures)});
    const marked = (kind, words) => shown[kind].length ? [words, ...shown[kind].map((id) => make("span", {class: kind}, small(rowOf(id, pictures), () => vote(id, kind === "plus" ? 1 : -1))))] : [];
    tiles.replaceChildren();
    unverified.textContent = "";
    marks.replaceChildren(...marked("plus", "More like"), ...marked("minus", "Less like"));
    own.replaceChildren(...(found.own.length ? ["This very picture is here:", ...found.own.slice(0, 8).map(([row]) => small(row, () => ask({...idle(), id: nameOf(row, pictures)})))] : []));
    grid.show(found.hits.map(([row, score], i) => hit(row, score, i + 1, pictures)));
    grid.mark(shown.plus, shown.minus);
    further.hidden = found.hits.length < shown.k;
    const count = found.hits.length;
    say([`${count} ${count === 1 ? "neighbour" : "neighbours"}`, found.words].filter(Boolean).join(" · "));
    tellAnswer(shown, {row: found.row, name: found.name, hits: found.hits});
    if (shown.file) verify(serial);
  }

  function hit(row, score, rank, pictures) {
    const id = nameOf(row, pictures);
    return {id, rank, score, name: id, label: site.classes[pictures.classes[row]]?.name ?? null, file: id.split("/").pop(), thumbnail: site.thumbnail(row)};
  }

  // The answer to a visitor's picture stays marked until the network was seen to compute what the maker's did.
  async function verify(mine) {
    if (embedding.verified()) return;
    unverified.textContent = "Not verified yet: two probe pictures are being computed here, to compare this browser with the maker of the site.";
    try {
      await embedding.verify();
      if (mine === serial) unverified.textContent = "";
    } catch (error) {
      asked.refuse();
      if (mine !== serial) return;
      clear();
      say(error.message, true);
      drawTiles();
    }
  }

  // A visitor's picture is in no address, so the address is that of a page without a query.
  function keepAddress() {
    const query = toAddress(shown, USUAL, location.search, "search");
    history.pushState({}, "", query ? `${location.pathname}?${query}` : location.pathname);
  }

  function recall() {
    if (currentTab() !== "search" && shown) return;
    const search = {...fromAddress(location.search, USUAL), file: null};
    if (!Number.isInteger(search.k) || search.k < 1) search.k = USUAL.k;
    classes.choose(search.classes);
    if (search.id) ask(search, {push: false});
    else if (!shown?.file) {
      shown = {...idle()};
      serial++;
      root.classList.remove("busy");
      asked.show(shown, "");
      drawIdle();
    }
  }

  watchGiven(document.documentElement, send);
  onSearch((id) => ask({...idle(), id}, {focus: true}));
  addEventListener("popstate", recall);
  recall();
}
