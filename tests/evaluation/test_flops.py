"""Operations counted on paper against those that torch counts while a tiny model runs."""

import pytest
import torch
from PIL import Image
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


def test_half_the_tokens_are_less_than_half_the_attention(engine):
    count = FlopCount(engine)
    n_layers = engine.n_layers
    full, half = count.prefill(0, [200] * n_layers), count.prefill(0, [100] * n_layers)
    assert half < full / 2
