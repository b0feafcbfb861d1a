"""Exits as users write them."""

from pathlib import Path

from stitchvlm.exits.calibrated import CalibratedExit
from stitchvlm.exits.scores import PARTS
from stitchvlm.exits.see import SmallEarlyExit


def parse_exit(text: str | float) -> SmallEarlyExit:
    """A threshold in [0, 1], ``never``, ``always``, a named score with its threshold, or a file of ``stitch calibrate``.

    ``"confidence:0.8"`` exits on the confidence alone; the names are those of
    :data:`~stitchvlm.exits.scores.ScoreName`. What ends in ``.json`` is a file.

    Raises:
        ValueError: if it is none of these, or the file cannot be used.
    """
    if text in ("never", "always"):
        return SmallEarlyExit(text)  # type: ignore[arg-type]
    if isinstance(text, str) and text.endswith(".json"):
        return CalibratedExit.load(Path(text))
    score, _, threshold = text.rpartition(":") if isinstance(text, str) else ("", "", text)
    if score and score not in PARTS:
        raise ValueError(f"there is no exit score {score!r}: choose one of {', '.join(PARTS)}")
    try:
        return SmallEarlyExit(float(threshold), score=score or "mean")  # type: ignore[arg-type]
    except ValueError:
        raise ValueError(
            f"an exit threshold is a number in [0, 1], never or always, not {text!r}; or a .json file of stitch calibrate"
        ) from None
