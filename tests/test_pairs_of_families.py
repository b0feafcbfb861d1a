"""Every family guides every other one: where the small model looks is kept by the large one, and drafts change no answer."""

from itertools import permutations

import pytest
import torch
from layouts import covered, shared
from PIL import Image
from test_engine import picture
from tiny import LLAVA, save_tiny_internvl, save_tiny_llava_onevision, save_tiny_qwen_vl

from stitchvlm.cascade import Cascade
from stitchvlm.crossing import carry
from stitchvlm.engine import Engine
from stitchvlm.exits import parse_exit
from stitchvlm.families import load_hollow, load_vlm
from stitchvlm.methods import Guided, ReductionView
from stitchvlm.questions import make_question
from stitchvlm.sampling import Sampling

FAMILIES = ("internvl", "qwen2_vl", "qwen3_vl", LLAVA)
PAIRS = list(permutations(FAMILIES, 2))
REGIONS = {(420, 320): (0.1, 0.6, 0.25, 0.75), (240, 400): (0.45, 0.4, 0.6, 0.55)}
"""Where the small model looks in a wide and in a tall picture."""
LETTERS = "abc"
TILES = 12


def save(folder, kind: str, **options) -> str:
    """A random checkpoint of the family."""
    if kind == LLAVA:
        return str(save_tiny_llava_onevision(folder, **options))
    if kind == "internvl":
        return str(save_tiny_internvl(folder, **options))
    return str(save_tiny_qwen_vl(folder, kind, **options))


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    """How each family lays out both pictures when tokens are small enough to point with."""
    sizes = {"internvl": {"tile": 112, "max_patches": TILES}, LLAVA: {"tile": 58, "most": 9}}
    question = [make_question("Where?", Image.new("RGB", size)) for size in REGIONS]
    found = {}
    for kind in FAMILIES:
        folder = save(tmp_path_factory.mktemp("fine") / kind, kind, n_layers=1, **sizes.get(kind, {}))
        vlm = load_hollow(folder)
        found[kind] = vlm.family.prepare(vlm, question, max_tiles=TILES).layouts
    return found


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """A model of each family that answers in three letters, so that models guess each other's words now and then."""
    found = {}
    for seed, kind in enumerate(FAMILIES):
        vlm = load_vlm(save(tmp_path_factory.mktemp("whole") / kind, kind, n_layers=2, seed=seed), torch.float32, "cpu")
        said = vlm.tokenizer(LETTERS, add_special_tokens=False).input_ids
        head = vlm.model.lm_head.weight
        with torch.no_grad():
            letters = head[said] - head[said].mean(
                0
            )  # whose logits add up to 0, so that one of them is above all the others
            head.zero_()[said] = letters
        found[kind] = Engine(vlm)
    return found


@pytest.mark.parametrize(("small", "large"), PAIRS)
def test_the_region_that_the_small_model_points_at_is_kept(layouts, small, large):
    for source, target, region in zip(layouts[small], layouts[large], REGIONS.values(), strict=True):
        noise = torch.rand(source.n_visual, generator=torch.Generator().manual_seed(0))
        scores = carry(shared(source, region) + 0.05 * noise, source, target)
        view = ReductionView([target], [torch.arange(target.n_visual)], 0, [scores])
        for share in (0.09, 0.35):
            n_keep = int(share * target.n_visual)
            kept = Guided().reduce(view, [n_keep]).kept[0]
            n_showing = int((~target.structural_mask[kept]).sum())  # newlines come along and do not count
            assert n_showing <= n_keep and covered(target, kept, region) >= 0.9


@pytest.mark.parametrize(("small", "large"), PAIRS)
@pytest.mark.parametrize("layer", [0, None])
def test_drafts_of_another_family_change_no_answer(engines, small, large, layer):
    def answers(reuse_drafts: bool):
        method = Guided()
        cascade = Cascade(
            lambda: engines[small],
            lambda: engines[large],
            parse_exit("never"),
            method,
            method.scheduler(0.35, layer),
            max_tiles=2,
            reuse_drafts=reuse_drafts,
        )
        return cascade.answer(questions, Sampling(4))

    questions = [make_question("What is it?", picture(90, 60))]
    reused, anew = answers(True), answers(False)
    assert [answer.text for answer in reused] == [answer.text for answer in anew]
    assert [answer.trace.kept for answer in reused] == [answer.trace.kept for answer in anew]
    assert all(len(answer.text) == 4 and set(answer.text) <= set(LETTERS) for answer in anew)
    assert all(answer.trace.n_proposed for answer in reused) and not any(answer.trace.n_proposed for answer in anew)
