// Works on the finished page: without it everything is shown and nothing is lost.
(() => {
  "use strict";
  const root = document.documentElement;
  const theme = document.getElementById("theme");
  const schemes = ["light dark", "light", "dark"];
  let scheme = 0;
  theme.hidden = false;
  theme.addEventListener("click", () => {
    scheme = (scheme + 1) % schemes.length;
    root.style.colorScheme = schemes[scheme];
    theme.textContent = "Theme: " + ["auto", "light", "dark"][scheme];
  });

  const form = document.getElementById("filters");
  if (form) {
    const episodes = [...document.querySelectorAll("details.episode")];
    const texts = new Map(episodes.map((item) => [item, item.textContent.toLowerCase()]));
    const count = document.getElementById("count");
    const nothing = document.getElementById("nothing");
    const apply = () => {
      const wanted = new FormData(form);
      const words = String(wanted.get("text")).toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const item of episodes) {
        const fits = ["stage", "dataset", "outcome", "error", "stop"].every((key) => !wanted.get(key) || item.dataset[key] === wanted.get(key));
        item.hidden = !(fits && words.every((word) => texts.get(item).includes(word)));
        shown += item.hidden ? 0 : 1;
      }
      count.textContent = shown + " of " + episodes.length + " shown";
      nothing.hidden = shown > 0;
    };
    form.hidden = false;
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    for (const button of form.querySelectorAll("button[data-open]")) {
      button.addEventListener("click", () => {
        for (const item of episodes) if (!item.hidden) item.open = button.dataset.open === "all";
      });
    }
    apply();
  }

  const folds = [...document.querySelectorAll("details.fold")];
  for (const button of document.querySelectorAll("button[data-folds]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      for (const item of document.querySelectorAll("#categories details.fold")) item.open = button.dataset.folds === "open";
    });
  }
  let closed = [];
  addEventListener("beforeprint", () => { closed = folds.filter((item) => !item.open); for (const item of closed) item.open = true; });
  addEventListener("afterprint", () => { for (const item of closed) item.open = false; });

  const openTarget = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (target && target.matches("details")) target.open = true;
  };
  addEventListener("hashchange", openTarget);
  openTarget();
})();
