"use strict";
// Colours of the page for Plotly, and pictures drawn when they come into sight.

const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const FONT = getComputedStyle(document.body).fontFamily;

/** Layout that all figures share. */
function layout(more = {}) {
  const axis = {
    gridcolor: colour("grid"), linecolor: colour("line"), zeroline: false,
    tickfont: { size: 12 }, title: { font: { size: 13 }, standoff: 8 }, automargin: true,
  };
  const axes = Object.fromEntries(
    ["xaxis", "yaxis", "xaxis2", "yaxis2"]
      .filter((name) => more[name] || name.length === 5)
      .map((name) => {
        const asked = more[name] ?? {};
        const title = typeof asked.title === "string" ? { text: asked.title } : asked.title;
        return [name, { ...axis, ...asked, title: { ...axis.title, ...title } }];
      }),
  );
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: FONT, size: 13, color: colour("soft") },
    margin: { l: 8, r: 8, t: 8, b: 8 }, showlegend: false, hovermode: "closest",
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 12 } },
    hoverlabel: { bgcolor: colour("ink"), font: { color: colour("paper"), family: FONT, size: 13 }, bordercolor: colour("ink") },
    ...more, ...axes,
  };
}

/**
 * Where values lie: along frequency, or part beside part where there are several of them.
 * `ends` says which ends of a part are meant, `marks` at which frequencies there is a tick.
 */
function along(hz, ends, marks, size, unit = "") {
  if (data.parts.length === 1) return { x: hz.map((value) => value / 1000), axis: {}, more: {} };
  const text = (mark) => (mark < 1000 ? `${mark}` : `${mark / 1000}k`) + unit;
  const ticks = data.parts.flatMap((part) => {
    const [from, to] = part[ends];
    const at = (mark) => from + hz.slice(from, to).findIndex((value) => value >= mark);
    return marks.map((mark) => ({ at: at(mark), text: text(mark) })).filter((tick) => tick.at >= from);
  });
  const line = ([from]) => ({
    type: "line", xref: "x", yref: "paper", x0: from - 0.5, x1: from - 0.5, y0: 0, y1: 1,
    line: { width: 1, color: colour("line") },
  });
  const name = (part) => ({
    text: part.name, showarrow: false, xref: "x", yref: "paper", xanchor: "left", yanchor: "top",
    x: part[ends][0], y: 1, font: { size, color: colour("soft") },
  });
  return {
    x: hz.map((_, k) => k),
    axis: { tickvals: ticks.map((tick) => tick.at), ticktext: ticks.map((tick) => tick.text) },
    more: { shapes: data.parts.slice(1).map((part) => line(part[ends])), annotations: data.parts.map(name) },
  };
}

const config = (more = {}) => ({ displaylogo: false, responsive: true, displayModeBar: false, ...more });

const pictures = [];
const inSight = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) if (entry.isIntersecting) drawOnce(entry.target);
  },
  { rootMargin: "300px" },
);

/** Draw into an element as soon as it comes into sight, and anew in other colours. */
function picture(where, draw) {
  if (!where) return;
  pictures.push({ where, draw, drawn: false });
  inSight.observe(where);
}

function drawOnce(where) {
  inSight.unobserve(where);
  const found = pictures.find((one) => one.where === where && !one.drawn);
  if (found) {
    found.drawn = true;
    found.draw();
  }
}

dark.addEventListener("change", () => {
  for (const one of pictures) if (one.drawn) one.draw();
});
addEventListener("beforeprint", () => pictures.forEach((one) => drawOnce(one.where)));

/** From ordinary to easily told apart: blue-grey to orange, told apart by the colour-blind too. */
function scale() {
  const score = [...sounds.isolation].sort((a, b) => a - b);
  const at = (share) => score[Math.min(score.length - 1, Math.floor(share * score.length))];
  const [low, high] = [at(0.02), at(0.998)];
  const zero = Math.min(0.9, Math.max(0.1, (0 - low) / (high - low || 1)));
  return {
    cmin: low, cmax: high,
    colorscale: [
      [0, colour("cold")], [zero * 0.9, colour("mild")],
      [zero + (1 - zero) * 0.35, colour("warm")], [1, colour("hot")],
    ],
  };
}
