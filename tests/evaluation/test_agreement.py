"""Agreement of attention, where it is known what must come out."""

import pytest
import torch
from layouts import native
from tiny import save_tiny_internvl

from stitchvlm.engine import Engine
from stitchvlm.evaluation import agreement
from stitchvlm.evaluation.agreement import Overlap, measure_agreement
from stitchvlm.evaluation.tasks import load_task
from stitchvlm.families import load_vlm


@pytest.fixture(scope="module")
def shallow(tmp_path_factory):
    folder = save_tiny_internvl(tmp_path_factory.mktemp("shallow"), n_layers=1, seed=5)
    return Engine(load_vlm(str(folder), torch.float32, "cpu"))


def test_a_model_of_one_layer_agrees_with_itself(shallow, scenes_task):
    told = measure_agreement(shallow, shallow, load_task("scenes", 2))
    assert told["n"] == 2 and set(told["top"]) == {"0.09", "0.35"}
    for share, top in told["top"].items():
        assert top["large_layers"] == top["small_layers"] == [top["small_all"]] == [{"mean": 1.0, "half_width": 0.0}]
        assert top["chance"] == float(share)


def test_another_model_agrees_less(shallow, tiny_pair, scenes_task):
    large = Engine(load_vlm(tiny_pair[1], torch.float32, "cpu"))
    top = measure_agreement(shallow, large, load_task("scenes", 3))["top"]["0.35"]
    assert len(top["large_layers"]) == 6 and len(top["small_layers"]) == 1 and top["small_all"]["mean"] < 1


def test_every_layer_is_held_against_the_sum_of_the_large_ones(scenes_task, monkeypatch):
    """Ten tokens, of which the top three count. The large model's layers add up to favour 0, 1 and 2."""
    large = torch.tensor([[9, 8, 0, 7, 6, 5, 0, 0, 0, 0], [0, 1, 20, 0, 0, 0, 2, 3, 0, 0]]).float()
    small = torch.tensor(
        [[0, 9, 9, 9, 0, 0, 0, 0, 0, 0], [9, 0, 0, 0, 0, 0, 0, 9, 9, 8], [0, 1, 1, 1, 0, 0, 0, 0, 0, 0]]
    )
    layout = native(5, 2)
    monkeypatch.setattr(
        agreement, "_maps", lambda engine, *_: (layout, {"small": small.float(), "large": large}[engine])
    )
    (sample,) = load_task("scenes", 1)
    top = measure_agreement("small", "large", [sample])["top"]["0.35"]
    assert [layer["mean"] for layer in top["large_layers"]] == pytest.approx([2 / 3, 1 / 3])
    assert [layer["mean"] for layer in top["small_layers"][:2]] == pytest.approx([2 / 3, 1 / 3])
    assert top["small_all"]["mean"] == pytest.approx(2 / 3)


def test_models_of_other_grids_are_compared_over_the_picture(tiny_pair, tmp_path, scenes_task):
    other = Engine(load_vlm(str(save_tiny_internvl(tmp_path, n_layers=3, tile=56, seed=3)), torch.float32, "cpu"))
    large = Engine(load_vlm(tiny_pair[1], torch.float32, "cpu"))
    top = measure_agreement(other, large, load_task("scenes", 2))["top"]["0.35"]
    assert len(top["small_layers"]) == 3 and 0 < top["small_all"]["mean"] <= 1


def test_nothing_asked_is_refused(shallow):
    with pytest.raises(ValueError, match="at least one question"):
        measure_agreement(shallow, shallow, [])


def test_overlap_by_hand():
    """Mean 0.5, variance 0.5 of two: standard error 0.5, 1.96 of it to each side. One picture says nothing of others."""
    assert Overlap.of([0.0, 1.0], "ab") == Overlap(0.5, 1.96 * 0.5) and Overlap.of([0.3], "a").half_width == 1
