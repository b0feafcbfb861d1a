"""Figures: which there are, that both formats are sound, and that the same study gives the same bytes."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from made_up import made_up_study
from PIL import Image

pytest.importorskip("matplotlib")

from stitchvlm.evaluation.plots import draw_figures, render, save_figures

EVERY = ["accuracy-retention", "accuracy-seconds", "exits", "agreement", "gallery"]


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    return draw_figures(made_up_study(tmp_path_factory.mktemp("study")))


def test_every_figure_is_drawn_where_there_is_something_to_draw(figures, tmp_path):
    assert list(figures) == EVERY
    study = replace(made_up_study(tmp_path), agreement={}, gallery=[])
    assert list(draw_figures(study)) == EVERY[:3]
    alone = replace(study, rows=study.rows[:2])
    assert list(draw_figures(alone)) == EVERY[:2]


def test_both_formats_are_written(figures, tmp_path):
    paths = save_figures(figures, tmp_path / "new" / "plots")
    assert sorted(path.name for path in paths) == sorted(
        f"{name}.{kind}" for name in EVERY for kind in ("png", "svg") if (name, kind) != ("gallery", "svg")
    )
    for path in paths:
        if path.suffix == ".png":
            with Image.open(path) as picture:
                picture.load()
                assert picture.width > 600
        else:
            assert ElementTree.parse(path).getroot().tag.endswith("svg")


def test_the_same_study_gives_the_same_bytes(figures, tmp_path):
    again = draw_figures(made_up_study(tmp_path))
    assert render(again["accuracy-seconds"], "svg") == render(figures["accuracy-seconds"], "svg")


def test_a_method_has_one_colour_whether_it_exits_or_not(figures):
    (axes,) = figures["accuracy-seconds"].axes
    lines = {text.get_text(): line for text, line in zip(*_legend(figures["accuracy-seconds"]), strict=True)}
    assert {"guided", "guided + exit 0.4", "random", "large-alone", "small-alone"} <= set(lines)
    colours = {name: container.lines[0].get_color() for name, container in zip(*_containers(axes), strict=True)}
    assert colours["guided"] == colours["guided + exit 0.4"] != colours["random"]


def _legend(figure):
    (legend,) = figure.legends
    return legend.get_texts(), legend.legend_handles


def _containers(axes):
    named = [container for container in axes.containers if not container.get_label().startswith("_")]
    return [container.get_label() for container in named], named
