"""A fitted exit: a small JSON file with the threshold, what it promises, and what it was fitted for."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from stitchvlm.errors import DataError
from stitchvlm.exits.bound import difference
from stitchvlm.exits.scores import PARTS, ScoreName
from stitchvlm.exits.see import SmallEarlyExit
from stitchvlm.files import replace_file

SCHEMA = 1
"""The form of the file; raised when an older reader would misread it."""


@dataclass(frozen=True)
class Calibration:
    """What ``stitch calibrate`` found.

    Attributes:
        threshold: exit when the score is at least this.
        score: which score.
        consistency_keep: share of visual tokens that the consistency pass sees.
        target: what was asked for, as on the command line.
        promise: what holds for new questions, in a sentence.
        theorem: why; empty where nothing is promised.
        n: questions it was fitted on, one of each picture or group.
        labels: ``"gold"``, or ``"agreement"`` where the large model's own answers stood in for the right ones.
        seed: of the draw of one question a group, of the split, and of the rounding of partial credits.
        settings: those of the recorded run; models by their name and a mark of their weights.
        risk: probability that the promise is wrong; None where the target needs none.
        report: what the questions set aside say, which the fit never saw.
    """

    threshold: float
    score: ScoreName
    consistency_keep: float
    target: str
    promise: str
    theorem: str
    n: int
    labels: str
    seed: int
    settings: dict[str, Any]
    risk: float | None = None
    report: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            OSError: if it cannot be written.
        """
        with replace_file(path) as temporary:
            temporary.write_text(json.dumps({"schema": SCHEMA} | asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Calibration":
        """Read a file of ``stitch calibrate``.

        Raises:
            ValueError: if there is none, or it is of another schema.
            DataError: if it is broken.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ValueError(f"there is no file {path}: make it with stitch calibrate") from None
        except IsADirectoryError:
            raise ValueError(f"{path} is a folder: give the file that stitch calibrate wrote") from None
        except ValueError as error:
            raise DataError(f"{path} is not valid JSON ({error}): make it anew with stitch calibrate") from None
        schema = content.get("schema") if isinstance(content, dict) else None
        if schema != SCHEMA:
            raise ValueError(
                f"{path} has schema {schema!r}, and schema {SCHEMA} is what this version reads: make it with stitch calibrate"
            )
        del content["schema"]
        _check(content, path)
        return cls(**content)


@dataclass(frozen=True)
class CalibratedExit(SmallEarlyExit):
    """SEE at a fitted threshold, for the models and settings that it was fitted for.

    Attributes:
        settings: those of the recorded run.
        promise: what holds for new questions, in a sentence.
        optional: with other settings it is not used, where one that somebody asked for is refused.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    promise: str = ""
    optional: bool = False

    @classmethod
    def load(cls, path: Path) -> "CalibratedExit":
        """The exit of a file of ``stitch calibrate``; raises as :meth:`Calibration.read` does."""
        fitted = Calibration.read(path)
        return cls(
            fitted.threshold,
            fitted.consistency_keep,
            fitted.score,
            str(path),
            settings=fitted.settings,
            promise=fitted.promise,
        )

    def within(self, settings: Mapping[str, Any]) -> SmallEarlyExit:
        """Itself, where the settings in use are those that it was fitted for.

        Args:
            settings: as :func:`~stitchvlm.exits.bound.difference` compares them.

        Returns:
            an exit that never happens and says why, where others are in use and this one is optional.

        Raises:
            ValueError: if others are in use and it is not.
        """
        other = difference(self.settings, settings)
        if other is None:
            return self
        if self.optional:
            return SmallEarlyExit("never", origin=f"{self.origin} was fitted for {other}")
        raise ValueError(
            f"{self.origin} was fitted for {other}: ask as it was fitted, calibrate again on answers recorded with these "
            "settings, or give a plain threshold"
        )


def _check(content: dict[str, Any], path: Path) -> None:
    """Every field there, none too many, each of its kind and in its range."""
    kinds: dict[str, Any] = {"threshold": float | int, "consistency_keep": float | int, "n": int, "seed": int}
    kinds |= {"settings": dict, "report": dict, "risk": float | int | None}
    names = [each.name for each in fields(Calibration)]
    wrong = [name for name in names if name not in content or not isinstance(content[name], kinds.get(name, str))]
    wrong += [name for name in content if name not in names]
    if wrong:
        raise DataError(f"{path} is broken at {wrong[0]!r}: make it anew with stitch calibrate")
    if content["score"] not in PARTS:
        raise ValueError(
            f"{path} was fitted for the score {content['score']!r}, and this version has {', '.join(get_args(ScoreName))}: "
            "make it anew with stitch calibrate"
        )
    if not 0 <= content["threshold"] <= 1 or not 0 <= content["consistency_keep"] <= 1:
        raise DataError(f"{path} holds a threshold or a share outside [0, 1]: make it anew with stitch calibrate")
