"""CDPruner where more tokens are asked for than its kernel has dimensions."""

import itertools

import pytest
import torch

from stitchvlm.methods.cdpruner import likeliest_set

PLANE = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [0.0, 1.0], [1.0, 1.0]])
RELEVANCE = torch.tensor([0.9, 0.3, 0.5, 1.0, 0.7])


def test_what_lies_in_the_plane_of_the_chosen_follows_by_relevance():
    """By hand: token 3 is the most relevant, 0 is at a right angle to it, and every third token lies in their plane."""
    assert likeliest_set(PLANE, RELEVANCE, 2).tolist() == [3, 0]
    assert likeliest_set(PLANE, RELEVANCE, 5).tolist() == [3, 0, 4, 2, 1]


def test_among_equally_relevant_ones_the_first_follow():
    assert likeliest_set(PLANE, torch.ones(5), 5).tolist() == [0, 3, 1, 2, 4]


def test_copies_of_a_token_wait_until_nothing_new_is_left():
    """A copy is in the span of its original however relevant it is, and a new direction is not, however irrelevant."""
    visual = torch.eye(3)[[0, 0, 0, 1, 2]]
    assert likeliest_set(visual, torch.tensor([1.0, 0.99, 0.98, 1e-6, 1e-4]), 5).tolist() == [0, 4, 3, 1, 2]


@pytest.mark.parametrize("seed", range(4))
def test_no_set_that_could_be_likely_is_given_up(seed):
    """The chosen dimensions are all there are: the determinant of every larger set is zero, that of the chosen is not."""
    generator = torch.Generator().manual_seed(seed)
    visual = torch.randn(7, 3, generator=generator) @ torch.randn(3, 6, generator=generator)
    chosen = likeliest_set(visual, torch.rand(7, generator=generator) + 0.1, 6)
    unit = torch.nn.functional.normalize(visual.double(), dim=-1)
    assert torch.linalg.det((unit @ unit.T)[chosen[:3]][:, chosen[:3]]) > 1e-9
    for four in itertools.combinations(range(7), 4):
        assert torch.linalg.det((unit @ unit.T)[list(four)][:, list(four)]).abs() < 1e-12


@pytest.mark.parametrize("width", [4, 16, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_order_of_the_tokens_does_not_decide(width, dtype):
    """60 tokens in few dimensions, moved about: the same ones are kept, in the same order of choice."""
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        visual = torch.randn(60, width, generator=generator).to(dtype)
        relevance, moved = torch.rand(60, generator=generator), torch.randperm(60, generator=generator)
        chosen = likeliest_set(visual, relevance, 50)
        assert len(chosen.unique()) == 50
        assert torch.equal(moved[likeliest_set(visual[moved], relevance[moved], 50)], chosen)
        by_relevance = [k for k in relevance.argsort(descending=True).tolist() if k not in set(chosen[:width].tolist())]
        assert chosen[width:].tolist() == by_relevance[: 50 - width]
