"""DART (arXiv 2502.11494), reference: pivots by key norm, and for each the tokens least like it.

Written from a transcript of the paper's method section and from a second-hand copy of the release (xqy1111111/DART,
d6a5af6), whose norm is L1 and in which a token is taken once.  Pivots among visual tokens only, and turns of one
token each, are the package's rule and not the paper's.  Ties: lower index wins.
"""


def dart_keep(states, keys, n_pivots, n_keep):
    """The kept tokens, ascending."""
    norms = [sum(abs(float(x)) for x in key) for key in keys]
    pivots = sorted(range(len(norms)), key=lambda i: (-norms[i], i))[: min(n_pivots, n_keep)]
    free, kept, turn = [i for i in range(len(norms)) if i not in pivots], list(pivots), 0
    while free and len(kept) < n_keep:
        pivot = states[pivots[turn % len(pivots)]].double()
        like = {i: float(pivot @ states[i].double() / (pivot.norm() * states[i].double().norm())) for i in free}
        taken = min(free, key=lambda i: (like[i], i))
        free.remove(taken)
        kept.append(taken)
        turn += 1
    return sorted(kept)
