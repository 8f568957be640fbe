"""Photos in wrong folders: found among the first suspects, put right by verdicts, trained again; and a running job that
takes the revision, in two runs, of which one has its server killed.

2 000 pictures of PACS to train on, 1 000 others to test, 40 of the first moved to the folder of another class. They are
photographs and cartoons: there are not enough photographs alone, and paintings and sketches at 32 x 32 are beyond what
so few pictures teach a network. Who reviews looks at the first 80 suspects in sample and knows the right class of each,
as a person would; what lies further down stays wrong."""
import csv
import json
import os
import random
import sqlite3
import statistics
import tarfile
import time

from data import need
from measures import tables

DOMAINS = ("photo", "cartoon")
TRAIN, TEST, MOVED, LOOKED_AT = 2000, 1000, 40, 80
SEEDS = (1, 2, 3)
SIZE = 32
EXAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../deploy/examples/photos.json")
SHORT = 8  # epochs of the job that takes a revision while it runs,
TAKES_AT = 3  # when so many have ended
TRIES = 20
CORES = 2  # that the minutes are of


def spec(dataset, seed, epochs=None):
    """Without sharpness-aware steps and curriculum: half the time, and as good a list here."""
    with open(EXAMPLE) as file:
        job = json.load(file)
    return {**job, "dataset": dataset, "seed": seed, "epochs": epochs or job["epochs"]}


def lay(data, folder, seed):
    """The pictures as a person has them: train/CLASS/FILE, and test/ beside it. {name of a picture that was moved: its
    class}."""
    rng, moved = random.Random(seed), {}
    with tarfile.open(need(data, "pacs", "pacs-64.tar")) as tar:
        files = sorted(m.name for m in tar if m.isfile() and m.name.split("/")[1] in DOMAINS)
        classes = sorted({name.split("/")[2] for name in files})
        rng.shuffle(files)
        astray = set(rng.sample(range(TRAIN), MOVED))
        for i, name in enumerate(files[:TRAIN + TEST]):
            _, domain, own, _ = name.split("/")
            put = rng.choice([c for c in classes if c != own]) if i in astray else own
            uri = f"{'train' if i < TRAIN else 'test'}/{put}/{domain}_{i:04d}.jpg"
            if i in astray:
                moved[uri] = own
            path = os.path.join(folder, uri)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as out:
                out.write(tar.extractfile(name).read())
    return moved


def suspects(world, job, *more):
    return world.ask("suspects", str(job), "--limit", str(LOOKED_AT), *more)


def count(listed, moved):
    return sum(row["uri"] in moved for row in listed["rows"])


def review(world, name, listed, moved):
    """A verdict on each of them, and a revision; its name."""
    path = os.path.join(world.folder, name + ".csv")
    with open(path, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(("path", "verdict", "label"))
        for row in listed["rows"]:
            own = moved.get(row["uri"])
            out.writerow((row["uri"], "wrong" if own else "right", own or ""))
    world.steppe("verdicts", "import", name, path)
    return world.ask("dataset", "revise", name)["name"]


def accuracy(row):
    return 100 * row["epochs"][-1]["test_accuracy"]


def bits(row):
    return [row["model_sha256"]] + [epoch["scores_sha256"] for epoch in row["epochs"]]


def await_epochs(world, job, epochs):
    while len(world.ask("show", job)["epochs"]) < epochs:
        time.sleep(0.05)


def taking(world, job, revision, begins, strike):
    """Trains it, and lets it take the revision on its way, so that epoch `begins` (None: any) is the first to have it: a
    job that was too quick is cancelled, and another one tried. strike: its server is killed behind the acknowledgement
    and once more later."""
    for _ in range(TRIES):
        number = world.submit(job)
        await_epochs(world, number, TAKES_AT)
        got = world.ask("apply", number, revision)["from"]
        if begins in (None, got):
            break
        world.steppe("cancel", number)
    else:
        raise RuntimeError(f"no job took {revision} from epoch {begins} on")
    if strike:
        world.strike()
        await_epochs(world, number, got + 1)
        world.strike()
    return got, bits(world.end_of(number))


def two_runs(world, dataset, revision):
    job = spec(dataset, 1, SHORT)
    begins, quiet = taking(world, job, revision, None, False)
    _, struck = taking(world, job, revision, begins, True)
    written = bits(world.train({**job, "revisions": [[begins, revision]]}))
    if not quiet == struck == written:
        raise RuntimeError(f"a job that took {revision} ended with other bits: {quiet[0]}, {struck[0]}, {written[0]}")
    return (f"A job of {SHORT} epochs took {revision} while it ran, from its epoch {begins + 1} on. A second one did, and "
            f"its server was killed (-9) behind the acknowledgement and again an epoch later. A third one had it in its job "
            f"file. All three ended with the same hashes of model and scores: model {quiet[0][:16]}….")


def spread(values):
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"


def is_moved(world, job, moved):
    """Of each sample, by number."""
    db = sqlite3.connect(f"file:{world.folder}/state/difficulty.db?mode=ro", uri=True)
    rows = db.execute("select uri from sample join job using (dataset_id) where job_id = ? order by sample_id", (job,)).fetchall()
    db.close()
    return [uri in moved for uri, in rows]


HEAD = ["| seed | in the first 80, in sample | out of sample | accuracy before | after | change | minutes, import to retrained "
        "| with the folds |", "|---|" + "---:|" * 7]


def row_of(name, figures):
    found, unseen, before, after, change, chain, whole = figures
    return f"| {name} | {found} | {unseen} | {before} | {after} | {change} | {chain} | {whole} |"


def told(rows):
    """The table: a line for each seed, and their mean."""
    lines = [row_of(seed, (found, unseen, f"{before:.1f}", f"{after:.1f}", f"{after - before:+.1f}", f"{chain:.1f}", f"{whole:.1f}"))
             for seed, (found, unseen, before, after, chain, whole) in zip(SEEDS, rows)]
    founds, unseens, befores, afters, chains, wholes = zip(*rows)
    change = spread([after - before for before, after in zip(befores, afters)])
    mean = row_of("mean ± sd", (spread(founds), spread(unseens), spread(befores), spread(afters), change,
                                f"{statistics.mean(chains):.1f}", f"{statistics.mean(wholes):.1f}"))
    return [*HEAD, *lines, mean]


def photos(world, args):
    rows = []
    folds = args.folds or 5
    for seed in SEEDS:
        name, begun = f"photos-{seed}", world.cpu_s()
        folder = os.path.join(world.folder, name)
        moved = lay(args.data, folder, seed)
        world.steppe("dataset", "import", name, folder, "--size", str(SIZE))
        before = world.train(spec(name, seed))
        number = before["job"]["job"]
        seen = suspects(world, number)
        revision = review(world, name, seen, moved)
        after = world.train(spec(revision, seed))
        chain_s = world.cpu_s() - begun
        unseen = suspects(world, number, "--out-of-sample", str(folds), "--wait")
        rows.append((count(seen, moved), count(unseen, moved), accuracy(before), accuracy(after), chain_s / CORES / 60,
                     (world.cpu_s() - begun) / CORES / 60))
        print(f"  {name}: {rows[-1]}", flush=True)
        if seed == SEEDS[0]:
            measured = tables(world, args, spec(name, seed), before, is_moved(world, number, moved))
            runs = two_runs(world, name, revision)
    return [f"{TRAIN} photographs and cartoons of PACS at {SIZE} x {SIZE}, {MOVED} of them in the folder of another class; tested on "
            f"{TEST} others. How many of the {MOVED} stand among the first {LOOKED_AT} suspects (by chance: "
            f"{MOVED * LOOKED_AT / TRAIN:.1f}), in sample and by {folds} folds, and the test accuracy before and after verdicts on "
            f"those {LOOKED_AT}, in sample. Minutes: processor time of server and worker, as two cores would take it.",
            "", *told(rows), "", runs, "", f"All measures, for seed {SEEDS[0]}: {measured[0]}.", *measured[1:]]
