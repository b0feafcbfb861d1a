"""Speculative decoding: the small model goes on guessing behind what the large one has said."""

from collections.abc import Sequence

import torch

from stitchvlm.decoding import Decoding


class Speculator:
    """Guesses a few tokens of every answer at a time, greedily, from the small model's caches.

    Paper: arXiv 2211.17192, section 2; the comparison of arXiv 2412.03324. What it guesses is only ever proposed, so it changes the
    seconds that an answer takes and nothing else. It can follow a draft: the caches that the small model's own answer left are
    taken up where the large model's answer parts from it.

    Args:
        small: what the small model's caches hold of its own answers to the same questions.
        n_tokens: how many to guess after each round.

    Differs from the paper: guesses are greedy, also for sampled answers, so that a guess has no probabilities of its own.
    """

    def __init__(self, small: Decoding, n_tokens: int):
        if n_tokens < 1:
            raise ValueError(f"speculation needs at least 1 token to guess at a time, not {n_tokens}")
        self._small, self._n_tokens = small, n_tokens

    @torch.inference_mode()
    def __call__(self, answers: Sequence[Sequence[int]]) -> list[list[int]]:
        """What may follow every row's answer so far."""
        held = self._small.tokens
        common = [_n_common(row, answer) for row, answer in zip(held, answers, strict=True)]
        self._small.take_back([len(row) - n for row, n in zip(held, common, strict=True)])
        unheard = [list(answer[n:]) for answer, n in zip(answers, common, strict=True)]
        guesses: list[list[int]] = [[] for _ in answers]
        while True:
            likeliest = self._small.feed(unheard)[:, -1].argmax(-1).tolist()
            for guess, token in zip(guesses, likeliest, strict=True):
                guess.append(token)
            if len(guesses[0]) == self._n_tokens:
                return guesses
            unheard = [[token] for token in likeliest]


def _n_common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens both begin with; the last one of ``b`` is never counted, so that there is one to go on from."""
    longest = min(len(a), len(b) - 1)
    return next((n for n in range(longest) if a[n] != b[n]), longest)
