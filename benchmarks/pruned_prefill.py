"""What pruning saves: the large model's prefill at 9 % average retention against the same prefill with all tokens.

    python benchmarks/pruned_prefill.py

The language model has the shape of InternVL2-1B's (Qwen2-0.5B, 24 layers) with random bf16 weights. Scores are random:
which tokens stay does not change the cost.
"""

import argparse
from pathlib import Path

import torch
from harness import QWEN2_0_5B, paired_seconds, random_engine, random_prompt, ratio, write_result

from stitchvlm.engine import Plan
from stitchvlm.methods import Random
from stitchvlm.schedule import Schedule

KEEPS = (0.35, 0.09)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tiles", type=int, default=8, help="8 tiles are 2,048 visual tokens")
    parser.add_argument("--out", type=Path, default=Path("results/pruned_prefill.json"))
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    engine = random_engine(QWEN2_0_5B)
    prompt = random_prompt(engine, options.tiles)
    plans = {f"{keep:.0%}": Plan(Schedule.for_average(keep, engine.n_layers), Random()) for keep in KEEPS}
    runs = {"all": lambda: engine.prefill(prompt)}
    runs |= {name: (lambda plan=plan: engine.prefill(prompt, plan)) for name, plan in plans.items()}
    seconds = paired_seconds(runs, options.rounds)
    rows = [
        {
            "keep": name,
            "average_retention": plan.schedule.average_retention(engine.n_layers, prompt.layouts[0].n_visual),
            "prefill_ratio": ratio(seconds, name, "all"),
        }
        for name, plan in plans.items()
    ]
    config = {"text_model": QWEN2_0_5B, "dtype": "bfloat16", "visual_tokens": options.tiles * 256, "prompt_tokens": 64}
    result = {
        "benchmark": "pruned_prefill",
        "config": config,
        "rounds": options.rounds,
        "seconds": seconds,
        "rows": rows,
    }
    write_result(options.out, result)


if __name__ == "__main__":
    main()
