"""What the benchmarks share: random models of real shapes, paired timings, and results with where they came from."""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import InternVLConfig, InternVLForConditionalGeneration, Qwen2Config

from stitchvlm.engine import Engine
from stitchvlm.evaluation.archive import load_archive
from stitchvlm.evaluation.provenance import provenance
from stitchvlm.evaluation.sample import Sample
from stitchvlm.families.base import VLM, Inputs, Prompt, assemble_prompt
from stitchvlm.families.internvl import InternVL, tap_language_model
from stitchvlm.families.tiles import tiled_layout
from stitchvlm.timing import wait_for_devices
from stitchvlm.training.fonts import find_fonts
from stitchvlm.training.splits import SCENES, write_split

SIDE = 16  # 448-pixel tiles give 16 x 16 visual tokens

QWEN2_0_5B = {
    "vocab_size": 151_655,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}
"""The language model of InternVL2-1B."""

QWEN2_THIRD = {**QWEN2_0_5B, "num_hidden_layers": 8, "vocab_size": 50_552}
"""The same widths at a third of the depth and of the vocabulary: ratios between passes stay, and take a third of the time."""


def random_engine(
    text: dict, dtype: torch.dtype = torch.bfloat16, seed: int = 0, device: str | torch.device = "cpu"
) -> Engine:
    """An engine with a language model of that shape, random weights, and a vision tower too small to matter."""
    config = InternVLConfig(
        vision_config={"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16},
        text_config=Qwen2Config(max_position_embeddings=32_768, bos_token_id=None, eos_token_id=None, **text),
        image_token_id=5,
    )
    torch.manual_seed(seed)
    with torch.device("meta"):
        model = InternVLForConditionalGeneration(config)
    model = model.to(dtype).to_empty(device=device)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.02) if parameter.dim() > 1 else parameter.fill_(1)
    model.tie_weights()
    model.model.language_model.rotary_emb = type(model.model.language_model.rotary_emb)(config.text_config).to(device)
    model = tap_language_model(model)
    return Engine(VLM("random weights", InternVL(), model, None, None, (), 5))


def random_prompt(engine: Engine, n_tiles: int, n_text: int = 64, seed: int = 0) -> Prompt:
    """One picture of ``n_tiles`` tiles (the last a thumbnail) between 8 and ``n_text`` text tokens, random embeddings."""
    grids = [(n_tiles - 1, 1)] if n_tiles > 1 else [(1, 1)]
    n_visual = n_tiles * SIDE**2
    index = torch.arange(8, 8 + n_visual)
    layout = tiled_layout(index, grids, SIDE, [(448 * n_tiles, 448)], n_tokens=8 + n_visual + n_text)
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(10, 1000, (layout.n_tokens,), generator=generator)
    ids[index] = engine.vlm.placeholder_id
    width = engine.vlm.model.config.text_config.hidden_size
    visual = torch.randn(n_visual, width, generator=generator).to(engine.vlm.model.dtype) * 0.02
    with torch.inference_mode():
        return assemble_prompt(Inputs((ids,), (), (layout,), (n_visual,)), visual, engine.vlm)


def paired_seconds(variants: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every variant, taken in turn so that a slow moment of the machine hits all of them; one warm-up each."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(rounds + 1):
        for name, run in variants.items():
            start = time.perf_counter()
            run()
            wait_for_devices()
            if turn:
                seconds[name].append(time.perf_counter() - start)
            print(f"  round {turn} {name}: {time.perf_counter() - start:.3f} s", file=sys.stderr)
    return seconds


def ratio(seconds: dict[str, list[float]], numerator: str, denominator: str) -> dict[str, float]:
    """Median, lowest and highest of the ratios round by round."""
    ratios = [a / b for a, b in zip(seconds[numerator], seconds[denominator], strict=True)]
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}


def write_result(path: Path, result: dict, quiet: bool = False) -> None:
    """The result with its provenance, as JSON, printed unless ``quiet``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**result, "provenance": provenance()}, indent=1) + "\n")
    if not quiet:
        print(path.read_text())


def drawn_questions(folder: Path, questions: int, seed: str) -> list[Sample]:
    """Questions about pictures that no test or training uses, drawn into ``folder`` where they are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{seed}-{questions}.zip"
    if not archive.exists():
        write_split(archive, SCENES, questions, find_fonts(), seed)
    return load_archive(archive)
