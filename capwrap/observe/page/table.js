// A table of many rows that can be put in order by its columns, a page at a time.

class SortedTable {
  // columns: {name, cell(row) -> text or elements, key(row) -> number or text, number: it is one, head: it names the row}
  constructor(caption, noun, columns, order, size = 100) {
    this.columns = columns;
    this.order = order; // {column, down}, or null for the order of the rows
    this.rows = [];
    this.pager = new Pager(noun, size, (first, behind) => this.#draw(first, behind));
    this.body = el("tbody");
    this.heads = columns.map((column, index) =>
      el("th", { scope: "col", class: column.number ? "number" : null },
        column.key ? button(column.name, () => this.#sortBy(index)) : column.name));
    this.table = el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, this.heads)), this.body);
    this.empty = el("p", { class: "dim" }, "Nothing to show.");
    this.scroll = el("div", { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" }, this.table);
    this.element = el("div", {}, this.empty, this.scroll, this.pager.element);
  }

  show(rows) {
    this.rows = rows;
    this.empty.hidden = rows.length > 0;
    this.scroll.hidden = !rows.length;
    this.#sort();
    this.pager.reset(rows.length);
  }

  #sortBy(column) {
    const number = this.columns[column].number;
    const down = this.order?.column === column ? !this.order.down : Boolean(number);
    this.order = { column, down };
    this.#sort();
    this.pager.reset(this.rows.length);
  }

  #sort() {
    this.heads.forEach((head, index) => {
      const now = this.order?.column === index;
      if (this.columns[index].key) head.setAttribute("aria-sort", now ? (this.order.down ? "descending" : "ascending") : "none");
      const mark = now ? (this.order.down ? " \u25be" : " \u25b4") : "";
      if (this.columns[index].key) head.firstChild.textContent = this.columns[index].name + mark;
    });
    if (!this.order) return;
    const { key } = this.columns[this.order.column];
    const sign = this.order.down ? -1 : 1;
    const keys = new Map(this.rows.map((row) => [row, key(row)]));
    const compare = (a, b) => (keys.get(a) < keys.get(b) ? -sign : keys.get(a) > keys.get(b) ? sign : a - b);
    this.rows = Array.from(this.rows).sort(compare);
  }

  #draw(first, behind) {
    const lines = [];
    for (const row of this.rows.slice(first, behind)) {
      lines.push(el("tr", {}, this.columns.map((column) => (column.head
        ? el("th", { scope: "row" }, column.cell(row))
        : el("td", { class: column.number ? "number" : null }, column.cell(row))))));
    }
    this.body.replaceChildren(...lines);
  }
}
