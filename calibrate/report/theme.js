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
