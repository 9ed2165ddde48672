// Which classes are found for the queries of which: a heat of shares, used by mouse, touch and keyboard.
import {button, make} from "./dom.js";

const FEW = 40, MOST = 120; // classes shown at first, and at most
const ORDERS = {confused: "Most confused first", name: "By name"};
const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

// Shares of the hits of each row's class: labels are {exact, name}, cells [row, column, count].
export function sharesOf({labels, cells}) {
  const totals = labels.map(() => 0), counts = new Map(), confused = labels.map(() => 0);
  for (const [row, column, count] of cells) {
    totals[row] += count;
    counts.set(row * labels.length + column, count);
  }
  for (const [row, column, count] of cells) {
    if (row === column) continue;
    confused[row] += count / totals[row];
    confused[column] += count / totals[row];
  }
  const count = (row, column) => counts.get(row * labels.length + column) ?? 0;
  const pairs = cells.filter(([row, column]) => row !== column).map(([row, column, found]) => ({row, column, share: found / totals[row]}));
  return {totals, confused, count, share: (row, column) => count(row, column) / totals[row], pairs: pairs.sort((a, b) => b.share - a.share || a.row - b.row || a.column - b.column)};
}

// onOpen(row, column) is called with rows of the labels.
export function createMatrix(element, {onOpen}) {
  let labels = [], shares = null, order = "confused", all = false;
  const ways = make("div", {class: "ways"}), said = make("p", {class: "status"}), place = make("div", {class: "kit-matrix-place"});
  element.replaceChildren(ways, said, place);

  function words(row, column) {
    const count = shares.count(row, column);
    return `${labels[row].name} shows ${labels[column].name}: ${count ? `${percent(shares.share(row, column))}, ${count} of ${shares.totals[row]} hits` : "never"}`;
  }

  function draw() {
    const asking = labels.map((_, row) => row).filter((row) => shares.totals[row]), most = all ? MOST : FEW;
    const ranked = [...asking].sort((a, b) => shares.confused[b] - shares.confused[a] || a - b).slice(0, most);
    const shown = order === "name" ? [...ranked].sort((a, b) => a - b) : ranked;
    const press = (text, on, act) => button(text, () => { act(); draw(); }, {"aria-pressed": String(on)});
    ways.replaceChildren(...Object.entries(ORDERS).map(([name, text]) => press(text, order === name, () => { order = name; })),
      ...(asking.length > FEW ? [press(asking.length > MOST ? `The ${MOST} most confused` : `All ${asking.length}`, all, () => { all = !all; })] : []));
    said.textContent = `${shown.length < asking.length ? `The ${shown.length} most confused of ${asking.length} classes. ` : ""}A row is the class of the queries, a column the class of their first four hits.`;
    const head = make("tr", {}, make("td", {}), shown.map((column) => make("th", {scope: "col", title: labels[column].name}, make("span", {}, labels[column].name))));
    const rows = shown.map((row, y) => make("tr", {}, make("th", {scope: "row", title: labels[row].name}, labels[row].name), shown.map((column, x) => make("td", {
      role: "gridcell", tabindex: x || y ? "-1" : "0", class: row === column ? "own" : null, style: `--heat:${Math.round(100 * Math.sqrt(shares.share(row, column)))}%`,
      "aria-label": words(row, column), title: words(row, column), data: {row, column},
    }))));
    place.replaceChildren(make("table", {class: "kit-matrix", role: "grid", "aria-label": "Confusion matrix"}, make("thead", {}, head), make("tbody", {}, rows)));
  }

  const cellOf = (event) => event.target.closest?.("td[data-row]");
  place.addEventListener("click", (event) => {
    const cell = cellOf(event);
    if (!cell) return;
    focus(cell);
    onOpen(Number(cell.dataset.row), Number(cell.dataset.column));
  });
  place.addEventListener("keydown", (event) => {
    const cell = cellOf(event);
    if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
    const line = cell.parentElement, at = [...line.children].indexOf(cell);
    const to = {ArrowRight: cell.nextElementSibling, ArrowLeft: cell.previousElementSibling, ArrowDown: line.nextElementSibling?.children[at], ArrowUp: line.previousElementSibling?.children[at],
      Home: line.children[1], End: line.lastElementChild};
    if (event.key === "Enter" || event.key === " ") cell.click();
    else if (!(event.key in to)) return;
    else if (to[event.key]?.dataset.row) focus(to[event.key]);
    event.preventDefault();
  });

  function focus(cell) { // one cell is reached by Tab, the others from it
    place.querySelector("[tabindex='0']")?.setAttribute("tabindex", "-1");
    cell.setAttribute("tabindex", "0");
    cell.focus();
  }

  return {
    show(found) {
      ({labels} = found);
      shares = sharesOf(found);
      draw();
    },
  };
}
