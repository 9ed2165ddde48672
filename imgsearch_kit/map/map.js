// What the map's panel does: hide classes, search, list what is selected, draw lines to true neighbours.
// Names are put into the page as text only, never as markup.
(async () => {
  "use strict";
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const element = (id) => document.getElementById(id);
  // as reports.visible in Python: what is hidden, or changes the order of letters, is shown as an escape
  const CONTROLS = /[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;
  const shown = (text) => String(text).replace(CONTROLS, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const make = (tag, text, className) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = shown(text);
    if (className) made.className = className;
    return made;
  };
  const SHOWN = 200; // table rows; the CSV holds all
  const { classes, classOf, neighbours, cosines } = read("data");
  await Bokeh.embed.embed_item(read("figure"));
  const model = (name) => Bokeh.documents[0].get_model_by_name(name);
  const source = model("pictures"), lines = model("lines"), visible = model("visible");
  const { x, y, id: ids, label: labels, thumbnail: thumbnails } = source.data;
  const hidden = new Set();

  // classes
  const boxes = classes.map(({ name, colour, marker, count }, number) => {
    const item = make("li"), label = make("label"), box = make("input"), dot = make("span", undefined, `dot ${marker}`);
    box.type = "checkbox";
    box.checked = true;
    dot.style.background = colour;
    label.title = shown(name);
    label.append(box, dot, make("span", name, "name"), make("span", count, "count"));
    item.append(label);
    element("legend").append(item);
    box.addEventListener("change", () => {
      box.checked ? hidden.delete(number) : hidden.add(number);
      showClasses();
    });
    return box;
  });
  const showClasses = () => {
    visible.booleans = classOf.map((number) => !hidden.has(number));
  };
  const checkAll = (checked) => {
    boxes.forEach((box, number) => {
      box.checked = checked;
      checked ? hidden.delete(number) : hidden.add(number);
    });
    showClasses();
  };
  element("all").addEventListener("click", () => checkAll(true));
  element("none").addEventListener("click", () => checkAll(false));

  // search
  const found = () => {
    const wanted = element("search").value.trim().toLowerCase();
    const named = (row) => labels[row].toLowerCase().includes(wanted) || ids[row].toLowerCase().includes(wanted);
    const matches = (row) => !hidden.has(classOf[row]) && named(row);
    return wanted ? ids.map((_, row) => row).filter(matches) : null;
  };
  element("search").addEventListener("input", () => {
    const rows = found();
    const alpha = new Float32Array(ids.length).fill(rows ? 0.03 : 0.8);
    (rows ?? []).forEach((row) => (alpha[row] = 0.95));
    source.data = { ...source.data, alpha };
    element("found").textContent = rows ? `${rows.length} found; Enter lists them` : "";
  });
  element("search").addEventListener("keydown", (event) => {
    if (event.key === "Enter") source.selected.indices = found() ?? [];
  });

  // selection
  let columns = [], rows = [];
  const picture = (row) => [ids[row], labels[row]];
  const showSelection = () => {
    const chosen = [...source.selected.indices];
    const one = chosen.length === 1 ? chosen[0] : undefined;
    const near = one === undefined ? [] : neighbours[one];
    lines.data = {
      x0: near.map(() => x[one]), y0: near.map(() => y[one]), x1: near.map((row) => x[row]), y1: near.map((row) => y[row]),
    };
    if (one === undefined) {
      columns = ["id", "label", "x", "y"];
      rows = chosen.map((row) => [...picture(row), x[row], y[row]]);
      element("selected").textContent = chosen.length ? `${chosen.length} pictures selected` : "Nothing selected";
    } else {
      columns = ["rank", "id", "label", "cosine"];
      rows = [[0, ...picture(one), 1], ...near.map((row, rank) => [rank + 1, ...picture(row), cosines[one][rank]])];
      element("selected").textContent = `True neighbours of ${shown(ids[one])}`;
    }
    element("download").hidden = !rows.length;
    element("hint").hidden = rows.length > 0;
    const listed = one === undefined ? chosen : [one, ...near];
    element("rows").replaceChildren(...listed.slice(0, SHOWN).map((row, place) => tableRow(row, one === undefined ? "" : rows[place][3])));
    element("more").textContent = listed.length > SHOWN ? `and ${listed.length - SHOWN} more, all in the CSV` : "";
  };
  const tableRow = (row, cosine) => {
    const line = make("tr"), cell = make("td"), image = make("img");
    image.src = thumbnails[row];
    image.alt = "";
    image.loading = "lazy";
    cell.append(image);
    line.append(cell, make("td", labels[row]), make("td", ids[row]), make("td", cosine === "" ? "" : cosine.toFixed(3)));
    return line;
  };
  source.selected.properties.indices.change.connect(showSelection);

  const quoted = (value) => (/[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  element("download").addEventListener("click", () => {
    const text = [columns, ...rows].map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
    const link = make("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    link.download = "pictures.csv";
    link.click();
    URL.revokeObjectURL(link.href);
  });
  document.documentElement.dataset.ready = "true";
})();
