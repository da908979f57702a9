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
  const element = (tag, name, text) => {
    const made = document.createElement(tag);
    made.className = name;
    made.textContent = text;
    return made;
  };
  const megabytes = (bytes) => Math.round(bytes / 1e6).toLocaleString("en");

  function fill(select, pairs, first) {
    const before = select.value;
    select.replaceChildren(...(first === null ? [] : [new Option(first, "")]), ...pairs.map(([value, text]) => new Option(text, value)));
    if ([...select.options].some((option) => option.value === before)) select.value = before;
  }

  function facets() {
    const run = runs[Number(form.run.value)];
    for (const name of ["outcome", "dataset", "category", "stop", "label", "slice"]) {
      fill(form[name], (run.facets[name] || []).filter(([value]) => value).map(([value, count]) => [value, `${value} (${count})`]), "all");
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
    if (waiting.length) setTimeout(start, 150);
    reading(runs[current]);
    if (first) { facets(); await search(); }
  }

  function reading(run) {
    $("progress").hidden = run.ready;
    if (run.ready) return;
    $("progress").max = run.bytes || 1;
    $("progress").value = run.done;
    $("count").textContent = `reading: ${megabytes(run.done)} of ${megabytes(run.bytes)} MB`;
  }

  async function search(keep) {
    const run = runs[Number(form.run.value)], ticket = ++asked;
    reading(run);
    if (run.trouble) { $("count").textContent = run.trouble; return; }
    if (!run.ready) return;
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
    const kind = row.outcome;
    item.id = "row-" + number;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", "false");
    const what = element("span", "what " + kind.replace(" ", "-"), `${marks[kind]} ${kind} · ${row.dataset}`);
    const more = element("span", "more", `${row.template || row.category} · sample ${row.sample} · ${row.turns} turns · ${(row.label || row.stop).replaceAll("_", " ")}`);
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
    mark(pane);
  }

  let places = [], place = -1;
  function mark(pane) {
    // what was searched for, also across the spans of highlighted code: ranges, so that the page itself stays as it is
    if (pane === one) { places = []; place = -1; $("places").textContent = ""; }
    const small = (letters) => letters.replace(/[A-Z]/g, (letter) => letter.toLowerCase()); // as the server compares
    const wanted = small(form.text.value);
    if (!("highlights" in CSS)) return;
    if (pane === one) CSS.highlights.delete("found");
    if (!wanted) return;
    const walker = document.createTreeWalker(pane, NodeFilter.SHOW_TEXT), nodes = [], starts = [];
    let text = "";
    for (let node = walker.nextNode(); node; node = walker.nextNode()) { nodes.push(node); starts.push(text.length); text += node.data; }
    text = small(text);
    const spot = (at, from) => {
      let number = from;
      while (number + 1 < nodes.length && starts[number + 1] <= at) number += 1;
      return [nodes[number], at - starts[number], number];
    };
    const found = [];
    for (let at = text.indexOf(wanted), from = 0; at >= 0 && found.length < 1000; at = text.indexOf(wanted, at + wanted.length)) {
      const [first, start, number] = spot(at, from), [last, end] = spot(at + wanted.length - 1, number), range = new Range();
      range.setStart(first, start);
      range.setEnd(last, end + 1);
      found.push(range);
      from = number;
    }
    const before = [...(CSS.highlights.get("found") || [])];
    if (found.length) CSS.highlights.set("found", new Highlight(...before, ...found));
    places = places.concat(found);
    $("places").textContent = places.length === 1 ? "found in 1 place of what is shown"
      : `found in ${places.length} places of what is shown; n: the next`;
    if (pane === one) next();
  }

  function next() {
    if (!places.length) return;
    place = (place + 1) % places.length;
    const element = places[place].startContainer.parentElement;
    for (let outer = element.closest("details"); outer; outer = outer.parentElement.closest("details")) outer.open = true;
    element.scrollIntoView({ block: "center" });
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
    else if (key === "n") next();
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
