// Requests to the server. A failed one throws an Error with the server's own sentence.

const listeners = new Set();

export const online = { ok: true };
export const onOnline = (f) => listeners.add(f);

function reached(ok) {
  if (online.ok === ok) return;
  online.ok = ok;
  for (const f of listeners) f(ok);
}

// Whom the server takes this browser for: { role }, or null before it was let in. The pass itself is a cookie that
// no script can read.
let session = null;
export const admitted = () => session !== null;
export const unlocked = () => session?.role === "submit";
function become(next) {
  if (session?.role === next?.role) return;
  session = next;
  dispatchEvent(new Event("session"));
}
export const look = async () => become(await ask("/api/session"));
export const enter = async (token) =>
  become(await ask("/api/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } }));
export async function leave() {
  await ask("/api/session.end", { method: "POST" });
  become(null);
}

const PATIENCE_MS = 15000;

async function ask(path, options, ms = PATIENCE_MS) {
  let reply;
  let body;
  try {
    reply = await fetch(path, { ...options, signal: AbortSignal.timeout(ms) });
    body = await reply.json();
  } catch (error) {
    reached(false);
    throw new Error("the server does not answer", { cause: error });
  }
  reached(true);
  if (reply.ok) return body;
  if (reply.status === 401 && !options?.headers?.Authorization) become(null);
  const refused = new Error(body.error ?? `status ${reply.status}`);
  refused.status = reply.status;
  refused.code = body.code;
  throw refused;
}

function address(type, keys) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(keys))
    if (value !== undefined && value !== null && value !== "") query.set(key, value);
  const text = query.toString();
  return `/api/${type}${text ? `?${text}` : ""}`;
}
export const get = (type, keys = {}) => ask(address(type, keys));

// All rows of a list that comes page by page, in one reply: `list` names them, and next(row) gives the
// key for the page after a row. most: rows wanted.
export async function pages(type, keys, list, next, most = Infinity) {
  const all = await get(type, keys);
  while (all.more && all[list].length && all[list].length < most) {
    const page = await get(type, { ...keys, ...next(all[list].at(-1)) });
    if (!page[list].length) break;
    all[list].push(...page[list]);
    all.more = page.more;
  }
  return all;
}
export const epochsBehind = (row) => ({ epochs_from: row.epoch + 1 });

// ms: for what the server may hold back.
export function post(type, keys, ms) {
  const body = JSON.stringify(keys);
  return ask(`/api/${type}`, { method: "POST", headers: { "Content-Type": "application/json" }, body }, ms);
}
// A file as it is, with the keys beside it.
export function send(type, keys, file, ms) {
  const headers = { "Content-Type": "application/octet-stream" };
  return ask(address(type, keys), { method: "POST", headers, body: file }, ms);
}

export const picture = (job, sample) => `/api/sample.png?job=${job}&samples=${sample}`;
