// The list of jobs, the form for a new one, and the list of workers.
import { get, pages, post, unlocked } from "./api.js";
import { ago, count, duration, empty, figure, h, pill, select, set, setPill, share, show, tableHead } from "./dom.js";

const SHOWN = 100; // jobs, and as many more at each request
const PAGE = 1000;

export const LIVE = new Set(["running", "queued"]);

// What a job trains on: its dataset, or the revision of it.
export const modelOf = (job) => job.model ?? job.engine;
export const dataOf = (job) => (job.revision ? `${job.dataset}@${job.revision}` : job.dataset);

// The share of a job's steps that is done.
export function done(job) {
  if (job.state === "done") return 1;
  return job.steps ? job.step / job.steps : 0;
}

export function meter(job) {
  const bar = h("i");
  const el = h(
    "div",
    {
      class: "meter",
      role: "progressbar",
      "aria-valuemin": "0",
      "aria-valuemax": "100",
      "aria-label": "progress",
    },
    bar,
  );
  const update = (j) => {
    const part = done(j);
    bar.style.setProperty("width", `${(100 * part).toFixed(2)}%`);
    el.setAttribute("aria-valuenow", String(Math.round(100 * part)));
    el.dataset.state = j.state;
  };
  update(job);
  return { el, update };
}

// What a job is doing, in a few words.
export function doing(job) {
  if (job.waiting) return `waiting: ${job.waiting}`;
  if (job.state === "running") {
    const parts = [
      {
        train: "training",
        sweep: "scoring every sample",
        validation: "validating",
        test: "testing",
        flatness: `measuring flatness, round ${job.turn} of ${job.turns}`,
      }[job.phase] ?? (job.engine ? "its program trains" : "starting"),
    ];
    if (job.images_per_s) parts.push(`${count(job.images_per_s)} images/s`);
    if (job.eta_s) parts.push(`${duration(job.eta_s)} left`);
    return parts.join(" · ");
  }
  if (job.reason) return job.reason;
  if (job.finished_unix_ms) {
    const took = job.started_unix_ms
      ? `, after ${duration((job.finished_unix_ms - job.started_unix_ms) / 1000)}`
      : "";
    return `ended ${ago(job.finished_unix_ms)}${took}`;
  }
  return `submitted ${ago(job.created_unix_ms)}`;
}

function jobRow(job) {
  const name = h("span", { class: "row-name" });
  const what = h("span", { class: "row-what" });
  const state = pill(job.state);
  const text = h("span", { class: "row-doing" });
  const epoch = h("b");
  const accuracy = h("b");
  const loss = h("b");
  const bar = meter(job);
  const el = h(
    "a",
    { class: "row", href: `#/job/${job.job}` },
    h("span", { class: "row-title" }, name, what),
    h("span", { class: "row-state" }, state),
    h("span", { class: "row-progress" }, bar.el, text),
    h("span", { class: "row-figure" }, h("small", { text: "epoch" }), epoch),
    h("span", { class: "row-figure" }, h("small", { text: "test accuracy" }), accuracy),
    h("span", { class: "row-figure" }, h("small", { text: "train loss" }), loss),
  );
  const update = (j) => {
    set(name, j.name);
    set(what, `job ${j.job} · ${modelOf(j)} on ${dataOf(j)}`);
    setPill(state, j.state);
    set(text, doing(j));
    set(epoch, `${j.epoch}/${j.epochs}`);
    set(accuracy, share(j.accuracy));
    set(loss, figure(j.loss));
    bar.update(j);
  };
  update(job);
  return { el, update };
}

export function jobsPage() {
  const list = h("div", { class: "rows" });
  const none = empty(
    "No jobs yet",
    h(
      "span",
      null,
      "Import a dataset and submit a job: ",
      h("code", { text: "steppe dataset import glyphs glyphs" }),
      " then ",
      h("code", { text: "steppe submit deploy/examples/glyphs-lenet.json" }),
    ),
    "or press “New job”.",
  );
  const summary = h("p", { class: "lead" });
  let most = SHOWN;
  const older = h("button", {
    type: "button",
    class: "more",
    text: "Show older jobs",
    onclick: () => {
      most *= 2;
      refresh().catch(() => {});
    },
  });
  const rows = new Map();
  const el = h(
    "div",
    null,
    h(
      "div",
      { class: "page-head" },
      h("div", null, h("h1", { text: "Jobs" }), summary),
      h("button", { class: "primary", type: "button", onclick: () => newJob(), text: "New job" }),
    ),
    list,
    older,
    none,
  );
  show(none, false);
  show(older, false);

  async function refresh() {
    const { jobs, total, more } = await pages(
      "job.list",
      { limit: Math.min(most, PAGE) },
      "jobs",
      (job) => ({ before: job.job }),
      most,
    );
    show(none, jobs.length === 0);
    show(older, more);
    const seen = new Set();
    let before = null;
    for (const job of jobs) {
      seen.add(job.job);
      if (!rows.has(job.job)) rows.set(job.job, jobRow(job));
      const row = rows.get(job.job);
      row.update(job);
      const wanted = before ? before.nextSibling : list.firstChild;
      if (wanted !== row.el) list.insertBefore(row.el, wanted);
      before = row.el;
    }
    for (const [number, row] of rows)
      if (!seen.has(number)) {
        row.el.remove();
        rows.delete(number);
      }
    const running = jobs.filter((j) => j.state === "running").length;
    set(
      summary,
      jobs.length
        ? `${more ? `the newest ${jobs.length} of ${total}` : `${total} in all`}, ${running ? `${running} running` : "none running"}`
        : "",
    );
    document.title = "Steppe";
    return jobs.some((j) => LIVE.has(j.state));
  }
  return { el, refresh };
}

// --- a new job ---

const MEASURES = ["adm", "loss", "grad_norm", "el2n", "margin", "forgetting", "random", "none"];

// given: a job file to begin with, instead of the form.
export async function newJob(given) {
  if (!unlocked()) {
    dispatchEvent(new Event("locked"));
    return;
  }
  let datasets;
  try {
    ({ datasets } = await get("dataset.list"));
  } catch {
    return;
  }
  const spec = given ?? {
    dataset: datasets[0]?.name ?? "",
    model: "lenet",
    epochs: 10,
    sam: { rho: 0.05 },
    curriculum: { measure: "adm", order: "easy_first" },
  };
  const text = h("textarea", { id: "spec", rows: "12", spellcheck: "false" });
  const why = h("p", { class: "refused", role: "alert" });
  const print = () => {
    text.value = JSON.stringify(spec, null, 2);
  };
  const change = (f) => (value) => {
    try {
      Object.assign(spec, JSON.parse(text.value));
    } catch {
      /* replaces what cannot be read */
    }
    f(value);
    print();
  };
  const epochs = h("input", { type: "number", min: "1", max: "100000", value: "10", id: "epochs" });
  epochs.addEventListener("change", () =>
    change((v) => {
      spec.epochs = v;
    })(Number(epochs.value) || 1),
  );
  const field = (label, control) => h("label", null, h("span", { text: label }), control);
  const form = h(
    "div",
    { class: "fields" },
    field(
      "Dataset",
      select(
        "Dataset",
        datasets.map((d) => [d.name]),
        spec.dataset,
        change((v) => {
          spec.dataset = v;
        }),
      ),
    ),
    field(
      "Model",
      select(
        "Model",
        ["mlp", "lenet", "cnn", "resnet20_gn"].map((m) => [m]),
        "lenet",
        change((v) => {
          spec.model = v;
        }),
      ),
    ),
    field("Epochs", epochs),
    field(
      "Measure",
      select(
        "Measure",
        MEASURES.map((m) => [m]),
        "adm",
        change((v) => {
          spec.curriculum = { ...spec.curriculum, measure: v };
        }),
      ),
    ),
  );
  const submit = async (event) => {
    event.preventDefault();
    set(why, "");
    try {
      const reply = await post("job.submit", { uuid: crypto.randomUUID(), spec: JSON.parse(text.value) });
      dialog.close();
      location.hash = `#/job/${reply.job.job}`;
    } catch (error) {
      if (error.status === 401) {
        dialog.close();
        dispatchEvent(new Event("locked"));
      } else set(why, error.message);
    }
  };
  const dialog = h(
    "dialog",
    { "aria-labelledby": "new-title", onclose: () => dialog.remove() },
    h(
      "form",
      { onsubmit: submit },
      h("h2", { id: "new-title", text: "New job" }),
      given
        ? null
        : datasets.length
        ? form
        : empty(
            "There is no dataset yet",
            h(
              "span",
              null,
              "Import one first:  ",
              h("code", { text: "steppe dataset import glyphs glyphs" }),
            ),
          ),
      h("label", { for: "spec", text: "Job file" }),
      text,
      why,
      h(
        "div",
        { class: "buttons" },
        h("button", { type: "button", onclick: () => dialog.close(), text: "Close" }),
        h("button", { class: "primary", text: "Submit" }),
      ),
    ),
  );
  print();
  document.body.append(dialog);
  dialog.showModal();
}

// --- workers ---

export function workersPage() {
  const body = h("tbody");
  const table = h(
    "div",
    { class: "scroll" },
    h(
      "table",
      null,
      tableHead(["Worker", "State", "Job", "Threads", "Shards", "Last heard", "Numerics class"]),
      body,
    ),
  );
  const none = empty(
    "No worker is connected",
    h("span", null, "Start one: ", h("code", { text: "steppe-worker --threads 4" })),
    "A job trains as soon as the first one is here.",
  );
  const el = h("div", null, h("div", { class: "page-head" }, h("h1", { text: "Workers" })), table, none);
  show(none, false);

  async function refresh() {
    const { workers } = await get("worker.list");
    show(none, workers.length === 0);
    show(table, workers.length > 0);
    body.replaceChildren(
      ...workers.map((w) =>
        h(
          "tr",
          null,
          h("th", { scope: "row", text: `${w.name} (${w.worker})` }),
          h("td", null, pill(w.state)),
          h("td", null, w.job ? h("a", { href: `#/job/${w.job}`, text: `job ${w.job}` }) : "–"),
          h("td", { text: String(w.threads) }),
          h("td", { text: count(w.shards) }),
          h("td", { text: w.last_seen_ms < 1000 ? "now" : `${duration(w.last_seen_ms / 1000)} ago` }),
          h("td", { class: "mono", text: w.class }),
        ),
      ),
    );
    document.title = "Workers · Steppe";
    return workers.some((w) => w.state !== "silent");
  }
  return { el, refresh };
}
