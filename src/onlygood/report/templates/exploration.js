"use strict";
(() => {
  const NEAR = 24; /* pixels on the screen */
  const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const data = JSON.parse(document.getElementById("data").textContent);
  const area = document.querySelector(".maps");
  const shown = document.getElementById("shown");
  const off = { kind: new Set(), verdict: new Set() };
  let kept = null; /* the image that stays when the pointer leaves */
  let current = null;

  const names = Array.from(document.querySelectorAll(".legend li[data-kind] bdi"), (each) => each.textContent);
  const maps = Array.from(document.querySelectorAll(".map svg"), (svg, number) => {
    const marks = [];
    for (const mark of svg.querySelectorAll("[data-image]")) {
      marks[mark.dataset.image] = mark;
      mark.querySelector("title").remove(); /* the browser's own hint would lie over ours */
    }
    return { svg, marks, places: data.places[number], ring: svg.querySelector(".ring"), width: svg.viewBox.baseVal.width };
  });

  const verdict = (image) => (image.anomalous ? "anomalous" : "good");
  const isVisible = (number) => {
    const image = data.images[number];
    return !off.kind.has(String(image.kind)) && !off.verdict.has(verdict(image));
  };

  function line(text, name) {
    const element = document.createElement("div");
    element.textContent = text;
    if (name) element.className = name;
    return element;
  }

  /* Show an image beside its mark on one map, and where it lies on all; none hides it. */
  function show(number, map) {
    current = number;
    for (const each of maps) {
      each.ring.classList.toggle("on", number !== null);
      if (number === null) continue;
      each.ring.setAttribute("cx", each.places[number][0]);
      each.ring.setAttribute("cy", each.places[number][1]);
    }
    shown.classList.toggle("kept", number !== null && number === kept?.number);
    if (number === null) {
      shown.replaceChildren();
      return;
    }
    const image = data.images[number];
    const parts = [];
    if (image.thumbnail) {
      const drawn = document.createElement("img");
      [drawn.src, drawn.width, drawn.height] = image.thumbnail;
      drawn.alt = "";
      parts.push(drawn);
    } else {
      parts.push(line("The image can no longer be read."));
    }
    const sign = image.anomalous ? "\u25b2" : "\u25cf";
    const judged = line(`${sign} called ${verdict(image)}`, `mark ${verdict(image)}`);
    parts.push(line(image.name, "name"), line(names[image.kind]), judged);
    parts.push(line(`score ${image.score}`), line(`p-value ${image.p_value}`));
    shown.replaceChildren(...parts);
    place(number, map);
  }

  /* To the right of the mark or, where there is no room, to its left; within the maps' height. */
  function place(number, map) {
    const frame = area.getBoundingClientRect(), box = map.svg.getBoundingClientRect();
    const scale = box.width / map.width, gap = 16;
    const x = box.left - frame.left + map.places[number][0] * scale;
    const y = box.top - frame.top + map.places[number][1] * scale;
    const right = x + gap + shown.offsetWidth <= frame.width ? x + gap : x - gap - shown.offsetWidth;
    const top = Math.min(y - shown.offsetHeight / 2, frame.height - shown.offsetHeight);
    shown.style.left = `${Math.max(0, Math.min(right, frame.width - shown.offsetWidth))}px`;
    shown.style.top = `${Math.max(0, top)}px`;
  }

  function nearest(map, event) {
    const box = map.svg.getBoundingClientRect(), scale = box.width / map.width;
    let found = null, least = NEAR;
    map.places.forEach(([x, y], number) => {
      const distance = Math.hypot(box.left + x * scale - event.clientX, box.top + y * scale - event.clientY);
      if (distance < least && isVisible(number)) [found, least] = [number, distance];
    });
    return found;
  }

  /* The image that lies best in a direction: near, and not far to the side. */
  function next(map, [right, down]) {
    if (current === null) return mostAnomalous();
    const [fromX, fromY] = map.places[current];
    let found = current, least = Infinity;
    map.places.forEach(([x, y], number) => {
      const along = (x - fromX) * right + (y - fromY) * down;
      const aside = Math.abs((x - fromX) * down) + Math.abs((y - fromY) * right);
      if (along > 0 && along + 2 * aside < least && isVisible(number)) [found, least] = [number, along + 2 * aside];
    });
    return found;
  }

  function mostAnomalous() {
    return data.highest_scoring.find(isVisible) ?? null;
  }

  function keep(number, map) {
    kept = number === null ? null : { number, map };
    show(number, map);
  }

  function restore() {
    if (kept) show(kept.number, kept.map);
    else show(null);
  }

  for (const map of maps) {
    map.svg.setAttribute("tabindex", "0");
    map.svg.setAttribute("role", "application");
    map.svg.setAttribute("aria-describedby", "help");
    const title = map.svg.querySelector(":scope > title");
    map.svg.setAttribute("aria-label", title.textContent);
    map.svg.removeAttribute("aria-labelledby");
    title.remove();
    map.svg.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch") return; /* a tap is a click */
      const number = nearest(map, event);
      if (number === null) restore();
      else if (number !== current) show(number, map);
    });
    map.svg.addEventListener("pointerleave", restore);
    map.svg.addEventListener("click", (event) => {
      const number = nearest(map, event);
      keep(number === kept?.number ? null : number, map);
    });
    map.svg.addEventListener("keydown", (event) => {
      if (event.key in STEPS) keep(next(map, STEPS[event.key]), map);
      else if (event.key === "Home") keep(mostAnomalous(), map);
      else if (event.key === "Escape") keep(null, map);
      else return;
      event.preventDefault();
    });
  }

  for (const entry of document.querySelectorAll(".legend li")) {
    const [what, value] = Object.entries(entry.dataset)[0];
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    button.append(...entry.childNodes);
    button.addEventListener("click", () => {
      const hides = !off[what].has(value);
      if (hides) off[what].add(value);
      else off[what].delete(value);
      button.setAttribute("aria-pressed", String(!hides));
      for (const map of maps) map.marks.forEach((mark, number) => mark.classList.toggle("off", !isVisible(number)));
      if (kept && !isVisible(kept.number)) kept = null;
      if (current !== null && !isVisible(current)) restore();
    });
    entry.append(button);
  }
  document.getElementById("help").hidden = false;
})();
