// The frame: which page is shown, when it asks again, and the key to the controls.
import { admitted, enter, get, leave, look, onOnline, unlocked } from "./api.js";
import { h, set, show } from "./dom.js";
import { jobsPage, workersPage } from "./jobs.js";
import { jobPage } from "./job.js";
import { reviewPage } from "./review.js";
import { comparePage } from "./compare.js";
import { predictPage } from "./predict.js";
import { studiesPage, studyPage } from "./study.js";

const FAST_MS = 1000;
const SLOW_MS = 4000;

const main = document.getElementById("main");
const offline = document.getElementById("offline");
const lock = document.getElementById("lock");
let page = null; // { el, refresh() -> is something running?, leave? }
let timer = 0;
let turn = 0;

const routes = [
  [/^\/$/, "jobs", () => jobsPage()],
  [/^\/job\/(\d+)$/, "jobs", (job) => jobPage(Number(job))],
  [/^\/predict\/(\d+)$/, "jobs", (job) => predictPage(Number(job))],
  [/^\/review\/(\d+)$/, "jobs", (job) => reviewPage(Number(job))],
  [/^\/studies$/, "studies", () => studiesPage()],
  [/^\/study\/([\w.-]+)$/, "studies", (name) => studyPage(name)],
  [/^\/compare(?:\/(\d+))?(?:\/(\d+))?$/, "compare", (a, b) => comparePage(Number(a) || 0, Number(b) || 0)],
  [/^\/workers$/, "workers", () => workersPage()],
];

async function refresh(mine) {
  clearTimeout(timer);
  let busy = false;
  try {
    busy = await page.refresh();
  } catch (error) {
    if (error.status) console.warn(error.message);
  }
  if (mine === turn && !document.hidden) timer = setTimeout(refresh, busy ? FAST_MS : SLOW_MS, mine);
}

function open() {
  const place = location.hash.startsWith("#/") ? location.hash.slice(1) : "/";
  const found = routes.map(([pattern, name, make]) => [place.match(pattern), name, make]).find(([m]) => m);
  const [match, name, make] = found ?? [
    [],
    "",
    () => ({
      el: h(
        "div",
        { class: "empty" },
        h("p", { class: "empty-title", text: "There is no such page" }),
        h("p", null, h("a", { href: "#/", text: "All jobs" })),
      ),
      refresh: async () => false,
    }),
  ];
  page?.leave?.();
  page = admitted() ? make(...match.slice(1)) : lockedPage();
  main.replaceChildren(page.el);
  for (const a of document.querySelectorAll("nav a")) {
    if (a.dataset.page === name) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  scrollTo(0, 0);
  turn += 1;
  refresh(turn);
}

// --- the key ---

const WRONG = "This token is not the server's, or it has expired.";

// Asks for a token until one is right. said: why it asks again.
function askToken(said = "") {
  if (document.getElementById("token")) return;
  const input = h("input", { type: "password", id: "token", autocomplete: "off", spellcheck: "false" });
  const close = () => dialog.close();
  const dialog = h(
    "dialog",
    { class: "small", "aria-labelledby": "token-title", onclose: () => dialog.remove() },
    h(
      "form",
      { method: "dialog", onsubmit: () => unlock(input.value.trim()) },
      h("h2", { id: "token-title", text: admitted() ? "Unlock the controls" : "Unlock the dashboard" }),
      said ? h("p", { class: "refused", role: "alert", text: said }) : null,
      h(
        "p",
        null,
        admitted() ? "This session may only look. " : "",
        "Run ",
        h("code", { text: "steppe dashboard" }),
        " where the server runs and open the link it prints, or paste the token here.",
      ),
      h("label", { for: "token", text: "Token" }),
      input,
      h(
        "div",
        { class: "buttons" },
        h("button", { type: "button", onclick: close, text: "Not now" }),
        h("button", { class: "primary", text: "Unlock" }),
      ),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  input.focus();
}

async function unlock(token) {
  try {
    await enter(token);
  } catch (error) {
    askToken(error.status === 401 ? WRONG : error.message);
  }
}

const lockedPage = () => ({
  el: h(
    "div",
    { class: "empty" },
    h("p", { class: "empty-title", text: "The dashboard is locked" }),
    h("p", null, "Open the link that ", h("code", { text: "steppe dashboard" }), " prints where the server runs."),
    h("button", { class: "primary", type: "button", onclick: () => askToken(), text: "Enter a token" }),
  ),
  refresh: async () => false,
});

function paintLock() {
  lock.title = admitted() ? "End this session" : "Looking and changing need a token";
  set(lock, admitted() ? "Lock" : "Unlock");
  document.documentElement.classList.toggle("unlocked", unlocked());
}

// The link's token is in the fragment, which no server is told and no log holds.
async function takeToken() {
  const match = location.hash.match(/^#token=([0-9a-f]{72})$/);
  if (!match) return;
  history.replaceState(null, "", "#/");
  await unlock(match[1]);
}

lock.addEventListener("click", () => (admitted() ? leave().catch(() => {}) : askToken()));
addEventListener("session", () => {
  paintLock();
  open();
  if (admitted())
    get("ping").then(
      (r) => set(document.getElementById("server"), `steppe-server ${r.version}`),
      () => {},
    );
});
addEventListener("locked", () => askToken());
addEventListener("hashchange", async () => {
  await takeToken();
  open();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh(turn);
});
onOnline((ok) => {
  set(
    offline,
    ok ? "" : "The server does not answer. This page shows the last known state; trying again…",
  );
  show(offline, !ok);
  document.documentElement.classList.toggle("stale", !ok);
});

await takeToken();
if (!admitted()) await look().catch(() => {});
paintLock();
if (!admitted()) open();
