(() => {
  "use strict";
  const $ = (id) => document.getElementById(id);
  const form = $("filters"), list = $("rows"), one = $("one"), other = $("other"), panes = document.querySelector(".panes");
  const marks = { success: "✓", failure: "✗", "paper only": "◇", ungraded: "○" };
  let runs = [], rows = [], total = 0, chosen = -1, asked = 0, compared = 0, shown = null;

  const get = async (path, query) => {
    const answer = await fetch(path + "?" + new URLSearchParams(query));
    return answer.ok ? answer.json() : null;
  };
  const outcome = (row) => row.stop === "infrastructure" || row.score === null ? "ungraded"
    : row.score === 1 ? "success" : row.paper === 1 ? "paper only" : "failure";
  const element = (tag, name, text) => {
    const made = document.createElement(tag);
    made.className = name;
    made.textContent = text;
    return made;
  };
  const megabytes = (run) => (run.bytes / 1e6).toFixed(0) + " MB";

  function fill(select, pairs, first) {
    const before = select.value;
    select.replaceChildren(...(first === null ? [] : [new Option(first, "")]), ...pairs.map(([value, text]) => new Option(text, value)));
    if ([...select.options].some((option) => option.value === before)) select.value = before;
  }

  function facets() {
    const run = runs[Number(form.run.value)];
    for (const name of ["dataset", "category", "stop"]) {
      fill(form[name], (run.facets[name] || []).map(([value, count]) => [value, `${value} (${count})`]), "all");
    }
  }

  async function start() {
    const state = await get("/api/state", {});
    const waiting = state.runs.filter((run) => !run.ready);
    if (!runs.length) {
      fill(form.run, state.runs.map((run, number) => [String(number), run.name]), null);
      fill(form.beside, state.runs.map((run, number) => [String(number), run.name]), "nothing");
    }
    // another run's index is no reason to lose one's place in this one
    const current = Number(form.run.value);
    const first = !runs.length || runs[current].ready !== state.runs[current].ready;
    runs = state.runs;
    if (waiting.length) setTimeout(start, 400);
    if (first) { facets(); await search(); }
  }

  async function search(keep) {
    const run = runs[Number(form.run.value)], ticket = ++asked;
    if (run.trouble) { $("count").textContent = run.trouble; return; }
    if (!run.ready) { $("count").textContent = `reading ${megabytes(run)}…`; return; }
    const wanted = Object.fromEntries(new FormData(form));
    const found = await get("/api/rows", { ...wanted, start: keep ? rows.length : 0 });
    if (ticket !== asked || !found) return;
    rows = keep ? rows.concat(found.rows) : found.rows;
    total = found.total;
    $("count").textContent = `${total.toLocaleString("en")} of ${run.traces.toLocaleString("en")} episodes`;
    const made = found.rows.map((row, index) => line(row, (keep ? rows.length - found.rows.length : 0) + index));
    if (keep) list.append(...made); else { list.replaceChildren(...made); chosen = -1; }
    $("more").hidden = rows.length >= total;
    if (!keep && rows.length) await choose(0);
    if (!keep && !rows.length) one.replaceChildren(element("p", "empty", "No episode matches the filter."));
  }

  function line(row, number) {
    const item = element("li", "", "");
    const kind = outcome(row);
    item.id = "row-" + number;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", "false");
    const what = element("span", "what " + kind.replace(" ", "-"), `${marks[kind]} ${kind} · ${row.dataset}`);
    const more = element("span", "more", `${row.template || row.category} · sample ${row.sample} · ${row.turns} turns · ${row.stop}`);
    item.append(what, more);
    item.addEventListener("click", () => choose(number));
    return item;
  }

  async function choose(number) {
    if (number < 0 || number >= rows.length) return;
    if (chosen >= 0 && list.children[chosen]) list.children[chosen].setAttribute("aria-selected", "false");
    chosen = number;
    const item = list.children[number], ticket = ++asked;
    item.setAttribute("aria-selected", "true");
    list.setAttribute("aria-activedescendant", item.id);
    item.scrollIntoView({ block: "nearest" });
    shown = null; // whoever compares meanwhile waits for the episode that was asked for last
    const answer = await get("/api/episode", { run: form.run.value, id: rows[number].id });
    if (ticket !== asked || !answer) return;
    shown = answer;
    show(one, runs[Number(form.run.value)].name, shown.html);
    await compare();
  }

  function show(pane, title, html) {
    // the server has escaped everything that is not its own
    pane.innerHTML = html;
    pane.prepend(element("h2", "", title));
    pane.scrollTop = 0;
  }

  async function compare() {
    const beside = form.beside.value, ticket = ++compared;
    other.hidden = beside === "";
    panes.classList.toggle("two", beside !== "");
    if (beside === "" || !shown) return;
    const same = await get("/api/same", { run: beside, task: shown.task, sample: shown.sample });
    const answer = same && same.id ? await get("/api/episode", { run: beside, id: same.id }) : null;
    if (ticket !== compared) return;
    const name = runs[Number(beside)].name;
    if (answer) show(other, name, answer.html);
    else other.replaceChildren(element("h2", "", name), element("p", "empty", "This run has no episode of that task."));
  }

  let waiting = 0;
  form.addEventListener("input", (event) => {
    clearTimeout(waiting);
    if (event.target.name === "beside") { compare(); return; }
    if (event.target.name === "run") facets();
    waiting = setTimeout(search, event.target.type === "search" ? 250 : 0);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  $("more").addEventListener("click", () => search(true));
  const help = () => {
    $("help").hidden = !$("help").hidden;
    $("help-button").setAttribute("aria-expanded", String(!$("help").hidden));
  };
  $("help-button").addEventListener("click", help);
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, select")) {
      if (event.key === "Escape") list.focus();
      return;
    }
    const inList = event.target === list;
    const key = event.key;
    if (key === "j" || (inList && key === "ArrowDown")) choose(chosen + 1);
    else if (key === "k" || (inList && key === "ArrowUp")) choose(chosen - 1);
    else if (key === "/") form.text.focus();
    else if (key === "b") { form.beside.selectedIndex = (form.beside.selectedIndex + 1) % form.beside.options.length; compare(); }
    else if (key === "p") {
      const prompts = [...document.querySelectorAll("details.prompt")], open = prompts.some((item) => !item.open);
      for (const item of prompts) item.open = open;
    } else if (key === "?") help();
    else return;
    event.preventDefault();
  });
  start();
})();
