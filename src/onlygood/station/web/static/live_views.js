/* What the Live page looks at: the camera of this browser, or a source of the station. */
import { ask } from "./base.js";
import { Camera, cameraProblem } from "./camera.js";
import { Connection, decode } from "./live_message.js";

const NO_ANSWER = "The station does not answer: take the image again when it does.";

/* The camera of this browser: the next image is sent when the answer to the last one is here. */
export class BrowserView {
  /* on: what the page does: show(view, header, image, map, frame), state(view, name), stop(view, sentence),
     opened(view) with the camera. */
  constructor(on, { model, m, n, device }) {
    Object.assign(this, { on, device });
    this.answerMs = this.takeMs = 40; /* how long an answer and an image take, of late */
    this.connection = new Connection(`/v1/live/browser?${new URLSearchParams({ model, m, n })}`, {
      message: (data) => this.message(data),
      state: (name) => this.changed(name),
      refused: (sentence) => on.stop(this, sentence),
    });
    this.begin();
  }

  async begin() {
    try {
      const lost = () => this.on.stop(this, "The camera was lost: connect it, and start again.");
      this.camera = await Camera.open(this.device, lost);
    } catch (error) {
      this.on.stop(this, cameraProblem(error));
      return;
    }
    if (this.isClosed) {
      this.camera.close();
      return;
    }
    this.on.opened(this);
    this.on.state(this, "running");
    this.next();
  }

  changed(name) {
    /* What was sent on a connection that broke is not answered any more. */
    this.sent?.wanted?.done({ problem: NO_ANSWER });
    this.sent = this.coming = null;
    if (this.camera) this.on.state(this, name === "open" ? "running" : "waiting");
    if (name === "open") this.next();
  }

  /* Sends one image when no other is under way. The one after it is taken and encoded meanwhile. */
  async next() {
    if (!this.camera || this.sent || this.isTaking || !this.connection.isOpen) return;
    let frame = null;
    if (!this.wanted) {
      this.isTaking = true;
      try {
        frame = await (this.coming || this.camera.take());
      } catch {
        /* It is taken again. */
      }
      this.coming = null;
      this.isTaking = false;
    }
    /* What a person took goes first, also when it was taken while the camera was waited for. */
    const { wanted } = this;
    if (wanted) ({ frame } = wanted);
    if (!this.connection.isOpen || this.isClosed) return;
    if (!frame?.blob) {
      /* The camera gave none this time: nothing else would ask it again. */
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.next(), 200);
      return;
    }
    this.sent = { frame, wanted };
    if (wanted) this.connection.send({ record: true });
    this.wanted = null;
    this.sentAt = performance.now();
    this.connection.send(frame.blob);
    /* It is taken as late as it can be, so that it is ready when the answer comes and is not old then. */
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.prepare(), Math.max(0, this.answerMs - 1.2 * this.takeMs));
  }

  prepare() {
    if (this.coming || !this.sent || this.isClosed) return;
    const began = performance.now();
    this.coming = this.camera.take().then((frame) => {
      if (frame?.blob) this.takeMs += 0.2 * (performance.now() - began - this.takeMs);
      return frame;
    });
    /* It may fail before next() waits for it, which takes another one then. */
    this.coming.catch(() => {});
  }

  message(data) {
    if (!(data instanceof ArrayBuffer) || !this.sent) return;
    const { header, map } = decode(data);
    const { frame, wanted } = this.sent;
    this.sent = null;
    this.answerMs += 0.2 * (performance.now() - this.sentAt - this.answerMs);
    if (wanted) {
      wanted.done(header);
    } else {
      this.on.show(this, header, frame.canvas, map, frame);
    }
    this.next();
  }

  /* The id of the inspection of what was shown, which is remembered now. */
  record(shown) {
    return new Promise((resolve, reject) => {
      this.wanted = {
        frame: shown.blob,
        done: (header) => (header.id ? resolve(header.id) : reject(new Error(header.problem))),
      };
      this.next();
    });
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.timer);
    this.connection.close();
    if (this.camera) this.camera.close();
  }
}

/* A source of the station: its newest frames come by themselves. */
export class StationView {
  /* on: as of BrowserView, and notice(view) where `notice` says how the source is doing. */
  constructor(on, source) {
    this.on = on;
    this.answers = new Map();
    this.drawn = Promise.resolve();
    this.path = `/v1/sources/${encodeURIComponent(source)}`;
    this.timer = setInterval(() => this.look(), 1500);
    this.look();
    this.connection = new Connection(`/v1/live/${encodeURIComponent(source)}`, {
      message: (data) => this.message(data),
      state: (name) => this.changed(name),
      refused: (sentence) => on.stop(this, sentence),
    });
  }

  /* How the source itself is doing: a camera that was lost sends nothing that would say so. */
  async look() {
    try {
      const status = await (await ask(this.path)).json();
      this.notice = status.state === "running" ? "" : status.problem || `The source is ${status.state}`;
    } catch (error) {
      this.notice = error.status ? error.message : ""; /* without an answer the connection waits, and says so */
    }
    this.on.notice(this);
  }

  changed(name) {
    for (const each of this.answers.values()) each({ problem: NO_ANSWER });
    this.answers.clear();
    this.on.state(this, name === "open" ? "running" : "waiting");
  }

  message(data) {
    if (data instanceof ArrayBuffer) {
      /* One after another: a browser may decode the second of two images first. */
      this.drawn = this.drawn.then(() => this.draw(data));
      return;
    }
    const answer = this.answers.get(data.recorded);
    this.answers.delete(data.recorded);
    if (answer) answer(data);
  }

  async draw(data) {
    const { header, image, map } = decode(data);
    let bitmap = null;
    try {
      bitmap = image && (await createImageBitmap(image));
    } catch {
      header.problem ||= "This browser cannot show the image: its file is damaged, or of a kind that it does not know.";
    }
    /* Without an image, too: what was said of the one before it must not stand there. */
    this.on.show(this, header, bitmap, map, null);
    bitmap?.close();
    this.connection.send({ ack: header.seq });
  }

  record(shown) {
    if (!this.connection.isOpen) return Promise.reject(new Error(NO_ANSWER));
    return new Promise((resolve, reject) => {
      this.answers.set(shown.header.seq, (said) => (said.id ? resolve(said.id) : reject(new Error(said.problem))));
      this.connection.send({ record: shown.header.seq });
    });
  }

  close() {
    clearInterval(this.timer);
    this.connection.close();
  }
}
