"""What was measured, as tables. A ratio is taken inside its round; cells are medians over the rounds
with [min..max]."""
import statistics

# Matrix products of a mode, in forward passes and passes through the first layer (which has no
# gradient of x but in the ascent of a fused step and in a sweep). An online step descends with 0.8 of
# its samples.
PASSES = {"sgd": (3, -1), "sam": (6, -2), "fused": (7, -1), "online": (6.4, -0.8), "sweep": (3, 0)}


class Records:
    """Numbers by (what, model, mode, side, where), one a round."""

    def __init__(self):
        self.rows = []

    def note(self, round_, what, model, mode, side, where, value):
        self.rows.append({"round": round_, "what": what, "model": model, "mode": mode, "side": side,
                          "where": where, "value": value})

    def values(self, what, model, mode, side, where):
        return [r["value"] for r in self.rows
                if (r["what"], r["model"], r["mode"], r["side"], r["where"])
                == (what, model, mode, side, where)]

    def has(self, **wanted):
        return any(all(r[k] == v for k, v in wanted.items()) for r in self.rows)

    def distinct(self, what, key):
        return list(dict.fromkeys(r[key] for r in self.rows if r["what"] == what))


def number(value):
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}" if value < 100 else f"{value:.1f}"


def spread(values, form=number):
    if not values:
        return "-"
    text = form(statistics.median(values))
    return text if len(values) < 2 else f"{text} [{form(min(values))}..{form(max(values))}]"


def ratio(above, below):
    return spread([a / b for a, b in zip(above, below)], lambda v: f"{v:.2f}")


def share(values):
    return spread(values, lambda v: f"{100 * v:.0f} %")


def table(title, head, rows):
    rows = [head, *rows]
    width = [max(len(row[i]) for row in rows) for i in range(len(head))]

    def line(row):
        return "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, width)) + " |"
    rule = "|" + "|".join("-" * (w + 2) for w in width) + "|"
    return "\n".join([f"## {title}", "", line(rows[0]), rule, *map(line, rows[1:]), ""])


def gflop(about, mode):
    whole, first = PASSES[mode]
    return (whole * about["forward_mflop"] + first * about["first_mflop"]) / 1000


def step_rows(r, engines):
    for model in r.distinct("rate", "model"):
        for threads in r.distinct("rate", "where"):
            for mode in PASSES:
                ours = r.values("rate", model, mode, "steppe", threads)
                if not ours:
                    continue
                peer = r.values("rate", model, mode, "peer", threads)
                peak = r.values("peak", model, "peak", "steppe", threads)
                about = engines[model, threads]
                work = [rate * gflop(about, mode) for rate in ours]
                best = [max(r.values("best", model, mode, side, threads) or [0])
                        for side in ("steppe", "peer")]
                yield [model, mode, f"{threads}", f"{about['shard']}", spread(ours), spread(peer),
                       ratio(ours, peer), f"{best[0] / best[1]:.2f}" if best[1] else "-",
                       number(statistics.median(work)),
                       share([w / p for w, p in zip(work, peak)]),
                       share([rate * gflop(about, mode) / p for rate, p in zip(peer, peak)])]


def memory_rows(r):
    for model in r.distinct("rate", "model"):
        for threads in r.distinct("rate", "where"):
            ours = r.values("memory", model, "all", "steppe", threads)
            peer = r.values("memory", model, "all", "peer", threads)
            if ours:
                yield [model, f"{threads}", spread(ours), spread(peer), ratio(ours, peer)]


def cost_rows(r):
    def rates(mode, side):
        return r.values("rate", model, mode, side, threads)

    def swept(side):
        return [1 / a + 1 / b for a, b in zip(rates("sam", side), rates("sweep", side))]
    for model in r.distinct("rate", "model"):
        for threads in r.distinct("rate", "where"):
            plain = [1 / rate for rate in rates("sam", "steppe")]
            if plain:
                yield [model, f"{threads}", ratio(swept("peer"), swept("steppe")),
                       ratio(swept("steppe"), plain),
                       ratio(rates("sam", "steppe"), rates("fused", "steppe")),
                       ratio(rates("sam", "peer"), rates("fused", "peer")),
                       ratio(rates("sam", "steppe"), rates("online", "steppe")),
                       ratio(rates("sam", "peer"), rates("online", "peer"))]


def served_rows(r, worlds):
    """The figure in one process is of two threads, measured in the same round."""
    for model in r.distinct("served", "model"):
        for mode in PASSES:
            inside = r.values("inside", model, mode, "steppe", 2)
            if not inside:
                continue
            rates = {w: r.values("served", model, mode, "steppe", w) for w in worlds}

            def better(transport):
                ways = [v for w, v in rates.items() if w.startswith(transport)]
                return ratio(max(ways, key=statistics.median), inside) if ways else "-"
            yield [model, mode, spread(inside), better("ipc"), better("tcp"),
                   *(spread(rates[w]) for w in worlds)]


def epoch_rows(r):
    for model in r.distinct("plain epoch", "model"):
        for where in r.distinct("plain epoch", "where"):
            plain = r.values("plain epoch", model, "sam", "steppe", where)
            swept = r.values("swept epoch", model, "sam", "steppe", where)
            yield [model, where, spread(plain), spread(swept), ratio(swept, plain)]


QUESTIONS = ("top100", "histogram", "trajectory", "suspects", "classes", "risers", "compare", "map")


def fold_row(fold):
    keys = ("rows_per_s", "rows_per_s_wall", "bytes_per_row", *(q + "_ms" for q in QUESTIONS))
    return [str(fold[0]["samples"]), str(fold[0]["epochs"]), *(spread([f[k] for f in fold]) for k in keys)]


def hostile_row(h):
    return [h["model"], spread(h["quiet"]), spread(h["flooded"]), spread(h["speed"], lambda v: f"{v:.3f}"),
            f"{h['grown_mib']:.1f}", spread(h["sent"]), spread(h["answered"]), f"{h['end_s']:.2f}"]


def external_rows(x):
    yield ["rows a second into one server", spread(x["rows"])]
    yield ["close of an epoch of %d scores, s" % x["samples"], spread(x["close"])]
    yield ["64 ranks: orders fetched, scores reported, s", spread(x["ranks"])]
    yield ["p99 of ping meanwhile, ms", spread(x["beside"])]
    yield ["the same with a processor, ms", spread(x["served"])]
    yield ["p99 of ping without, ms", spread(x["quiet"])]
    t = x["torch"]
    if t:
        yield ["Sampler with weights, us a sample", spread(t["sampler"])]
        yield ["DistributedSampler, us a sample", spread(t["distributed"])]
        yield ["ResNet-18 SAM step with its report, of one without (%d steps of %d pictures)" % (t["steps"], t["batch"]),
               spread(t["ratio"], lambda v: f"{v:.3f}")]
    else:
        yield ["PyTorch", "not installed"]


def maybe(value, form=number):
    return "-" if value is None else form(value)


def large_phases(x):
    for phase, f in x["phases"].items():
        given = f["commands"]
        yield [phase, number(f["seconds"]), *map(maybe, f["seen"]), *map(maybe, f["served"][1:]), maybe(f["speed"], lambda v: f"{v:.2f}"),
               number(statistics.median(given)) if given else "-", number(max(given)) if given else "-"]


def large_figures(x):
    yield ["leases that ran out", str(x["leases"])]
    yield ["speed of the small job while the large one runs, of alone", number(x["beside"])]
    for key, what in (("restart", "kill -9 to an answer, s"), ("recovery", "kill -9 to the next result, s"),
                      ("memory started", "memory of the server a sample, once it runs, bytes"),
                      ("memory peak", "the most it was, bytes"), ("faults", "page faults a training step"),
                      ("import", "import, rows/s"), ("sweep", "sweep and test, rows/s"), ("fold", "fold, rows/s"),
                      ("export", "export as csv, rows/s"), ("export of CPU", "the same of the command's CPU"),
                      ("schedule", "job.schedule, rows/s")):
        if key in x:
            yield [what, x[key] if isinstance(x[key], str) else number(x[key])]


def large_tables(x):
    name = f"{x['samples']} samples"
    if "phases" in x:
        yield table(f"A job of {name}: what others see, by phase (pings and commands in ms)",
                    ["phase", "s", "ping p50", "p99", "max", "p99 with a processor", "max with a processor", "small job, of alone",
                     "submit and cancel p50", "max"],
                    list(large_phases(x)))
        yield table(f"A job of {name}: figures", ["what", "measured"], list(large_figures(x)))
    if "questions" in x:
        yield table(f"A job of {name}: questions", ["question", "ms"],
                    [[q, a if isinstance(a, str) else spread(a)] for q, a in x["questions"].items()])
    if "skipped" in x:
        yield f"A job of {name}: {x['skipped']}\n"


def tables(r, engines, worlds, fold, hostile, external, large):
    if r.has(what="rate"):
        yield table("A step in one process (images a second)",
                    ["model", "mode", "threads", "shard", "Steppe", "peer", "Steppe to peer",
                     "best to best", "GFLOP/s", "of sgemm", "peer of sgemm"],
                    list(step_rows(r, engines)))
        yield table("Costs (from the rates above)",
                    ["model", "threads", "SAM epoch + sweep, to peer's", "epoch with a sweep, of one without",
                     "fused step, of a SAM step", "the peer's", "online step, of a SAM step", "the peer's"],
                    list(cost_rows(r)))
        yield table("Peak memory, MiB", ["model", "threads", "Steppe", "peer", "Steppe to peer"],
                    list(memory_rows(r)))
        yield table("sgemm of 1024 x 1024 on every thread", ["model beside", "threads", "GFLOP/s"],
                    [[m, f"{t}", spread(r.values("peak", m, "peak", "steppe", t))]
                     for m in r.distinct("peak", "model") for t in r.distinct("peak", "where")])
    if r.has(what="served"):
        yield table("Served (images a second; workers x threads)",
                    ["model", "mode", "2 threads in process", "ipc of it", "tcp of it", *worlds],
                    list(served_rows(r, worlds)))
    if r.has(what="faults"):
        yield table("Page faults of the server a step (workers x threads)", ["model", "mode", *worlds],
                    [[model, mode, *(spread(r.values("faults", model, mode, "steppe", w)) for w in worlds)]
                     for model in r.distinct("faults", "model") for mode in PASSES
                     if r.values("faults", model, mode, "steppe", worlds[0])])
    if r.has(what="plain epoch"):
        yield table("Served epochs (seconds)", ["model", "where", "SAM", "SAM and sweep", "ratio"],
                    list(epoch_rows(r)))
    if fold:
        yield table("The fold of scores, and questions (ms of CPU)",
                    ["samples", "epochs", "rows a second of CPU", "rows a second", "bytes a row", *QUESTIONS],
                    [fold_row(fold)])
    if hostile:
        yield table("Beside 10 000 pipelined questions, heavy SQL and 10 000 handshakes a second",
                    ["model of the job that trains", "job.submit p99 quiet, ms", "beside it, ms", "speed of training, of quiet",
                     "memory of the server grew, MiB", "handshakes sent a second", "answered", "SIGTERM to exit, s"],
                    [hostile_row(h) for h in hostile])
    if external:
        yield table("A training program of one's own, over ipc", ["what", "measured"], external_rows(external))
    for one in large:
        yield from large_tables(one)


def head(f):
    peer = f["peer"]
    against = (f"Peer: PyTorch {peer['torch']}, {peer['capability']}, OpenBLAS {peer['openblas']}, "
               f"core {peer['core']}.\n" if peer else
               "" if f["torch"] else "No peer: python3-torch is not installed (make bench-deps).\n")
    return (f"# Steppe bench\n\nOpenBLAS core {f['core']}, numerics class {f['numerics_class']}; "
            f"{f['processor']}, {f['processors']} processors, load {f['load_before']:.1f} before.\n"
            f"{against}Batch {f['batch']}; shard = batch/threads, so a row with 1 thread is the peer's "
            f"very computation.\nMedians of {f['rounds']} rounds [min..max]; a rate is that of the "
            f"median step of a round.\n")
