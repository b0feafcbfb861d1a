"""The lower bound of a stage: arithmetic and memory traffic by hand, and what is said about it."""

import pytest
import torch
from PIL import Image

from stitchvlm.engine import Engine
from stitchvlm.evaluation.roofline import Machine, Stage, Work, what_limits
from stitchvlm.evaluation.traffic import ByteCount
from stitchvlm.families import load_vlm
from stitchvlm.stitch import make_question

MACHINE = Machine("cpu", "float32", flops=100.0, bytes=10.0)


@pytest.mark.parametrize(
    ("work", "seconds", "bound"),
    [(Work(200, 10), 2, "arithmetic"), (Work(200, 50), 5, "memory"), (Work(0, 30), 3, "memory"), (Work(), 0, None)],
)
def test_the_slower_of_the_two_is_the_bound(work, seconds, bound):
    assert MACHINE.seconds(work) == seconds and bound in (MACHINE.bound(work), None)


def test_a_total_adds_up_bounds_that_differ():
    stages = [Stage.of("a", Work(200, 10), MACHINE, 4.0), Stage.of("b", Work(200, 50), MACHINE, 6.5)]
    total = Stage.total(stages)
    assert (total.work, total.roofline, total.seconds) == (Work(400, 60), 7, 10.5)
    assert [stage.ratio for stage in (*stages, total)] == [2, 1.3, 1.5]
    assert Stage.of("c", Work(), MACHINE, 0.1).ratio is None


@pytest.mark.parametrize(
    ("work", "seconds", "said"),
    [
        (Work(200, 10), 2.2, "limited by arithmetic"),
        (Work(200, 50), 5.5, "limited by memory"),
        (Work(200, 50), 20.0, "the rest is neither"),
        (Work(200, 50), 2.5, "what caches hold"),
        (Work(), 2.5, "nothing that is counted"),
    ],
)
def test_the_slowest_stage_is_explained(work, seconds, said):
    stages = [Stage.of("quick", Work(1, 1), MACHINE, 0.5), Stage.of("slow", work, MACHINE, seconds)]
    sentence = what_limits(stages)
    assert sentence.startswith(f"slow takes longest, {seconds * 1000:.1f} ms") and said in sentence


def test_a_machine_is_measured_in_what_one_product_and_one_copy_take(monkeypatch):
    """Every reading of the clock is one second later, so that each repetition takes one."""
    seconds = iter(range(1000))
    monkeypatch.setattr("time.perf_counter", lambda: next(seconds))
    machine = Machine.measure(torch.device("cpu"), torch.float32, repetitions=1)
    assert machine == Machine("cpu", "float32", flops=2 * 2048**3, bytes=2 * 2**27)


@pytest.fixture(scope="module", params=[0, 1], ids=["small", "large"])
def engine(request, tiny_pair):
    return Engine(load_vlm(tiny_pair[request.param], torch.float32, "cpu"))


@pytest.fixture
def parts(engine):
    """Bytes of the weights of each layer, of the last norm and the head, and of the rest; from the checkpoint's names."""
    sizes = {"layers": 0, "head": 0, "vision": 0, "embedding": 0}
    for name, weight in engine.vlm.model.named_parameters():
        place = "layers" if "language_model.layers" in name else "vision"
        place = "embedding" if "embed_tokens" in name else place
        place = "head" if "lm_head" in name or name.endswith("language_model.norm.weight") else place
        sizes[place] += 4 * weight.numel()
    if engine.vlm.model.lm_head.weight is engine.vlm.model.get_input_embeddings().weight:
        sizes["head"] += sizes["embedding"]
    return sizes


def test_bytes_of_a_prefill_by_hand(engine, parts):
    """10 text tokens and 3 or 5 visual ones: per token a state in and out and, of 2 heads, a quarter of the width each, a key
    and a value, all of 4 bytes; then the logits of 2 tokens.
    """
    config, n_layers = engine.vlm.model.config.text_config, engine.n_layers
    visual = [5] + [3] * (n_layers - 1)
    n_tokens = 15 + 13 * (n_layers - 1)
    states, cache = 2 * n_tokens * config.hidden_size * 4, n_tokens * 2 * 2 * config.hidden_size // 4 * 4
    expected = parts["layers"] + parts["head"] + states + cache + 2 * config.vocab_size * 4
    count = ByteCount(engine)
    assert count.prefill(10, visual, n_logits=2) == expected
    assert count.prefill(10, visual, n_logits=2, cached=False) == expected - cache


def test_bytes_of_two_decoding_steps_by_hand(engine, parts):
    """Each reads all weights; the first reads 12 keys and writes one per layer, the second reads 13 and writes one."""
    config, n_layers = engine.vlm.model.config.text_config, engine.n_layers
    key_value = 2 * 2 * config.hidden_size // 4 * 4
    steps = 2 * (parts["layers"] + parts["head"] + config.vocab_size * 4 + n_layers * 2 * config.hidden_size * 4)
    count = ByteCount(engine)
    assert count.decode(10, [2] * n_layers, 3) == steps + n_layers * (13 + 14) * key_value
    assert count.decode(10, [2] * n_layers, 1) == 0


def test_bytes_of_the_vision_encoder_by_hand(engine, parts):
    """A picture of 64 x 48 makes 5 tiles of 28 x 28 in three colours, of which one or none is encoded."""
    inputs = engine.prepare([make_question("What is it?", Image.new("RGB", (64, 48), "red"))])
    state = engine.vlm.model.config.text_config.hidden_size * 4
    count, (tiles,) = ByteCount(engine), inputs.tiles
    assert len(tiles) == 5
    assert count.vision([tiles], 30) == parts["vision"] + 5 * 3 * 28**2 * 4 + 30 * state
    assert count.vision([tiles[1:2]], 14) == parts["vision"] + 3 * 28**2 * 4 + 14 * state
    assert count.vision([], 10) == 10 * state
