"""The guide pass against the same pass with eager attention maps, which is how the official release collects them.

    python benchmarks/vs_eager.py

Eager attention gives every layer's map of all tokens over all tokens; the rows that count are summed over layers and heads. Both
passes have the same random bf16 weights of the shape that `guide_overhead.py` uses, 64 prompt tokens after the picture and 8
tokens of answer.
"""

import argparse
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from harness import QWEN2_THIRD, paired_seconds, random_engine, random_prompt, ratio, write_result
from torch import Tensor
from transformers import DynamicCache

from stitchvlm.attention import TAPPED_SDPA, AttentionTap
from stitchvlm.engine import Engine
from stitchvlm.families.base import Prompt
from stitchvlm.guide import counted_rows, run_guide
from stitchvlm.sampling import Sampling
from stitchvlm.shapes import Float

BAR = 5.0


@contextmanager
def eager_attention(engine: Engine) -> Iterator[None]:
    """Within the block the language model computes whole maps, and gives them when asked."""
    model = engine.vlm.model
    model.set_attn_implementation({"text_config": "eager"})
    try:
        yield
    finally:
        model.set_attn_implementation({"text_config": TAPPED_SDPA})


@torch.inference_mode()
def eager_map(engine: Engine, prompt: Prompt, n_answer: int) -> tuple[Float[Tensor, " n_visual"], list[int]]:
    """The guide map of one prompt and the greedy answer that it was made with; of one token, the prompt alone counts."""
    text, head = engine.vlm.model.model.language_model, engine.vlm.model.lm_head
    device = prompt.token_ids.device
    visual, counted = prompt.layouts[0].index.to(device), counted_rows(prompt)[0].nonzero()[:, 0].to(device)
    with eager_attention(engine):
        hidden, cache, answer = prompt.stream.hidden, DynamicCache(), []
        total = torch.zeros(len(visual), device=device)
        while True:
            told = text(inputs_embeds=hidden, past_key_values=cache, use_cache=True, output_attentions=True)
            rows = counted.new_zeros(1) if answer else counted
            for probabilities in told.attentions:
                total += probabilities[0][:, rows][..., visual].float().sum((0, 1))
            answer.append(int(head(told.last_hidden_state[0, -1]).argmax()))
            if len(answer) == n_answer:
                return total.cpu(), answer
            hidden = engine.decoder.embedding(torch.tensor([answer[-1:]], device=device))


def variants(engine: Engine, prompt: Prompt, n_answer: int) -> dict:
    """The passes that are compared, by name."""

    def tapped():
        engine.prefill(prompt, tap=AttentionTap(prompt.stream, counted_rows(prompt), engine.decoder.windows))

    return {
        "prefill": lambda: engine.prefill(prompt),
        "prefill + tap": tapped,
        "prefill, eager maps": lambda: eager_map(engine, prompt, 1),
        "guide pass": lambda: run_guide(engine, prompt, Sampling(n_answer)),
        "guide pass, eager maps": lambda: eager_map(engine, prompt, n_answer),
    }


def map_seconds(seconds: dict[str, list[float]]) -> dict[str, float]:
    """What the map of a prompt takes beside the prefill that is needed anyway, median over rounds."""
    ways = {"tap": "prefill + tap", "eager": "prefill, eager maps"}
    return {
        name: statistics.median(a - b for a, b in zip(seconds[way], seconds["prefill"], strict=True))
        for name, way in ways.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tiles", type=int, default=7, help="7 tiles are 1,792 visual tokens")
    parser.add_argument("--answer", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("results/vs_eager.json"))
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    engine = random_engine(QWEN2_THIRD, device=options.device)
    seconds = paired_seconds(variants(engine, random_prompt(engine, options.tiles), options.answer), options.rounds)
    whole = ratio(seconds, "guide pass, eager maps", "guide pass")
    result = {
        "benchmark": "vs_eager",
        "config": {
            "text_model": QWEN2_THIRD,
            "dtype": "bfloat16",
            "prompt_tokens": 64,
            "answer_tokens": options.answer,
        },
        "visual_tokens": options.tiles * 256,
        "rounds": options.rounds,
        "seconds": seconds,
        "prefill_ratio": ratio(seconds, "prefill, eager maps", "prefill + tap"),
        "pass_ratio": whole,
        "map_seconds": map_seconds(seconds),
        "bar": {"at_least": BAR, "met": whole["median"] >= BAR},
    }
    write_result(options.out, result)


if __name__ == "__main__":
    main()
