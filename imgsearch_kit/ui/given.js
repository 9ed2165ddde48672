// The picture that a person gives: picked from the files, dropped, or pasted.
import {make} from "./dom.js";

const KINDS = "image/*,.heic,.heif,.tif,.tiff,.avif"; // not every system knows that the last are pictures

// A hidden field that lets a person pick a file when it is clicked.
export function createPicker(take, attributes = {}) {
  const input = make("input", {type: "file", accept: KINDS, hidden: true, "aria-label": "Picture to search with", ...attributes, onchange: () => {
    if (input.files[0]) take(input.files[0]);
    input.value = "";
  }});
  return input;
}

// Calls take(file, count) for the first of count files that are dropped on an element, or pasted while the focus is in it; a text that is pasted, but not
// into a field, goes to takeText. While a file is held over the element it has the class kit-dropping. Returns a function
// that ends all of this.
export function watchGiven(element, take, takeText = null) {
  let inside = 0; // how many elements below the pointer were entered and not left
  const dropping = (by) => {
    inside = by ? Math.max(inside + by, 0) : 0;
    element.classList.toggle("kit-dropping", inside > 0);
  };
  const does = {
    dragenter: () => dropping(1),
    dragover: () => {},
    dragleave: () => dropping(-1),
    drop: ({dataTransfer}) => {
      dropping(0);
      if (dataTransfer.files[0]) take(dataTransfer.files[0], dataTransfer.files.length);
    },
  };
  const dragged = (event) => {
    if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
    event.preventDefault();
    event.stopPropagation(); // else a notebook takes it too
    does[event.type](event);
  };
  const pasted = (event) => {
    if (!element.contains(document.activeElement)) return;
    const file = event.clipboardData?.files[0], text = event.clipboardData?.getData("text/plain").trim() ?? "";
    if (!file) return text && !event.target.matches?.("input, textarea") ? takeText?.(text) : undefined;
    event.preventDefault();
    event.stopImmediatePropagation();
    take(file);
  };
  for (const kind of Object.keys(does)) element.addEventListener(kind, dragged);
  document.addEventListener("paste", pasted, true);
  return () => {
    for (const kind of Object.keys(does)) element.removeEventListener(kind, dragged);
    document.removeEventListener("paste", pasted, true);
  };
}
