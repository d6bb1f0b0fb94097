/* What every page has: local times, notices, keys, and what happens while the station does not answer. */

export const notices = document.getElementById("notices");

/* Says a sentence at the top of the page; a problem stays until it is closed. */
export function say(sentence, kind = "problem") {
  for (const each of notices.querySelectorAll(".notice")) {
    if (each.dataset.sentence === sentence || (kind === "done" && each.classList.contains("done"))) each.remove();
  }
  const notice = document.createElement("div");
  notice.className = `notice ${kind}`;
  notice.dataset.sentence = sentence;
  const text = document.createElement("p");
  text.textContent = sentence;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "plain";
  close.dataset.close = "";
  close.setAttribute("aria-label", "Close");
  close.textContent = "×";
  notice.append(text, close);
  notices.append(notice);
  if (kind !== "problem") setTimeout(() => notice.remove(), 5000);
}

/* Asks the station; its answer, or an error with the sentence that it refused with. */
export async function ask(path, settings = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...settings, headers: { Accept: "application/json", ...settings.headers } });
  } catch {
    offline(true);
    throw new Error("The station does not answer: try again when it does.");
  }
  if (answer.status === 401 && path !== "/v1/session") login();
  if (answer.ok) return answer;
  const body = await answer.text();
  let sentence = body;
  try {
    sentence = JSON.parse(body).detail;
  } catch {
    /* It was plain text. */
  }
  throw Object.assign(new Error(sentence), { status: answer.status });
}

export function login() {
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}

/* Keys that a page knows: { key: function }. They are left alone in fields and dialogs, and with Ctrl, Alt or Meta. */
export function onKeys(keys) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    const target = event.target instanceof Element ? event.target : document.body;
    if (target.closest("input:not([type=range]):not([type=checkbox]), textarea, select, [contenteditable]")) return;
    if (event.key === " " && target.closest("button, a, summary, input")) return;
    const action = keys[event.key];
    if (!action || (event.repeat && !"jk".includes(event.key))) return;
    event.preventDefault();
    action(event);
  });
}

const zone = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
function localTimes(root) {
  for (const each of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const moment = new Date(each.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const isToday = moment.toDateString() === new Date().toDateString();
    each.title = each.textContent;
    each.textContent = isToday && each.hasAttribute("data-short") ? clock.format(moment) : zone.format(moment);
    each.dataset.local = "";
  }
}

/* The banner; while it is there the station is asked every other second. */
const banner = document.getElementById("offline");
let asking = 0;
export function offline(isOffline) {
  if (isOffline === !banner.hidden) return;
  banner.hidden = !isOffline;
  clearInterval(asking);
  if (!isOffline) return;
  asking = setInterval(async () => {
    try {
      await fetch("/healthz", { cache: "no-store" });
      offline(false);
      document.dispatchEvent(new CustomEvent("station:back"));
    } catch {
      /* It is asked again. */
    }
  }, 2000);
}

document.addEventListener("click", (event) => {
  if (!(event.target instanceof Element)) return;
  if (event.target.closest("[data-close]")) event.target.closest(".notice").remove();
  if (event.target.closest("[data-logout]")) {
    ask("/v1/session", { method: "DELETE" }).then(() => location.assign("/login"), (error) => say(error.message));
  }
  if (event.target.closest("[data-keys]")) document.getElementById("keys").showModal();
  for (const more of document.querySelectorAll("details.more[open]")) {
    if (!more.contains(event.target)) more.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") for (const more of document.querySelectorAll("details.more[open]")) more.open = false;
});
onKeys({ "?": () => document.getElementById("keys").showModal() });

/* What has the focus keeps it when the station sends it again. */
let focused = "";
document.addEventListener("htmx:before:swap", () => {
  focused = document.activeElement?.id || "";
});
document.addEventListener("htmx:after:swap", () => {
  localTimes(document);
  if (focused && document.activeElement === document.body) document.getElementById(focused)?.focus();
  const next = document.querySelector("[data-focus]");
  if (next) {
    next.removeAttribute("data-focus");
    next.focus();
  }
});
document.addEventListener("htmx:error", (event) => {
  if (event.detail?.error instanceof TypeError) offline(true);
});
document.addEventListener("htmx:before:response", (event) => {
  if (event.detail.ctx.response.status === 401) {
    event.preventDefault();
    login();
  } else {
    offline(false);
  }
});
localTimes(document);
