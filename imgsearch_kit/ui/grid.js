// The hits of a search as cards in rank order, used by mouse, touch and keyboard.
import {button, fileName, make, picture} from "./dom.js";

// A hit has: id, rank, score, name (for people), label or null, file (its name), thumbnail (an address or ""), and
// optionally chance (words on its score), right (whether it is of the query's class) and moved (words on its place
// in an answer before).
// onPick(id) is called for a card that is opened, onVote(id, 1 | -1) for "more like this" and "less like this", onKeep(id)
// to put a picture into a basket or take it out. A hit without a rank is a picture to begin with.
export function createGrid(element, {hits = [], label = "Neighbours", onPick, onVote, onKeep} = {}) {
  const list = make("ol", {class: "kit-grid", "aria-label": label});
  let votes = new Map(), kept = new Set();
  const cards = () => [...list.querySelectorAll(".kit-card")];

  function card(hit) {
    const percent = Math.max(hit.score ?? 0, 0) * 100, ranked = hit.rank !== undefined;
    return make("li", {},
      button([
        picture(hit.thumbnail, hit.name),
        make("span", {class: "kit-line"},
          ranked ? make("span", {class: "rank"}, String(hit.rank)) : null,
          hit.moved ? make("span", {class: "moved"}, hit.moved) : null,
          hit.label ? make("span", {class: "label"}, hit.label) : fileName(hit.file),
          ranked ? make("span", {class: "score"}, hit.score.toFixed(3)) : null),
        hit.chance ? make("span", {class: "chance"}, hit.chance) : null,
        typeof hit.right === "boolean" ? make("span", {class: `mark ${hit.right ? "right" : "wrong"}`}, hit.right ? "✓ same class" : "✗ other class") : null,
        ranked && make("span", {class: "kit-bar", "aria-hidden": "true"}, make("i", {style: `width:${percent.toFixed(1)}%`})),
      ].filter(Boolean), () => onPick?.(hit.id), {class: "kit-card", title: hit.name, data: {id: hit.id}}),
      ranked && (onVote || onKeep) ? make("span", {class: "kit-votes"},
        onVote ? [vote(hit, 1, "+", "More like this"), vote(hit, -1, "−", "Less like this")] : null,
        onKeep ? button("☆", () => onKeep(hit.id), {title: "Into the basket", "aria-label": "☆ Into the basket", tabindex: "-1", "aria-pressed": "false", class: "kit-vote", data: {keep: ""}}) : null) : null);
  }

  // The keyboard's own way are the keys +, - and * on a card, so that Tab goes from card to card.
  function vote(hit, sign, text, title) {
    return button(text, () => onVote(hit.id, sign), {title, "aria-label": `${text} ${title}`, tabindex: "-1", "aria-pressed": "false",
      class: "kit-vote", data: {vote: sign}});
  }

  function columns() {
    return getComputedStyle(list).gridTemplateColumns.split(" ").length;
  }

  list.addEventListener("keydown", (event) => {
    const all = cards(), at = all.indexOf(event.target);
    if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(), ArrowUp: -columns(), Home: -at, End: all.length - 1 - at};
    if (event.key in steps) all[at + steps[event.key]]?.focus();
    else if (onVote && (event.key === "+" || event.key === "-")) onVote(event.target.dataset.id, event.key === "+" ? 1 : -1);
    else if (onKeep && event.key === "*") onKeep(event.target.dataset.id);
    else return;
    event.preventDefault();
  });

  function drawVotes() {
    for (const one of cards()) {
      const basket = one.parentElement.querySelector("[data-keep]");
      basket?.setAttribute("aria-pressed", String(kept.has(one.dataset.id)));
      for (const each of one.parentElement.querySelectorAll("[data-vote]")) {
        each.setAttribute("aria-pressed", String(votes.get(one.dataset.id) === Number(each.dataset.vote)));
      }
    }
  }

  const grid = {
    show(found) {
      const at = cards().findIndex((one) => one.parentElement.contains(document.activeElement));
      list.replaceChildren(...found.map(card));
      drawVotes();
      if (at >= 0) (cards()[at] ?? cards().at(-1))?.focus({preventScroll: true}); // whoever uses the keyboard goes on there
    },
    append(found) {
      list.append(...found.map(card));
      drawVotes();
    },
    mark(plus, minus) {
      votes = new Map([...plus.map((id) => [id, 1]), ...minus.map((id) => [id, -1])]);
      drawVotes();
    },
    keep(ids) {
      kept = new Set(ids);
      drawVotes();
    },
    focus(id) {
      cards().find((one) => one.dataset.id === id)?.focus();
    },
    current(id) {
      for (const one of cards()) {
        if (one.dataset.id !== id) one.removeAttribute("aria-current");
        else {
          one.setAttribute("aria-current", "true");
          one.scrollIntoView({block: "nearest"});
        }
      }
    },
  };
  grid.show(hits);
  element.replaceChildren(list);
  return grid;
}
