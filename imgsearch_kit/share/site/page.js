// The page of a site: its title, its tabs, and what each of them shows.
import {make} from "../../ui/dom.js";
import {currentTab, onOpen, openTab, showTab} from "../../ui/tabs.js";
import {showAbout} from "./about.js";
import {openSite} from "./data.js";
import {showEvaluation} from "./evaluation.js";
import {showMap} from "./plane.js";
import {showSearch} from "./search.js";

const root = document.querySelector("#site");

async function open() {
  let site;
  try {
    site = await openSite();
  } catch (error) {
    root.replaceChildren(make("p", {class: "said wrong", role: "alert"}, `This site cannot be opened. ${error.message}`));
    return;
  }
  document.title = site.title;
  document.body.classList.toggle("dark", matchMedia("(prefers-color-scheme: dark)").matches);
  const tabs = {search: ["Search", showSearch], ...(site.parts.evaluation ? {evaluate: ["Evaluate", showEvaluation]} : {}),
    ...(site.parts.map ? {map: ["Map", showMap]} : {}), about: ["About", showAbout]};
  const sections = Object.fromEntries(Object.keys(tabs).map((name) => [name, make("section", {id: name, hidden: true})]));
  const links = Object.entries(tabs).map(([name, [words]]) => make("a", {href: addressOf(name), data: {tab: name}, onclick: (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // into another window
    event.preventDefault();
    openTab(name);
  }}, words));
  root.replaceChildren(make("header", {class: "top"}, make("h1", {}, site.title), make("nav", {"aria-label": "Parts"}, links)), ...Object.values(sections));

  function show(name) {
    for (const link of links) {
      if (link.dataset.tab === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    for (const [each, section] of Object.entries(sections)) section.hidden = each !== name;
    showTab(name);
  }
  const recall = () => {
    const name = new URLSearchParams(location.search).get("tab");
    show(Object.hasOwn(tabs, name ?? "") ? name : "search");
  };
  onOpen(({name, push}) => {
    if (name === currentTab()) return;
    if (push) history.pushState({}, "", addressOf(name));
    show(name);
  });
  addEventListener("popstate", recall);
  recall();
  for (const [name, [, start]] of Object.entries(tabs)) start(sections[name], site);
  root.dataset.ready = "";
}

function addressOf(name) {
  const query = new URLSearchParams(location.search);
  query.set("tab", name);
  return `${location.pathname}?${query}`;
}

open();
