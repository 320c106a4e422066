"use strict";
// Tables that are sorted by a click on a column, a leaderboard that stays new, and a place to drop a file.

function valueOf(cell) {
  const text = cell.dataset.value ?? cell.textContent.trim();
  const number = Number.parseFloat(text.replaceAll(",", ""));
  return Number.isNaN(number) ? text.toLowerCase() : number;
}

function sortBy(table, index, direction) {
  const body = table.tBodies[0];
  const rows = [...body.rows].filter((row) => row.cells.length > index);
  rows.sort((one, other) => {
    const [a, b] = [valueOf(one.cells[index]), valueOf(other.cells[index])];
    if (typeof a === typeof b) return (a < b ? -1 : a > b ? 1 : 0) * direction;
    return typeof a === "number" ? -1 : 1;
  });
  body.append(...rows);
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, index) => {
    if ("fixed" in head.dataset || !head.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const upwards = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", upwards ? "ascending" : "descending");
      sortBy(table, index, upwards ? 1 : -1);
    });
  });
}

function sortAgain(table, sorted) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[sorted.index].setAttribute("aria-sort", sorted.direction > 0 ? "ascending" : "descending");
  sortBy(table, sorted.index, sorted.direction);
}

function sortedBy(table) {
  const index = [...table.tHead.rows[0].cells].findIndex((head) => head.hasAttribute("aria-sort"));
  const direction = table.tHead.rows[0].cells[index]?.getAttribute("aria-sort") === "descending" ? -1 : 1;
  return index < 0 ? null : { index, direction };
}

async function renew(place) {
  if (document.hidden || place.contains(document.activeElement)) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById(place.id);
  if (!fresh || fresh.innerHTML === place.dataset.shown) return;
  place.dataset.shown = fresh.innerHTML;
  const sorted = sortedBy(place.querySelector("table"));
  place.replaceChildren(...fresh.childNodes);
  const table = place.querySelector("table");
  makeSortable(table);
  if (sorted) sortAgain(table, sorted);
}

function acceptDrops(place) {
  const input = place.querySelector("input[type=file]");
  place.addEventListener("dragover", (event) => {
    event.preventDefault();
    place.classList.add("over");
  });
  place.addEventListener("dragleave", () => place.classList.remove("over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    place.classList.remove("over");
    if (event.dataTransfer.files.length === 1) input.files = event.dataTransfer.files;
  });
}

document.querySelectorAll("table[data-sortable]").forEach(makeSortable);
document.querySelectorAll("[data-drop]").forEach(acceptDrops);
document.querySelectorAll("[data-live]").forEach((place) => {
  setInterval(() => renew(place).catch(() => {}), 1000 * Number(place.dataset.live));
});
