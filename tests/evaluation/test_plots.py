"""Figures: which there are, that both formats are sound, and that the same study gives the same bytes."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from itertools import combinations

import pytest
from made_up import made_up_study, table_row
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


def test_every_method_has_a_panel_with_its_rows_and_the_guided_ones_behind(figures):
    for name, guided in (("accuracy-retention", ["guided"]), ("accuracy-seconds", ["guided", "guided + exit 0.4"])):
        panels = {axes.get_title(loc="left"): axes for axes in figures[name].axes}
        assert list(panels) == ["guided", "random"]
        lines = {title: [one.get_label() for one in _intervals(axes)] for title, axes in panels.items()}
        assert lines == {"guided": guided, "random": ["random"]}
        behind = [line for line in panels["random"].lines if line.get_label() == "guided, for comparison"]
        assert [list(line.get_ydata()) for line in behind] == [[80.0, 85.0]]
        (legend,) = figures[name].legends
        told = [text.get_text() for text in legend.get_texts()]
        assert told == ["large-alone", "small-alone", "guided, for comparison"]


def test_intervals_reach_from_low_to_high(figures):
    (random,) = _intervals(figures["accuracy-retention"].axes[1])
    (bars,) = random.lines[2]
    ends = [sorted(segment[:, 1]) for segment in bars.get_segments()]
    assert ends == [pytest.approx([15, 25]), pytest.approx([45, 55])]


def test_a_method_has_one_colour_whether_it_exits_or_not(figures):
    guided, random = figures["accuracy-seconds"].axes
    colours = [one.lines[0].get_color() for one in _intervals(guided) + _intervals(random)]
    assert colours[0] == colours[1] != colours[2]
    fills = [one.lines[0].get_markerfacecolor() for one in _intervals(guided)]
    assert fills == [colours[0], "white"], "exits have empty marks"


def test_words_do_not_lie_on_each_other(tmp_path):
    """Titles, axes' names and legends of a figure with many panels, some of which have legends of their own."""
    study = made_up_study(tmp_path)
    rows = [table_row(f"{name}", keep, 0.5) for name in ("fastv", "tome", "dart", "divprune") for keep in (0.09, 0.35)]
    rows += [replace(row, settings=row.settings | {"options": {"layer": 1}}) for row in rows[:2]]
    for name, figure in draw_figures(replace(study, rows=[*study.rows, *rows])).items():
        figure.draw_without_rendering()
        boxes = [one.get_window_extent() for one in [*figure.texts, *figure.legends, *_names(figure)]]
        width, height = figure.bbox.size
        assert all(min(box.x0, box.y0, width - box.x1, height - box.y1) > -1 for box in boxes), name
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2)), name


def _names(figure):
    """Titles and the names of axes that say something."""
    texts = [text for axes in figure.axes for text in (axes._left_title, axes.xaxis.label, axes.yaxis.label)]
    return [text for text in texts if text.get_text() and text.get_visible()]


def _intervals(axes):
    """What is drawn with intervals and has a name."""
    return [one for one in axes.containers if not one.get_label().startswith("_")]
