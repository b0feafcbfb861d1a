"""Recomputes what the official release recorded, so that any pair in its layout can be compared tensor by tensor.

The folder of a pair holds ``small/`` and ``large/`` checkpoints and ``inputs.json`` / ``inputs.safetensors``. Recorded
expectations beside them are never opened here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from stitchvlm.engine import Engine, Plan
from stitchvlm.errors import DataError
from stitchvlm.exits import SmallEarlyExit
from stitchvlm.families.base import VLM, Inputs, Prompt
from stitchvlm.families.checkpoint import read_json, tap_language_model
from stitchvlm.families.internvl import InternVL
from stitchvlm.families.internvl2_checkpoint import load_model
from stitchvlm.families.tiles import tiled_layout
from stitchvlm.files import replace_file
from stitchvlm.guide import GuidePass, run_guide
from stitchvlm.layout import VisualLayout
from stitchvlm.methods import Guided
from stitchvlm.sampling import Sampling
from stitchvlm.schedule import Schedule


def run_golden(pair: Path, out: Path) -> int:
    """Run every sample of a pair through guide, exit scores and pruning; write all named tensors to ``out``.

    Returns:
        how many tensors were written.

    Raises:
        ValueError: if the folder is not of that form or a file is broken.
    """
    settings = read_json(pair / "inputs.json")
    samples = _load_tensors(pair / "inputs.safetensors")
    small, large = (_engine(pair / which, settings) for which in ("small", "large"))
    tensors: dict[str, Tensor] = {}
    for sample in settings["samples"]:
        name = sample["id"]
        ids, pixels = samples[f"{name}.input_ids"], samples[f"{name}.pixel_values"].float()
        inputs = _inputs(ids, pixels, settings)
        for key, value in _sample(inputs, small, large, settings):
            tensors[f"{name}.{key}"] = value.contiguous()
    with replace_file(out) as temporary:
        temporary.write_bytes(save(tensors))
    return len(tensors)


def _engine(folder: Path, settings: dict[str, Any]) -> Engine:
    """An engine for a recorded checkpoint, which comes without tokenizer: ids go in and come out."""
    model = tap_language_model(load_model(folder, dtype=torch.float32))
    stops = (settings["eos_token_id"],)
    return Engine(VLM(str(folder), InternVL(), model, None, None, stops, settings["img_context_token_id"]))


def _sample(inputs: Inputs, small: Engine, large: Engine, settings: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
    sampling = Sampling(settings["max_new_tokens"], min_new_tokens=settings["min_new_tokens"])
    prompt = small.embed(inputs)
    guide = run_guide(small, prompt, sampling, first_query="last_visual")
    for key, value in _small_tensors(guide, sampling, settings):
        yield f"small.{key}", value
    yield "small.vit_embeds", _visual_embeddings(prompt)
    prompt = large.embed(inputs)
    yield "large.vit_embeds", _visual_embeddings(prompt)
    scores = guide.drafts[0].guide.scores
    for setting in [None, *settings["prune_settings"]]:
        tag, plan = "unpruned", None
        if setting is not None:
            at, keep = map(float, setting)
            tag, plan = f"L{setting[0]}_R{setting[1]}", Plan(Schedule.single(keep, at), Guided(), [scores])
        prefilled = large.prefill(prompt, plan)
        generated = large.decode(prefilled, sampling, keep_logits=True)
        assert generated.logits is not None
        yield f"large.{tag}.tokens", torch.tensor(generated.tokens[0])
        yield f"large.{tag}.raw_logits", generated.logits[0]
        if plan is not None:
            yield f"large.{tag}.keep_positions", _positions(prompt.layouts[0], prefilled.kept[0])


def _small_tensors(guide: GuidePass, sampling: Sampling, settings: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
    engine, draft = guide.engine, guide.drafts[0]
    yield "tokens", torch.tensor(draft.tokens)
    yield "importance", draft.guide.scores
    yield "importance_steps", torch.cat([draft.guide.prefill[None], draft.guide.decode])
    raw = engine.decode(engine.prefill(guide.prompt), sampling, keep_logits=True).logits
    assert raw is not None
    scores = raw[0].clone()
    scores[: settings["min_new_tokens"], settings["eos_token_id"]] = float("-inf")
    yield "raw_logits", raw[0]
    yield "scores", scores
    yield "max_probs", torch.tensor(draft.log_probabilities).exp()
    keep = settings["consistency_token_ratio"]
    verdict = SmallEarlyExit(consistency_keep=keep).judge(guide)[0]
    yield "confidence", torch.tensor([verdict.parts["confidence"]], dtype=torch.float64)
    yield "consistency", torch.tensor([verdict.parts["consistency"]], dtype=torch.float64)
    plan = Plan(Schedule.single(keep, 0), Guided(), [draft.guide.scores])
    yield "consistency_logits", engine.score(guide.prompt, [draft.tokens], plan)[0]
    yield "consistency_probs", torch.tensor(guide.answer_log_probabilities(keep)[0]).exp()
    kept = engine.prefill(guide.prompt, plan).kept[0]
    n_prompt = guide.prompt.layouts[0].n_tokens
    answer = torch.arange(n_prompt, n_prompt + len(draft.tokens))
    yield "consistency_keep_positions", torch.cat([_positions(guide.prompt.layouts[0], kept), answer])


def _inputs(ids: Tensor, pixels: Tensor, settings: dict[str, Any]) -> Inputs:
    """Recorded ids and tiles; the tile grid is not recorded and nothing here depends on it."""
    index = (ids == settings["img_context_token_id"]).nonzero().squeeze(1)
    side = int(settings["num_image_token_per_tile"] ** 0.5)
    grids = [(1, 1)] * pixels.shape[0]
    layout = tiled_layout(index, grids, side, [(side, side)] * len(grids), n_tokens=len(ids))
    return Inputs((ids,), (pixels,), (layout,), (layout.n_visual,))


def _visual_embeddings(prompt: Prompt) -> Tensor:
    return prompt.stream.hidden[0, prompt.layouts[0].index]


def _positions(layout: VisualLayout, kept: Tensor) -> Tensor:
    """Prompt places of all text tokens and the kept visual ones, ascending."""
    stays = torch.ones(layout.n_tokens, dtype=torch.bool)
    stays[layout.index] = False
    stays[layout.index[kept]] = True
    return stays.nonzero().squeeze(1)


def _load_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError:
        raise ValueError(f"{path} is missing: give the folder of a recorded pair") from None
    except SafetensorError as error:
        raise DataError(f"{path} is broken ({error}): copy the pair again") from error
