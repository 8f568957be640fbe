// The dashboard in a browser: it draws what there is, goes on by itself while a job trains, can be used
// with keys alone, on a phone, in the dark, and says so when the server is gone.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  base,
  expected,
  link,
  ok,
  open,
  run,
  same,
  server,
  steppe,
  stop,
  study,
  submit,
  until,
  worker,
} from "./world.mjs";
import { review } from "./review.mjs";

const SPEC = { name: "browser", dataset: "g", model: "mlp", epochs: 4, batch: 32, shard: 16 };
// The pages, and what is there once a page is drawn.
const DRAWN = {
  "#/": ".row",
  "#/job/1": ".chart .line",
  "#/job/2": ".flatness .band",
  "#/predict/1": ".drop",
  "#/studies": ".row",
  "#/study/trial": ".curves .band",
  "#/compare/1/2": ".chart .line",
  "#/review/1": ".subject",
  "#/workers": "main table",
};
const PAGES = Object.keys(DRAWN);

await server();
steppe("dataset", "import", "g", "glyphs", "--samples", "400", "--test-samples", "60");
const page = await open();
const text = (selector) => page.locator(selector).first().innerText();
const tile = (name) => page.locator(".tile", { hasText: name }).locator("dd").innerText();

async function nothing_yet() {
  await page.goto(base);
  await page.getByText("No jobs yet").waitFor();
  ok("without a job it says how to get one", (await text(".empty")).includes("steppe submit"));
  await page.goto(`${base}/#/workers`);
  await page.getByText("No worker is connected").waitFor();
  await page.goto(`${base}/#/compare`);
  await page.getByText("Two jobs are needed").waitFor();
  expected.push(/404/, /there is no job 7/);
  await page.goto(`${base}/#/job/7`);
  await page.getByText("there is no job 7").waitFor();
  ok("a job that is not there gets the server's sentence");
  await page.goto(`${base}/#/studies`);
  await page.getByText("No studies yet").waitFor();
  expected.push(/there is no study nope/);
  await page.goto(`${base}/#/study/nope`);
  await page.getByText("there is no study nope").waitFor();
  ok("so does a study");
  await page.goto(`${base}/#/nowhere`);
  await page.getByText("There is no such page").waitFor();
  ok("so does a page that is not there");
}

async function the_key() {
  const stranger = await open({ locked: true });
  const said = (words) => stranger.getByText(words).first().waitFor();
  expected.push(/401/);
  const asked = [];
  stranger.on("response", (r) => r.status() === 200 && asked.push(r.url().slice(base.length)));
  await stranger.goto(base);
  await said("The dashboard is locked");
  ok("without a token nothing is shown, and how to get one is said", await stranger.getByText("steppe dashboard").isVisible());
  same("nor is anything of the server told", "", asked.filter((path) => path.startsWith("/api/")).join());
  await stranger.goto(`${base}/#/workers`);
  await said("The dashboard is locked");
  ok("whatever the address");
  await stranger.getByRole("button", { name: "Enter a token" }).click();
  await stranger.getByLabel("Token").fill("0".repeat(64));
  await stranger.keyboard.press("Enter");
  await said("This token is not the server's, or it has expired.");
  ok("a wrong token asks again");
  await stranger.getByLabel("Token").fill(link().replace(/.*=/, ""));
  await stranger.keyboard.press("Enter");
  await stranger.getByRole("button", { name: "Lock", exact: true }).waitFor();
  ok("a right one unlocks");
  await stranger.getByRole("button", { name: "Lock", exact: true }).click();
  await said("The dashboard is locked");
  same("locking ends the session", 0, (await stranger.context().cookies()).length);
  await stranger.goto(link());
  await stranger.getByRole("button", { name: "New job" }).waitFor();
  same("the link unlocks, and the token leaves the address", `${base}/#/`, stranger.url());
  const [cookie] = await stranger.context().cookies();
  same("the session is a cookie that no script reads", "true Strict", `${cookie.httpOnly} ${cookie.sameSite}`);
  same("and nothing else", '""0', await stranger.evaluate(() => JSON.stringify(document.cookie) + localStorage.length));
  await stranger.context().close();
  await page.goto(`${base}/#/`);
}

async function a_job_from_the_page() {
  await page.getByRole("button", { name: "New job" }).click();
  const spec = page.getByLabel("Job file");
  await page.getByRole("dialog").getByLabel("Model").selectOption("mlp");
  ok("the form writes the job file", (await spec.inputValue()).includes('"model": "mlp"'));
  await spec.fill(JSON.stringify({ ...SPEC, epochs: -1 }));
  expected.push(/400/);
  await page.getByRole("button", { name: "Submit" }).click();
  await until(async () => (await text("dialog .refused")).includes("epochs is -1"));
  ok(
    "a wrong job file gets the server's sentence, and stays",
    (await text("dialog .refused")).includes("epochs is -1"),
  );
  await spec.fill(JSON.stringify(SPEC));
  await page.getByRole("button", { name: "Submit" }).click();
  await page.waitForURL(/#\/job\/1$/);
  await page.getByText("waiting: no worker is connected").waitFor();
  same("it waits for a worker", "browser", await text("h1"));
  ok("its curves say that there is nothing yet", (await text(".blank")).includes("Nothing measured yet"));
}

async function verbs() {
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("button", { name: "Resume" }).waitFor();
  same("it is paused", "paused", await page.locator(".title .pill span").innerText());
  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByRole("button", { name: "Pause" }).waitFor();
  ok("and goes on");
}

async function live() {
  await page.evaluate(() => {
    window.sameDocument = true;
  });
  const seen = new Set([await tile("epoch")]);
  worker();
  await until(async () => {
    seen.add(await tile("epoch"));
    return (await page.locator(".title .pill span").innerText()) === "done";
  });
  seen.add(await tile("epoch"));
  same("it trains to its end", "4 / 4", await tile("epoch"));
  ok(
    "and the page went with it, by itself",
    seen.size >= 2 && (await page.evaluate(() => window.sameDocument)),
    [...seen],
  );
  ok("accuracy is a share", /^\d+\.\d\d%$/.test(await tile("test accuracy")), await tile("test accuracy"));
  same(
    "of the same digits as in the terminal, where toFixed() has others",
    "0.12% 0.38% 0.62% 0.88% 12.12% 100.00%",
    await page.evaluate(async () => {
      const { share } = await import("/dom.js");
      return [0.00125, 0.00375, 0.00625, 0.00875, 0.12125, 1].map(share).join(" ");
    }),
  );
  await until(async () => (await page.locator(".chart .line").count()) >= 7);
  ok("every curve is drawn", (await page.locator(".chart .line").count()) >= 7);
  const points = await page.locator(".chart .line").first().getAttribute("d");
  same("over all epochs", 4, points.split(/[ML]/).length - 1);
  await until(async () => (await page.locator(".events li").count()) >= 5);
  ok("its events are listed", (await text(".events")).includes("epoch 4"));
}

async function pictures() {
  const drawn = await until(() =>
    page.locator(".heat canvas").evaluate((c) => {
      const { data } = c.getContext("2d").getImageData(0, 0, c.width, c.height);
      return new Set(data.filter((_, i) => i % 4 === 1)).size > 20;
    }),
  );
  ok("the heat map has its colours", drawn);
  await page.locator(".card").first().waitFor();
  same("samples are shown", 24, await page.locator(".card").count());
  await page.locator(".card").first().scrollIntoViewIfNeeded();
  const width = await until(() =>
    page
      .locator(".card img")
      .first()
      .evaluate((i) => i.naturalWidth),
  );
  same("as their pictures", 28, width);
  const first = await page.locator(".card").first().getAttribute("aria-label");
  await page.getByRole("button", { name: "Easiest" }).click();
  await until(async () => (await page.locator(".card").first().getAttribute("aria-label")) !== first);
  ok("the easiest are others", (await page.locator(".card").first().getAttribute("aria-label")) !== first);
  await page.getByRole("button", { name: "Suspicious labels" }).click();
  await until(async () => (await page.locator(".card").count()) === 24);
  same("the suspicious ones too", 24, await page.locator(".card").count());
  const worth = await until(() => page.locator(".worth .note").first().textContent());
  ok("with whether who judges has seen the labels", worth.startsWith("In sample: right on "), worth);
  await page.getByRole("button", { name: "Hardest" }).click();
  await page.getByRole("button", { name: "Show more" }).click();
  await until(async () => (await page.locator(".card").count()) === 48);
  same("there are more", 48, await page.locator(".card").count());
  const map = await until(() =>
    page.locator(".cloud canvas").evaluate(
      (c) =>
        c.height > 100 &&
        c
          .getContext("2d")
          .getImageData(0, 0, c.width, c.height)
          .data.some((v) => v > 0),
    ),
  );
  ok("the data map is drawn", map);
  const listed = (title) => page.locator(".panel", { hasText: title }).locator("tbody tr").count();
  same("the classes are listed", 10, await listed("Classes, lowest accuracy first"));
  same("so is the test, by class", 10, await listed("Test by domain and class"));
}

async function keys_alone() {
  await page.goto(`${base}/#/`);
  await page.reload();
  await page.locator(".row").first().waitFor();
  await page.keyboard.press("Tab");
  same(
    "the first key leads to the content",
    "Skip to content",
    await page.evaluate(() => document.activeElement.textContent),
  );
  for (let i = 0; i < 12 && !(await page.evaluate(() => document.activeElement.matches(".row"))); i++)
    await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.waitForURL(/#\/job\/1$/);
  ok("a job opens by key");
  await page.locator(".chart .line").first().waitFor();
  await page.locator(".chart svg").first().focus();
  await page.keyboard.press("ArrowLeft");
  same("a chart says what is under its cursor", "epoch 4", await text(".chart .at"));
  await page.keyboard.press("Home");
  same("from its beginning", "epoch 1", await text(".chart .at"));
  await page.locator(".heat canvas").focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowLeft");
  ok(
    "so does the heat map",
    /^epoch \d · adm .* samples/.test(await text(".heat .readout")),
    await text(".heat .readout"),
  );
  await page.locator(".cloud canvas").focus();
  await page.keyboard.press("ArrowRight");
  ok(
    "and the data map",
    (await text(".cloud .readout")).startsWith("sample "),
    await text(".cloud .readout"),
  );
  await page.locator(".card").first().focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog");
  await dialog.getByText(/Right in \d of \d scored epochs/).waitFor();
  const title = await dialog.locator("h2").innerText();
  await until(async () => (await dialog.locator(".line").count()) === 4);
  same("a sample tells its story", 4, await dialog.locator(".line").count());
  await page.keyboard.press("ArrowRight");
  await until(async () => (await dialog.locator("h2").innerText()) !== title);
  ok("the arrow leads to the next one", (await dialog.locator("h2").innerText()) !== title);
  await page.keyboard.press("Escape");
  await until(async () => (await page.locator("dialog").count()) === 0);
  ok(
    "Escape leads back to where one was",
    await page.evaluate(() => document.activeElement.matches(".card")),
  );
}

const FLATNESS = { every: 2, samples: 100, probes: 4, iterations: 10 };

async function two_jobs() {
  same("a second job", 2, submit({ ...SPEC, name: "control", curriculum: { measure: "random", scope: "step" }, flatness: FLATNESS }));
  await page.goto(`${base}/#/compare/1/2`);
  await page.getByText("curriculum.measure").waitFor();
  ok(
    "what differs in their files is listed",
    (await page.locator("tr", { hasText: "curriculum.measure" }).innerText()).includes('"random"'),
  );
  await until(() => steppe("show", "2", "--json").includes('"done"'));
  await page.getByText("Rank correlation of adm").waitFor();
  ok(
    "do they agree",
    /Spearman\) -?0?\.?\d/.test(await page.getByText("Rank correlation of adm").innerText()),
  );
  await until(async () => (await page.locator(".chart").first().locator(".line").count()) === 2);
  same("both are in one picture", 2, await page.locator(".chart").first().locator(".line").count());
}

async function how_flat() {
  await page.goto(`${base}/#/job/1`);
  await page.locator(".card").first().waitFor();
  same("its share is one of the set", "of the training set", await page.locator(".chart", { hasText: "Pacing share" }).locator(".key > span").innerText());
  ok("a job that did not measure its flatness has no such part", !(await page.locator(".flatness").isVisible()));
  const metric = page.locator(".chart", { has: page.getByText("mean_gap", { exact: true }) });
  const gap = JSON.parse(steppe("metrics", "1", "--json")).at(-1).metrics.mean_gap;
  await metric.locator(".line").waitFor();
  same("a metric that has no other place has a chart", Number(gap.toPrecision(4)), Number(await metric.locator("b").innerText()));
  same("one that has is not drawn twice", 0, await page.getByText("train_loss", { exact: true }).count());
  await page.goto(`${base}/#/job/2`);
  await page.getByText("of each shard, by rank inside the step").waitFor();
  const chart = (title) => page.locator(".flatness .chart", { hasText: title });
  const { rows } = JSON.parse(steppe("flatness", "2", "--json"));
  const last = rows.at(-1);
  await until(async () => (await page.locator(".flatness .line").count()) === 10);
  same("five eigenvalues, trace, sharpness and three lines", 10, await page.locator(".flatness .line").count());
  same("over the epochs that measured", 3, (await chart("Largest").locator(".line").first().getAttribute("d")).split(/[ML]/).length - 1);
  same("over all points of a line", 21, (await chart("eigenvector").locator(".line").getAttribute("d")).split(/[ML]/).length - 1);
  const first = (await chart("Largest").locator(".key").first().innerText()).replaceAll("\n", " ");
  ok("an eigenvalue with its residual", first.startsWith(`λ1 ${Number(last.values[0].toPrecision(4))} ± `), first);
  const trace = await chart("Trace").locator("b").innerText();
  same("the trace with its error", `${Number(last.trace.toPrecision(4))} ± ${Number(last.trace_error.toPrecision(2))}`, trace);
  same("which is a band", 1, await chart("Trace").locator(".band").count());
  const middle = await chart("eigenvector").locator("b").innerText();
  same("the loss at the weights", Number(last.loss.toPrecision(4)), Number(middle));
  await chart("eigenvector").locator("svg").focus();
  await page.keyboard.press("Home");
  same("from one end of the line", "t = -1", await chart("eigenvector").locator(".at").innerText());
  ok("where the loss is another", (await chart("eigenvector").locator("b").innerText()) !== middle);
}

const MARKUP = "<img src=x onerror=alert(1)> & <b>bold</b>";
const TRIAL = {
  name: "trial",
  model: "mlp",
  epochs: 3,
  batch: 32,
  shard: 16,
  seeds: [1, 2, 3],
  grid: { dataset: ["g", "wrong"] },
  arms: {
    sgd: { "sam.rho": 0, "curriculum.measure": "none" },
    [MARKUP]: { "curriculum.measure": "none" },
    "a name that is so long that a phone has to break it somewhere": { curriculum: { initial: 0.5 } },
  },
  control: "sgd",
};
const trial = () => JSON.parse(steppe("study", "show", "trial", "--json"));
// As the page writes a difference of shares.
const points = (v) => (v < 0 ? "\u2212" : "+") + (100 * Math.abs(v)).toFixed(2);

async function a_study_trains() {
  steppe("dataset", "import", "wrong", "glyphs", "--samples", "400", "--test-samples", "60", "--flip", "0.3");
  await stop("worker"); // it would be done before it is paused
  same("a study has its jobs", 18, study(TRIAL));
  await page.goto(`${base}/#/studies`);
  await page.locator(".row", { hasText: "trial" }).click();
  await page.waitForURL(/#\/study\/trial$/);
  await page.evaluate(() => {
    window.sameDocument = true;
  });
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("button", { name: "Resume" }).waitFor();
  ok("all its jobs pause", !/queued|running/.test(JSON.stringify(trial().study.states)), JSON.stringify(trial().study));
  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByRole("button", { name: "Pause" }).waitFor();
  worker();
  await until(async () => (await page.locator(".title .pill span").innerText()) === "done");
  ok("its page went with it to the end", await page.evaluate(() => window.sameDocument));
  same("then nothing is left to do", 0, await page.locator(".controls button").count());
}

async function a_study_is_told() {
  const { rows } = trial();
  await until(async () => (await page.locator(".means tbody tr").count()) === 8);
  same("a row for each arm and dataset, under two heads", 8, await page.locator(".means tbody tr").count());
  await until(async () => (await page.locator(".means tbody").last().innerText()).includes(points(rows.at(-1).metrics.test_accuracy.difference)));
  const [first, last] = [rows.find((r) => r.control), rows.at(-1)].map((r) => r.metrics.test_accuracy);
  const table = (await page.locator(".means").innerText()).replaceAll("\n", " ");
  ok("the mean of the control", table.includes(`${(100 * first.mean).toFixed(2)} ± ${(100 * first.sd).toFixed(2)}`), table);
  ok("the last arm's difference", table.includes(points(last.difference)), table);
  ok("and its interval", table.includes(`${points(last.low)} to ${points(last.high)}`), table);
  ok("in words", table.includes(last.verdict), table);
  ok("a name is text", table.includes(MARKUP));
  same("and never markup", 0, await page.locator("main img, main .study b b").count());
  same("a picture for each dataset", 2, await page.locator(".forest").count());
  same("a dot for each pair of seeds", 12, await page.locator(".forest circle.dot").count());
  same("a bar for each interval, a diamond for each mean", [4, 4].join(), [await page.locator(".forest .bar").count(), await page.locator(".forest .mean").count()].join());
  same("a line at 0", 2, await page.locator(".forest .zero").count());
  const middle = await page.locator(".forest").first().evaluate((f) => {
    const at = (selector, key) => [...f.querySelectorAll(selector)].slice(0, 3).map((e) => Number(e.getAttribute(key)));
    return [at("circle.dot", "cx"), Number(f.querySelector(".zero").getAttribute("x1"))];
  });
  const arm = rows.find((r) => r.arm === MARKUP && r.dataset === "g").jobs;
  const base_ = rows.find((r) => r.control && r.dataset === "g").jobs;
  const sides = arm.map((j) => Math.sign(j.test_accuracy - base_.find((b) => b.seed === j.seed).test_accuracy));
  same("each dot is on its side of 0", sides.sort().join(), middle[0].map((x) => Math.sign(Math.round(10 * (x - middle[1])))).sort().join());
  await until(async () => (await page.locator(".curves .line").count()) === 6);
  same("a curve for each arm and dataset", 6, await page.locator(".curves .line").count());
  same("each with its band", 6, await page.locator(".curves .band").count());
  await page.locator(".chips button", { hasText: "bold" }).click();
  same("an arm can be taken out", 4, await page.locator(".curves .line").count());
  await page.getByLabel("Figure of the curves").selectOption("train_loss");
  await until(async () => (await page.locator(".curves .legend b").first().innerText()).includes("%") === false);
  ok("another figure has other units", !(await page.locator(".curves .legend b").first().innerText()).includes("%"));
  await page.getByLabel("Figure", { exact: true }).selectOption("sharpness");
  const flat = await page.locator(".means").innerText();
  ok("a control without an ascent has no sharpness, so no pair", flat.includes("no pair") && !flat.includes("±\u2212"), flat);
  ok("and no dots", await page.locator(".forest .blank").first().isVisible());
  await page.getByLabel("Figure", { exact: true }).selectOption("test_accuracy");
}

async function a_study_by_key() {
  await page.locator(".forest svg").first().focus();
  await page.keyboard.press("ArrowRight");
  const said = () => text(".forest .readout");
  ok("a dot says what it is", /^<img.* · seed \d: .* in the control: .* · job \d+$/.test(await said()), await said());
  await page.keyboard.press("ArrowDown");
  ok("down is the next arm", (await said()).startsWith("a name"), await said());
  const job = (await said()).match(/job (\d+)$/)[1];
  await page.keyboard.press("Enter");
  await page.waitForURL(new RegExp(`#/job/${job}$`));
  ok("Enter opens its job");
  await page.goBack();
  await page.getByText("Jobs (18)").click();
  same("all its jobs are listed", 18, await page.locator(".jobs tbody tr").count());
  const link = page.locator(".jobs tbody a").last();
  const number = await link.innerText();
  await link.click();
  await page.waitForURL(new RegExp(`#/job/${number}$`));
  ok("and lead to their pages");
  await page.getByText("Study trial: arm").waitFor();
  await page.locator(".page-head").getByRole("link", { name: "trial" }).click();
  await page.waitForURL(/#\/study\/trial$/);
  ok("from where a link leads back to the study");
}

async function phone_and_dark() {
  const phone = await open({
    viewport: { width: 375, height: 740 },
    deviceScaleFactor: 2,
    hasTouch: true,
    isMobile: true,
  });
  for (const at of PAGES) {
    await phone.goto(`${base}/${at}`);
    await phone.locator("h1").first().waitFor();
    await phone.locator(DRAWN[at]).first().waitFor();
    const wide = await phone.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    ok(`${at} fits a phone`, wide <= 0, `${wide} px too wide`);
  }
  const dark = await open({ colorScheme: "dark" });
  const colour = (p, at) => p.locator(at).first().evaluate((e) => getComputedStyle(e).fill);
  const light = (p) =>
    p.evaluate(() =>
      getComputedStyle(document.documentElement)
        .backgroundColor.match(/\d+/g)
        .reduce((a, b) => a + Number(b), 0),
    );
  for (const at of PAGES) {
    await dark.goto(`${base}/${at}`);
    await dark.locator("h1").first().waitFor();
  }
  for (const p of [page, dark]) {
    await p.goto(`${base}/#/study/trial`);
    await p.locator(".forest circle.dot").first().waitFor();
  }
  for (const part of [".forest circle.dot", ".forest .name", ".curves .band"])
    ok(`${part} has its colour in both`, (await colour(dark, part)) !== (await colour(page, part)));
  ok("it is dark in the dark, light in the light", (await light(dark)) < 150 && (await light(page)) > 600);
  await Promise.all([phone.context().close(), dark.context().close()]);
}

// Pictures as a person has them, drawn and written by the browser: something round on another colour.
const drawn = (width, height, hue, kind) =>
  page
    .evaluate(
      async ([w, h, colour, type]) => {
        const canvas = Object.assign(document.createElement("canvas"), { width: w, height: h });
        const g = canvas.getContext("2d");
        if (type !== "image/png") g.fillRect(0, 0, w, h);
        g.fillStyle = `hsl(${colour} 80% 50%)`;
        g.ellipse(w / 3, h / 2, w / 4, h / 3, 0.5, 0, 7);
        g.fill();
        const blob = await new Promise((go) => canvas.toBlob(go, type, 0.9));
        return [...new Uint8Array(await blob.arrayBuffer())];
      },
      [width, height, hue, kind],
    )
    .then((bytes) => Buffer.from(bytes));
// A camera that was held upright: the EXIF orientation 6 before all other segments.
const upright = (jpeg) => {
  const exif = Buffer.from("ffe1002245786966000049492a0008000000010012010300010000000600000000000000", "hex");
  return Buffer.concat([jpeg.subarray(0, 2), exif, jpeg.subarray(2)]);
};

async function pictures_are_predicted() {
  const folder = mkdtempSync(join(tmpdir(), "stp-drop-"));
  for (const [name, hue] of [
    ["red ball", 0],
    ["blue ball", 240],
  ]) {
    mkdirSync(join(folder, "train", name), { recursive: true });
    for (let i = 0; i < 12; i += 1)
      writeFileSync(join(folder, "train", name, `${i}.jpg`), await drawn(30 + i, 20 + i, hue + i, "image/jpeg"));
  }
  steppe("dataset", "import", "balls", join(folder, "train"), "--size", "12");
  const job = submit({ name: "balls", dataset: "balls", model: "mlp", epochs: 3, batch: 8, shard: 4 });
  await until(() => JSON.parse(steppe("show", String(job), "--json")).job.state === "done");
  await page.goto(`${base}/#/job/${job}`);
  await page.getByRole("link", { name: "Predict pictures" }).click();
  await page.locator(".drop").waitFor();

  const big = await drawn(640, 420, 10, "image/jpeg");
  const files = {
    "as it is.jpg": big,
    "upright <b>.jpg": upright(big),
    "see through.png": await drawn(90, 50, 250, "image/png"),
    "web.webp": await drawn(77, 99, 200, "image/webp"),
  };
  const answers = [];
  page.on("response", async (r) => {
    if (r.url().endsWith("/api/predict.get")) answers.push(await r.json());
  });
  for (const [name, buffer] of Object.entries(files)) writeFileSync(join(folder, name), buffer);
  await page.locator("#pictures").setInputFiles(Object.keys(files).map((name) => join(folder, name)));
  const done = () => answers.filter((a) => a.done).map((a) => a.rows[0]);
  await until(async () => (await page.locator(".guess li").count()) === 8 && done().length === 4);
  const names = ["blue ball", "red ball"];
  const cards = page.locator(".guess");
  const told = Object.keys(files).map((name) => JSON.parse(steppe("predict", String(job), join(folder, name), "--json")).rows[0]);
  const rows = done();
  same("each file has an answer", 4, rows.length);
  for (const [i, want] of told.entries()) {
    const got = rows[i];
    const both = JSON.stringify([names[got.classes[0]], got.probabilities[0], names[got.classes[1]], got.probabilities[1], got.margin]);
    same(`${want.path.split("/").at(-1)}: to the last bit what the command says`, JSON.stringify([want.class, want.probability, want.second, want.second_probability, want.margin]), both);
    const card = cards.nth(3 - i);
    same("its class is named", want.class, await card.locator(".guess-name").first().innerText());
    same("with its probability", `${(100 * want.probability).toFixed(2)}%`, await card.locator(".guess-share").first().innerText());
  }
  ok("turned, it is another picture", JSON.stringify(rows[0]) !== JSON.stringify(rows[1]));
  const size = await cards.nth(3).locator(".note").innerText();
  ok("how large it was is said", size.endsWith("640 × 420 pixels, scaled to 12 × 12"), size);
  const seen = await cards.nth(2).locator("canvas").evaluate((c) => [c.width, c.height, c.getContext("2d").getImageData(6, 3, 1, 1).data[0]]);
  ok("the picture as the network sees it", seen[0] === 12 && seen[1] === 12 && seen[2] > 150, seen.join());
  same("a file's name is text", "upright <b>.jpg", await cards.nth(2).locator("h3").innerText());

  expected.push(/400/);
  const drop = (list) =>
    page.evaluate((wanted) => {
      const data = new DataTransfer();
      for (const [name, bytes] of wanted) data.items.add(new File([new Uint8Array(bytes)], name));
      dispatchEvent(new DragEvent("dragover", { dataTransfer: data, cancelable: true }));
      dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
    }, list);
  await drop([
    ["half.jpg", [...big.subarray(0, big.length / 2)]],
    ["notes.txt", [65, 66]],
    ["whole.jpg", [...big]],
  ]);
  await until(async () => (await page.locator(".guess li").count()) === 10 && done().length === 5);
  const said = (await page.locator(".guess.failed .note").allInnerTexts()).join(" | ");
  ok("damage is said in the decoder's words", /the file is neither PNG nor JPEG nor WebP \| the file is a damaged JPEG/.test(said), said);
  const [failed, good] = await Promise.all(
    [".guess.failed", ".guess:not(.failed)"].map(async (at) => (await page.locator(at).first().boundingBox()).height),
  );
  ok("what has no picture has no room for one", failed < 100 && good > 128, `${failed} ${good}`);
  same("and the one behind is predicted as before", JSON.stringify(rows[0]), JSON.stringify(done().at(-1)));
  rmSync(folder, { recursive: true });
}

async function a_domain_is_left_out() {
  const folder = mkdtempSync(join(tmpdir(), "stp-domains-"));
  for (const [domain, width] of [
    ["small", 20],
    ["large", 40],
  ])
    for (const [name, hue] of [
      ["red", 0],
      ["blue", 240],
    ]) {
      mkdirSync(join(folder, domain, name), { recursive: true });
      for (let i = 0; i < 8; i += 1)
        writeFileSync(join(folder, domain, name, `${i}.png`), await drawn(width + i, 24, hue + 5 * i, "image/png"));
    }
  steppe("dataset", "import", "d", folder, "--size", "12");
  rmSync(folder, { recursive: true });
  const spec = { ...TRIAL, name: "left", epochs: 1, batch: 8, shard: 4, seeds: [1, 2], grid: { dataset: ["d"], test_domains: [["small"], ["large"]] } };
  study({ ...spec, arms: { sgd: TRIAL.arms.sgd, sam: { "curriculum.measure": "none" } } });
  const left = () => JSON.parse(steppe("study", "show", "left", "--json"));
  await until(() => left().study.state === "done");
  const { rows, means } = left();
  await page.goto(`${base}/#/study/left`);
  const forest = page.locator(".forest", { hasText: means[0].dataset });
  await forest.locator("circle.dot").first().waitFor();
  same("a picture for each domain that is left out, and one for the mean", 3, await page.locator(".forest").count());
  same("with a dot for each seed", 2, await forest.locator("circle.dot").count());
  const mean = means.find((r) => !r.control).metrics.test_accuracy;
  const said = await forest.locator(".said").textContent();
  const number = Number(said.split(" ")[0].replace("\u2212", "-"));
  ok("and the difference of the means", Math.abs(100 * mean.difference - number) < 0.006, said);
  const of = (arm, seed) => {
    const jobs = rows.filter((r) => r.arm === arm).flatMap((r) => r.jobs.filter((j) => j.seed === seed));
    return jobs.reduce((sum, j) => sum + j.test_accuracy, 0) / jobs.length;
  };
  const want = [1, 2].map((seed) => of("sam", seed) - of("sgd", seed)).sort((a, b) => a - b);
  const at = await forest.evaluate((f) => [...f.querySelectorAll("circle.dot title")].map((t) => t.textContent));
  const shown = at.map((t) => Number(t.split(": ").at(-1).replace("\u2212", "-")));
  ok("which each dot has of its seed", want.every((v, i) => Math.abs(100 * v - shown[i]) < 0.006), at.join(" | "));
  await forest.locator("svg").focus();
  await page.keyboard.press("ArrowRight");
  ok("it says so", /^sam · seed \d: .* in the control: \S+$/.test(await forest.locator(".readout").innerText()));
  await page.keyboard.press("Enter");
  ok("and is no job that Enter could open", page.url().endsWith("#/study/left"), page.url());
}

async function files_are_named() {
  const folder = mkdtempSync(join(tmpdir(), "stp-names-"));
  const head = (...words) => Buffer.concat(words.map((w) => { const b = Buffer.alloc(4); b.writeUInt32BE(w); return b; }));
  const some = (count, of) => Buffer.from({ length: count }, (_, i) => of(i));
  writeFileSync(join(folder, "train-images-idx3-ubyte"), Buffer.concat([head(0x803, 40, 8, 8), some(40 * 64, (i) => (i * 7919) % 256)]));
  writeFileSync(join(folder, "train-labels-idx1-ubyte"), Buffer.concat([head(0x801, 40), some(40, (i) => i % 2)]));
  steppe("dataset", "import", "named", folder);
  rmSync(folder, { recursive: true });
  const job = submit({ ...SPEC, dataset: "named", epochs: 2, batch: 8, shard: 4 });
  await until(async () => JSON.parse(steppe("show", String(job), "--json")).job.state === "done");
  await page.goto(`${base}/#/job/${job}`);
  await page.locator(".card").first().waitFor();
  const { uri } = JSON.parse(steppe("top", String(job), "--json")).rows[0];
  same("a picture says its file", uri, await text(".card-file"));
  await page.locator(".card").first().click();
  await page.getByRole("dialog").getByText(uri).waitFor();
  ok("so does the story of a sample");
  await page.keyboard.press("Escape");
  const shown = await page.evaluate(async () => (await import("./dom.js")).fileName("a\n\u202eb\uefe9/\u72ac.png"));
  same("what would act on the page is only shown", "a\u240a?b\\xE9/\u72ac.png", shown);
}

async function the_server_goes() {
  await page.goto(`${base}/#/`);
  await page.locator(".row").first().waitFor();
  const rows = await page.locator(".row").count();
  expected.push(/ERR_/, /500|503/, /does not answer/);
  await stop("server");
  await page.getByRole("alert").getByText("does not answer").waitFor();
  ok("what was known stays, and it says that the server is gone", rows > 2 && (await page.locator(".row").count()) === rows);
  await server();
  await until(async () => !(await page.locator("#offline").isVisible()));
  ok("it comes back by itself", !(await page.locator("#offline").isVisible()));
}

async function many_jobs() {
  const total = await page.evaluate(async (spec) => {
    const { post } = await import("./api.js");
    let job = 0;
    while (job < 105) {
      ({ job } = (await post("job.submit", { uuid: crypto.randomUUID(), spec })).job);
      await post("job.cancel", { job });
    }
    return job;
  }, { ...SPEC, epochs: 1000 }); // none ends before it is cancelled
  await page.goto(`${base}/#/`);
  await page.getByText(`the newest 100 of ${total}`).waitFor();
  same("a long list is cut, and says so", 100, await page.locator(".row").count());
  await page.getByRole("button", { name: "Show older jobs" }).click();
  await until(async () => (await page.locator(".row").count()) === total);
  same("the others are a click away", total, await page.locator(".row").count());
  ok("then there are no older ones", !(await page.getByRole("button", { name: "Show older jobs" }).isVisible()));
}

await run([
  nothing_yet,
  the_key,
  a_job_from_the_page,
  verbs,
  live,
  pictures,
  keys_alone,
  two_jobs,
  how_flat,
  a_study_trains,
  a_study_is_told,
  a_study_by_key,
  phone_and_dark,
  a_domain_is_left_out,
  files_are_named,
  pictures_are_predicted,
  ...review,
  the_server_goes,
  many_jobs,
]);
