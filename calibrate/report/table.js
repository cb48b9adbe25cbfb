"use strict";
// The table: sorted by any column, filtered by words, and only what is selected on the maps.

const PAGE = 60;
const order = { by: "p", down: false };
let listed = [];
let drawnRows = 0;

const columns = sounds
  ? {
      name: (i) => sounds.name[i],
      group: (i) => group(i) ?? "",
      p: (i) => sounds.p[i],
      isolation: (i) => sounds.isolation[i],
      reconstruction: (i) => sounds.reconstruction[i],
      cluster: (i) => data.clusters[sounds.cluster[i]],
    }
  : {};

const inOrder = new Intl.Collator("en", { numeric: true });

/** Words that all have to be somewhere in a sound's name, group or cluster. */
function matches(i, words) {
  const text = `${sounds.name[i]} ${group(i) ?? ""} ${columns.cluster(i)} ${isOdd(i) ? "anomalous" : "ordinary"}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

function listSounds() {
  const words = document.getElementById("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const value = columns[order.by];
  const sign = order.down ? -1 : 1;
  const compare = typeof value(0) === "string"
    ? (a, b) => inOrder.compare(value(a), value(b))
    : (a, b) => value(a) - value(b) || sounds.reconstruction[b] - sounds.reconstruction[a];
  listed = (state.selected ?? all).filter((i) => matches(i, words)).sort((a, b) => sign * compare(a, b));
  document.querySelector("#rows tbody").replaceChildren();
  document.getElementById("rows").scrollTop = 0;
  drawnRows = 0;
  drawRows();
  const what = state.selected ? "chosen" : words.length ? "found" : "";
  say("table-title", what ? `${count(listed.length, "sound", "sounds")} ${what}` : "All sounds");
}

function drawRows() {
  const body = document.querySelector("#rows tbody");
  for (const i of listed.slice(drawnRows, drawnRows + PAGE)) body.append(rowFor(i));
  drawnRows = Math.min(listed.length, drawnRows + PAGE);
}

function rowFor(i) {
  const row = element("tr");
  row.dataset.sound = i;
  const name = element("td");
  name.append(element("button", sounds.name[i], { type: "button" }));
  row.append(name);
  if (sounds.groups.length) row.append(element("td", group(i), { class: "group" }));
  row.append(
    element("td", digits(sounds.p[i]), { class: isOdd(i) ? "n odd" : "n" }),
    element("td", signed(sounds.isolation[i]), { class: "n" }),
    element("td", small(sounds.reconstruction[i]), { class: "n" }),
    element("td", data.clusters[sounds.cluster[i]]),
  );
  if (i === state.chosen) row.setAttribute("aria-current", "true");
  return row;
}

function markRow() {
  for (const row of document.querySelectorAll("#rows tbody tr")) {
    if (Number(row.dataset.sound) === state.chosen) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
}

function sortBy(column) {
  order.down = order.by === column ? !order.down : ["isolation", "reconstruction"].includes(column);
  order.by = column;
  for (const head of document.querySelectorAll("#rows th")) {
    if (head.dataset.sort === column) head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  listSounds();
}

function heedTable() {
  const rows = document.getElementById("rows");
  rows.addEventListener("scroll", () => {
    if (rows.scrollTop + rows.clientHeight > rows.scrollHeight - 400) drawRows();
  });
  rows.querySelector("tbody").addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row) choose(Number(row.dataset.sound), true);
  });
  for (const head of rows.querySelectorAll("th")) {
    head.querySelector("button").addEventListener("click", () => sortBy(head.dataset.sort));
  }
  document.getElementById("filter").addEventListener("input", listSounds);
}
