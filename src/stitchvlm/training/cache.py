"""Rendered pictures on disk, in shards: pixels of their views, dense labels and scenes.

Shards can be read while others are still drawn.
"""

import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .checkpoint import Log, write_atomically
from .grid import TILES, Cut
from .labels import SCENE_LABELS, Labels
from .loop import Deadline
from .worlds import SCENES, Shown, World, described, draw, world_of

SHARD_PICTURES = 250


def render_shard(
    folder: Path,
    name: str,
    first: int,
    seed: int,
    style: Shown,
    fonts: tuple[str, ...],
    cut: Cut = TILES,
    labels: Labels = SCENE_LABELS,
    count: int | None = None,
) -> None:
    """Draw `count` pictures (`SHARD_PICTURES` without any) that depend on `seed`, the set's name and the picture's number."""
    done = _index_of(folder, name, first)
    if done.exists():
        return
    tiles, told, entries = [], [], []
    aside: list[bytes] = []
    for number in range(first, first + (count or SHARD_PICTURES)):
        picture, truth, owner = draw(style, f"{seed}/{name}", number, fonts)
        view = cut.views(truth.width, truth.height)[0]
        tiles.append(cut.pixels(picture))
        told.append(labels.of(truth, owner, cut))
        entry = truth.to_json()
        if world_of(style).aside:
            line = json.dumps(entry).encode() + b"\n"
            entry = {"at": sum(map(len, aside)), "channels": tiles[-1].shape[-1]}
            aside.append(line)
        entries.append(entry | {"tiles": len(tiles[-1]), "grid": [view.rows, view.columns]})
    for part, arrays in (("tiles", tiles), ("labels", told)):
        flat = np.concatenate([array.reshape(-1) for array in arrays])
        write_atomically(done.with_suffix(f".{part}.npy"), partial(_save_array, flat))
    if aside:
        write_atomically(done.with_suffix(".jsonl"), lambda path: path.write_bytes(b"".join(aside)))
    index = {"made": made_as(style, cut, labels), "scenes": entries}
    write_atomically(done, lambda path: path.write_text(json.dumps(index)))


def made_as(style: Shown, cut: Cut, labels: Labels) -> dict[str, Any]:
    """What decides how a set's pictures and labels look, but for fonts and seed, as it is read again from JSON."""
    told = {"style": described(style), "cut": repr(cut), "heads": labels.heads}
    return json.loads(json.dumps(told))


def _check_shard(done: Path, expected: dict[str, Any]) -> None:
    """Raises: ValueError: if the shard was drawn in another way."""
    made = json.loads(done.read_text()).get("made", {})
    if any(made[key] != value for key, value in expected.items() if key in made):
        raise ValueError(f"{done} was drawn by another recipe: delete the set's files, or choose another folder")


def _index_of(folder: Path, name: str, first: int) -> Path:
    """The file that is written last: where it is, the shard is whole."""
    return folder / f"{name}-{first:06d}.json"


def _save_array(array: np.ndarray, path: Path) -> None:
    """Through memory: what numpy says about a full disk does not tell it from other trouble."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    path.write_bytes(buffer.getbuffer())


def render_set(
    folder: Path,
    name: str,
    pictures: int,
    seed: int,
    style: Shown,
    fonts: tuple[str, ...],
    workers: int = 2,
    deadline: Deadline | None = None,
    log: Log | None = None,
    cut: Cut = TILES,
    labels: Labels = SCENE_LABELS,
) -> bool:
    """Draw a set of at least `pictures` pictures, keeping shards already on disk; False when the deadline came first.

    Raises:
        ValueError: if these were drawn in another way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    size = min(SHARD_PICTURES, pictures)
    job = _Job(folder, name, seed, style, fonts, cut, labels, size)
    starts = range(0, pictures, size)
    missing = [first for first in starts if not _index_of(folder, name, first).exists()]
    expected = made_as(style, cut, labels)
    for first in sorted(set(starts) - set(missing)):
        _check_shard(_index_of(folder, name, first), expected)
    with _mapper(min(workers, len(missing))) as each:
        for k in range(0, len(missing), workers):
            if deadline is not None and deadline.passed():
                return False
            for _ in each(job, missing[k : k + workers]):
                pass
            if log is not None:
                left = max(0, len(missing) - k - workers)
                log(drawn=name, pictures=size * (len(starts) - left), of=size * len(starts))
    return True


@dataclass(frozen=True)
class _Job:
    """Draws the shard that begins with a picture, in whichever process."""

    folder: Path
    name: str
    seed: int
    style: Shown
    fonts: tuple[str, ...]
    cut: Cut
    labels: Labels
    count: int

    def __call__(self, first: int) -> None:
        own = self.style, self.fonts, self.cut, self.labels, self.count
        render_shard(self.folder, self.name, first, self.seed, *own)


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
    """Where a picture lies: its shard, its first cell and byte in it, its views, rows and columns of each, channels of a pixel."""

    shard: int
    first: int
    byte: int
    views: int
    rows: int
    columns: int
    channels: int

    @property
    def tokens(self) -> int:
        return self.views * self.rows * self.columns

    @property
    def shape(self) -> tuple[int, int, int]:
        """Views, rows and columns."""
        return self.views, self.rows, self.columns


class PictureSet:
    """Read access to the finished shards of one set."""

    def __init__(
        self, folder: Path, name: str, cut: Cut = TILES, labels: Labels = SCENE_LABELS, world: World = SCENES
    ) -> None:
        self.folder, self.name, self.cut, self.world, self._columns = folder, name, cut, world, len(labels.heads)
        self.where: list[Where] = []
        self._truths: list[Any] = []
        self._tiles: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []
        self._aside: list[Path] = []
        self._read: set[str] = set()
        self.refresh()

    def refresh(self) -> None:
        """Take in the shards that were finished since the last look."""
        for path in sorted(self.folder.glob(f"{self.name}-[0-9]*.json")):
            if path.name in self._read:
                continue
            self._read.add(path.name)
            self._tiles.append(np.load(path.with_suffix(".tiles.npy"), mmap_mode="r"))
            self._labels.append(np.load(path.with_suffix(".labels.npy"), mmap_mode="r").reshape(-1, self._columns))
            self._aside.append(path.with_suffix(".jsonl"))
            self._take_in(json.loads(path.read_text())["scenes"])

    def _take_in(self, entries: list[dict[str, Any]]) -> None:
        """Those of the newest shard."""
        first = byte = 0
        for entry in entries:
            views, (rows, columns) = entry.pop("tiles"), entry.pop("grid")
            channels = entry.pop("channels", 3)
            self._truths.append(entry["at"] if self.world.aside else self.world.read(entry))
            self.where.append(Where(len(self._tiles) - 1, first, byte, views, rows, columns, channels))
            first += self.where[-1].tokens
            byte += self.where[-1].tokens * self.cut.cell**2 * channels

    def __len__(self) -> int:
        return len(self.where)

    def truth(self, index: int) -> Any:
        """What one picture holds: a `Scene` or a `Document`."""
        if not self.world.aside:
            return self._truths[index]
        with self._aside[self.where[index].shard].open("rb") as stream:
            stream.seek(self._truths[index])
            return self.world.read(json.loads(stream.readline()))

    def tiles(self, index: int) -> np.ndarray:
        """`uint8[views, cell * rows, cell * columns, channels]` of one picture, with one channel where it is grey."""
        where, cell = self.where[index], self.cut.cell
        shape = where.views, cell * where.rows, cell * where.columns, where.channels
        return self._tiles[where.shard][where.byte : where.byte + math.prod(shape)].reshape(shape)

    def labels(self, index: int) -> np.ndarray:
        """`int8[views, tokens, columns]` of one picture."""
        where = self.where[index]
        return self._labels[where.shard][where.first : where.first + where.tokens].reshape(
            where.views, -1, self._columns
        )


def in_colour(views: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The same pixels, grey ones with three equal channels where others have colour."""
    if len({view.shape[-1] for view in views}) == 1:
        return list(views)
    return [np.broadcast_to(view, (*view.shape[:-1], 3)) for view in views]
