// A server with its dashboard and a worker in a folder of their own, a browser, and counting.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const BUILD = process.env.STEPPE_BUILD;
const scratch = mkdtempSync(join(tmpdir(), "stp."));
const children = new Map();
let passed = 0;
let failed = 0;

for (const name of ["OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "STEPPE_FAILPOINT"]) delete process.env[name];
process.on("exit", () => {
  for (const child of children.values()) child.kill("SIGKILL");
  rmSync(scratch, { recursive: true, force: true });
});

export function ok(name, good = true, why = "") {
  if (good) passed += 1;
  else failed += 1;
  console.log(good ? `ok   ${name}` : `FAIL ${name}${why === "" ? "" : `: ${why}`}`);
  return good;
}
export const same = (name, want, got) =>
  ok(name, want === got, `is ${JSON.stringify(got)}, wanted ${JSON.stringify(want)}`);

export async function until(what, seconds = 600) {
  const end = Date.now() + 1000 * seconds;
  for (;;) {
    const value = await what();
    if (value) return value;
    if (Date.now() > end) return value;
    await new Promise((go) => setTimeout(go, 50)); // between two looks
  }
}

const freePort = () =>
  new Promise((go) => {
    const s = createServer().listen(0, "127.0.0.1", () => {
      const { port } = s.address();
      s.close(() => go(port));
    });
  });

const port = await freePort();
export const base = `http://127.0.0.1:${port}`;
const url = `ipc://${scratch}/s`;

export function steppe(...words) {
  const got = spawnSync(join(BUILD, "steppe"), words, {
    env: { ...process.env, STEPPE_SERVER: url },
    encoding: "utf8",
    timeout: 600000,
  });
  if (got.status !== 0) throw new Error(`steppe ${words.join(" ")}: ${got.stderr}`);
  return got.stdout.trim();
}

function start(name, program, ...words) {
  children.set(name, spawn(join(BUILD, program), words, { stdio: "ignore" }));
}
export function stop(name) {
  const child = children.get(name);
  children.delete(name);
  return new Promise((go) => {
    child.on("exit", go);
    child.kill("SIGTERM");
  });
}
export async function server() {
  start(
    "server",
    "steppe-server",
    "--state",
    join(scratch, "state"),
    "--listen",
    url,
    "--http",
    `127.0.0.1:${port}`,
  );
  const up = await until(
    () =>
      fetch(`${base}/healthz`).then(
        (r) => r.ok,
        () => false,
      ),
  );
  if (!up) throw new Error("the server does not answer");
}
export const worker = () =>
  start(
    "worker",
    "steppe-worker",
    "--connect",
    url,
    "--name",
    "w1",
    "--threads",
    "1",
    "--cache",
    join(scratch, "cache"),
  );

export function submit(spec) {
  const path = join(scratch, "job.json");
  writeFileSync(path, JSON.stringify(spec));
  return JSON.parse(steppe("submit", path, "--json")).job;
}

export function study(spec) {
  const path = join(scratch, "study.json");
  writeFileSync(path, JSON.stringify(spec));
  return JSON.parse(steppe("study", "submit", path, "--json")).added;
}

const browser = await chromium.launch({
  executablePath: ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((p) => existsSync(p)),
  args: [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});

// What a page complained about, and what it asked of anybody else; looked at in the end.
const complaints = [];
export const expected = []; // patterns of what a test provokes

// The link that lets a browser in, as the command prints it.
export const link = () => steppe("dashboard");

// A page in a browser of its own. locked: nobody let it in.
export async function open({ locked = false, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(600000);
  const note = (text) => expected.some((p) => p.test(text)) || complaints.push(text);
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && note(m.text()));
  page.on("pageerror", (e) => note(e.message));
  page.on(
    "request",
    (r) => r.url().startsWith(base) || r.url().startsWith("data:") || note(`asked for ${r.url()}`),
  );
  if (!locked) {
    await page.goto(link());
    await page.getByRole("button", { name: "Lock", exact: true }).waitFor();
  }
  return page;
}

export async function run(tests) {
  for (const test of tests)
    try {
      await test();
    } catch (error) {
      ok(test.name, false, error.stack?.split("\n").slice(0, 3).join(" | "));
    }
  same("no page complained, nor asked anybody else for anything", "", complaints.join("; "));
  await browser.close();
  console.log(`${passed} passed, ${failed} failed, 0 skipped`);
  process.exit(failed ? 1 : 0);
}
