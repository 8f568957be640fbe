// One job: what it does, its curves, its difficulty over the epochs, its samples and events.
import { epochsBehind, get, pages, post, unlocked } from "./api.js";
import { HeatMap, LineChart } from "./charts.js";
import {
  clock,
  count,
  duration,
  empty,
  figure,
  h,
  pageHead,
  panel,
  pill,
  plain,
  select,
  set,
  setPill,
  share,
  show,
  trouble,
} from "./dom.js";
import { flatnessPanel } from "./flatness.js";
import { LIVE, dataOf, doing, meter, modelOf } from "./jobs.js";
import { classesPanel, mapPanel, testPanel } from "./map.js";
import { metricsPanel } from "./metrics.js";
import { applyButton, newestRevision } from "./revise.js";
import { samplesPanel } from "./samples.js";

const HEAT_BINS = 40;
export const MEASURES = [
  ["adm", "adversarial difficulty (adm)"],
  ["loss", "loss"],
  ["el2n", "el2n"],
  ["grad_norm", "gradient norm"],
  ["gap", "adversarial gap"],
  ["adv_loss", "adversarial loss"],
  ["margin", "margin"],
];

const VERBS = { running: ["pause", "cancel"], queued: ["pause", "cancel"], paused: ["resume", "cancel"] };

// Buttons for verbs of a `type` of thing (job, study) that `keys` name; `what` it is, and what a cancelled
// one keeps, for the question before.
export function controls({ type, keys, what, stays }, changed) {
  const el = h("div", { class: "controls" });
  let shown = "";
  const act = async (verb, button) => {
    if (!unlocked()) {
      dispatchEvent(new Event("locked"));
      return;
    }
    if (verb === "cancel" && !confirm(`Cancel ${plain(what)}? It cannot be resumed; ${stays}.`)) return;
    button.disabled = true;
    try {
      await post(`${type}.${verb}`, keys);
    } catch (error) {
      if (error.status === 401) dispatchEvent(new Event("locked"));
      else alert(plain(error.message));
    }
    button.disabled = false;
    changed();
  };
  const update = (verbs) => {
    if (verbs.join() === shown) return;
    shown = verbs.join();
    el.replaceChildren(
      ...verbs.map((verb) => {
        const button = h("button", {
          type: "button",
          class: verb === "cancel" ? "danger" : "",
          text: verb[0].toUpperCase() + verb.slice(1),
          onclick: () => act(verb, button),
        });
        return button;
      }),
    );
  };
  return { el, update };
}

function tiles() {
  const value = new Map();
  const el = h(
    "dl",
    { class: "tiles" },
    [
      "epoch",
      "train loss",
      "test accuracy",
      "adversarial accuracy",
      "pacing share",
      "images/s",
      "time left",
    ].map((name) => {
      value.set(name, h("dd"));
      return h("div", { class: "tile" }, h("dt", { text: name }), value.get(name));
    }),
  );
  const update = (job, last, rate) => {
    set(value.get("epoch"), `${job.epoch} / ${job.epochs}`);
    set(value.get("train loss"), figure(job.loss));
    set(value.get("test accuracy"), share(job.accuracy));
    set(value.get("adversarial accuracy"), share(last?.adv_accuracy));
    set(value.get("pacing share"), share(last?.share));
    set(value.get("images/s"), job.images_per_s ? count(job.images_per_s) : rate && !job.waiting ? count(rate) : "–");
    set(value.get("time left"), job.state === "running" ? duration(job.eta_s) : "–");
  };
  return { el, update };
}

// What orders the samples: a measure, or scores from elsewhere.
const orderOf = (m) => (typeof m === "string" ? m : (m.file ?? `${m.measure} of job ${m.job}, epoch ${m.epoch + 1}`));

// Images per second on which an epoch trained.
const rateOf = (epoch, spec, job) => {
  const steps = job.steps / job.epochs;
  return epoch.seconds > 0 ? (steps * spec.batch) / epoch.seconds : undefined;
};

const programOf = (job) => job.program || (job.finished_unix_ms || job.heard_unix_ms ? "a program of its own" : "no program yet");
const trainedBy = (job, spec) => (job.engine ? programOf(job) : spec.sam.rho > 0 ? `SAM ρ ${spec.sam.rho}` : "SGD");

// What the pacing share is a share of, by the curriculum's scope.
const SHARES = { epoch: "of the training set", step: "of each shard, by rank inside the step" };

export function curves() {
  const charts = {
    loss: new LineChart({
      title: "Loss",
      series: [
        { name: "train", colour: 1 },
        { name: "test", colour: 2, dashed: true },
        { name: "validation", colour: 4, optional: true },
      ],
      format: (v) => figure(v),
      zero: true,
    }),
    accuracy: new LineChart({
      title: "Accuracy",
      percent: true,
      top: 1,
      format: (v) => share(v),
      series: [
        { name: "train", colour: 1 },
        { name: "test", colour: 2, dashed: true },
        { name: "adversarial", colour: 3 },
        { name: "validation", colour: 4, optional: true },
      ],
    }),
    share: new LineChart({
      title: "Pacing share",
      percent: true,
      zero: true,
      top: 1,
      step: true,
      height: 150,
      format: (v) => share(v),
      series: [{ name: SHARES.epoch, colour: 4 }],
    }),
    rate: new LineChart({
      title: "Images per second",
      zero: true,
      height: 150,
      format: (v) => count(v),
      series: [{ name: "trained, scoring included", colour: 5 }],
    }),
  };
  const el = h(
    "div",
    { class: "charts" },
    Object.values(charts).map((c) => c.el),
  );
  const update = (epochs, spec, job) => {
    const of = (key) => epochs.map((e) => [e.epoch, e[key]]);
    const end = job.epochs - 1;
    charts.loss.update([of("train_loss"), of("test_loss"), of("validation_loss")], end);
    charts.accuracy.update(
      [of("train_accuracy"), of("test_accuracy"), of("adv_accuracy"), of("validation_accuracy")],
      end,
    );
    set(charts.share.names[0], SHARES[spec.curriculum.scope] ?? "");
    charts.share.update([of("share")], end);
    charts.rate.update([epochs.map((e) => [e.epoch, rateOf(e, spec, job)])], end);
  };
  return { el, update };
}

function heatPanel(number) {
  const map = new HeatMap({});
  const none = empty("Nothing scored yet", "The first scores come at the end of an epoch.");
  const held = new Map(); // measure -> { rows, scale }
  let by = "adm";
  let epochs = 1;
  const pick = select("Measure", MEASURES, by, (v) => {
    by = v;
    refresh();
  });
  const el = panel("Difficulty over the epochs", { tools: pick, wide: true }, map.el, none);

  async function refresh() {
    const mine = by;
    const kept = held.get(mine) ?? { rows: [] };
    held.set(mine, kept);
    for (let more = true; more;) {
      const reply = await get("score.heatmap", {
        job: number,
        by: mine,
        bins: HEAT_BINS,
        epochs_from: (kept.rows.at(-1)?.epoch ?? -1) + 1,
      });
      kept.scale = reply;
      kept.rows.push(...reply.rows.filter((r) => r.epoch > (kept.rows.at(-1)?.epoch ?? -1)));
      more = reply.more;
      if (mine !== by) return;
      show(none, kept.rows.length === 0);
      show(map.el, kept.rows.length > 0);
      if (kept.rows.length) map.update(kept.rows, kept.scale, mine, epochs);
    }
  }
  return {
    el,
    refresh: (all) => {
      epochs = all;
      return refresh();
    },
  };
}

function eventsPanel(number) {
  const list = h("ol", { class: "events" });
  let after = 0;
  const el = panel("What happened", {}, list);
  async function refresh() {
    const { events } = await pages("job.log", { job: number, after, limit: 1000 }, "events", (e) => ({
      after: e.event,
    }));
    for (const e of events) {
      after = Math.max(after, e.event);
      list.prepend(h("li", null, h("time", { text: clock(e.unix_ms) }), h("span", { text: e.text })));
    }
  }
  return { el, refresh };
}

// Which job of which study it is.
function placeOf() {
  const link = h("a");
  const rest = h("span");
  const el = h("p", { class: "what" }, "Study ", link, rest);
  const update = (place) => {
    show(el, Boolean(place));
    if (!place) return;
    set(link, place.study);
    link.href = `#/study/${encodeURIComponent(place.study)}`;
    set(rest, `: arm ${place.arm} on ${place.dataset}, seed ${place.seed}`);
  };
  show(el, false);
  return { el, update };
}

export function jobPage(number) {
  const title = h("h1", { text: `Job ${number}` });
  const state = pill("queued");
  const line = h("p", { class: "lead" });
  const what = h("p", { class: "what" });
  const place = placeOf();
  const verbs = controls(
    { type: "job", keys: { job: number }, what: `job ${number}`, stays: "its scores and model stay" },
    () => refresh().catch(() => {}),
  );
  const apply = applyButton(number, () => refresh().catch(() => {}));
  const predict = h("a", { class: "button", href: `#/predict/${number}`, text: "Predict pictures" });
  const review = h("a", { class: "button", href: `#/review/${number}`, text: "Review labels" });
  const bar = meter({ state: "queued" });
  const facts = tiles();
  const lines = curves();
  const metrics = metricsPanel(number);
  const flatness = flatnessPanel(number);
  const heat = heatPanel(number);
  const samples = samplesPanel(number);
  const map = mapPanel(number);
  const classes = classesPanel(number);
  const test = testPanel();
  const events = eventsPanel(number);
  const spec = h("pre", { class: "spec" });
  const config = h(
    "details",
    { class: "panel" },
    h("summary", { text: "Job file, every default written out" }),
    spec,
  );
  const body = h(
    "div",
    null,
    bar.el,
    facts.el,
    lines.el,
    metrics.el,
    flatness.el,
    heat.el,
    samples.el,
    h("div", { class: "two" }, map.el, classes.el),
    test.el,
    h("div", { class: "two" }, events.el, config),
  );
  const tools = h(
    "div",
    { class: "controls" },
    predict,
    review,
    apply.el,
    verbs.el,
  );
  const el = h(
    "div",
    null,
    pageHead({ list: "Jobs", href: "#/", at: number, title, state, lines: [what, place.el, line], tools }),
    body,
  );
  const epochs = [];
  show(review, false);
  let shown = -2; // epochs of the pictures below
  let eventsAt = "";

  async function refresh() {
    let reply;
    try {
      const from = epochs.length ? epochs.at(-1).epoch + 1 : 0;
      reply = await pages("job.show", { job: number, epochs_from: from }, "epochs", epochsBehind);
    } catch (error) {
      if (error.status === 404) body.replaceChildren(trouble(error));
      throw error;
    }
    const { job } = reply;
    epochs.push(...reply.epochs.filter((e) => e.committed && e.epoch > (epochs.at(-1)?.epoch ?? -1)));
    set(title, job.name);
    setPill(state, job.state);
    set(
      what,
      `${modelOf(job)} on ${dataOf(job)}, ${trainedBy(job, reply.spec)}, curriculum by ${orderOf(reply.spec.curriculum.measure)}`,
    );
    place.update(reply.study);
    set(line, doing(job));
    verbs.update(VERBS[job.state] ?? []);
    show(predict, !job.engine); // the model of a program is the program's
    show(review, epochs.some((e) => e.scored > 0));
    newestRevision(job.dataset).then(
      ({ number: newest }) => apply.update(reply, newest),
      () => {},
    );
    bar.update(job);
    const last = epochs.at(-1);
    facts.update(job, last, last && rateOf(last, reply.spec, job));
    document.title = `${plain(job.name)} · ${job.state} · Steppe`;
    if (shown !== epochs.length) {
      shown = epochs.length;
      lines.update(epochs, reply.spec, job);
      set(spec, JSON.stringify(reply.spec, null, 2));
      test.update(reply.test);
      for (const part of [
        metrics.refresh(job.epochs),
        flatness.refresh(reply.flatness, job.epochs),
        heat.refresh(job.epochs),
        samples.refresh(epochs, job.dataset),
        map.refresh(epochs, job.dataset),
        classes.refresh(epochs),
      ])
        part.catch(() => {});
    }
    const now = `${shown} ${job.state} ${job.reason ?? ""}`;
    if (now !== eventsAt) {
      eventsAt = now;
      events.refresh().catch(() => {
        eventsAt = "";
      });
    }
    return LIVE.has(job.state);
  }
  return { el, refresh };
}
