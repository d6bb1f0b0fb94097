/* The history by keys: j and k go from image to image, g and d say what it is. */
import { onKeys } from "./base.js";

const shots = () => [...document.querySelectorAll(".shot")];
const current = () => document.querySelector(".shot.current");

function choose(shot) {
  if (!shot) return;
  current()?.classList.remove("current");
  shot.classList.add("current");
  shot.querySelector("a").focus({ preventScroll: true });
  shot.scrollIntoView({ block: "nearest" });
}

function step(by) {
  const all = shots();
  const at = all.indexOf(current());
  choose(all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + by))]);
}

function mark(label) {
  const shot = current() || document.activeElement?.closest?.(".shot");
  shot?.querySelector(`.say.${label}`)?.click();
}

document.addEventListener("focusin", (event) => {
  const shot = event.target.closest(".shot");
  if (shot && shot !== current()) {
    current()?.classList.remove("current");
    shot.classList.add("current");
  }
});
onKeys({
  j: () => step(1),
  k: () => step(-1),
  g: () => mark("good"),
  d: () => mark("defect"),
  "/": () => document.getElementById("name").focus(),
});

/* What an update has learned from waits no longer. */
document.addEventListener("htmx:after:swap", () => {
  for (const job of document.querySelectorAll("[data-review] .job.done")) {
    for (const each of job.closest("[data-review]").querySelectorAll(".waiting")) each.remove();
  }
});

/* Exports give what is shown. */
const filters = document.getElementById("filters");
document.addEventListener("htmx:after:swap", () => {
  if (!filters) return;
  const query = new URLSearchParams(new FormData(filters));
  for (const [name, value] of [...query]) if (!value) query.delete(name);
  const asked = query.size ? `?${query}` : "";
  for (const kind of ["csv", "zip"]) document.getElementById(kind).href = `/history/export.${kind}${asked}`;
});
