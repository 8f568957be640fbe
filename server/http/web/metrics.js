// The metrics of a job by name, a chart each: those of a training program, and Steppe's own that no other
// chart has.
import { epochsBehind, pages } from "./api.js";
import { LineChart } from "./charts.js";
import { figure, h, panel, show } from "./dom.js";

const ELSEWHERE = new Set([
  "train_loss",
  "test_loss",
  "validation_loss",
  "train_accuracy",
  "test_accuracy",
  "adv_accuracy",
  "validation_accuracy",
  "share",
  "seconds",
]);
const COLOURS = 5;

export function metricsPanel(number) {
  const lines = new Map(); // name -> { chart, points }
  const charts = h("div", { class: "charts" });
  const el = panel("Metrics", { wide: true }, charts);
  let next = 0; // epoch
  el.classList.add("curves");
  show(el, false);

  function add(name) {
    const chart = new LineChart({
      title: name,
      height: 150,
      format: (v) => figure(v),
      series: [{ name: "each epoch", colour: (lines.size % COLOURS) + 1 }],
    });
    const line = { chart, points: [] };
    lines.set(name, line);
    charts.append(chart.el);
    return line;
  }

  async function refresh(epochs) {
    const { rows } = await pages("job.metrics", { job: number, epochs_from: next }, "rows", epochsBehind);
    for (const { epoch, metrics } of rows) {
      if (epoch < next) continue;
      next = epoch + 1;
      for (const [name, value] of Object.entries(metrics))
        if (!ELSEWHERE.has(name)) (lines.get(name) ?? add(name)).points.push([epoch, value]);
    }
    show(el, lines.size > 0);
    for (const { chart, points } of lines.values()) chart.update([points], epochs - 1);
  }
  return { el, refresh };
}
