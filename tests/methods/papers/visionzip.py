"""VisionZip (arXiv 2412.04467), reference: section 3, Algorithms 1 and 2, with the text's "average merging".

Written from a transcript of the paper and from facts of the official release (dvlab-research/VisionZip, commit 3151f6d):
targets are every step-th of the remaining tokens, step = max(1, n_rest // M), the first M of them.
Ties: lower index wins.
"""


def visionzip(attention, keys, hidden, n_dominant, n_contextual):
    """Kept tokens, ascending, and the state of each; a contextual one stands at its target's place."""
    n = len(attention)
    dominant = sorted(range(n), key=lambda i: (-float(attention[i]), i))[:n_dominant]
    rest = [i for i in range(n) if i not in dominant]
    targets = rest[:: max(1, len(rest) // n_contextual)][:n_contextual] if n_contextual else []
    groups = {t: [t] for t in targets}
    for i in rest:
        if targets and i not in targets:
            cosines = [float(keys[i] @ keys[t] / (keys[i].norm() * keys[t].norm())) for t in targets]
            groups[targets[cosines.index(max(cosines))]].append(i)
    states = {i: hidden[i].double() for i in dominant}
    states |= {t: sum(hidden[g].double() for g in group) / len(group) for t, group in groups.items()}
    return sorted(states), [states[i] for i in sorted(states)]
