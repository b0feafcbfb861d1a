"""Options of methods, from code and from text."""

from dataclasses import dataclass
from typing import Literal

import pytest

from stitchvlm.methods import available_methods, make_method, method_class
from stitchvlm.methods.alone import LargeAlone
from stitchvlm.methods.options import check_options, method_options, read_options


@dataclass(frozen=True)
class Many(LargeAlone):
    """A method with an option of every kind."""

    name = "many"
    count: int = 1
    share: float = 0.5
    flag: bool = False
    side: Literal["left", "right"] = "left"
    word: str = "a"


@pytest.mark.parametrize("name", available_methods())
def test_defaults_are_allowed_and_make_the_same_method(name):
    options = {option.name: option.default for option in method_options(method_class(name)).values()}
    assert make_method(name, **options) == make_method(name)
    texts = [f"{option}={value}" for option, value in options.items()]
    assert make_method(name, **read_options(method_class(name), texts)) == make_method(name)


def test_values_are_read_by_their_kind():
    texts = ["count=3", "share=1", " flag = Yes", "side=right", "word=b=c"]
    read = read_options(Many, texts)
    assert read == {"count": 3, "share": 1.0, "flag": True, "side": "right", "word": "b=c"}
    assert Many(**read) == Many(3, 1.0, True, "right", "b=c")


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["count"], "written name=value, such as layer=2, not 'count'"),
        (["=3"], "written name=value"),
        (["count=1", "count=2"], "count of many is given twice"),
        (["size=1"], "many has no option 'size': it has count, share, flag, side, word"),
        (["count=1.5"], "count of many must be a whole number, not '1.5'"),
        (["share=half"], "share of many must be a number, not 'half'"),
        (["flag=2"], "flag of many must be true or false, not '2'"),
        (["side=up"], "side of many must be one of left, right, not 'up'"),
    ],
)
def test_texts_that_cannot_be_read_are_one_sentence(texts, said):
    with pytest.raises(ValueError, match=said):
        read_options(Many, texts)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"count": True}, "a whole number, not True"),
        ({"count": 2.0}, "a whole number, not 2.0"),
        ({"share": "0.5"}, "a number, not '0.5'"),
        ({"flag": 1}, "true or false, not 1"),
    ],
)
def test_values_of_another_kind_are_refused(values, said):
    with pytest.raises(ValueError, match=said):
        check_options(Many, values)


def test_a_method_without_options_says_so():
    with pytest.raises(ValueError, match="random has no option 'seed': it has none"):
        make_method("random", seed=3)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dart", {"pivots": 0}),
        ("guided", {"picture_floor": float("nan")}),
        ("pyramiddrop", {"ratio": 1.0}),
        ("pyramiddrop", {"stages": 1}),
        ("sparsevlm", {"stages": 0}),
        ("sparsevlm", {"recycled": 2.0}),
        ("visionzip", {"contextual": 1.0}),
    ],
)
def test_values_out_of_range_are_refused(name, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}.* not"):
        make_method(name, **options)
