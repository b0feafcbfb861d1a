"""The same path on a CUDA device."""

import warnings
from dataclasses import replace

import pytest
import torch
from test_engine import QUESTIONS, random_plan
from tiny import save_tiny_internvl

from stitchvlm.engine import Engine
from stitchvlm.families import load_vlm
from stitchvlm.guide import run_guide
from stitchvlm.sampling import Sampling
from stitchvlm.stitch import Stitch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and this machine has none"),
]


@pytest.mark.parametrize("text", ["qwen2", "phi3"])
def test_fp32_on_the_device_equals_the_cpu(tmp_path, text):
    folder = str(save_tiny_internvl(tmp_path, text, n_layers=6))
    torch.backends.cuda.matmul.allow_tf32 = False
    outputs = []
    for device in ("cpu", "cuda"):
        engine = Engine(load_vlm(folder, torch.float32, device))
        prompt = engine.embed(engine.prepare(QUESTIONS))
        guide = run_guide(engine, prompt, Sampling(6))
        generated = engine.decode(engine.prefill(prompt, random_plan((2, 0.4))), Sampling(6), keep_logits=True)
        outputs.append((guide, generated))
    (cpu_guide, cpu), (gpu_guide, gpu) = outputs
    assert cpu.tokens == gpu.tokens
    torch.testing.assert_close(gpu.logits.cpu(), cpu.logits, rtol=1e-3, atol=1e-3)
    for one, other in zip(cpu_guide.drafts, gpu_guide.drafts, strict=True):
        torch.testing.assert_close(other.guide.scores, one.guide.scores, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_on_the_device(tmp_path, dtype):
    engine = Engine(load_vlm(str(save_tiny_internvl(tmp_path, n_layers=6)), dtype, "cuda"))
    prompt = engine.embed(engine.prepare(QUESTIONS))
    generated = engine.decode(engine.prefill(prompt, random_plan((2, 0.4))), Sampling(6), keep_logits=True)
    assert generated.logits.isfinite().all() and all(generated.tokens)


@pytest.mark.parametrize("exit", ["never", "always", 0.5])
def test_the_whole_path_on_the_device_equals_the_cpu(tmp_path, exit):
    small, large = (str(save_tiny_internvl(tmp_path / name, n_layers=n)) for name, n in (("small", 3), ("large", 6)))
    torch.backends.cuda.matmul.allow_tf32 = False
    options = {
        "small": small,
        "large": large,
        "keep": 0.3,
        "exit": exit,
        "dtype": torch.float32,
        "sampling": Sampling(6),
    }
    cpu, gpu = (Stitch.from_pretrained(device=device, **options).answer(QUESTIONS) for device in ("cpu", "cuda"))
    for one, other in zip(cpu, gpu, strict=True):
        assert (one.text, one.answered_by, one.trace.kept) == (other.text, other.answered_by, other.trace.kept)
        torch.testing.assert_close(other.guide.scores, one.guide.scores, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("text", ["qwen2", "phi3"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_drafts_from_graphs_equal_those_without(tmp_path, text, dtype):
    """One row, three padded ones, then a shorter question in the same tensors; a warning would mean that graphs were given up."""
    torch.backends.cuda.matmul.allow_tf32 = False
    windows = {"sliding_window": 16} if text == "phi3" else {}
    engine = Engine(load_vlm(str(save_tiny_internvl(tmp_path, text, n_layers=6, **windows)), dtype, "cuda"))
    for questions in (QUESTIONS[:1], QUESTIONS, QUESTIONS[2:], QUESTIONS):
        prompt = engine.embed(engine.prepare(questions))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ours, plain = (run_guide(engine, prompt, Sampling(9, 3), graphs=graphs) for graphs in (True, False))
        for one, other in zip(ours.drafts, plain.drafts, strict=True):
            if dtype == torch.float32:
                assert one.tokens == other.tokens
                torch.testing.assert_close(one.guide.scores, other.guide.scores, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(one.guide.prefill, other.guide.prefill, rtol=1e-4, atol=1e-4)
            assert one.tokens[0] == other.tokens[0] and one.guide.decode.isfinite().all()
    assert engine.graphs.n_ready == 2


def test_a_replayed_step_equals_the_step_itself(tmp_path):
    """Place by place in bfloat16, which the tokens of a random model would not tell."""
    engine = Engine(load_vlm(str(save_tiny_internvl(tmp_path, n_layers=6)), torch.bfloat16, "cuda"))
    prefilled = engine.prefill(engine.embed(engine.prepare(QUESTIONS)))
    step = engine.graphs.begin(prefilled, 8, None)
    assert step is not None and step.replay is not None
    with torch.inference_mode():
        for token in range(5, 11):
            step.aim([token] * len(QUESTIONS))
            step.replay()
            replayed = step.logits.clone()
            step.run()
            torch.testing.assert_close(replayed, step.logits, rtol=2e-2, atol=2e-2)
            step.move_on()


@pytest.mark.parametrize("speculate", [0, 3])
def test_a_head_start_changes_no_answer(tmp_path, speculate):
    small, large = (str(save_tiny_internvl(tmp_path / name, n_layers=n)) for name, n in (("small", 3), ("large", 6)))
    torch.backends.cuda.matmul.allow_tf32 = False
    options = {"keep": 0.3, "layer": 2, "exit": "never", "dtype": torch.float32, "speculate": speculate}
    cascade = Stitch.from_pretrained(small, large, device="cuda", **options).cascade
    assert cascade.overlap
    for _ in range(5):
        ours, plain = (replace(cascade, overlap=overlap).answer(QUESTIONS, Sampling(6)) for overlap in (True, False))
        for one, other in zip(ours, plain, strict=True):
            assert (one.text, one.trace.kept) == (other.text, other.trace.kept)
            assert {"large_prepare", "large_encode"} <= set(one.trace.seconds)
