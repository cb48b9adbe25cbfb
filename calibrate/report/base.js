"use strict";
// What all parts share: the data, what is chosen and selected, and who wants to know.

const read = (id) => document.getElementById(id).textContent;
const data = JSON.parse(read("data"));
const sounds = data.sounds;
const all = sounds ? sounds.name.map((_, i) => i) : [];

const state = { selected: null, chosen: null };
const listeners = { select: [], choose: [] };

/** Select sounds by index, or none with null; `from` is the part that asked. */
function select(indices, from) {
  state.selected = indices && indices.length ? indices : null;
  for (const told of listeners.select) told(from);
}

/** Choose the one sound that is shown, and play it where that is asked. */
function choose(index, play) {
  state.chosen = index;
  for (const told of listeners.choose) told(index, play);
}

/** An element with text, which is never read as HTML. */
function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Plotly reads a few tags in its labels: names must not be read. */
const plain = (text) =>
  text.replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]);

const group = (i) => (sounds.groups.length ? sounds.groups[sounds.group[i]] : null);
const isOdd = (i) => sounds.p[i] <= data.rate;
const digits = (value, n = 2) => Number(value.toPrecision(n)).toString();
const small = (value) => value >= 0.1 && value < 9999.5
  ? value >= 9.95 ? value.toFixed(0) : value.toPrecision(2)
  : value.toExponential(1).replace("-", "\u2212").replace("+", "");
const signed = (value) => (value < 0 ? "\u2212" : "+") + Math.abs(value).toFixed(3);
const percent = (share) => `${digits(100 * share)} %`;
const count = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** One of ten shapes for a cluster, as Plotly names it; open ones for ten more. */
const SHAPES = [
  "circle", "square", "diamond", "cross", "triangle-up",
  "x", "triangle-down", "star", "hexagon", "pentagon",
];
const shapeOf = (cluster) => SHAPES[cluster % 10] + (Math.floor(cluster / 10) % 2 ? "-open" : "");

const corners = (n, turn, inner = 1) =>
  Array.from({ length: inner === 1 ? n : 2 * n }, (_, i) => {
    const [steps, far] = inner === 1 ? [n, 1] : [2 * n, i % 2 ? inner : 1];
    const angle = (2 * Math.PI * i) / steps + turn;
    return `${(8 + 7 * far * Math.sin(angle)).toFixed(2)},${(8 - 7 * far * Math.cos(angle)).toFixed(2)}`;
  }).join(" ");
const PLUS = "6,1 10,1 10,6 15,6 15,10 10,10 10,15 6,15 6,10 1,10 1,6 6,6";
const OUTLINES = {
  circle: corners(24, 0), square: "2,2 14,2 14,14 2,14", diamond: corners(4, 0), cross: PLUS,
  "triangle-up": corners(3, 0), x: PLUS, "triangle-down": corners(3, Math.PI),
  star: corners(5, 0, 0.42), hexagon: corners(6, 0), pentagon: corners(5, 0),
};

/** The same shape as on the maps, for a legend. */
function glyph(cluster) {
  const name = shapeOf(cluster).replace("-open", "");
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const outline = document.createElementNS(space, "polygon");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "shape");
  outline.setAttribute("points", OUTLINES[name]);
  if (name === "x") outline.setAttribute("transform", "rotate(45 8 8)");
  if (shapeOf(cluster).endsWith("-open")) outline.setAttribute("fill", "none");
  svg.append(outline);
  return svg;
}

/** Say beside the pointer what it is over; with a line of its own for each text. */
function tell(event, title, lines) {
  const tip = document.getElementById("tip");
  tip.replaceChildren(element("b", title), ...lines.map((line) => element("div", line)));
  tip.hidden = false;
  const { clientX: x, clientY: y } = event;
  const { offsetWidth: w, offsetHeight: h } = tip;
  const left = x + 16 + w > innerWidth ? x - w - 16 : x + 16;
  tip.style.left = `${Math.max(6, left)}px`;
  tip.style.top = `${Math.max(6, Math.min(y + 14, innerHeight - h - 6))}px`;
}
const tellNothing = () => { document.getElementById("tip").hidden = true; };

function tellSound(event, i) {
  const where = group(i) === null ? [] : [`group ${group(i)}`];
  tell(event, sounds.name[i], [
    ...where,
    `p ${digits(sounds.p[i])}${isOdd(i) ? ", anomalous" : ""}`,
    `isolation score ${signed(sounds.isolation[i])}`,
    `reconstruction error ${small(sounds.reconstruction[i])}`,
    `cluster ${sounds.cluster[i]}: ${data.clusters[sounds.cluster[i]]}`,
  ]);
}
