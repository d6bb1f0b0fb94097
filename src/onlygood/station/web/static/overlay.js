/* The anomaly map over its image: the colours of the reports, and a line where it is high. */
import { SCALE, HIGH } from "./map_scale.js";

const small = document.createElement("canvas");

/* Draw an image into a canvas of its own size. */
export function drawImage(canvas, image, width, height) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  canvas.getContext("2d").drawImage(image, 0, 0, width, height);
}

/* Draw a map into a canvas that lies over the image. How strong it is seen is the opacity of that canvas.
   entry: { h, w } of the map; map: its bytes; width, height: of the image. */
export function drawMap(canvas, entry, map, width, height) {
  const shrink = Math.min(1, 1280 / Math.max(width, height));
  const across = Math.max(1, Math.round(width * shrink));
  const down = Math.max(1, Math.round(height * shrink));
  if (canvas.width !== across) canvas.width = across;
  if (canvas.height !== down) canvas.height = down;
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, across, down);
  if (!map) return;
  small.width = entry.w;
  small.height = entry.h;
  const brush = small.getContext("2d");
  const pixels = brush.createImageData(entry.w, entry.h);
  const words = new Uint32Array(pixels.data.buffer);
  for (let at = 0; at < map.length; at += 1) words[at] = SCALE[map[at]];
  brush.putImageData(pixels, 0, 0);
  pen.imageSmoothingEnabled = true;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(small, 0, 0, across, down);
  const line = contour(map, entry.w, entry.h, HIGH, across / entry.w, down / entry.h);
  pen.lineJoin = "round";
  for (const [colour, thick] of [["rgba(40, 20, 30, .55)", 4.5], ["#fff", 2]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = thick * Math.max(1, across / 640);
    pen.stroke(line);
  }
}

/* Marching squares: the line at a level, between the middles of the map's places. */
export function contour(map, w, h, level, unitX, unitY) {
  const line = new Path2D();
  const value = (x, y) => (x < 0 || y < 0 || x >= w || y >= h ? 0 : map[y * w + x]);
  const cross = (a, b) => (level + 0.5 - a) / (b - a);
  for (let y = -1; y < h; y += 1) {
    for (let x = -1; x < w; x += 1) {
      const a = value(x, y), b = value(x + 1, y), c = value(x + 1, y + 1), d = value(x, y + 1);
      const code = (a > level) | ((b > level) << 1) | ((c > level) << 2) | ((d > level) << 3);
      if (code === 0 || code === 15) continue;
      const top = () => [x + cross(a, b), y];
      const right = () => [x + 1, y + cross(b, c)];
      const bottom = () => [x + cross(d, c), y + 1];
      const left = () => [x, y + cross(a, d)];
      const lines = {
        1: [[left, top]], 2: [[top, right]], 3: [[left, right]], 4: [[right, bottom]],
        5: [[left, top], [right, bottom]], 6: [[top, bottom]], 7: [[left, bottom]],
        8: [[bottom, left]], 9: [[bottom, top]], 10: [[top, right], [bottom, left]],
        11: [[bottom, right]], 12: [[right, left]], 13: [[right, top]], 14: [[top, left]],
      }[code];
      for (const [from, to] of lines) {
        const [x1, y1] = from(), [x2, y2] = to();
        line.moveTo((x1 + 0.5) * unitX, (y1 + 0.5) * unitY);
        line.lineTo((x2 + 0.5) * unitX, (y2 + 0.5) * unitY);
      }
    }
  }
  return line;
}
