"""Rendered pictures on disk, in shards: tiles, dense labels and scenes. Shards can be read while others are still drawn."""

import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path

import numpy as np

from .checkpoint import Log, write_atomically
from .generator import Style, draw_scene
from .grid import cut_tiles
from .labels import dense_labels
from .loop import Deadline
from .pages import draw_page
from .scene import Scene

SHARD_PICTURES = 250


def render_shard(folder: Path, name: str, first: int, seed: int, style: Style, fonts: tuple[str, ...]) -> None:
    """Draw `SHARD_PICTURES` pictures with seeds that depend on `seed`, the set's name and the picture's number."""
    done = _index_of(folder, name, first)
    if done.exists():
        return
    is_page = style.kinds == ("page",)
    draw = partial(draw_page, fonts=fonts) if is_page else partial(draw_scene, fonts=fonts, style=style)
    tiles, labels, scenes = [], [], []
    for number in range(first, first + SHARD_PICTURES):
        picture, scene, owner = draw(f"{seed}/{name}/{number}")
        tiles.append(cut_tiles(picture))
        labels.append(dense_labels(scene, owner))
        scenes.append(scene.to_json() | {"tiles": len(tiles[-1])})
    for part, arrays in (("tiles", tiles), ("labels", labels)):
        write_atomically(done.with_suffix(f".{part}.npy"), partial(_save_array, np.concatenate(arrays)))
    write_atomically(done, lambda path: path.write_text(json.dumps({"style": asdict(style), "scenes": scenes})))


def _index_of(folder: Path, name: str, first: int) -> Path:
    """The file that is written last: where it is, the shard is whole."""
    return folder / f"{name}-{first:06d}.json"


def _save_array(array: np.ndarray, path: Path) -> None:
    """Through memory: what numpy says about a full disk does not tell it from other trouble."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    path.write_bytes(buffer.getbuffer())


def _render_one(first: int, *, folder: Path, name: str, seed: int, style: Style, fonts: tuple[str, ...]) -> None:
    render_shard(folder, name, first, seed, style, fonts)


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
) -> bool:
    """Draw a set of at least `pictures` pictures, keeping shards already on disk; False when the deadline came first."""
    folder.mkdir(parents=True, exist_ok=True)
    job = partial(_render_one, folder=folder, name=name, seed=seed, style=style, fonts=fonts)
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


class PictureSet:
    """Read access to the finished shards of one set."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.scenes: list[Scene] = []
        self.where: list[tuple[int, int, int]] = []
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
            self._tiles.append(np.load(path.with_suffix(".tiles.npy"), mmap_mode="r"))
            self._labels.append(np.load(path.with_suffix(".labels.npy"), mmap_mode="r"))
            offset = 0
            for data in json.loads(path.read_text())["scenes"]:
                tiles = data.pop("tiles")
                self.scenes.append(Scene.from_json(data))
                self.where.append((len(self._tiles) - 1, offset, tiles))
                offset += tiles

    def __len__(self) -> int:
        return len(self.scenes)

    def tiles(self, index: int) -> np.ndarray:
        """`uint8[tiles, TILE, TILE, 3]` of one picture."""
        shard, offset, count = self.where[index]
        return self._tiles[shard][offset : offset + count]

    def labels(self, index: int) -> np.ndarray:
        """`int8[tiles, tokens, heads]` of one picture."""
        shard, offset, count = self.where[index]
        return self._labels[shard][offset : offset + count]
