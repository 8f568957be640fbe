// Studies: the list of them, and one: means over the seeds, differences to the control, curves, jobs.
import { get } from "./api.js";
import { LineChart } from "./charts.js";
import { NONE, ago, empty, figure, h, hundredths, pageHead, panel, pill, plain, select, set, setPill, share, show, tableHead, trouble } from "./dom.js";
import { Forest, domain } from "./forest.js";
import { controls } from "./job.js";
import { LIVE, meter } from "./jobs.js";

const MANY = 60; // jobs: a larger study is asked for less often
const LINES = 10; // in one picture: five colours, whole and dashed
const AT_FIRST = 5;
const LONG = 10; // arms: more scroll

// What a figure is called, and whether it is a share, shown in percent.
const FIGURES = {
  test_accuracy: ["test accuracy", true],
  adv_accuracy: ["accuracy under attack", true],
  validation_accuracy: ["validation accuracy", true],
  sharpness: ["sharpness", false],
  lambda1: ["largest eigenvalue of the Hessian", false],
  trace: ["trace of the Hessian", false],
  test_loss: ["test loss", false],
  train_loss: ["train loss", false],
};
const titleOf = (name) => FIGURES[name]?.[0] ?? name;
const isShare = (name) => FIGURES[name]?.[1] ?? false;
const has = (v) => typeof v === "number" && Number.isFinite(v);

// A value as the table shows it, and a difference, with its sign.
const value = (name, v) => (isShare(name) && has(v) ? hundredths(v) : figure(v));
function signed(name, v) {
  if (!has(v)) return NONE;
  const text = isShare(name) ? hundredths(v) : figure(v, 3);
  return text.startsWith("-") ? `−${text.slice(1)}` : `+${text}`;
}
const interval = (name, m) => (has(m.low) && has(m.high) ? `${signed(name, m.low)} to ${signed(name, m.high)}` : "");

const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
const statesText = (study) =>
  Object.entries(study.states)
    .map(([state, n]) => `${n} ${state}`)
    .join(", ");
const doneOf = (study) => study.states.done ?? 0;
const asJob = (study) => ({ state: study.state, step: doneOf(study), steps: study.jobs });
const unique = (list) => [...new Set(list)];

// --- the list ---

function studyRow(study) {
  const what = h("span", { class: "row-what" });
  const state = pill(study.state);
  const text = h("span", { class: "row-doing" });
  const bar = meter(asJob(study));
  const values = ["jobs done", "arms", "datasets"].map((name) => [name, h("b")]);
  const el = h(
    "a",
    { class: "row", href: `#/study/${encodeURIComponent(study.study)}` },
    h("span", { class: "row-title" }, h("span", { class: "row-name", text: study.study }), what),
    h("span", { class: "row-state" }, state),
    h("span", { class: "row-progress" }, bar.el, text),
    values.map(([name, b]) => h("span", { class: "row-figure" }, h("small", { text: name }), b)),
  );
  const update = (now) => {
    set(what, `${now.control ? `control ${now.control} · ` : ""}${ago(now.created_unix_ms)}`);
    setPill(state, now.state);
    set(text, statesText(now));
    bar.update(asJob(now));
    [`${doneOf(now)}/${now.jobs}`, now.arms, now.datasets].forEach((v, i) => set(values[i][1], v));
  };
  update(study);
  return { el, update };
}

export function studiesPage() {
  const list = h("div", { class: "rows" });
  const summary = h("p", { class: "lead" });
  const none = empty(
    "No studies yet",
    "A study trains every arm with every seed and compares it with a control.",
    h("span", null, "Submit one: ", h("code", { text: "steppe study submit FILE" })),
  );
  const el = h(
    "div",
    null,
    h("div", { class: "page-head" }, h("div", null, h("h1", { text: "Studies" }), summary)),
    list,
    none,
  );
  const rows = new Map();
  let order = "";
  show(none, false);

  async function refresh() {
    const { studies } = await get("study.list");
    studies.sort((a, b) => b.created_unix_ms - a.created_unix_ms);
    show(none, studies.length === 0);
    for (const study of studies) {
      if (!rows.has(study.study)) rows.set(study.study, studyRow(study));
      rows.get(study.study).update(study);
    }
    const now = JSON.stringify(studies.map((study) => study.study));
    if (now !== order) list.replaceChildren(...studies.map((study) => rows.get(study.study).el));
    order = now;
    set(summary, studies.length ? `${studies.length} in all` : "");
    document.title = "Studies · Steppe";
    return studies.some((study) => LIVE.has(study.state));
  }
  return { el, refresh };
}

// --- the table ---

// The verdict in words, and whether it is for or against the arm.
function verdictOf(row, m, better) {
  if (row.stopped) return ["stopped by halving", "unsure"];
  if (!m?.verdict) return ["", "unsure"];
  if (m.verdict !== "above" && m.verdict !== "below") return [m.verdict, "unsure"];
  const good = (m.verdict === "above") === (better === "higher");
  return [`${m.verdict}: ${good ? "better" : "worse"}`, good ? "good" : "bad"];
}

function meansRow(row, name, better) {
  const m = row.metrics[name] ?? {};
  const [words, tone] = verdictOf(row, m, better);
  const piece = (text) => h("span", { class: "piece", text });
  return h(
    "tr",
    null,
    h("th", { scope: "row", text: row.arm }),
    h(
      "td",
      null,
      has(m.mean) ? [piece(value(name, m.mean)), has(m.sd) && [" ", piece(`± ${value(name, m.sd)}`)]].flat() : NONE,
      h("small", { text: `${m.count ?? 0} of ${plural(row.seeds ?? row.jobs.length, "seed")}` }),
    ),
    row.control
      ? h("td", { text: "control", class: "unsure", colspan: "2" })
      : [
          h(
            "td",
            null,
            has(m.difference) ? piece(signed(name, m.difference)) : NONE,
            h("small", { text: interval(name, m) }),
          ),
          h("td", { class: tone, text: words }),
        ],
  );
}

function meansPanel() {
  const body = h("div");
  const note = h("p", { class: "note" });
  const tools = h("div", { class: "tools" });
  const el = panel("Means over the seeds", { tools, wide: true }, note, body);
  const update = (rows, name, better, confidence) => {
    const percent = isShare(name);
    const datasets = unique(rows.map((r) => r.dataset));
    const several = datasets.length > 1;
    set(
      note,
      `Of jobs that are done; ${better} is better. Differences are paired by seed, with the ${Math.round(100 * confidence)} % interval of their mean (Student's t).`,
    );
    body.replaceChildren(
      h(
        "div",
        { class: rows.length > 2 * LONG ? "scroll long" : "scroll" },
        h(
          "table",
          { class: "means" },
          tableHead([
            "arm",
            `mean ± sd${percent ? " (%)" : ""}`,
            `difference${percent ? " (points)" : ""}`,
            "in words",
          ]),
          datasets.map((dataset) =>
            h(
              "tbody",
              null,
              several &&
                h("tr", { class: "group" }, h("th", { scope: "rowgroup", colspan: "4", text: `on ${dataset}` })),
              rows.filter((r) => r.dataset === dataset).map((r) => meansRow(r, name, better)),
            ),
          ),
        ),
      ),
    );
  };
  return { el, tools, update };
}

// --- the differences ---

// A mean over datasets with what it is of: for each seed that has all of them, as if it were a job that is done.
function withSeeds(mean, rows, name) {
  const parts = mean.datasets.map((of) => rows.find((r) => r.arm === mean.arm && r.dataset === of)?.jobs ?? []);
  const valueOf = (jobs, seed) => jobs.find((j) => j.seed === seed && j.state === "done")?.[name] ?? NaN;
  const jobs = parts[0].map(({ seed }) => ({
    seed,
    state: "done",
    [name]: parts.reduce((sum, part) => sum + valueOf(part, seed), 0) / parts.length,
  }));
  return { ...mean, jobs };
}

// A row of the picture: what each seed that is done here and in the control differs by.
function forestRow(row, control, name, better) {
  const m = row.metrics[name] ?? {};
  const of = new Map((control?.jobs ?? []).filter((j) => j.state === "done").map((j) => [j.seed, j[name]]));
  const factor = isShare(name) ? 100 : 1;
  const [words, tone] = verdictOf(row, m, better);
  const scaled = (v) => (has(v) ? factor * v : undefined);
  return {
    name: row.arm,
    tone,
    brief: has(m.difference) ? signed(name, m.difference) : words,
    said: has(m.difference) ? `${signed(name, m.difference)} · ${words}` : words,
    mean: scaled(m.difference),
    low: scaled(m.low),
    high: scaled(m.high),
    dots: row.jobs
      .filter((j) => j.state === "done" && has(j[name]) && has(of.get(j.seed)))
      .map((j) => ({
        job: j.job,
        seed: j.seed,
        value: factor * (j[name] - of.get(j.seed)),
        text: `seed ${j.seed}: ${value(name, j[name])} here, ${value(name, of.get(j.seed))} in the control: ${signed(name, j[name] - of.get(j.seed))}${j.job ? ` · job ${j.job}` : ""}`,
      })),
  };
}

function differencesPanel() {
  const grid = h("div", { class: "charts" });
  const title = h("h2");
  const note = h("p", { class: "note" });
  const el = h("div", null, h("div", { class: "panel-head" }, title), note, grid);
  const forests = new Map();
  let shown = "";
  const update = (rows, name, better) => {
    const datasets = unique(rows.map((r) => r.dataset));
    const control = rows.find((r) => r.control)?.arm;
    show(el, rows.some((r) => !r.control));
    set(title, `Differences to ${control}`);
    set(
      note,
      `In ${titleOf(name)}${isShare(name) ? ", percentage points" : ""}; ${better} is better. A dot is a seed, the diamond their mean, the bar its interval, which ends in an arrow where it leaves the picture. Point at a dot or use the arrow keys; Enter opens its job.${rows.some((r) => r.datasets) ? " In a picture of a mean a dot is a seed's mean." : ""}`,
    );
    if (JSON.stringify(datasets) !== shown) {
      shown = JSON.stringify(datasets);
      forests.clear();
      for (const dataset of datasets)
        forests.set(dataset, new Forest({ title: dataset, open: (job) => (location.hash = `#/job/${job}`) }));
      grid.className = datasets.length === 1 ? "charts one" : "charts";
      grid.replaceChildren(...[...forests.values()].map((f) => f.el));
    }
    const lists = datasets.map((dataset) => {
      const here = rows.filter((r) => r.dataset === dataset);
      const base = here.find((r) => r.control);
      return here.filter((r) => !r.control).map((r) => forestRow(r, base, name, better));
    });
    const axis = domain(lists.flat());
    datasets.forEach((dataset, i) => {
      forests.get(dataset).box.classList.toggle("long", lists[i].length > LONG);
      forests.get(dataset).update(lists[i], axis);
    });
  };
  return { el, update };
}

// --- the curves ---

function curvesPanel(study) {
  const grid = h("div", { class: "charts" });
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Arms in the picture" });
  const styles = new Map(); // arm -> which of the LINES it is
  let by = "test_accuracy";
  let arms = [];
  let held = null; // the last reply
  let heldAt = "";
  let wanted = "";
  let made = "";
  let charts = new Map();
  const pick = select(
    "Figure of the curves",
    Object.keys(FIGURES).map((name) => [name, titleOf(name)]),
    by,
    (v) => {
      by = v;
      load().catch(() => {});
    },
  );
  const el = panel(
    "Learning curves",
    { tools: pick, wide: true, note: "The mean over the seeds that have committed the epoch, and one deviation around it." },
    chips,
    grid,
  );
  el.classList.add("curves");

  const free = () => Array.from({ length: LINES }, (_, i) => i).find((i) => ![...styles.values()].includes(i));
  const look = (i) => ({ colour: (i % 5) + 1, dashed: i >= 5 });

  function toggle(arm) {
    if (styles.has(arm)) styles.delete(arm);
    else if (free() !== undefined) styles.set(arm, free());
    paintChips();
    draw();
  }

  function paintChips() {
    show(chips, arms.length > 1);
    arms.forEach((arm, i) => {
      const button = chips.children[i];
      const style = styles.has(arm) ? look(styles.get(arm)) : null;
      button.setAttribute("aria-pressed", String(Boolean(style)));
      button.disabled = !style && free() === undefined;
      button.firstChild.className = style ? `c${style.colour}` : "";
      button.className = style?.dashed ? "dashed" : "";
    });
  }

  function choose(all, control) {
    if (JSON.stringify(all) === JSON.stringify(arms)) return;
    arms = all;
    for (const arm of [...styles.keys()]) if (!arms.includes(arm)) styles.delete(arm);
    if (!styles.size)
      for (const arm of unique([control, ...arms].filter((a) => a !== undefined)).slice(0, AT_FIRST))
        styles.set(arm, free());
    chips.replaceChildren(
      ...arms.map((arm) =>
        h(
          "button",
          { type: "button", onclick: () => toggle(arm) },
          h("i", { "aria-hidden": "true" }),
          h("span", { text: arm === control ? `${arm} (control)` : arm }),
        ),
      ),
    );
    paintChips();
  }

  function make(datasets, chosen) {
    const format = (v, sd) => {
      const text = isShare(held.by) ? share(v) : figure(v);
      return sd ? `${text} ± ${value(held.by, sd)}` : text;
    };
    charts = new Map(
      datasets.map((dataset) => [
        dataset,
        new LineChart({
          title: dataset,
          percent: isShare(held.by),
          zero: held.by.endsWith("loss"),
          format,
          height: 230,
          series: chosen.map((arm) => ({ name: arm, ...look(styles.get(arm)) })),
        }),
      ]),
    );
    grid.className = datasets.length === 1 ? "charts one" : "charts";
    grid.replaceChildren(...[...charts.values()].map((c) => c.el));
  }

  function draw() {
    if (!held) return;
    const chosen = arms.filter((arm) => styles.has(arm));
    const datasets = unique(held.curves.map((c) => c.dataset));
    const now = JSON.stringify([held.by, datasets, chosen.map((arm) => [arm, styles.get(arm)])]);
    if (now !== made) make(datasets, chosen);
    made = now;
    for (const [dataset, chart] of charts)
      chart.update(
        chosen.map((arm) => {
          const c = held.curves.find((v) => v.arm === arm && v.dataset === dataset);
          return (c?.epoch ?? []).map((e, i) => [e, c.mean[i], c.sd[i]]);
        }),
      );
  }

  async function load() {
    const mine = JSON.stringify([by, wanted]);
    if (mine === heldAt) return;
    const reply = await get("study.curves", { study, by });
    if (mine !== JSON.stringify([by, wanted])) return;
    held = reply;
    heldAt = mine;
    draw();
  }
  const refresh = (rows) => {
    choose(unique(rows.map((r) => r.arm)), rows.find((r) => r.control)?.arm);
    wanted = rows.map((r) => r.jobs.map((j) => j.epoch).join()).join(";");
    return load();
  };
  return { el, refresh };
}

// --- the jobs ---

function jobsPanel() {
  const body = h("tbody");
  const head = h("summary", { text: "Jobs" });
  const last = h("th", { scope: "col" });
  const el = h(
    "details",
    { class: "panel wide" },
    head,
    h(
      "div",
      { class: "scroll long" },
      h(
        "table",
        { class: "jobs" },
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            ["job", "arm", "seed", "state"].map((t) => h("th", { scope: "col", text: t })),
            h("th", { scope: "col", class: "wide-only", text: "epochs" }),
            last,
          ),
        ),
        body,
      ),
    ),
  );
  const update = (rows, name) => {
    const several = unique(rows.map((r) => r.dataset)).length > 1;
    set(head, `Jobs (${rows.reduce((n, r) => n + r.jobs.length, 0)})`);
    set(last, `${titleOf(name)}${isShare(name) ? " (%)" : ""}`);
    body.replaceChildren(
      ...rows.flatMap((r) =>
        r.jobs.map((j) =>
          h(
            "tr",
            null,
            h("th", { scope: "row" }, h("a", { href: `#/job/${j.job}`, text: j.job })),
            h("td", { class: "arm" }, r.arm, several && h("small", { text: r.dataset })),
            h("td", { text: j.seed }),
            h("td", null, pill(j.state)),
            h("td", { class: "wide-only", text: j.epoch }),
            h("td", { text: value(name, j[name]) }),
          ),
        ),
      ),
    );
  };
  return { el, update };
}

// --- one study ---

const verbsOf = ({ states }) => [
  ...(states.running || states.queued ? ["pause"] : []),
  ...(states.paused ? ["resume"] : []),
  ...(states.running || states.queued || states.paused ? ["cancel"] : []),
];

export function studyPage(name) {
  const title = h("h1", { text: name });
  const state = pill("queued");
  const what = h("p", { class: "what" });
  const line = h("p", { class: "lead" });
  const verbs = controls(
    {
      type: "study",
      keys: { study: name },
      what: `all jobs of study ${name} that have not ended`,
      stays: "what is trained so far stays",
    },
    () => refresh().catch(() => {}),
  );
  const bar = meter({ state: "queued" });
  const means = meansPanel();
  const differences = differencesPanel();
  const curves = curvesPanel(name);
  const jobs = jobsPanel();
  const body = h("div", { class: "study" }, bar.el, means.el, differences.el, curves.el, jobs.el);
  const el = h(
    "div",
    null,
    pageHead({ list: "Studies", href: "#/studies", at: name, title, state, lines: [what, line], tools: verbs.el }),
    body,
  );
  let reply = null;
  let shown = "";
  let by = "";
  let offered = "";

  // The figures that any job has.
  function offer() {
    const measured = reply.metrics.filter((m) => reply.rows.some((r) => r.jobs.some((j) => has(j[m.name]))));
    const list = (measured.length ? measured : reply.metrics.slice(0, 1)).map((m) => m.name);
    if (!list.includes(by)) [by] = list;
    if (list.join() === offered) return;
    offered = list.join();
    const change = (v) => {
      by = v;
      draw();
    };
    means.tools.replaceChildren(
      select(
        "Figure",
        list.map((v) => [v, titleOf(v)]),
        by,
        change,
      ),
    );
  }

  function draw() {
    offer();
    const { better } = reply.metrics.find((m) => m.name === by);
    means.update([...reply.rows, ...(reply.means ?? [])], by, better, reply.confidence);
    const overDatasets = (reply.means ?? []).map((mean) => withSeeds(mean, reply.rows, by));
    differences.update([...reply.rows, ...overDatasets], by, better);
    jobs.update(reply.rows, by);
  }

  async function refresh() {
    try {
      reply = await get("study.show", { study: name });
    } catch (error) {
      if (error.status === 404) body.replaceChildren(trouble(error));
      throw error;
    }
    const { study } = reply;
    setPill(state, study.state);
    set(what, `${plural(study.arms, "arm")} on ${plural(study.datasets, "dataset")}, ${plural(study.jobs, "job")}${study.control ? `, control ${study.control}` : ""}`);
    set(line, `${statesText(study)} · submitted ${ago(study.created_unix_ms)}`);
    verbs.update(verbsOf(study));
    bar.update(asJob(study));
    document.title = `${plain(name)} · ${study.state} · Steppe`;
    const now = JSON.stringify([reply.metrics, reply.rows]);
    if (now !== shown) draw();
    shown = now;
    curves.refresh(reply.rows).catch(() => {});
    return LIVE.has(study.state) && study.jobs <= MANY;
  }
  return { el, refresh };
}
