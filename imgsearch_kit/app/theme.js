// The page's colours before anything is drawn: light or dark as the visitor chose, else as the system has them.
// Gradio marks the body with the class of the system's theme; here the choice wins whenever it does so.
(() => {
  const page = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)");

  function chosen() {
    try {
      return localStorage.getItem("imgsearch-theme") ?? new URLSearchParams(location.search).get("__theme");
    } catch {
      return null; // the browser keeps nothing
    }
  }

  function apply() {
    const choice = chosen(), dark = choice === "dark" || (choice !== "light" && system.matches);
    const before = page.dataset.theme;
    page.dataset.theme = page.style.colorScheme = dark ? "dark" : "light";
    if (document.body && document.body.classList.contains("dark") !== dark) document.body.classList.toggle("dark", dark);
    if (before !== page.dataset.theme) document.dispatchEvent(new CustomEvent("imgsearch-theme"));
  }

  apply();
  system.addEventListener("change", apply);
  document.addEventListener("imgsearch-choose-theme", apply);
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    new MutationObserver(apply).observe(document.body, {attributes: true, attributeFilter: ["class"]});
  });
})();
