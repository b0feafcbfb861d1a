"""Methods against independent, literal readings of their papers (`papers/`), on random tensors without ties."""

import pytest
import torch
from papers import cdpruner as cdpruner_paper
from papers import divprune as divprune_paper
from papers import fastv as fastv_paper
from papers import tome as tome_paper

from stitchvlm.attention import weighted_mask
from stitchvlm.evidence import collect, listener
from stitchvlm.families.base import Prompt
from stitchvlm.families.tiles import tiled_layout
from stitchvlm.methods import ReductionView, make_method
from stitchvlm.reduction import TokenStream

N = 20
LAYOUT = tiled_layout(torch.arange(3, 3 + N), [(2, 2)], 2, [(64, 48)], n_tokens=30)


def view(**evidence) -> ReductionView:
    return ReductionView([LAYOUT], [torch.arange(N)], 2, **{name: [value] for name, value in evidence.items()})


def kept(name: str, n_keep: int, **evidence) -> list[int]:
    return make_method(name).reduce(view(**evidence), [n_keep]).kept[0].tolist()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n_keep", [0, 1, 7, 13, N])
def test_fastv(seed, n_keep):
    """From a layer's queries and keys to the kept tokens, against whole attention maps; every other seed has many ties.

    Small whole numbers make products exact, so that equal keys are equally looked at on both sides.
    """
    generator = torch.Generator().manual_seed(seed)
    n_tokens, method = LAYOUT.n_tokens, make_method("fastv")
    query, key = (torch.randint(-3, 4, (1, heads, n_tokens, 4), generator=generator).float() for heads in (4, 2))
    if seed % 2:
        key = key[:, :, torch.randint(0, 5, (n_tokens,), generator=generator)]
    places = torch.arange(n_tokens)[None]
    ordinal = torch.full((1, n_tokens), -1)
    ordinal[0, LAYOUT.index] = torch.arange(N)
    stream = TokenStream(torch.zeros(1, n_tokens, 2), places, places, ordinal, (n_tokens,))
    prompt = Prompt(stream, places, (LAYOUT,), torch.tensor([n_tokens]))
    heard = listener(method, prompt, stream, 1, None)
    heard.hear(1, query, key, 0.5)
    seen = collect(method, prompt, stream, [torch.arange(N)], 2, heard, None, [0])
    logits = (query @ key.repeat_interleave(2, 1).transpose(2, 3))[0].double() * 0.5
    maps = logits.masked_fill(torch.ones(n_tokens, n_tokens).triu(1).bool(), -torch.inf).softmax(-1)
    scores = fastv_paper.fastv_scores(maps, LAYOUT.index.tolist())
    assert (len(scores.unique()) <= 5) == bool(seed % 2)
    expected = fastv_paper.fastv_keep(maps, LAYOUT.index.tolist(), n_keep)
    assert LAYOUT.index[method.reduce(seen, [n_keep]).kept[0]].tolist() == expected


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_keep", [1, 2, 7, 15])
def test_divprune(seed, n_keep):
    features = torch.randn(N, 16, generator=torch.Generator().manual_seed(seed))
    assert kept("divprune", n_keep, embeddings=features) == divprune_paper.divprune_keep(features, n_keep)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_keep", [1, 2, 7, 12])
def test_cdpruner(seed, n_keep):
    generator = torch.Generator().manual_seed(seed)
    features, text = torch.randn(N, 16, generator=generator), torch.randn(6, 16, generator=generator)
    relevance = cdpruner_paper.min_max(
        cdpruner_paper.relevance(features, cdpruner_paper.instruction_embedding_llm(text)), official_eps=True
    )
    order, margins, determined = cdpruner_paper.greedy_map(
        cdpruner_paper.conditional_kernel(features, relevance), n_keep
    )
    assert determined >= n_keep and min(margins[:n_keep]) > 1e-4, "a near tie: choose other seeds"
    assert kept("cdpruner", n_keep, embeddings=features, instruction=text) == sorted(order)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_keep", [1, 3, 8, 11, 19])
def test_tome(seed, n_keep):
    """Kept tokens, merged states and sizes; parity in later rounds by place, as the method says."""
    generator = torch.Generator().manual_seed(seed)
    keys, states = torch.randn(N, 8, generator=generator), torch.randn(N, 12, generator=generator)
    sizes = torch.ones(N)
    expected, total, _, dest = tome_paper.tome_reduce(keys, states, sizes, n_keep, order="position")
    reduction = make_method("tome").reduce(view(keys=keys, states=states, sizes=sizes), [n_keep])
    assert reduction.kept[0].tolist() == dest
    hidden = torch.zeros(1, LAYOUT.n_tokens, 12)
    hidden[0, LAYOUT.index] = states
    ordinal = torch.full((1, LAYOUT.n_tokens), -1)
    ordinal[0, LAYOUT.index] = torch.arange(N)
    places = torch.arange(LAYOUT.n_tokens)[None]
    merged = reduction.apply(TokenStream(hidden, places, places, ordinal, (LAYOUT.n_tokens,)), [torch.arange(N)])
    visual = merged.ordinal[0] >= 0
    torch.testing.assert_close(merged.hidden[0, visual].double(), expected, rtol=1e-5, atol=1e-5)
    assert merged.size[0, visual].tolist() == total.tolist() and (merged.size[0, ~visual] == 1).all()


@pytest.mark.parametrize("seed", range(3))
def test_attention_is_proportional_to_sizes(seed):
    """Equation 1: the mask that the engine adds; the last two keys came after the merge and stand for themselves."""
    generator = torch.Generator().manual_seed(seed)
    query, key, value = (torch.randn(6, 8, generator=generator) for _ in range(3))
    sizes = torch.tensor([1.0, 3, 2, 1, 1, 1])
    _, expected = tome_paper.proportional_attention(query, key, value, sizes)
    mask = weighted_mask(torch.ones(1, 1, 6, 6, dtype=torch.bool), sizes[None, :4])
    ours = torch.nn.functional.scaled_dot_product_attention(*(x[None, None] for x in (query, key, value)), mask)
    torch.testing.assert_close(ours[0, 0].double(), expected, rtol=1e-5, atol=1e-5)
