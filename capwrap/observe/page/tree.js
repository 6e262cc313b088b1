// A tree of any size: the rows that are open now, a page of them at a time, as the tree pattern of the ARIA Authoring
// Practices Guide has it. The rows are no nested lists, so each says its level, its place and how many there are.

class Tree {
  // model: children(id) -> ids that are shown, open(id) -> whether it is open at first, draw(row) -> [class, elements],
  // chosen(id) -> what is to be told of it
  constructor(label, noun, model, size = 200) {
    this.model = model;
    this.rows = []; // {id, level, place, of, inner}
    this.toggled = new Set();
    this.at = 0;
    this.selected = null;
    this.pager = new Pager(noun, size, (first, behind) => this.#draw(first, behind));
    this.context = el("p", { class: "context code", hidden: true });
    this.box = el("div", { role: "tree", "aria-label": label });
    this.details = el("div", { class: "details", role: "region", "aria-label": `About the chosen ${noun}`, hidden: true });
    this.empty = el("p", { class: "dim" }, "Nothing to show.");
    this.element = el("div", {}, this.empty, this.context, this.box, this.pager.element, this.details);
    this.box.addEventListener("keydown", (event) => this.#key(event));
    this.box.addEventListener("click", (event) => this.#click(event));
  }

  // What is to be shown has changed: all is as open as the model has it.
  reset() {
    this.toggled.clear();
    this.at = 0;
    this.#lay();
    this.pager.reset(this.rows.length);
  }

  #isOpen(id) {
    return this.model.open(id) !== this.toggled.has(id);
  }

  #lay() {
    this.rows = [];
    const waiting = [[this.model.children(NONE), 0, 1]];
    while (waiting.length) {
      const top = waiting[waiting.length - 1];
      const [ids, place, level] = top;
      if (place === ids.length) {
        waiting.pop();
        continue;
      }
      top[1] += 1;
      const children = this.model.children(ids[place]);
      this.rows.push({ id: ids[place], level, place: place + 1, of: ids.length, inner: children.length > 0 });
      if (children.length && this.#isOpen(ids[place])) waiting.push([children, 0, level + 1]);
    }
    this.empty.hidden = this.rows.length > 0;
    this.box.hidden = !this.rows.length;
  }

  #draw(first, behind) {
    if (this.at < first || this.at >= behind) this.at = first;
    const items = [];
    for (let index = first; index < behind; index += 1) {
      const row = this.rows[index];
      const [kind, ...content] = this.model.draw(row.id);
      const open = row.inner ? this.#isOpen(row.id) : null;
      const item = el("div", {
        role: "treeitem",
        class: kind,
        tabindex: index === this.at ? "0" : "-1",
        "aria-level": String(row.level),
        "aria-posinset": String(row.place),
        "aria-setsize": String(row.of),
        "aria-expanded": open === null ? null : String(open),
        "aria-selected": String(row.id === this.selected),
        "data-index": String(index),
      }, el("span", { class: "twisty", "aria-hidden": "true" }, open === null ? "" : open ? "\u25be" : "\u25b8"), content);
      item.style.paddingLeft = `${Math.min(row.level, 24) * 0.9}rem`;
      items.push(item);
    }
    this.box.replaceChildren(...items);
    const above = first < behind && this.rows[first].level > 1 ? this.model.above(this.rows[first].id) : null;
    this.context.hidden = above === null;
    this.context.textContent = above === null ? "" : `in ${above}`;
  }

  #go(index) {
    index = Math.max(0, Math.min(index, this.rows.length - 1));
    const page = Math.floor(index / this.pager.size);
    this.at = index;
    if (page !== this.pager.page) this.pager.turn(page);
    for (const item of this.box.children) {
      const now = Number(item.dataset.index) === index;
      item.tabIndex = now ? 0 : -1;
      if (now) item.focus();
    }
  }

  #toggle(index) {
    const { id } = this.rows[index];
    if (!this.toggled.delete(id)) this.toggled.add(id);
    this.#lay();
    this.at = index;
    this.pager.reset(this.rows.length, Math.floor(index / this.pager.size));
  }

  #choose(index) {
    this.selected = this.rows[index].id;
    for (const item of this.box.children) {
      item.setAttribute("aria-selected", String(this.rows[Number(item.dataset.index)].id === this.selected));
    }
    this.details.hidden = false;
    this.details.replaceChildren(...this.model.chosen(this.selected));
  }

  #click(event) {
    const item = event.target.closest("[role=treeitem]");
    if (!item) return;
    const index = Number(item.dataset.index);
    if (this.rows[index].inner) this.#toggle(index);
    this.#choose(index);
    this.#go(index);
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const row = this.rows[this.at];
    const open = row.inner && this.#isOpen(row.id);
    const act = {
      ArrowDown: () => this.#go(this.at + 1),
      ArrowUp: () => this.#go(this.at - 1),
      Home: () => this.#go(0),
      End: () => this.#go(this.rows.length - 1),
      PageDown: () => this.#go((this.pager.page + 1) * this.pager.size),
      PageUp: () => this.#go((this.pager.page - 1) * this.pager.size),
      ArrowRight: () => (row.inner && !open ? this.#toggleAndStay() : open ? this.#go(this.at + 1) : null),
      ArrowLeft: () => (open ? this.#toggleAndStay() : this.#go(this.#parent(this.at))),
      Enter: () => this.#choose(this.at),
      " ": () => this.#choose(this.at),
    }[event.key];
    if (act) act();
    else if (/^[^\s]$/u.test(event.key)) this.#type(event.key.toLowerCase());
    else return;
    event.preventDefault();
  }

  #toggleAndStay() {
    const index = this.at;
    this.#toggle(index);
    this.#go(index);
  }

  #parent(index) {
    const { level } = this.rows[index];
    if (level === 1) return index;
    while (this.rows[index].level >= level) index -= 1;
    return index;
  }

  // The next row that begins with what was typed.
  #type(letter) {
    for (let step = 1; step <= this.rows.length; step += 1) {
      const index = (this.at + step) % this.rows.length;
      if (this.model.label(this.rows[index].id).toLowerCase().startsWith(letter)) {
        this.#go(index);
        return;
      }
    }
  }
}
