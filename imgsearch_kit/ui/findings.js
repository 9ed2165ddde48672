// Findings in a collection as pictures, and the labels that a person accepts, as a table to take along.
import {button, make, picture} from "./dom.js";
import {csvText, keptList, saveFile} from "./keep.js";

const FEW = {duplicates: ["group", "groups", " of equal files"], near_duplicates: ["group", "groups", " of nearly equal pictures"], hubs: ["hub", "hubs", ""], orphans: ["orphan", "orphans", ""], suspects: ["suspected label", "suspected labels", ""]};
const ABOUT = {
  duplicates: "These files are equal, byte by byte.",
  near_duplicates: "These pictures are linked by cosines of at least NEAR.",
  hubs: "These stand among the nearest of far more pictures than others do.",
  orphans: "No picture has one of these among its nearest.",
  suspects: "Most neighbours of these have one other label. Accept what is right; the command imgsearch label labels.csv gives the index these labels.",
};
const EFFECTS = {duplicates: "duplicates grouped", near_duplicates: "near-duplicates grouped", hubs: "hubs left out", orphans: "orphans left out", suspects: "labels as voted"};
const MOST_LABELS = 5000;

// onAsk(kind, start) asks for findings from a place on, onPick(id) is called for a picture that is clicked.
export function createFindings(element, {onAsk, onPick}) {
  let found = null, kind = "", accepted = null, drawn = [];
  const kinds = make("div", {class: "ways", role: "group", "aria-label": "Findings"}), said = make("p", {class: "status", role: "status"});
  const list = make("ul", {class: "kit-findings"}), more = button("Show more", () => ask(kind, drawn.length), {hidden: true}), labels = make("div", {class: "ways kit-labels", role: "group", "aria-label": "Accepted labels"});
  element.replaceChildren(kinds, said, labels, list, more);

  function ask(which, start) {
    kind = which;
    if (!start) {
      drawn = [];
      list.replaceChildren();
      more.hidden = true;
    }
    drawKinds();
    said.textContent = "Looking …";
    onAsk(which, start);
  }

  function drawKinds() {
    kinds.replaceChildren(...Object.entries(FEW).map(([name, [one, many, rest]]) => button(`${found.counts[name].toLocaleString("en")} ${found.counts[name] === 1 ? one : many}${rest}`, () => ask(name, 0), {"aria-pressed": String(name === kind), disabled: !found.counts[name], data: {finding: name}})));
    drawLabels();
  }

  function about() {
    const plain = found.precision["as it is"], changed = found.precision[EFFECTS[kind]];
    const effect = plain === null || changed === null ? "" : ` P@${found.k} would be ${changed.toFixed(3)} instead of ${plain.toFixed(3)} (${EFFECTS[kind]}).`;
    return ABOUT[kind].replace("NEAR", found.near) + effect;
  }

  function drawLabels() {
    const all = accepted?.all() ?? [];
    labels.hidden = !all.length && kind !== "suspects";
    labels.replaceChildren(make("span", {class: "status"}, `${all.length} ${all.length === 1 ? "label" : "labels"} accepted`), ...(all.length ? [
      button("Download labels.csv", () => saveFile("labels.csv", csvText([["path", "label"], ...all.map((item) => [item.key, item.label])], {exact: true}), "text/csv"), {class: "kit-first"}),
      button("Take all back", () => {
        accepted.clear();
        redraw();
      })] : []),
      ...(kind === "suspects" && drawn.some((item) => !accepted.has(item.accept.id)) ? [button("Accept all that are shown", () => {
        for (const item of drawn) accepted.add({key: item.accept.id, label: item.accept.label});
        redraw();
      })] : []));
  }

  function redraw() {
    list.replaceChildren(...drawn.map(oneItem));
    drawLabels();
  }

  function oneItem(item) {
    const cards = item.cards.map((card) => button([picture(card.thumbnail, card.name), make("span", {class: card.label ? "" : "file"}, card.label ?? card.file)], () => onPick(card.id), {class: "small", title: card.name, data: {id: card.id}}));
    return make("li", {}, make("div", {class: "strip"}, cards), make("p", {class: "status"}, item.words), item.accept && choice(item.accept));
  }

  function choice({id, label, name}) {
    const on = accepted.has(id);
    return button(on ? `Undo: ${name}` : `Accept: ${name}`, ({target}) => {
      if (on) accepted.remove(id);
      else accepted.add({key: id, label});
      target.replaceWith(choice({id, label, name}));
      list.querySelector(`[data-accept="${CSS.escape(id)}"]`)?.focus();
      drawLabels();
    }, {"aria-pressed": String(on), data: {accept: id}});
  }

  return {
    // overview has: counts and precision by finding, k, near, note; uuid is that of the index.
    show(overview, uuid) {
      found = overview;
      accepted ??= keptList(`imgsearch-labels-${uuid}`, MOST_LABELS);
      kind = "";
      drawn = [];
      list.replaceChildren();
      more.hidden = true;
      said.textContent = overview.note || "Choose a finding to see its pictures.";
      drawKinds();
    },
    told(answer) {
      if (answer.error) said.textContent = answer.error;
      if (answer.error || answer.finding !== kind || answer.start !== drawn.length) return;
      drawn.push(...answer.items);
      list.append(...answer.items.map(oneItem));
      said.textContent = about();
      more.hidden = drawn.length >= answer.total;
      drawLabels();
    },
  };
}
