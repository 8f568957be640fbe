"""What the tables say about the paper's claims. Every rule is stated in the text that it writes."""
import json
import math

from parts import ADM, CONTROL, RIVAL_CURRICULA, RIVAL_FLATNESS

# Student's t, two-sided 95 %, by degrees of freedom; beyond the list the next smaller entry.
T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228, 11: 2.201,
       12: 2.179, 14: 2.145, 16: 2.120, 18: 2.101, 20: 2.086, 24: 2.064, 30: 2.042, 40: 2.021, 60: 2.000, 120: 1.980}
COLUMNS = [("test_accuracy", "test accuracy", 100), ("adv_accuracy", "adversarial", 100), ("sharpness", "sharpness", 1),
           ("lambda1", "largest eigenvalue", 1), ("trace", "trace", 1)]
METRICS = {"test_accuracy": "test accuracy", "adv_accuracy": "adversarial accuracy"}
FAMILIES = {"classification": "image classification", "fine-grained": "fine-grained recognition", "domains": "domain generalization"}


def interval(values):
    """(mean, low, high), the ends of a 95 % interval; of one value they are infinite."""
    n, mean = len(values), sum(values) / len(values)
    if n < 2:
        return mean, -math.inf, math.inf
    sd = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1))
    half = T95[max(k for k in T95 if k <= n - 1)] * sd / math.sqrt(n)
    return mean, mean - half, mean + half


def by_cell(results, family, metric):
    """{arm: {(dataset, seed): value}} over the parts of a family."""
    cells = {}
    for part in results.values():
        if part["family"] != family:
            continue
        for row in part["study"]["rows"]:
            for one in row["jobs"]:
                if one["state"] == "done" and one.get(metric) is not None:
                    cells.setdefault(row["arm"], {})[row["dataset"], one["seed"]] = one[metric]
    return cells


def differences(cells, a, b):
    both = sorted(set(cells.get(a, {})) & set(cells.get(b, {})))
    return [cells[a][k] - cells[b][k] for k in both]


def verdict(results, family, rivals, metric):
    """A line for each form of ADM: beside each rival, over data sets and seeds; and what that decides."""
    cells, lines = by_cell(results, family, metric), []
    for arm in ADM:
        words, above, below, pairs = [], 0, 0, 0
        for rival in rivals:
            got = differences(cells, arm, rival)
            if len(got) < 2:
                continue
            mean, low, high = interval(got)
            pairs = max(pairs, len(got))
            above += low > 0
            below += high < 0
            words.append(f"{rival} {100 * mean:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]")
        if words:
            said = "holds" if above == len(words) else "does not hold" if below else "not decided"
            lines.append(f"- **{arm}: {said}** (points of {METRICS[metric]}, over {pairs} pairs of data set and seed): {'; '.join(words)}.")
    return lines


def ratios(cells, a, b):
    """Logarithms, so that the interval of their mean is one of a ratio."""
    both = sorted(set(cells.get(a, {})) & set(cells.get(b, {})))
    return [math.log(cells[a][k] / cells[b][k]) for k in both if cells[a][k] > 0 and cells[b][k] > 0]


def ends(values, show):
    if len(values) < 2:
        return "-"
    mean, low, high = interval(values)
    return f"{show(mean)} [{show(low)}, {show(high)}]" + (" *" if low > 0 or high < 0 else "")


def pooled(results, family):
    """Every arm beside the control, over all data sets and seeds of a family."""
    points, times = (lambda v: f"{100 * v:+.2f}"), (lambda v: f"{math.exp(v):.2f}")
    cells = {m: by_cell(results, family, m) for m in ("test_accuracy", "adv_accuracy", "lambda1", "trace")}
    arms = [arm for arm in cells["test_accuracy"] if arm != CONTROL]
    if not arms:
        return ["", "No part has been run yet."]
    lines = ["", f"| arm | pairs | test accuracy, less that of {CONTROL} | adversarial accuracy, less | largest eigenvalue, ratio | trace, ratio |",
             "|---|---:|---:|---:|---:|---:|"]
    for arm in arms:
        pairs = differences(cells["test_accuracy"], arm, CONTROL)
        lines.append("| " + " | ".join([arm, str(len(pairs)), ends(pairs, points), ends(differences(cells["adv_accuracy"], arm, CONTROL), points),
                                        *(ends(ratios(cells[m], arm, CONTROL), times) for m in ("lambda1", "trace"))]) + " |")
    return lines


def summaries(results):
    lines = ["", "## All arms beside SAM alone", "",
             "Means over all pairs of data set and seed, with 95 % intervals; a star: the interval lies on one side of no change. Of the tables "
             "below, where each data set stands by itself."]
    for family, words in FAMILIES.items():
        lines += ["", f"*{words}*", *pooled(results, family)]
    if any(part["family"] == "final" for part in results.values()):
        lines += ["", "*how much of the training set to end with (`curriculum.final`)*", *pooled(results, "final")]
    return lines


def told(results):
    """What the measures tell at the last scored epoch, SGD beside SAM: one row a data set, optimizer and measure."""
    rows = []
    for name, part in results.items():
        for job in part.get("informative", []):
            first, last = job["epochs"][0], job["epochs"][-1]
            for measure in (k for k in last if k != "epoch"):
                rows.append((name, job["name"].split(" (")[0], measure, first[measure], last[measure]))
    return rows


def figure(value, form="{:.3g}"):
    return "-" if value is None else form.format(value)


def informative(results):
    rows = told(results)
    lines = ["| part | job | measure | median, first | last | spread | tied | as the epoch before | flips (AUROC) | forgetting |",
             "|---|---|---|---:|---:|---:|---:|---:|---:|---:|"]
    for part, job, measure, first, last in rows:
        cells = [figure(first["median"]), figure(last["median"])] + [figure(last[k]) for k in ("spread", "tied", "agreement", "flips", "forgotten")]
        lines.append("| " + " | ".join([part, job, measure, *cells]) + " |")
    small, kept, better, total = 0, 0, 0, 0
    by = {(part, job, measure): (first, last) for part, job, measure, first, last in rows}
    for part, job in sorted({(p, j) for p, j, *_ in rows}):
        if job != CONTROL:
            continue
        loss, adm = by[part, job, "loss"], by[part, job, "adm_population"]
        total += 1
        small += loss[1]["median"] < 0.1 * loss[0]["median"]
        kept += 0.5 <= adm[1]["median"] / adm[0]["median"] <= 2
        better += adm[1]["forgotten"] > loss[1]["forgotten"]
    if not total:
        return []
    said = "holds" if better == total else "does not hold" if better == 0 else "not decided"
    return [*lines, "", f"Under SAM the median loss ends below a tenth of its first value in {small} of {total} parts; the scale of ADM (population) stays "
            f"within a factor of two in {kept} of {total}. That scale is kept by definition. **That ADM stays more informative than the loss: {said}**: its "
            f"order agrees better with forgetting at the end than that of the loss in {better} of {total} parts."]


def claims(results):
    lines = ["## Claim 1: in flat regions loss and gradient norm become uninformative, ADM stays informative", ""]
    lines += informative(results) or ["No part has been run yet."]
    for number, title, rivals in ((2, "curricula by other measures", RIVAL_CURRICULA), (3, "flatness-aware training without a curriculum", RIVAL_FLATNESS)):
        lines += ["", f"## Claim {number}: ADM with SAM outperforms {title}", "",
                  "Holds: the 95 % interval of the paired difference lies above 0 beside every rival. Does not hold: it lies below 0 beside at "
                  "least one. Else it is not decided."]
        for family, words in FAMILIES.items():
            got = [line for metric in METRICS for line in verdict(results, family, rivals, metric)]
            lines += ["", f"*{words}*", "", *(got or ["No part has been run yet."])]
    return lines


def table(part):
    """The table of a part, arm by data set."""
    shown = part["study"]
    datasets = list(dict.fromkeys(row["dataset"] for row in shown["rows"]))
    lines = []
    for dataset in datasets:
        rows = [row for row in shown["rows"] if row["dataset"] == dataset]
        columns = [c for c in COLUMNS if any("mean" in row["metrics"].get(c[0], {}) for row in rows)]
        lines += ["", f"*{dataset}*", "", "| arm | " + " | ".join(c[1] for c in columns) + " | difference to sam | |",
                  "|---|" + "---:|" * len(columns) + "---:|---|"]
        lines += ["| " + " | ".join([row["arm"], *(spread(row, m, times) for m, _, times in columns), *against(row)]) + " |" for row in rows]
    return lines


def spread(row, metric, times):
    got = row["metrics"].get(metric, {})
    if "mean" not in got:
        return "-"
    return f"{times * got['mean']:.4g}" + (f" ± {times * got['sd']:.2g}" if "sd" in got else "")


def against(row):
    got = row["metrics"].get("test_accuracy", {})
    if row["control"] or "difference" not in got:
        return ["", "control" if row["control"] else ""]
    ends = f" [{100 * got['low']:+.2f}, {100 * got['high']:+.2f}]" if "low" in got else ""
    return [f"{100 * got['difference']:+.2f}{ends}", got["verdict"]]


def page(results, parts):
    lines = ["# Curricula, flatness and both", "",
             "Written by `make study` (tests/study/run) from tests/study/results/. Accuracies in percent, mean ± standard deviation over the seeds; "
             "differences are paired by seed, with a 95 % interval by Student's t. A dash: not measured.", "", *claims(results), *summaries(results)]
    for name, part in parts.items():
        if name not in results:
            continue
        got = results[name]
        lines += ["", f"## {part.title}", "", f"`make study PART={name}`: {got['budget']}; seeds {', '.join(map(str, got['seeds']))}; numerics "
                  f"{got['numerics']}. One cell was trained a second time: the model's SHA-256 was {'the same' if got['again'] else 'another'}.", *table(got)]
    return "\n".join(lines) + "\n"


def load(path):
    with open(path) as file:
        return json.load(file)
