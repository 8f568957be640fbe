#!/usr/bin/env python3
"""Draws what a difficulty.db knows about a job: how hard its samples were from epoch to epoch, and its data map.

    difficulty.py STATE/difficulty.db [--job N] [--sample I,J,..] [--measure adm] [--out PICTURE]

Left: a band from the easiest to the hardest tenth of all samples, and single ones as lines; without --sample
those that rose most. Right: every sample by the mean (confidence) and the spread (variability) of the
probability of its label over the epochs: easy ones lie top left, ambiguous ones right, hard and mislabelled
ones bottom left. The picture is .png, .pdf or .svg. Needs numpy and matplotlib (Debian: python3-matplotlib).

The file is opened read-only; the server may write it meanwhile. `man steppe-difficulty-db` has the views."""
import argparse
import pathlib
import sqlite3
import sys

try:
    import matplotlib
    import numpy
except ImportError as missing:
    sys.exit(f"difficulty.py draws with numpy and matplotlib, and {missing.name} is not installed here;\n"
             "apt-get install python3-matplotlib, or pip install matplotlib")
matplotlib.use("Agg")  # no window
from matplotlib import pyplot  # noqa: E402

MEASURES = ("adm", "loss", "adv_loss", "grad_norm", "el2n")
RISERS = 5


def matrix(db, job, measure):
    """(epochs [e], samples [n], values [e, n]) of the committed epochs; NaN where a sample was not measured."""
    rows = numpy.array(db.execute(f"select epoch, sample, {measure} from v_trajectory where job = ?", (job,)).fetchall())
    if not len(rows):
        sys.exit(f"job {job} has no scores yet")
    epochs, e = numpy.unique(rows[:, 0].astype(int), return_inverse=True)
    samples, s = numpy.unique(rows[:, 1].astype(int), return_inverse=True)
    values = numpy.full((len(epochs), len(samples)), numpy.nan)
    values[e, s] = rows[:, 2]
    return epochs, samples, values


def draw_trajectories(axes, epochs, samples, values, chosen, measure):
    for share in (0.4, 0.25, 0.1):
        low, high = numpy.nanquantile(values, (0.5 - share, 0.5 + share), axis=1)
        axes.fill_between(epochs, low, high, color="tab:grey", alpha=0.25, linewidth=0)
    axes.plot(epochs, numpy.nanmedian(values, axis=1), color="black", label="median")
    for sample in chosen:
        axes.plot(epochs, values[:, numpy.searchsorted(samples, sample)], marker=".", label=f"sample {sample}")
    axes.set(xlabel="epoch", ylabel=measure, title="Difficulty over the epochs")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend()


def risers(samples, values):
    rise = numpy.nan_to_num(values[-1] - values[0], nan=-numpy.inf)
    return samples[numpy.argsort(-rise, kind="stable")[:RISERS]]


def draw_map(figure, axes, db, job):
    rows = numpy.array(db.execute(
        "select variability, confidence, correctness from v_data_map where job = ?", (job,)).fetchall())
    dots = axes.scatter(rows[:, 0], rows[:, 1], c=rows[:, 2], s=4, vmin=0, vmax=1, rasterized=True)
    figure.colorbar(dots, ax=axes, label="correctness (share of epochs in which it was right)")
    axes.set(xlabel="variability", ylabel="confidence", title="Data map")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database", type=pathlib.Path)
    parser.add_argument("--job", type=int, help="default: the newest that has scores")
    parser.add_argument("--sample", type=lambda text: [int(i) for i in text.split(",")], help="numbers of samples")
    parser.add_argument("--measure", choices=MEASURES, default="adm")
    parser.add_argument("--out", default="difficulty.png")
    return parser.parse_args()


def main():
    args = arguments()
    if not args.database.is_file():
        sys.exit(f"there is no file {args.database}")
    db = sqlite3.connect(args.database.absolute().as_uri() + "?mode=ro", uri=True)
    job = args.job or db.execute("select max(job_id) from epoch where state = 'committed' and n_scored > 0").fetchone()[0]
    name = db.execute("select name from job where job_id = ?", (job,)).fetchone()
    if not name:
        sys.exit(f"there is no job {job} in {args.database}" if job else f"no job in {args.database} has scores yet")
    epochs, samples, values = matrix(db, job, args.measure)
    unknown = set(args.sample or ()) - set(samples.tolist())
    if unknown:
        sys.exit(f"job {job} has no scores of sample {min(unknown)}; it has {samples[0]} to {samples[-1]}")
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(13, 5.5), layout="constrained")
    figure.suptitle(f"Job {job}, {name[0]}: {len(samples)} samples, {len(epochs)} scored epochs")
    draw_trajectories(left, epochs, samples, values, args.sample or risers(samples, values), args.measure)
    draw_map(figure, right, db, job)
    figure.savefig(args.out, dpi=120)
    print(args.out)


if __name__ == "__main__":
    main()
