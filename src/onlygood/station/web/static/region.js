/* A box on an image: drawn with mouse or finger, or typed as percent. */
const $ = (name) => document.getElementById(name);
const EDGES = ["top", "left", "bottom", "right"];

export class Region {
  constructor() {
    this.board = $("board");
    this.lines = $("board-lines");
    this.board.addEventListener("pointerdown", (event) => this.begin(event));
    this.board.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) this.board.addEventListener(end, () => this.end());
    for (const edge of EDGES) $(edge).addEventListener("input", () => this.draw());
    $("whole").addEventListener("click", () => this.set(0, 0, 100, 100));
    $("board-image").addEventListener("load", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.board);
  }

  place(event) {
    const box = this.board.getBoundingClientRect();
    const share = (value, size) => Math.min(100, Math.max(0, (100 * value) / size));
    return [share(event.clientX - box.left, box.width), share(event.clientY - box.top, box.height)];
  }

  begin(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.board.setPointerCapture(event.pointerId);
    this.from = this.place(event);
  }

  move(event) {
    if (!this.from) return;
    const [x, y] = this.place(event);
    const [fromX, fromY] = this.from;
    if (Math.abs(x - fromX) < 1 || Math.abs(y - fromY) < 1) return;
    this.set(Math.min(y, fromY), Math.min(x, fromX), Math.max(y, fromY), Math.max(x, fromX));
  }

  end() {
    this.from = null;
  }

  set(...values) {
    EDGES.forEach((edge, number) => {
      $(edge).value = Math.round(10 * values[number]) / 10;
    });
    this.draw();
  }

  draw() {
    const across = Math.round(this.board.clientWidth * devicePixelRatio);
    const down = Math.round(this.board.clientHeight * devicePixelRatio);
    if (!across || !down) return;
    this.lines.width = across;
    this.lines.height = down;
    const [top, left, bottom, right] = EDGES.map((edge) => Number($(edge).value) / 100);
    const pen = this.lines.getContext("2d");
    const box = [left * across, top * down, (right - left) * across, (bottom - top) * down];
    pen.fillStyle = "rgba(10, 14, 20, .62)";
    pen.fillRect(0, 0, across, down);
    pen.clearRect(...box);
    if (top <= 0 && left <= 0 && bottom >= 1 && right >= 1) return;
    for (const [colour, thick] of [["rgba(0, 0, 0, .7)", 4], ["#fff", 2]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = thick * devicePixelRatio;
      pen.strokeRect(...box);
    }
  }
}
