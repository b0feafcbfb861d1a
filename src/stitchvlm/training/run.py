"""One call that draws the pictures and trains a recipe's models, or goes on with them."""

import os
import shutil
from pathlib import Path

import torch

from .cache import render_set
from .checkpoint import Log
from .fonts import find_fonts
from .loop import Deadline
from .pipeline import Pipeline
from .recipe import Recipe, adapt, with_receipts
from .recipes import RECIPES


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ValueError: if there is none.
    """
    if name not in RECIPES:
        raise ValueError(f"there is no recipe {name!r}: choose one of {', '.join(sorted(RECIPES))}")
    return RECIPES[name]


def draw(recipe: Recipe, folder: Path, deadline: Deadline, fonts: str | Path | None = None, workers: int = 2) -> bool:
    """Draw the recipe's pictures into `folder/data`, or those still missing; False when the deadline came first.

    Those of real receipts are drawn when a stage first shows them.
    """
    log = Log(folder / "log.jsonl")
    typefaces = find_fonts(fonts)
    if len(typefaces) == 1:
        log(warning=f"no fonts under {fonts or 'the folders of the system'}: all text is drawn in Pillow's own")
    return all(
        render_set(
            folder / "data", name, p.count, p.seed, p.style, typefaces, workers, deadline, log, p.cut, recipe.labels
        )
        for name, p in recipe.pictures.items()
        if not p.late
    )


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
    init_from: str | Path | None = None,
    begin: str | None = None,
    scale: int = 1,
    pace: float = 1.0,
    pictures: float = 1.0,
    receipts: str | Path | None = None,
    compiled: bool = False,
) -> bool:
    """Train the recipe's models (or `only` one of them, such as "small") into `out`; True when every stage is finished.

    Pictures are drawn first, into `out/data`. After `minutes` the state is saved and work stops; called again, it goes
    on from there. `resume=False` refuses a folder that already holds training state. Models as far as they have come
    are written to `out/pair`, each into a folder of its name.

    The large model grows out of the finished small one, which also says what it is shown in some of the batches from which most
    visual tokens are missing; it is kept beside the large one's state for that, so that a resumed run has the same guide.
    Where a model has no training state yet, `init_from` gives it the weights of a saved pair (or of a single model), and the
    stage `begin`, or else the last one, is the first; behind a stage that only the small model has, and out of a folder with a
    small model alone, the large one grows anew. `scale`, `pace` and `pictures` multiply batches, budgets and what is drawn.

    A recipe that reads documents learns from real ones as well where `receipts` names a folder with some (`documents.real`);
    of these the split `train` alone is read. `compiled` makes all stages faster where there is a compiler.
    """
    folder, deadline = Path(out), Deadline(minutes)
    chosen = with_receipts(adapt(find_recipe(recipe), scale, pace, pictures), receipts)
    names = tuple(chosen.stages) if only is None else (only,)
    _check(folder, names, tuple(chosen.stages), resume, init_from, begin)
    if compiled and not any(map(shutil.which, (os.environ.get("CXX", "g++"), "g++", "clang++", "cl"))):
        raise ValueError("compiling needs a C++ compiler and none is found: install one, or train without --compiled")
    if threads is not None:
        torch.set_num_threads(threads)
    if len(chosen.pictures) < len(find_recipe(recipe).pictures):
        Log(folder / "log.jsonl")(warning="no folder of real receipts: all documents are drawn ones")
    if not draw(chosen, folder, deadline, fonts, workers):
        return False
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def pipeline_of(which: str) -> Pipeline:
        return Pipeline(which, chosen, folder / "data", folder / which, seed, place, compiled, workers)

    for which in names:
        pipeline, first = pipeline_of(which), None
        stages = {None, *(stage.name for stage in chosen.stages[which])}
        saved = Path(init_from) if init_from is not None and (which == names[0] or begin in stages) else None
        if saved is not None and not pipeline.has_state() and not (which == "large" and _holds_only_small(saved)):
            first = pipeline.begin_with(_one_of(saved, which), begin)
        elif which == "large" and pipeline.grows():
            smaller = pipeline_of("small")
            pipeline.grow_from(smaller, saved / "small" if saved is not None and not smaller.has_state() else None)
        if which == "large" and pipeline.lacks_guide():
            own = folder / "pair" if pipeline_of("small").finished() else None
            pairs = [Path(pair) for pair in (own, init_from) if pair is not None]
            if guide := next((pair / "small" for pair in pairs if _holds_small(pair)), None):
                pipeline.keep_guide(guide)
        finished = pipeline.run(deadline, first)
        if pipeline.load_latest() is not None:
            pipeline.save(folder / "pair" / which)
        if not finished:
            return False
    return True


def _check(
    folder: Path,
    names: tuple[str, ...],
    known: tuple[str, ...],
    resume: bool,
    init_from: str | Path | None,
    begin: str | None,
) -> None:
    """Refuse what cannot be done before any picture is drawn."""
    if unknown := set(names) - set(known):
        raise ValueError(f"there is no model {unknown.pop()!r}: choose {' or '.join(known)}")
    if begin is not None and init_from is None:
        raise ValueError(f"the stage {begin!r} needs weights to begin with: name a saved pair as well")
    if init_from is not None and not Path(init_from).is_dir():
        raise ValueError(f"{init_from} is no folder: name one with a saved pair to begin with")
    if not resume and any(folder.glob("*/*.pt")):
        raise ValueError(f"{folder} already holds training state: resume it, or choose another folder")


def _holds_small(pair: Path) -> bool:
    return (pair / "small").is_dir()


def _holds_only_small(pair: Path) -> bool:
    """Whether the large model is still to grow out of the small one that is there."""
    return _holds_small(pair) and not (pair / "large").is_dir()


def _one_of(pair: Path, which: str) -> Path:
    """The folder of one model of a pair; the folder itself where it is no pair."""
    return pair / which if (pair / which).is_dir() else pair
