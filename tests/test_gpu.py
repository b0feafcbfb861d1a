"""The same path on a CUDA device."""

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
