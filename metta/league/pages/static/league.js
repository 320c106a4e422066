"use strict";
// Tables that are sorted by a click on a column, parts of a page that stay new, and a place to drop a file.

const PAUSE = 5000; // ms between looks at what is new

function valueOf(cell) {
  const text = cell.textContent.trim();
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

// What somebody is at: text that is marked, or a field that is filled in.
function isInUse(place) {
  const marked = getSelection();
  return place.querySelector("input:focus, select:focus") || (!marked.isCollapsed && marked.containsNode(place, true));
}

function replace(place, fresh) {
  const focused = place.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  place.replaceChildren(...fresh.childNodes);
  if (!("live" in fresh.dataset)) delete place.dataset.live;
  const again = focused && [...place.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused);
  if (again) again.focus({ preventScroll: true });
}

async function renew() {
  const places = [...document.querySelectorAll("[data-live]")];
  if (document.hidden || !places.length) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const place of places) {
    const fresh = page.getElementById(place.id);
    if (fresh && fresh.innerHTML !== place.innerHTML && !isInUse(place)) replace(place, fresh);
  }
}

function acceptDrops(place, form) {
  const input = place.querySelector("input[type=file]");
  for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
  place.addEventListener("dragover", () => place.classList.add("over"));
  place.addEventListener("dragleave", () => place.classList.remove("over"));
  place.addEventListener("drop", (event) => {
    place.classList.remove("over");
    const { files } = event.dataTransfer;
    tell(form, files.length > 1 ? "one file at a time" : "");
    if (files.length === 1) input.files = files;
  });
}

function tell(form, problem) {
  const place = form.querySelector(".problem");
  place.textContent = problem;
  place.hidden = !problem;
}

// Sends the form beside the page, so that it can show how far it is; without a script the browser sends it.
function upload(form) {
  const [bar, button, input] = ["progress", "button", "input[type=file]"].map((name) => form.querySelector(name));
  const most = Number(input.dataset.most);
  const request = new XMLHttpRequest();
  const end = (problem) => {
    bar.hidden = true;
    button.disabled = false;
    tell(form, problem);
  };
  if (input.files[0].size > most) return end(`${input.files[0].size.toLocaleString("en")} bytes; ${most.toLocaleString("en")} are allowed`);
  tell(form, "");
  bar.hidden = false;
  bar.removeAttribute("value");
  button.disabled = true;
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable && event.loaded < event.total) bar.value = event.loaded / event.total;
    else bar.removeAttribute("value"); // it is looked at
  });
  request.addEventListener("error", () => end("the connection was lost; try again"));
  request.addEventListener("load", () => {
    if (request.status < 400) return location.assign(request.responseURL);
    const page = new DOMParser().parseFromString(request.responseText, "text/html");
    end(page.querySelector(".problem")?.textContent || `the server answered with ${request.status}`);
  });
  request.open("POST", form.action);
  request.setRequestHeader("Accept", "text/html");
  request.send(new FormData(form));
}

document.querySelectorAll("table[data-sortable]").forEach(makeSortable);
document.querySelectorAll("form[data-upload]").forEach((form) => {
  acceptDrops(form.querySelector("[data-drop]"), form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    upload(form);
  });
});
setInterval(() => renew().catch(() => {}), PAUSE);
