// The hardest, easiest and most suspicious samples of a job as pictures, and the story of each.
import { epochsBehind, get, pages, picture } from "./api.js";
import { LineChart } from "./charts.js";
import { empty, figure, fileName, h, panel, select, set, share, show, trouble, unseen } from "./dom.js";
import { MEASURES } from "./job.js";

const LIMIT = 24;
const MOST = 384;

const nameOf = (row) => row.label_name ?? String(row.label);

// Names of a job's classes, requested once; numbers when the server has none.
const held = new Map();
export async function classNames(dataset) {
  if (!held.has(dataset))
    held.set(
      dataset,
      get("dataset.show", { name: dataset }).then(
        (r) => r.class_names,
        () => [],
      ),
    );
  return held.get(dataset);
}

// --- one sample ---

export function openSample(job, rows, index, names = []) {
  const image = h("img", { class: "big pixels", alt: "", width: "224", height: "224", onerror: unseen });
  const title = h("h2", { id: "sample-title" });
  const facts = h("dl", { class: "facts" });
  const scores = new LineChart({
    title: "Difficulty",
    zero: true,
    height: 150,
    format: (v) => figure(v, 3),
    series: [
      { name: "adm", colour: 1 },
      { name: "el2n", colour: 4, dashed: true },
    ],
  });
  const losses = new LineChart({
    title: "Loss",
    zero: true,
    height: 150,
    format: (v) => figure(v, 3),
    series: [
      { name: "clean", colour: 2 },
      { name: "adversarial", colour: 3, dashed: true },
    ],
  });
  const strip = h("div", { class: "strip" });
  const right = h("p", { class: "note" });
  const why = h("p", { class: "refused", role: "alert" });
  const go = (step) => {
    index = (index + step + rows.length) % rows.length;
    load();
  };
  const many = rows.length > 1;
  const dialog = h(
    "dialog",
    {
      class: "sample",
      "aria-labelledby": "sample-title",
      onclose: () => dialog.remove(),
      onkeydown: (e) => {
        if (!many || e.target.closest("svg")) return;
        if (e.key === "ArrowLeft") go(-1);
        if (e.key === "ArrowRight") go(1);
      },
      onclick: (e) => e.target === dialog && dialog.close(),
    },
    h(
      "div",
      { class: "sample-box" },
      h(
        "div",
        { class: "panel-head" },
        title,
        h(
          "div",
          { class: "buttons" },
          many &&
            h("button", {
              type: "button",
              "aria-label": "Previous sample",
              onclick: () => go(-1),
              text: "‹",
            }),
          many &&
            h("button", { type: "button", "aria-label": "Next sample", onclick: () => go(1), text: "›" }),
          h("button", { type: "button", autofocus: true, onclick: () => dialog.close(), text: "Close" }),
        ),
      ),
      h(
        "div",
        { class: "sample-body" },
        h("div", null, image, facts),
        h("div", { class: "sample-story" }, right, strip, scores.el, losses.el, why),
      ),
    ),
  );

  async function load() {
    const { sample } = rows[index];
    set(title, `Sample ${sample}`);
    image.src = picture(job, sample);
    set(why, "");
    try {
      const reply = await pages("score.trajectory", { job, sample, epochs_from: 0 }, "rows", epochsBehind);
      if (rows[index].sample !== sample) return;
      tell(reply);
    } catch (error) {
      set(why, error.message);
    }
  }

  function tell(reply) {
    const { rows: epochs, sample } = reply;
    const last = epochs.at(-1) ?? {};
    const list = [
      ["label", nameOf(sample)],
      ["predicted", names[last.predicted] ?? last.predicted ?? "–"],
      ["adm", figure(last.adm, 3)],
      ["loss", figure(last.loss, 3)],
      ["gradient norm", figure(last.grad_norm, 3)],
    ];
    if (sample.truth !== undefined && sample.truth !== sample.label)
      list.push(["true class", names[sample.truth] ?? sample.truth]);
    if (sample.planted) list.push(["planted", sample.planted]);
    if (sample.uri) list.push(["file", fileName(sample.uri)]);
    facts.replaceChildren(
      ...list.map(([k, v]) => h("div", null, h("dt", { text: k }), h("dd", { text: String(v) }))),
    );
    image.alt = `Sample ${sample.sample}, labelled ${nameOf(sample)}`;
    const good = epochs.filter((e) => e.correct).length;
    set(right, `Right in ${good} of ${epochs.length} scored epochs.`);
    strip.replaceChildren(
      ...epochs.map((e) =>
        h("i", { class: e.correct ? "yes" : "no", title: `epoch ${e.epoch + 1}: predicted ${e.predicted}` }),
      ),
    );
    const of = (key) => epochs.map((e) => [e.epoch, e[key]]);
    scores.update([of("adm"), of("el2n")]);
    losses.update([of("loss"), of("adv_loss")]);
  }
  document.body.append(dialog);
  dialog.showModal();
  load();
}

// --- the grid ---

export function card(job, rows, index, score, names) {
  const row = rows[index];
  const wrong = row.predicted !== undefined && row.predicted !== row.label;
  return h(
    "button",
    {
      type: "button",
      class: "card",
      onclick: () => openSample(job, rows, index, names),
      "aria-label": `Sample ${row.sample}, labelled ${nameOf(row)}, ${score}`,
    },
    h("img", {
      class: "pixels",
      src: picture(job, row.sample),
      alt: "",
      onerror: unseen,
      loading: "lazy",
      width: "84",
      height: "84",
    }),
    h(
      "span",
      { class: "card-label" },
      nameOf(row),
      wrong && h("span", { class: "wrong", text: ` → ${names[row.predicted] ?? row.predicted}` }),
    ),
    h("span", { class: "card-score" }, score, row.planted && h("em", { text: row.planted })),
    row.uri && h("span", { class: "card-file", title: fileName(row.uri), text: fileName(row.uri.split("/").at(-1)) }),
  );
}

// What a list of suspects is worth, as `steppe suspects` says it: first, whether those who judge have seen the labels.
export function worthOf(worth) {
  if (!worth) return [];
  const held =
    worth.validation_accuracy !== undefined
      ? `, on ${share(worth.validation_accuracy)} of those held out to validate`
      : worth.test_accuracy !== undefined
        ? `, on ${share(worth.test_accuracy)} of those of the test`
        : "";
  const whose = worth.out_of_sample
    ? `Out of sample: right on ${share(worth.accuracy)} of the labels by models that have not seen them`
    : `In sample: right on ${share(worth.accuracy)} of the labels that the model was trained on`;
  const about = `${whose}${held}. `;
  const counts = [...new Set([worth.least ?? worth.expected, worth.most ?? worth.expected].map(Math.round))].join(" to ");
  const expected = `About ${counts} of ${worth.samples} labels are expected to be wrong.`;
  const out = worth.held_out;
  const missing = out ? ` Not among them: ${out} sample${out === 1 ? "" : "s"} without scores (held out, or not reported by the job's program).` : "";
  return [
    h("p", { class: "note", text: about + expected + missing }),
    ...worth.warnings.map((text) => h("p", { class: "note wrong", text: `Warning: ${text}.` })),
  ];
}

const VIEWS = {
  hardest: { text: "Hardest", type: "score.top", keys: { order: "hardest" } },
  easiest: { text: "Easiest", type: "score.top", keys: { order: "easiest" } },
  suspects: { text: "Suspicious labels", type: "score.suspects", keys: {}, own: true },
};

export function samplesPanel(number) {
  const grid = h("div", { class: "cards" });
  const more = h("button", {
    type: "button",
    class: "more",
    text: "Show more",
    onclick: () => {
      ask.limit *= 2;
      load();
    },
  });
  const box = h("div", null, grid, more);
  const none = empty("Nothing scored yet", "Samples appear here when the first epoch ends.");
  const ask = { view: "hardest", by: "adm", class: "", limit: LIMIT };
  let names = [];
  const tabs = h(
    "div",
    { class: "tabs", role: "group", "aria-label": "Which samples" },
    Object.entries(VIEWS).map(([view, { text }]) =>
      h("button", {
        type: "button",
        "aria-pressed": String(view === ask.view),
        text,
        onclick: (e) => {
          ask.view = view;
          ask.limit = LIMIT;
          for (const b of tabs.children) b.setAttribute("aria-pressed", String(b === e.currentTarget));
          show(measure, !VIEWS[view].own);
          load();
        },
      }),
    ),
  );
  const measure = select("Measure", MEASURES, ask.by, (v) => {
    ask.by = v;
    load();
  });
  const classes = h("span");
  const tools = h("div", { class: "tools" }, tabs, measure, classes);
  const note = h("p", { class: "note" });
  const worth = h("div", { class: "worth" });
  const el = panel("Samples", { tools, wide: true }, worth, note, box, none);
  let turn = 0;
  show(box, false);

  async function load() {
    turn += 1;
    const mine = turn;
    const view = VIEWS[ask.view];
    const by = view.own ? "value" : ask.by;
    try {
      const reply = await get(view.type, {
        job: number,
        by: view.own ? "" : ask.by,
        class: ask.class,
        limit: ask.limit,
        ...view.keys,
      });
      if (mine !== turn) return;
      const shown = reply.rows.length;
      worth.replaceChildren(...worthOf(reply.worth));
      set(
        note,
        `Epoch ${reply.epoch + 1}, ${reply.more ? `${shown} of ${reply.total} samples` : `${shown} samples`}. Click a sample for its story.`,
      );
      if (grid.parentElement !== box) box.replaceChildren(grid, more);
      grid.replaceChildren(
        ...reply.rows.map((row, i) => card(number, reply.rows, i, figure(row[by], 3), names)),
      );
      show(more, reply.more && ask.limit < MOST);
    } catch (error) {
      if (mine === turn) box.replaceChildren(trouble(error));
    }
  }

  async function refresh(epochs, dataset) {
    if (!names.length && dataset) {
      names = await classNames(dataset);
      if (names.length)
        classes.replaceChildren(
          select("Class", [["", "all classes"], ...names.map((n, i) => [i, n])], "", (v) => {
            ask.class = v;
            load();
          }),
        );
    }
    const scored = epochs.some((e) => e.scored > 0);
    show(none, !scored);
    show(box, scored);
    // The keyboard focus keeps its place.
    if (scored && !grid.contains(document.activeElement)) await load();
  }
  return { el, refresh };
}
