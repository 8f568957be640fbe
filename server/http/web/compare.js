// Two jobs side by side: their curves in one picture, their figures, what differs in their job files.
import { epochsBehind, get, pages } from "./api.js";
import { LineChart } from "./charts.js";
import { empty, figure, h, panel, pill, select, set, share, show, tableHead, trouble } from "./dom.js";
import { LIVE, dataOf, modelOf } from "./jobs.js";
import { card, classNames } from "./samples.js";

const DIFFERENT = 24;

function flat(value, place, into) {
  if (value && typeof value === "object" && !Array.isArray(value))
    for (const [key, inner] of Object.entries(value)) flat(inner, place ? `${place}.${key}` : key, into);
  else into.set(place, JSON.stringify(value));
  return into;
}

// [key, a, b] of what differs between the job files.
function differences(a, b) {
  const [x, y] = [flat(a, "", new Map()), flat(b, "", new Map())];
  return [...new Set([...x.keys(), ...y.keys()])]
    .filter((k) => k !== "name" && x.get(k) !== y.get(k))
    .map((k) => [k, x.get(k) ?? "–", y.get(k) ?? "–"]);
}

const FIGURES = [
  ["train loss", (e) => figure(e.train_loss)],
  ["test loss", (e) => figure(e.test_loss)],
  ["train accuracy", (e) => share(e.train_accuracy)],
  ["test accuracy", (e) => share(e.test_accuracy)],
  ["adversarial accuracy", (e) => share(e.adv_accuracy)],
  ["sharpness", (e) => figure(e.sharpness)],
  ["mean adm", (e) => figure(e.adm_mean)],
];

function table(head, rows) {
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      null,
      tableHead(head),
      h(
        "tbody",
        null,
        rows.map(([name, ...cells]) =>
          h(
            "tr",
            null,
            h("th", { scope: "row", text: name }),
            cells.map((c) => h("td", { text: c })),
          ),
        ),
      ),
    ),
  );
}

// Do both find the same samples hard? Rank correlation, and where they differ most.
async function agreement(box, a, b) {
  if (a.job.dataset !== b.job.dataset) return;
  try {
    const names = await classNames(a.job.dataset);
    const reply = await get("score.compare", { job: a.job.job, other: b.job.job, limit: DIFFERENT });
    const grid = h(
      "div",
      { class: "cards" },
      reply.rows.map((row, i) =>
        card(a.job.job, reply.rows, i, `${share(row.rank)} | ${share(row.other_rank)}`, names),
      ),
    );
    box.replaceChildren(
      panel(
        "Do both find the same samples hard?",
        {
          wide: true,
          note: `Rank correlation of adm (Spearman) ${figure(reply.spearman, 3)} over ${reply.samples} samples, job ${a.job.job} at epoch ${reply.epoch + 1}, job ${b.job.job} at epoch ${reply.other_epoch + 1}; they predict the same class for ${share(reply.agree)}. Below, where their ranks differ most: the share of samples that is easier, in one and in the other.`,
        },
        grid,
      ),
    );
  } catch (error) {
    box.replaceChildren(error.status === 404 ? empty("Not comparable yet", error.message) : trouble(error));
  }
}

export function comparePage(first, second) {
  const picks = h("div", { class: "tools" });
  const body = h("div");
  const el = h(
    "div",
    null,
    h("div", { class: "page-head" }, h("h1", { text: "Compare two jobs" }), picks),
    body,
  );
  let known = "";
  let drawn = "";
  let charts = null;

  function choose(jobs) {
    const options = jobs.map((j) => [j.job, `${j.job} · ${j.name} (${j.state})`]);
    const key = JSON.stringify(options);
    if (key === known) return;
    known = key;
    const go = (a, b) => {
      location.hash = `#/compare/${a}/${b}`;
    };
    picks.replaceChildren(
      select("First job", options, first, (v) => go(v, second)),
      h("span", { text: "and" }),
      select("Second job", options, second, (v) => go(first, v)),
    );
  }

  function make(a, b) {
    const two = (title, more) =>
      new LineChart({
        title,
        ...more,
        series: [
          { name: `${a.job.job} · ${a.job.name}`, colour: 1 },
          { name: `${b.job.job} · ${b.job.name}`, colour: 3, dashed: true },
        ],
      });
    const percent = { percent: true, format: (v) => share(v) };
    charts = [
      ["test_accuracy", two("Test accuracy", percent)],
      ["adv_accuracy", two("Adversarial accuracy", percent)],
      ["train_loss", two("Train loss", { zero: true, format: (v) => figure(v) })],
      ["share", two("Pacing share", { ...percent, zero: true, top: 1, step: true })],
    ];
    return h(
      "div",
      { class: "charts" },
      charts.map(([, c]) => c.el),
    );
  }

  function draw(a, b) {
    const ends = [a, b].map((r) => r.epochs.filter((e) => e.committed).at(-1) ?? {});
    const heads = [a, b].map((r) =>
      h(
        "a",
        { class: "versus", href: `#/job/${r.job.job}` },
        h("b", { text: r.job.name }),
        h("span", { text: `job ${r.job.job} · ${modelOf(r.job)} on ${dataOf(r.job)}` }),
        pill(r.job.state),
      ),
    );
    const names = ["", `job ${a.job.job}`, `job ${b.job.job}`];
    const unlike = differences(a.spec, b.spec);
    const pictures = make(a, b);
    const both = h("div");
    body.replaceChildren(
      h("div", { class: "two" }, heads),
      pictures,
      h(
        "div",
        { class: "two" },
        panel(
          "Last epoch",
          {},
          table(
            names,
            FIGURES.map(([name, f]) => [name, f(ends[0]), f(ends[1])]),
          ),
        ),
        panel(
          "What differs in the job files",
          {},
          unlike.length ? table(names, unlike) : empty("Nothing", "The job files do not differ."),
        ),
      ),
      both,
    );
    agreement(both, a, b);
    for (const [key, chart] of charts)
      chart.update(
        [a, b].map((r) => r.epochs.filter((e) => e.committed).map((e) => [e.epoch, e[key]])),
        Math.max(a.job.epochs, b.job.epochs) - 1,
      );
  }

  async function refresh() {
    const { jobs } = await pages("job.list", { limit: 1000 }, "jobs", (job) => ({ before: job.job }));
    document.title = "Compare · Steppe";
    if (jobs.length < 2) {
      body.replaceChildren(
        empty(
          "Two jobs are needed",
          jobs.length ? "There is one so far." : "There are none yet.",
          "A claim needs a control: submit the same job with the measure “random” or “none” and compare.",
        ),
      );
      return jobs.some((j) => LIVE.has(j.state));
    }
    first ||= jobs[1].job;
    second ||= jobs[0].job;
    choose(jobs);
    try {
      const whole = (job) => pages("job.show", { job, epochs_from: 0 }, "epochs", epochsBehind);
      const [a, b] = await Promise.all([first, second].map(whole));
      const now = JSON.stringify([a.job.state, b.job.state, a.epochs.length, b.epochs.length]);
      if (now !== drawn) draw(a, b);
      drawn = now;
    } catch (error) {
      body.replaceChildren(trouble(error));
      drawn = "";
    }
    return jobs.some((j) => (j.job === first || j.job === second) && LIVE.has(j.state));
  }
  return { el, refresh };
}
