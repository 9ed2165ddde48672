// The details of one picture in a panel at the side, beside the query; the hits stay in view.
import {button, make, picture} from "./dom.js";
import {heat} from "./heat.js";

// details has: id, name, label, preview, facts ([name, text] pairs), path. actions are [text, onclick] pairs.
// onStep(1 | -1) is called for the next and the previous hit, onClose() after it was closed.
export function createPanel(element, {onStep, onClose} = {}) {
  const dialog = make("dialog", {class: "kit-panel"});
  const said = make("p", {role: "status", class: "kit-panel-said"});
  let frames = [];

  function close() {
    if (!dialog.open) return;
    dialog.close();
    dialog.remove();
    onClose?.();
  }

  dialog.addEventListener("keydown", (event) => {
    const steps = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1};
    if (event.key === "Escape") close();
    else if (event.key in steps && !event.altKey && !event.target.matches("input, textarea")) onStep?.(steps[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  async function copy(path) {
    try {
      await navigator.clipboard.writeText(path);
      said.textContent = "Copied.";
    } catch { // only pages over https and on this machine may write there
      said.textContent = "This browser does not let the page copy; select the path above.";
    }
  }

  return {
    close,
    say(text) {
      said.textContent = text;
      said.scrollIntoView({block: "nearest"});
    },
    // Shows pictures below the details.
    strip(cards, onPick) {
      dialog.querySelector(".kit-strip")?.remove();
      dialog.append(make("div", {class: "kit-strip"}, cards.map((card) => button(picture(card.thumbnail, card.name), () => onPick(card.id), {title: card.name, data: {id: card.id}}))));
      dialog.querySelector(".kit-strip").scrollIntoView({block: "nearest"});
    },
    // Draws how much each place of query and hit adds to their match; box is the part of the query that was searched for.
    explain(query, hit, box) {
      for (const each of dialog.querySelectorAll(".kit-heat")) each.remove();
      frames.at(0).append(heat(query, box));
      frames.at(-1).append(heat(hit));
    },
    isOpen: () => dialog.open,
    show(details, query, actions) {
      const figure = (src, alt, caption) => make("figure", {}, make("span", {class: "kit-frame"}, picture(src, alt)), make("figcaption", {}, caption));
      said.textContent = "";
      dialog.setAttribute("aria-label", `Details of ${details.name}`);
      dialog.replaceChildren(
        make("div", {class: "kit-bar-top"},
          button("‹", () => onStep?.(-1), {"aria-label": "Previous hit", class: "kit-round"}),
          button("›", () => onStep?.(1), {"aria-label": "Next hit", class: "kit-round"}),
          button("×", close, {"aria-label": "Close", class: "kit-round kit-close"})),
        make("div", {class: "kit-pair"},
          query ? figure(query.preview, query.name, "Your picture") : null,
          figure(details.preview, details.name, details.caption)),
        make("h3", {}, details.name),
        make("dl", {}, details.facts.map(([name, text]) => [make("dt", {}, name), make("dd", {}, text)])),
        make("div", {class: "kit-actions"},
          actions.map(([text, act], i) => button(text, act, {class: i ? "" : "kit-first"})),
          button("Copy path", () => copy(details.path))), said);
      frames = [...dialog.querySelectorAll(".kit-frame")];
      if (!dialog.isConnected) element.append(dialog);
      if (!dialog.open) dialog.show();
      dialog.querySelector(".kit-close").focus({preventScroll: true});
    },
  };
}
