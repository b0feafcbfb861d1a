"""InternVL2's conversation templates, against texts written out by hand."""

import pytest
from jinja2 import TemplateError
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from stitchvlm.families.internvl2_checkpoint.template import chat_template, conversation

_SYSTEM = "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, 是一个有用无害的人工智能助手。"
_ONE_QUESTION = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is this?"}]}]
_CHATML = (
    f"<|im_start|>system\n{_SYSTEM}<|im_end|>"
    "<|im_start|>user\n<IMG_CONTEXT>\nWhat is this?<|im_end|><|im_start|>assistant\n"
)


def _render(config: dict, messages: list[dict], **options) -> str:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE({}, [])))
    tokenizer.chat_template = chat_template(config)
    return tokenizer.apply_chat_template(messages, tokenize=False, **{"add_generation_prompt": True, **options})


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("Hermes-2", _CHATML),
        ("internlm2-chat", _CHATML),
        ("phi3-chat", f"<|system|>\n{_SYSTEM}<|end|><|user|>\n<IMG_CONTEXT>\nWhat is this?<|end|><|assistant|>\n"),
        (
            "internvl2_5",
            "<|im_start|>system\n你是书生·万象，英文名是InternVL，是由上海人工智能实验室、"
            "清华大学及多家合作单位联合开发的多模态大语言模型。<|im_end|>\n"
            "<|im_start|>user\n<IMG_CONTEXT>\nWhat is this?<|im_end|>\n<|im_start|>assistant\n",
        ),
    ],
)
def test_a_question_about_a_picture(template: str, expected: str) -> None:
    assert _render({"template": template}, _ONE_QUESTION) == expected


def test_an_own_system_message_and_several_turns() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "  What {{ is }} this?\n\n"},
        {"role": "assistant", "content": [{"type": "text", "text": "A 'cat'."}]},
        {"role": "user", "content": [{"type": "text", "text": "And "}, {"type": "text", "text": "now?"}]},
    ]
    assert _render({"template": "phi3-chat"}, messages) == (
        "<|system|>\nBe brief.<|end|><|user|>\n  What {{ is }} this?\n\n<|end|><|assistant|>\nA 'cat'.<|end|>"
        "<|user|>\nAnd now?<|end|><|assistant|>\n"
    )


def test_several_pictures_stand_where_the_release_puts_them() -> None:
    content = [
        {"type": "text", "text": "Image-1: "},
        {"type": "image"},
        {"type": "text", "text": "Image-2: "},
        {"type": "image"},
        {"type": "text", "text": "Compare them."},
    ]
    text = _render({"template": "Hermes-2"}, [{"role": "user", "content": content}], add_generation_prompt=False)
    question = "Image-1: <IMG_CONTEXT>\nImage-2: <IMG_CONTEXT>\nCompare them."
    assert text == f"<|im_start|>system\n{_SYSTEM}<|im_end|><|im_start|>user\n{question}<|im_end|>"


def test_the_checkpoints_own_system_message_wins() -> None:
    config = {"template": "Hermes-2", "system_message": 'Say "yes" 😀\\n'}
    text = _render(config, [{"role": "user", "content": "Hi"}])
    assert text.startswith('<|im_start|>system\nSay "yes" 😀\\n<|im_end|>')


@pytest.mark.parametrize(
    ("template", "stop"), [("Hermes-2", "<|im_end|>"), ("phi3-chat", "<|end|>"), ("internvl2_5", "<|im_end|>")]
)
def test_stop_token(template: str, stop: str) -> None:
    assert conversation({"template": template}).stop_token == stop


def test_unknown_template_role_and_content_are_refused() -> None:
    with pytest.raises(ValueError, match="template is 'vicuna'"):
        chat_template({"template": "vicuna"})
    with pytest.raises(TemplateError, match="no role tool"):
        _render({"template": "Hermes-2"}, [{"role": "tool", "content": "x"}])
    with pytest.raises(TemplateError, match="not audio"):
        _render({"template": "Hermes-2"}, [{"role": "user", "content": [{"type": "audio"}]}])
