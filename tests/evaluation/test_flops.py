"""Operations counted on paper against those that torch counts while a tiny model runs."""

import pytest
import torch
from PIL import Image
from test_engine import picture
from tiny import LLAVA, QWEN_VL, save_tiny, save_tiny_qwen_vl
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from stitchvlm.engine import Engine, Plan
from stitchvlm.evaluation.flops import FlopCount
from stitchvlm.families import load_vlm
from stitchvlm.methods import Random
from stitchvlm.sampling import Sampling
from stitchvlm.schedule import PruneStep, Schedule
from stitchvlm.stitch import make_question


@pytest.fixture(scope="module", params=[0, 1], ids=["qwen2", "llama"])
def engine(request, tiny_pair):
    return Engine(load_vlm(tiny_pair[request.param], torch.float32, "cpu"))


@pytest.fixture(scope="module")
def inputs(engine):
    return engine.prepare([make_question("What is it?", Image.new("RGB", (64, 48), "red"))])


def counted(run) -> tuple[float, object]:
    """What torch counts; only its plain attention is counted, the fused kernels of a CPU are not."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        result = run()
    return counter.get_total_flops(), result


def same(flops: float):
    """Some versions of transformers make the rotary angles by a matrix product, which torch counts: a few in ten thousand."""
    return pytest.approx(flops, rel=4e-4)


@pytest.mark.parametrize("schedule", [Schedule(), Schedule((PruneStep(1, 0.5),))], ids=["all", "half from layer 1"])
def test_prefill_and_decode(engine, inputs, schedule):
    prompt, count = engine.embed(inputs), FlopCount(engine)
    n_text = inputs.layouts[0].n_tokens - inputs.layouts[0].n_visual
    flops, prefilled = counted(lambda: engine.prefill(prompt, Plan(schedule, Random())))
    kept = prefilled.kept_per_layer(0)
    assert count.prefill(n_text, kept) == same(flops) and (len(set(kept)) == 2) == bool(schedule.steps)
    flops, generated = counted(lambda: engine.decode(prefilled, Sampling(4)))
    assert count.decode(n_text, kept, len(generated.tokens[0])) == same(flops)


def test_vision_is_what_torch_counts_whatever_is_kept(engine, inputs):
    family, vlm = engine.vlm.family, engine.vlm
    with torch.inference_mode():
        flops, _ = counted(lambda: family.encode(vlm, inputs))
    count = FlopCount(engine)
    assert count.vision(inputs) == flops > 0 and count.vision(inputs) == flops


@pytest.mark.parametrize("kind", QWEN_VL)
def test_the_rectangle_around_what_stays_counts_as_a_picture_of_its_size(tmp_path, kind):
    """Against the picture as a stranger would have cut it; by tokens, 15 of 48, it would be too much."""
    engine = Engine(load_vlm(str(save_tiny_qwen_vl(tmp_path, kind)), torch.float32, "cpu"))
    vlm, whole = engine.vlm, picture(8 * 14, 6 * 14)
    inputs = engine.prepare([make_question("What is it?", whole)])
    around = inputs.layouts[0].around(torch.tensor([8 + 2, 24 + 6]))
    cut = vlm.image_processor([whole.crop((2 * 14, 14, 7 * 14, 4 * 14))], return_tensors="pt")
    with torch.inference_mode():
        flops, _ = counted(lambda: vlm.model.get_image_features(**cut, return_dict=True))
    count = FlopCount(engine)
    assert count.vision(inputs, [around]) == same(flops)
    assert count.vision(inputs, [around]) < count.vision(inputs) * 15 / 48


@pytest.mark.parametrize("kind", ["qwen2", LLAVA])
def test_tiles_that_are_not_encoded_are_not_counted(tmp_path, kind):
    """Each time as torch counts it, although equal numbers of equal tiles are counted once."""
    engine = Engine(load_vlm(str(save_tiny(tmp_path, kind)), torch.float32, "cpu"))
    vlm = engine.vlm
    inputs = engine.prepare([make_question("What is it?", picture(90, 60))])
    layout, count, found = inputs.layouts[0], FlopCount(engine), set()
    for wanted in ([0], [layout.n_visual - 1], [0, layout.n_visual // 2], []):
        present = [vlm.family.encoded_with(layout, torch.tensor(wanted, dtype=torch.long))]
        with torch.inference_mode():
            flops, _ = counted(lambda present=present: vlm.family.encode(vlm, inputs, present))
        found.add(count.vision(inputs, present))
        assert count.vision(inputs, present) == flops < count.vision(inputs)
    assert len(found) >= 3 and 0 in found


def test_half_the_tokens_are_less_than_half_the_attention(engine):
    count = FlopCount(engine)
    n_layers = engine.n_layers
    full, half = count.prefill(0, [200] * n_layers), count.prefill(0, [100] * n_layers)
    assert half < full / 2
