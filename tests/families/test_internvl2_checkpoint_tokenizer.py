"""The release's tokenizers, rebuilt natively: ids, decoding, BOS, image and stop tokens, against sentencepiece."""

import io
import json
import random
import re
from pathlib import Path

import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from stitchvlm.errors import DataError
from stitchvlm.families.internvl2_checkpoint import load_tokenizer, stop_token_ids
from stitchvlm.families.internvl2_checkpoint.sentencepiece_bpe import build_tokenizer, read_model

_IMAGE_TOKENS = ["<img>", "</img>", "<IMG_CONTEXT>", "<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>"]
_CORPUS = [
    "The quick brown fox jumps over the lazy dog. 12345 67890",
    "What is written on the red circle? The sign says STOP.",
    "你好，世界。这是一个测试。图片里写着什么？",
    "def f(x):\n    return x + 1",
    "prices: $3.99 and $12.50, 50% off!",
    "naïve café résumé",
]
_TEXTS = [
    "Hello world", " leading space", "  two spaces", "trailing  ", "a  b   c", "\n", "\n\n a\n", "", "   ", "12345",
    "x\ty", "你好 世界", "emoji 😀👩‍👩‍👧 ok", "▁under", "café", "ﬁ ½ Ａ", "<0x0A>", "中\u3000文",
    "\u200b\ud7ff", "e\u0301",
]  # fmt: skip


def _random_texts(count: int) -> list[str]:
    chooser = random.Random(0)
    alphabet = "abc  \n 你好世界😀é1239.,<>|▁\t\u00a0"
    return ["".join(chooser.choices(alphabet, k=chooser.randint(1, 30))) for _ in range(count)]


def _train(folder: Path, **options) -> sentencepiece.SentencePieceProcessor:
    """Train a small BPE model of InternLM2's kind (byte fallback, digits split) into `folder`."""
    settings = {
        "model_type": "bpe", "vocab_size": 430, "byte_fallback": True, "character_coverage": 0.98,
        "split_digits": True,
        "add_dummy_prefix": False, "remove_extra_whitespaces": False, "normalization_rule_name": "identity",
        "allow_whitespace_only_pieces": True, "unk_id": 0, "bos_id": 1, "eos_id": 2, "pad_id": -1, "minloglevel": 2,
        "user_defined_symbols": ["[UNUSED_1]", "[UNUSED_2]", "[UNUSED_3]"],
    } | options  # fmt: skip
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(_CORPUS * 40), model_writer=model, **settings)
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))


def _declare(folder: Path, tokens: dict[str, int], **config) -> None:
    """Write the small files next to a tokenizer as the release does."""
    (folder / "added_tokens.json").write_text(json.dumps({name: index for name, index in tokens.items() if index > 4}))
    decoder = {index: {"content": name, "special": True, "normalized": False} for name, index in tokens.items()}
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder, **config}))
    specials = {name: config[name] for name in ("bos_token", "eos_token", "unk_token", "pad_token") if name in config}
    (folder / "special_tokens_map.json").write_text(json.dumps(specials))


def _config(template: str, vocab_size: int) -> dict:
    return {"template": template, "llm_config": {"vocab_size": vocab_size}}


_SENTENCEPIECE_SPECIALS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>"}


def _internlm2(folder: Path, **options) -> tuple[sentencepiece.SentencePieceProcessor, dict[str, int], dict]:
    """InternLM2's layout: two unused pieces renamed, the image tokens behind the model's end, remote code named."""
    own = _train(folder, **options)
    tokens = {"<unk>": 0, "<s>": 1, "</s>": 2, "<|im_end|>": 3, "<|im_start|>": 4}
    tokens |= {name: own.get_piece_size() + index for index, name in enumerate(_IMAGE_TOKENS)}
    remote_code = {"AutoTokenizer": ["tokenization_internlm2.InternLM2Tokenizer", None]}
    _declare(folder, tokens, tokenizer_class="InternLM2Tokenizer", auto_map=remote_code, **_SENTENCEPIECE_SPECIALS)
    return own, tokens, _config("internlm2-chat", max(tokens.values()) + 1)


def _release_ids(own: sentencepiece.SentencePieceProcessor, tokens: dict[str, int], text: str) -> list[int]:
    """What the release's Python tokenizer does: cut out added tokens, give what is between them to sentencepiece."""
    longest_first = sorted(tokens, key=len, reverse=True)
    stretches = re.split("(" + "|".join(map(re.escape, longest_first)) + ")", text)
    return [index for part in stretches for index in ([tokens[part]] if part in tokens else own.encode(part))]


@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize(("rule", "tidy"), [("identity", False), ("identity", True), ("nmt_nfkc", True)])
def test_plain_text_is_encoded_and_decoded_as_sentencepiece_does(
    tmp_path: Path, prefix: bool, rule: str, tidy: bool
) -> None:
    own = _train(tmp_path, add_dummy_prefix=prefix, remove_extra_whitespaces=tidy, normalization_rule_name=rule)
    tokenizer = build_tokenizer(read_model(tmp_path / "tokenizer.model"), {}, "model")
    for text in _TEXTS + _random_texts(200):
        ids = own.encode(text)
        assert tokenizer.encode(text).ids == ids, text
        assert tokenizer.decode(ids, skip_special_tokens=False) == own.decode(ids), text


@pytest.mark.parametrize("prefix", [False, True])
def test_internlm2_ids_are_those_of_the_release(tmp_path: Path, prefix: bool) -> None:
    own, tokens, config = _internlm2(tmp_path, add_dummy_prefix=prefix)
    tokenizer = load_tokenizer(tmp_path, config)
    chooser = random.Random(1)
    parts = [*tokens, *_TEXTS, *_random_texts(20)]
    for _ in range(200):
        text = "".join(chooser.choices(parts, k=4))
        assert tokenizer(text).input_ids == [1, *_release_ids(own, tokens, text)], text
    for text in _TEXTS:
        ids = own.encode(text)
        assert tokenizer.decode([1, *ids, 3], skip_special_tokens=True) == own.decode(ids), text


def test_internlm2_special_tokens(tmp_path: Path) -> None:
    own, _, config = _internlm2(tmp_path)
    tokenizer = load_tokenizer(tmp_path, config)
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == ("<s>", "<|im_end|>", "</s>")
    assert stop_token_ids(tokenizer, config) == [3] == [tokenizer.eos_token_id]
    assert (tokenizer.start_image_token, tokenizer.end_image_token) == ("<img>", "</img>")
    assert tokenizer.context_image_token == "<IMG_CONTEXT>"
    size = own.get_piece_size()
    assert tokenizer.start_image_token_id == size
    assert tokenizer.end_image_token_id == size + 1
    assert tokenizer.context_image_token_id == size + 2
    assert len(tokenizer) == size + len(_IMAGE_TOKENS)
    assert tokenizer.padding_side == "left"
    assert tokenizer("a[UNUSED_3]b").input_ids == [1, *own.encode("a[UNUSED_3]b")]


def test_a_prompt_has_the_ids_that_the_release_feeds(tmp_path: Path) -> None:
    own, tokens, config = _internlm2(tmp_path)
    tokenizer = load_tokenizer(tmp_path, config)
    message = [{"type": "image"}, {"type": "text", "text": "What is written?"}]
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": message}], add_generation_prompt=True, tokenize=False
    )
    prompt = prompt.replace("<IMG_CONTEXT>", "<img>" + "<IMG_CONTEXT>" * 3 + "</img>")
    ids = tokenizer(prompt).input_ids
    assert ids == [1, *_release_ids(own, tokens, prompt)]
    image = [tokens[name] for name in ("<img>", "<IMG_CONTEXT>", "<IMG_CONTEXT>", "<IMG_CONTEXT>", "</img>")]
    start = ids.index(tokens["<img>"])
    assert ids[start : start + 5] == image
    assert ids[start + 5 :] == [*own.encode("\nWhat is written?"), 3, 4, *own.encode("assistant\n")]


def test_a_batch_is_padded_on_the_left(tmp_path: Path) -> None:
    _, _, config = _internlm2(tmp_path)
    tokenizer = load_tokenizer(tmp_path, config)
    batch = tokenizer(["a", "a b c d"], padding=True)
    assert batch.input_ids[0][0] == tokenizer.pad_token_id == 2
    assert batch.attention_mask[0][0] == 0


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("bos", [True, False])
def test_llama_settings_decide_prefix_and_bos(tmp_path: Path, legacy: bool, bos: bool) -> None:
    own = _train(tmp_path, add_dummy_prefix=True)
    proto = sentencepiece_model_pb2.ModelProto.FromString((tmp_path / "tokenizer.model").read_bytes())
    proto.normalizer_spec.add_dummy_prefix = False
    bare = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    tokens = {"<unk>": 0, "<s>": 1, "</s>": 2, "<|im_end|>": 3, "<|im_start|>": 4}
    tokens |= {name: own.get_piece_size() + index for index, name in enumerate(_IMAGE_TOKENS)}
    settings = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": bos, "legacy": legacy}
    _declare(tmp_path, tokens, **_SENTENCEPIECE_SPECIALS, **settings)
    tokenizer = load_tokenizer(tmp_path, _config("Hermes-2", max(tokens.values()) + 1))
    text = "<|im_start|>user\nred circle<|im_end|>"
    expected = _release_ids(own if legacy else bare, tokens, text)
    assert tokenizer(text).input_ids == ([1] if bos else []) + expected


def test_phi3_tokens_swallow_the_white_space_behind_them(tmp_path: Path) -> None:
    own = _train(tmp_path, add_dummy_prefix=True)
    size = own.get_piece_size()
    tokens = {name: size + index for index, name in enumerate(["<|endoftext|>", "<|user|>", "<|end|>", *_IMAGE_TOKENS])}
    decoder = {
        index: {"content": name, "special": True, "rstrip": name in ("<|user|>", "<|end|>")}
        for name, index in tokens.items()
    }
    settings = {"tokenizer_class": "LlamaTokenizer", "legacy": True, "added_tokens_decoder": decoder}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    config = _config("phi3-chat", size + len(tokens))
    tokenizer = load_tokenizer(tmp_path, config)
    assert tokenizer("<|user|>\nred<|end|>").input_ids == [1, tokens["<|user|>"], *own.encode("red"), tokens["<|end|>"]]
    assert stop_token_ids(tokenizer, config) == [tokens["<|end|>"]]


def _byte_level() -> Tokenizer:
    vocab = {letter: index for index, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab | {"re": 256, "red": 257}, [("r", "e"), ("re", "d")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def test_qwen2_vocab_and_merges(tmp_path: Path) -> None:
    backend = _byte_level()
    (tmp_path / "vocab.json").write_text(json.dumps(backend.get_vocab()))
    (tmp_path / "merges.txt").write_text("#version: 0.2\nr e\nre d\n")
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *_IMAGE_TOKENS]
    tokens = {name: 258 + index for index, name in enumerate(names)}
    specials = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "bos_token": None}
    _declare(tmp_path, tokens, tokenizer_class="Qwen2Tokenizer", **specials)
    config = _config("Hermes-2", 258 + len(names))
    tokenizer = load_tokenizer(tmp_path, config)
    expected = [259, *backend.encode("user").ids, *backend.encode("\n").ids, 257, *backend.encode(" 你").ids, 260]
    assert tokenizer("<|im_start|>user\nred 你<|im_end|>").input_ids == expected
    assert tokenizer.decode(expected, skip_special_tokens=True) == "user\nred 你"
    assert tokenizer.context_image_token_id == 263
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (260, 258)
    assert stop_token_ids(tokenizer, config) == [260]


def test_a_serialized_tokenizer_keeps_its_own_bos_rule(tmp_path: Path) -> None:
    backend = _byte_level()
    names = ["<|begin_of_text|>", "<|im_start|>", "<|im_end|>", *_IMAGE_TOKENS]
    backend.add_special_tokens([AddedToken(name, special=True) for name in names])
    backend.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A $B", special_tokens=[("<|begin_of_text|>", 258)]
    )
    backend.save(str(tmp_path / "tokenizer.json"))
    specials = {"bos_token": "<|begin_of_text|>", "eos_token": {"content": "<|im_end|>", "special": True}}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **specials}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    config = _config("internlm2-chat", 258 + len(names))
    tokenizer = load_tokenizer(tmp_path, config)
    assert tokenizer("<|im_start|>red<|im_end|>").input_ids == [258, 259, 257, 260]
    assert tokenizer.context_image_token_id == 263
    assert tokenizer.pad_token_id == 260
    assert tokenizer.decode([258, 257, 260], skip_special_tokens=True) == "red"


def test_nothing_in_the_folder_is_run(tmp_path: Path) -> None:
    _, _, config = _internlm2(tmp_path)
    (tmp_path / "tokenization_internlm2.py").write_text("raise SystemExit('remote code was run')")
    load_tokenizer(tmp_path, config)


def _no_files(folder: Path) -> None:
    (folder / "tokenizer.model").unlink()


def _damaged_model(folder: Path) -> None:
    (folder / "tokenizer.model").write_bytes(b"\xff\xfenot a model")


def _unigram_model(folder: Path) -> None:
    _train(folder, model_type="unigram", vocab_size=340)


def _damaged_settings(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text("{")


def _damaged_serialization(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"model": 3}')


def _other_ids(folder: Path) -> None:
    (folder / "added_tokens.json").write_text(json.dumps({"<extra>": 9999}))


def _unfitting_merges(folder: Path) -> None:
    (folder / "tokenizer.model").unlink()
    (folder / "vocab.json").write_text(json.dumps({"a": 0}))
    (folder / "merges.txt").write_text("b c\n")


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (_unfitting_merges, ValueError, "vocab.json and merges.txt in"),
        (_no_files, DataError, "no tokenizer.json, tokenizer.model or vocab.json"),
        (_damaged_model, ValueError, "tokenizer.model is no sentencepiece model"),
        (_unigram_model, ValueError, "tokenizer.model is no sentencepiece BPE model"),
        (_damaged_settings, ValueError, "tokenizer_config.json is not valid JSON"),
        (_damaged_serialization, ValueError, "tokenizer.json is no tokenizer"),
        (_other_ids, ValueError, "<extra> should have id 9999"),
    ],
)
def test_damaged_tokenizers_are_named(tmp_path: Path, damage, error: type, message: str) -> None:
    _, _, config = _internlm2(tmp_path)
    damage(tmp_path)
    with pytest.raises(error, match=message):
        load_tokenizer(tmp_path, config)


def test_a_tokenizer_of_another_checkpoint_is_refused(tmp_path: Path) -> None:
    _, _, config = _internlm2(tmp_path)
    config["llm_config"]["vocab_size"] -= 9
    with pytest.raises(ValueError, match="has no <img>"):
        load_tokenizer(tmp_path, config)
