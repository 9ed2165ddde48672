// The classes of an evaluation as a table, which a click on the head of a column orders, or Enter; one more turns it.
import {button, make} from "./dom.js";

const fixed = (value) => value === null ? "?" : value.toFixed(2);
const words = new Intl.Collator("en", {numeric: true});

// classes are {name, queries, figures: {measure: {value, low, high}}}; onOpen(each) is called for a class that is clicked.
export function createClassTable(classes, {onOpen}) {
  const columns = [
    {head: "Class", value: (each) => each.name, cell: (each) => button(each.name, () => open(each), {title: "Show its worst queries"})},
    {head: "Queries", value: (each) => each.queries, cell: (each) => each.queries.toLocaleString("en"), falling: true},
    ...Object.keys(classes[0]?.figures ?? {}).map((name) => ({head: name, value: (each) => each.figures[name].value, cell: (each) => figure(each.figures[name])})),
  ];
  const heads = columns.map((column) => make("th", {scope: "col"}, button(column.head, () => order(column))));
  const rows = new Map(classes.map((each) => [each, make("tr", {}, columns.map((column) => make("td", {}, column.cell(each))))]));
  const body = make("tbody", {});
  let shown = classes, by = null, rising = true;

  function figure({value, low, high}) {
    return [fixed(value), low === null ? null : make("small", {}, ` ${fixed(low)} to ${fixed(high)}`)];
  }

  function open(each) {
    body.querySelector("[aria-current]")?.removeAttribute("aria-current");
    rows.get(each).setAttribute("aria-current", "true");
    onOpen(each);
  }

  // Rows with equal values keep their order, and those without a value come last. Rows are moved: focus stays where it is.
  function order(column) {
    rising = by === column ? !rising : !column.falling;
    by = column;
    const compare = (a, b) => (typeof a === "string" ? words.compare(a, b) : a - b) * (rising ? 1 : -1);
    shown = [...shown].sort((one, other) => {
      const [a, b] = [column.value(one), column.value(other)];
      return a === null || b === null ? (a === null) - (b === null) : compare(a, b);
    });
    body.replaceChildren(...shown.map((each) => rows.get(each)));
    columns.forEach((each, i) => {
      if (each === by) heads[i].setAttribute("aria-sort", rising ? "ascending" : "descending");
      else heads[i].removeAttribute("aria-sort");
    });
  }

  order(columns[2] ?? columns[0]);
  return make("div", {class: "kit-classes"}, make("table", {"aria-label": "Classes"}, make("thead", {}, make("tr", {}, heads)), body));
}
