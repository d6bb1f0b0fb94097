/* Shows a token to the station, which answers with a cookie that no script can read. */
import { ask, say } from "./base.js";

const form = document.getElementById("login");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = document.getElementById("token").value.trim();
  try {
    await ask("/v1/session", {
      method: "POST",
      body: JSON.stringify({ token }),
      headers: { "Content-Type": "application/json" },
    });
    location.assign(form.dataset.next);
  } catch (error) {
    say(error.message);
    document.getElementById("token").select();
  }
});
