"""A picture of what an exit score is worth: is it as often right as it says, and what do exits cost?"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stitchvlm.calibration.ranking import accuracy_at_exits, reliability
from stitchvlm.evaluation.plots import render
from stitchvlm.evaluation.statistics import wilson_interval
from stitchvlm.files import replace_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
FORMATS = (".png", ".svg")
_BLUE, _GREY, _RED = "#1f5ab4", "#8a8a8a", "#d62728"


def check_plot(path: Path) -> None:
    """Refuse early what could not be drawn or written.

    Raises:
        ValueError: if the ending is unknown, the folder is missing, or matplotlib is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"a plot is written as {' or '.join(FORMATS)}, not {path.name}: choose another name")
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent} to write {path.name} to: make it first")
    if find_spec("matplotlib") is None:
        raise ValueError("a plot needs matplotlib, which is not installed: pip install 'stitchvlm[plot]'")


def draw_reliability(score: Floats, small: Floats, large: Floats, threshold: float, title: str, path: Path) -> None:
    """Left: share of right small answers against the score, in bins of as many questions each. Right: accuracy against exits.

    Raises:
        OSError: if the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _bins(left, score, small, threshold)
    _curve(right, score, small, large, threshold)
    figure.suptitle(title, fontsize=10)
    with replace_file(path) as temporary:
        temporary.write_bytes(render(figure, path.suffix[1:].lower()))


def _bins(axes: "Axes", score: Floats, small: Floats, threshold: float) -> None:
    bins = reliability(score, small)
    means, shares = [mean for mean, _, _ in bins], [share for _, share, _ in bins]
    ends = np.array([wilson_interval(share * n, n) for _, share, n in bins]).reshape(-1, 2).T
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle=":", label="as often right as the score says")
    axes.errorbar(means, shares, yerr=_bars(shares, ends), color=_BLUE, marker="o", capsize=3, label="small model")
    axes.axvline(threshold, color=_RED, linestyle="--", label=f"exits from {threshold:.3f} on")
    axes.set(xlabel="exit score", ylabel="right answers, 95 % intervals", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(fontsize=8, loc="lower right")


def _curve(axes: "Axes", score: Floats, small: Floats, large: Floats, threshold: float) -> None:
    shares, accuracy = accuracy_at_exits(score, small, large)
    exits = float((score >= threshold).mean())
    axes.plot(shares, accuracy, color=_BLUE, label="exits and large answers together")
    axes.axhline(large.mean(), color=_GREY, linestyle=":", label="no exits")
    axes.plot(exits, np.where(score >= threshold, small, large).mean(), "o", color=_RED, label=f"{exits:.0%} exit")
    axes.set(xlabel="share of exits", ylabel="accuracy", xlim=(0, 1))
    axes.legend(fontsize=8, loc="lower left")


def _bars(middles: Sequence[float], ends: Floats) -> Floats:
    """Lengths below and above; rounding must not make one negative."""
    return np.maximum(0, np.stack([np.array(middles) - ends[0], ends[1] - np.array(middles)]))
