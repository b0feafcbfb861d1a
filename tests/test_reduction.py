"""Streams and reductions on hand-made batches."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from stitchvlm.reduction import Reduction, TokenStream


def hand_made() -> TokenStream:
    """Two rows: t v v v t, and - v v t t (t text, v visual, - padding); hidden states spell row and place."""
    index = torch.tensor([[0, 1, 2, 3, 4], [-1, 0, 1, 2, 3]])
    ordinal = torch.tensor([[-1, 0, 1, 2, -1], [-1, 0, 1, -1, -1]])
    hidden = torch.stack([torch.tensor([[0.0], [10.0]]).expand(2, 5) + index, index.float()], dim=-1)
    return TokenStream(hidden, index.clamp(min=0) + 100, index, ordinal, (5, 4))


PRESENT = (torch.arange(3), torch.arange(2))


def test_kept_tokens_keep_order_and_positions():
    kept = Reduction((torch.tensor([0, 2]), torch.tensor([1])))
    stream = kept.apply(hand_made(), PRESENT)
    assert stream.index.tolist() == [[0, 1, 3, 4], [-1, 1, 2, 3]]
    assert stream.ordinal.tolist() == [[-1, 0, 2, -1], [-1, 1, -1, -1]]
    assert stream.positions.tolist()[0] == [100, 101, 103, 104] and stream.positions.tolist()[1][1:] == [101, 102, 103]
    assert stream.hidden[0, :, 0].tolist() == [0, 1, 3, 4] and stream.hidden[1, 1:, 0].tolist() == [11, 12, 13]
    assert stream.lengths == (4, 3) and stream.padded


def test_all_visual_tokens_may_leave():
    stream = Reduction((torch.tensor([], dtype=torch.long), torch.tensor([], dtype=torch.long))).apply(
        hand_made(), PRESENT
    )
    assert stream.index.tolist() == [[0, 4], [2, 3]] and not stream.padded


def test_three_rows_of_positions_stay_in_step():
    flat = hand_made()
    stream = TokenStream(
        flat.hidden,
        flat.positions.expand(3, 2, 5) * torch.tensor([1, 2, 3])[:, None, None],
        flat.index,
        flat.ordinal,
        flat.lengths,
    )
    kept = Reduction((torch.tensor([2]), torch.tensor([0]))).apply(stream, PRESENT)
    assert kept.positions[:, 0].tolist() == [[100, 103, 104], [200, 206, 208], [300, 309, 312]]


def test_appending_moves_padding_to_the_left():
    answer = TokenStream(
        hidden=torch.full((2, 2, 2), 7.0),
        positions=torch.tensor([[0, 105], [104, 105]]),
        index=torch.tensor([[-1, 5], [4, 5]]),
        ordinal=torch.full((2, 2), -1),
        lengths=(1, 2),
    )
    joined = hand_made().append(answer)
    assert joined.index.tolist() == [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]]
    assert joined.hidden[1, -2:, 0].tolist() == [7, 7] and joined.lengths == (6, 6)


def test_best_scores_stay_among_those_present():
    scores = [torch.tensor([0.1, 0.9, 0.9, 0.5])]
    assert Reduction.top(scores, [2], [torch.arange(4)]).kept[0].tolist() == [1, 2]
    assert Reduction.top(scores, [1], [torch.arange(4)]).kept[0].tolist() == [1]
    assert Reduction.top(scores, [2], [torch.tensor([0, 2, 3])]).kept[0].tolist() == [2, 3]


@given(st.lists(st.booleans(), min_size=1, max_size=20), st.integers(0, 5))
def test_whatever_stays_is_what_was_asked(stays, n_text):
    n_visual = len(stays)
    ordinal = torch.cat([torch.arange(n_visual), torch.full((n_text + 1,), -1)])[None]
    index = torch.arange(ordinal.shape[1])[None]
    stream = TokenStream(torch.randn(1, index.shape[1], 2), index, index, ordinal, (index.shape[1],))
    kept = torch.tensor([i for i, stay in enumerate(stays) if stay], dtype=torch.long)
    reduced = Reduction((kept,)).apply(stream, (torch.arange(n_visual),))
    assert reduced.ordinal[0].tolist() == kept.tolist() + [-1] * (n_text + 1)
    assert torch.equal(reduced.hidden[0], stream.hidden[0, reduced.index[0]])
