"""How well each measure finds wrong labels: AUROC and precision, in sample and out of sample, read from difficulty.db."""
import math
import sqlite3
import sys

from figures import auroc, precision

# name, SQL over s (score), x (sample_state) and e (epoch), is higher more suspicious
MEASURES = [
    ("suspicion", "suspicion(score_margin(s.loss, s.el2n), x.margin_mean, e.newly_right)", True),
    ("loss", "s.loss", True),
    ("loss, mean over epochs", "x.loss_mean", True),
    ("el2n", "s.el2n", True),
    ("margin", "score_margin(s.loss, s.el2n)", False),
    ("area under the margin", "x.margin_mean", False),
    ("confidence, mean", "x.confidence", False),
    ("never right, forgetting", "CASE WHEN x.n_correct = 0 THEN x.n_seen ELSE x.n_forget END", True),
    ("adm, population", "s.adv_loss - s.loss", True),
    ("adm, sample", "max(s.adv_loss - s.loss, 0) / s.adv_loss", True),
    ("adversarial loss", "s.adv_loss", True),
    ("gradient norm", "s.grad_norm", True),
]
LEFT_OUT = 4  # in score.flags: the model was not trained on the sample


# --- figures ---

def score_margin(loss, el2n):
    """As definition.margin in meta has it: logit of the label above the largest other one."""
    rest = -math.expm1(-max(loss, sys.float_info.min))
    others = min(max((el2n / rest) ** 2 - 1, 1e-3), 1)
    return -loss - math.log(rest) - math.log(others) / 2


def suspicion(margin, margin_mean, newly_right):
    """As definition.suspicion in meta has it."""
    return -(margin + (margin_mean - margin) * to_mean(newly_right))


def to_mean(newly_right):
    return 1 if newly_right is None else min(max(50 * newly_right - 1, 0), 1)


# --- judging ---

def scores(world, job, left_out=False):
    """[(sample, its label is not the truth, value of each measure)] of the last scored epoch; left_out: only of the
    samples that the job was not trained on."""
    db = sqlite3.connect(f"file:{world.folder}/state/difficulty.db?mode=ro", uri=True)
    db.create_function("score_margin", 2, score_margin, deterministic=True)
    db.create_function("suspicion", 3, suspicion, deterministic=True)
    rows = db.execute(f"""select s.sample_id, m.truth is not null and m.truth <> m.class_id,
            {', '.join(sql for _, sql, _ in MEASURES)}
        from job j cross join epoch e cross join score s cross join sample_state x cross join sample m
        where j.job_id = ? and e.job_id = j.job_id
          and e.epoch = (select max(epoch) from epoch where job_id = j.job_id and state = 'committed' and n_scored > 0)
          and s.job_id = j.job_id and s.epoch = e.epoch and x.job_id = j.job_id and x.sample_id = s.sample_id
          and m.dataset_id = j.dataset_id and m.sample_id = s.sample_id
          and (? = 0 or s.flags & {LEFT_OUT}) order by s.sample_id""", (job, left_out)).fetchall()
    db.close()
    return rows


def columns_of(rows):
    """{measure: [value of each sample, higher is more suspicious]}, and [label is not the truth]."""
    columns = list(zip(*sorted(rows)))
    return ({name: [v if up else -v for v in columns[i + 2]] for i, (name, _, up) in enumerate(MEASURES)},
            [bool(w) for w in columns[1]])


def out_of_sample(world, job, folds):
    """As scores, each sample by the job of the fold that has it."""
    shown = world.ask("study", "show", f"job{job}-folds{folds}")
    jobs = [one["job"] for row in shown["rows"] for one in row["jobs"]]
    return [row for fold in jobs for row in scores(world, fold, left_out=True)]


# --- saying it ---

def said(job, row):
    """A line on what was trained."""
    last = row["epochs"][-1]
    model = job["model"]
    if not isinstance(model, str):
        widths = [layer["channels"] for layer in model["layers"] if "channels" in layer]
        model = f"a residual network of {len(widths)} convolutions, {widths[0]} to {widths[-1]} channels"
    return (f"{model}, {job['epochs']} epochs of {last['scored']} images"
            + (f", test accuracy {100 * last['test_accuracy']:.2f} %" if "test_accuracy" in last else "")
            + (f", newly right {100 * last['newly_right']:.1f} %" if "newly_right" in last else ""))


def carried(columns, bad, newly_right):
    """A line on what suspicion is made of here, and the best single measure beside it."""
    over = to_mean(newly_right)
    made = {0: "`margin` carries suspicion", 1: "`area under the margin` carries suspicion"}.get(
        over, f"suspicion lies {100 * over:.0f} % of the way from `margin` to `area under the margin`")
    figures = {name: auroc(values, bad) for name, values in columns.items()}
    single = max((name for name in figures if name != "suspicion"), key=figures.get)
    return (f"Here {made}: AUROC {figures['suspicion']:.4f}; the best single measure is `{single}`: "
            f"{figures[single]:.4f}.")


def counted(worth):
    """How many labels `steppe suspects` expects to be wrong."""
    return f"{worth['least']:.0f} to {worth['most']:.0f}" if "least" in worth else f"about {worth['expected']:.0f}"


def expected(world, job, folds, known):
    """A line on how many labels are expected to be wrong, in sample and out of sample, and how many are."""
    worth = world.ask("suspects", str(job), "--limit", "1")["worth"]
    line = f"Expected to be wrong of {worth['samples']}: {counted(worth)} in sample"
    if folds:
        unseen = world.ask("suspects", str(job), "--out-of-sample", str(folds), "--wait", "--limit", "1")["worth"]
        line += f", {counted(unseen)} out of sample (models that are right on {100 * unseen['accuracy']:.1f} %)"
    return f"{line}; {known}."


def tables(world, args, job, row, wrong=None, also=None):
    """Judges a job that was trained, `row` being what `steppe show` says of it. wrong: of the last samples, which count
    alone, those with a wrong label; without, a label is wrong that is not the truth. also: (title, figure of a list of
    values), one more column."""
    number = row["job"]["job"]
    columns, untrue = columns_of(scores(world, number))
    known = f"{sum(untrue) if wrong is None else sum(wrong)} are known to be"
    known += f", all of them among the last {len(wrong)}, which alone were looked at" if wrong and len(wrong) < len(untrue) else ""
    worth = expected(world, number, args.folds, known)
    unseen = columns_of(out_of_sample(world, number, args.folds))[0] if args.folds else {}
    bad = untrue if wrong is None else wrong
    columns, unseen = ({name: values[-len(bad):] for name, values in some.items()} for some in (columns, unseen))
    k = sum(bad)
    head = ["measure", "AUROC", f"precision at {k}"]
    head += ["AUROC, out of sample", f"precision at {k}, out of sample"] if unseen else []
    head += [also[0]] if also else []
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for name, v in columns.items():
        cells = [name]
        for values in (v, unseen[name]) if unseen else (v,):
            cells += [f"{auroc(values, bad):.4f}", f"{precision(values, bad, k):.3f}"]
        lines.append("| " + " | ".join(cells + ([f"{also[1](v):.3f}"] if also else [])) + " |")
    return [said(job, row) + (f"; out of sample: {args.folds} folds" if unseen else ""), "", *lines, "",
            carried(columns, bad, row["epochs"][-1].get("newly_right", 1)), "", worth]


def section(world, args, job, wrong=None, also=None):
    """Trains and judges; as tables."""
    return tables(world, args, job, world.train(job), wrong, also)
