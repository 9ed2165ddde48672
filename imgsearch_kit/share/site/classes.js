// The class filter: a list to tick, with a field to find a class in many.
import {make} from "../../ui/dom.js";

const MANY = 12; // classes from which on there is a field

// classes are {name, count}; onChange(names) is called when a tick was set or removed.
export function createClasses(classes, onChange) {
  const boxes = classes.map(({name}) => make("input", {type: "checkbox", value: name, onchange: () => onChange(chosen())}));
  const rows = classes.map(({name, count}, i) => make("label", {}, boxes[i], make("span", {}, name), make("small", {}, String(count))));
  const find = make("input", {type: "search", placeholder: "Find a class", "aria-label": "Find a class", oninput: () => {
    const text = find.value.trim().toLowerCase();
    rows.forEach((row, i) => { row.hidden = text !== "" && !classes[i].name.toLowerCase().includes(text); });
  }});
  const chosen = () => boxes.filter((box) => box.checked).map((box) => box.value);
  const element = classes.length < 2 ? make("span") : make("details", {class: "filter", open: matchMedia("(min-width: 761px)").matches},
    make("summary", {}, "Only these classes"), make("fieldset", {"aria-label": "Only these classes"}, classes.length > MANY ? find : null, make("div", {class: "classes"}, rows)));
  return {
    element,
    chosen,
    choose(names) {
      for (const box of boxes) box.checked = names.includes(box.value);
    },
    // The rows of names among the classes.
    numbers(names) {
      return names.map((name) => {
        const number = classes.findIndex((each) => each.name === name);
        if (number < 0) throw new Error(`This site has no class ${name}.`);
        return number;
      });
    },
  };
}
