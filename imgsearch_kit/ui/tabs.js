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
// Searches for any indexed picture, and leaves the tab open that is.
export const searchAtRandom = () => tell("search", null);
export const onSearch = (does) => hear("search", does);

// The search that the search tab shows, its answer, and the classes and rankings to choose; null once the query was
// removed.
export const tellAnswer = (search, answer, choices) => tell("answer", search && {search, answer, choices});
export const onAnswer = (does) => hear("answer", does);

// Asks the shown search again with something changed; where that cannot be, the words say why.
export const refine = (change) => tell("refine", change);
export const onRefine = (does) => hear("refine", does);
export const tellRefused = (words) => tell("refused", words);
export const onRefused = (does) => hear("refused", does);

// The index has changed; whoever shows something of it asks again.
export const tellIndexed = () => tell("indexed");
export const onIndexed = (does) => hear("indexed", does);

// The page has become light or dark.
export const onTheme = (does) => hear("theme", does);
export const tellThemeChosen = () => tell("choose-theme");

// Limits the search tab to classes, and opens it.
export function searchIn(classes) {
  openTab("search", true);
  tell("classes", classes);
}
export const onSearchIn = (does) => hear("classes", does);
