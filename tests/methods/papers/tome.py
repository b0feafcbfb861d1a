"""ToMe, Token Merging (arXiv 2210.09461, ICLR 2023), reference.

Written from facts of the official release (facebookresearch/ToMe, tome/merge.py and tome/patch/timm.py, commit
af95e4b) and two public summaries, not from the paper itself: names of its sections ("Bipartite Soft
Matching" with its five steps, "Token Similarity", "Tracking Token Size") and the number of its Eq. (1) are
from memory.  Repeated rounds in one place, the metric of a merged token and order="position" are no part of it.
Ties: lower index wins (both for the best partner of a token and among the edges).
"""

import math

import torch


def cosine(u, v):
    return float((u @ v) / (u.norm() * v.norm()))


def bipartite_edges(metric):
    """ToMe section 3, steps 1-2.  A = positions 0,2,4,...; B = positions 1,3,5,... ; from each
    token of A one edge, to its most similar token of B (cosine).  List of (similarity, a, b),
    most similar edge first.
    """
    metric = metric.double()
    n = metric.shape[0]
    edges = []
    for a in range(0, n, 2):
        best_b, best = None, -math.inf
        for b in range(1, n, 2):
            s = cosine(metric[a], metric[b])
            if s > best:
                best_b, best = b, s
        if best_b is not None:
            edges.append((best, a, best_b))
    return sorted(edges, key=lambda e: (-e[0], e[1]))


def tome_round(metric, features, sizes, r, sources=None, dest=None, order="concat_sorted"):
    """One application: ToMe section 3, steps 3-5; weighted by size ("Tracking Token Size").

    r is clipped to n // 2 (official: "max 50% of tokens").  Several tokens of A may go to the
    same token of B: they are averaged together with it in one weighted mean.

    order of the result (decides who is even and who is odd in the next round!):
      "concat_sorted"   unmerged tokens of A ascending, then all of B  (step 5 "concatenate the
                        sets back together"; the official code with a class token)
      "concat_argsort"  the same, but unmerged A in descending order of their edge's similarity
                        (the official code without a class token)
      "position"        ascending in the destination's ORIGINAL index (not in the paper: a
                        choice for models that keep the raster order / position ids)

    Returns metric, features, sizes, sources (list of lists of original indices, ascending),
    dest (original index of the token into which the others were merged).
    The merged metric is the size-weighted mean of the metrics; this is OUR convention, needed
    only where rounds are repeated in one place (in the paper each layer computes new keys).
    """
    metric, features, sizes = metric.double(), features.double(), sizes.double()
    n = metric.shape[0]
    sources = [[i] for i in range(n)] if sources is None else sources
    dest = list(range(n)) if dest is None else dest
    r = max(0, min(r, n // 2))
    if r == 0:
        return metric, features, sizes, sources, dest
    edges = bipartite_edges(metric)
    merged_into = {}
    for _, a, b in edges[:r]:
        merged_into.setdefault(b, []).append(a)
    gone = {a for _, a, _ in edges[:r]}
    if order == "concat_argsort":
        keep = [a for _, a, _ in edges[r:]] + list(range(1, n, 2))
    else:
        keep = [a for a in range(0, n, 2) if a not in gone] + list(range(1, n, 2))
    if order == "position":
        keep = sorted(keep, key=lambda i: dest[i])

    new = ([], [], [], [], [])
    for i in keep:
        group = [i, *merged_into.get(i, [])]
        total = sum(float(sizes[g]) for g in group)
        m = torch.zeros_like(metric[0])
        f = torch.zeros_like(features[0])
        for g in group:
            m = m + metric[g] * sizes[g] / total
            f = f + features[g] * sizes[g] / total
        new[0].append(m)
        new[1].append(f)
        new[2].append(total)
        new[3].append(sorted(s for g in group for s in sources[g]))
        new[4].append(dest[i])
    return (torch.stack(new[0]), torch.stack(new[1]), torch.tensor(new[2], dtype=torch.float64), new[3], new[4])


def tome_reduce(metric, features, sizes, n_keep, order="concat_sorted"):
    """Repeated rounds, each removing min(n - n_keep, n // 2), until n_keep tokens remain.

    The paper merges r tokens in EVERY ViT block (section 3 "Strategy"); several rounds in one
    place are an adaptation for a fixed budget.  Returns features, sizes, sources, dest.
    """
    sources = dest = None
    metric, features, sizes = metric.double(), features.double(), sizes.double()
    sources = [[i] for i in range(metric.shape[0])]
    dest = list(range(metric.shape[0]))
    while metric.shape[0] > max(1, n_keep):
        r = min(metric.shape[0] - n_keep, metric.shape[0] // 2)
        metric, features, sizes, sources, dest = tome_round(metric, features, sizes, r, sources, dest, order)
    return features, sizes, sources, dest


def proportional_attention(q, k, v, sizes):
    """ToMe Eq. (1): A = softmax(Q K^T / sqrt(d) + log s), s = sizes of the KEYS.
    q, k, v: [n, d] of one head.  Returns probabilities and output.
    """
    q, k, v, sizes = q.double(), k.double(), v.double(), sizes.double()
    d = q.shape[1]
    probs = torch.zeros(q.shape[0], k.shape[0], dtype=torch.float64)
    for i in range(q.shape[0]):
        logits = [float(q[i] @ k[j]) / math.sqrt(d) + math.log(float(sizes[j])) for j in range(k.shape[0])]
        top = max(logits)
        e = [math.exp(x - top) for x in logits]
        for j in range(k.shape[0]):
            probs[i, j] = e[j] / sum(e)
    return probs, probs @ v


if __name__ == "__main__":
    metric = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    x = torch.tensor([[1.0], [3.0], [5.0], [7.0]])
    s = torch.tensor([1.0, 1.0, 1.0, 3.0])
    # A={0,2}, B={1,3}: edges 0->1 (1.0), 2->3 (0.8)
    e = bipartite_edges(metric)
    assert [(a, b) for _, a, b in e] == [(0, 1), (2, 3)] and abs(e[1][0] - 0.8) < 1e-6
    f, z, src, dst = tome_reduce(metric, x, s, 3)
    assert f.flatten().tolist() == [5.0, 2.0, 7.0] and z.tolist() == [1.0, 2.0, 3.0]
    assert src == [[2], [0, 1], [3]] and dst == [2, 1, 3]
    f, z, src, dst = tome_reduce(metric, x, s, 3, order="position")
    assert f.flatten().tolist() == [2.0, 5.0, 7.0] and src == [[0, 1], [2], [3]] and dst == [1, 2, 3]
    f, z, src, dst = tome_reduce(metric, x, s, 2)  # (5*1 + 7*3) / 4 = 6.5
    assert f.flatten().tolist() == [2.0, 6.5] and z.tolist() == [2.0, 4.0] and dst == [1, 3]
    f, z, src, dst = tome_reduce(metric, x, s, 1)  # (2*2 + 6.5*4) / 6 = 5
    assert abs(float(f) - 5.0) < 1e-12 and z.tolist() == [6.0] and src == [[0, 1, 2, 3]] and dst == [3]
    # two tokens of A into one of B: 5 tokens, A={0,2,4}, B={1,3}; 0,2 equal to 1; 4 equal to 3
    m5 = torch.tensor([[1.0, 0.0], [1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.1, 1.0]])
    f, z, src, dst = tome_reduce(m5, torch.arange(5.0)[:, None], torch.ones(5), 3)
    assert src == [[4], [0, 1, 2], [3]] and f.flatten().tolist() == [4.0, 1.0, 3.0]
    p, o = proportional_attention(
        torch.zeros(1, 2), torch.zeros(2, 2), torch.tensor([[0.0], [1.0]]), torch.tensor([1.0, 3.0])
    )
    assert torch.allclose(p, torch.tensor([[0.25, 0.75]]).double()) and abs(float(o) - 0.75) < 1e-12
    print("tome ok")
