// Elements, and numbers as people read them.

// Control characters and marks of direction, which can steer or turn a line, are shown as signs: no
// name of a class, a job or a worker can look like another.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
export const plain = (text) => String(text).replace(HIDDEN, "\ufffd");

const SVG = "http://www.w3.org/2000/svg";

function fill(el, props, children) {
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) el.addEventListener(key.slice(2), value);
    else if (key === "text") el.textContent = plain(value);
    else el.setAttribute(key, value === true ? "" : plain(value));
  }
  const shown = children.flat().filter((c) => c !== undefined && c !== null && c !== false);
  el.append(...shown.map((c) => (c instanceof Node ? c : plain(c))));
  return el;
}

export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);
export const s = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

export const set = (el, text) => {
  const shown = plain(text);
  if (el.textContent !== shown) el.textContent = shown;
};
export const show = (el, yes) => {
  el.hidden = !yes;
};

// A picture that cannot be had, as of a manifest without thumbnails: a word stands in its place.
export const unseen = (event) => {
  event.target.alt = "no picture";
  event.target.classList.add("unseen");
};

export const NONE = "–";
const has = (v) => typeof v === "number" && Number.isFinite(v);

// Two decimals of a share in percent, as printf() has them: toFixed() rounds a half up, printf() to the even digit.
// The two differ at x.125 and x.625.
export function hundredths(v) {
  const x = 100 * v;
  return (Math.abs((x * 8) % 4) === 1 ? x * (1 - 1e-9) : x).toFixed(2);
}
// The form of every percentage; that of the terminal is text_of_share() of common/text.h.
export function share(v) {
  return has(v) ? `${hundredths(v)}%` : NONE;
}
export function figure(v, digits = 4) {
  if (!has(v)) return NONE;
  if (v === 0) return "0";
  const a = Math.abs(v);
  if (a >= 1e5 || a < 1e-4) return v.toExponential(2);
  return String(Number(v.toPrecision(digits)));
}
export function count(v) {
  return has(v) ? Math.round(v).toLocaleString("en").replaceAll(",", "\u202f") : NONE;
}
export function duration(seconds) {
  if (!has(seconds)) return NONE;
  const t = Math.max(0, Math.round(seconds));
  if (t < 60) return `${t} s`;
  if (t < 3600) return `${Math.floor(t / 60)} min ${t % 60} s`;
  if (t < 86400) return `${Math.floor(t / 3600)} h ${Math.floor((t % 3600) / 60)} min`;
  return `${Math.floor(t / 86400)} d ${Math.floor((t % 86400) / 3600)} h`;
}
export function ago(unixMs) {
  if (!has(unixMs)) return NONE;
  const t = (Date.now() - unixMs) / 1000;
  if (t < 60) return "just now";
  const [size, name] = [
    [86400, "d"],
    [3600, "h"],
    [60, "min"],
  ].find(([v]) => t >= v);
  return `${Math.floor(t / size)} ${name} ago`;
}
export function clock(unixMs) {
  const text = new Date(unixMs).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });
  return text.replace(/[\u061c\u200e\u200f]/g, ""); // some languages have them in their dates
}

const STATES = {
  queued: "◌",
  running: "▶",
  paused: "❙❙",
  done: "✓",
  failed: "!",
  cancelled: "✕",
  computing: "▶",
  waiting: "◌",
  silent: "!",
  "set aside": "!",
};

// A state as a pill: sign and word, so that colour is never alone.
export function pill(state) {
  const el = h("span", { class: "pill" }, h("i", { "aria-hidden": "true" }), h("span"));
  setPill(el, state);
  return el;
}
export function setPill(el, state) {
  if (el.dataset.state === state) return;
  el.dataset.state = state;
  el.firstChild.textContent = STATES[state] ?? "?";
  set(el.lastChild, state);
}

// The head of the page of one thing: the way back to the `list` of its kind at `href`, its title with its
// state, lines about it, and buttons.
export function pageHead({ list, href, at, title, state, lines, tools }) {
  return h(
    "div",
    { class: "page-head" },
    h(
      "div",
      null,
      h("p", { class: "crumb" }, h("a", { href, text: list }), ` / ${at}`),
      h("div", { class: "title" }, title, state),
      ...lines,
    ),
    tools,
  );
}

// The head of a table: a row of titles.
export function tableHead(titles) {
  return h("thead", null, h("tr", null, titles.map((t) => h("th", { scope: "col", text: t }))));
}

// What to do when there is nothing to show, or why it could not be loaded.
export function empty(title, ...lines) {
  return h(
    "div",
    { class: "empty" },
    h("p", { class: "empty-title", text: title }),
    ...lines.map((l) => (typeof l === "string" ? h("p", { text: l }) : h("p", null, l))),
  );
}
export function trouble(error) {
  return h(
    "div",
    { class: "empty trouble", role: "status" },
    h("p", { class: "empty-title", text: "This could not be loaded" }),
    h("p", { text: error.message }),
  );
}

export function panel(title, { note, tools, wide } = {}, ...children) {
  const head = h("div", { class: "panel-head" }, h("h2", { text: title }), tools);
  return h(
    "section",
    { class: wide ? "panel wide" : "panel" },
    head,
    note && h("p", { class: "note", text: note }),
    ...children,
  );
}

export function select(label, options, value, change) {
  const el = h(
    "select",
    { "aria-label": label, onchange: () => change(el.value) },
    options.map(([v, text]) =>
      h("option", { value: v, selected: String(v) === String(value), text: text ?? v }),
    ),
  );
  return el;
}

// The name of a sample as it may be shown: what would act on the page is visible, and a byte that is
// not UTF-8 (a character from U+EF80 on) is \xE9.
export const fileName = (uri) =>
  [...uri]
    .map((c) => {
      const code = c.codePointAt(0);
      if (code < 0x20) return String.fromCodePoint(0x2400 + code);
      if (code >= 0xef80 && code <= 0xefff) return `\\x${(code - 0xef00).toString(16).toUpperCase()}`;
      return /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(c) ? "?" : c;
    })
    .join("");
