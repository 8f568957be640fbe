// The picture of the dashboard in the README: a job that trains, shortly before its end.
//   screenshot.mjs OUT.png [IDX-FOLDER]     Fashion-MNIST in the folder; drawn digits without one
import { resolve } from "node:path";
import { base, open, server, steppe, submit, until, worker } from "./world.mjs";

const [out, data] = process.argv.slice(2);
const EPOCHS = 10;
const ROWS = 2; // of samples

await server();
if (data) steppe("dataset", "import", "fashion-mnist", resolve(data));
else steppe("dataset", "import", "glyphs", "glyphs");
worker();
const job = submit({
  name: data ? "fashion-easy-first" : "digits-easy-first",
  dataset: data ? "fashion-mnist" : "glyphs",
  model: "lenet",
  epochs: EPOCHS,
  score: { every: 1 },
  curriculum: { measure: "adm", initial: 0.5, full_at: 0.7 },
});
const row = () => JSON.parse(steppe("show", String(job), "--json")).job;
if (!(await until(() => row().epoch >= EPOCHS - 2, 3600))) throw new Error("the job does not come to its end");

const page = await open({ viewport: { width: 1280, height: 900 } });
await page.goto(`${base}/#/job/${job}`);
await until(async () => (await page.locator(".chart .line").count()) >= 7);
await until(() => page.locator(".heat canvas").evaluate((c) => c.width > 0));
const cards = page.locator(".card");
await cards.nth(23).scrollIntoViewIfNeeded(); // pictures come when they are seen
await until(() => cards.locator("img").evaluateAll((all) => all.length >= 24 && all.every((i) => i.naturalWidth)));
await page.evaluate(() => scrollTo(0, 0));
// Down to the gap below the last row of samples that is wanted.
const height = await cards.evaluateAll((all, rows) => {
  const tops = [...new Set(all.map((c) => c.getBoundingClientRect().top))];
  return Math.floor(tops[rows] - 6);
}, ROWS);
await page.screenshot({ path: resolve(out), fullPage: true, clip: { x: 0, y: 0, width: 1280, height } });
process.exit(0);
