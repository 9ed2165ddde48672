// Elements made from plain values; what comes from outside becomes text or an attribute's value, never markup.

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "data") Object.assign(element.dataset, value);
    else if (name === "style") element.style.cssText = value; // which a Content-Security-Policy lets pass
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function button(text, onclick, attributes = {}) {
  return make("button", {type: "button", onclick, ...attributes}, text);
}

// A picture, or words where its file is gone.
export function picture(src, alt) {
  if (!src) return make("span", {class: "kit-gone"}, "The file no longer exists");
  return make("img", {src, alt, decoding: "async"});
}

// A sentence in which backticks enclose commands.
export const withCode = (text) => text.split("`").map((part, place) => place % 2 ? make("code", {}, part) : part);

// A file's name where a class would stand; it breaks before its ending rather than within.
export function fileName(name) {
  const [, stem, ending] = name.match(/^(.+?)(\.[^.]*)?$/s) ?? [name, name, ""];
  return make("span", {class: "label file"}, stem, make("wbr"), make("span", {class: "ending"}, ending ?? ""));
}

// A text as people read it, as reports.visible in Python: what is hidden, or changes the order of letters, becomes an escape.
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;
export const readable = (text) => String(text).replace(CONTROLS, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
