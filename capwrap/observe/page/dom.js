"use strict";
// Elements, made of texts. Whatever a record says becomes a text node or the value of an attribute that holds no code.

const ATTRIBUTES = /^(?:aria-[a-z]+|class|colspan|data-[a-z]+|disabled|for|height|hidden|href|id|preserveAspectRatio|role|scope|start|tabindex|type|value|viewBox|width|x|checked)$/;

function el(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (!ATTRIBUTES.test(name)) throw new Error(`attribute ${name}`);
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined) element.append(child);
  }
  return element;
}

function byId(id) {
  return document.getElementById(id);
}

function code(text) {
  return el("code", {}, text);
}

function button(text, act, attributes) {
  const made = el("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", act);
  return made;
}

// A list of terms; what has no value is left out.
function terms(...pairs) {
  const made = el("dl");
  for (const [name, value] of pairs) {
    if (value === null || value === undefined || value === "" || (Array.isArray(value) && !value.length)) continue;
    made.append(el("dt", {}, name), el("dd", {}, value));
  }
  return made;
}

function counted(number, noun) {
  return `${number.toLocaleString("en")} ${number === 1 ? noun : plural(noun)}`;
}

function plural(noun) {
  return noun + (noun.endsWith("s") ? "es" : "s");
}

// A view of a long list, one page of it at a time, so that the document stays small however long the list is.
class Pager {
  constructor(noun, size, draw) {
    this.noun = noun;
    this.size = size;
    this.draw = draw; // (first, behind the last)
    this.total = 0;
    this.page = 0;
    this.told = el("span");
    this.before = button("Previous", () => this.turn(this.page - 1));
    this.next = button("Next", () => this.turn(this.page + 1));
    this.element = el("div", { class: "pager", role: "group", "aria-label": `Pages of ${plural(noun)}` },
      this.before, this.next, this.told);
  }

  // The list is now so long; its first page is shown, or the one that is asked for.
  reset(total, page = 0) {
    this.total = total;
    this.turn(page);
  }

  turn(page) {
    this.page = Math.max(0, Math.min(page, Math.ceil(this.total / this.size) - 1));
    const first = this.page * this.size;
    const behind = Math.min(first + this.size, this.total);
    this.before.disabled = this.page === 0;
    this.next.disabled = behind === this.total;
    this.element.hidden = this.total <= this.size;
    const number = (value) => value.toLocaleString("en");
    this.told.textContent = `${number(first + 1)} to ${number(behind)} of ${counted(this.total, this.noun)}`;
    this.draw(first, behind);
  }
}
