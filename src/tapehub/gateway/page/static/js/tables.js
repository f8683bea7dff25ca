// Tables that are drawn anew only where a cell's text or tone differs.
import { make, mark, put } from "./dom.js";

/**
 * Describe columns as [{head, num, tone, kind}, …] and give rows as arrays of cells: a text, or [text, tone], or
 * {badge: state}, or {text, title}.
 */
export class Table {
  #element;
  #columns;
  #body;
  #none;

  constructor(element, columns, none) {
    this.#element = element;
    this.#columns = columns;
    this.#none = none;
    const head = make("tr", {}, ...columns.map((column) => make("th", { scope: "col", class: column.num ? "num" : "" }, column.head)));
    this.#body = make("tbody");
    element.append(make("thead", {}, head), this.#body);
  }

  show(rows) {
    const body = this.#body;
    if (!rows.length) {
      if (body.dataset.none !== "1") {
        body.replaceChildren(make("tr", {}, make("td", { class: "none", colSpan: this.#columns.length }, this.#none)));
        body.dataset.none = "1";
      }
      return;
    }
    if (body.dataset.none === "1") {
      body.replaceChildren();
      delete body.dataset.none;
    }
    while (body.rows.length > rows.length) body.lastElementChild.remove();
    rows.forEach((cells, at) => {
      let line = body.rows[at];
      if (!line) {
        line = make("tr", {}, ...this.#columns.map((column) => make("td", { class: `${column.num ? "num" : ""} ${column.kind ?? ""}`.trim() })));
        body.append(line);
      }
      cells.forEach((cell, place) => fill(line.cells[place], cell));
    });
  }
}

function fill(td, cell) {
  if (cell && typeof cell === "object" && !Array.isArray(cell) && "badge" in cell) {
    let badge = td.firstElementChild;
    if (!badge) {
      badge = make("span", { class: "badge" });
      td.replaceChildren(badge);
    }
    mark(badge, "state", cell.badge);
    put(badge, cell.text ?? cell.badge);
    return;
  }
  const [text, tone] = Array.isArray(cell) ? cell : [cell, ""];
  put(td, text);
  const kept = td.className.replace(/\s*tone-\w+/g, "");
  const wanted = tone ? `${kept} tone-${tone}`.trim() : kept;
  if (td.className !== wanted) td.className = wanted;
}

/** Show pairs in a `dl`: [[label, text, tone], …]. */
export function showFacts(list, rows) {
  while (list.children.length > rows.length * 2) list.lastElementChild.remove();
  rows.forEach(([label, text, tone = ""], at) => {
    let term = list.children[at * 2];
    if (!term) {
      term = make("dt");
      list.append(term, make("dd"));
    }
    put(term, label);
    const value = list.children[at * 2 + 1];
    put(value, text);
    const wanted = tone ? `tone-${tone}` : "";
    if (value.className !== wanted) value.className = wanted;
    if (value.title !== String(text)) value.title = text;
  });
}
