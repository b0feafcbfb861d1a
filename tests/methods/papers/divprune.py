"""DivPrune (arXiv 2503.02175, CVPR 2025), reference: section 3.3, Eq. (3), (4), Algorithm 1.

The official code (vbdi/divprune, LLaVA/llava/model/llava_arch.py, commit 799e2d9) applies it to
the PROJECTED visual tokens at the input of the large model ("layer 0").
Ties: lower index wins.
"""

import itertools

import torch


def cosine_distances(features):
    """DivPrune Eq. (4): d(a, b) = 1 - a.b / (|a| |b|).  [n, n], zero diagonal."""
    f = features.double()
    n = f.shape[0]
    d = torch.zeros(n, n, dtype=torch.float64)
    for i in range(n):
        for j in range(n):
            if i != j:
                d[i, j] = 1.0 - float((f[i] @ f[j]) / (f[i].norm() * f[j].norm()))
    return d


def divprune_order(features, n_keep):
    """DivPrune Algorithm 1: indices in the order in which they are chosen.

    First token: for each i the distance to its NEAREST other token; the i where that is
    largest.  (Not: the most remote pair, not: the first token, not: a random one.)
    Every further token: for each not yet chosen i the distance to the nearest CHOSEN token;
    the i where that is largest.
    """
    d = cosine_distances(features)
    n = d.shape[0]
    if n_keep <= 0:
        return []
    if n == 1:
        return [0]
    first, best = None, -float("inf")
    for i in range(n):
        nearest = min(float(d[i, j]) for j in range(n) if j != i)
        if nearest > best:
            first, best = i, nearest
    chosen = [first]
    while len(chosen) < min(n_keep, n):
        pick, best = None, -float("inf")
        for i in range(n):
            if i in chosen:
                continue
            nearest = min(float(d[i, j]) for j in chosen)
            if nearest > best:
                pick, best = i, nearest
        chosen.append(pick)
    return chosen


def divprune_keep(features, n_keep):
    """The kept indices, ascending (the official code sorts them back into sequence order)."""
    return sorted(divprune_order(features, n_keep))


def mmdp_exact_value(features, n_keep):
    """DivPrune Eq. (3) by enumeration: the largest possible minimum distance.  The greedy
    Algorithm 1 need not reach it; for comparison only, tiny n.
    """
    d = cosine_distances(features)
    best = -float("inf")
    for subset in itertools.combinations(range(d.shape[0]), n_keep):
        best = max(best, min(float(d[i, j]) for i, j in itertools.combinations(subset, 2)))
    return best


if __name__ == "__main__":
    rad = torch.deg2rad(torch.tensor([0.0, 10.0, 90.0, 180.0]).double())
    f = torch.stack([rad.cos(), rad.sin()], 1) * torch.tensor([[1.0], [5.0], [2.0], [3.0]])
    # nearest others: .0152, .0152, 1-cos80=.826, 1 -> first 3; then distances to 3: 2, 1.985, 1
    # -> 0; then 1: min(1.985,.0152), 2: min(1,1)=1 -> 2
    assert divprune_order(f, 3) == [3, 0, 2]
    assert divprune_order(f, 4) == [3, 0, 2, 1]
    assert divprune_keep(f, 3) == [0, 2, 3]
    assert abs(mmdp_exact_value(f, 2) - 2.0) < 1e-9
    assert abs(mmdp_exact_value(f, 3) - 1.0) < 1e-9
    print("divprune ok")
