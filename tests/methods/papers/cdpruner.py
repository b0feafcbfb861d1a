"""CDPruner (arXiv 2506.10967, NeurIPS 2025), reference: sections 3.2-3.4, Eq. (2)-(8).

Facts of the official release: Theia-4869/CDPruner, llava/model/llava_arch.py encode_images and
llava/model/multimodal_encoder/clip_encoder.py, commit 9541616.
Greedy MAP is done by brute force on log det (no incremental Cholesky), float64.
Ties: lower index wins; see `margins` to find out where a tie is near.
"""

import math

import torch


def cos(u, v):
    return float((u @ v) / (u.norm() * v.norm()))


def relevance(visual, text, sign=+1):
    """CDPruner Eq. (5): cosine of each visual embedding with the instruction's embedding.

    visual [n, d]; text [m, d] (m = 1: the one instruction vector of the paper).  With m > 1
    (official LLaVA code: the question cut into segments of 77 CLIP tokens) the cosines with the
    m segments are averaged.
    sign=+1: the paper's text.   sign=-1: the official LLaVA code, which NEGATES the cosine
    (issues 9, 14, 19, 22 of the repository: the authors saw the inversion only with CLIP).
    """
    visual, text = visual.double(), text.double()
    out = []
    for i in range(visual.shape[0]):
        out.append(sum(sign * cos(visual[i], t) for t in text) / text.shape[0])
    return torch.tensor(out, dtype=torch.float64)


def instruction_embedding_llm(token_embeddings):
    """CDPruner section 3.3, models WITHOUT a paired text encoder (Qwen2.5-VL, InternVL3):
    the text embedding is the mean of the language model's embeddings of the instruction's
    tokens; the visual embeddings are the projector's OUTPUT.  Returns [1, d].
    """
    return token_embeddings.double().mean(0, keepdim=True)


def min_max(r, official_eps=False):
    """CDPruner Eq. (6): (r - min) / (max - min).  official_eps: the code's
    (r - min + 1e-6) / (max - min), so that no relevance is exactly 0 (NaN/inf if max == min;
    and min/max are there taken over the whole batch of crops, not per crop).
    """
    lo, hi = float(r.min()), float(r.max())
    eps = 1e-6 if official_eps else 0.0
    return (r.double() - lo + eps) / (hi - lo)


def conditional_kernel(features, rel, theta=None):
    """CDPruner Eq. (3) and (7): L_ij = cos(f_i, f_j) on the PROJECTOR output;
    L~ = diag(r) L diag(r).  theta: optional knob mentioned in a comment of the official code
    (not used there): r <- exp(alpha r), alpha = theta / (2 (1 - theta)).
    """
    f, rel = features.double(), rel.double()
    if theta is not None:
        rel = torch.exp(theta / (2 * (1 - theta)) * rel)
    n = f.shape[0]
    kernel = torch.zeros(n, n, dtype=torch.float64)
    for i in range(n):
        for j in range(n):
            sim = 1.0 if i == j else cos(f[i], f[j])
            kernel[i, j] = rel[i] * sim * rel[j]
    return kernel


def log_det(kernel, subset):
    sub = kernel[subset][:, subset]
    sign, value = torch.linalg.slogdet(sub)
    return float(value) if float(sign) > 0 else -math.inf


def greedy_map(kernel, n_keep, tol=-60.0):
    """CDPruner section 3.4 (greedy MAP of Chen et al. 2018), literally: at each step add the
    item with the largest log det of the submatrix.

    Returns order, margins, n_determined.  margins[t] = best minus second best log det at step
    t (inf if there was no second).  The gain of a step (log det minus the previous one) below
    `tol` means the submatrix is numerically singular: from then on the choice is noise in any
    implementation, the remaining picks are filled with the lowest free indices, and
    n_determined says how many picks are meaningful (compare only those).
    """
    n = kernel.shape[0]
    order, margins, current, determined = [], [], 0.0, None
    while len(order) < min(n_keep, n):
        free = [i for i in range(n) if i not in order]
        if determined is None:
            values = [log_det(kernel, [*order, i]) for i in free]
            ranked = sorted(range(len(free)), key=lambda a: (-values[a], free[a]))
            best = values[ranked[0]]
            if best == -math.inf or best - current < tol:
                determined = len(order)
            else:
                second = values[ranked[1]] if len(free) > 1 else -math.inf
                margins.append(best - second)
                order.append(free[ranked[0]])
                current = best
                continue
        order.append(free[0])
    return order, margins, len(order) if determined is None else determined


def cdpruner_keep(features, visual_embeds, text_embeds, n_keep, sign=+1, official_eps=False):
    """CDPruner, all of section 3: kept indices, ascending.

    LLaVA (CLIP): features = projector output; visual_embeds = CLIP hidden_states[-2] patches,
    through post_layernorm and CLIP's visual_projection; text_embeds = CLIP text tower
    text_embeds; official code: sign=-1, official_eps=True.
    No text encoder: features = visual_embeds = projector output, text_embeds =
    instruction_embedding_llm(...), sign=+1 (paper; no official code).
    """
    rel = min_max(relevance(visual_embeds, text_embeds, sign), official_eps)
    order, _, _ = greedy_map(conditional_kernel(features, rel), n_keep)
    return sorted(order)


if __name__ == "__main__":
    v = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.6, 0.8]])
    t = torch.tensor([[3.0, 0.0]])
    assert torch.allclose(relevance(v, t), torch.tensor([1.0, 0.0, 0.6]).double(), atol=1e-6)
    assert torch.allclose(min_max(relevance(v, t)), torch.tensor([1.0, 0.0, 0.6]).double(), atol=1e-6)
    assert torch.allclose(min_max(relevance(v, t, -1)), torch.tensor([0.0, 1.0, 0.4]).double(), atol=1e-6)
    assert abs(float(min_max(relevance(v, t, -1), True)[0]) - 1e-6) < 1e-9
    r = torch.tensor([1.0, 0.9, 0.5])
    f = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])
    # first: largest diagonal r^2 -> 0.  det{0,1} = .81 (1-.64) = .2916; det{0,2} = .25
    k = conditional_kernel(f, r)
    assert abs(math.exp(log_det(k, [0, 1])) - 0.2916) < 1e-6
    assert greedy_map(k, 2)[0] == [0, 1]
    # cosine .9: det{0,1} = .81 * .19 = .1539 < .25
    f[1] = torch.tensor([0.9, math.sqrt(0.19), 0.0])
    order, margins, det = greedy_map(conditional_kernel(f, r), 2)
    assert order == [0, 2] and det == 2 and abs(margins[1] - math.log(0.25 / 0.1539)) < 1e-4
    # an exact duplicate comes last and is not determined
    f[1] = f[0]
    order, _, det = greedy_map(conditional_kernel(f, r), 3)
    assert order == [0, 2, 1] and det == 2
    print("cdpruner ok")
