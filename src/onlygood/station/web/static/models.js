/* Sends a model file to the station, which audits it before it is served. */
import { ask, say } from "./base.js";

const $ = (name) => document.getElementById(name);
const form = $("upload-form");
form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const [file] = $("file").files;
  const name = $("name").value.trim() || file.name.replace(/\.onnx$/i, "");
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const query = new URLSearchParams({ note: $("note").value });
    await ask(`/v1/models/${encodeURIComponent(name)}?${query}`, {
      method: "PUT",
      body: file,
      headers: { "Content-Type": "application/octet-stream" },
    });
    location.assign(`/models/${encodeURIComponent(name)}`);
  } catch (error) {
    say(error.message);
  }
  button.disabled = false;
});
