"""Which layers look where the large model looks."""

from typing import TYPE_CHECKING, Any

from stitchvlm.evaluation.plots.style import COLOURS, FAINT, GUIDED, headline, new_figure
from stitchvlm.plural import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LAYERS = (
    ("large_layers", "one layer of the large model", COLOURS[2], "o"),
    ("small_layers", "one layer of the small model", COLOURS[1], "s"),
)


def draw_agreement(agreement: dict[str, Any]) -> "Figure":
    """How many of the large model's top tokens single layers share, and the small model as a whole; a panel for each share."""
    tops = agreement["top"]
    figure, (all_axes,) = new_figure(10.4, 4.2, columns=len(tops))
    for axes, (share, told) in zip(all_axes, tops.items(), strict=True):
        for name, label, colour, marker in _LAYERS:
            means = [100 * layer["mean"] for layer in told[name]]
            half = [100 * layer["half_width"] for layer in told[name]]
            depth = [100 * (number + 0.5) / len(means) for number in range(len(means))]
            axes.errorbar(depth, means, half, color=colour, marker=marker, markersize=4, capsize=2, label=label)
        whole = told["small_all"]
        axes.axhline(100 * whole["mean"], color=GUIDED, linewidth=2, label="all layers of the small model")
        low, high = (100 * (whole["mean"] + sign * whole["half_width"]) for sign in (-1, 1))
        axes.axhspan(low, high, color=GUIDED, alpha=0.15, linewidth=0)
        axes.axhline(100 * told["chance"], color=FAINT, linestyle=":", label="tokens drawn at random")
        axes.set_title(f"Top {float(share):.0%} of the visual tokens")
        axes.set_xlabel("depth of the layer in its model, %")
        axes.set_ylim(0, 102)
    all_axes[0].set_ylabel("top tokens shared with all layers\nof the large model, %, with 95 % interval")
    figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    headline(figure, f"Who looks where the large model looks ({counted(agreement['n'], 'question')})")
    return figure
