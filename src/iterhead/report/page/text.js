// Words and elements. Whatever is shown goes through here as text, never as markup.

const byId = (id) => document.getElementById(id);

/** Return a new element with attributes (a function is a listener, false leaves it out) and children. */
function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "rect", "line", "text", "title", "circle"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== false && value !== undefined) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat());
  return element;
}

const SUBSCRIPTED = /\b([xsF])_(\{t-1\}|\{t\+1\}|t|L|\d+)(?![\w}])/g;

/** Return nodes for a text in which x_t gets its subscript. */
function typeset(text) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(SUBSCRIPTED)) {
    nodes.push(text.slice(end, found.index));
    nodes.push(make("i", {}, found[1]), make("sub", {}, found[2].replace(/[{}]/g, "")));
    end = found.index + found[0].length;
  }
  nodes.push(text.slice(end));
  return nodes;
}

/** Show a text in an element, typeset. */
function setText(element, text) {
  element.replaceChildren(...typeset(text));
}

/** Return a share as a percentage with one decimal, rounded down: 100% means all, 0% none (as formatting.py does). */
function percent(share) {
  if (share === null || share === undefined || Number.isNaN(share)) return "–";
  if (share === 0 || share === 1) return `${share * 100}%`;
  const tenths = Math.floor(share * 1000 + 1e-9);
  return tenths ? `${tenths / 10}%` : "under 0.1%";
}

/** Return a score with two decimals, rounded down. */
function score(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  return (Math.floor(value * 100 + 1e-6) / 100).toFixed(2);
}

/** Return an attention weight with two decimals. */
const weightText = (weight) => weight.toFixed(2);

/** Return `1 epoch`, `1,024 epochs`. */
function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/** Return `lengths 1 to 16`, or `length 8`. */
const spanText = (from, to) => (from === to ? `length ${from}` : `lengths ${from} to ${to}`);

/** Return the words for a head, counted from 1. */
const headName = (layer, head) => `layer ${layer + 1}, head ${head + 1}`;

/** Return a word with a capital. */
const capital = (word) => word[0].toUpperCase() + word.slice(1);

/** Return the names and values of an object for a list of settings; what holds others is left out. */
const pairs = (values) =>
  Object.entries(values)
    .filter(([, value]) => value === null || typeof value !== "object")
    .map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value ?? "none"))));
