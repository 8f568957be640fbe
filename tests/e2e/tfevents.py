"""Reads TensorBoard's event files without TensorBoard, and compares one with a job's exports.

tfevents.py FILE           a line for each value: step, tag, value (of a histogram: count, sum)
tfevents.py FILE CSV METRICS: compares with steppe export --all and steppe metrics --json; prints what differs
"""
import csv
import json
import math
import struct
import sys


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def checked(data, crc):
    value = crc32c(data)
    masked = ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert struct.pack("<I", masked) == crc, "a checksum is wrong"
    return data


def records(data):
    at = 0
    while at < len(data):
        (length,) = struct.unpack("<Q", checked(data[at:at + 8], data[at + 8:at + 12]))
        assert at + 16 + length <= len(data), "the last record is cut"
        yield checked(data[at + 12:at + 12 + length], data[at + 12 + length:at + 16 + length])
        at += 16 + length


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            length = {1: 8, 5: 4}.get(key & 7)
            if length is None:
                assert key & 7 == 2, "a wire type that nothing here has"
                length, at = varint(data, at)
            value, at = data[at:at + length], at + length
        yield key >> 3, value


def double(data):
    return struct.unpack("<d", data)[0]


def read(path):
    """[(wall_time, step, {tag: value})]; a histogram is {min, max, num, sum, squares, limits, counts}."""
    with open(path, "rb") as file:
        events = [dict(fields(r)) for r in records(file.read())]
    assert events[0].get(3) == b"brain.Event:2", "the first event has no version"
    out = []
    for (event, raw) in zip(events[1:], list(records(open(path, "rb").read()))[1:]):
        values = {}
        for number, summary in fields(raw):
            if number != 5:
                continue
            for _, value in fields(summary):
                value = dict(fields(value))
                tag = value[1].decode()
                assert tag not in values, f"{tag} is there twice"
                if 2 in value:
                    values[tag] = struct.unpack("<f", value[2])[0]
                else:
                    h = dict(fields(value[5]))
                    lists = [list(struct.unpack(f"<{len(h[k]) // 8}d", h[k])) for k in (6, 7)]
                    values[tag] = dict(zip(("min", "max", "num", "sum", "squares"), (double(h[k]) for k in range(1, 6))),
                                       limits=lists[0], counts=lists[1])
        out.append((double(event[1]), event.get(2, 0), values))
    return out


def histogram_of(values):
    """What TensorFlow's Histogram makes of them, written down again."""
    positive = []
    limit = 1e-12
    while limit < 1e20:
        positive.append(limit)
        limit *= 1.1
    positive.append(sys.float_info.max)
    limits = [-v for v in reversed(positive)] + [0.0] + positive
    counts = [0] * len(limits)
    for v in values:
        counts[min(next((i for i, b in enumerate(limits) if b > v), len(limits) - 1), len(limits) - 1)] += 1
    kept, i = [], 0
    while i < len(limits):
        end, count = limits[i], counts[i]
        i += 1
        if count <= 0:
            while i < len(limits) and counts[i] <= 0:
                end = limits[i]
                i += 1
        kept.append((end, count))
    return {"min": min(values), "max": max(values), "num": len(values), "limits": [k[0] for k in kept],
            "counts": [k[1] for k in kept]}


def differences(path, rows, metrics):
    epochs = {}
    for row in rows:
        epochs.setdefault(int(row["epoch"]), []).append(row)
    events = read(path)
    if len(events) != len(metrics):
        yield f"{len(events)} events of {len(metrics)} epochs"
    for (wall, step, values), want in zip(events, metrics):
        if step != want["epoch"] or wall != want["unix_ms"] / 1000:
            yield f"step {step} at {wall} in place of {want['epoch']} at {want['unix_ms']}"
        scalars = sorted(v for v in values.values() if not isinstance(v, dict))
        given = sorted(struct.unpack("<f", struct.pack("<f", v))[0] for v in want["metrics"].values())
        if scalars != given:
            yield f"step {step} has the scalars {scalars} in place of {given}"
        for measure in ("adm", "loss", "adv_loss", "grad_norm", "el2n", "margin", "gap"):
            got = values.get(f"samples/{measure}")
            if step not in epochs:
                if got:
                    yield f"step {step} has {measure}, but was not scored"
                continue
            numbers = [float(r["adv_loss"]) - float(r["loss"]) if measure == "gap" else float(r[measure]) for r in epochs[step]]
            for key, value in histogram_of(numbers).items():
                if got[key] != value:
                    yield f"step {step}, {measure}: {key} is {got[key]}, not {value}"
            for key, value in (("sum", math.fsum(numbers)), ("squares", math.fsum(v * v for v in numbers))):
                if not math.isclose(got[key], value, rel_tol=1e-9, abs_tol=1e-12):
                    yield f"step {step}, {measure}: {key} is {got[key]}, not {value}"


if len(sys.argv) == 2:
    for _, step, values in read(sys.argv[1]):
        for tag, value in values.items():
            print(step, tag, value if not isinstance(value, dict) else f"{value['num']:.0f} {value['sum']:.6g}")
else:
    with open(sys.argv[2], newline="") as file, open(sys.argv[3]) as metrics:
        for line in differences(sys.argv[1], list(csv.DictReader(file)), json.load(metrics)):
            print(line)
