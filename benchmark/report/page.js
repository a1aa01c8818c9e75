"use strict";
const all = (where, what) => [...where.querySelectorAll(what)];
const made = (name, values = {}, ...inside) => {
  const element = Object.assign(document.createElement(name), values);
  element.append(...inside);
  return element;
};
const known = JSON.parse(document.getElementById("rows").textContent);

/* Tabs: one panel at a time; the address names it, so that it can be linked and gone back to. */
const tabs = all(document, '[role="tab"]');
const list = document.querySelector('[role="tablist"]');
const narrow = matchMedia("(max-width: 60rem)");

function choose(tab) {
  for (const other of tabs) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    document.getElementById(other.getAttribute("aria-controls")).classList.toggle("chosen", chosen);
  }
  const [inside, box] = [tab.getBoundingClientRect(), list.getBoundingClientRect()];
  if (inside.left < box.left || inside.right > box.right) list.scrollLeft += inside.left - box.left - 12;
}

function follow() {
  const key = decodeURIComponent(location.hash.slice(1));
  const tab = tabs.find((one) => one.getAttribute("aria-controls") === key);
  if (tab || !key) choose(tab || tabs[0]);
}

function turn() {
  list.setAttribute("aria-orientation", narrow.matches ? "horizontal" : "vertical");
}

list.addEventListener("click", (event) => {
  const tab = event.target.closest('[role="tab"]');
  if (!tab) return;
  history.pushState(null, "", "#" + tab.getAttribute("aria-controls"));
  choose(tab);
  const top = document.querySelector(".frame").getBoundingClientRect().top;
  if (top < 0) scrollBy(0, top);
});
list.addEventListener("keydown", (event) => {
  const now = tabs.indexOf(document.activeElement);
  const next = {
    ArrowDown: now + 1, ArrowRight: now + 1, ArrowUp: now - 1, ArrowLeft: now - 1,
    Home: 0, End: tabs.length - 1,
  }[event.key];
  if (now < 0 || next === undefined) return;
  event.preventDefault();
  const tab = tabs[(next + tabs.length) % tabs.length];
  tab.focus();
  tab.click();
});
addEventListener("popstate", follow);
addEventListener("hashchange", () => { follow(); scrollTo(0, 0); });
narrow.addEventListener("change", turn);
document.documentElement.classList.add("tabbed");
turn();
follow();

/* Tables: sorted by a column, filtered by words; the plots of a board follow its table. */
function compare(one, other) {
  const [a, b] = [Number(one), Number(other)];
  if (!Number.isNaN(a) && !Number.isNaN(b)) return a - b;
  return one.localeCompare(other, "en", { numeric: true });
}

/* A word is its own value; a number has more digits than are shown. */
function valueOf(cell) {
  return cell.dataset.v ?? (cell.classList.contains("text") ? cell.textContent : undefined);
}

function sort(table, column, direction) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row, place) => ({ row, place, value: valueOf(row.cells[column]) }));
  const missing = ({ row, value }) => 2 * ("last" in row.dataset) + (value === undefined || value === "");
  rows.sort((one, other) =>
    missing(one) - missing(other) ||
    (missing(one) % 2 ? 0 : direction * compare(one.value, other.value)) ||
    one.place - other.place);
  body.append(...rows.map(({ row }) => row));
  all(table, "thead th").forEach((head, place) =>
    head.setAttribute("aria-sort", place !== column ? "none" : direction > 0 ? "ascending" : "descending"));
}

function arrange(sheet) {
  const rows = [...sheet.querySelector("tbody").rows];
  for (const place of all(sheet.closest(".panel"), ".follow")) {
    const found = new Map([...place.children].map((child) => [child.dataset.row, child]));
    for (const row of rows) {
      const child = found.get(row.dataset.row);
      if (!child) continue;
      child.hidden = row.hidden;
      place.append(child);
    }
  }
}

for (const sheet of all(document, ".sheet")) {
  const table = sheet.querySelector("table");
  const search = sheet.querySelector("input");
  const best = sheet.querySelector("select");
  const lead = "lead" in sheet.dataset;
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...table.tBodies[0].rows];
    for (const row of rows) {
      const text = (lead ? row.cells[0] : row).textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word)) ||
        Boolean(best && best.value && row.dataset.best !== best.value);
    }
    const shown = rows.filter((row) => !row.hidden).length;
    sheet.querySelector("output").textContent =
      shown === rows.length ? `${rows.length} rows` : `${shown} of ${rows.length} rows`;
    if (lead) arrange(sheet);
  };
  table.tHead.addEventListener("click", (event) => {
    const head = event.target.closest("th");
    if (!event.target.closest("button")) return;
    const now = head.getAttribute("aria-sort");
    const first = head.classList.contains("number") ? -1 : 1;
    sort(table, head.cellIndex, now === "none" || now === null ? first : now === "ascending" ? -1 : 1);
    if (lead) arrange(sheet);
  });
  if (search) {
    search.addEventListener("input", filter);
    if (best) best.addEventListener("change", filter);
    filter();
  }
  const columns = sheet.querySelector(".columns");
  if (columns) {
    columns.addEventListener("click", () => {
      const on = table.classList.toggle("all");
      columns.setAttribute("aria-pressed", String(on));
    });
  }
}

/* A row's protocol, recipe, data, versions and scores. */
const dialog = document.getElementById("row");

function facts(pairs) {
  const found = made("dl");
  for (const [name, value] of pairs) {
    found.append(made("dt", { textContent: name }), made("dd", { textContent: value }));
  }
  return found;
}

function scores(subjects, values) {
  const found = made("ul", { className: "scores" });
  subjects.forEach((subject, place) => {
    const value = values[place];
    const bar = made("i");
    bar.style.setProperty("--share", value ?? 0);
    const shown = value === null ? "–" : value.toFixed(3);
    found.append(made("li", {}, made("span", { textContent: subject }), bar, made("b", { textContent: shown })));
  });
  return found;
}

function open(board, number) {
  const { subjects, rows } = known.boards[board];
  const row = rows[number];
  const close = made("button", { type: "button", className: "close", textContent: "Close" });
  close.addEventListener("click", () => dialog.close());
  const title = made("h2", { id: "row-title", textContent: row.title });
  title.append(made("small", { textContent: board }));
  const body = made("div");
  for (const [name, place] of Object.entries(row.sections)) {
    body.append(made("h3", { textContent: name }), facts(known.sections[place]));
  }
  body.append(made("h3", { textContent: "Macro F1 of each subject" }), scores(subjects, row.scores));
  const ids = made("details", {}, made("summary", { textContent: "Ids of the runs, in order of fold" }));
  for (const [seed, found] of Object.entries(row.runs)) {
    ids.append(made("p", { textContent: `seed ${seed}: ` }, made("code", { textContent: found })));
  }
  body.append(ids);
  dialog.replaceChildren(made("header", {}, title, close), body);
  dialog.showModal();
  dialog.scrollTop = 0;
}

for (const sheet of all(document, "[data-lead]")) {
  sheet.querySelector("tbody").addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (String(getSelection()) || !(row.dataset.row in known.boards[sheet.dataset.board].rows)) return;
    open(sheet.dataset.board, row.dataset.row);
  });
}
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});

/* Who a dot is: the nearest one to the pointer. */
const tip = document.getElementById("tip");

for (const place of all(document, "[data-subjects]")) {
  const { subjects, rows } = known.boards[place.dataset.subjects];
  place.addEventListener("pointermove", (event) => {
    const strip = event.target.closest("li")?.querySelector(".strip");
    tip.hidden = true;
    if (!strip) return;
    const box = strip.getBoundingClientRect();
    const values = rows[strip.closest("li").dataset.row].scores;
    const away = (value) => value === null ? Infinity : Math.abs(box.left + value * box.width - event.clientX);
    const nearest = values.reduce((best, value, at) => (away(value) < away(values[best]) ? at : best), 0);
    if (away(values[nearest]) > 12) return;
    tip.textContent = `${subjects[nearest]}  ${values[nearest].toFixed(3)}`;
    tip.hidden = false;
    tip.style.left = `${Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${event.clientY + 14}px`;
  });
  place.addEventListener("pointerleave", () => { tip.hidden = true; });
}
