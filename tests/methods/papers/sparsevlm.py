"""SparseVLM (arXiv 2410.04417), reference of the raters only: section 3.2, "Relevant Text Token Selection".

Written from a transcript of the paper's method section: r is the mean over visual tokens of Softmax(H_v H_q^T) over the
text, not scaled; raters are the text tokens with r_i >= mean(r) (the release: strictly above).
"""

import math


def raters(visual, text):
    """Numbers of the raters among the text tokens; visual [n, d], text [m, d] as they enter layer 0."""
    relevance = [0.0] * len(text)
    for v in visual.double():
        logits = [float(v @ t) for t in text.double()]
        total = sum(math.exp(x - max(logits)) for x in logits)
        for i, x in enumerate(logits):
            relevance[i] += math.exp(x - max(logits)) / total / len(visual)
    return [i for i, r in enumerate(relevance) if r >= sum(relevance) / len(relevance)]
