"""The method that the documentation shows works as it stands there."""

import re
from pathlib import Path

import torch

from stitchvlm.families.tiles import tiled_layout
from stitchvlm.methods import ReductionView

DOCUMENT = Path(__file__).parents[2] / "docs" / "add-a-method.md"


def test_the_documented_method_keeps_the_middle():
    code = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL).group(1)
    names: dict = {"__name__": "documented"}
    exec(compile(code, str(DOCUMENT), "exec"), names)
    layout = tiled_layout(torch.arange(16), [(1, 1)], 4, [(28, 28)], n_tokens=18)
    view = ReductionView([layout], [torch.arange(16)], 0)
    assert names["Centre"]().reduce(view, [4]).kept[0].tolist() == [5, 6, 9, 10]
    assert names["Centre"](x=0.0, y=0.0).reduce(view, [1]).kept[0].tolist() == [0]
