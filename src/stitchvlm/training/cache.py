"""Rendered pictures on disk, in shards: pixels of their views, dense labels and scenes.

Shards can be read while others are still drawn.
"""

import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .checkpoint import Log, write_atomically
from .generator import Style, draw_scene
from .grid import CELL, CELLS, TILES, Cut
from .labels import HEADS, dense_labels
from .loop import Deadline
from .pages import draw_page
from .scene import Scene

SHARD_PICTURES = 250


def render_shard(
    folder: Path, name: str, first: int, seed: int, style: Style, fonts: tuple[str, ...], cut: Cut = TILES
) -> None:
    """Draw `SHARD_PICTURES` pictures with seeds that depend on `seed`, the set's name and the picture's number."""
    done = _index_of(folder, name, first)
    if done.exists():
        return
    is_page = style.kinds == ("page",)
    draw = (
        partial(draw_page, fonts=fonts, small=style.small) if is_page else partial(draw_scene, fonts=fonts, style=style)
    )
    tiles, labels, scenes = [], [], []
    for number in range(first, first + SHARD_PICTURES):
        picture, scene, owner = draw(f"{seed}/{name}/{number}")
        view = cut.views(scene.width, scene.height)[0]
        tiles.append(cut.pixels(picture))
        labels.append(dense_labels(scene, owner, cut))
        scenes.append(scene.to_json() | {"tiles": len(tiles[-1]), "grid": [view.rows, view.columns]})
    for part, arrays in (("tiles", tiles), ("labels", labels)):
        flat = np.concatenate([array.reshape(-1) for array in arrays])
        write_atomically(done.with_suffix(f".{part}.npy"), partial(_save_array, flat))
    write_atomically(done, lambda path: path.write_text(json.dumps({"style": asdict(style), "scenes": scenes})))


def _index_of(folder: Path, name: str, first: int) -> Path:
    """The file that is written last: where it is, the shard is whole."""
    return folder / f"{name}-{first:06d}.json"


def _save_array(array: np.ndarray, path: Path) -> None:
    """Through memory: what numpy says about a full disk does not tell it from other trouble."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    path.write_bytes(buffer.getbuffer())


def _render_one(
    first: int, *, folder: Path, name: str, seed: int, style: Style, fonts: tuple[str, ...], cut: Cut
) -> None:
    render_shard(folder, name, first, seed, style, fonts, cut)


def render_set(
    folder: Path,
    name: str,
    pictures: int,
    seed: int,
    style: Style,
    fonts: tuple[str, ...],
    workers: int = 2,
    deadline: Deadline | None = None,
    log: Log | None = None,
    cut: Cut = TILES,
) -> bool:
    """Draw a set of at least `pictures` pictures, keeping shards already on disk; False when the deadline came first."""
    folder.mkdir(parents=True, exist_ok=True)
    job = partial(_render_one, folder=folder, name=name, seed=seed, style=style, fonts=fonts, cut=cut)
    starts = range(0, pictures, SHARD_PICTURES)
    missing = [first for first in starts if not _index_of(folder, name, first).exists()]
    with _mapper(min(workers, len(missing))) as each:
        for k in range(0, len(missing), workers):
            if deadline is not None and deadline.passed():
                return False
            for _ in each(job, missing[k : k + workers]):
                pass
            if log is not None:
                left = max(0, len(missing) - k - workers)
                log(drawn=name, pictures=SHARD_PICTURES * (len(starts) - left), of=SHARD_PICTURES * len(starts))
    return True


@contextmanager
def _mapper(workers: int) -> Iterator[Callable[..., Iterable[None]]]:
    """`map` over that many processes, or in this one. Where a fork server exists, all of them share one import."""
    if workers < 2:
        yield map
        return
    context = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
    context.set_forkserver_preload([__name__])
    with context.Pool(workers) as pool:
        yield pool.map


class Where(NamedTuple):
    """Where a picture lies: its shard, the number of its first cell in it, its views, and the rows and columns of each."""

    shard: int
    first: int
    views: int
    rows: int
    columns: int

    @property
    def tokens(self) -> int:
        return self.views * self.rows * self.columns


class PictureSet:
    """Read access to the finished shards of one set."""

    def __init__(self, folder: Path, name: str, cut: Cut = TILES) -> None:
        self.folder, self.name, self.cut = folder, name, cut
        self.scenes: list[Scene] = []
        self.where: list[Where] = []
        self._tiles: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []
        self._read: set[str] = set()
        self.refresh()

    def refresh(self) -> None:
        """Take in the shards that were finished since the last look."""
        for path in sorted(self.folder.glob(f"{self.name}-[0-9]*.json")):
            if path.name in self._read:
                continue
            self._read.add(path.name)
            self._tiles.append(np.load(path.with_suffix(".tiles.npy"), mmap_mode="r").reshape(-1, CELL, CELL, 3))
            self._labels.append(np.load(path.with_suffix(".labels.npy"), mmap_mode="r").reshape(-1, len(HEADS)))
            first = 0
            for data in json.loads(path.read_text())["scenes"]:
                views, grid = data.pop("tiles"), data.pop("grid", (CELLS, CELLS))
                self.scenes.append(Scene.from_json(data))
                self.where.append(Where(len(self._tiles) - 1, first, views, *grid))
                first += self.where[-1].tokens

    def __len__(self) -> int:
        return len(self.scenes)

    def tiles(self, index: int) -> np.ndarray:
        """`uint8[views, CELL * rows, CELL * columns, 3]` of one picture."""
        shard, first, views, rows, columns = self.where[index]
        cells = self._tiles[shard][first : first + self.where[index].tokens]
        return cells.reshape(views, CELL * rows, CELL * columns, 3)

    def labels(self, index: int) -> np.ndarray:
        """`int8[views, tokens, heads]` of one picture."""
        shard, first, views, _, _ = self.where[index]
        return self._labels[shard][first : first + self.where[index].tokens].reshape(views, -1, len(HEADS))
