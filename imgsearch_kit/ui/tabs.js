// How the tabs of the page speak with each other: which one is open, what is searched for, and what was found.

const tell = (name, detail) => document.dispatchEvent(new CustomEvent(`imgsearch-${name}`, {detail}));
const hear = (name, does) => document.addEventListener(`imgsearch-${name}`, ({detail}) => does(detail));

export const currentTab = () => document.body.dataset.tab ?? "search";

// Opens a tab; with push it becomes an entry of the browser's history.
export const openTab = (name, push = true) => tell("open", {name, push});
export const onOpen = (does) => hear("open", does);

// Shows a tab that was opened, by whatever way.
export function showTab(name) {
  document.body.dataset.tab = name;
  tell("tab", name);
}

// Calls a function whenever a tab is shown, at once if it is.
export function whenShown(name, does) {
  hear("tab", (shown) => { if (shown === name) does(); });
  if (document.body.dataset.tab === name) setTimeout(does);
}

// Searches for an indexed picture in the search tab.
export function searchFor(id) {
  openTab("search", false); // the answer makes the entry of the history
  tell("search", id);
}
export const onSearch = (does) => hear("search", does);

// The search that the search tab shows, and its answer; null once the query was removed.
export const tellAnswer = (search, answer) => tell("answer", search && {search, answer});
export const onAnswer = (does) => hear("answer", does);

// Limits the search tab to classes, and opens it.
export function searchIn(classes) {
  openTab("search", true);
  tell("classes", classes);
}
export const onSearchIn = (does) => hear("classes", does);
