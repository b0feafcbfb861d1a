"""What a run is made of, so that results of different runs are never mixed."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from stitchvlm.adaptive import MassKeep
from stitchvlm.defaults import default_exit, fill_pair, within
from stitchvlm.exits import SmallEarlyExit, parse_exit
from stitchvlm.exits.bound import dtype_name, sampling_in_use, way_in_use
from stitchvlm.families.fingerprint import fingerprint
from stitchvlm.methods import LargeAlone, Method, make_method, method_class
from stitchvlm.methods.alone import SmallAlone
from stitchvlm.methods.options import check_layer_once, read_options
from stitchvlm.sampling import Sampling
from stitchvlm.schedule import Schedule, parse_keep, spell_keep

SMALL_ALONE, LARGE_ALONE = SmallAlone.name, LargeAlone.name


@dataclass(frozen=True)
class RunSettings:
    """Everything that decides what is answered. Where it runs is not among it.

    Attributes:
        small: hub id or folder; None, with ``large``, is the embedded pair.
        method: a method's name; ``none`` is short for ``large-alone``, ``small`` for ``small-alone``.
        exit: None is the embedded pair's own with the settings that it was fitted for, else ``never``.
        both: also ask the model that was spared.
        reuse_drafts: let the large model verify the draft where the row has one.
        options: of the method, by the names of its fields.
        quantize: ``int8`` or ``int4`` where the large model's weights are quantized.
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
    reuse_drafts: bool = True
    options: dict[str, Any] = field(default_factory=dict)
    quantize: str | None = None

    @property
    def label(self) -> str:
        """What a table calls it."""
        if self.way_label in (SMALL_ALONE, LARGE_ALONE):
            return self.way_label
        layer = "" if self.layer is None else f" from layer {self.layer}"
        anew = "" if self.reuse_drafts else ", decoded anew"
        keep = parse_keep(self.keep)
        share = str(keep) if isinstance(keep, MassKeep) else f"{keep * 100:g}%"
        return f"{self.way_label} {share}{layer}{self.exit_label}{anew}"

    @property
    def way_label(self) -> str:
        """What a table calls the method with its options."""
        options = ", ".join(f"{name} {value}" for name, value in self.options.items())
        return f"{method_class(self.method).name}{f' ({options})' if options else ''}"

    @property
    def exit_label(self) -> str:
        """What is added to a label where answers may exit; a fitted threshold has more digits than anyone reads."""
        if self.exit in (None, "never"):
            return ""
        score, colon, threshold = str(self.exit).rpartition(":")
        try:
            return f" + exit {score}{colon}{float(threshold):.3g}"
        except ValueError:
            return f" + exit {self.exit}"

    def resolve(self) -> "RunSettings":
        """The same settings with every default spelled out, a fitted exit by its score and threshold, and one name for each type.

        Raises:
            ValueError: if a share or a threshold is out of its range, a model is missing, or an exit was fitted for other models
                or another way of answering.
        """
        embedded, method = self.small is None and self.large is None, method_class(self.method).name
        policy = default_exit(embedded) if self.exit is None else parse_exit(self.exit)
        small, large = fill_pair(self.small, self.large, self.way(), policy, "--no-both" if self.both else "")
        keep, dtype = spell_keep(self.keep), dtype_name(self.dtype)
        resolved = replace(self, small=small, large=large, keep=keep, method=method, dtype=dtype)
        return replace(resolved, exit=_spelled(within(policy, resolved._in_use)))

    def identity(self, task: str) -> dict[str, Any]:
        """What must agree for two runs to go into one file; models by their marks (`fingerprint`), not by where they lie."""
        resolved = self.resolve()
        return {"task": task} | asdict(resolved) | resolved._models()

    def policy(self) -> SmallEarlyExit:
        """The exit policy of resolved settings."""
        assert self.exit is not None, "resolve() spells it out"
        return parse_exit(self.exit)

    def way(self) -> Method:
        """The method with its options.

        Raises:
            ValueError: if there is no such method or option, or a value is out of its range.
        """
        return make_method(self.method, **self.options)

    def schedule(self) -> Callable[[int], Schedule]:
        """For a large model of that many layers, when tokens leave and how many stay.

        Raises:
            ValueError: if the method does not work at one layer, and one is given, or it is given twice.
        """
        check_layer_once(self.options, self.layer)
        return self.way().scheduler(parse_keep(self.keep), self.layer)

    def _in_use(self) -> dict[str, Any]:
        """What a fitted exit must have been fitted for; of resolved settings."""
        way = (str(self.small), str(self.large), self.way(), spell_keep(self.keep), self.layer, self.max_tiles)
        return way_in_use(*way, self.dtype, quantize=self.quantize) | sampling_in_use(Sampling(self.max_new_tokens))

    def _models(self) -> dict[str, str]:
        return {"small": fingerprint(str(self.small)), "large": fingerprint(str(self.large))}


def _spelled(policy: SmallEarlyExit) -> float | str:
    """A policy as :func:`~stitchvlm.exits.parse_exit` reads it, without the place of a file.

    Raises:
        ValueError: if score and threshold do not say all of it.
    """
    usual = SmallEarlyExit.consistency_keep
    if policy.consistency_keep != usual:
        raise ValueError(
            f"{policy.origin} looks at {policy.consistency_keep:g} of the visual tokens for consistency, and runs are measured "
            f"with {usual:g}: calibrate it anew"
        )
    return policy.spelling


def parse_method(text: str) -> tuple[str, dict[str, Any]]:
    """A method and its options, written as ``fastv``, ``fastv:layer=1`` or ``guided:picture_floor=0.5:…``.

    Raises:
        ValueError: if there is no such method or option, or a value is not of the option's kind.
    """
    name, *options = text.strip().split(":")
    method = method_class(name)
    return method.name, read_options(method, options)


def by_label(rows: Iterable[RunSettings]) -> dict[str, RunSettings]:
    """The rows of a table by what it calls them; one that is asked for twice is there once.

    Raises:
        ValueError: if two that differ would go by the same label.
    """
    named: dict[str, RunSettings] = {}
    for row in rows:
        resolved = row.resolve()
        other = named.setdefault(resolved.label, row).resolve()
        for name, value in asdict(resolved).items():
            if value != getattr(other, name):
                raise ValueError(
                    f"{name} {getattr(other, name)} and {name} {value} would both be called {resolved.label!r}: "
                    "ask for one of them, or for values that differ in their first digits"
                )
    return named
