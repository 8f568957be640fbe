"""Rank statistics of lists, without numpy."""
import math


def ranks(values):
    """From 1, equal values share the mean of theirs."""
    order = sorted(range(len(values)), key=values.__getitem__)
    rank, first = [0.0] * len(values), 0
    while first < len(order):
        end = first + 1
        while end < len(order) and values[order[end]] == values[order[first]]:
            end += 1
        for i in order[first:end]:
            rank[i] = (first + 1 + end) / 2
        first = end
    return rank


def auroc(values, wrong):
    rank, n = ranks(values), sum(wrong)
    return (sum(r for r, w in zip(rank, wrong) if w) - n * (n + 1) / 2) / (n * (len(wrong) - n))


def precision(values, wrong, k):
    first = sorted(range(len(values)), key=lambda i: (-values[i], i))[:k]
    return sum(wrong[i] for i in first) / k


def spearman(a, b):
    x, y = ranks(a), ranks(b)
    mx, my = sum(x) / len(x), sum(y) / len(y)
    xy = sum((p - mx) * (q - my) for p, q in zip(x, y))
    return xy / math.sqrt(sum((p - mx) ** 2 for p in x) * sum((q - my) ** 2 for q in y))
