
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
  const place = document.getElementById("place");
  const show = (id, said = true) => {
    for (const item of cases) item.hidden = item.id !== id;
    which.value = id;
    // Only what changes is read out, not the page as it opens.
    if (said) place.textContent = `case ${which.selectedOptions[0].text}, ${which.selectedIndex + 1} of ${cases.length}`;
  };
  show(cases.some((item) => `#${item.id}` === location.hash) ? location.hash.slice(1) : cases[0].id, false);
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
  const [more, all] = ["more", "all"].map((id) => document.getElementById(id));
  const heads = [...table.tHead.rows[0].cells];
  const count = (number) => number.toLocaleString("en");
  const lines = [...body.rows].map((row) => ({
    row,
    number: Number(row.cells[0].textContent),
    text: [row.dataset.outcome, ...[...row.cells].slice(-2).map((cell) => cell.textContent)].join("\n").toLowerCase(),
  }));
  const numbers = new Set(lines.map((line) => line.number));
  let most = page;

  // A number is a case's; only where no case has it, it is looked for in the texts, as anything else is.
  const asked = (text) => {
    if (/^\d+$/.test(text) && numbers.has(Number(text))) return (line) => line.number === Number(text);
    return (line) => line.text.includes(text);
  };
  const filter = () => {
    const wanted = asked(form.elements.text.value.trim().toLowerCase());
    const { value: split } = form.elements.split;
    const { value: outcome } = form.elements.outcome;
    let found = 0;
    for (const line of lines) {
      const { row } = line;
      const fits = wanted(line) && (!split || row.dataset.split === split) &&
        (!outcome || row.dataset.outcome.split(" ").includes(outcome));
      row.hidden = !fits || ++found > most;
    }
    said.textContent = `${count(Math.min(found, most))} of ${count(found)} matching cases shown, ` +
      `${count(lines.length)} in all` + (rest && `;${rest}`);
    const left = found - most;
    if (left <= 0 && more.parentElement.contains(document.activeElement)) table.parentElement.focus();
    more.textContent = `Show ${count(Math.min(page, left))} more`;
    all.textContent = `Show all ${count(found)}`;
    if (left <= page && document.activeElement === all) more.focus();
    all.hidden = left <= page;
    more.parentElement.hidden = left <= 0;
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => { most = page; filter(); });
  more.addEventListener("click", () => { most += page; filter(); });
  all.addEventListener("click", () => { most = lines.length; filter(); });
  filter();

  // A click on a column's name sorts by it, numbers by value and texts by letters.
  const value = (row, column) => {
    const cell = row.cells[column];
    const exact = cell.querySelector("data");
    const text = exact ? exact.value : cell.textContent;
    return text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text;
  };
  const compare = (a, b) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1);
  for (const [column, head] of heads.entries()) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    const printed = document.createElement("span"); // Chromium leaves controls out of a head that is repeated on paper
    printed.className = "printed";
    printed.textContent = head.textContent;
    head.replaceChildren(button, printed);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      lines.sort((a, b) => (down ? -1 : 1) * compare(value(a.row, column), value(b.row, column)));
      body.replaceChildren(...lines.map(({ row }) => row));
      filter();
    });
  }
}

// Paper has nothing to unfold. (What else is printed otherwise than shown stands in the style sheet.)
let unfolded = [];
addEventListener("beforeprint", () => {
  unfolded = [...document.querySelectorAll("details:not([open])")];
  for (const item of unfolded) item.open = true;
});
addEventListener("afterprint", () => { for (const item of unfolded) item.open = false; });
