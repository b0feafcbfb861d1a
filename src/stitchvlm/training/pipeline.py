"""Runs the stages of one model in order, each resumable, and saves the finished model in transformers' own format."""

import random
from pathlib import Path

import torch
from transformers import GenerationConfig, InternVLForConditionalGeneration

from .architecture import EMBEDDING_SCALE, SIZES, build_model, grow_language_model, visual_features
from .attention import use_plain_attention
from .cache import PictureSet
from .checkpoint import Log, load_state
from .language import LanguageTrainer, Lesson
from .loop import Deadline, LossAt, run_stage
from .packing import Packer
from .recipe import SETTLED, Recipe, Stage
from .tokenizer import SPECIAL, save_processor, train_tokenizer
from .tower import DenseReader, dense_loss, normalise, tile_batch, vary_light

CHECK_EVERY = 200


class Pipeline:
    """One model on its way through a recipe. Checkpoints and the log lie in `folder`."""

    def __init__(self, which: str, recipe: Recipe, data: Path, folder: Path, seed: int, device: torch.device) -> None:
        self.which, self.recipe, self.folder, self.seed, self.device = which, recipe, folder, seed, device
        self.log = Log(folder / "log.jsonl")
        self.tokenizer = train_tokenizer()
        self.packer = Packer(self.tokenizer)
        self.sets = {name: PictureSet(data, name) for name in recipe.pictures}
        tokens = {token: self.tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
        first = next(stage.text_layers for stage in recipe.stages[which] if stage.lesson)
        self.model = build_model(SIZES[which], tokens, len(self.tokenizer), seed, first).to(device)
        use_plain_attention(self.model)

    def run(self, deadline: Deadline) -> bool:
        """Go through all stages; False when the deadline came before the end."""
        for stage in self.recipe.stages[self.which]:
            if not self._run(stage, deadline):
                return False
        return True

    def _run(self, stage: Stage, deadline: Deadline) -> bool:
        checkpoint = self.folder / f"{stage.name}.pt"
        if stage.lesson is None:
            reader = DenseReader(self.model).to(self.device)
            return run_stage(stage.name, reader, self._tower_loss(reader, stage), stage.budget, checkpoint, self.log, deadline)
        text = self.model.model.language_model
        if len(text.layers) != stage.text_layers:
            grow_language_model(self.model, stage.text_layers or 0)
        if not checkpoint.exists() and not self.model.lm_head.weight.any():
            self._match_scales()
        for part in (self.model.model.vision_tower, self.model.model.multi_modal_projector):
            part.requires_grad_(not stage.lesson.frozen_features)
        loss_at = self._language_loss(stage, stage.lesson)
        return run_stage(stage.name, self.model, loss_at, stage.budget, checkpoint, self.log, deadline)

    @torch.no_grad()
    def _match_scales(self) -> None:
        """Scale the projector's output to the size of the token embeddings, before the language model has seen it."""
        tiles, _ = tile_batch([self.sets["small"]], random.Random(self.seed), 64)
        size = visual_features(self.model, normalise(tiles, self.device)).square().mean().sqrt()
        last = self.model.model.multi_modal_projector.linear_2
        last.weight.mul_(EMBEDDING_SCALE / size)
        last.bias.mul_(EMBEDDING_SCALE / size)

    def _tower_loss(self, reader: DenseReader, stage: Stage) -> LossAt:
        train, check = [self.sets[name] for name in ("page", "small", "page", "wide")], [self.sets["small-check"], self.sets["wide-check"]]

        def loss_at(step: int, _: float) -> tuple[torch.Tensor, dict[str, float]]:
            if step % CHECK_EVERY == CHECK_EVERY - 1:
                self.log(check=stage.name, step=step, **self._check_tower(reader, check))
            rng = random.Random(f"{self.seed}-tower-{step}")
            tiles, labels = tile_batch(train, rng, stage.tiles_a_step)
            with torch.autocast(self.device.type, torch.bfloat16):
                logits = reader(vary_light(normalise(tiles, self.device), rng))
            return dense_loss(logits, torch.as_tensor(labels, device=self.device))

        return loss_at

    @torch.no_grad()
    def _check_tower(self, reader: DenseReader, check: list[PictureSet]) -> dict[str, float]:
        tiles, labels = tile_batch(check, random.Random(0), 192, tries=1)
        with torch.autocast(self.device.type, torch.bfloat16):
            parts = [reader(normalise(tiles[k : k + 48], self.device)) for k in range(0, len(tiles), 48)]
        logits = [torch.cat(column) for column in zip(*parts, strict=True)]
        return dense_loss(logits, torch.as_tensor(labels, device=self.device))[1]

    def _language_loss(self, stage: Stage, lesson: Lesson) -> LossAt:
        trainer = LanguageTrainer(self.model, self.packer, self.sets, lesson, f"{self.seed}-{self.which}-{stage.name}")
        names = tuple(f"{name}-check" for name in lesson.sets)
        plain = Lesson(names, lesson.tiles, 16, 6, SETTLED, SETTLED, (9, 9))
        check = LanguageTrainer(self.model, self.packer, self.sets, plain, "check")

        def loss_at(step: int, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
            if step % CHECK_EVERY == CHECK_EVERY - 1:
                if not lesson.frozen_features:
                    check.bank.clear()
                self.log(check=stage.name, step=step, **check.figures(8))
            return trainer.loss_at(step, progress)

        return loss_at

    def load_latest(self) -> str | None:
        """Bring the model to the newest state of its language stages, without training; the stage's name, or None."""
        latest = None
        for stage in self.recipe.stages[self.which]:
            state = load_state(self.folder / f"{stage.name}.pt") if stage.lesson else None
            if state is not None:
                grow_language_model(self.model, stage.text_layers or 0)
                self.model.load_state_dict(state["module"])
                latest = stage.name
        return latest

    def save(self, folder: Path) -> None:
        """Write the model in bfloat16 with tokenizer and processor files."""
        save_model(self.model, folder)
        save_processor(self.tokenizer, folder)


def save_model(model: InternVLForConditionalGeneration, folder: Path) -> None:
    """bfloat16 safetensors, config and greedy generation defaults."""
    model.config.dtype = torch.bfloat16
    copy = InternVLForConditionalGeneration(model.config).to(torch.bfloat16)
    copy.load_state_dict(model.state_dict())
    text = model.config.text_config
    copy.generation_config = GenerationConfig(eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id)
    copy.save_pretrained(folder)
