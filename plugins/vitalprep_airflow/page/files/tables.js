// Tables that update in place: a row keeps its element as long as its key exists, so that nothing flickers and focus
// and selection stay. Text is only ever inserted as text, never parsed as markup.

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value; else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function say(target, text) {
  const wanted = String(text);
  if (target.textContent !== wanted) target.textContent = wanted;
}

/** Replace the children of `target` unless `signature` is the one of the children already there. */
export function put(target, signature, make) {
  const wanted = JSON.stringify(signature);
  if (target.signature === wanted) return;
  target.signature = wanted;
  target.replaceChildren(...make());
}

/** One row for each item. `cells(item)` returns [signature, makeChildren] for each column; the first is the row header. */
export function rows(table, items, key, cells) {
  const body = table.tBodies[0];
  const labels = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const old = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  items.forEach((item, index) => {
    const name = String(key(item));
    let row = old.get(name);
    old.delete(name);
    if (!row) {
      row = element("tr");
      row.dataset.key = name;
      labels.forEach((label, column) => {
        const cell = element(column ? "td" : "th");
        if (column) cell.dataset.label = label; else cell.scope = "row";
        row.append(cell);
      });
    }
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
    cells(item).forEach(([signature, make], column) => put(row.cells[column], signature, make));
  });
  for (const row of old.values()) row.remove();
  table.hidden = items.length === 0;
}

/** A cell of plain text. */
export const text = (value, ...below) => [
  [value, ...below],
  () => [element("span", {}, String(value)), ...below.filter(Boolean).map((line) => element("span", { className: "sub" }, String(line)))],
];

/** A cell with a state: its sign, its word, and lines below. */
export const stated = ([sign, word, kind], ...below) => [
  [sign, word, ...below],
  () => [
    element("span", { className: `state ${kind}` }, element("span", { ariaHidden: "true" }, `${sign} `), word),
    ...below.filter(Boolean).map((line) => element("span", { className: "sub" }, String(line))),
  ],
];
