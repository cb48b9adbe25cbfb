"use strict";
// Each cluster's mean error profile over the band of its members.

function drawPortrait(where, one, top) {
  const { x, axis, more: parts } = along(data.bands_hz, "bands", [1000], 10, "Hz");
  const line = (y, more) => ({ type: "scatter", mode: "lines", x, y, hoverinfo: "skip", ...more });
  const none = { width: 0, color: "rgba(0,0,0,0)" };
  Plotly.react(
    where,
    [
      line(one.low, { line: none }),
      line(one.high, { line: none, fill: "tonexty", fillcolor: colour("fill") }),
      line(one.mean, { line: { width: 2, color: colour("accent") } }),
    ],
    layout({
      margin: { l: 8, r: 8, t: 2, b: 4 },
      xaxis: { showgrid: false, ticksuffix: " kHz", nticks: 6, fixedrange: true, ...axis },
      yaxis: { range: [0, top], showticklabels: false, nticks: 3, fixedrange: true },
      ...parts,
    }),
    config({ staticPlot: true }),
  );
}

/** All on one scale, so that a way to be off that is twice as strong looks it. */
function drawPortraits() {
  const top = 1.04 * Math.max(...data.portraits.flatMap((one) => one.high.concat(one.mean)));
  for (const one of data.portraits) {
    const where = document.querySelector(`.profile[data-cluster="${one.number}"]`);
    picture(where, () => drawPortrait(where, one, top));
  }
}
