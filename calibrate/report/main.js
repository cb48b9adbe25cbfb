"use strict";
// Everything put to work: what is in sight first.

function heedActions() {
  const odd = document.getElementById("pick-odd");
  const none = document.getElementById("pick-none");
  odd.addEventListener("click", () => select(all.filter(isOdd), "odd"));
  none.addEventListener("click", () => select(null, "none"));
  listeners.select.push(() => { none.disabled = state.selected === null; });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target.id !== "filter") select(null, "none");
  });
  for (const button of document.querySelectorAll("button.sound")) {
    button.addEventListener("click", () => choose(Number(button.dataset.sound), true));
  }
}

if (sounds) {
  drawShapes();
  heedTable();
  heedActions();
  listeners.select.push(showCluster, showSelection, listSounds, showSelectionInScores);
  listeners.choose.push(showSound, showChosen, markRow);
  listSounds();
  if (mapped.length) for (const name of MAPS) picture(mapOf(name), () => drawMap(name));
  const spectrum = document.getElementById("spectrum");
  pictures.push({ where: spectrum, drawn: true, draw: () => { if (state.chosen !== null) drawSpectrum(state.chosen); } });
  drawPortraits();
  drawScores();
}
drawSession();
document.body.dataset.ready = "yes";
