"""What a run is made of, so that results of different runs are never mixed."""

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stitchvlm.evaluation.runner import Runner
from stitchvlm.exits import parse_exit
from stitchvlm.families.checkpoint import checkpoint_folder
from stitchvlm.models import pair_path
from stitchvlm.sampling import Sampling
from stitchvlm.schedule import parse_keep
from stitchvlm.stitch import Stitch, default_exit


@dataclass(frozen=True)
class RunSettings:
    """Everything that decides what is answered. Where it runs is not among it.

    Attributes:
        small: hub id or folder; None, with ``large``, is the embedded pair.
        method: a method's name; ``none`` is the large model alone, ``small`` the small one alone.
        exit: None is the embedded pair's own threshold where a guide works, else ``never``.
        both: also ask the model that was spared.
    """

    small: str | None = None
    large: str | None = None
    keep: float | str = 0.09
    layer: int | None = None
    method: str = "guided"
    exit: float | str | None = None
    dtype: str = "auto"
    max_tiles: int | None = None
    max_new_tokens: int = 64
    seed: int = 0
    both: bool = True

    def resolve(self) -> "RunSettings":
        """The same settings with every default spelled out.

        Raises:
            ValueError: if a share or a threshold is out of its range, or a model is missing.
        """
        small, large, exit = self.small, self.large, self.exit
        if small is None and large is None:
            small, large = str(pair_path("small")), str(pair_path("large"))
        elif self.method == "small" and large is None:
            large = small  # fills the place, and is never loaded
        if small is None or large is None:
            raise ValueError("give both --small and --large, or neither for the embedded pair")
        if exit is None:
            exit = default_exit(self.method, embedded=self.small is None)
        threshold = parse_exit(exit).threshold
        return replace(self, small=small, large=large, keep=parse_keep(self.keep), exit=threshold)

    def identity(self, task: str) -> dict[str, Any]:
        """What must agree for two runs to go into one file; models by their weights, not by where they lie."""
        resolved = self.resolve()
        models = {"small": fingerprint(str(resolved.small)), "large": fingerprint(str(resolved.large))}
        return {"task": task} | asdict(resolved) | models

    def load(self, device: str | None, small_device: str | None = None, device_map: str | None = None) -> Runner:
        """Load what the method needs."""
        resolved = self.resolve()
        vlm = Stitch.from_pretrained(
            resolved.small,
            resolved.large,
            keep=resolved.keep,
            layer=resolved.layer,
            method=None if resolved.method in ("none", "small") else resolved.method,
            exit=resolved.exit,
            device=device,
            small_device=small_device,
            device_map=device_map,
            dtype=resolved.dtype,
            lazy_large=resolved.method == "small",
            max_tiles=resolved.max_tiles,
            sampling=Sampling(resolved.max_new_tokens, seed=resolved.seed),
            score_drafts=resolved.both,
            trace=True,
        )
        return Runner(vlm, small_alone=resolved.method == "small", both=resolved.both)


def fingerprint(source: str) -> str:
    """The name of a checkpoint and a short mark of its weights, made from the last 64 KiB of every weight file."""
    digest = hashlib.sha256()
    for path in sorted(Path(checkpoint_folder(source)).glob("*.safetensors")):
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 65536))
            digest.update(f"{path.name} {size} ".encode() + file.read())
    return f"{Path(source).name} {digest.hexdigest()[:12]}"
