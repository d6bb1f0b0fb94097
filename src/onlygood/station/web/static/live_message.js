/* One live message: see live.py for its form. */
import { login } from "./base.js";

export function decode(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const begin = 4 + length;
  const bytes = header.image ? header.image.bytes : 0;
  const image = bytes ? new Blob([new Uint8Array(buffer, begin, bytes)], { type: header.image.type }) : null;
  const map = header.map ? new Uint8Array(buffer, begin + bytes, header.map.h * header.map.w) : null;
  return { header, image, map };
}

/* A WebSocket that opens again by itself, with growing pauses, until it is closed for good.
   It says: message(data), state("open" | "waiting"), refused(sentence, status). */
export class Connection {
  constructor(path, { message, state, refused }) {
    Object.assign(this, { path, message, state, refused });
    this.pause = 250;
    this.isClosed = false;
    this.again = () => this.open();
    window.addEventListener("online", this.again);
    this.open();
  }

  open() {
    if (this.isClosed || (this.socket && this.socket.readyState <= WebSocket.OPEN)) return;
    clearTimeout(this.timer);
    const url = new URL(this.path, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => {
      this.wasOpen = true;
      this.state("open");
    };
    socket.onmessage = (event) => {
      this.pause = 250;
      if (typeof event.data === "string") {
        const said = JSON.parse(event.data);
        if (said.status) this.refusal = said;
        else this.message(said);
      } else {
        this.message(event.data);
      }
    };
    socket.onclose = (event) => {
      if (this.isClosed) return;
      if (event.code >= 4400 && event.code < 4500 && this.refusal) {
        this.close();
        this.refused(this.refusal.problem, this.refusal.status);
        return;
      }
      if (!this.wasOpen) this.checkToken();
      this.wasOpen = false;
      this.state("waiting");
      this.timer = setTimeout(this.again, this.pause);
      this.pause = Math.min(2 * this.pause, 5000);
    };
  }

  /* A WebSocket that is refused does not say why: a token may have been taken away. */
  async checkToken() {
    try {
      if ((await fetch("/v1/identity")).status === 401) login();
    } catch {
      /* The station does not answer: it is asked again. */
    }
  }

  get isOpen() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  send(data) {
    if (this.isOpen) this.socket.send(typeof data === "string" || data instanceof Blob ? data : JSON.stringify(data));
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.timer);
    window.removeEventListener("online", this.again);
    if (this.socket) this.socket.close();
  }
}
