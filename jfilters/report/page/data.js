// The data of the page, how it is unpacked, and the few helpers that build elements from text alone.
const page = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

// An element with properties and children; a string child becomes a text node, never markup.
function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function bytesOf(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

const wordsOf = (text) => new Uint16Array(bytesOf(text).buffer);
const signedWordsOf = (text) => new Int16Array(bytesOf(text).buffer);

const wholeFormat = new Intl.NumberFormat("en-US");
const whole = (value) => (value === null || value === undefined ? "–" : wholeFormat.format(value));

// Three digits that count, a dash where a number is undefined.
function number(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1000) return whole(Math.round(value));
  if (size < 0.001) return value.toExponential(1);
  return String(Number(value.toPrecision(digits)));
}

const percent = (value, digits = 3) => (value === null ? "–" : `${number(value * 100, digits)}%`);
const quantity = (value, noun) => `${whole(value)} ${noun}${value === 1 ? "" : "s"}`;

function fillSelect(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
  if (chosen !== undefined) select.value = chosen;
}

function facts(list, pairs) {
  const rows = pairs.map(([name, value]) =>
    element("div", { className: String(value).length > 40 ? "wide" : "" },
      element("dt", {}, name), element("dd", {}, String(value))));
  list.replaceChildren(...rows);
}

// The column of pairs (0, 1), (0, 2), (1, 2), (0, 3), ... that belongs to two places.
const pairPlace = (i, j) => (Math.max(i, j) * (Math.max(i, j) - 1)) / 2 + Math.min(i, j);

// One axis is chosen for the whole page; whoever shows groups listens.
const axis = {
  listeners: [],
  choose(name) {
    axis.name = name;
    axis.table = unpackedAxis(name);
    for (const select of document.querySelectorAll("select.axis")) select.value = name;
    axis.listeners.forEach((listener) => listener());
  },
};

function unpackedAxis(name) {
  const table = page.axes.tables[name];
  if (table.densities) return table;
  const d = page.axes.components, bins = page.axes.edges.length - 1;
  const levels = wordsOf(table.density);
  table.densities = (group, component) => {
    const start = (group * d + component) * bins;
    const peak = table.peaks[component] / 65535;
    return Array.from(levels.subarray(start, start + bins), (level) => level * peak);
  };
  table.parts = wordsOf(table.pairs.parts);
  table.layers = bytesOf(table.of_layer);
  return table;
}
