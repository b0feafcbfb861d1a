"""What the guide map costs: the small pass with the attention tap against the same pass without it.

    python benchmarks/guide_overhead.py

The language model has the widths of InternVL2-1B's (Qwen2-0.5B) at a third of its depth and vocabulary, with random bf16
weights; 64 prompt tokens follow the picture and 8 tokens are answered. Peak memory is the resident size of a child process
per variant.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import torch
from harness import QWEN2_THIRD, paired_seconds, random_engine, random_prompt, ratio, write_result

from stitchvlm.attention import AttentionTap
from stitchvlm.evaluation.memory import peak_resident
from stitchvlm.exits import SmallEarlyExit
from stitchvlm.guide import counted_rows, run_guide
from stitchvlm.sampling import Sampling

ANSWER = Sampling(8)


def variants(n_tiles: int) -> dict:
    """The passes that are compared, by name."""
    engine = random_engine(QWEN2_THIRD)
    prompt = random_prompt(engine, n_tiles)

    def tapped():
        engine.prefill(prompt, tap=AttentionTap(prompt.stream, counted_rows(prompt), engine.decoder.windows))

    return {
        "prefill": lambda: engine.prefill(prompt),
        "prefill + tap": tapped,
        "prefill + decode": lambda: engine.decode(engine.prefill(prompt), ANSWER),
        "guide pass": lambda: run_guide(engine, prompt, ANSWER),
        "guide pass + exit scores": lambda: SmallEarlyExit().judge(run_guide(engine, prompt, ANSWER)),
    }


def peak_mebibytes(n_tiles: int, variant: str) -> float:
    """Peak resident size of a fresh process that runs one variant once."""
    command = [sys.executable, __file__, "--child", variant, "--tiles", str(n_tiles)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tiles", type=int, nargs="+", default=[8, 16], help="8 tiles are 2,048 visual tokens")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("results/guide_overhead.json"))
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    if options.child:
        variants(options.tiles[0])[options.child]()
        print(peak_resident())
        return
    rows = []
    for n_tiles in options.tiles:
        seconds = paired_seconds(variants(n_tiles), options.rounds)
        peak = {name: peak_mebibytes(n_tiles, name) for name in ("prefill + decode", "guide pass")}
        rows.append(
            {
                "visual_tokens": n_tiles * 256,
                "seconds": seconds,
                "prefill_ratio": ratio(seconds, "prefill + tap", "prefill"),
                "pass_ratio": ratio(seconds, "guide pass", "prefill + decode"),
                "pass_with_exit_scores_ratio": ratio(seconds, "guide pass + exit scores", "prefill + decode"),
                "peak_mebibytes": peak,
                "memory_ratio": peak["guide pass"] / peak["prefill + decode"],
            }
        )
    config = {"text_model": QWEN2_THIRD, "dtype": "bfloat16", "prompt_tokens": 64, "answer_tokens": 8}
    write_result(options.out, {"benchmark": "guide_overhead", "config": config, "rounds": options.rounds, "rows": rows})


if __name__ == "__main__":
    main()
