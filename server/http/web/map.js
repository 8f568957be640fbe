// Views over all epochs: the data map of the samples, and the classes.
import { get } from "./api.js";
import { Cloud } from "./charts.js";
import { count, empty, figure, fileName, h, panel, share, show, tableHead, trouble } from "./dom.js";
import { classNames, openSample } from "./samples.js";

const POINTS = 120; // of each kind

const nameOf = (row) => row.label_name ?? String(row.label);

export function mapPanel(number) {
  let names = [];
  const cloud = new Cloud({
    label: "Data map: confidence against variability",
    xName: "variability of the confidence over the epochs",
    yName: "confidence in the label",
    hint: "Each square stands for the samples there, its colour for how often they were right. The points are the hardest, the most ambiguous and the easiest: click one, or use the arrow keys and Enter.",
    pick: (points, index) => openSample(number, points, index, names),
  });
  const none = empty("Nothing scored yet", "The map needs two scored epochs.");
  const box = h("div", null, cloud.el);
  const el = panel(
    "Data map",
    {
      note: "Sure and steady at the upper left: learnt early. In the middle right: ambiguous. At the lower left: never learnt, hard or mislabelled.",
    },
    box,
    none,
  );
  show(box, false);

  async function refresh(epochs, dataset) {
    const scored = epochs.filter((e) => e.scored > 0).length;
    show(none, scored < 2);
    show(box, scored >= 2);
    if (scored < 2) return;
    names = await classNames(dataset);
    try {
      const kinds = await Promise.all(
        ["ambiguous", "hard", "easy"].map((by) => get("score.map", { job: number, by, limit: POINTS })),
      );
      if (cloud.el.parentElement !== box) box.replaceChildren(cloud.el);
      const points = new Map(
        kinds
          .flatMap((k) => k.rows)
          .map((r) => [
            r.sample,
            {
              ...r,
              x: r.variability,
              y: r.confidence,
              colour: r.correctness,
              text: `sample ${r.sample}, ${nameOf(r)}${r.uri ? `, ${fileName(r.uri)}` : ""}${r.planted ? ` (${r.planted})` : ""} · confidence ${figure(r.confidence, 3)} · variability ${figure(r.variability, 3)} · right ${share(r.correctness)}`,
            },
          ]),
      );
      const [k] = kinds;
      cloud.update(points.values(), {
        columns: k.variability_bins,
        rows: k.confidence_bins,
        xMax: k.variability_max,
        counts: k.counts,
        colours: k.correctness,
      });
    } catch (error) {
      box.replaceChildren(trouble(error));
    }
  }
  return { el, refresh };
}

export function classesPanel(number) {
  const box = h("div", { class: "scroll tall" });
  const none = empty("Nothing scored yet");
  const el = panel("Classes, lowest accuracy first", {}, box, none);
  show(box, false);

  async function refresh(epochs) {
    const scored = epochs.some((e) => e.scored > 0);
    show(none, !scored);
    show(box, scored);
    if (!scored) return;
    try {
      const { rows } = await get("score.classes", { job: number, limit: 1000 });
      box.replaceChildren(
        h(
          "table",
          null,
          tableHead(["class", "samples", "right", "mean loss", "mean adm", "taken for"]),
          h(
            "tbody",
            null,
            rows.map((r) =>
              h(
                "tr",
                null,
                h("th", { scope: "row", text: r.name ?? String(r.class) }),
                h("td", { text: count(r.samples) }),
                h("td", { text: share(r.accuracy) }),
                h("td", { text: figure(r.loss_mean, 3) }),
                h("td", { text: figure(r.adm_mean, 3) }),
                h("td", { text: r.mistaken ? `${r.mistaken_name ?? r.mistaken_for} (${r.mistaken})` : "–" }),
              ),
            ),
          ),
        ),
      );
    } catch (error) {
      box.replaceChildren(trouble(error));
    }
  }
  return { el, refresh };
}

// The test by domain and by class; nothing without a test.
export function testPanel() {
  const box = h("div", { class: "scroll tall" });
  const el = panel("Test by domain and class", {}, box);
  show(el, false);
  const rowsOf = (rows, kind) =>
    rows.map((r) =>
      h(
        "tr",
        null,
        h("th", { scope: "row", text: r.name ?? String(r[kind]) }),
        h("td", { text: kind }),
        h("td", { text: count(r.samples) }),
        h("td", { text: share(r.accuracy) }),
        h("td", { text: share(r.adv_accuracy) }),
      ),
    );
  const update = (test) => {
    show(el, Boolean(test));
    if (!test) return;
    box.replaceChildren(
      h(
        "table",
        null,
        tableHead([`epoch ${test.epoch + 1}`, "", "samples", "right", "under attack"]),
        h("tbody", null, rowsOf(test.domains, "domain"), rowsOf(test.classes, "class")),
      ),
      ...(test.class_count ? [h("p", { text: `The first of ${test.class_count} classes.` })] : []),
    );
  };
  return { el, update };
}
