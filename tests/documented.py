"""Classes that a page of the documentation shows, as another package would hold them."""

import re
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType


def _shown(document: Path, language: str) -> str:
    """The first block of that language."""
    return re.search(rf"```{language}\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL).group(1)


def documented_class(document: Path, name: str) -> type:
    """The class of that name in the first block of code."""
    names: dict = {"__name__": "documented"}
    exec(compile(_shown(document, "python"), str(document), "exec"), names)
    return names[name]


def documented_entry_point(document: Path, shown: type, monkeypatch) -> EntryPoint:
    """The entry point in the snippet of `pyproject.toml`, in whose module the class lies from now on."""
    ((group, named),) = tomllib.loads(_shown(document, "toml"))["project"]["entry-points"].items()
    ((name, value),) = named.items()
    entry = EntryPoint(name, value, group)
    module = ModuleType(entry.module)
    setattr(module, shown.__name__, shown)
    monkeypatch.setitem(sys.modules, entry.module.partition(".")[0], ModuleType("package"))
    monkeypatch.setitem(sys.modules, entry.module, module)
    return entry
