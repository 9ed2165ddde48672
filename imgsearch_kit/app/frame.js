// The top bar: the owner's title, the index, the tabs and help. Which tab is shown stands in the address, so that a link
// opens it and back and forward work. Gradio runs it as the body of a function.
import {make} from "../ui/dom.js";
import {currentTab, onOpen, openTab, showTab, tellThemeChosen} from "../ui/tabs.js";

// When a server has come back, Gradio draws the page a second time, and its parts get no answers; loaded anew they do.
if ("framed" in document.documentElement.dataset) location.reload();
document.documentElement.dataset.framed = "";

const of = (selector) => element.querySelector(selector);
const TABS = {search: "Search", evaluate: "Evaluate", compare: "Compare", map: "Map", index: "Index"};

const addressOf = (name) => {
  const query = new URLSearchParams(location.search);
  if (name === "search" && !query.has("id")) query.delete("tab");
  else query.set("tab", name);
  return location.pathname + (query.size ? `?${query}` : "") + location.hash;
};

const links = Object.entries(TABS).map(([name, words]) => make("a", {href: `?tab=${name}`, data: {tab: name}, onclick: (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return; // into another window
  event.preventDefault();
  openTab(name);
}}, words));

function show(name) {
  for (const link of links) {
    if (link.dataset.tab === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  showTab(name);
}

function recall() {
  const name = new URLSearchParams(location.search).get("tab") ?? "";
  show(Object.hasOwn(TABS, name) ? name : "search");
}

// The theme that is chosen stays in this browser; "auto" follows the system.
const THEMES = {auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark"}, KEPT = "imgsearch-theme";

function chosenTheme() {
  try {
    const name = localStorage.getItem(KEPT);
    return name === "light" || name === "dark" ? name : "auto";
  } catch {
    return "auto"; // the browser keeps nothing
  }
}

function drawTheme() {
  const button = of(".theme"), name = chosenTheme();
  button.textContent = THEMES[name];
  button.title = `Colours: ${name}. Click for another.`;
}

of(".theme").addEventListener("click", () => {
  const names = Object.keys(THEMES), next = names[(names.indexOf(chosenTheme()) + 1) % names.length];
  try {
    if (next === "auto") localStorage.removeItem(KEPT);
    else localStorage.setItem(KEPT, next);
  } catch { /* refused */ }
  tellThemeChosen();
  drawTheme();
});

onOpen(({name, push}) => {
  if (name === currentTab()) return;
  if (push) history.pushState({...history.state}, "", addressOf(name));
  show(name);
});
window.addEventListener("popstate", recall);

// By keyboard, past the bar and the search: to the first picture that was found, or to the tab.
of(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address stays
  const tab = document.getElementById(currentTab()), first = tab.querySelector(".kit-grid .kit-card");
  if (!first) tab.tabIndex = -1;
  (first ?? tab).focus();
});

drawTheme();
of("nav").append(...links);
of("h1").textContent = props.title;
of(".about").hidden = !props.about;
of(".about div").innerHTML = props.about; // without scripts, as frame.py makes it
watch("value", () => { of(".status").textContent = props.value; });
recall();
