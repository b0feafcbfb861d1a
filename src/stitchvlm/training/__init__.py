"""Training of the embedded pair: drawn pictures, dense pretraining of the towers, then packed questions.

Needs torch, transformers, numpy and Pillow only, and fonts from a few Debian packages (`fonts.DEBIAN_PACKAGES`).
"""

from pathlib import Path

import torch

from .cache import render_set
from .fonts import find_fonts
from .loop import Deadline
from .pipeline import Pipeline
from .recipe import RECIPES

__all__ = ["RECIPES", "train"]


def train(
    recipe: str = "scenes",
    out: str | Path = "runs/pair",
    minutes: float | None = None,
    seed: int = 7,
    resume: bool = True,
    only: str | None = None,
    fonts: str | Path | None = None,
    threads: int | None = None,
    device: str | None = None,
    workers: int = 2,
) -> bool:
    """Train the pair (or `only` one of "small" and "large") into `out`; True when every stage is finished.

    Pictures are drawn first, into `out/data`. After `minutes` the state is saved and training stops; called again, it
    goes on from there. `resume=False` refuses a folder that already holds training state. Finished models are written
    to `out/pair/small` and `out/pair/large`.
    """
    if recipe not in RECIPES:
        raise ValueError(f"unknown recipe {recipe!r}: choose one of {', '.join(sorted(RECIPES))}")
    names = ("small", "large") if only is None else (only,)
    if unknown := set(names) - {"small", "large"}:
        raise ValueError(f"unknown model {unknown.pop()!r}: choose small or large")
    folder, chosen, deadline = Path(out), RECIPES[recipe], Deadline(minutes)
    if not resume and any(folder.glob("*/*.pt")):
        raise ValueError(f"{folder} already holds training state: pass resume=True or choose another folder")
    if threads is not None:
        torch.set_num_threads(threads)
    typefaces = find_fonts(fonts)
    for name, pictures in chosen.pictures.items():
        render_set(folder / "data", name, pictures.count, pictures.seed, pictures.style, typefaces, workers)
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    finished = True
    for which in names:
        pipeline = Pipeline(which, chosen, folder / "data", folder / which, seed, place)
        finished = pipeline.run(deadline) and finished
        if pipeline.load_latest() is not None:
            pipeline.save(folder / "pair" / which)
    return finished
