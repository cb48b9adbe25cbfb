"use strict";
// Scores, heard and held out; both against each other; false alarms by group.

function drawDistribution(where, kind, title, logarithmic) {
  const { edges, held_out, in_sample, threshold } = data.promises[kind];
  const steps = (y, name, more) => ({
    type: "scatter", mode: "lines", x: edges, y: [...y, 0].map((share) => 100 * share), name,
    hoverinfo: "skip", ...more,
  });
  const axis = { title, type: logarithmic ? "log" : "linear", showgrid: false, fixedrange: true };
  if (logarithmic) Object.assign(axis, { exponentformat: "power", dtick: 1 });
  const limit = threshold === null ? [] : [threshold];
  Plotly.react(
    where,
    [
      steps(in_sample, "sounds it was made from", { line: { shape: "hv", width: 1, color: colour("track") }, fill: "tozeroy", fillcolor: colour("fill") }),
      steps(held_out, "sounds it never heard", { line: { shape: "hv", width: 2, color: colour("accent") } }),
    ],
    layout({
      showlegend: true, xaxis: axis,
      yaxis: { title: "% of sounds", rangemode: "tozero", nticks: 5, fixedrange: true },
      shapes: limit.map((x) => ({ type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", line: { color: colour("odd"), width: 1.5, dash: "dash" } })),
      annotations: limit.map((x) => ({ x: logarithmic ? Math.log10(x) : x, y: 1, yref: "paper", yanchor: "top", xanchor: "right", text: "threshold ", showarrow: false, font: { color: colour("odd"), size: 12 } })),
    }),
    config(),
  );
}

function drawBoth(where) {
  const line = { color: colour("odd"), width: 1.2, dash: "dash" };
  const [across, up] = [data.reconstruction_threshold, data.isolation_threshold];
  const shapes = [];
  if (across !== null) shapes.push({ type: "line", x0: across, x1: across, y0: 0, y1: 1, yref: "paper", line });
  if (up !== null) shapes.push({ type: "line", y0: up, y1: up, x0: 0, x1: 1, xref: "paper", line });
  Plotly.react(
    where,
    [{
      type: "scatter", mode: "markers", hoverinfo: "none", x: sounds.reconstruction, y: sounds.isolation,
      marker: { ...scale(), color: sounds.isolation, size: 6, opacity: 0.75, line: { width: 0 } },
      selectedpoints: state.selected, unselected: { marker: { opacity: 0.08 } },
    }],
    layout({
      shapes,
      xaxis: { type: "log", title: "reconstruction error", exponentformat: "power", dtick: 1 },
      yaxis: { title: "isolation score" },
    }),
    config(),
  );
  if (where.dataset.heeded) return;
  where.dataset.heeded = "yes";
  where.on("plotly_hover", ({ event, points }) => tellSound(event, points[0].pointIndex));
  where.on("plotly_unhover", tellNothing);
  where.on("plotly_click", ({ points }) => choose(points[0].pointIndex, true));
}

function drawGroups(where) {
  const groups = data.promises.groups;
  const few = groups.length <= 24;
  Plotly.react(
    where,
    [{
      type: "bar", x: groups.map((_, k) => k), y: groups.map((one) => 100 * one.share), hoverinfo: "none",
      marker: { color: groups.map((one) => colour(one.share > 5 * data.rate ? "odd" : "track")) },
    }],
    layout({
      bargap: 0.25,
      xaxis: {
        showgrid: false, fixedrange: true, title: few ? "" : `${groups.length} groups, the most alarms first`,
        tickvals: groups.map((_, k) => k).filter((k) => few || k < 1),
        ticktext: groups.map((one) => plain(one.name.length > 16 ? `${one.name.slice(0, 15)}…` : one.name)).filter((_, k) => few || k < 1),
      },
      yaxis: { title: `% of sounds with p ≤ ${digits(data.rate)}`, rangemode: "tozero", fixedrange: true },
      shapes: [{ type: "line", x0: 0, x1: 1, xref: "paper", y0: 100 * data.rate, y1: 100 * data.rate, line: { color: colour("ink"), width: 1, dash: "dot" } }],
      annotations: [{ x: 1, xref: "paper", xanchor: "right", y: 100 * data.rate, yanchor: "bottom", showarrow: false, text: "as asked for", font: { size: 12 } }],
    }),
    config(),
  );
  if (where.dataset.heeded) return;
  where.dataset.heeded = "yes";
  where.on("plotly_hover", ({ event, points }) => {
    const one = groups[points[0].pointIndex];
    tell(event, one.name, [`${percent(one.share)} of ${count(one.sounds, "sound", "sounds")}`, "click to choose them"]);
  });
  where.on("plotly_unhover", tellNothing);
  where.on("plotly_click", ({ points }) => {
    const { name } = groups[points[0].pointIndex];
    select(all.filter((i) => group(i) === name), "groups");
    document.getElementById("maps").scrollIntoView();
  });
}

function drawScores() {
  const at = (id) => document.getElementById(id);
  picture(at("dist-reconstruction"), () => drawDistribution(at("dist-reconstruction"), "reconstruction", "reconstruction error", true));
  picture(at("dist-isolation"), () => drawDistribution(at("dist-isolation"), "isolation", "isolation score", false));
  picture(at("both"), () => drawBoth(at("both")));
  picture(at("groups"), () => drawGroups(at("groups")));
}

function showSelectionInScores() {
  const where = document.getElementById("both");
  if (where?.data) Plotly.restyle(where, { selectedpoints: [state.selected] }, [0]);
}
