// Revisions of a job's dataset: making one from the verdicts, and giving it to the job.
import { get, post, unlocked } from "./api.js";
import { h, panel, plain, set, show } from "./dom.js";
import { newJob } from "./jobs.js";
import { countsText } from "./verdicts.js";

const TAKES = new Set(["running", "queued", "paused"]);
const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

// Sends a command that changes something; undefined: it was not sent, or refused, which the person was told.
export async function command(type, keys, refused = (text) => alert(plain(text))) {
  if (!unlocked()) {
    dispatchEvent(new Event("locked"));
    return undefined;
  }
  try {
    return await post(type, keys);
  } catch (error) {
    if (error.status === 401) dispatchEvent(new Event("locked"));
    else refused(error.message);
    return undefined;
  }
}

export const revisionName = (dataset, number) => `${dataset}@${number}`;

// The newest revision of a dataset, 0 when there is none.
export async function newestRevision(dataset) {
  const reply = await get("dataset.show", { name: dataset });
  return { number: reply.dataset.revision ?? 0, ...reply.revisions?.at(-1) };
}

// The revision that a job has or is to have in the end; 0: the data as imported.
const revisionOf = (spec) => Number((spec.revisions ?? []).at(-1)?.[1]?.split("@").at(-1) ?? 0);

// May the job of this reply to job.show take revision `number`?
export const takes = (reply, number) =>
  number > 0 && TAKES.has(reply.job.state) && !reply.study && revisionOf(reply.spec) !== number;

// A button that gives the newest revision to a job, where it may take it.
export function applyButton(job, changed) {
  let name = "";
  const button = h("button", {
    type: "button",
    onclick: async () => {
      button.disabled = true;
      const reply = await command("job.apply", { job, revision: name });
      button.disabled = false;
      if (reply) changed(`Job ${job} has ${name} from epoch ${reply.from + 1} on.`);
    },
  });
  const update = (reply, number) => {
    const may = takes(reply, number);
    show(button, may);
    if (!may) return;
    name = revisionName(reply.job.dataset, number);
    set(button, `Apply ${name}`);
    button.title = `Train on ${name} from the next epoch on`;
  };
  show(button, false);
  return { el: button, update };
}

// What the verdicts make of the dataset, and where it goes from there.
export function revisionPanel(job, verdicts, changed) {
  const state = h("p");
  const said = h("p", { class: "note", role: "status" });
  const make = h("button", { type: "button", text: "Make a revision" });
  const apply = applyButton(job, (text) => {
    set(said, text);
    changed();
  });
  const again = h("button", { type: "button", class: "again" });
  const el = panel(
    "Revision",
    {
      note: "Verdicts change nothing by themselves. A revision is the data with what they say: other labels, and samples left out.",
    },
    state,
    h("div", { class: "controls" }, make, apply.el, again),
    said,
  );
  let shown = null;
  make.addEventListener("click", async () => {
    make.disabled = true;
    const reply = await command("dataset.revise", { name: shown.job.dataset }, (text) => set(said, text));
    make.disabled = false;
    if (!reply) return;
    const has = `${plural(reply.relabelled, "label")} changed, ${plural(reply.excluded, "sample")} left out`;
    if (!reply.revision) set(said, "No verdict changes anything yet; no revision was made.");
    else set(said, reply.made ? `${reply.name} is made: ${has}.` : `Nothing has changed since ${reply.name}: ${has}.`);
    changed();
  });
  again.addEventListener("click", () => {
    const { revisions: _, ...spec } = shown.spec;
    newJob({ ...spec, dataset: again.dataset.name });
  });

  // reply: of job.show; newest: of newestRevision.
  function update(reply, newest) {
    shown = reply;
    const { dataset } = reply.job;
    const name = revisionName(dataset, newest.number);
    const counts = countsText(verdicts().counts) || "none yet";
    set(
      state,
      `Verdicts on ${dataset}: ${counts}. ${
        newest.number
          ? `Newest revision: ${name}, ${plural(newest.relabelled, "label")} changed, ${plural(newest.excluded, "sample")} left out.`
          : "There is no revision yet."
      }`,
    );
    apply.update(reply, newest.number);
    const ended = !TAKES.has(reply.job.state) && newest.number > 0 && revisionOf(reply.spec) !== newest.number;
    show(again, ended);
    again.dataset.name = name;
    set(again, `Train again on ${name}`);
  }
  show(again, false);
  return { el, update };
}
