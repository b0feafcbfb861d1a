"""Answers as the VQA challenge compares them: the same words in the same plain form.

The rules are those of the challenge's evaluation page (visualqa.org/evaluation): lower case, no full stops but those of a
decimal number, number words as digits, no articles, contractions with their apostrophe, and every other punctuation
mark a space, except that a comma between digits vanishes. Apostrophes and colons stay. Words that are one already without
their apostrophe (its, were, hell) stay as they are.
"""

import re
from collections.abc import Sequence

_NUMBERS = "zero one two three four five six seven eight nine ten".split()
_DIGITS = {"none": "0"} | {word: str(number) for number, word in enumerate(_NUMBERS)}
_ARTICLES = {"a", "an", "the"}
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA = re.compile(r"(?<=\d),(?=\d)")
_FULL_STOP = re.compile(r"\.(?!\d)")
_CONTRACTED = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've he's
how'd how'll how's i'd've i'm i've isn't it'd it'd've it'll let's ma'am mightn't mightn't've might've mustn't must've
needn't not've o'clock oughtn't shan't shouldn't should've shouldn't've she'd've she's somebody'd somebody'll somebody's
someone'd someone'll someone's something'd something'll something's that'd that'd've that'll that's there'd there'd've
there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't
wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
""".split()


def _bare_forms() -> dict[str, str]:
    """Every contraction by each form that lacks some or all of its apostrophes."""
    forms = {}
    for whole in _CONTRACTED:
        parts = whole.split("'")
        for kept in range(2 ** (len(parts) - 1) - 1):
            joints = ["'" if kept >> place & 1 else "" for place in range(len(parts) - 1)]
            forms["".join(part + joint for part, joint in zip(parts, [*joints, ""], strict=True))] = whole
    return forms


_CONTRACTIONS = _bare_forms()


def vqa_form(answer: str) -> str:
    """The answer in the form in which VQA answers are compared."""
    text = answer.replace("\n", " ").replace("\t", " ").strip().lower()
    text = _without_punctuation(text)
    words = [_DIGITS.get(word, word) for word in text.split()]
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def vqa_accuracy(answer: str, golds: Sequence[str]) -> float:
    """How many people gave this answer: three of them make it right (Antol et al., 2015).

    As the challenge counts it: the mean, over all people, of ``min(matches among the others / 3, 1)``. Ten people are meant;
    of fewer than four, all the others make it right, and of one, that one.
    """
    form = vqa_form(answer)
    matches = [vqa_form(gold) == form for gold in golds]
    if len(matches) == 1:
        return float(matches[0])
    enough = min(3, len(matches) - 1)
    return sum(min((sum(matches) - own) / enough, 1.0) for own in matches) / len(matches)


def _without_punctuation(text: str) -> str:
    """A mark beside a space vanishes, a comma in a number takes all marks with it, and any other becomes a space."""
    vanish, plain = _DIGIT_COMMA.search(text) is not None, text
    for mark in _PUNCTUATION:
        beside_space = f"{mark} " in text or f" {mark}" in text
        plain = plain.replace(mark, "" if beside_space or vanish else " ")
    return _FULL_STOP.sub("", plain)
