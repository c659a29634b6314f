
"use strict";
// The page is whole without this; it only lets one choose what to look at.
for (const part of document.querySelectorAll(".choice")) part.hidden = false;

const splits = document.querySelector('[data-choice="split"]');
if (splits) {
  const section = splits.closest("section");
  splits.addEventListener("change", ({ target }) => {
    section.classList.toggle(`hide-${target.value}`, !target.checked);
  });
}

const cases = [...document.querySelectorAll("#gallery .case[id]")];
const which = document.getElementById("which-case");
if (which) {
  const show = (id) => {
    for (const item of cases) item.hidden = item.id !== id;
    which.value = id;
  };
  show(cases.some((item) => `#${item.id}` === location.hash) ? location.hash.slice(1) : cases[0].id);
  which.addEventListener("change", () => show(which.value));
  for (const button of document.querySelectorAll("[data-step]")) {
    button.addEventListener("click", () => {
      const next = cases.findIndex((item) => !item.hidden) + Number(button.dataset.step);
      show(cases[(next + cases.length) % cases.length].id);
    });
  }
  addEventListener("hashchange", () => {
    const wanted = cases.find((item) => `#${item.id}` === location.hash);
    if (!wanted) return;
    show(wanted.id);
    wanted.scrollIntoView();
    wanted.focus({ preventScroll: true });
  });
}

const form = document.querySelector('[data-choice="lines"]');
if (form) {
  const page = 100;
  const table = document.getElementById("case-table");
  const body = table.tBodies[0];
  const said = document.getElementById("shown");
  const rest = said.textContent.split(";")[1] || "";
  const more = document.getElementById("more");
  const lines = [...body.rows].map((row) => ({ row, text: row.textContent.toLowerCase() }));
  let most = page;
  const filter = () => {
    const text = form.elements.text.value.trim().toLowerCase();
    const { value: split } = form.elements.split;
    const { value: outcome } = form.elements.outcome;
    let found = 0;
    for (const { row, text: own } of lines) {
      const fits = own.includes(text) && (!split || row.dataset.split === split) &&
        (!outcome || row.dataset.outcome.split(" ").includes(outcome));
      row.hidden = !fits || ++found > most;
    }
    said.textContent = `${Math.min(found, most)} of ${found} matching cases shown, ${lines.length} in all` +
      (rest && `;${rest}`);
    more.parentElement.hidden = found <= most;
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => { most = page; filter(); });
  more.addEventListener("click", () => { most += 10 * page; filter(); });
  filter();

  // A click on a column's name sorts by it, numbers by value and texts by letters.
  const value = (row, column) => {
    const cell = row.cells[column];
    const exact = cell.querySelector("data");
    const text = exact ? exact.value : cell.textContent;
    return text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text;
  };
  const compare = (a, b) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1);
  for (const [column, head] of [...table.tHead.rows[0].cells].entries()) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      lines.sort((a, b) => (down ? -1 : 1) * compare(value(a.row, column), value(b.row, column)));
      body.replaceChildren(...lines.map(({ row }) => row));
      filter();
    });
  }
}
