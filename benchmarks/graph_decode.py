"""The small model's decoding with its steps replayed as CUDA graphs against the same decoding without, on one GPU.

    python benchmarks/graph_decode.py

The language model has the shape of InternVL2-1B's (Qwen2-0.5B) with random weights, 64 prompt tokens follow the picture, and the
guide map is listened to, as in a guide pass. Prefill is not counted. ``first_seconds`` are those of the first decode of a
shape, which captures its graph.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from harness import QWEN2_0_5B, random_engine, random_prompt, ratio, write_result

from stitchvlm.attention import AttentionTap
from stitchvlm.engine import Engine
from stitchvlm.families.base import Prompt
from stitchvlm.guide import counted_rows
from stitchvlm.sampling import Sampling
from stitchvlm.timing import wait_for_devices

WAYS = {"without": False, "with graphs": True}


def decode(engine: Engine, prompt: Prompt, n_tokens: int, graphs: bool) -> tuple[float, tuple[tuple[int, ...], ...]]:
    """Seconds of the decoding behind a prompt, and its tokens."""
    tap = AttentionTap(prompt.stream, counted_rows(prompt), engine.decoder.windows)
    prefilled = engine.prefill(prompt, tap=tap)
    wait_for_devices()
    start = time.perf_counter()
    generated = engine.decode(prefilled, Sampling(n_tokens), tap=tap, score=True, graphs=graphs)
    wait_for_devices()
    return time.perf_counter() - start, generated.tokens


def compare(engine: Engine, prompt: Prompt, n_tokens: int, rounds: int) -> dict[str, Any]:
    """Both ways in turn, after one warm-up each."""
    first = {name: decode(engine, prompt, n_tokens, graphs) for name, graphs in WAYS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, graphs in WAYS.items():
            seconds[name].append(decode(engine, prompt, n_tokens, graphs)[0])
    return {
        "batch": len(prompt.layouts),
        "visual_tokens": prompt.layouts[0].n_visual,
        "answer_tokens": n_tokens,
        "seconds": seconds,
        "first_seconds": {name: took for name, (took, _) in first.items()},
        "ratio": ratio(seconds, "with graphs", "without"),
        "same_tokens": first["without"][1] == first["with graphs"][1],
        "graphs_in_use": engine.graphs.n_ready > 0,
    }


def cases(engine: Engine, tiles: list[int], batches: list[int], answers: list[int], rounds: int) -> Iterator[dict]:
    """One row for every combination."""
    for n_tiles in tiles:
        prompt = random_prompt(engine, n_tiles)
        for batch in batches:
            for n_tokens in answers:
                row = compare(engine, prompt.rows([0] * batch), n_tokens, rounds)
                told = f"{n_tiles} tiles, batch {batch}, {n_tokens} tokens"
                print(f"{told}: {row['ratio']['median']:.3f} of the seconds without", file=sys.stderr)
                yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--tiles", type=int, nargs="+", default=[1, 7])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--answers", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float16", "float32"])
    parser.add_argument("--out", type=Path, default=Path("results/graph_decode.json"))
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("graph_decode: CUDA graphs need a CUDA device, and this machine has none")
    torch.set_grad_enabled(False)
    engine = random_engine(QWEN2_0_5B, getattr(torch, options.dtype), device="cuda")
    rows = list(cases(engine, options.tiles, options.batches, options.answers, options.rounds))
    config = {"text_model": QWEN2_0_5B, "dtype": options.dtype, "prompt_tokens": 64}
    write_result(options.out, {"benchmark": "graph_decode", "config": config, "rounds": options.rounds, "rows": rows})


if __name__ == "__main__":
    main()
