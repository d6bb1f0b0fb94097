"use strict";
(() => {
  const NEAR = 14; /* pixels on the screen */
  const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (name) => document.getElementById(name);
  const board = $("board");
  const image = $("image");
  const shade = $("shade");
  const lines = $("lines");
  const mask = document.createElement("canvas");
  const { width, height } = data;

  let shapes = []; /* { points: [[x, y], ...] in pixels of the image, box, cut } */
  let history = [];
  let tool = "box";
  let cut = false;
  let drawn = null; /* what is being drawn */
  let chosen = -1;
  let cross = null;
  let drag = null;
  let shown = 0;
  let base = null;

  const clamp = (x, y) => [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
  const copy = (all) => all.map((each) => ({ ...each, points: each.points.map((point) => [...point]) }));
  const corners = (from, to) => [[from[0], from[1]], [to[0], from[1]], [to[0], to[1]], [from[0], to[1]]];
  const scale = () => board.clientWidth / width;
  const hasArea = (points) => {
    const xs = points.map((point) => point[0]);
    const ys = points.map((point) => point[1]);
    return Math.max(...xs) - Math.min(...xs) >= 1 && Math.max(...ys) - Math.min(...ys) >= 1;
  };

  function remember() {
    history.push(copy(shapes));
    if (history.length > 100) history.shift();
  }

  /* The mask: what is looked at is opaque white, all else clear. */
  function paint(canvas, across, down) {
    canvas.width = across;
    canvas.height = down;
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.imageSmoothingEnabled = false;
    if (base && $("base").checked) {
      pen.drawImage(base, 0, 0, across, down);
      const pixels = pen.getImageData(0, 0, across, down);
      for (let at = 0; at < pixels.data.length; at += 4) pixels.data[at + 3] = pixels.data[at] > 127 ? 255 : 0;
      pen.putImageData(pixels, 0, 0);
    }
    pen.fillStyle = "#fff";
    for (const shape of shapes) {
      pen.globalCompositeOperation = shape.cut ? "destination-out" : "source-over";
      pen.beginPath();
      for (const [x, y] of shape.points) pen.lineTo((x * across) / width, (y * down) / height);
      pen.closePath();
      pen.fill("evenodd");
    }
    pen.globalCompositeOperation = "source-over";
    return pen;
  }

  function trace(pen, points, closed, unit) {
    pen.beginPath();
    for (const [x, y] of points) pen.lineTo(x * unit, y * unit);
    if (closed) pen.closePath();
    for (const [colour, thick] of [["rgba(0, 0, 0, .75)", 4], ["#fff", 1.75]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = thick * devicePixelRatio;
      pen.stroke();
    }
  }

  function draw() {
    const across = Math.max(1, Math.round(board.clientWidth * devicePixelRatio));
    const down = Math.max(1, Math.round((across * height) / width));
    const pen = paint(mask, across, down);
    const alphas = pen.getImageData(0, 0, across, down).data;
    let seen = 0;
    for (let at = 3; at < alphas.length; at += 4) seen += alphas[at] > 127;
    const share = seen / (across * down);

    shade.width = lines.width = across;
    shade.height = lines.height = down;
    if (share > 0) {
      const dark = shade.getContext("2d");
      dark.fillStyle = "rgba(10, 14, 20, .68)";
      dark.fillRect(0, 0, across, down);
      dark.globalCompositeOperation = "destination-out";
      dark.drawImage(mask, 0, 0);
    }
    const line = lines.getContext("2d");
    const unit = across / width;
    shapes.forEach((shape, number) => {
      line.setLineDash(shape.cut ? [6 * devicePixelRatio, 5 * devicePixelRatio] : []);
      trace(line, shape.points, true, unit);
      line.setLineDash([]);
      if (number === chosen) for (const [x, y] of shape.points) handle(line, x * unit, y * unit);
    });
    if (drawn) {
      line.setLineDash(drawn.cut ? [6 * devicePixelRatio, 5 * devicePixelRatio] : []);
      const points = drawn.box ? corners(drawn.points[0], drawn.to) : drawn.to ? [...drawn.points, drawn.to] : drawn.points;
      trace(line, points, drawn.box, unit);
      line.setLineDash([]);
      if (!drawn.box) for (const [x, y] of drawn.points) handle(line, x * unit, y * unit);
    }
    line.setLineDash([]);
    if (cross && document.activeElement === board && tool !== "move") {
      const [x, y] = [cross[0] * unit, cross[1] * unit];
      const arm = 12 * devicePixelRatio;
      trace(line, [[x - arm, y], [x + arm, y]], false, 1);
      trace(line, [[x, y - arm], [x, y + arm]], false, 1);
    }
    report(share);
  }

  function handle(pen, x, y) {
    pen.beginPath();
    pen.arc(x, y, 5 * devicePixelRatio, 0, 2 * Math.PI);
    pen.fillStyle = "#fff";
    pen.fill();
    pen.strokeStyle = "#000";
    pen.lineWidth = 1.5 * devicePixelRatio;
    pen.stroke();
  }

  function report(share) {
    const percent = share > 0 && share < 0.001 ? "less than 0.1" : (100 * share).toFixed(1);
    const looks = `${percent} % of the image is looked at`;
    const many = `${shapes.length} shape${shapes.length === 1 ? "" : "s"}`;
    let text = share > 0 ? `${looks}, ${many}.` : "Nothing is looked at yet: draw a box or a polygon.";
    if (drawn && !drawn.box) text += ` ${drawn.points.length} corners so far: click the first one, or press Enter, to close.`;
    if ($("status").textContent !== text) $("status").textContent = text;
    const plain = shapes.length > 0 && !shapes.some((each) => each.cut) && !(base && $("base").checked);
    $("save-png").disabled = share === 0;
    $("save-json").disabled = !plain;
    $("save-json").title = plain ? "" : "JSON holds shapes that are looked at alone: save the mask";
    $("undo").disabled = history.length === 0;
    $("clear").disabled = shapes.length === 0;
    $("remove").disabled = chosen < 0;
    for (const each of document.querySelectorAll("button[data-tool]")) each.setAttribute("aria-pressed", each.dataset.tool === tool);
    for (const each of document.querySelectorAll("button[data-cut]")) each.setAttribute("aria-pressed", (each.dataset.cut === "true") === cut);
    board.dataset.tool = tool;
  }

  function add(shape) {
    if (!hasArea(shape.points)) return;
    remember();
    shapes.push(shape);
    chosen = shapes.length - 1;
  }

  function close() {
    if (drawn && !drawn.box && drawn.points.length >= 3) add({ points: drawn.points, box: false, cut: drawn.cut });
    drawn = null;
    draw();
  }

  function press(point, isNear) {
    if (tool === "box") {
      if (drawn) {
        add({ points: corners(drawn.points[0], point), box: true, cut: drawn.cut });
        drawn = null;
      } else drawn = { points: [point], to: point, box: true, cut };
    } else if (tool === "polygon") {
      if (drawn && drawn.points.length >= 3 && isNear(drawn.points[0])) return close();
      if (!drawn) drawn = { points: [], to: null, box: false, cut };
      drawn.points.push(point);
    }
    draw();
  }

  function choose(name) {
    tool = name;
    drawn = null;
    if (name !== "move") chosen = -1;
    draw();
  }

  function remove() {
    if (drawn && !drawn.box) {
      drawn.points.pop();
      if (!drawn.points.length) drawn = null;
    } else if (chosen >= 0) {
      remember();
      shapes.splice(chosen, 1);
      chosen = Math.min(chosen, shapes.length - 1);
    }
    draw();
  }

  function undo() {
    if (drawn) drawn = null;
    else if (history.length) shapes = history.pop();
    chosen = -1;
    draw();
  }

  /* Pointers */

  const at = (event) => {
    const box = board.getBoundingClientRect();
    return clamp(((event.clientX - box.left) * width) / box.width, ((event.clientY - box.top) * height) / box.height);
  };
  const near = (point) => (other) => Math.hypot(point[0] - other[0], point[1] - other[1]) * scale() <= NEAR;

  function inside(points, [x, y]) {
    let is = false;
    points.forEach(([x0, y0], number) => {
      const [x1, y1] = points[(number + 1) % points.length];
      if (y0 <= y !== y1 <= y && x0 + ((y - y0) * (x1 - x0)) / (y1 - y0) <= x) is = !is;
    });
    return is;
  }

  board.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    board.focus({ preventScroll: true });
    board.setPointerCapture(event.pointerId);
    const point = at(event);
    cross = null;
    if (tool !== "move") {
      const begins = tool === "box" && !drawn;
      press(point, near(point));
      drag = begins ? { box: true, from: point } : null;
      return;
    }
    const corner = chosen >= 0 ? shapes[chosen].points.findIndex(near(point)) : -1;
    if (corner < 0) chosen = shapes.findLastIndex((each) => inside(each.points, point));
    drag = chosen < 0 ? null : { corner, from: point, before: copy(shapes), moved: false };
    draw();
  });

  board.addEventListener("pointermove", (event) => {
    const point = at(event);
    if (drawn) {
      drawn.to = point;
      draw();
    } else if (drag && !drag.box) {
      shift(drag, [point[0] - drag.from[0], point[1] - drag.from[1]]);
      draw();
    }
  });

  function shift(move, [across, down]) {
    const shape = shapes[chosen];
    const old = move.before[chosen].points;
    move.moved = move.moved || across !== 0 || down !== 0;
    if (move.corner >= 0 && shape.box) {
      const opposite = old[(move.corner + 2) % 4];
      const moved = clamp(old[move.corner][0] + across, old[move.corner][1] + down);
      const turned = corners(moved, opposite);
      /* The corners keep their numbers, so that the same one stays in the hand. */
      const first = move.corner % 2 ? [turned[0], turned[3], turned[2], turned[1]] : turned;
      shape.points = old.map((_, number) => first[(number - move.corner + 4) % 4]);
    } else if (move.corner >= 0) {
      shape.points[move.corner] = clamp(old[move.corner][0] + across, old[move.corner][1] + down);
    } else {
      const xs = old.map((each) => each[0]);
      const ys = old.map((each) => each[1]);
      const right = Math.min(Math.max(across, -Math.min(...xs)), width - Math.max(...xs));
      const low = Math.min(Math.max(down, -Math.min(...ys)), height - Math.max(...ys));
      shape.points = old.map(([x, y]) => [x + right, y + low]);
    }
  }

  function lift(event) {
    if (drag && drag.box && drawn) {
      /* A drag makes the box at once; after a click its other corner is clicked. */
      const point = at(event);
      if (Math.hypot(point[0] - drag.from[0], point[1] - drag.from[1]) * scale() > 4) press(point, near(point));
    } else if (drag && drag.moved) {
      history.push(drag.before);
    }
    drag = null;
    draw();
  }
  board.addEventListener("pointerup", lift);
  board.addEventListener("pointercancel", () => {
    drag = null;
    drawn = null;
    draw();
  });
  board.addEventListener("dblclick", () => {
    if (drawn && !drawn.box && drawn.points.length > 3) drawn.points.pop(); /* the second click of the two */
    if (drawn && !drawn.box) close();
  });

  /* Keys */

  board.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    const key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && key === "z") undo();
    else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (step) {
      const far = (event.shiftKey ? 10 : 1) * Math.max(1, Math.round(Math.max(width, height) / 400));
      const by = [step[0] * far, step[1] * far];
      if (tool === "move") {
        if (chosen < 0) return;
        remember();
        shift({ corner: -1, before: copy(shapes) }, by);
      } else {
        cross = cross ? clamp(cross[0] + by[0], cross[1] + by[1]) : [Math.round(width / 2), Math.round(height / 2)];
        if (drawn) drawn.to = cross;
      }
    } else if (event.key === " " && tool === "move") chosen = shapes.length ? (chosen + 1) % shapes.length : -1;
    else if (event.key === " ") {
      cross = cross || [Math.round(width / 2), Math.round(height / 2)];
      press([...cross], (other) => other[0] === cross[0] && other[1] === cross[1]);
    } else if (event.key === "Enter") close();
    else if (event.key === "Escape") drawn = null;
    else if (event.key === "Delete" || event.key === "Backspace") remove();
    else if (key === "b") choose("box");
    else if (key === "p") choose("polygon");
    else if (key === "m") choose("move");
    else if (key === "l") cut = false;
    else if (key === "o") cut = true;
    else if (event.key === "[") flip(-1);
    else if (event.key === "]") flip(1);
    else return;
    event.preventDefault();
    draw();
  });
  board.addEventListener("focus", draw);
  board.addEventListener("blur", draw);

  /* Buttons */

  function flip(by) {
    shown = (shown + by + data.images.length) % data.images.length;
    image.src = data.images[shown].uri;
    image.alt = $("name").textContent = data.images[shown].name;
    $("place").textContent = `(${shown + 1} of ${data.images.length})`;
  }

  for (const each of document.querySelectorAll("button[data-tool]")) each.addEventListener("click", () => choose(each.dataset.tool));
  for (const each of document.querySelectorAll("button[data-cut]")) {
    each.addEventListener("click", () => {
      cut = each.dataset.cut === "true";
      draw();
    });
  }
  $("undo").addEventListener("click", undo);
  $("remove").addEventListener("click", remove);
  $("clear").addEventListener("click", () => {
    remember();
    shapes = [];
    drawn = null;
    chosen = -1;
    draw();
  });
  $("previous").addEventListener("click", () => flip(-1));
  $("next").addEventListener("click", () => flip(1));
  $("base").addEventListener("change", draw);

  function save(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  $("save-png").addEventListener("click", () => {
    const canvas = document.createElement("canvas");
    const pen = paint(canvas, data.maskWidth, data.maskHeight);
    const pixels = pen.getImageData(0, 0, canvas.width, canvas.height);
    for (let place = 0; place < pixels.data.length; place += 4) {
      pixels.data.fill(pixels.data[place + 3] > 127 ? 255 : 0, place, place + 3);
      pixels.data[place + 3] = 255;
    }
    pen.putImageData(pixels, 0, 0);
    canvas.toBlob((blob) => save(blob, "roi.png"), "image/png");
  });

  $("save-json").addEventListener("click", () => {
    const round = (value) => Math.round(100 * value) / 100;
    const written = {
      version: "5.0.0",
      flags: {},
      shapes: shapes.map((each) => ({
        label: "roi",
        points: (each.box ? [each.points[0], each.points[2]] : each.points).map((point) => point.map(round)),
        group_id: null,
        shape_type: each.box ? "rectangle" : "polygon",
        flags: {},
      })),
      imagePath: data.images[shown].name,
      imageData: null,
      imageHeight: height,
      imageWidth: width,
    };
    save(new Blob([JSON.stringify(written, null, 1)], { type: "application/json" }), "roi.json");
  });

  /* The board has the shape of the images, and is no higher than the screen. */
  function fit() {
    const widest = board.parentElement.clientWidth;
    const highest = Math.max(240, 0.78 * innerHeight);
    const across = Math.min(widest, (highest * width) / height);
    board.style.width = `${across}px`;
    board.style.height = `${(across * height) / width}px`;
    draw();
  }
  addEventListener("resize", fit);

  for (const each of document.querySelectorAll(".tools")) each.hidden = false;
  if (data.mask) {
    const loaded = new Image();
    loaded.addEventListener("load", () => {
      base = loaded;
      $("begin").hidden = false;
      draw();
    });
    loaded.src = data.mask;
  }
  flip(0);
  fit();
})();
