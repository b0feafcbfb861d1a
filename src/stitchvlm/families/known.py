"""Checkpoints by their hub ids and pairs of them that go together: names alone, nothing is loaded or looked up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stitchvlm.embedded import DOCUMENT_PAIR, EMBEDDED_PAIR
from stitchvlm.families.base import Family


@dataclass(frozen=True)
class Line:
    """A line of checkpoints that differ in size.

    Attributes:
        config: as much of their config.json as tells their family.
        checkpoints: hub ids, the smallest first.
    """

    name: str
    config: dict[str, Any]
    checkpoints: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """A small and a large checkpoint, and who has measured what the one does for the other."""

    small: str
    large: str
    source: str = ""


_PAPER = "arXiv 2412.03324"


def _ids(pattern: str, *sizes: str) -> tuple[str, ...]:
    return tuple(pattern.format(size) for size in sizes)


_LINES = (
    Line(
        "InternVL2",
        {"model_type": "internvl_chat", "llm_config": {}, "vision_config": {}},
        _ids("OpenGVLab/InternVL2-{}", "1B", "2B", "4B", "8B", "26B", "40B", "Llama3-76B"),
    ),
    Line(
        "InternVL3",
        {"model_type": "internvl"},
        _ids("OpenGVLab/InternVL3-{}-hf", "1B", "2B", "8B", "14B", "38B", "78B"),
    ),
    Line(
        "InternVL3.5",
        {"model_type": "internvl"},
        _ids("OpenGVLab/InternVL3_5-{}-HF", "1B", "2B", "4B", "8B", "14B", "38B"),
    ),
    Line("Qwen2-VL", {"model_type": "qwen2_vl"}, _ids("Qwen/Qwen2-VL-{}-Instruct", "2B", "7B", "72B")),
    Line("Qwen2.5-VL", {"model_type": "qwen2_5_vl"}, _ids("Qwen/Qwen2.5-VL-{}-Instruct", "3B", "7B", "32B", "72B")),
    Line("Qwen3-VL", {"model_type": "qwen3_vl"}, _ids("Qwen/Qwen3-VL-{}-Instruct", "2B", "4B", "8B", "32B")),
    Line(
        "LLaVA-OneVision",
        {"model_type": "llava_onevision"},
        _ids("llava-hf/llava-onevision-qwen2-{}-ov-hf", "0.5b", "7b", "72b"),
    ),
)
_PAIRS = (
    Pair("OpenGVLab/InternVL2-2B", "OpenGVLab/InternVL2-26B", _PAPER),
    Pair("OpenGVLab/InternVL2-2B", "OpenGVLab/InternVL2-40B", _PAPER),
    Pair("OpenGVLab/InternVL2-2B", "OpenGVLab/InternVL2-Llama3-76B", _PAPER),
    Pair("Qwen/Qwen2-VL-2B-Instruct", "Qwen/Qwen2-VL-72B-Instruct", _PAPER),
    Pair("llava-hf/llava-onevision-qwen2-0.5b-ov-hf", "llava-hf/llava-onevision-qwen2-7b-ov-hf", _PAPER),
    Pair("llava-hf/llava-onevision-qwen2-0.5b-ov-hf", "llava-hf/llava-onevision-qwen2-72b-ov-hf", _PAPER),
    Pair("OpenGVLab/InternVL2-2B", "llava-hf/llava-onevision-qwen2-72b-ov-hf", _PAPER),
    Pair("OpenGVLab/InternVL3-1B-hf", "OpenGVLab/InternVL3-38B-hf"),
    Pair("OpenGVLab/InternVL3-2B-hf", "OpenGVLab/InternVL3-78B-hf"),
    Pair("OpenGVLab/InternVL3_5-1B-HF", "OpenGVLab/InternVL3_5-38B-HF"),
    Pair("Qwen/Qwen2.5-VL-3B-Instruct", "Qwen/Qwen2.5-VL-72B-Instruct"),
    Pair("Qwen/Qwen3-VL-2B-Instruct", "Qwen/Qwen3-VL-32B-Instruct"),
)
_EMBEDDED_PAIRS = (Pair(*EMBEDDED_PAIR), Pair(EMBEDDED_PAIR[0], "embedded:qwen2-vl"), Pair(*DOCUMENT_PAIR))


def small_for(large: str) -> str | None:
    """A small checkpoint that is known to go with a large one."""
    return next((pair.small for pair in (*_PAIRS, *_EMBEDDED_PAIRS) if pair.large == large), None)


def large_for(small: str) -> str | None:
    """A large checkpoint that is known to go with a small one."""
    return next((pair.large for pair in (*_PAIRS, *_EMBEDDED_PAIRS) if pair.small == small), None)


def known_lines(families: Sequence[Family]) -> list[tuple[Family, Line]]:
    """The lines of checkpoints that one of these families drives, with that family."""
    found = [(next((family for family in families if family.matches(line.config)), None), line) for line in _LINES]
    return [(family, line) for family, line in found if family is not None]


def known_pairs(families: Sequence[Family]) -> list[Pair]:
    """The pairs both of whose checkpoints these families drive."""
    driven = {checkpoint for _, line in known_lines(families) for checkpoint in line.checkpoints}
    return [pair for pair in _PAIRS if {pair.small, pair.large} <= driven]
