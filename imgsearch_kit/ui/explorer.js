// A map with what one does on it: find a class or a picture, choose one and see its true neighbours, select with a lasso, filter.
import {button, make, picture, readable} from "./dom.js";
import {csvText, saveFile} from "./keep.js";
import {createMap, hueOf, SHAPES} from "./map.js";
import {shortened, soughtRows} from "./plane.js";

const LISTED = 12, SELECTED = 24, KEPT = 1000; // pictures listed of those in view, and of a selection; thumbnails kept
const plural = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : noun.endsWith("s") ? "es" : "s"}`;

// How well the map keeps the neighbours of a picture, in words.
export function keptWords({near, kept}) {
  if (!near.length) return "There is no other picture.";
  const number = kept.filter(Boolean).length, all = near.length;
  if (all === 1) return number ? "Its only neighbour is the nearest on the map too." : "Its nearest picture by cosine is not the nearest on the map.";
  return `Of its ${all} nearest pictures by cosine, the map keeps ${number}: so many are among its ${all} nearest on the map. ${number ? "Unbroken lines lead to these" : ""}${number && number < all ? ", " : ""}${number < all ? `${number ? "broken ones" : "Broken lines lead"} to the others` : ""}.`;
}

// thumbnails(ids) resolves to {id: address} and near(id) to {near: ids, cosines, kept}, the nearest by cosine and whether they are
// among as many nearest on the map. onSearch(id) searches with a picture, onClasses(names) limits searches to classes; without one
// there is no button for it. onSelect(ids) is told of each selection.
export function createExplorer(element, {thumbnails, near, onSearch, onClasses, onSelect = () => {}}) {
  let found = {ids: [], x: [], y: [], classes: [], names: []}, rows = new Map(), query = null, chosen = null, selected = [], filtered = null, view = [], lightNames = new Set(), hovered = null, waiting = 0;
  const seen = new Map(), coming = new Map(); // thumbnails by id, and those on their way

  const sought = make("input", {type: "search", placeholder: "Class or id", "aria-label": "Find a class or an id on the map", autocomplete: "off", spellcheck: "false", list: "map-classes"});
  const suggestions = make("datalist", {id: "map-classes"});
  const finder = make("form", {class: "kit-find", role: "search"}, sought, suggestions, make("button", {type: "submit"}, "Find"));
  const lassoing = button("Lasso", () => setLasso(lassoing.getAttribute("aria-pressed") !== "true"), {"aria-pressed": "false", title: "Draw around pictures (or hold Shift)"});
  const everything = button("Show all pictures", () => filter(null), {hidden: true});
  const said = make("p", {class: "kit-map-said", role: "status"});
  const opener = button("Tools", () => opener.setAttribute("aria-expanded", String(tools.classList.toggle("open"))), {class: "kit-map-opener", "aria-expanded": "false"}); // on a phone
  const tools = make("div", {class: "kit-map-tools"}, opener, make("div", {class: "kit-map-controls"}, finder,
    button("+", () => map.zoom(1.5), {"aria-label": "Nearer"}), button("−", () => map.zoom(1 / 1.5), {"aria-label": "Farther"}),
    button("Whole map", () => map.whole()), lassoing, button("Select view", () => select(map.inView()), {title: "Select all pictures in view"})), everything, said);
  const plane = make("div", {class: "kit-plane"});
  const tip = make("div", {class: "kit-map-tip", hidden: true, "aria-hidden": "true"});
  const card = make("section", {class: "kit-map-chosen", "aria-label": "Chosen picture", "aria-live": "polite", hidden: true});
  const selection = make("section", {class: "kit-map-selection", "aria-label": "Selection", hidden: true});
  const list = make("section", {class: "kit-map-list", "aria-label": "Pictures in view"});
  const legend = make("details", {class: "kit-map-classes", hidden: true});
  element.replaceChildren(tools, make("div", {class: "kit-map"}, make("div", {class: "kit-map-place"}, plane, tip), make("div", {class: "kit-map-side"}, card, selection, list, legend)));

  const map = createMap(plane, {onHover: hover, onPick: (row) => row === null ? unchoose() : choose(row), onLasso: (drawn) => { setLasso(false); select(drawn); }, onRest: drawView, thumbnails: thumbnails && load});
  const nameOf = (row) => found.names[found.classes[row]] ?? null;
  const rowsOfClasses = (names) => found.ids.map((_, row) => row).filter((row) => names.has(found.classes[row]));

  // What is on its way already is not asked for again.
  async function load(ids) {
    const wanted = [...new Set(ids)].filter((id) => !seen.has(id) && !coming.has(id));
    if (wanted.length) {
      const batch = thumbnails(wanted).then((told) => { for (const [id, src] of Object.entries(told)) seen.set(id, src); }).finally(() => { for (const id of wanted) coming.delete(id); });
      for (const id of wanted) coming.set(id, batch);
    }
    await Promise.all(ids.map((id) => coming.get(id)));
    for (const old of [...seen.keys()].slice(0, -KEPT)) if (!ids.includes(old)) seen.delete(old);
    return Object.fromEntries(ids.map((id) => [id, seen.get(id) ?? ""]));
  }

  // -- pointing and choosing ---------------------------------------------------------------------------------------

  function hover(row, at) {
    clearTimeout(waiting);
    hovered = row;
    tip.hidden = true;
    if (row === null) return;
    waiting = setTimeout(async () => {
      if (thumbnails) await load([found.ids[row]]).catch(() => null);
      if (hovered === row) drawTip(row, at);
    }, seen.has(found.ids[row]) ? 0 : 80);
  }

  function drawTip(row, [x, y]) {
    tip.replaceChildren(...[thumbnails && picture(seen.get(found.ids[row]), ""), nameOf(row) !== null && make("b", {}, readable(nameOf(row))), make("span", {}, readable(found.ids[row]))].filter(Boolean));
    tip.hidden = false;
    const left = x + 184 > plane.clientWidth ? x - 180 : x + 16;
    Object.assign(tip.style, {left: `${Math.max(left, 4)}px`, top: `${Math.min(y + 14, Math.max(plane.clientHeight - tip.offsetHeight - 4, 0))}px`});
  }

  async function choose(row, {fly = false, focus = false} = {}) {
    chosen = row;
    tip.hidden = true;
    const id = found.ids[row], pin = {id, name: id, label: nameOf(row), x: found.x[row], y: found.y[row]};
    drawChosen(pin);
    if (focus) card.querySelector("button").focus();
    try {
      const told = await near(id);
      if (thumbnails) await load([id, ...told.near]);
      if (chosen !== row || found.ids[row] !== id) return;
      showPin({...pin, ...told});
      if (fly) flyTo({...pin, ...told});
    } catch (error) {
      if (chosen === row) card.querySelector(".kit-map-kept").textContent = error.message;
    }
  }

  function unchoose() {
    chosen = null;
    showPin(query);
  }

  function showPin(pin) {
    const to = (pin?.near ?? []).map((id, i) => [rows.get(id), pin.kept[i]]).filter(([row]) => row !== undefined);
    map.pin(pin && {row: rows.get(pin.id), x: pin.x, y: pin.y, to: to.map(([row]) => row), kept: to.map(([, kept]) => kept)});
    if (pin === null) card.hidden = true;
    else {
      drawChosen(pin);
      drawNear(pin);
    }
  }

  const flyTo = ({x, y, near: to}) => map.flyTo([[x, y], ...to.map((id) => rows.get(id)).filter((row) => row !== undefined).map((row) => [found.x[row], found.y[row]])]);

  // The head is drawn once for each picture, so that its buttons keep the focus.
  function drawChosen(pin) {
    const isQuery = query !== null && chosen === null, key = JSON.stringify([isQuery, pin.id ?? pin.name]), src = pin.thumbnail ?? seen.get(pin.id);
    if (!card.hidden && card.dataset.of === key) {
      if (src) card.querySelector(".kit-map-picture").replaceChildren(picture(src, ""));
      return;
    }
    card.hidden = false;
    card.dataset.of = key;
    card.replaceChildren(...[
      make("h3", {}, isQuery ? `Query: ${readable(pin.name)}` : readable(pin.name)),
      make("div", {class: "kit-map-picture"}, src && picture(src, "")),
      pin.label && make("p", {}, make("b", {}, readable(pin.label))),
      make("div", {class: "kit-actions"}, onSearch && pin.id && !isQuery && button("Search with this", () => onSearch(pin.id), {class: "kit-first"}), !isQuery && button("Close", unchoose)),
      make("p", {class: "kit-map-kept"}, "Looking for its neighbours …"), make("div", {class: "kit-map-near"})].filter(Boolean));
  }

  function drawNear(pin) {
    card.querySelector(".kit-map-kept").textContent = keptWords(pin);
    card.querySelector(".kit-map-near").replaceChildren(...(pin.near.length ? [make("details", {}, make("summary", {}, `Its ${pin.near.length} nearest by cosine`),
      make("ol", {class: "kit-map-cards"}, pin.near.map((id, i) => small(rows.get(id), id, pin.kept[i] ? "kept" : "lost", `${pin.cosines[i].toFixed(3)}${pin.kept[i] ? " · kept" : ""}`))),
      button("Download CSV", () => saveNeighbours(pin)))] : []));
  }

  function saveNeighbours(pin) {
    const line = (id, rank, cosine, kept) => [rank, id, nameOf(rows.get(id)) ?? "", cosine, kept];
    save("neighbours.csv", [["rank", "id", "label", "cosine", "on_map"], ...(pin.id ? [line(pin.id, 0, 1, "")] : []), ...pin.near.map((id, i) => line(id, i + 1, pin.cosines[i], pin.kept[i] ? "yes" : "no"))]);
  }

  const save = (name, lines) => saveFile(name, csvText(lines), "text/csv;charset=utf-8");

  // A picture in a list: to point at, to choose.
  function small(row, id, kind = "", note = "") {
    const words = [readable(id), note].filter(Boolean);
    return make("li", {class: kind}, button([thumbnails && picture(seen.get(id), ""), make("span", {}, words.map((word) => make("span", {}, word)))].filter(Boolean),
      (event) => row !== undefined && choose(row, {focus: event.detail === 0}), {data: {id}, title: readable(id), onfocus: () => row !== undefined && map.mark(row), onmouseenter: () => row !== undefined && map.mark(row)}));
  }

  // -- selecting ---------------------------------------------------------------------------------------------------

  function setLasso(on) {
    lassoing.setAttribute("aria-pressed", String(on));
    map.lasso(on);
    if (on) said.textContent = "Draw around pictures.";
  }

  function select(drawn) {
    selected = drawn;
    said.textContent = drawn.length ? `${plural(drawn.length, "picture")} selected.` : "There is no picture within.";
    map.light(drawn.length ? drawn : null);
    setLegend(new Set());
    drawSelection();
    onSelect(drawn.map((row) => found.ids[row]));
  }

  async function drawSelection() {
    const now = selected, number = now.length, classes = [...new Set(now.map((row) => found.classes[row]).filter((name) => name >= 0))];
    selection.hidden = !number;
    list.hidden = number > 0;
    if (!number) return drawView(view);
    if (thumbnails) await load(now.slice(0, SELECTED).map((row) => found.ids[row])).catch(() => null);
    if (selected !== now) return undefined;
    const whole = rowsOfClasses(new Set(classes)).length, same = filtered && filtered.length === number && filtered.every((row, i) => row === now[i]);
    selection.replaceChildren(...[
      make("h3", {}, `${plural(number, "picture")} selected`),
      make("div", {class: "kit-actions"}, !same && button("Show only these", () => filter(now)), button("Download CSV", () => save("selection.csv", [["id", "label", "x", "y"], ...now.map((row) => [found.ids[row], nameOf(row) ?? "", found.x[row], found.y[row]])])), button("Clear", () => select([]))),
      onClasses && classes.length ? make("div", {}, button(classes.length === 1 ? "Search in their class" : `Search in their ${classes.length} classes`, () => onClasses(classes.map((name) => found.names[name]))),
        make("p", {class: "kit-map-kept"}, `A search can be limited to classes, not to single pictures: ${classes.length === 1 ? "this class has" : "these classes have"} ${plural(whole, "picture")}, ${number < whole ? `${(whole - now.filter((row) => found.classes[row] >= 0).length).toLocaleString("en")} of them not selected` : "all of them selected"}.`)) : null,
      make("ol", {class: "kit-map-cards"}, now.slice(0, SELECTED).map((row) => small(row, found.ids[row], "", nameOf(row) === null ? "" : readable(nameOf(row))))),
      number > SELECTED && make("p", {class: "kit-map-kept"}, `and ${(number - SELECTED).toLocaleString("en")} more, all in the CSV`)].filter(Boolean));
    return undefined;
  }

  function filter(only) {
    filtered = only;
    map.only(only);
    map.light(null);
    everything.hidden = !only;
    said.textContent = only ? `Only ${plural(only.length, "picture")} of ${found.ids.length.toLocaleString("en")} ${only.length === 1 ? "is" : "are"} shown.` : "";
    if (only) map.fly(only);
    drawSelection();
  }

  // The pictures in view as a list, for those who use the keyboard; it does not change under somebody's focus.
  async function drawView(inView) {
    view = inView;
    if (selected.length || list.contains(document.activeElement)) return;
    const listed = view.slice(0, LISTED);
    if (thumbnails && listed.length) await load(listed.map((row) => found.ids[row])).catch(() => null);
    if (view !== inView || list.contains(document.activeElement)) return;
    list.replaceChildren(make("h3", {}, `${plural(view.length, "picture")} in view`), ...(listed.length ? [make("p", {class: "kit-map-kept"}, view.length > LISTED ? `The ${LISTED} nearest to the middle:` : ""), make("ol", {class: "kit-map-cards"}, listed.map((row) => small(row, found.ids[row], "", nameOf(row) === null ? "" : readable(nameOf(row)))))] : []));
  }

  // -- classes and search ------------------------------------------------------------------------------------------

  function setLegend(names) {
    lightNames = names;
    for (const each of legend.querySelectorAll("button[data-class]")) each.setAttribute("aria-pressed", String(names.has(Number(each.dataset.class))));
  }

  function lightClasses(names) {
    setLegend(names);
    const lighted = rowsOfClasses(names);
    map.light(names.size ? lighted : null);
    said.textContent = names.size ? `${[...names].slice(0, 3).map((name) => readable(found.names[name])).join(", ")}${names.size > 3 ? ` and ${names.size - 3} more` : ""}: ${plural(lighted.length, "picture")}.` : "";
    if (names.size) map.fly(lighted);
  }

  function drawLegend() {
    const counts = found.names.map(() => 0);
    for (const name of found.classes) if (name >= 0) counts[name] += 1;
    legend.hidden = !found.names.length;
    suggestions.replaceChildren(...found.names.map((name) => make("option", {value: readable(name)})));
    legend.replaceChildren(make("summary", {}, plural(found.names.length, "class")), make("ul", {}, found.names.map((name, i) => make("li", {}, button([
      make("i", {class: `kit-dot ${SHAPES[i % SHAPES.length]}`, style: `background:${hueOf(i, false)}`, "aria-hidden": "true"}), make("span", {}, readable(name)), make("small", {}, counts[i].toLocaleString("en"))], () => {
      const names = new Set(lightNames);
      if (!names.delete(i)) names.add(i);
      lightClasses(names);
    }, {"aria-pressed": "false", data: {class: i}, title: readable(name)})))));
  }

  finder.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = sought.value.trim(), all = soughtRows(text, {...found, names: found.names.map(readable)}).filter((row) => !filtered || filtered.includes(row));
    if (!text) return lightClasses(new Set());
    const quoted = `“${shortened(text, 40)}”`;
    if (!all.length) said.textContent = `No class and no id on this map contains ${quoted}.`;
    else if (all.length === 1) {
      said.textContent = "";
      choose(all[0], {fly: true});
    } else {
      setLegend(new Set());
      map.light(all);
      map.fly(all);
      said.textContent = `${plural(all.length, "picture")} of ${quoted}; the others are faded. Empty the field to see all.`;
    }
    return undefined;
  });
  sought.addEventListener("input", () => { if (!sought.value) lightClasses(new Set()); });

  return {
    // Columns of one row a picture, as the map takes them, with exact names of classes.
    show(data) {
      found = data;
      rows = new Map(data.ids.map((id, row) => [id, row]));
      [query, chosen, selected, filtered, view] = [null, null, [], null, []];
      card.hidden = selection.hidden = everything.hidden = true;
      said.textContent = "";
      seen.clear();
      map.show(data, data.names);
      setLegend(new Set());
      drawLegend();
    },
    // The query, {id or null, name, label, thumbnail, x, y, near, cosines, kept}; the map flies there. Null for none.
    async pin(given) {
      query = given;
      chosen = null;
      if (given && thumbnails) await load(given.near).catch(() => null);
      if (query !== given || chosen !== null) return;
      showPin(given);
      if (given) flyTo(given);
    },
    choose: (id, options) => rows.has(id) && choose(rows.get(id), options),
    select: (ids) => select(ids.map((id) => rows.get(id)).filter((row) => row !== undefined)),
    draw: map.draw,
    place: (id) => map.place(rows.get(id)),
  };
}
