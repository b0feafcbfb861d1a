"""Runs the stages of one model in order, each resumable, and saves the finished model in transformers' own format."""

import hashlib
import json
import random
import shutil
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from .align import align_words
from .architecture import EMBEDDING_SCALE, grow_language_model
from .attention import use_plain_attention
from .cache import PictureSet, render_set
from .checkpoint import Log, load_state, write_atomically
from .documents.real import read_receipts
from .guiding import Guide
from .kinds import KINDS, features
from .language import LanguageTrainer, Lesson
from .loop import Deadline, LossAt, run_stage
from .packing import Packer
from .placing import place_receipts
from .recipe import Recipe, Stage
from .recipes import SETTLED
from .saved import load_saved, save_model
from .tokenizer import special_tokens, train_tokenizer
from .tower import DenseReader, ViewBatch, Views, dense_loss, normalise, vary_light
from .worlds import Receipts, world_of

FEWEST_PLACED = 0.1
"""Share of lines below which places are not kept."""
CHECK_EVERY, CHECK_BATCHES, TOWER_BATCHES = 200, 8, 3
_LANGUAGE = ("model.language_model.", "lm_head.")


def compile_layers(model: PreTrainedModel) -> None:
    """Let all layers that the model has by now run compiled."""
    for layer in model.modules():
        if isinstance(layer, GradientCheckpointingLayer):  # what all of transformers' layers are
            layer.compile(dynamic=False)


def heads_beside(folder: Path) -> Path:
    """Where the dense heads of a model's tower lie: training goes on with them, and nothing else needs them."""
    whole = folder.resolve()
    return whole.with_name(f"{whole.name}-heads.safetensors")


class Pipeline:
    """One model on its way through a recipe. Checkpoints and the log lie in `folder`."""

    def __init__(
        self,
        which: str,
        recipe: Recipe,
        data: Path,
        folder: Path,
        seed: int,
        device: torch.device,
        compiled: bool = False,
        workers: int = 2,
    ) -> None:
        """With `compiled` all layers are (`torch.compile`), which needs a C++ compiler on a CPU.

        So many `workers` draw what is drawn on the way.
        """
        self._data, self._workers = data, workers
        self.which, self.recipe, self.folder, self.seed, self.device = which, recipe, folder, seed, device
        self.log = Log(folder / "log.jsonl")
        self.kind = KINDS[recipe.kind]
        self.tokenizer = train_tokenizer(self.kind.picture_tokens, recipe.speech)
        self.packer = Packer(self.tokenizer, self.kind.chat)
        self.sets = {
            name: PictureSet(data, name, pictures.cut, recipe.labels, world_of(pictures.style))
            for name, pictures in recipe.pictures.items()
        }
        special = special_tokens(self.kind.picture_tokens)
        tokens = {token: self.tokenizer.convert_tokens_to_ids(token) for token in special}
        size = replace(recipe.sizes[which], text_mlp=self._mlp_width(recipe.stages[which][0]))
        self.model = self.kind.build(size, tokens, len(self.tokenizer), seed).to(device)
        use_plain_attention(self.model)
        self._reader = DenseReader(self.model, recipe.labels).to(device)
        self._compiled = compiled

    def begin_with(self, folder: Path, stage_name: str | None = None) -> str:
        """Take the weights of a saved model, with which the named stage (or the last one) begins; the stage's name.

        The heads beside it are kept with the state, since language stages leave none of their own.

        Raises:
            ValueError: if there is no such stage or model, or the model or the heads beside it do not fit the stage.
        """
        name = self._take(folder, stage_name)
        given = self._reader.own_weights() if heads_beside(folder).exists() else {}
        write_atomically(self._begun, lambda path: save_file(given, path, {"stage": name}))
        return name

    @property
    def _begun(self) -> Path:
        """Written when a run begins with a saved model: the heads that came with it, perhaps none."""
        return self.folder / "begun.safetensors"

    def _take(self, folder: Path, stage_name: str | None = None) -> str:
        stages = {stage.name: stage for stage in self.recipe.stages[self.which]}
        name = stage_name or list(stages)[-1]
        if name not in stages:
            raise ValueError(f"the {self.which} model has no stage {name!r}: choose one of {', '.join(stages)}")
        weights = load_saved(folder, self.tokenizer).state_dict()
        if heads_beside(folder).exists():
            self._load_heads(heads_beside(folder))
        self._widen_for(stages[name])
        if stages[name].lesson is None:  # a tower goes on alone; the language model behind it starts anew
            weights = self.model.state_dict() | {k: v for k, v in weights.items() if not k.startswith(_LANGUAGE)}
        try:
            self.model.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(
                f"the model in {folder} has other sizes than the {self.which} one: name another"
            ) from error
        return name

    def _load_heads(self, file: Path) -> None:
        try:
            heads = load_file(file)
            if heads.keys() != self._reader.own_weights().keys():
                raise ValueError("its heads are others")
            self._reader.load_state_dict(heads, strict=False)
        except (SafetensorError, OSError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"{file} does not hold the heads of this tower: fetch it again, or remove it to go on without them"
            ) from error

    def grows(self) -> bool:
        """Whether it is still to grow out of the smaller model, which it does unless it began with a saved one."""
        return not self.has_state(of_language=True) and not (self.has_state() and self._begun.exists())

    def grow_from(self, smaller: "Pipeline", saved: Path | None = None) -> None:
        """Begin as the model of `smaller`, made as deep and as wide as this one, which computes exactly what that did.

        With `saved` that is the model in this folder, whether or not it is finished.

        Raises:
            ValueError: if `smaller` is not finished.
        """
        if saved is not None:
            smaller._take(saved)
        elif not smaller.finished():
            raise ValueError(
                f"the {self.which} model grows out of the {smaller.which} one, which is not finished: train that first"
            )
        else:
            smaller.load_latest()
        heads = smaller._heads() or smaller._reader.own_weights()
        text, vision = self.model.config.text_config, self.model.config.vision_config
        grow_language_model(smaller.model, text.num_hidden_layers, text.intermediate_size)
        if vision.num_hidden_layers > smaller.model.config.vision_config.num_hidden_layers:
            self.kind.deepen_vision(smaller.model, vision.num_hidden_layers)
        self.model.load_state_dict(smaller.model.state_dict())
        self._reader.load_state_dict(heads, strict=False)

    def finished(self) -> bool:
        """Whether the last stage has used up its budget."""
        last = self.recipe.stages[self.which][-1]
        state = load_state(self._checkpoint(last))
        return state is not None and last.budget.progress(state["step"], state["seconds"]) >= 1.0

    def has_state(self, of_language: bool = False) -> bool:
        """Whether any stage has left a checkpoint, or any language stage, since the tower's hold no language model."""
        stages = self.recipe.stages[self.which]
        return any(self._checkpoint(stage).exists() for stage in stages if stage.lesson or not of_language)

    def run(self, deadline: Deadline, begin: str | None = None) -> bool:
        """Go on from the newest checkpoint, or from the stage `begin`, to the end; False when the deadline came first.

        A checkpoint holds all that the stages before it have made of the model, so these are not looked at again.
        """
        self._check_tokenizer()
        stages = self.recipe.stages[self.which]
        first = max(
            (k for k, stage in enumerate(stages) if self._checkpoint(stage).exists() or stage.name == begin), default=0
        )
        return all(self._ready(stage, deadline) and self._run(stage, deadline) for stage in stages[first:])

    def _check_tokenizer(self) -> None:
        """Remember by which tokenizer the state is, or compare it.

        Raises:
            ValueError: if the state was made with another one, whose numbers mean other tokens.
        """
        path = self.folder / "tokenizer.sha256"
        digest = hashlib.sha256(self.tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
        if self.has_state() and path.exists() and path.read_text() != digest:
            raise ValueError(
                f"the training state in {self.folder} has another tokenizer: the wordings have changed, choose another folder"
            )
        write_atomically(path, lambda partial: partial.write_text(digest))

    def _ready(self, stage: Stage, deadline: Deadline) -> bool:
        """Draw what the stage shows of real receipts; False when the deadline came first.

        The first stage that shows any has their characters placed, so that all of them are drawn alike.
        """
        places = self._data / "places.json"
        real = [name for name, pictures in self.recipe.pictures.items() if isinstance(pictures.style, Receipts)]
        shown = [name for name in self._known(stage.shown) if name in real]
        drawn = any(any(self._data.glob(f"{name}-0*.json")) for name in real)
        if stage.places and shown and not drawn and not places.exists():
            if (state := load_state(self._checkpoint(stage))) is not None:
                self._reader.load_state_dict(state["module"])
            self._place(places)
        for name in shown:
            pictures = self.recipe.pictures[name]
            style = replace(pictures.style, places=str(places) if places.exists() else None)
            own = pictures.count, pictures.seed, style, (), self._workers, deadline, self.log, pictures.cut
            if not render_set(self._data, name, *own, self.recipe.labels):
                return False
            self.sets[name].refresh()
        return True

    def _place(self, places: Path) -> None:
        """Let the tower say where the characters of receipts stand, at the size at which whole ones are shown."""
        shown = (pictures for pictures in self.recipe.pictures.values() if isinstance(pictures.style, Receipts))
        whole = next(pictures for pictures in shown if not pictures.style.parts)
        receipts = read_receipts(whole.style.folder)
        found = place_receipts(self._reader, receipts, whole.cut)
        lines = [spans for each in found.values() for spans in each]
        placed = sum(spans is not None for spans in lines)
        self.log(placed=placed, lines=len(lines), receipts=len(receipts))
        if placed < FEWEST_PLACED * len(lines):  # a tower that cannot read yet, as one without its dense heads
            self.log(warning="the tower reads too little to place characters: real receipts are shown without labels")
            return
        write_atomically(places, lambda path: path.write_text(json.dumps(found)))

    def _checkpoint(self, stage: Stage) -> Path:
        return self.folder / f"{stage.name}.pt"

    def _mlp_width(self, stage: Stage) -> int:
        return stage.text_mlp or self.recipe.sizes[self.which].text_mlp

    def _widen_for(self, stage: Stage) -> None:
        """Bring the language model's MLPs to the width that the stage wants."""
        text, wanted = self.model.config.text_config, self._mlp_width(stage)
        if wanted != text.intermediate_size:
            grow_language_model(self.model, text.num_hidden_layers, wanted)

    def _run(self, stage: Stage, deadline: Deadline) -> bool:
        checkpoint = self._checkpoint(stage)
        self._widen_for(stage)
        if self._compiled:
            compile_layers(self.model)
        if stage.lesson is None:
            reader = self._reader
            loss_at = self._tower_loss(reader, stage)
            return run_stage(stage.name, reader, loss_at, stage.budget, checkpoint, self.log, deadline)
        if not checkpoint.exists() and not self.model.lm_head.weight.any():
            self._match_scales(self._views(stage.lesson.sets[:1]))
            align_words(self.model, self._reader.heads, self.tokenizer, self.recipe.labels)
        for part in self.kind.vision(self.model).values():
            part.requires_grad_(False)
        loss_at = self._language_loss(stage, stage.lesson)
        return run_stage(stage.name, self.model, loss_at, stage.budget, checkpoint, self.log, deadline)

    def _known(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of the sets that this run has."""
        return tuple(name for name in names if name in self.sets)

    def _views(self, names: tuple[str, ...]) -> Views:
        """Of those of the sets that this run has."""
        sets = [self.sets[name] for name in self._known(names)]
        return Views(sets, self.recipe.labels.characters)

    @torch.no_grad()
    def _match_scales(self, some: Views) -> None:
        """Scale the visual features to the size of the token embeddings, before the language model has seen it."""
        views = normalise(some.draw(random.Random(self.seed), 64, tries=3).views, self.device)
        size = features(self.model, views).square().mean().sqrt()
        last = self.kind.last_projection(self.model)
        last.weight.mul_(EMBEDDING_SCALE / size)
        last.bias.mul_(EMBEDDING_SCALE / size)

    def _read(
        self, reader: DenseReader, shown: ViewBatch, rng: random.Random | None = None
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Loss and figures of views, in another light where there is an `rng`."""
        pixels = normalise(shown.views, self.device)
        with torch.autocast(self.device.type, torch.bfloat16):
            said = reader(pixels if rng is None else vary_light(pixels, rng))
        told = torch.as_tensor(shown.labels, device=self.device)
        return dense_loss(said, told, self.recipe.labels)

    def _tower_loss(self, reader: DenseReader, stage: Stage) -> LossAt:
        train = self._views(stage.sets)
        checks = {name: self._views((name,)) for name in self._known(stage.checks)}

        def loss_at(step: int, _: float) -> tuple[torch.Tensor, dict[str, float]]:
            if step % CHECK_EVERY == CHECK_EVERY - 1:
                for name, views in checks.items():
                    self.log(check=stage.name, on=name, step=step, **self._check_tower(reader, views))
            rng = random.Random(f"{self.seed}-{stage.name}-{step}")
            shown = train.draw(rng, stage.tiles_a_step, stage.tries)
            return self._read(reader, self._large_enough(shown, stage.least_points), rng)

        return loss_at

    def _large_enough(self, shown: ViewBatch, least: int) -> ViewBatch:
        """The views with labels of characters on at least so many points."""
        if least <= 1 or self.recipe.labels.without_small is None:
            return shown
        return shown._replace(labels=self.recipe.labels.without_small(shown.labels, shown.shape, least))

    @torch.no_grad()
    def _check_tower(self, reader: DenseReader, check: Views) -> dict[str, float]:
        """The figures of unseen pictures, means over a few batches."""
        totals: dict[str, float] = defaultdict(float)
        for number in range(TOWER_BATCHES):
            shown = check.draw(random.Random(number), 48, tries=1)
            for name, value in self._read(reader, shown)[1].items():
                totals[name] += value / TOWER_BATCHES
        return totals

    def _language_loss(self, stage: Stage, lesson: Lesson) -> LossAt:
        seed = f"{self.seed}-{self.which}-{stage.name}"
        trainer = LanguageTrainer(self.model, self.packer, self.sets, lesson, seed, self._guiding(lesson))
        names = self._known(f"{name}-check" for name in lesson.sets)
        plain = Lesson(
            sets=names,
            tiles=lesson.tiles,
            pictures=16,
            questions=6,
            first_shares=SETTLED,
            last_shares=SETTLED,
            most_things=(9, 9),
            document_shares=lesson.document_shares,
            most_tiles=lesson.most_tiles,
        )
        check = LanguageTrainer(self.model, self.packer, self.sets, plain, "check") if names else None

        def loss_at(step: int, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
            if check and step % CHECK_EVERY == CHECK_EVERY - 1:
                self.log(check=stage.name, step=step, **check.figures(CHECK_BATCHES))
            return trainer.loss_at(step, progress)

        return loss_at

    @property
    def _guide(self) -> Path:
        """The model that says which tokens stay. It is kept with the state, so that a resumed run goes on with the same one."""
        return self.folder / "guide"

    def lacks_guide(self) -> bool:
        """Whether a lesson wants a guide and none is kept yet."""
        lessons = [stage.lesson for stage in self.recipe.stages[self.which] if stage.lesson is not None]
        return any(lesson.wants_guide for lesson in lessons) and not self._guide.exists()

    def keep_guide(self, saved: Path) -> None:
        """Let the model in this folder be the guide.

        Raises:
            ValueError: if there is none, or its tokenizer is another one.
        """
        load_saved(saved, self.tokenizer)
        partial = self._guide.with_name("guide.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(saved, partial)
        partial.rename(self._guide)

    def _guiding(self, lesson: Lesson) -> Guide | None:
        """The guide, where the lesson wants one."""
        if not lesson.wants_guide:
            return None
        if not self._guide.exists():
            self.log(warning="no smaller model that could guide: what stays is kept around the answers")
            return None
        model = load_saved(self._guide, self.tokenizer).to(self.device)
        if self._compiled:
            compile_layers(model)
        return Guide(model)

    def load_latest(self) -> str | None:
        """Bring the model to the newest state of its language stages, without training; the stage's name, or None."""
        for stage in reversed(self.recipe.stages[self.which]):
            state = load_state(self._checkpoint(stage)) if stage.lesson else None
            if state is not None:
                self._widen_for(stage)
                self.model.load_state_dict(state["module"])
                return stage.name
        return None

    def _heads(self) -> dict[str, torch.Tensor] | None:
        """The tower's heads as its last stage has left them, but for the size that visual features have by now.

        Where no stage of the tower was learned, those that came with the model that the run began with.
        """
        last = self.kind.last_projection(self.model)
        name = next(name for name, part in self._reader.named_modules() if part is last)
        for stage in reversed(self.recipe.stages[self.which]):
            state = load_state(self._checkpoint(stage)) if stage.lesson is None else None
            if state is not None:
                heads = {own: state["module"][own] for own in self._reader.own_weights()}
                larger = last.weight.detach().norm() / state["module"][f"{name}.weight"].norm()
                for behind in ("heads.weight", "place_head.weight"):  # what patches say is read before the projector
                    if behind in heads:
                        heads[behind] = heads[behind] / larger
                return heads
        return (load_file(self._begun) or None) if self._begun.exists() else None

    def save(self, folder: Path) -> None:
        """Write the model in bfloat16 with tokenizer and processor files, and beside its folder the tower's heads."""
        save_model(self.model, folder)
        heads = {name: weight.bfloat16().contiguous() for name, weight in (self._heads() or {}).items()}
        if heads:
            write_atomically(heads_beside(folder), lambda path: save_file(heads, path))
        else:
            heads_beside(folder).unlink(missing_ok=True)
        self.kind.save_processor(self.tokenizer, folder)
