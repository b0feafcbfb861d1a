"""InternVL2's conversation templates, written as chat templates.

The release renders a conversation as a system block followed by turns, each closed by one separator and with nothing
between the separator and the next role. Its picture placeholder `<image>` becomes a single `<IMG_CONTEXT>` here, for
the caller to expand. The templates `Hermes-2` (1B, 40B), `internlm2-chat` (2B, 8B, 26B, Llama3-76B) and `phi3-chat`
(4B) are InternVL2's; `internvl2_5` is that of the InternVL2.5 and InternVL3 checkpoints in the same layout.
"""

import json
from dataclasses import dataclass

IMAGE_START, IMAGE_END, IMAGE_CONTEXT = "<img>", "</img>", "<IMG_CONTEXT>"

# In words: "You are the multimodal model developed by Shanghai AI Laboratory with SenseTime, called InternVL in
# English, a helpful and harmless assistant." The models were tuned with exactly this text: no character may change.
_SYSTEM_2 = (
    "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, 是一个有用无害的人工智能助手。"
)
_SYSTEM_2_5 = (
    "你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的多模态大语言模型。"
)


@dataclass(frozen=True)
class Conversation:
    """How a checkpoint writes a conversation: what opens its three roles, what closes a turn, its own system text."""

    system: str
    user: str
    assistant: str
    end: str
    system_message: str

    @property
    def stop_token(self) -> str:
        """The token whose generation ends an answer."""
        return self.end.strip()


_CHATML = {"system": "<|im_start|>system\n", "user": "<|im_start|>user\n", "assistant": "<|im_start|>assistant\n"}
_PHI3 = {"system": "<|system|>\n", "user": "<|user|>\n", "assistant": "<|assistant|>\n"}
_CONVERSATIONS = {
    "Hermes-2": Conversation(**_CHATML, end="<|im_end|>", system_message=_SYSTEM_2),
    "internlm2-chat": Conversation(**_CHATML, end="<|im_end|>", system_message=_SYSTEM_2),
    "phi3-chat": Conversation(**_PHI3, end="<|end|>", system_message=_SYSTEM_2),
    "internvl2_5": Conversation(**_CHATML, end="<|im_end|>\n", system_message=_SYSTEM_2_5),
}

_CHAT_TEMPLATE = """
{%- macro render(content) -%}
    {%- if content is string -%}
        {{- content -}}
    {%- else -%}
        {%- for part in content -%}
            {%- if part['type'] == 'image' -%}
                {{- IMAGE + '\\n' -}}
            {%- elif part['type'] == 'text' -%}
                {{- part['text'] -}}
            {%- else -%}
                {{- raise_exception('InternVL2 takes image and text content, not ' + part['type']) -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
{%- if messages and messages[0]['role'] == 'system' -%}
    {{- SYSTEM + render(messages[0]['content']) + END -}}
    {%- set turns = messages[1:] -%}
{%- else -%}
    {{- SYSTEM + SYSTEM_MESSAGE + END -}}
    {%- set turns = messages -%}
{%- endif -%}
{%- for turn in turns -%}
    {%- if turn['role'] == 'user' -%}
        {{- USER + render(turn['content']) + END -}}
    {%- elif turn['role'] == 'assistant' -%}
        {{- ASSISTANT + render(turn['content']) + END -}}
    {%- else -%}
        {{- raise_exception('InternVL2 has no role ' + turn['role'] + ' here: system first, then user, assistant') -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- ASSISTANT -}}{%- endif -%}
"""


def conversation(config: dict) -> Conversation:
    """The conversation style that a raw config.json names; ValueError when it names an unknown one."""
    name = config.get("template")
    if name not in _CONVERSATIONS:
        raise ValueError(f"template is {name!r} in config.json; known are {', '.join(_CONVERSATIONS)}.")
    return _CONVERSATIONS[name]


def chat_template(config: dict) -> str:
    """The Jinja chat template that renders transformers-style messages as the release renders its conversation."""
    style = conversation(config)
    constants = {
        "IMAGE": IMAGE_CONTEXT,
        "SYSTEM": style.system,
        "SYSTEM_MESSAGE": config.get("system_message", style.system_message),
        "USER": style.user,
        "ASSISTANT": style.assistant,
        "END": style.end,
    }
    # Jinja reads JSON's escapes, so a JSON string is a safe Jinja literal.
    assignments = (f"{{%- set {name} = {json.dumps(text, ensure_ascii=False)} -%}}" for name, text in constants.items())
    return "".join(assignments) + _CHAT_TEMPLATE.strip()
