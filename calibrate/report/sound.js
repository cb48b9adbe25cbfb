"use strict";
// One sound: its facts, its audio, its spectrum over the reconstruction with the error below.

const COLUMNS = data.columns_hz.length;
let clips = null;
let audio = null;

/** Play a sound; whether there is something to play. */
function playSound(i) {
  if (sounds.clip[i] < 0) return false;
  clips ??= JSON.parse(read("clips"));
  audio?.pause();
  audio = new Audio(`data:audio/ogg;base64,${clips[sounds.clip[i]]}`);
  audio.addEventListener("playing", () => { document.body.dataset.played = String(i); });
  audio.play().catch(() => say("sound-words", "This browser cannot play the sound: it is Ogg Opus."));
  return true;
}

const say = (id, text) => { document.getElementById(id).textContent = text; };

/** Four curves of a sound, each on its scale; null where the page has none. */
function curvesOf(i) {
  const at = sounds.curves[i];
  if (at < 0) return null;
  const characters = (4 * COLUMNS * 4) / 3;
  const text = document.getElementById("curves").textContent;
  const bytes = atob(text.slice(at * characters, (at + 1) * characters));
  const [level, error] = sounds.scale[at];
  const floor = sounds.floor[at];
  return [[floor, level], [floor, level], [0, error], [0, error]].map(([low, high], k) =>
    Array.from({ length: COLUMNS }, (_, j) => low + (bytes.charCodeAt(k * COLUMNS + j) * (high - low)) / 255),
  );
}

function showSound(i, play) {
  const played = play && playSound(i);
  say("sound-name", sounds.name[i]);
  const words = [isOdd(i) ? "Anomalous" : "Ordinary"];
  words.push(
    sounds.p[i] <= 0.5
      ? `: about 1 in ${Math.round(1 / sounds.p[i]).toLocaleString("en")} reference sounds is at least as odd.`
      : ": most reference sounds are at least as odd.",
  );
  if (play && !played && sounds.clip.some((clip) => clip >= 0)) {
    words.push(" It is not among the sounds that can be heard here.");
  }
  say("sound-words", words.join(""));
  const facts = [
    ["group", group(i)],
    ["p", digits(sounds.p[i])],
    ["isolation score", signed(sounds.isolation[i])],
    ["reconstruction error", small(sounds.reconstruction[i])],
    ["way to be off", data.clusters[sounds.cluster[i]]],
  ].filter(([, value]) => value !== null);
  document.getElementById("sound-facts").replaceChildren(
    ...facts.map(([label, value]) => {
      const row = element("div");
      row.append(element("dt", label), element("dd", value));
      return row;
    }),
  );
  const button = document.getElementById("play");
  button.hidden = sounds.clip[i] < 0;
  button.onclick = () => playSound(i);
  if (play && !played) audio?.pause();
  drawSpectrum(i);
}

function drawSpectrum(i) {
  const where = document.getElementById("spectrum");
  const curves = curvesOf(i);
  where.hidden = curves === null;
  document.getElementById("sound-curves").hidden = curves === null;
  if (curves === null) return;
  say("sound-curves", "Above: the sound and what the reference explains of it. Below: what is left, and its moving average. Where that is high, the sound is off.");
  const { x, axis, more: parts } = along(data.columns_hz, "columns", [200, 1000, 3000], 12);
  const several = data.parts.length > 1;
  const line = (y, name, more) => ({
    type: "scatter", mode: "lines", x, y, name, hoverinfo: "skip", ...more,
  });
  const [spectrum, reconstruction, error, average] = curves;
  Plotly.react(
    where,
    [
      line(spectrum, several ? "sound" : "spectrum", { fill: "tozeroy", fillcolor: colour("fill"), line: { width: 1, color: colour("track") } }),
      line(reconstruction, "reconstruction", { line: { width: 1.6, color: colour("accent") } }),
      line(error, "absolute error", { yaxis: "y2", line: { width: 1, color: colour("track") } }),
      line(average, "its moving average", { yaxis: "y2", line: { width: 2.2, color: colour("odd") } }),
    ],
    layout({
      showlegend: true,
      xaxis: { title: several ? "Hz" : "kHz", anchor: "y2", showgrid: false, ...axis },
      yaxis: { title: several ? "dB" : "", domain: [0.47, 1], nticks: 4, rangemode: "tozero" },
      yaxis2: { domain: [0, 0.39], nticks: 4, rangemode: "tozero", exponentformat: "power" },
      ...parts,
    }),
    config(),
  );
}
