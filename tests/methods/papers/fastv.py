"""FastV (arXiv 2403.06764, ECCV 2024), reference of the selection rule only.

Written from a transcript of the paper's method section (4.1) and from the facts in the official release
(pkunlp-icler/FastV, src/transformers/.../llama/modeling_llama.py, commit d165972).  The two differ in whose
attention counts; methods are held against rows="last", the release's.
Indices: decoder layers are 0-based here.  K = 2 means: layers 0 and 1 see every token,
the scores come from the attention of layer K-1 = 1, tokens are removed BEFORE layer K = 2.
Ties: the lower position wins.
"""

import torch


def top_positions(scores, n_keep):
    """n_keep largest scores, lower position first on a tie; returned ascending."""
    order = sorted(range(len(scores)), key=lambda i: (-float(scores[i]), i))
    return sorted(order[:n_keep])


def fastv_scores(attn, visual_index, rows="last"):
    """Score of each visual token.

    attn: softmax probabilities of layer K-1, [heads, queries, keys], queries == keys (prefill).
    visual_index: list of absolute positions of the visual tokens.
    rows="last"   official code: heads averaged, the row of the LAST position of the whole
                  prompt (not of the last text token of the question, if they differ).
    rows="others" paper, section 4.1, criterion phi_attn: "average attention-score one token
                  received from all other tokens": mean over all queries j != i (causally
                  masked queries j < i contribute 0 and are counted).
    """
    attn = attn.double()
    heads, n_q, n_k = attn.shape
    mean_heads = torch.zeros(n_q, n_k, dtype=torch.float64)
    for h in range(heads):
        mean_heads += attn[h] / heads
    scores = []
    for i in visual_index:
        if rows == "last":
            scores.append(float(mean_heads[n_q - 1, i]))
        elif rows == "others":
            received = [float(mean_heads[j, i]) for j in range(n_q) if j != i]
            scores.append(sum(received) / len(received))
        else:
            raise ValueError(rows)
    return torch.tensor(scores, dtype=torch.float64)


def fastv_keep(attn, visual_index, n_keep, rows="last"):
    """FastV, section 4.1: absolute positions of the visual tokens that stay, ascending.

    Every non-visual token stays.  In the official in-place version the survivors keep their
    ORIGINAL position ids (position_ids = kept absolute positions).
    """
    visual_index = list(visual_index)
    scores = fastv_scores(attn, visual_index, rows)
    return [visual_index[i] for i in top_positions(scores, n_keep)]


if __name__ == "__main__":
    # 5 positions: 0 system, 1..3 visual, 4 text.  2 heads.
    common = [[1, 0, 0, 0, 0], [0.5, 0.5, 0, 0, 0], [0.2, 0.2, 0.6, 0, 0], [0.1, 0.1, 0.3, 0.5, 0]]
    h0 = [*common, [0.1, 0.4, 0.2, 0.1, 0.2]]
    h1 = [*common, [0.1, 0.1, 0.2, 0.5, 0.1]]
    a = torch.tensor([h0, h1])
    # last row, heads averaged: .25 .20 .30
    assert torch.allclose(fastv_scores(a, [1, 2, 3]), torch.tensor([0.25, 0.2, 0.3]).double(), atol=1e-7)
    assert fastv_keep(a, [1, 2, 3], 2) == [1, 3]
    assert fastv_keep(a, [1, 2, 3], 1) == [3]
    # from others, /4: token1 (.2+.1+.25)/4=.1375; token2 (.3+.2)/4=.125; token3 .3/4=.075
    want = torch.tensor([0.1375, 0.125, 0.075]).double()
    assert torch.allclose(fastv_scores(a, [1, 2, 3], "others"), want, atol=1e-7)
    assert fastv_keep(a, [1, 2, 3], 1, "others") == [1]
    assert fastv_keep(a, [1, 2, 3], 2, "others") == [1, 2]
    print("fastv ok")
