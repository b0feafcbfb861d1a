"""Models that bitsandbytes has quantized, on a CPU: what of them is, and that they answer as transformers' own do.

The reference is loaded by transformers from a config that is written out here, and asked by its generate.
"""

import pytest
import torch
from test_engine import picture
from tiny import LLAVA, QWEN_VL, save_tiny_internvl, save_tiny_llava_onevision, save_tiny_qwen_vl
from transformers import (
    BitsAndBytesConfig,
    InternVLForConditionalGeneration,
    LlavaOnevisionForConditionalGeneration,
    Qwen2VLForConditionalGeneration,
    Qwen3VLForConditionalGeneration,
)

from stitchvlm import Sampling, Stitch, make_question
from stitchvlm.commands.quiet import quieten
from stitchvlm.engine import Engine
from stitchvlm.families import load_vlm

bitsandbytes = pytest.importorskip("bitsandbytes", reason="real quantizing needs the extra `quantize`")

WIDTH, N_ANSWER = 128, 6
"""Quantizers work on blocks of 64 weights."""
BITS = {"int8": bitsandbytes.nn.Linear8bitLt, "int4": bitsandbytes.nn.Linear4bit}
BESIDE = ["lm_head", "model.vision_tower", "model.multi_modal_projector"]
CLASSES = {
    "qwen2": (InternVLForConditionalGeneration, BESIDE),
    "qwen2_vl": (Qwen2VLForConditionalGeneration, ["lm_head", "model.visual"]),
    "qwen3_vl": (Qwen3VLForConditionalGeneration, ["lm_head", "model.visual"]),
    LLAVA: (LlavaOnevisionForConditionalGeneration, BESIDE),
}
"""By the name of the tiny checkpoint, its class and the parts of it that keep their type."""
PICTURE = picture(90, 60)
QUESTION = make_question("What is it?", PICTURE)


@pytest.fixture(scope="module", params=CLASSES)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory):
    folder = tmp_path_factory.mktemp(kind)
    if kind == LLAVA:
        return str(save_tiny_llava_onevision(folder, n_layers=3, width=WIDTH))
    if kind in QWEN_VL:
        rope = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [8, 12, 12]}
        rope |= {"mrope_interleaved": True} if kind == "qwen3_vl" else {}
        return str(save_tiny_qwen_vl(folder, kind, n_layers=3, width=WIDTH, rope_parameters=rope))
    return str(save_tiny_internvl(folder, kind, n_layers=3, width=WIDTH))


@pytest.fixture(scope="module", params=BITS)
def bits(request):
    return request.param


@pytest.fixture(scope="module")
def quantized(folder, bits):
    return Engine(load_vlm(folder, torch.float32, "cpu", quantize=bits))


@pytest.fixture(scope="module")
def whole(folder):
    return Engine(load_vlm(folder, torch.float32, "cpu"))


def test_the_decoders_linear_layers_are_quantized_and_nothing_else(quantized, whole, bits):
    before = dict(whole.vlm.model.named_modules())
    n_quantized = 0
    for name, part in quantized.vlm.model.named_modules():
        if name.startswith("model.language_model.layers.") and isinstance(before[name], torch.nn.Linear):
            assert type(part) is BITS[bits] and part.weight.dtype in (torch.int8, torch.uint8), name
            n_quantized += 1
        else:
            assert type(part) is type(before[name]), name
            for own, weight in part.named_parameters(recurse=False):
                assert torch.equal(weight, before[name].get_parameter(own)), f"{name}.{own}"
    assert n_quantized == 3 * 7


def test_logits_differ_little_from_those_of_the_whole_model(quantized, whole, bits):
    ours, expected = (one.prefill(one.embed(one.prepare([QUESTION]))).logits for one in (quantized, whole))
    error = float((ours - expected).abs().mean() / expected.std())
    assert 0 < error < {"int8": 0.1, "int4": 0.5}[bits], (
        "the mean difference of logits that know nothing of each other is 1.1"
    )


def test_commands_keep_bitsandbytes_from_talking(quantized, caplog):
    quieten()
    quantized.prefill(quantized.embed(quantized.prepare([QUESTION])))
    assert not [record for record in caplog.records if record.name.startswith("bitsandbytes")]


def test_with_everything_kept_the_answer_is_that_of_transformers_generate(kind, folder, bits):
    """In int8 without a draft: outliers among all tokens of a pass are treated apart, so that a longer pass rounds otherwise."""
    pair = Stitch.from_pretrained(
        folder,
        folder,
        exit="never",
        keep=1.0,
        device="cpu",
        dtype="float32",
        quantize=bits,
        sampling=Sampling(N_ANSWER),
        reuse_drafts=bits != "int8",
    )
    answer = pair("What is it?", image=PICTURE)
    assert (answer.trace.n_proposed > 0) == (bits != "int8")
    model_class, kept = CLASSES[kind]
    told = {"load_in_8bit": True} if bits == "int8" else {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    config = BitsAndBytesConfig(**told, bnb_4bit_compute_dtype=torch.float32, llm_int8_skip_modules=kept)
    model = model_class.from_pretrained(
        folder, dtype=torch.float32, device_map={"": "cpu"}, quantization_config=config
    ).eval()
    vlm = pair.cascade.large().vlm
    inputs = vlm.family.prepare(vlm, [QUESTION], None)
    ids = inputs.token_ids[0][None]
    given = vlm.family.forward_inputs(vlm, ids, inputs) | {"attention_mask": torch.ones_like(ids)}
    expected = model.generate(**given, eos_token_id=list(vlm.stop_ids), do_sample=False, max_new_tokens=N_ANSWER)
    assert answer.text == vlm.tokenizer.decode(expected[0, ids.shape[1] :], skip_special_tokens=True)
    assert answer.trace.n_kept == answer.trace.n_visual > 0
