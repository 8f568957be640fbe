// The review of suspicious labels: by keyboard alone, by two people at once, through an absence of the server, on a
// phone and in the dark; a revision of what was said, and the jobs that take it.
import { base, expected, ok, open, same, server, steppe, stop, submit, until } from "./world.mjs";

const SPEC = { dataset: "noisy", model: "mlp", epochs: 3, batch: 32, shard: 16, score: { every: 1 } };
const PHONE = { viewport: { width: 375, height: 740 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
const CLASSES = [...Array(10).keys()];

let page;
let job; // that is done
let rows; // its suspects, most suspicious first

const json = (...words) => JSON.parse(steppe(...words, "--json"));
const row = (number) => json("show", String(number)).job;
const history = (sample) => json("verdicts", "list", "noisy", "--history", "--sample", String(sample)).rows.map((r) => r.verdict);
const said = (sample) => {
  const [r] = json("verdicts", "list", "noisy", "--sample", String(sample)).rows;
  return r && (r.verdict === "wrong" ? `wrong ${r.label}` : r.verdict);
};
const text = (p, selector) => p.locator(selector).first().innerText();
const shows = (p, sample) => until(async () => ((await p.locator(".subject").getAttribute("src")) ?? "").endsWith(`samples=${sample}`));
const waits = (p, part) => until(async () => (await text(p, ".progress-text")).includes(part));
const closed = (p) => until(async () => (await p.locator("dialog").count()) === 0);
const pressed = (p) => p.locator(".act[aria-pressed=true]").getAttribute("aria-keyshortcuts");

// A page of its own browser that shows the review.
async function reviewer(number, options) {
  const p = await open(options);
  await p.goto(`${base}/#/review/${number}`);
  await p.locator(".review").waitFor();
  return p;
}

async function only_with_a_link_that_changes() {
  steppe("dataset", "import", "noisy", "glyphs", "--samples", "300", "--test-samples", "60", "--flip", "0.1");
  job = submit(SPEC);
  await until(async () => row(job).state === "done");
  ({ rows } = json("suspects", String(job), "--limit", "100"));
  const locked = await open();
  const read = { type: "session", ok: true, role: "read" };
  await locked.route("**/api/session", (route) => route.fulfill({ json: read })); // as a read key's link gives
  let answer;
  const held = new Promise((go) => (answer = go));
  await locked.route("**/api/score.suspects?**", (route) => held.then(() => route.continue()));
  await locked.goto("about:blank");
  const asked = locked.waitForRequest("**/api/score.suspects?**");
  await locked.goto(`${base}/#/review/${job}`);
  await asked;
  ok("nothing is shown before there is a sample", !(await locked.locator(".subject").isVisible()));
  answer();
  await locked.locator(".subject").waitFor();
  ok("a session that may only look says so", await locked.getByText("This session may only look.").first().isVisible());
  await locked.keyboard.press("r");
  await locked.getByRole("dialog").getByText("steppe dashboard").waitFor();
  same("and asks for a token; nothing is said", undefined, said(rows[0].sample));
  await locked.keyboard.press("Escape");
  await closed(locked);
  await locked.keyboard.press("s");
  ok("looking is what it may", await shows(locked, rows[1].sample));
  await locked.context().close();
}

async function what_is_shown() {
  page = await reviewer(job);
  await page.goto(`${base}/#/job/${job}`);
  await page.getByRole("link", { name: "Review labels" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(new RegExp(`#/review/${job}$`));
  await page.locator(".subject").waitFor();
  const [first] = rows;
  ok("the most suspicious first", await shows(page, first.sample));
  same("the question", `Is this “${first.label}”?`, await text(page, "#question"));
  same("what it was taken for", `The model takes it for “${first.predicted}”.`, await text(page, ".answer"));
  ok("large", (await page.locator(".subject").boundingBox()).width > 300);
  const thumbs = (n) => page.locator(".typical").nth(n).locator(".thumb");
  await until(async () => (await thumbs(0).count()) >= 4 && (await thumbs(1).count()) >= 4);
  for (const [n, c] of [first.label, first.predicted].entries()) {
    same("beside its class and the other", `Typical “${c}”`, await page.locator(".typical h3").nth(n).innerText());
    ok("in pictures", await until(() => thumbs(n).evaluateAll((all) => all.every((i) => i.naturalWidth === 28))));
    const typical = await thumbs(n).evaluateAll((all) => all.map((i) => Number(i.alt.match(/\d+/)[0])));
    const labels = json("top", String(job), "--class", String(c), "--easiest", "100", "--by", "loss").rows.map((r) => r.sample);
    ok("of that class", typical.every((s) => labels.includes(s) && s !== first.sample), typical);
  }
  ok("over the epochs", await until(async () => (await page.locator(".story .strip i").count()) === 3));
  ok("in words", (await text(page, ".story .note")).startsWith("Right in "), await text(page, ".story .note"));
  ok("what the list is worth", (await text(page, ".worth")).includes("labels are expected to be wrong"));
  ok("how far one is", await waits(page, "1 of 100 · 0 judged · 100 to go"));
}

async function by_key() {
  const other = CLASSES.find((c) => c !== rows[2].label && c !== rows[2].predicted);
  await page.keyboard.press("r");
  ok("a key leads to the next", await shows(page, rows[1].sample));
  same("right", "right", said(rows[0].sample));
  await page.keyboard.press("p");
  await shows(page, rows[2].sample);
  same("what the model says", `wrong ${rows[1].predicted}`, said(rows[1].sample));
  await page.keyboard.press("w");
  await page.getByRole("dialog").waitFor();
  same("the predicted class is offered first", String(rows[2].predicted), await text(page, "[role=option] span"));
  await page.keyboard.type("nothing");
  ok("there is none of that name", await page.getByText("No class is called so.").isVisible());
  await page.keyboard.press("Enter");
  await page.keyboard.press("Control+a");
  await page.keyboard.type(String(other));
  await page.keyboard.press("Enter");
  await shows(page, rows[3].sample);
  same("another class", `wrong ${other}`, said(rows[2].sample));
  await page.keyboard.press("w");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await closed(page);
  same("Escape says nothing", undefined, said(rows[3].sample));
  await page.keyboard.press("w");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Enter");
  await shows(page, rows[4].sample);
  same("Enter alone is the predicted one", `wrong ${rows[3].predicted}`, said(rows[3].sample));
  await page.keyboard.press("x");
  await shows(page, rows[5].sample);
  await page.keyboard.press("u");
  await shows(page, rows[6].sample);
  same("exclude, unsure", "exclude unsure", `${said(rows[4].sample)} ${said(rows[5].sample)}`);
  ok("the progress", await waits(page, "7 of 100 · 6 judged · 94 to go"));
  await page.keyboard.press("b");
  await shows(page, rows[5].sample);
  ok("back says what was said", (await text(page, ".verdict")).startsWith("Judged: unsure"), await text(page, ".verdict"));
  same("its button too", "u", await pressed(page));
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("x");
  await shows(page, rows[6].sample);
  ok("what is judged is passed over, what counted already is not said twice", history(rows[4].sample).length === 1);
}

async function undo() {
  await page.keyboard.press("z");
  await shows(page, rows[4].sample);
  same("undo of what counted before leaves it", "exclude", said(rows[4].sample));
  await page.keyboard.press("z");
  await shows(page, rows[5].sample);
  await until(() => said(rows[5].sample) === undefined);
  same("undo takes back", undefined, said(rows[5].sample));
  same("and the history has both", "unsure none", history(rows[5].sample).join(" "));
  ok("the progress goes back", await waits(page, "5 judged"));
  await page.keyboard.press("s");
  await shows(page, rows[6].sample);
  await page.keyboard.press("ArrowRight");
  ok("skip", await shows(page, rows[7].sample));
  await page.reload();
  ok("a new page goes on with what has no verdict", await shows(page, rows[5].sample));
}

async function two_at_once() {
  const other = await reviewer(job);
  await shows(other, rows[5].sample);
  await Promise.all([page.keyboard.press("u"), other.keyboard.press("x")]);
  await Promise.all([page, other].map((p) => shows(p, rows[6].sample)));
  same("both are kept", "exclude unsure", history(rows[5].sample).slice(2).sort().join(" "));
  await other.keyboard.press("r");
  await shows(other, rows[7].sample);
  await page.locator(".verdict", { hasText: "Judged: right" }).waitFor();
  ok("what the other says is seen without a reload", await waits(page, "7 judged"));
  await page.keyboard.press("x");
  await shows(page, rows[7].sample);
  await other.keyboard.press("z");
  await other.getByText("was judged again since, which stays: excluded").waitFor();
  same("undo does not take what another said", "exclude", said(rows[6].sample));
  await other.context().close();
}

async function the_server_is_away() {
  expected.push(/ERR_/, /500|503/, /does not answer/);
  await stop("server");
  await page.keyboard.press("r");
  await page.getByText("Not saved: the server does not answer.").waitFor();
  ok("what is not saved stays", await shows(page, rows[7].sample));
  await server();
  await until(async () => !(await page.locator("#offline").isVisible()));
  await page.keyboard.press("r");
  await shows(page, rows[8].sample);
  same("said again it is kept, once", "right", history(rows[7].sample).join(" "));
}

const press = (p, name) => p.getByRole("button", { name }).press("Enter");
const revisions = (number) => (json("show", String(number)).spec.revisions ?? []).map((r) => r[1]).join(" ");

async function a_revision_and_its_jobs() {
  const { counts } = json("verdicts", "list", "noisy");
  await press(page, "Make a revision");
  await page.getByText(`noisy@1 is made: 3 labels changed, ${counts.exclude} samples left out.`).waitFor();
  ok("a revision from the page", json("dataset", "show", "noisy").revisions.length === 1);
  await press(page, "Make a revision");
  await page.getByText("Nothing has changed since noisy@1").waitFor();
  ok("a job that has ended takes none", !(await page.getByRole("button", { name: "Apply" }).isVisible()));
  await press(page, "Train again on noisy@1");
  const dialog = page.getByRole("dialog");
  ok("but another trains on it", (await dialog.getByLabel("Job file").inputValue()).includes('"dataset": "noisy@1"'));
  await press(dialog, "Submit");
  await page.waitForURL((url) => /#\/job\/\d+$/.test(url.href));
  const again = Number(page.url().match(/\d+$/)[0]);
  await until(async () => row(again).state === "done");
  same("and did", "noisy@1", revisions(again));
  const long = submit({ ...SPEC, epochs: 100000 });
  await until(async () => row(long).epoch >= 1);
  steppe("pause", String(long));
  await page.goto(`${base}/#/review/${long}`);
  await page.getByRole("button", { name: "Apply noisy@1" }).waitFor();
  await press(page, "Apply noisy@1");
  await page.getByText(`Job ${long} has noisy@1 from epoch `).waitFor();
  same("a job that runs takes it", "noisy@1", revisions(long).split(" ").at(-1));
  ok("once", await until(async () => !(await page.getByRole("button", { name: "Apply" }).isVisible())));
  await page.keyboard.press("x");
  await until(() => json("verdicts", "list", "noisy").counts.exclude > counts.exclude);
  steppe("dataset", "revise", "noisy");
  await page.goto(`${base}/#/job/${long}`);
  await page.getByRole("button", { name: "Apply noisy@2" }).waitFor();
  await press(page, "Apply noisy@2");
  ok("so does its page", await until(() => revisions(long).endsWith("noisy@2")));
  ok("there once, too", await until(async () => !(await page.getByRole("button", { name: "Apply" }).isVisible())));
  steppe("cancel", String(long));
}

async function to_the_end() {
  const [c] = json("classes", String(job)).rows.toSorted((a, b) => a.samples - b.samples);
  await page.goto(`${base}/#/review/${job}`);
  await page.locator(".subject").waitFor();
  await page.getByLabel("Class").selectOption(String(c.class));
  await waits(page, `of ${c.samples} `);
  for (let i = 0; i < c.samples; i++) await page.keyboard.press("s");
  await page.getByText("That was the last of them").waitFor();
  await press(page, "Show the ");
  ok("what was skipped comes again", await page.locator(".subject").isVisible());
  await page.getByLabel("Class").selectOption("");
  await waits(page, "of 100 ");
  for (let i = 0; i < 100; i++) await page.keyboard.press("s");
  await press(page, "Review 100 more");
  ok("behind the first there are more", await waits(page, "101 of 200"));
}

async function on_a_phone_and_in_the_dark() {
  const phone = await reviewer(job, PHONE);
  await phone.locator(".subject").waitFor();
  const wide = await phone.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  ok("it fits a phone", wide <= 0, `${wide} px too wide`);
  const buttons = await phone.locator(".act:visible").evaluateAll((all) => all.map((b) => [b.innerText, b.getBoundingClientRect()]));
  same("all buttons are there", 8, buttons.length);
  for (const [name, box] of buttons)
    ok(`${name} can be touched`, box.height >= 40 && box.width >= 60 && box.bottom <= 740 && box.right <= 375, JSON.stringify(box));
  const src = await phone.locator(".subject").getAttribute("src");
  await phone.getByRole("button", { name: "Other class" }).tap();
  await phone.locator("[role=option]").first().tap();
  await until(async () => (await phone.locator(".subject").getAttribute("src")) !== src);
  const sample = Number(src.match(/\d+$/)[0]);
  same("a touch is a verdict", `wrong ${rows.find((r) => r.sample === sample).predicted}`, said(sample));
  ok("the next picture is in sight", await until(async () => {
    const box = await phone.locator(".subject").boundingBox();
    const keys = await phone.locator(".review-keys").boundingBox();
    return box.y >= 0 && box.y + box.height <= keys.y + 1;
  }));
  await phone.getByRole("button", { name: "Undo" }).tap();
  await until(() => said(sample) === undefined);
  same("and back", undefined, said(sample));
  const dark = await reviewer(job, { colorScheme: "dark" });
  await dark.locator(".subject").waitFor();
  const colour = (p, at) => p.locator(at).first().evaluate((e) => getComputedStyle(e).color);
  for (const part of ["#question", ".act-right", ".act-predicted", ".progress-text"])
    ok(`${part} has its colour in both`, (await colour(dark, part)) !== (await colour(page, part)));
  await Promise.all([phone, dark, page].map((p) => p.context().close()));
}

export const review = [
  only_with_a_link_that_changes,
  what_is_shown,
  by_key,
  undo,
  two_at_once,
  the_server_is_away,
  a_revision_and_its_jobs,
  to_the_end,
  on_a_phone_and_in_the_dark,
];
