"""Methods against independent, literal readings of their papers (`papers/`), on random tensors."""

from dataclasses import replace

import pytest
import torch
from papers import cdpruner as cdpruner_paper
from papers import dart as dart_paper
from papers import divprune as divprune_paper
from papers import fastv as fastv_paper
from papers import sparsevlm as sparsevlm_paper
from papers import tome as tome_paper
from papers import visionzip as visionzip_paper

from stitchvlm.attention import weighted_mask
from stitchvlm.evidence import collect, listener
from stitchvlm.families.base import Prompt
from stitchvlm.families.tiles import tiled_layout
from stitchvlm.methods import ReductionView, make_method
from stitchvlm.methods.base import VisionEvidence
from stitchvlm.reduction import TokenStream

N = 20
LAYOUT = tiled_layout(torch.arange(3, 3 + N), [(2, 2)], 2, [(64, 48)], n_tokens=30)


def view(**evidence) -> ReductionView:
    return ReductionView([LAYOUT], [torch.arange(N)], 2, **{name: [value] for name, value in evidence.items()})


def stream_of(states: torch.Tensor) -> TokenStream:
    """One row that holds those states of visual tokens between text."""
    places = torch.arange(LAYOUT.n_tokens)[None]
    hidden, ordinal = torch.zeros(1, LAYOUT.n_tokens, states.shape[1]), torch.full((1, LAYOUT.n_tokens), -1)
    hidden[0, LAYOUT.index], ordinal[0, LAYOUT.index] = states, torch.arange(N)
    return TokenStream(hidden, places, places, ordinal, (LAYOUT.n_tokens,))


def kept(name: str, n_keep: int, **evidence) -> list[int]:
    return make_method(name).reduce(view(**evidence), [n_keep]).kept[0].tolist()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n_keep", [0, 1, 7, 13, N])
@pytest.mark.parametrize("name", ["fastv", "pyramiddrop"])
def test_attention_of_the_last_row(name, seed, n_keep):
    """From a layer's queries and keys to the kept tokens, against whole attention maps; every other seed has many ties.

    PyramidDrop rates at the end of a stage as FastV does in its one layer. Small whole numbers make products exact, so that
    equal keys are equally looked at on both sides.
    """
    generator = torch.Generator().manual_seed(seed)
    n_tokens, method, stream = LAYOUT.n_tokens, make_method(name), stream_of(torch.zeros(N, 2))
    query, key = (torch.randint(-3, 4, (1, heads, n_tokens, 4), generator=generator).float() for heads in (4, 2))
    if seed % 2:
        key = key[:, :, torch.randint(0, 5, (n_tokens,), generator=generator)]
    prompt = Prompt(stream, stream.index, (LAYOUT,), torch.tensor([n_tokens]), (torch.arange(N),))
    heard = listener(method, prompt, stream, 1, None)
    heard.hear(1, query, key, 0.5)
    seen = collect(method, prompt, stream, [torch.arange(N)], 2, heard, None, [0])
    logits = (query @ key.repeat_interleave(2, 1).transpose(2, 3))[0].double() * 0.5
    maps = logits.masked_fill(torch.ones(n_tokens, n_tokens).triu(1).bool(), -torch.inf).softmax(-1)
    scores = fastv_paper.fastv_scores(maps, LAYOUT.index.tolist())
    assert (len(scores.unique()) <= 5) == bool(seed % 2)
    expected = fastv_paper.fastv_keep(maps, LAYOUT.index.tolist(), n_keep)
    assert LAYOUT.index[method.reduce(seen, [n_keep]).kept[0]].tolist() == expected


def test_pyramiddrop_at_the_average_of_its_paper_is_that_of_its_paper():
    """Four equal stages of 32 layers and a ratio of a half: 576, 288, 144 and 72 tokens, 46.875 % on average."""
    steps = make_method("pyramiddrop").schedule(0.46875, 32).resolve(32, 576)
    assert steps == ((8, 288), (16, 144), (24, 72))


@pytest.mark.parametrize("seed", range(5))
def test_sparsevlm_is_judged_by_the_words_that_speak_of_the_picture(seed):
    embeddings = torch.randn(LAYOUT.n_tokens, 8, generator=torch.Generator().manual_seed(seed))
    start = int(LAYOUT.index[-1]) + 1
    expected = [start + i for i in sparsevlm_paper.raters(embeddings[LAYOUT.index], embeddings[start:])]
    rows = make_method("sparsevlm").asking_rows(LAYOUT, embeddings)
    assert rows.nonzero()[:, 0].tolist() == expected and 0 < len(expected) < LAYOUT.n_tokens - start


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("n_keep", "n_contextual"), [(1, 0), (7, 1), (13, 2), (19, 2), (N, 3)])
def test_visionzip(seed, n_keep, n_contextual):
    generator = torch.Generator().manual_seed(seed)
    attention, keys = torch.rand(N, generator=generator), torch.randn(N, 8, generator=generator)
    states = torch.randn(N, 12, generator=generator)
    dominant = n_keep - n_contextual
    expected, merged = visionzip_paper.visionzip(attention, keys, states, dominant, n_contextual)
    reduction = make_method("visionzip").reduce(view(vision=VisionEvidence(attention, keys)), [n_keep])
    assert reduction.kept[0].tolist() == expected
    after = reduction.apply(stream_of(states), [torch.arange(N)])
    ours = after.hidden[0, after.ordinal[0] >= 0].double()
    torch.testing.assert_close(ours, torch.stack(merged), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("pivots", "n_keep"), [(8, 3), (8, 11), (4, 15), (1, 6), (8, N)])
def test_dart(seed, pivots, n_keep):
    generator = torch.Generator().manual_seed(seed)
    keys, states = torch.randn(N, 8, generator=generator), torch.randn(N, 12, generator=generator)
    reduction = make_method("dart", pivots=pivots).reduce(view(keys=keys, states=states), [n_keep])
    assert reduction.kept[0].tolist() == dart_paper.dart_keep(states, keys, pivots, n_keep)


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
@pytest.mark.parametrize("merged_before", [False, True])
def test_tome(seed, n_keep, merged_before):
    """Kept tokens, merged states and sizes; parity in later rounds by place, as the method says.

    Tokens of an earlier merge weigh as many as they stand for.
    """
    generator = torch.Generator().manual_seed(seed)
    keys, states = torch.randn(N, 8, generator=generator), torch.randn(N, 12, generator=generator)
    sizes = torch.randint(1, 5, (N,), generator=generator).float() if merged_before else torch.ones(N)
    expected, total, _, dest = tome_paper.tome_reduce(keys, states, sizes, n_keep, order="position")
    reduction = make_method("tome").reduce(view(keys=keys, states=states, sizes=sizes), [n_keep])
    assert reduction.kept[0].tolist() == dest
    before = stream_of(states)
    weight = torch.ones(1, LAYOUT.n_tokens)
    weight[0, LAYOUT.index] = sizes
    merged = reduction.apply(replace(before, size=weight) if merged_before else before, [torch.arange(N)])
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
