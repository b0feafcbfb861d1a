"""Methods of other packages: good ones work, and one that is broken troubles nobody but who asks for it."""

import re
import sys
import warnings
from pathlib import Path

import pytest

from stitchvlm.cli import main
from stitchvlm.methods import available_methods, make_method, method_class

GOOD = '''
from stitchvlm.methods import LargeAlone, TokenScorer

class Other(LargeAlone):
    """Does nothing."""
    name = "other"

class Same(LargeAlone):
    """Does nothing."""
    name = "random"

class Half(TokenScorer):
    """Does not score."""
    name = "half"
    paper = "baseline, no paper"

class Nameless(TokenScorer):
    """Says nothing of itself."""
    def score(self, view):
        return []
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts packages onto the path as an installer would: their modules, and the entry points that they register."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(package: str, source: str, **entries: str) -> None:
        (tmp_path / f"{package}_code.py").write_text(source, encoding="utf-8")
        told = tmp_path / f"{package}-1.0.dist-info"
        told.mkdir()
        (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
        lines = [f"{name} = {package}_code:{value}" for name, value in entries.items()]
        (told / "entry_points.txt").write_text("[stitchvlm.methods]\n" + "\n".join(lines), encoding="utf-8")
        monkeypatch.delitem(sys.modules, f"{package}_code", raising=False)

    return put


def test_a_good_one_is_a_method_like_any_other(install):
    install("good", GOOD, other="Other")
    assert make_method("other").name == "other" and available_methods()["other"] is method_class("other")
    with pytest.raises(ValueError, match="no method 'nonsense'; choose one of guided, .*large-alone, other$"):
        make_method("nonsense")


@pytest.mark.parametrize(
    ("source", "entry", "said"),
    [
        (
            "import not_there",
            {"broken": "Broken"},
            r"cannot be loaded \(ModuleNotFoundError: No module named 'not_there'\)",
        ),
        ("1 / 0", {"broken": "Broken"}, r"cannot be loaded \(ZeroDivisionError: division by zero\)"),
        ("", {"broken": "Broken"}, r"cannot be loaded \(AttributeError: .*'Broken'\)"),
        ("Broken = 3", {"broken": "Broken"}, "is no method: .* subclass of stitchvlm.methods.Method"),
        ("class Broken: pass", {"broken": "Broken"}, "is no method: .* subclass of stitchvlm.methods.Method"),
        (GOOD, {"half": "Half"}, "is no whole method: it lacks score"),
        (GOOD, {"nameless": "Nameless"}, "is no whole method: it lacks name, paper"),
        (GOOD, {"mine": "Other"}, "calls itself 'other'"),
    ],
)
def test_a_broken_one_is_named_when_it_is_asked_for_or_listed(install, capsys, source, entry, said):
    (name,) = entry
    install("badly", source, **entry)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert make_method("random").name == "random", "nobody else hears of it"
    told = f"method '{name}' of the package badly {said}"
    with pytest.raises(ValueError, match=told):
        make_method(name)
    with pytest.warns(UserWarning, match=told):
        assert name not in available_methods()
    assert run("methods", "--json") == 0
    out, error = capsys.readouterr()
    assert '"random"' in out and f'"{name}"' not in out and re.search(f"^stitch: the {told}.*\n$", error)


def test_names_that_are_taken_keep_their_meaning(install):
    """The built-in one answers, and who asks for it or lists hears of the other; two others of one name are both refused."""
    install("good", GOOD, random="Same", none="Other", twice="Other")
    install("better", GOOD, twice="Other")
    for name, meant in (("random", "random"), ("none", "large-alone")):
        with pytest.warns(UserWarning, match=f"method '{name}' of the package good is hidden by"):
            answered = method_class(name)
        assert answered.name == meant and answered.__module__.startswith("stitchvlm.")
    with pytest.raises(
        ValueError, match="the packages (good and better|better and good) register the same method 'twice'"
    ):
        method_class("twice")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert "twice" not in available_methods()
    named = {re.search(r"'(\w+)'", str(warning.message)).group(1) for warning in heard}
    assert named == {"random", "none", "twice"} and len(heard) == 3


def run(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["stitch", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    return ended.value.code
