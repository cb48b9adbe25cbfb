"use strict";
// Both maps: one mark a sound; what is selected in one is selected in the other.

const MAPS = ["features", "profiles"];
const mapOf = (name) => document.getElementById(`map-${name}`);
const placesOf = (name) => sounds.places[name];
/** The odder a sound, the later it is drawn: none is hidden by ordinary ones. */
const mapped = sounds?.places.features
  ? all.filter((i) => placesOf("features")[i]).sort((a, b) => sounds.isolation[a] - sounds.isolation[b])
  : [];
const rowOf = new Map(mapped.map((sound, row) => [sound, row]));

/** Area in proportion to the reconstruction error; the few largest are not drawn larger. */
const sizes = (() => {
  const errors = mapped.map((i) => sounds.reconstruction[i]);
  const largest = [...errors].sort((a, b) => a - b)[Math.floor(0.99 * errors.length)] || 1;
  return errors.map((error) => 4 + 11 * Math.sqrt(Math.min(1, error / largest)));
})();

function soundTrace(name) {
  const places = placesOf(name);
  return {
    type: "scatter", mode: "markers", hoverinfo: "none", name: "sounds",
    x: mapped.map((i) => places[i][0]), y: mapped.map((i) => places[i][1]),
    marker: {
      ...scale(), color: mapped.map((i) => sounds.isolation[i]), size: sizes, opacity: 0.82,
      symbol: mapped.map((i) => shapeOf(sounds.cluster[i])), line: { width: 0.5, color: colour("card") },
    },
    selectedpoints: selectedRows(),
    selected: { marker: { opacity: 0.95 } }, unselected: { marker: { opacity: 0.1 } },
  };
}

/** A ring round the chosen sound. */
function ring(name) {
  const place = state.chosen === null ? null : placesOf(name)[state.chosen];
  if (!place) return [];
  return [{
    type: "circle", xsizemode: "pixel", ysizemode: "pixel", xanchor: place[0], yanchor: place[1],
    x0: -14, x1: 14, y0: -14, y1: 14, line: { color: colour("ink"), width: 2.5 },
  }];
}

const selectedRows = () =>
  state.selected ? state.selected.map((i) => rowOf.get(i)).filter((row) => row !== undefined) : null;

function drawMap(name) {
  const where = mapOf(name);
  const coarse = matchMedia("(pointer: coarse)").matches;
  const kept = where.layout?.dragmode ?? (coarse ? false : "select");
  const axis = { visible: false, automargin: false };
  Plotly.react(
    where,
    [soundTrace(name), sessionTrace(name)],
    layout({
      shapes: ring(name), dragmode: kept, xaxis: { ...axis }, yaxis: { ...axis, scaleanchor: "x" },
      margin: { l: 4, r: 4, t: 30, b: 4 },
      newselection: { line: { color: colour("accent"), width: 1.5, dash: "dot" } },
      activeselection: { fillcolor: colour("accent"), opacity: 0.08 },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("soft"), activecolor: colour("accent"), orientation: "h" },
    }),
    config({
      displayModeBar: true, scrollZoom: false, doubleClick: "reset",
      modeBarButtons: [["select2d", "lasso2d", "zoom2d", "pan2d", "resetScale2d"]],
    }),
  );
  if (!where.dataset.heeded) heedMap(where, name);
}

function heedMap(where, name) {
  where.dataset.heeded = "yes";
  const soundAt = (point) => (point.curveNumber === 0 ? mapped[point.pointIndex ?? point.pointNumber] : null);
  where.on("plotly_hover", ({ event, points }) => {
    const i = soundAt(points[0]);
    if (i !== null) tellSound(event, i);
    else tellSegment(event, points[0].pointIndex);
  });
  where.on("plotly_unhover", tellNothing);
  where.on("plotly_click", ({ points }) => {
    const i = soundAt(points[0]);
    if (i !== null) choose(i, true);
    else chooseSegment(points[0].pointIndex);
  });
  where.on("plotly_selected", (chosen) => {
    if (!chosen) return;
    const found = chosen.points.map(soundAt).filter((i) => i !== null);
    if (found.length) select(found, name);
    else select(null, name);
  });
  where.on("plotly_deselect", () => select(null, name));
}

/** Show the selection on every map; outlines stay only where they were drawn. */
function showSelection(from) {
  for (const name of MAPS) {
    const where = mapOf(name);
    if (!where?.data) continue;
    Plotly.restyle(where, { selectedpoints: [selectedRows()] }, [0]);
    if (name !== from && where.layout.selections?.length) Plotly.relayout(where, { selections: [] });
  }
}

function showChosen() {
  for (const name of MAPS) {
    const where = mapOf(name);
    if (where?.data) Plotly.relayout(where, { shapes: ring(name) });
  }
}

/** The clusters as a legend whose entries select. */
function drawShapes() {
  const where = document.getElementById("shapes");
  if (!where) return;
  data.clusters.forEach((name, cluster) => {
    const button = element("button", undefined, { type: "button", "aria-pressed": "false" });
    button.append(glyph(cluster), element("span", name));
    button.dataset.cluster = cluster;
    where.append(button);
  });
  for (const button of document.querySelectorAll(".choose, #shapes button")) {
    button.addEventListener("click", () => selectCluster(Number(button.dataset.cluster)));
  }
  for (const place of document.querySelectorAll(".glyph")) place.append(glyph(Number(place.dataset.cluster)));
}

function selectCluster(cluster) {
  const from = `cluster ${cluster}`;
  select(shownCluster === cluster ? null : all.filter((i) => sounds.cluster[i] === cluster), from);
}

let shownCluster = null;
function showCluster(from) {
  const named = /^cluster (\d+)$/.exec(from ?? "");
  shownCluster = named && state.selected ? Number(named[1]) : null;
  for (const button of document.querySelectorAll(".choose, #shapes button")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.cluster) === shownCluster));
  }
}
