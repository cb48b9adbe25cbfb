"use strict";
// A session: its segments as rings on the maps, and a time line of p with the alarms.

const session = data.session;

/** The segments at one recording lie around it, like the seeds of a sunflower. */
function ringPlaces(name) {
  const places = placesOf(name);
  const spread = Math.max(...mapped.map((i) => places[i][0])) - Math.min(...mapped.map((i) => places[i][0]));
  const seen = new Map();
  return session.nearest.map((i) => {
    const n = seen.get(i) ?? 0;
    seen.set(i, n + 1);
    const [far, turn] = [spread * (0.011 + 0.003 * Math.sqrt(n)), 2.399963 * n];
    return [places[i][0] + far * Math.cos(turn), places[i][1] + far * Math.sin(turn)];
  });
}

function sessionTrace(name) {
  const hidden = !session || !document.getElementById("show-session")?.checked;
  const rings = hidden ? [] : ringPlaces(name);
  return {
    type: "scatter", mode: "markers", hoverinfo: "none", name: "session",
    x: rings.map((place) => place[0]), y: rings.map((place) => place[1]),
    marker: {
      symbol: rings.map((_, k) => (session.anomalous[k] ? "circle-open-dot" : "circle-open")),
      size: rings.map((_, k) => (session.anomalous[k] ? 15 : 6)), color: colour("ink"),
      line: { width: 1.2 }, opacity: rings.map((_, k) => (session.anomalous[k] ? 1 : 0.4)),
    },
    selected: { marker: { opacity: 1 } }, unselected: { marker: { opacity: 0.25 } },
  };
}

const clock = (s) =>
  session.is_clock
    ? new Date(1000 * s).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" })
    : `${Math.floor(s / 60)} min ${(s % 60).toFixed(1)} s`;

function aboutSegment(k) {
  const like = session.nearest[k];
  const words = [
    `p ${digits(session.p[k])}${session.anomalous[k] ? ", anomalous" : ""}`,
    `isolation score ${signed(session.isolation[k])}, reconstruction error ${small(session.reconstruction[k])}`,
  ];
  if (session.cluster[k] >= 0) words.push(`nearest way to be off: ${data.clusters[session.cluster[k]]}`);
  if (like !== null) words.push(`most like ${sounds.name[like]}`);
  return words;
}

const tellSegment = (event, k) => tell(event, clock(session.at[k]), aboutSegment(k));

/** Say what a segment is, and show the recording that it is most like. */
function chooseSegment(k) {
  const source = session.source[k] ? ` in ${session.source[k]}` : "";
  document.getElementById("session-words").hidden = false;
  say("session-words", `${clock(session.at[k])}${source}, from ${session.start_s[k].toFixed(2)} s: ${aboutSegment(k).join("; ")}.`);
  if (session.nearest[k] !== null) choose(session.nearest[k], true);
}

function drawTimeline(where) {
  const when = (s) => (session.is_clock ? new Date(1000 * s) : s / 60);
  const odd = session.anomalous;
  const line = { color: colour("odd"), width: 1.2, dash: "dash" };
  const band = ([from, to], name, opacity) => ({
    type: "rect", x0: when(from), x1: when(to), y0: 0, y1: 1, yref: "paper",
    fillcolor: colour(name), opacity, line: { width: 0 }, layer: "below",
  });
  const smallest = Math.min(data.rate, ...session.p);
  Plotly.react(
    where,
    [{
      type: "scatter", mode: "markers", hoverinfo: "none", x: session.at.map(when), y: session.p,
      marker: {
        color: odd.map((is) => colour(is ? "odd" : "track")), size: odd.map((is) => (is ? 10 : 5)),
        opacity: odd.map((is) => (is ? 1 : 0.75)), line: { width: 0 },
      },
    }],
    layout({
      xaxis: { type: session.is_clock ? "date" : "linear", title: session.is_clock ? "" : "minutes", showgrid: false },
      yaxis: { type: "log", range: [0.08, Math.log10(smallest) - 0.25], title: "p, odder upwards", dtick: 1, fixedrange: true },
      shapes: [
        ...session.gaps.map((span) => band(span, "fill", 0.8)),
        ...session.alarm_spans.map((span) => band(span, "warm", 0.35)),
        { type: "line", x0: 0, x1: 1, xref: "paper", y0: data.rate, y1: data.rate, line },
      ],
      annotations: [{ x: 1, xref: "paper", xanchor: "right", bgcolor: colour("card"), y: Math.log10(data.rate), yanchor: "bottom", showarrow: false, text: `anomalous from here up (p ≤ ${digits(data.rate)})`, font: { color: colour("odd"), size: 12 } }],
    }),
    config(),
  );
  if (where.dataset.heeded) return;
  where.dataset.heeded = "yes";
  where.on("plotly_hover", ({ event, points }) => tellSegment(event, points[0].pointIndex));
  where.on("plotly_unhover", tellNothing);
  where.on("plotly_click", ({ points }) => chooseSegment(points[0].pointIndex));
}

function drawSession() {
  if (!session) return;
  const where = document.getElementById("timeline");
  picture(where, () => drawTimeline(where));
  const box = document.getElementById("show-session");
  box?.addEventListener("change", () => MAPS.forEach((name) => drawMap(name)));
}
