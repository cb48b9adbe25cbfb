"use strict";
// Each cluster's mean error profile over the band of its members.

const khz = data.bands_hz.map((hz) => hz / 1000);
const ascends = khz.every((value, k) => !k || value >= khz[k - 1]);

function drawPortrait(where, one, top) {
  const x = ascends ? khz : khz.map((_, k) => k);
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
      xaxis: { showgrid: false, ticksuffix: ascends ? " kHz" : "", nticks: 6, fixedrange: true },
      yaxis: { range: [0, top], showticklabels: false, nticks: 3, fixedrange: true },
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
