/* The Live page: a camera of the browser or of the station, its verdicts, its map and its running score. */
import { ask, onKeys, say } from "./base.js";
import { listCameras } from "./camera.js";
import { Chart } from "./chart.js";
import { BrowserView, StationView } from "./live_views.js";
import { drawImage, drawMap } from "./overlay.js";

const $ = (name) => document.getElementById(name);
const chart = new Chart($("chart"));
const stage = $("stage");

let running = null; /* a BrowserView or a StationView */
let isFrozen = false;
let last = null; /* { header, blob, map } of what is shown */
let missed = null; /* what came last while the view stood still, with a copy of its image */
let lastSpoken = "";
let spokenAt = 0;
let arrivals = [];

const number = (value, decimals = 2) => (value < 0 ? "−" : value > 0 ? "+" : "") + Math.abs(value).toFixed(decimals);

function clear() {
  for (const name of ["image", "map"]) $(name).getContext("2d").clearRect(0, 0, $(name).width, $(name).height);
}

/* Show a message and the image that it is about; source: what drawImage takes, or null where there is no image. */
function show(header, source, map, blob) {
  const now = performance.now();
  arrivals = arrivals.filter((each) => now - each < 2000);
  arrivals.push(now);
  document.body.dataset.frames = Number(document.body.dataset.frames || 0) + 1;
  const hasVerdict = header.verdict !== undefined;
  if (hasVerdict) {
    chart.add(header.score, header.verdict === "anomalous", header.average ?? header.score);
    dot(header.verdict);
  }
  alarm(header);
  facts(header, blob ? now - blob.at : null);
  problem(header.problem);
  if (isFrozen) {
    missed = { header, source: source && copy(source, header), map, blob };
    return;
  }
  draw(header, source, map, blob);
}

function draw(header, source, map, blob) {
  const width = header.width || source?.width, height = header.height || source?.height;
  if (source) {
    drawImage($("image"), source, width, height);
    drawMap($("map"), header.map, map, width, height);
  } else {
    clear();
  }
  last = { header, blob, map };
  verdict(header.verdict !== undefined ? header : null);
}

const spare = document.createElement("canvas");
function copy(source, header) {
  drawImage(spare, source, header.width || source.width, header.height || source.height);
  return spare;
}

/* Nothing of what was shown before is there any more: it may be of another source. */
function blank() {
  last = missed = null;
  clear();
  verdict(null);
}

function verdict(header) {
  const name = header ? header.verdict : "none";
  $("verdict").className = `verdict ${name}`;
  $("word").textContent = header ? header.verdict : "no verdict";
  $("score").textContent = header ? number(header.score) : "–";
  $("p-value").textContent = header ? header.p_value.toFixed(header.p_value < 0.001 ? 5 : 3) : "–";
  $("average").textContent = header?.average != null ? number(header.average) : "–";
  const now = performance.now();
  if (header && header.verdict !== lastSpoken && now - spokenAt > 1500) {
    lastSpoken = header.verdict;
    spokenAt = now;
    $("spoken").textContent = header.verdict;
  }
}

function alarm(header) {
  const isAlarmed = Boolean(header?.is_alarmed);
  if (document.body.classList.contains("alarmed") !== isAlarmed) {
    document.body.classList.toggle("alarmed", isAlarmed);
    $("alarm-word").textContent = isAlarmed ? "Alarm" : "no alarm";
    if (isAlarmed) $("spoken").textContent = "Alarm";
  }
  $("alarm-text").textContent = header?.of ? `${header.anomalous} of the last ${header.of} images anomalous` : "no image yet";
}

function dot(name) {
  const dots = $("dots");
  const each = document.createElement("li");
  each.className = name;
  dots.append(each);
  while (dots.childElementCount > 24) dots.firstElementChild.remove();
}

function facts(header, delay) {
  const span = arrivals.at(-1) - arrivals[0];
  const rate = arrivals.length > 1 ? `${((1000 * (arrivals.length - 1)) / span).toFixed(0)} images a second` : "";
  const said = [rate];
  if (header.latency_ms !== undefined) said.push(`${header.latency_ms.toFixed(0)} ms in the model`);
  if (delay !== null) said.push(`${delay.toFixed(0)} ms from camera to verdict`);
  if (header.model) said.push(`${header.model}, version ${header.version}`);
  if (header.width) said.push(`${header.width} × ${header.height}`);
  if (header.skipped) said.push(`${header.skipped} skipped`);
  if (header.notes?.length) said.push(header.notes.join("; "));
  $("facts").textContent = said.filter(Boolean).join(" · ");
}

function problem(sentence) {
  $("problem").hidden = !sentence;
  $("problem").textContent = sentence || "";
}

function state(name, sentence) {
  stage.dataset.state = name;
  $("hint").hidden = name === "running";
  if (sentence) $("hint").textContent = sentence;
  $("start").querySelector(".text").textContent = running ? "Stop" : "Start";
  $("start").classList.toggle("primary", !running);
  showRibbon();
}

/* Over the image: why it stands still, where it does. */
function showRibbon() {
  let text = "";
  if (!running) text = last ? "Stopped" : "";
  else if (stage.dataset.state === "waiting") text = "The station does not answer: it is asked again";
  else if (isFrozen) text = "Frozen: the view stands still, images go on";
  else text = running.notice || "";
  $("ribbon").hidden = !text;
  $("ribbon").textContent = text;
}

/* What a view tells the page; one that was left tells it nothing any more. */
const on = Object.fromEntries(
  Object.entries({
    show,
    state,
    stop: (sentence) => stop(sentence),
    opened: fillDevices,
    notice: showRibbon,
  }).map(([name, action]) => [name, (view, ...given) => view === running && action(...given)]),
);

function start() {
  if (running) return;
  const source = $("source").value;
  problem("");
  blank();
  if (source === "browser") {
    if (!$("model").value) {
      state("stopped", "There is no model yet: teach one first.");
      return;
    }
    const [m, n] = [Number($("m").value), Number($("n").value)];
    running = new BrowserView(on, { model: $("model").value, m, n, device: $("device").value });
    state("starting", "The browser asks for its camera…");
  } else {
    running = new StationView(on, source);
    state("starting", "Waiting for the first image…");
  }
}

function stop(sentence) {
  if (running) running.close();
  running = null;
  missed = null;
  freeze(false);
  alarm(null);
  state("stopped", sentence || (last ? "" : "Press Start, or the key s."));
  if (last && !sentence) $("hint").hidden = true;
}

function freeze(wanted) {
  isFrozen = wanted;
  if (!isFrozen && missed) draw(missed.header, missed.source, missed.map, missed.blob);
  missed = null;
  $("freeze").setAttribute("aria-pressed", wanted);
  showRibbon();
}

/* The id of what is shown when this is called; it is remembered first if it is not yet. */
async function recorded() {
  const shown = last;
  if (!shown || shown.header.verdict === undefined) {
    throw new Error("There is no image with a verdict to take: start first.");
  }
  if (!shown.header.id) {
    if (!running) {
      throw new Error("The image that is shown was not remembered, and the view is stopped: start, and take another.");
    }
    shown.header.id = await running.record(shown);
  }
  return shown.header.id;
}

async function take() {
  try {
    const id = await recorded();
    stage.classList.add("flash");
    setTimeout(() => stage.classList.remove("flash"), 180);
    say(`The image is remembered as number ${id}.`, "done");
  } catch (error) {
    say(error.message);
  }
}

async function label(name) {
  const button = $(name);
  if (!button) {
    say("To say good or defect needs a token with the right to correct: log in with another one.");
    return;
  }
  try {
    const id = await recorded();
    await ask(`/history/${id}/feedback`, { method: "POST", body: new URLSearchParams({ label: name }) });
    say(name === "good" ? `Image ${id} is marked as good.` : `Image ${id} is marked as a defect.`, "done");
  } catch (error) {
    say(error.message);
  }
}

/* The cameras of the browser have names once one was allowed. */
async function fillDevices() {
  const cameras = await listCameras();
  const chosen = $("device").value;
  $("device").replaceChildren(...cameras.map((each) => new Option(each.label, each.id, false, each.id === chosen)));
  $("device-field").hidden = cameras.length < 2 || $("source").value !== "browser";
}

function choose() {
  const isBrowser = $("source").value === "browser";
  $("model-field").hidden = $("alarm-field").hidden = !isBrowser;
  $("device-field").hidden ||= !isBrowser;
  $("trigger").hidden = isBrowser || $("source").selectedOptions[0]?.dataset.trigger !== "http";
  const query = new URLSearchParams({ source: $("source").value });
  if (isBrowser && $("model").value) query.set("model", $("model").value);
  history.replaceState(null, "", `?${query}`);
}

function again() {
  choose();
  const wasRunning = Boolean(running);
  stop();
  blank();
  state("stopped", "Press Start, or the key s.");
  chart.clear();
  $("dots").replaceChildren();
  if (wasRunning) start();
}

function opacity(value) {
  $("opacity").value = value;
  $("map").style.opacity = value / 100;
  $("opacity-text").textContent = `${value} %`;
  localStorage.setItem("map-opacity", value);
}

for (const name of ["source", "model", "m", "n", "device"]) $(name).addEventListener("change", again);
$("choice").addEventListener("submit", (event) => event.preventDefault());
$("opacity").addEventListener("input", () => opacity(Number($("opacity").value)));
$("start").addEventListener("click", () => (running ? stop() : start()));
$("freeze").addEventListener("click", () => freeze(!isFrozen));
$("take").addEventListener("click", take);
$("good")?.addEventListener("click", () => label("good"));
$("defect")?.addEventListener("click", () => label("defect"));
$("trigger").addEventListener("click", async () => {
  try {
    await ask(`/live/${encodeURIComponent($("source").value)}/trigger`, { method: "POST" });
  } catch (error) {
    say(error.message);
  }
});
onKeys({
  s: () => (running ? stop() : start()),
  p: take,
  " ": () => freeze(!isFrozen),
  g: () => label("good"),
  d: () => label("defect"),
  m: () => opacity(Number($("opacity").value) > 0 ? 0 : 100),
});

opacity(Number(localStorage.getItem("map-opacity") ?? 100));
const asked = new URLSearchParams(location.search);
choose();
if (asked.has("start") || $("source").value !== "browser") start();
