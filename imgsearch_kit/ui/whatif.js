// What if classes were one, or pictures were left out: the changes that a person chooses, and the figures under them.
import {button, make} from "./dom.js";

const NONE = {merge: [], leave: [], duplicates: "", hubs: false};
const DUPLICATES = {"": "Copies count as hits", same: "Equal files are no hits", near: "Nearly equal pictures are no hits"};
const fixed = (value) => value === null ? "?" : value.toFixed(4);
let made = 0;

// onChange(changes) is called with what was chosen, null for nothing.
export function createWhatIf(element, {onChange}) {
  let changes = structuredClone(NONE), labels = [], plain = null;
  const list = make("datalist", {id: `kit-classes-${made += 1}`});
  const field = (label) => make("input", {list: list.id, "aria-label": label, placeholder: label, autocomplete: "off"});
  const one = field("A class"), other = field("Another class"), left = field("A class to leave out");
  const said = make("p", {class: "kit-said", role: "alert"}), working = make("p", {class: "status", role: "status"});
  const duplicates = make("select", {"aria-label": "Copies"}, Object.entries(DUPLICATES).map(([value, text]) => make("option", {value}, text)));
  const hubs = make("input", {type: "checkbox"}), hubWords = make("span", {}), reset = button("As it is", clear);
  const chosen = make("div", {class: "ways"}), figures = make("div", {class: "supposed"});
  const form = (...parts) => make("form", {class: "kit-pairing", onsubmit: (event) => event.preventDefault()}, parts);
  const merge = form(one, other, make("button", {type: "submit"}, "Merge")), leave = form(left, make("button", {type: "submit"}, "Leave out"));
  element.replaceChildren(list, make("div", {class: "ways"}, merge, leave, duplicates, make("label", {class: "kit-check"}, hubs, hubWords)), said, chosen, working, figures);

  const exact = (name) => labels.find((label) => label.name === name || label.exact === name)?.exact;
  const shown = (text) => labels.find((label) => label.exact === text)?.name ?? text;

  function change(to) {
    said.textContent = "";
    changes = {...changes, ...to};
    duplicates.value = changes.duplicates;
    hubs.checked = changes.hubs;
    const chip = (text, without) => make("span", {class: "chip"}, make("span", {}, text), button("×", () => change(without), {"aria-label": `Take back: ${text}`}));
    const merged = changes.merge.map((group, i) => chip(group.map(shown).join(" + "), {merge: changes.merge.filter((_, j) => j !== i)}));
    const gone = changes.leave.map((label) => chip(`without ${shown(label)}`, {leave: changes.leave.filter((each) => each !== label)}));
    chosen.replaceChildren(...merged, ...gone, ...(same() ? [] : [reset]));
    if (same()) drawNothing();
    else working.textContent = "…";
    onChange(same() ? null : changes);
  }

  const same = () => JSON.stringify(changes) === JSON.stringify(NONE);

  function clear() {
    change(structuredClone(NONE));
    one.focus();
  }

  // Adds classes to the group that one of them is in, or makes them one.
  function join(...names) {
    const group = new Set(names), rest = [];
    for (const each of changes.merge) {
      if (each.some((name) => group.has(name))) each.forEach((name) => group.add(name));
      else rest.push(each);
    }
    change({merge: [...rest, [...group]], leave: changes.leave.filter((name) => !group.has(name))});
  }

  function refuse(input) {
    said.textContent = input.value ? `There is no class ${input.value}.` : "Choose a class.";
    input.focus();
  }

  merge.addEventListener("submit", () => {
    const wrong = [one, other].find((input) => !exact(input.value));
    if (wrong) return refuse(wrong);
    if (one.value === other.value) return refuse(other);
    join(exact(one.value), exact(other.value));
    one.value = other.value = "";
    return one.focus();
  });
  leave.addEventListener("submit", () => {
    const label = exact(left.value);
    if (!label) return refuse(left);
    left.value = "";
    return change({leave: [...new Set([...changes.leave, label])], merge: changes.merge.map((group) => group.filter((name) => name !== label)).filter((group) => group.length > 1)});
  });
  duplicates.addEventListener("change", () => change({duplicates: duplicates.value}));
  hubs.addEventListener("change", () => change({hubs: hubs.checked}));

  function drawNothing() {
    working.textContent = "";
    figures.replaceChildren();
  }

  function drawFigures(found, bounded) {
    figures.replaceChildren(...Object.entries(found).map(([name, {value, low, high, chance}]) => {
      const moved = value - plain[name].value, sign = moved > 0 ? "+" : moved < 0 ? "−" : "±";
      return make("div", {class: "figure"}, make("h3", {}, name), make("p", {}, make("strong", {}, fixed(value)), make("span", {class: moved > 0 ? "up" : moved < 0 ? "down" : ""}, ` ${sign}${fixed(Math.abs(moved))}`)),
        make("span", {}, `instead of ${fixed(plain[name].value)}`), make("span", {}, bounded ? `95 %: ${fixed(low)} to ${fixed(high)}` : "95 %: …"), make("span", {}, `by chance ${fixed(chance)}`));
    }));
  }

  return {
    join,
    changes: () => same() ? null : changes,
    // What can be chosen: classes with their figures as they are, and how many hubs are known, null for not yet.
    show(found) {
      ({labels} = found);
      plain = found.figures;
      list.replaceChildren(...labels.map((label) => make("option", {value: label.name})));
      hubs.disabled = found.hubs === null;
      hubWords.textContent = found.hubs === null ? "Leave out the hubs (look for findings first)" : `Leave out the ${found.hubs} hubs`;
    },
    reset: () => { if (!same()) change(structuredClone(NONE)); },
    told(answer) {
      if (answer.error) {
        said.textContent = answer.error;
        working.textContent = "";
      } else if (answer.done !== undefined) working.textContent = `Ranking once, ${Math.round(100 * answer.done)} % done …`;
      else {
        drawFigures(answer.figures, answer.bounded);
        working.textContent = [answer.title, ...answer.notes].join(" · ");
      }
    },
  };
}
