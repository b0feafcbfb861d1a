"""Every family guides every other one: where the small model looks is kept by the large one, and drafts change no answer.

InternVL2 in its remote-code layout is cut and laid out by the code of ``internvl``; its own tokenizer has its pairs beside
its tests.
"""

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
from stitchvlm.families import VLM, load_hollow, load_vlm
from stitchvlm.layout import VisualLayout
from stitchvlm.methods import Guided, ReductionView
from stitchvlm.proposals import proposals
from stitchvlm.questions import make_question
from stitchvlm.records import Draft
from stitchvlm.sampling import Sampling

FAMILIES = ("internvl", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", LLAVA)
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
    """How each family lays out each picture, and both in one prompt, when tokens are small enough to point with."""
    sizes = {"internvl": {"tile": 112, "max_patches": TILES}, LLAVA: {"tile": 58, "most": 9}}
    pictures = [Image.new("RGB", size) for size in REGIONS]
    questions = [make_question("Where?", shown) for shown in (*pictures, pictures)]
    found = {}
    for kind in FAMILIES:
        folder = save(tmp_path_factory.mktemp("fine") / kind, kind, n_layers=1, **sizes.get(kind, {}))
        vlm = load_hollow(folder)
        found[kind] = vlm.family.prepare(vlm, questions, max_tiles=TILES).layouts
    return found


def spelling(vlm: VLM) -> Engine:
    """The model, made to answer in three letters, so that models guess each other's words now and then."""
    said, head = vlm.tokenizer.convert_tokens_to_ids(list(LETTERS)), vlm.model.lm_head.weight
    with torch.no_grad():
        letters = head[said] - head[said].mean(0)  # logits that add up to 0: one of them is above all others
        head.zero_()[said] = letters
    return Engine(vlm)


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """A model of each family that answers so."""
    folders = {kind: tmp_path_factory.mktemp("whole") / kind for kind in FAMILIES}
    found = {}
    for seed, (kind, folder) in enumerate(folders.items()):
        found[kind] = spelling(load_vlm(save(folder, kind, n_layers=2, seed=seed), torch.float32, "cpu"))
    return found


def alone(layout: VisualLayout, number: int) -> VisualLayout:
    """One picture of a prompt."""
    own = layout.image == number
    rows = (of[own] for of in (layout.index, torch.zeros_like(layout.image), layout.tile, layout.box))
    views = (of[own] for of in (layout.coarse_mask, layout.structural_mask))
    return VisualLayout(layout.n_tokens, *rows, *views, (layout.image_sizes[number],))


@pytest.mark.parametrize(("small", "large"), PAIRS)
def test_the_region_that_the_small_model_points_at_is_kept(layouts, small, large):
    """In one picture, and in each of two pictures of one prompt."""
    regions = list(REGIONS.values())
    for source, target, wanted in zip(
        layouts[small], layouts[large], [*([one] for one in regions), regions], strict=True
    ):
        pointed = torch.cat([shared(alone(source, number), region) for number, region in enumerate(wanted)])
        noise = torch.rand(source.n_visual, generator=torch.Generator().manual_seed(0))
        scores = carry(pointed + 0.05 * noise, source, target)
        view = ReductionView([target], [torch.arange(target.n_visual)], 0, [scores])
        for share in (0.09, 0.35):
            n_keep = int(share * target.n_visual)
            kept = Guided().reduce(view, [n_keep]).kept[0]
            n_showing = int((~target.structural_mask[kept]).sum())  # newlines come along and do not count
            assert n_showing <= n_keep
            for number, region in enumerate(wanted):
                first = int((target.image < number).sum())
                own = kept[target.image[kept] == number] - first
                assert covered(alone(target, number), own, region) >= 0.9


@pytest.mark.parametrize(("small", "large"), PAIRS)
@pytest.mark.parametrize("layer", [0, None])
def test_drafts_of_another_family_change_no_answer(engines, small, large, layer):
    check_drafts(engines[small], engines[large], layer)


def check_drafts(small: Engine, large: Engine, layer: int | None) -> None:
    """The answers about one and about two pictures are those without drafts, which are proposed all the same."""

    def answers(reuse_drafts: bool):
        method = Guided()
        cascade = Cascade(
            lambda: small,
            lambda: large,
            parse_exit("never"),
            method,
            method.scheduler(0.35, layer),
            max_tiles=2,
            reuse_drafts=reuse_drafts,
        )
        return cascade.answer(questions, Sampling(4))

    one, two = picture(90, 60), [picture(64, 48, 1), picture(30, 90, 2)]
    questions = [make_question("What is it?", one), make_question("Which of them?", two)]
    reused, anew = answers(True), answers(False)
    assert [answer.text for answer in reused] == [answer.text for answer in anew]
    assert [answer.trace.kept for answer in reused] == [answer.trace.kept for answer in anew]
    assert all(len(answer.text) == 4 and set(answer.text) <= set(LETTERS) for answer in anew)
    assert all(answer.trace.n_proposed for answer in reused) and not any(answer.trace.n_proposed for answer in anew)


@pytest.mark.parametrize(("small", "large"), PAIRS)
def test_a_draft_that_writes_the_other_familys_placeholder_is_not_proposed(engines, small, large):
    check_placeholder(engines[small].vlm, engines[large].vlm)


def check_placeholder(small: VLM, large: VLM) -> None:
    """It would be taken for a visual token, although it was words to the model that wrote it."""
    placeholder = large.tokenizer.convert_ids_to_tokens(large.placeholder_id)
    written = [small.tokenizer(text, add_special_tokens=False).input_ids for text in (f"a{placeholder}b", "ab")]
    drafts = [Draft(tuple(ids), "", (), None, True) for ids in written]
    assert proposals(drafts, small, large, 20) == [[], large.tokenizer("ab", add_special_tokens=False).input_ids]
