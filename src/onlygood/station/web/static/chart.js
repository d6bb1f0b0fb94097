/* The running score: a point for each image, the running average, and the threshold at 0. */
const SHOWN = 240;

export class Chart {
  constructor(canvas) {
    this.canvas = canvas;
    this.points = [];
    this.said = 0;
    new ResizeObserver(() => this.ask()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.ask());
    this.ask();
  }

  add(score, isAnomalous, average) {
    this.points.push({ score, isAnomalous, average });
    if (this.points.length > SHOWN) this.points.shift();
    this.ask();
  }

  clear() {
    this.points = [];
    this.ask();
  }

  ask() {
    if (!this.asked) this.asked = requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.asked = 0;
    const { canvas, points } = this;
    const ratio = devicePixelRatio;
    const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
    if (!width || !height) return;
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, width, height);
    pen.font = `${12 * ratio}px ${style.fontFamily}`;

    const scores = points.map((each) => each.score).sort((a, b) => a - b);
    const at = (share) => (scores.length ? scores[Math.min(scores.length - 1, Math.floor(share * scores.length))] : 0);
    let low = Math.min(at(0), 0), high = Math.max(at(1), 0);
    const room = high - low || 1;
    low -= 0.12 * room;
    high += 0.18 * room;
    const margin = 12 * ratio;
    const y = (score) => height - margin / 2 - ((score - low) / (high - low)) * (height - margin);
    const x = (number) => margin / 2 + (number / (SHOWN - 1)) * (width - margin);
    const first = SHOWN - points.length;

    pen.fillStyle = colour("anomalous-wash");
    pen.fillRect(0, 0, width, y(0));
    pen.strokeStyle = colour("ink");
    pen.lineWidth = 1.25 * ratio;
    pen.setLineDash([6 * ratio, 4 * ratio]);
    pen.beginPath();
    pen.moveTo(0, y(0));
    pen.lineTo(width, y(0));
    pen.stroke();
    pen.setLineDash([]);
    pen.fillStyle = colour("muted");
    pen.textBaseline = "bottom";
    pen.fillText("anomalous above the threshold, 0", 6 * ratio, y(0) - 3 * ratio);
    pen.textBaseline = "top";
    pen.fillText("good below", 6 * ratio, y(0) + 4 * ratio);

    pen.strokeStyle = colour("rule-strong");
    pen.lineWidth = 1 * ratio;
    pen.beginPath();
    points.forEach((each, number) => pen.lineTo(x(first + number), y(each.score)));
    pen.stroke();
    points.forEach((each, number) => {
      const across = x(first + number), down = y(each.score);
      pen.fillStyle = pen.strokeStyle = colour(each.isAnomalous ? "anomalous" : "good");
      pen.beginPath();
      if (each.isAnomalous) {
        const arm = 3.2 * ratio;
        pen.lineWidth = 2 * ratio;
        pen.moveTo(across - arm, down - arm);
        pen.lineTo(across + arm, down + arm);
        pen.moveTo(across + arm, down - arm);
        pen.lineTo(across - arm, down + arm);
        pen.stroke();
      } else {
        pen.arc(across, down, 2 * ratio, 0, 2 * Math.PI);
        pen.fill();
      }
    });
    pen.strokeStyle = colour("ink");
    pen.lineWidth = 2.25 * ratio;
    pen.lineJoin = "round";
    pen.beginPath();
    points.forEach((each, number) => pen.lineTo(x(first + number), y(each.average)));
    pen.stroke();
    this.say();
  }

  /* What a screen reader is told, at most every other second. */
  say() {
    const now = performance.now();
    if (now - this.said < 2000) return;
    this.said = now;
    const last = this.points.at(-1);
    const anomalous = this.points.filter((each) => each.isAnomalous).length;
    this.canvas.setAttribute(
      "aria-label",
      last
        ? `Scores of the last ${this.points.length} images: ${anomalous} anomalous, the newest ${last.score.toFixed(2)}, the running average ${last.average.toFixed(2)}, the threshold 0`
        : "Scores: no image yet",
    );
  }
}
