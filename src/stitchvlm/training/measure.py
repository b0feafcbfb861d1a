"""How good is a pair? Exact match of both models on a split, and of the large one on few visual tokens.

A quick yardstick for training, on plain transformers with eager attention; the engine has its own evaluation.
Exact match is counted by teacher forcing: greedy decoding gives the answer exactly when every token of it is the likeliest.
"""

import argparse
import io
import json
import random
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoTokenizer, InternVLForConditionalGeneration

from .architecture import visual_features
from .grid import TOKENS_PER_TILE, cut_tiles
from .packing import UNSEEN, Packed, Packer
from .questions import Question
from .tower import normalise

MOST_DRAFT_TOKENS = 14


@dataclass(frozen=True)
class Loaded:
    """A model ready to be measured."""

    model: InternVLForConditionalGeneration
    packer: Packer
    stop: int


@dataclass(frozen=True)
class Item:
    """One question of a split, with its picture."""

    kind: str
    picture: Image.Image
    question: str
    answer: str


def read_split(path: Path) -> list[Item]:
    """All questions of a split with their decoded pictures."""
    items = []
    with zipfile.ZipFile(path) as archive:
        for line in archive.read("questions.jsonl").decode().splitlines():
            entry = json.loads(line)
            picture = Image.open(io.BytesIO(archive.read(entry["image"]))).convert("RGB")
            items.append(Item(entry["kind"], picture, entry["question"], entry["answer"]))
    return items


def load(folder: Path) -> Loaded:
    """A saved model in float32 with eager attention, so that it can show its attention."""
    model = InternVLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return Loaded(model.eval(), Packer(tokenizer), tokenizer.convert_tokens_to_ids("<|im_end|>"))


def _forward(loaded: Loaded, row: Packed, features: torch.Tensor, extra: list[int], attentions: bool = False):
    """Run one row with `extra` tokens behind it; `features` are those of the row's own visual tokens."""
    text = loaded.model.model.language_model
    tokens = torch.tensor([row.tokens + extra])
    embedded = text.embed_tokens(tokens).clone()
    embedded[0, row.visual] = features
    positions = torch.tensor([row.positions + [row.positions[-1] + 1 + k for k in range(len(extra))]])
    length = tokens.shape[1]
    mask = torch.full((length, length), torch.finfo(torch.float32).min).triu(1)[None, None]
    return text(
        inputs_embeds=embedded,
        position_ids=positions,
        attention_mask=mask,
        use_cache=False,
        output_attentions=attentions,
    )


def answered(loaded: Loaded, row: Packed, features: torch.Tensor) -> bool:
    """Whether greedy decoding of the row's one question gives its answer."""
    hidden = _forward(loaded, row, features, []).last_hidden_state[0]
    targets = torch.tensor(row.targets)
    asked = targets != UNSEEN
    return bool((loaded.model.lm_head(hidden[asked]).argmax(-1) == targets[asked]).all())


def guide_map(loaded: Loaded, row: Packed, features: torch.Tensor) -> torch.Tensor:
    """`[visual tokens]`: attention that the small model's text and draft rows pay, summed over layers and heads."""
    draft: list[int] = []
    while len(draft) < MOST_DRAFT_TOKENS and (not draft or draft[-1] != loaded.stop):
        hidden = _forward(loaded, row, features, draft).last_hidden_state[0, -1]
        draft.append(int(loaded.model.lm_head(hidden).argmax()))
    rows = _forward(loaded, row, features, draft[:-1], attentions=True).attentions
    return sum(layer[0, :, row.visual.stop :, row.visual].sum((0, 1)) for layer in rows)


def _rows(loaded: Loaded, item: Item, kept: list[int], total: int, answer: bool) -> Packed:
    question = Question(item.kind, item.question, item.answer, (0, 0, 1, 1))
    row = loaded.packer.pack([question], kept, total)
    if answer:
        return row
    end = next(k for k, target in enumerate(row.targets) if target != UNSEEN) + 1
    return Packed(row.tokens[:end], row.positions[:end], row.segments[:end], row.targets[:end], row.visual)


@torch.no_grad()
def measure(
    small: Loaded, large: Loaded, items: list[Item], share: float = 0.09, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Exact-match shares by kind and over all: small and large alone, large on guided and on random tokens."""
    rng = random.Random(seed)
    scores: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        pixels = normalise(cut_tiles(item.picture), torch.device("cpu"))
        seen = {
            name: visual_features(m.model, pixels).flatten(0, 1) for name, m in (("small", small), ("large", large))
        }
        total = len(pixels) * TOKENS_PER_TILE
        everything = list(range(total))
        count = max(1, int(share * total))
        guide = guide_map(small, _rows(small, item, everything, total, answer=False), seen["small"])
        choices = {
            "large": everything,
            "guided": sorted(guide.topk(count).indices.tolist()),
            "random": sorted(rng.sample(everything, count)),
        }
        found = {"small": answered(small, _rows(small, item, everything, total, answer=True), seen["small"])}
        for name, kept in choices.items():
            found[name] = answered(large, _rows(large, item, kept, total, answer=True), seen["large"][kept])
        for name, good in found.items():
            scores[name][item.kind].append(good)
            scores[name]["all"].append(good)
    return {name: {kind: sum(v) / len(v) for kind, v in sorted(kinds.items())} for name, kinds in scores.items()}


def main() -> None:
    """`python -m stitchvlm.training.measure PAIR_DIR SPLIT.zip`: print the table as JSON."""
    parser = argparse.ArgumentParser(prog="python -m stitchvlm.training.measure", description=__doc__)
    parser.add_argument("pair", type=Path)
    parser.add_argument("split", type=Path)
    parser.add_argument(
        "--share", type=float, default=0.09, help="share of the visual tokens that the large model keeps"
    )
    parser.add_argument("--limit", type=int, help="only the first questions")
    given = parser.parse_args()
    items = read_split(given.split)[: given.limit]
    table = measure(load(given.pair / "small"), load(given.pair / "large"), items, given.share)
    for name, kinds in table.items():
        print(json.dumps({"method": name, **{kind: round(value, 4) for kind, value in kinds.items()}}))


if __name__ == "__main__":
    main()
