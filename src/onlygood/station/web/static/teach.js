/* The Teach page: images from a camera or from files, a region of interest, and a fit. */
import { ask, onKeys, say } from "./base.js";
import { Camera, cameraProblem, listCameras } from "./camera.js";
import { Connection, decode } from "./live_message.js";
import { drawImage } from "./overlay.js";
import { Region } from "./region.js";

const $ = (name) => document.getElementById(name);
const model = $("teach").dataset.model;
const base = `/teach/${encodeURIComponent(model)}`;
const stage = $("stage");
const region = new Region();

let camera = null; /* { take(): a promise of nothing, close() } */
let taking = 0;

function state(name, sentence) {
  stage.dataset.state = name;
  $("hint").hidden = name === "running";
  if (sentence) $("hint").textContent = sentence;
  $("start").querySelector(".text").textContent = camera ? "Stop camera" : "Start camera";
  $("take").disabled = $("burst").disabled = name !== "running";
  $("ribbon").hidden = name !== "waiting";
  $("ribbon").textContent = "The station does not answer: it is asked again";
}

class BrowserCamera {
  async open() {
    const lost = () => camera === this && stop("The camera was lost: connect it, and start again.");
    this.camera = await Camera.open($("device").value, lost);
    if (this.isClosed) {
      /* It was stopped, or another one chosen, before the browser gave this one. */
      this.camera.close();
      return;
    }
    const cameras = await listCameras();
    const chosen = $("device").value;
    $("device").replaceChildren(...cameras.map((each) => new Option(each.label, each.id, false, each.id === chosen)));
    $("device-field").hidden = cameras.length < 2;
    this.look();
  }

  async look() {
    while (!this.camera.isClosed) {
      await this.camera.next();
      if (this.camera.isClosed) return;
      const { video } = this.camera;
      if (video.videoWidth) {
        if (stage.dataset.state !== "running") state("running");
        drawImage($("image"), video, video.videoWidth, video.videoHeight);
      }
    }
  }

  async take() {
    const frame = await this.camera.take();
    if (!frame) throw new Error("The camera gave no image: start it again.");
    await send(frame.blob, `camera-${new Date().toISOString().replace(/[-:]/g, "").replace(".", "-")}.jpg`);
  }

  close() {
    this.isClosed = true;
    if (this.camera) this.camera.close();
  }
}

class StationCamera {
  constructor(source) {
    this.source = source;
  }

  async open() {
    let drawn = Promise.resolve();
    this.connection = new Connection(`/v1/live/${encodeURIComponent(this.source)}`, {
      message: (data) => {
        /* One after another: a browser may decode the second of two images first. */
        if (data instanceof ArrayBuffer) drawn = drawn.then(() => this.draw(data));
      },
      state: (name) => name === "waiting" && state("waiting"),
      refused: (sentence) => stop(sentence),
    });
  }

  async draw(data) {
    const { header, image } = decode(data);
    try {
      if (!image) throw new Error("no image");
      const bitmap = await createImageBitmap(image);
      if (camera === this) {
        drawImage($("image"), bitmap, bitmap.width, bitmap.height);
        state("running");
      }
      bitmap.close();
    } catch {
      say(
        header.problem ||
          "This browser cannot show the image: its file is damaged, or of a kind that it does not know.",
      );
    }
    this.connection.send({ ack: header.seq });
  }

  async take() {
    await add(await ask(`${base}/take`, { method: "POST", body: new URLSearchParams({ source: this.source }) }));
  }

  close() {
    this.connection.close();
  }
}

async function start() {
  const source = $("source").value;
  $("fit-source").value = source;
  const opened = source === "browser" ? new BrowserCamera() : new StationCamera(source);
  camera = opened;
  state("starting", "The camera is opened…");
  try {
    await opened.open();
  } catch (error) {
    if (camera === opened) stop(cameraProblem(error));
  }
}

function stop(sentence) {
  if (camera) camera.close();
  camera = null;
  state("stopped", sentence || "The camera is stopped.");
}

/* Send one image file; the station answers with how it is shown. */
async function send(blob, name) {
  const query = new URLSearchParams({ name });
  const headers = { "Content-Type": "application/octet-stream" };
  await add(await ask(`${base}/images?${query}`, { method: "POST", body: blob, headers }));
}

async function add(answer) {
  const holder = document.createElement("template");
  holder.innerHTML = await answer.text();
  const item = holder.content.firstElementChild;
  const known = document.getElementById(item.id);
  if (known) {
    say("This very image is there already.", "done");
    known.replaceWith(item);
  } else {
    $("taken").prepend(item);
  }
  htmx.process(item);
  counts();
}

async function take() {
  if (!camera || $("take").disabled) return;
  taking += 1;
  stage.classList.add("flash");
  setTimeout(() => stage.classList.remove("flash"), 150);
  try {
    await camera.take();
  } catch (error) {
    say(error.message);
    return false;
  } finally {
    taking -= 1;
  }
  return true;
}

async function burst() {
  for (let left = 10; left > 0 && camera; left -= 1) {
    $("burst").textContent = `${left} to go`;
    if (!(await take())) break;
    if (left > 1) await new Promise((done) => setTimeout(done, 1000));
  }
  $("burst").textContent = "Take ten, one a second";
}

async function sendFiles(files) {
  let sent = 0;
  for (const file of files) {
    try {
      await send(file, file.name);
      sent += 1;
    } catch (error) {
      say(error.message);
      if (error.status === 401 || error.status === 403 || error.status === undefined) break;
    }
  }
  if (sent > 1) say(`${sent} images are here.`, "done");
}

function counts() {
  const all = [...$("taken").children];
  const kept = all.filter((each) => each.dataset.leftOut === "no").length;
  const noun = (number) => (number === 1 ? "image" : "images");
  $("count").textContent = kept;
  $("count").nextSibling.textContent = ` ${noun(kept)} `;
  $("learn-count").textContent = kept;
  $("learn-count").nextSibling.textContent = ` ${noun(kept)}`;
  $("enough").textContent = kept < 10 ? "of at least ten" : "";
  $("learn").disabled = kept < 2;
  $("none-taken").hidden = all.length > 0;
  $("region").hidden = all.length === 0;
  const first = all.find((each) => each.dataset.leftOut === "no") || all[0];
  if (first) {
    const source = `${base}/images/${first.id.replace("taught-", "")}/picture?side=800`;
    if (!$("board-image").src) $("board-image").src = source;
  }
}

$("start").addEventListener("click", () => (camera ? stop() : start()));
$("take").addEventListener("click", take);
$("burst").addEventListener("click", burst);
$("files").addEventListener("change", async () => {
  await sendFiles([...$("files").files]);
  $("files").value = "";
});
for (const name of ["source", "device"]) {
  $(name).addEventListener("change", () => {
    if (camera) {
      stop();
      start();
    }
    $("fit-source").value = $("source").value;
  });
}
document.addEventListener("htmx:after:swap", counts);
onKeys({ s: () => (camera ? stop() : start()), p: take });

const isOfFiles = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
addEventListener("dragover", (event) => {
  if (!isOfFiles(event)) return;
  event.preventDefault();
  $("drop").hidden = false;
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("drop").hidden = true;
});
addEventListener("drop", (event) => {
  $("drop").hidden = true;
  if (!isOfFiles(event)) return;
  event.preventDefault();
  sendFiles([...event.dataTransfer.files]);
});
counts();
region.draw();
