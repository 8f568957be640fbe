// How flat the training loss is around a job's weights: over the epochs that measured it, and along lines
// through the newest weights that were.
import { epochsBehind, pages } from "./api.js";
import { LineChart } from "./charts.js";
import { figure, h, panel, set, show } from "./dom.js";

const TOP = 5; // eigenvalues
const LOST = 1e20; // the loss of a sample that has no finite one is counted as 1e30: no point of a picture

const within = (v, error) => (error === undefined ? figure(v) : `${figure(v)} ± ${figure(error, 2)}`);
const along = (title, series) =>
  new LineChart({
    title,
    series,
    axis: { from: -1, rest: 0, text: (t) => `t = ${figure(t, 2)}` },
    zero: true,
    format: (v) => figure(v),
  });

export function flatnessPanel(number) {
  const charts = {
    values: new LineChart({
      title: "Largest eigenvalues of the Hessian",
      zero: true,
      height: 230,
      format: within,
      series: Array.from({ length: TOP }, (_, i) => ({ name: `λ${i + 1}`, colour: i + 1, optional: i > 0 })),
    }),
    trace: new LineChart({
      title: "Trace of the Hessian",
      zero: true,
      format: within,
      series: [{ name: "estimate ± standard error", colour: 1 }],
    }),
    sharpness: new LineChart({
      title: "Sharpness",
      zero: true,
      format: (v) => figure(v),
      series: [{ name: "rise of the loss at distance ρ", colour: 2 }],
    }),
    first: along("Loss along the first eigenvector", [{ name: "training loss", colour: 3 }]),
    random: along("Loss along random directions", [
      { name: "the first", colour: 4 },
      { name: "the second", colour: 5, dashed: true },
    ]),
  };
  charts.values.el.classList.add("full");
  const note = h("p", { class: "note" });
  const el = panel(
    "Flatness of the training loss",
    { wide: true },
    note,
    h(
      "div",
      { class: "charts" },
      Object.values(charts).map((c) => c.el),
    ),
  );
  const rows = [];
  el.classList.add("curves", "flatness");
  show(el, false);

  function draw(epochs) {
    const of = (key, error) => rows.map((r) => [r.epoch, r[key], r[error]]);
    const line = ({ t, loss }) => t.map((x, i) => [x, loss[i] < LOST ? loss[i] : undefined]);
    const last = rows.at(-1);
    const [first, ...random] = last.lines;
    const end = epochs - 1;
    charts.values.update(
      Array.from({ length: TOP }, (_, i) => rows.map((r) => [r.epoch, r.values[i], r.residuals[i]])),
      end,
    );
    charts.trace.update([of("trace", "trace_error")], end);
    charts.sharpness.update([of("sharpness")], end);
    charts.first.update([line(first)]);
    charts.random.update(random.map(line));
    set(
      note,
      `Over ${last.samples} training samples; ρ is ${figure(last.rho)}. The lines run through the weights after epoch ${last.epoch + 1}, at t = 0: to distance ${figure(first.distance.at(-1), 3)} along the eigenvector, to ${figure(random[0].distance.at(-1), 3)}, about the length of the weights, along the random directions.`,
    );
  }

  // newest: the row of job.show, if there is one.
  async function refresh(newest, epochs) {
    if (newest && newest.epoch > (rows.at(-1)?.epoch ?? -1)) {
      const from = (rows.at(-1)?.epoch ?? -1) + 1;
      const reply = await pages("job.flatness", { job: number, epochs_from: from }, "rows", epochsBehind);
      rows.push(...reply.rows.filter((r) => r.epoch > (rows.at(-1)?.epoch ?? -1)));
    }
    show(el, rows.length > 0);
    if (rows.length) draw(epochs);
  }
  return { el, refresh };
}
