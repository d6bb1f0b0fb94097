/* One inspection: its map over its image. */
import { ask, onKeys } from "./base.js";
import { decode } from "./live_message.js";
import { drawMap } from "./overlay.js";

const $ = (name) => document.getElementById(name);
const id = $("inspection").dataset.id;

function opacity(value) {
  $("opacity").value = value;
  $("map").style.opacity = value / 100;
  $("opacity-text").textContent = `${value} %`;
}

onKeys({
  g: () => document.querySelector(".say.good")?.click(),
  d: () => document.querySelector(".say.defect")?.click(),
  m: () => $("map") && opacity(Number($("opacity").value) > 0 ? 0 : 100),
  j: () => $("older")?.click(),
  u: () => $("back").click(),
});

if ($("map")) {
  opacity(100);
  $("opacity").addEventListener("input", () => opacity(Number($("opacity").value)));
  try {
    const answer = await ask(`/history/${id}/map`);
    const { header, map } = decode(await answer.arrayBuffer());
    drawMap($("map"), header.map, map, header.width, header.height);
    $("map-state").textContent = "";
    $("map").dataset.isDrawn = "yes";
  } catch (error) {
    $("map-state").textContent = error.message;
  }
}
