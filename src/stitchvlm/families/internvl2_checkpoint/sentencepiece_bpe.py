"""A sentencepiece BPE `tokenizer.model` as a native fast tokenizer, with the ids that sentencepiece itself gives."""

from pathlib import Path
from typing import Literal

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from transformers.convert_slow_tokenizer import SentencePieceExtractor, generate_merges

_SPACE = "▁"
_BPE_MODEL = 2
_NORMAL, _USER_DEFINED, _BYTE = 1, 4, 6
_ALL = 1_000_000

Prefix = Literal["model", "first", "never"]


def read_model(path: Path):
    """The parsed sentencepiece model in `path`; ValueError when it is damaged or no BPE model."""
    try:
        proto = SentencePieceExtractor(str(path)).proto
    except ImportError as error:
        raise ValueError(f"Reading {path} needs two packages: pip install sentencepiece protobuf") from error
    except Exception as error:  # the parser's own error class depends on which protobuf is installed
        raise ValueError(f"{path} is no sentencepiece model ({error}). Download it again.") from error
    if proto.trainer_spec.model_type != _BPE_MODEL or not proto.pieces:
        raise ValueError(f"{path} is no sentencepiece BPE model; InternVL2's tokenizers all are. Download it again.")
    return proto


def build_tokenizer(proto, renamed: dict[int, str], prefix: Prefix) -> Tokenizer:
    """The fast tokenizer of a parsed model.

    `renamed` gives ids of the model whose piece the release replaced by a token of its own. `prefix` says where text
    gets the space that sentencepiece puts in front of it: as the model itself says, for every stretch of text between
    added tokens (`model`), only at the beginning of the whole text (`first`), or `never`.
    """
    pieces = [renamed.get(index, piece.piece) for index, piece in enumerate(proto.pieces)]
    vocab = {piece: index for index, piece in enumerate(pieces)}
    scores = [(piece.piece, piece.score) for piece in proto.pieces if piece.type in (_NORMAL, _USER_DEFINED)]
    merges = [
        (left, right)
        for left, right in generate_merges({name: vocab[name] for name, _ in scores if name in vocab}, scores)
        if left + right in vocab
    ]
    fallback = any(piece.type == _BYTE for piece in proto.pieces)
    unknown = pieces[proto.trainer_spec.unk_id]
    tokenizer = Tokenizer(BPE(vocab, merges, unk_token=unknown, fuse_unk=True, byte_fallback=fallback))
    every_stretch = prefix == "model" and proto.normalizer_spec.add_dummy_prefix
    tokenizer.normalizer = _normalizer(proto.normalizer_spec, every_stretch)
    if prefix == "first":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="first", split=False)
    # A model that tidies spaces drops however many lead the text, any other the one it put there.
    leading = _ALL if proto.normalizer_spec.remove_extra_whitespaces else int(every_stretch or prefix == "first")
    tokenizer.decoder = _decoder(leading)
    # sentencepiece never splits these pieces, whatever the merges say. The caller adds the renamed ones, with flags.
    whole = {index: piece.piece for index, piece in enumerate(proto.pieces) if piece.type == _USER_DEFINED}
    tokenizer.add_tokens([AddedToken(whole[index], normalized=False) for index in whole if index not in renamed])
    return tokenizer


def _normalizer(spec, prepend: bool) -> normalizers.Normalizer:
    """The model's own normalisation of a stretch of text, spaces written as `▁`."""
    steps: list[normalizers.Normalizer] = []
    if spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(spec.precompiled_charsmap))
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Replace(Regex(" {2,}"), " "), normalizers.Replace(Regex(r"\A "), "")]
    steps.append(normalizers.Replace(" ", _SPACE))
    if spec.remove_extra_whitespaces:
        # At the end, and only there, sentencepiece also drops a `▁` that was typed.
        steps.append(normalizers.Replace(Regex(rf"{_SPACE}+\z"), ""))
    return normalizers.Sequence([*steps, normalizers.Prepend(_SPACE)] if prepend else steps)


def _decoder(leading_spaces: int) -> decoders.Decoder:
    """Pieces back to text: bytes joined to characters, `▁` to spaces, up to `leading_spaces` dropped in front."""
    steps: list[decoders.Decoder] = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence([*steps, decoders.Strip(" ", leading_spaces, 0)] if leading_spaces else steps)
