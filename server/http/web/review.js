// The review of a job's most suspicious labels: one after the other, beside typical pictures of both classes.
import { epochsBehind, get, pages, picture, unlocked } from "./api.js";
import { LineChart } from "./charts.js";
import { ago, empty, figure, fileName, h, pageHead, select, set, show, trouble, unseen } from "./dom.js";
import { chooseClass } from "./choose.js";
import { LIVE } from "./jobs.js";
import { newestRevision, revisionPanel } from "./revise.js";
import { classNames, worthOf } from "./samples.js";
import { Verdicts, verdictText } from "./verdicts.js";

const PAGE = 100; // suspects at a time
const TYPICAL = 8; // pictures of a class
const NARROW = 560; // pixels of a phone's width
const FEW = 4; // with fewer that the model is right on, others of the lowest loss stand beside them
const SMALL = 48; // pixels: a smaller picture shows its pixels

// What can be done, by its keys.
const KEYS = {
  right: ["r", "R"],
  predicted: ["p", "P"],
  wrong: ["w", "W"],
  exclude: ["x", "X"],
  unsure: ["u", "U"],
  back: ["b", "B", "ArrowLeft"],
  skip: ["s", "S", "ArrowRight"],
  undo: ["z", "Z"],
};
const actOf = (key) => Object.keys(KEYS).find((act) => KEYS[act].includes(key));

function button(act, run) {
  const text = h("span");
  const el = h(
    "button",
    { type: "button", class: `act act-${act}`, "aria-keyshortcuts": KEYS[act][0], onclick: () => run(act) },
    text,
    h("kbd", { "aria-hidden": "true", text: KEYS[act][1] }),
  );
  return { el, text };
}

const thumb = (job, sample, alt) => h("img", { src: picture(job, sample), alt, class: "thumb", loading: "lazy", onload: sharpen, onerror: unseen });
function sharpen(event) {
  event.target.classList.toggle("pixels", event.target.naturalWidth < SMALL);
}

// Pictures of a class that the model knows best.
function typicalBox(job) {
  const title = h("h3");
  const about = h("small");
  const row = h("div", { class: "thumbs" });
  const el = h("section", { class: "typical" }, h("div", null, title, about), row);
  const held = new Map(); // class -> promise of its samples
  let shown = "";
  async function update(label, name, why, not, verdicts) {
    const mine = `${label} ${not}`;
    if (mine === shown) return;
    shown = mine;
    set(title, `Typical “${name}”`);
    set(about, why);
    if (!held.has(label))
      held.set(
        label,
        get("score.top", { job, by: "loss", order: "easiest", class: label, limit: 3 * TYPICAL }).then((r) => r.rows),
      );
    let rows = [];
    try {
      rows = await held.get(label);
    } catch {
      held.delete(label);
    }
    if (mine !== shown) return;
    const known = rows.filter((r) => r.sample !== not && (verdicts.of(r.sample)?.verdict ?? "right") === "right");
    const right = known.filter((r) => r.correct);
    const good = [...right, ...known.filter((r) => !r.correct).slice(0, Math.max(0, FEW - right.length))];
    row.replaceChildren(...good.slice(0, TYPICAL).map((r) => thumb(job, r.sample, `Sample ${r.sample}, a typical ${name}`)));
    if (!good.length) row.replaceChildren(h("p", { class: "note", text: "There are no others of this class." }));
  }
  return { el, update };
}

// How the sample went over the epochs: a line of words, a mark an epoch, its loss.
function storyBox(job, names) {
  const text = h("p", { class: "note" });
  const strip = h("div", { class: "strip" });
  const loss = new LineChart({
    title: "Loss over the epochs",
    zero: true,
    height: 110,
    format: (v) => figure(v, 3),
    series: [
      { name: "clean", colour: 2 },
      { name: "adversarial", colour: 3, dashed: true },
    ],
  });
  const el = h("section", { class: "story" }, h("h3", { text: "Over the epochs" }), text, strip, loss.el);
  let shown = -1;
  const called = (c) => names()[c] ?? String(c);
  async function update(sample) {
    shown = sample;
    const reply = await pages("score.trajectory", { job, sample, epochs_from: 0 }, "rows", epochsBehind);
    if (sample !== shown) return [];
    const { rows } = reply;
    const times = new Map();
    for (const r of rows) times.set(r.predicted, (times.get(r.predicted) ?? 0) + 1);
    const order = [...times].sort((a, b) => b[1] - a[1]);
    set(
      text,
      `Right in ${rows.filter((r) => r.correct).length} of ${rows.length} scored epochs. Taken for ${order
        .slice(0, 4)
        .map(([c, n]) => `${called(c)} (${n})`)
        .join(", ")}.`,
    );
    strip.replaceChildren(
      ...rows.map((r) => h("i", { class: r.correct ? "yes" : "no", title: `epoch ${r.epoch}: taken for ${called(r.predicted)}` })),
    );
    loss.update([rows.map((r) => [r.epoch, r.loss]), rows.map((r) => [r.epoch, r.adv_loss])], rows.at(-1)?.epoch ?? 0);
    return order.map(([c]) => c);
  }
  return { el, update };
}

// The act that would say what counts for a row.
function pressedBy(row, now) {
  if (!now) return "";
  if (now.verdict === "exclude" || now.verdict === "unsure") return now.verdict;
  const is = now.label ?? now.given;
  if (is === row.label) return "right";
  return is === row.predicted ? "predicted" : "wrong";
}

export function reviewPage(number) {
  let verdicts = null;
  let job = null; // reply of job.show
  let names = [];
  let rows = []; // suspects
  let more = false;
  let at = 0; // the one that is shown; rows.length: behind the last
  let guesses = []; // classes that it was taken for
  let busy = false;
  let asked = { class: "", study: "" };
  const steps = []; // what was said here: { at, row, before }

  const nameOf = (c) => names[c] ?? String(c);
  const judged = (row) => verdicts.of(row.sample);

  // --- its parts ---

  const title = h("h1", { text: "Review" });
  const lead = h("p", { class: "lead" });
  const worth = h("details", { class: "worth", open: innerWidth > NARROW });
  const filters = h("div", { class: "tools" });
  const locked = h(
    "p",
    { class: "banner-note" },
    "This session may only look. ",
    h("button", { type: "button", onclick: () => dispatchEvent(new Event("locked")), text: "Unlock" }),
  );
  const bar = h("i");
  const meter = h("div", { class: "meter", role: "progressbar", "aria-label": "judged", "aria-valuemin": "0", "aria-valuemax": "100" }, bar);
  const progress = h("p", { class: "progress-text" });
  const image = h("img", { class: "subject", alt: "", onload: sharpen, onerror: unseen });
  const question = h("h2", { id: "question" });
  const answer = h("p", { class: "answer" });
  const facts = h("p", { class: "note" });
  const verdict = h("p", { class: "verdict" });
  const said = h("p", { class: "kept", role: "status" });
  const given = typicalBox(number);
  const other = typicalBox(number);
  const story = storyBox(number, () => names);
  const acts = Object.fromEntries(Object.keys(KEYS).map((act) => [act, button(act, actOn)]));
  const says = h("div", { class: "says", role: "group", "aria-label": "Verdict" }, ["right", "predicted", "wrong", "exclude", "unsure"].map((a) => acts[a].el));
  const moves = h("div", { class: "moves", role: "group", "aria-label": "Move" }, ["back", "undo", "skip"].map((a) => acts[a].el));
  const keys = h("div", { class: "review-keys" }, said, says, moves);
  const body = h(
    "div",
    { class: "review-body" },
    h("div", { class: "review-subject" }, image, h("div", { class: "asked" }, question, answer, verdict), facts),
    h("div", { class: "review-beside" }, given.el, other.el, story.el),
  );
  const rest = h("div", { class: "empty" });
  const one = h("section", { class: "panel review", "aria-labelledby": "question" }, body, rest, keys);
  const revision = revisionPanel(number, () => verdicts, () => look().catch(() => {}));
  const none = empty("Nothing scored yet", "Suspicious labels appear here when the first epoch ends.");
  const main = h("div", null, locked, worth, h("div", { class: "review-progress" }, meter, progress), one, revision.el);
  const el = h(
    "div",
    null,
    pageHead({ list: `Job ${number}`, href: `#/job/${number}`, at: "Review", title, lines: [lead], tools: filters }),
    main,
    none,
  );
  show(main, false);
  show(none, false);
  for (const [act, text] of [["wrong", "Other class"], ["exclude", "Exclude"], ["unsure", "Unsure"], ["back", "Back"], ["skip", "Skip"], ["undo", "Undo"]])
    set(acts[act].text, text);

  // --- showing ---

  function paintProgress() {
    const done = rows.filter(judged).length;
    const part = rows.length ? done / rows.length : 0;
    bar.style.setProperty("width", `${(100 * part).toFixed(2)}%`);
    meter.setAttribute("aria-valuenow", String(Math.round(100 * part)));
    meter.dataset.state = done === rows.length ? "done" : "running";
    set(progress, `${at < rows.length ? `${at + 1} of ${rows.length}` : `${rows.length} of ${rows.length}`} · ${done} judged · ${rows.length - done} to go`);
  }

  function paintVerdict() {
    const row = rows[at];
    const now = row && judged(row);
    show(verdict, Boolean(now));
    if (now) set(verdict, `Judged: ${verdictText(now, nameOf)}${now.who ? `, by ${now.who}` : ""}, ${ago(now.unix_ms)}`);
    for (const a of Object.values(acts)) a.el.removeAttribute("aria-pressed");
    const which = pressedBy(row, now);
    if (which) acts[which].el.setAttribute("aria-pressed", "true");
    acts.undo.el.disabled = steps.length === 0;
    acts.back.el.disabled = at === 0;
  }

  function paint(moved) {
    const row = rows[at];
    paintProgress();
    paintVerdict();
    show(body, Boolean(row));
    show(rest, !row);
    show(says, Boolean(row));
    show(acts.skip.el, Boolean(row));
    if (!row) {
      paintRest();
      return;
    }
    const label = row.label_name ?? nameOf(row.label);
    const predicted = row.predicted_name ?? nameOf(row.predicted);
    const differs = row.predicted !== row.label;
    image.src = picture(number, row.sample);
    image.alt = `Sample ${row.sample}, labelled ${label}`;
    set(question, `Is this “${label}”?`);
    set(answer, differs ? `The model takes it for “${predicted}”.` : "The model agrees with the label.");
    set(
      facts,
      `Sample ${row.sample}${row.uri ? `, ${fileName(row.uri)}` : ""} · ${asked.by} ${figure(row.value, 3)} · loss ${figure(row.loss, 3)} · mean margin ${figure(row.margin_mean, 3)}`,
    );
    set(acts.right.text, `Right: ${label}`);
    set(acts.predicted.text, `It is ${predicted}`);
    show(acts.predicted.el, differs);
    given.update(row.label, label, "its label", row.sample, verdicts);
    show(other.el, differs);
    if (differs) other.update(row.predicted, predicted, "what the model takes it for", row.sample, verdicts);
    guesses = [row.predicted];
    story.update(row.sample).then(
      (order) => {
        if (rows[at] === row) guesses = [...new Set([row.predicted, ...order])];
      },
      () => {},
    );
    const next = rows.slice(at + 1).find((r) => !judged(r));
    if (next) new Image().src = picture(number, next.sample);
    if (moved) one.scrollIntoView({ block: innerWidth > NARROW ? "nearest" : "start" });
  }

  function paintRest() {
    const left = rows.filter((r) => !judged(r));
    const buttons = [];
    if (left.length)
      buttons.push(h("button", { type: "button", onclick: () => go(rows.indexOf(left[0])), text: `Show the ${left.length} without a verdict` }));
    if (more) buttons.push(h("button", { type: "button", onclick: () => loadMore().catch(() => {}), text: `Review ${PAGE} more` }));
    rest.replaceChildren(
      h("p", { class: "empty-title", text: left.length ? "That was the last of them" : `All ${rows.length} are judged` }),
      h("p", { text: "Make a revision below, and train on it." }),
      h("div", { class: "buttons" }, buttons),
    );
  }

  function go(to) {
    at = Math.max(0, Math.min(rows.length, to));
    paint(true);
  }
  function unjudgedFrom(to) {
    while (to < rows.length && judged(rows[to])) to += 1;
    return to;
  }
  const forward = () => go(unjudgedFrom(at + 1));

  // --- saying ---

  async function say(what) {
    const row = rows[at];
    const before = judged(row);
    // The label that the person saw is the dataset's own unless the job had a revision.
    const kept = await verdicts.say(row.sample, what, job.spec.revisions?.length ? undefined : row.label);
    steps.push({ at, row: kept, before });
    set(said, `Saved: sample ${row.sample} is ${verdictText(judged(row), nameOf)}.`);
    if (rows[at] === row) forward();
  }

  async function undo() {
    const step = steps.at(-1);
    if (!step) return;
    const done = !step.row || (await verdicts.undo(step.row, step.before));
    steps.pop();
    const { sample } = rows[step.at];
    set(said, done ? `Undone: sample ${sample}.` : `Sample ${sample} was judged again since, which stays: ${verdictText(verdicts.newest(sample), nameOf)}.`);
    go(step.at);
  }

  // A key counts for the sample that is shown: while one is on its way, others are not taken.
  async function actOn(act) {
    const row = rows[at];
    if (busy || (act === "predicted" && row?.predicted === row?.label)) return;
    if (act === "back") return go(at - 1);
    if (act === "skip") return row && forward();
    if (act !== "undo" && !row) return;
    if (!unlocked()) return void dispatchEvent(new Event("locked"));
    let is = act === "right" ? row.label : act === "predicted" ? row.predicted : undefined;
    if (act === "wrong") {
      is = await chooseClass(names, guesses, row.label);
      if (is === undefined) return;
    }
    busy = true;
    keys.setAttribute("aria-busy", "true");
    try {
      await (act === "undo" ? undo() : say(is === undefined ? { verdict: act } : { verdict: "right", label: is }));
      said.classList.remove("refused");
    } catch (error) {
      said.classList.add("refused");
      set(said, `Not saved: ${error.message}.`);
      if (error.status === 401) dispatchEvent(new Event("locked"));
    }
    busy = false;
    keys.removeAttribute("aria-busy");
    look().catch(() => {});
  }

  function onKey(event) {
    const act = actOf(event.key);
    if (!act || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (document.querySelector("dialog[open]") || event.target.closest("input, select, textarea, svg")) return;
    if (main.hidden) return;
    event.preventDefault();
    actOn(act);
  }
  document.addEventListener("keydown", onKey);

  // --- loading ---

  const ask = (first) => get("score.suspects", { job: number, first, limit: PAGE, class: asked.class, study: asked.study });

  async function load() {
    const reply = await ask(0);
    show(main, true); // not before there is a sample that a key may mean
    rows = reply.rows;
    more = reply.more;
    steps.length = 0;
    asked.by = reply.by;
    worth.replaceChildren(h("summary", { text: "What this list is worth" }), ...worthOf(reply.worth));
    show(worth, Boolean(reply.worth));
    set(lead, `The most suspicious labels first${asked.study ? `, judged by models that have not seen them (${asked.study})` : ""}.`);
    at = unjudgedFrom(0);
    paint(false);
  }

  async function loadMore() {
    const reply = await ask(rows.length);
    const from = rows.length;
    rows = [...rows, ...reply.rows];
    more = reply.more;
    go(unjudgedFrom(from));
  }

  async function choices() {
    const { studies } = await get("study.list");
    const folds = studies.filter((s) => new RegExp(`^job${number}-folds\\d+$`).test(s.study) && s.state === "done");
    const again = (key) => (value) => {
      asked = { ...asked, [key]: value };
      load().catch((error) => one.replaceChildren(trouble(error)));
    };
    filters.replaceChildren(
      ...(folds.length
        ? [select("Judged by", [["", "judged by this job"], ...folds.map((s) => [s.study, `out of sample: ${s.study}`])], "", again("study"))]
        : []),
      ...(names.length ? [select("Class", [["", "all classes"], ...names.map((n, i) => [i, n])], "", again("class"))] : []),
    );
  }

  // What others said, and how the job goes.
  async function look() {
    const reply = await get("job.show", { job: number, epochs_from: 99999 });
    job = reply;
    show(locked, !unlocked());
    await verdicts.sync();
    revision.update(reply, await newestRevision(reply.job.dataset));
    if (!main.hidden) {
      paintProgress();
      paintVerdict();
    }
  }

  async function refresh() {
    if (!verdicts) {
      try {
        job = await get("job.show", { job: number, epochs_from: 99999 });
      } catch (error) {
        if (error.status === 404) el.replaceChildren(trouble(error));
        throw error;
      }
      names = await classNames(job.job.dataset);
      set(title, `Review of ${job.job.dataset}`);
      document.title = `Review · ${job.job.name} · Steppe`;
      verdicts = new Verdicts(job.job.dataset);
    }
    await look();
    if (main.hidden) {
      try {
        await choices();
        await load();
        show(none, false);
      } catch (error) {
        show(main, false);
        if (!error.status) throw error;
        show(none, true);
      }
    }
    return LIVE.has(job.job.state);
  }
  return { el, refresh, leave: () => document.removeEventListener("keydown", onKey) };
}
