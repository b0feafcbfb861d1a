"""At which layer visual tokens leave, and how many stay. All rounding of settings into counts happens here."""

import math
from dataclasses import dataclass
from itertools import pairwise

from stitchvlm.adaptive import MassKeep
from stitchvlm.errors import UnreachableError
from stitchvlm.plural import counted

_EARLY = 0.05


@dataclass(frozen=True)
class PruneStep:
    """One reduction: before layer ``at``, the share ``keep`` of the prompt's visual tokens stays.

    ``at`` is a layer number (int) or a share of the depth (float); both count from the first decoder layer, 0.
    """

    at: int | float
    keep: float

    def __post_init__(self):
        if not 0 <= self.keep <= 1:
            raise ValueError(f"keep must be a share between 0 and 1 of the visual tokens, not {self.keep}")
        if isinstance(self.at, float) and not 0 <= self.at < 1:
            raise ValueError(f"a layer given as a share of the depth must lie in [0, 1), not {self.at}")
        if self.at < 0:
            raise ValueError(f"layer must be 0 or more, not {self.at}")

    def layer(self, n_layers: int) -> int:
        """The decoder layer before which this step reduces, ``int(n_layers * at)`` for a share, as in the official release."""
        layer = int(n_layers * self.at) if isinstance(self.at, float) else self.at
        if layer >= n_layers:
            raise ValueError(f"layer {layer} is beyond the model, which has layers 0 to {n_layers - 1}")
        return layer


@dataclass(frozen=True)
class Shrink:
    """Pictures are made smaller before any layer, to the share ``share`` of their visual tokens.

    Vision encoders work on whole grids, so that few shares can be met.

    Attributes:
        larger: take the grid that is not below the share, not the one that is not above it.
    """

    share: float
    larger: bool = False


@dataclass(frozen=True)
class Schedule:
    """The reductions of one run in the order of their layers; no steps means that every visual token stays throughout.

    Attributes:
        picture: how the picture itself is shrunk before any layer; None leaves it as it is.
        mass: how many tokens stay at the only step, where the guide map says that; the step's own share is the most.
    """

    steps: tuple[PruneStep, ...] = ()
    picture: Shrink | None = None
    mass: MassKeep | None = None

    @classmethod
    def single(cls, keep: float, layer: int | float) -> "Schedule":
        """Keep the share ``keep`` from ``layer`` on: the paper's (r, K)."""
        check_keep(keep)
        return cls((PruneStep(layer, keep),))

    @classmethod
    def for_average(cls, keep: float, n_layers: int) -> "Schedule":
        """The schedule whose retention, averaged over the layers, is ``keep``: how the paper names its settings.

        The paper prunes at a share f of the depth and keeps the same share f from there on, which averages to
        f + (1 - f) f. Here K is the layer of that f and r then meets the asked average exactly, so that 9 % is 9 % on a
        shallow model too.

        Differs from the paper: there f and r are fixed (0.05, 0.2, 0.4) and the average follows from the depth.

        Raises:
            ValueError: if ``keep`` is not in (0, 1].
        """
        check_keep(keep)
        if keep == 1:
            return cls()
        layer = int(n_layers * (1 - math.sqrt(1 - keep)))
        return cls.single(min(1.0, (keep * n_layers - layer) / (n_layers - layer)), layer)

    @classmethod
    def by_mass(cls, keep: MassKeep, layer: int | None = None) -> "Schedule":
        """What the guide map says from ``layer`` on; None takes the depth at which the paper's 9 % begins."""
        return cls((PruneStep(_EARLY if layer is None else layer, keep.ceiling),), mass=keep)

    @classmethod
    def shrunk(cls, keep: float, larger: bool = False) -> "Schedule":
        """No reduction at any layer: the picture itself is shrunk to the share ``keep`` of its visual tokens."""
        check_keep(keep)
        return cls(picture=Shrink(keep, larger) if keep < 1 else None)

    @classmethod
    def from_layer(cls, keep: float, n_layers: int, layer: int, method: str) -> "Schedule":
        """Everything up to ``layer``, and from there on the share that makes ``keep`` on average over all layers.

        Raises:
            UnreachableError: if the layers before ``layer`` alone are more than that.
            ValueError: if ``keep`` is not in (0, 1], or there is no such layer.
        """
        check_keep(keep)
        PruneStep(layer, keep).layer(n_layers)
        share = (keep * n_layers - layer) / (n_layers - layer)
        if share < 0:
            raise UnreachableError(
                f"{method} keeps everything up to layer {layer}, which is {layer / n_layers:.1%} of {counted(n_layers, 'layer')}: "
                f"it cannot come down to {keep:.1%} on average; ask for more, or give it a lower layer"
            )
        return cls((PruneStep(layer, share),))

    @classmethod
    def pyramid(cls, keep: float, n_layers: int, stages: int, ratio: float) -> "Schedule":
        """Stages in which the shares 1, ``ratio``, ``ratio``², … stay, together ``keep`` on average over all layers.

        Stages are of equal depth where that meets the average; below it the first one is shortened, above it lengthened.
        What whole layers cannot meet is met by multiplying all shares but the first.

        Raises:
            UnreachableError: if one full layer alone is more than ``keep``.
            ValueError: if there are fewer layers than stages.
        """
        check_keep(keep)
        if n_layers < stages:
            raise ValueError(f"a pyramid of {stages} stages needs as many layers, and the model has {n_layers}")
        if keep == 1:
            return cls()
        shares = [ratio**k for k in range(1, stages)]
        mean = sum(shares) / len(shares)
        first = min(n_layers - len(shares), max(1, int(n_layers * max(0.0, keep - mean) / (1 - mean))))
        starts = [first + (n_layers - first) * k // len(shares) for k in range(len(shares))]
        while True:
            ends = [*starts[1:], n_layers]
            weight = sum((end - start) * share for start, end, share in zip(starts, ends, shares, strict=True))
            factor = (keep * n_layers - starts[0]) / weight
            if factor * shares[0] <= 1:
                break
            starts, shares = starts[1:], shares[1:]  # a stage that would keep more than everything joins the first
        if factor < 0:
            raise UnreachableError(
                f"a pyramid on {counted(n_layers, 'layer')} cannot come down to {keep:.1%} on average: ask for more"
            )
        return cls(tuple(PruneStep(start, factor * share) for start, share in zip(starts, shares, strict=True)))

    def resolve(self, n_layers: int, n_visual: int) -> tuple[tuple[int, int], ...]:
        """``(layer, n_keep)`` of every step on a model of ``n_layers`` and a prompt of ``n_visual`` visual tokens.

        ``n_keep = int(n_visual * keep)`` as in the official release; it may be 0.

        Raises:
            ValueError: if a layer lies beyond the model, or steps come out of order or keep more than the one before.
        """
        resolved = tuple((step.layer(n_layers), int(n_visual * step.keep)) for step in self.steps)
        for (layer, n_keep), (next_layer, next_keep) in pairwise(resolved):
            if next_layer <= layer or next_keep > n_keep:
                raise ValueError(f"steps must go deeper and keep ever fewer tokens, not {resolved}")
        return resolved

    def average_retention(self, n_layers: int, n_visual: int) -> float:
        """Share of (layer, visual token) pairs that are computed, after rounding: ``(K + (L - K) n_keep / n_visual) / L``."""
        if n_visual == 0:
            return 1.0
        kept, layer, n_now = 0, 0, n_visual
        for next_layer, n_keep in self.resolve(n_layers, n_visual):
            kept += (next_layer - layer) * n_now
            layer, n_now = next_layer, n_keep
        return (kept + (n_layers - layer) * n_now) / (n_layers * n_visual)


def check_keep(keep: float) -> None:
    """Raise a ValueError unless ``keep`` is a share in (0, 1]."""
    if not 0 < keep <= 1:
        raise ValueError(f"keep must be a share in (0, 1], such as 0.09 or 9%, not {keep}")


def parse_keep(text: str | float | MassKeep) -> float | MassKeep:
    """Read a share written as ``0.09`` or ``9%``, or an adaptive one as :meth:`~stitchvlm.adaptive.MassKeep.parse` does.

    Raises:
        ValueError: if it is neither, or not in its range.
    """
    if isinstance(text, MassKeep):
        return text
    number = str(text).strip()
    if "=" in number:
        return MassKeep.parse(number)
    try:
        keep = float(number[:-1]) / 100 if number.endswith("%") else float(number)
    except ValueError:
        raise ValueError(f"keep must be a share such as 0.09 or 9%, or mass=0.95, not {text!r}") from None
    check_keep(keep)
    return keep


def spell_keep(keep: str | float | MassKeep) -> float | str:
    """A share as a number, an adaptive one as a text, so that both are the same however they were written."""
    parsed = parse_keep(keep)
    return str(parsed) if isinstance(parsed, MassKeep) else parsed
