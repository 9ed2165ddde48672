// Lines between the places of one thing in neighbouring columns.

const SVG = "http://www.w3.org/2000/svg";

// Draws into an element that is positioned; items of its columns have data-item. Returns a function that draws anew.
export function createLines(element) {
  const plane = document.createElementNS(SVG, "svg");
  plane.setAttribute("class", "kit-lines");
  plane.setAttribute("aria-hidden", "true");

  function joined(from, to, moved) {
    const a = from.getBoundingClientRect(), b = to.getBoundingClientRect(), at = element.getBoundingClientRect();
    const x = element.scrollLeft - at.left, y = element.scrollTop - at.top;
    const places = {x1: a.right + x, y1: a.top + a.height / 2 + y, x2: b.left + x, y2: b.top + b.height / 2 + y};
    const line = document.createElementNS(SVG, "line");
    for (const [name, value] of Object.entries(places)) line.setAttribute(name, value);
    line.dataset.item = to.dataset.item;
    if (moved) line.dataset.moved = "";
    return line;
  }

  return () => {
    plane.remove(); // else it would hold the element open
    const columns = [...element.querySelectorAll("ol")].map((list) => [...list.children]);
    const lines = columns.slice(1).flatMap((column, i) => {
      const places = new Map(columns[i].map((item, place) => [item.dataset.item, place]));
      return column.flatMap((item, place) => {
        const before = places.get(item.dataset.item);
        return before === undefined ? [] : [joined(columns[i][before], item, before !== place)];
      });
    });
    plane.setAttribute("width", element.scrollWidth);
    plane.setAttribute("height", element.scrollHeight);
    plane.replaceChildren(...lines);
    element.append(plane);
  };
}
