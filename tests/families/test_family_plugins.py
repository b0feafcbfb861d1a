"""Families of other packages: good ones work, and one that is broken troubles nobody whose checkpoint is of a built-in one."""

import json
import re
import sys
import warnings
from pathlib import Path

import pytest

from stitchvlm.cli import main
from stitchvlm.families import available_families, check_checkpoint

GOOD = '''
from stitchvlm.families import Family, InternVL, QwenVL

class Other(InternVL):
    """The same under another name."""
    name = "Other"

    def matches(self, config):
        return config.get("model_type") == "other"

class Greedy(QwenVL):
    """Wants every checkpoint."""
    name = "Greedy"

    def matches(self, config):
        return True

class Half(Family):
    """Can only be told."""
    name = "Half"

    def matches(self, config):
        return False

class Wants(Other):
    """Cannot be made."""

    def __init__(self, something):
        self.something = something
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a package onto the path as an installer would: its module, and the entry point that it registers."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(package: str, source: str, value: str) -> None:
        (tmp_path / f"{package}_code.py").write_text(source, encoding="utf-8")
        told = tmp_path / f"{package}-1.0.dist-info"
        told.mkdir()
        (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
        entry = f"[stitchvlm.families]\nmine = {package}_code:{value}\n"
        (told / "entry_points.txt").write_text(entry, encoding="utf-8")
        monkeypatch.delitem(sys.modules, f"{package}_code", raising=False)

    return put


def checkpoint(folder: Path, kind: str) -> str:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": kind}), encoding="utf-8")
    return str(folder)


def test_a_good_one_is_a_family_like_any_other(install, tmp_path):
    other = checkpoint(tmp_path / "checkpoint", "other")
    with pytest.raises(ValueError, match="is a other checkpoint, not a .* supported family"):
        check_checkpoint(other)
    install("good", GOOD, "Other")
    assert available_families()[-1].name == "Other" and check_checkpoint(other) == {"model_type": "other"}


@pytest.mark.parametrize(
    ("source", "value", "said"),
    [
        ("import not_there", "Broken", r"cannot be loaded \(ModuleNotFoundError: No module named 'not_there'\)"),
        ("1 / 0", "Broken", r"cannot be loaded \(ZeroDivisionError: division by zero\)"),
        ("", "Broken", r"cannot be loaded \(AttributeError: .*'Broken'\)"),
        ("Broken = 3", "Broken", "is no family: .* subclass of stitchvlm.families.Family"),
        (GOOD, "Half", "is no whole family: it lacks embed, encode, load, prepare"),
        (GOOD, "Wants", r"cannot be made without arguments \(TypeError: .*something"),
    ],
)
def test_a_broken_one_is_named_when_it_is_looked_for_or_listed(install, tmp_path, capsys, source, value, said):
    install("badly", source, value)
    ours, other = checkpoint(tmp_path / "ours", "internvl"), checkpoint(tmp_path / "checkpoint", "other")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_checkpoint(ours) == {"model_type": "internvl"}, "nobody else hears of it"
    told = f"family 'mine' of the package badly {said}"
    with pytest.warns(UserWarning, match=told), pytest.raises(ValueError, match="is a other checkpoint"):
        check_checkpoint(other)
    assert run("models", "--json") == 0
    out, error = capsys.readouterr()
    assert '"InternVL"' in out and re.search(f"^stitch: the {told}.*\n$", error)


def test_built_in_families_keep_their_checkpoints(install, tmp_path):
    from stitchvlm.families import _family_of

    install("good", GOOD, "Greedy")
    assert _family_of("one", {"model_type": "internvl"}).name == "InternVL"
    assert _family_of("one", {"model_type": "other"}).name == "Greedy"


def run(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["stitch", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    return ended.value.code
