"""What a model family has to say about itself. Only the files of this folder know transformers' model classes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import Cache
from transformers.utils.quantization_config import QuantizationConfigMixin

from stitchvlm.attention import Tap
from stitchvlm.layout import VisualLayout
from stitchvlm.methods.base import VisionEvidence
from stitchvlm.plural import counted
from stitchvlm.records import Question
from stitchvlm.reduction import TokenStream
from stitchvlm.schedule import Shrink
from stitchvlm.shapes import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class VLM:
    """A loaded vision-language model: ordinary transformers objects and the family that knows how to drive them.

    Attributes:
        source: the hub id or folder it came from.
        model: the ``PreTrainedModel`` that generates.
        tokenizer: None for a bare model that only ever sees and gives token ids.
        stop_ids: token ids that end an answer.
        placeholder_id: token id that stands for one visual token in a prompt.
    """

    source: str
    family: "Family"
    model: Any
    tokenizer: Any
    image_processor: Any
    stop_ids: tuple[int, ...]
    placeholder_id: int

    @property
    def device(self) -> torch.device:
        """Where token ids and embeddings start: under a device map where the embedding runs, wherever it is kept."""
        embedding = self.model.get_input_embeddings()
        place = getattr(getattr(embedding, "_hf_hook", None), "execution_device", None)
        return embedding.weight.device if place is None else torch.device(place)

    @property
    def pad_id(self) -> int:
        """The id on padding, as transformers' generate would have it; 0 where the tokenizer names none."""
        pad_id = None if self.tokenizer is None else self.tokenizer.pad_token_id
        return 0 if pad_id is None else pad_id


CutPictures = dict[tuple, Float[Tensor, "_tiles 3 _height _width"]]
"""Tiles of pictures, by the picture and by all that decides how it is cut, so that models that cut alike do it once."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """A batch of questions as numbers, still on the CPU.

    Attributes:
        token_ids: per row the prompt with one placeholder id per visual token.
        tiles: everything the vision encoder sees, rows one after the other; neighbours of one size may lie in one tensor. A
            picture that is not cut is one tile of its own size.
        layouts: per row where its visual tokens sit.
        n_unshrunk: per row how many visual tokens its pictures make when nobody asks to shrink them.
    """

    token_ids: tuple[Int[Tensor, " _n_tokens"], ...]
    tiles: tuple[Float[Tensor, "_tiles 3 _height _width"], ...]
    layouts: tuple[VisualLayout, ...]
    n_unshrunk: tuple[int, ...]

    @property
    def pixels(self) -> Float[Tensor, "tiles 3 height width"] | None:
        """All tiles where they are of one size; None without pictures."""
        return torch.cat(self.tiles) if self.tiles else None

    def tiles_seen(
        self, present: Sequence[Int[Tensor, " _n_present"]] | None = None
    ) -> tuple[Bool[Tensor, " _tiles"], ...]:
        """Per tensor of ``tiles`` which of them the visual tokens ``present``, per row, are made of; None for all tokens."""
        present = present or [torch.arange(layout.n_visual) for layout in self.layouts]
        shown = [layout.tiles_shown(there) for layout, there in zip(self.layouts, present, strict=True)]
        return torch.cat(shown).split([len(tiles) for tiles in self.tiles])


@dataclass(frozen=True, eq=False)
class Prompt:
    """A batch ready for the decoder.

    Attributes:
        stream: the tokens as they enter layer 0.
        token_ids: their ids, padded like the stream, as logits processors expect them.
        layouts: per row where its visual tokens sit.
        next_position: per row the position id of the first generated token.
        present: per row the ordinals of the visual tokens in the stream; those of tiles that were not encoded are not there.
        vision: per row what the vision encoder attended to, where that was asked for.
    """

    stream: TokenStream
    token_ids: Int[Tensor, "batch length"]
    layouts: tuple[VisualLayout, ...]
    next_position: Int[Tensor, " batch"]
    present: tuple[Int[Tensor, " _n_present"], ...]
    vision: tuple[VisionEvidence, ...] | None = None

    def rows(self, rows: Sequence[int]) -> "Prompt":
        """Some of the questions, padded as before."""
        place, some = torch.tensor(rows, device=self.token_ids.device), self.stream
        stream = TokenStream(
            hidden=some.hidden[place],
            positions=some.positions[..., place, :],
            index=some.index[place],
            ordinal=some.ordinal[place],
            lengths=tuple(some.lengths[row] for row in rows),
            size=None if some.size is None else some.size[place],
            deepstack=None if some.deepstack is None else some.deepstack[:, place],
        )
        return Prompt(
            stream,
            self.token_ids[place],
            tuple(self.layouts[row] for row in rows),
            self.next_position[place],
            tuple(self.present[row] for row in rows),
            None if self.vision is None else tuple(self.vision[row] for row in rows),
        )


@dataclass(frozen=True, eq=False)
class Decoder:
    """The language model's parts, driven one stretch of layers at a time.

    Attributes:
        windows: per layer its sliding window in tokens, None for full attention.
        max_positions: how many positions the model was made for.
    """

    layers: nn.ModuleList
    embedding: nn.Module
    rotary: nn.Module
    norm: nn.Module
    head: nn.Module
    windows: tuple[int | None, ...]
    max_positions: int

    @property
    def parts(self) -> tuple[nn.Module, ...]:
        """All that has weights."""
        return self.layers, self.embedding, self.norm, self.head

    @property
    def spread(self) -> bool:
        """Whether accelerate moves states and weights between devices on the way."""
        return any(hasattr(layer, "_hf_hook") for layer in self.layers)

    def run(
        self,
        stream: TokenStream,
        cache: Cache | None,
        layers: range,
        masks: Mapping[int | None, Bool[Tensor, "batch 1 length keys"] | Float[Tensor, "batch 1 length keys"] | None],
        tap: Tap | None = None,
        angles: tuple[Tensor, ...] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        """The stream's states after ``layers``.

        Args:
            masks: one per window size in use, to be added if it is float.
            angles: the rotary embedding of the stream's positions, where somebody has worked it out already.
        """
        hidden = stream.hidden
        position_embeddings = self.rotary(hidden, stream.positions) if angles is None else angles
        for layer in layers:
            hidden = self.layers[layer](
                hidden,
                position_embeddings=position_embeddings,
                attention_mask=masks[self.windows[layer]],
                past_key_values=cache,
                tap=tap,
            )
            if stream.deepstack is not None and layer < len(stream.deepstack):
                hidden = hidden + stream.deepstack[layer].to(hidden)
        return hidden

    def logits(self, hidden: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch length vocabulary"]:
        """Next-token logits in float32."""
        return self.head(self.norm(hidden)).float()


class Family(ABC):
    """A stateless adapter for one kind of model. Adding a family is writing one subclass and naming it in the registry.

    Attributes:
        shows_vision: whether :meth:`encode_and_show` can tell what the vision encoder attends to.
        cuts_pictures: False where a picture is one tile whatever ``max_tiles`` is.
    """

    name: ClassVar[str]
    shows_vision: ClassVar[bool] = False
    cuts_pictures: ClassVar[bool] = True

    @property
    def crops(self) -> bool:
        """Whether a part of a picture may be encoded as if it had been cut out, for which :meth:`encoded_around` is there."""
        return type(self).encoded_around is not Family.encoded_around

    @abstractmethod
    def matches(self, config: dict[str, Any]) -> bool:
        """Whether a checkpoint with this ``config.json`` belongs to the family."""

    @abstractmethod
    def load(
        self,
        source: str,
        folder: Path,
        dtype: torch.dtype | None,
        device_map: str | dict | None,
        quantize: QuantizationConfigMixin | None = None,
    ) -> VLM:
        """Load the checkpoint in ``folder``; ``dtype`` None takes the checkpoint's own.

        With the ``device_map`` ``"meta"`` the model has no weights and none are read: it is only to :meth:`prepare` questions.

        Args:
            quantize: how transformers is to quantize the weights; never given where :meth:`check_quantize` refuses.

        Raises:
            ValueError: if the checkpoint is incomplete or broken.
        """

    def check_quantize(self, source: str, config: dict[str, Any]) -> None:  # noqa: B027 (most have nothing to refuse)
        """Raise a ValueError if transformers cannot quantize such a checkpoint while it is loaded."""

    def unquantized(self, vlm: VLM) -> list[str]:
        """Names of the linear layers that keep their type where others are quantized; ``vlm`` may have no weights.

        All that are not in the decoder's layers, where most bits are, unless a family says otherwise.
        """
        quantized = set(self.decoder(vlm).layers.modules())
        named = vlm.model.named_modules()
        return [name for name, part in named if isinstance(part, nn.Linear) and part not in quantized]

    def cuts_margins(self, vlm: VLM) -> bool:
        """Whether scanned pages are shown without their blank margins, so that how one is cut depends on what is written."""
        return False

    @abstractmethod
    def prepare(
        self,
        vlm: VLM,
        questions: Sequence[Question],
        max_tiles: int | None,
        to: Shrink | None = None,
        cut: CutPictures | None = None,
    ) -> Inputs:
        """Questions to numbers.

        Args:
            cut: pictures that were cut already, for this model or another one, to be used and added to.
            max_tiles: bounds the tiles per picture; None takes the checkpoint's own bound. Where pictures are not cut, 256 visual
                tokens count as one tile.
            to: how small each picture is made; one visual token is the least.
        """

    @abstractmethod
    def encode(
        self, vlm: VLM, inputs: Inputs, present: Sequence[Int[Tensor, " _n_present"]] | None = None
    ) -> Float[Tensor, "n_present width"]:
        """The vision encoder and projector: one embedding per visual token that is ``present``, rows one after the other.

        Behind each embedding may lie what the family adds to its state in later layers.

        Args:
            present: per row ordinals as :meth:`encoded_with` gives them; None for all.
        """

    def encoded_with(self, layout: VisualLayout, wanted: Int[Tensor, " _n_wanted"]) -> Int[Tensor, " _n_present"]:
        """Ordinals of all visual tokens that come out of the vision encoder where the ``wanted`` ones are to; ascending.

        All of them, unless a family encodes parts of a picture independently of each other.
        """
        return torch.arange(layout.n_visual)

    def encoded_around(self, layout: VisualLayout, wanted: Int[Tensor, " _n_wanted"]) -> Int[Tensor, " _n_present"]:
        """As :meth:`encoded_with`, where a part of a picture may be encoded as if it had been cut out; ascending."""
        return self.encoded_with(layout, wanted)

    def encoded_tiles(
        self, vlm: VLM, inputs: Inputs, present: Sequence[Int[Tensor, " _n_present"]] | None = None
    ) -> tuple[Float[Tensor, "_tiles 3 _height _width"], ...]:
        """What :meth:`encode` runs through the vision encoder for the same arguments, to count its work.

        By default the tiles that some ``present`` token is made of.
        """
        if present is None:
            return inputs.tiles
        seen = zip(inputs.tiles, inputs.tiles_seen(present), strict=True)
        return tuple(tiles[some] for tiles, some in seen if some.any())

    def encode_and_show(
        self, vlm: VLM, inputs: Inputs
    ) -> tuple[Float[Tensor, "n_visual width"], tuple[VisionEvidence, ...]]:
        """As :meth:`encode`, and per row what the encoder attended to, for families with ``shows_vision``."""
        raise NotImplementedError(f"{self.name} does not show what its vision encoder attends to")

    @abstractmethod
    def embed(
        self,
        vlm: VLM,
        inputs: Inputs,
        visual: Float[Tensor, "n_present width"],
        present: Sequence[Int[Tensor, " _n_present"]] | None = None,
    ) -> Prompt:
        """Text embeddings with the visual ones that are ``present`` in their places, padded on the left to one batch."""

    def decoder(self, vlm: VLM) -> Decoder:
        """The parts of the language model, as transformers' vision-language classes name them."""
        text, config = vlm.model.model.language_model, vlm.model.config.text_config
        return Decoder(
            layers=text.layers,
            embedding=text.embed_tokens,
            rotary=text.rotary_emb,
            norm=text.norm,
            head=vlm.model.lm_head,
            windows=decoder_windows(config),
            max_positions=config.max_position_embeddings,
        )

    def forward_inputs(
        self, vlm: VLM, token_ids: Int[Tensor, "batch length"], inputs: Inputs
    ) -> dict[str, Tensor | None]:
        """What transformers' own forward takes for ``token_ids`` about the pictures of ``inputs``, for who compares with it."""
        pixels = inputs.pixels
        return {"input_ids": token_ids, "pixel_values": None if pixels is None else pixels.to(vlm.device)}


def pad_left(rows: Sequence[Int[Tensor, " _length"]], value: int) -> Int[Tensor, "batch longest"]:
    """Rows of different length as one tensor, ``value`` in front of the shorter ones."""
    longest = max(len(row) for row in rows)
    return torch.stack([nn.functional.pad(row, (longest - len(row), 0), value=value) for row in rows])


def decoder_windows(text_config: Any) -> tuple[int | None, ...]:
    """The sliding window of every layer of a text model.

    ``layer_types`` says which layers slide; models without it (Phi-3) slide everywhere if a window is set at all.
    """
    window = getattr(text_config, "sliding_window", None)
    types = getattr(text_config, "layer_types", None) or ["sliding_attention"] * text_config.num_hidden_layers
    return tuple(window if kind == "sliding_attention" else None for kind in types)


def assemble_prompt(
    inputs: Inputs,
    visual: Float[Tensor, "n_present width"],
    vlm: VLM,
    present: Sequence[Int[Tensor, " _n_present"]] | None = None,
) -> Prompt:
    """Token embeddings with the visual ones in their places, padded on the left; positions count 0, 1, 2, … in each row.

    Visual tokens that are not ``present`` leave no trace but the gap in places and positions.

    Raises:
        ValueError: if the vision encoder gives another number of tokens than the layouts speak of.
    """
    present = present or [torch.arange(layout.n_visual) for layout in inputs.layouts]
    n_expected = sum(map(len, present))
    if visual.shape[0] != n_expected:
        raise ValueError(
            f"{vlm.source} made {counted(visual.shape[0], 'visual token')} where its config promises {n_expected}"
        )
    device, embedding = vlm.device, vlm.model.get_input_embeddings()
    token_ids = pad_left(inputs.token_ids, value=vlm.pad_id).to(device)
    rows = [_places(layout, there) for layout, there in zip(inputs.layouts, present, strict=True)]
    index = pad_left([places for places, _ in rows], value=-1).to(device)
    ordinal = pad_left([ordinals for _, ordinals in rows], value=-1).to(device)
    ids = [ids[places] for ids, (places, _) in zip(inputs.token_ids, rows, strict=True)]
    hidden = embedding(pad_left(ids, value=vlm.pad_id).to(device))
    hidden = hidden.masked_scatter((ordinal >= 0)[..., None], visual.to(hidden))
    stream = TokenStream(hidden, index.clamp(min=0), index, ordinal, tuple(map(len, ids)))
    ends = torch.tensor([layout.n_tokens for layout in inputs.layouts], device=device)
    return Prompt(stream, token_ids, inputs.layouts, ends, tuple(present))


def no_embeddings(vlm: VLM) -> Float[Tensor, "0 width"]:
    """What an encoder gives where no picture is seen."""
    return torch.empty(0, vlm.model.config.text_config.hidden_size, dtype=vlm.model.dtype, device=vlm.device)


def _places(
    layout: VisualLayout, present: Int[Tensor, " n_present"]
) -> tuple[Int[Tensor, " n_there"], Int[Tensor, " n_there"]]:
    """Places of the prompt's tokens that are there, and the ordinal of each that is visual; -1 for text."""
    ordinal, there = torch.full((layout.n_tokens,), -1), torch.ones(layout.n_tokens, dtype=torch.bool)
    there[layout.index] = False
    there[layout.index[present]] = True
    ordinal[layout.index] = torch.arange(layout.n_visual)
    return there.nonzero().squeeze(1), ordinal[there]
