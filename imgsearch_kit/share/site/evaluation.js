// The evaluate tab: three means, a table of the classes, and the worst queries of one.
import {createClassTable} from "../../ui/classes.js";
import {button, make, picture} from "../../ui/dom.js";
import {searchFor, whenShown} from "../../ui/tabs.js";

const PLAIN = {"P@4": "of the first 4 neighbours share the class", mAP: "mean average precision over all places", "P@10": "of the first 10 neighbours share the class"};
const fixed = (value, digits = 2) => value === null ? "?" : value.toFixed(digits);

export function showEvaluation(element, site) {
  const body = make("div", {class: "evaluated"});
  let result = null, pictures = null;
  element.append(body);

  function draw() {
    body.replaceChildren(
      make("div", {class: "figures"}, Object.entries(result.figures).map(([name, {value, low, high, chance}]) => make("div", {},
        make("h2", {}, name), make("strong", {}, fixed(value, 3)), make("span", {}, `95 %: ${fixed(low, 3)} to ${fixed(high, 3)}`),
        make("span", {}, `by chance ${fixed(chance, 3)}`), make("small", {}, PLAIN[name])))),
      make("p", {class: "said"}, [result.title, ...result.notes].join(" · ")),
      make("div", {class: "halves"}, createClassTable(result.classes, {onOpen: open}), make("section", {"aria-label": "Worst queries", "aria-live": "polite"})));
    drawWorst([...result.classes].sort((a, b) => a.figures.mAP.value - b.figures.mAP.value)[0]);
  }

  function open(each) {
    drawWorst(each);
    if (matchMedia("(max-width: 760px)").matches) body.querySelector(".halves > section").scrollIntoView({block: "start"}); // which stands above the table
  }

  function drawWorst(each) {
    const small = (row, kind) => {
      const label = site.classes[pictures.classes[row]]?.name ?? "", words = {query: "Query", right: `✓ ${label}`, wrong: `✗ ${label || "no class"}`}[kind];
      return button([picture(site.thumbnail(row), pictures.ids[row]), make("span", {}, words)], () => searchFor(pictures.ids[row]), {class: kind, title: pictures.ids[row], data: {id: pictures.ids[row]}});
    };
    body.querySelector(".halves > section").replaceChildren(make("h2", {}, `Worst queries of ${each.name}`),
      make("p", {class: "said"}, "At the left the query, then its first neighbours. Click one to search for it."),
      make("ul", {class: "rows"}, each.worst.map(([query, ...hits]) => make("li", {}, small(query, "query"),
        hits.map((row) => small(row, pictures.classes[row] === pictures.classes[query] ? "right" : "wrong"))))));
  }

  whenShown("evaluate", async () => {
    if (result) return;
    try {
      [result, pictures] = await Promise.all([site.evaluation(), site.pictures()]);
      draw();
      element.dataset.ready = "";
    } catch (error) {
      body.replaceChildren(make("p", {class: "said wrong", role: "alert"}, error.message));
    }
  });
}
