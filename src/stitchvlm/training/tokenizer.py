"""The pair's tokenizer: byte-level BPE learned from the question corpus; capitals and digits are always single tokens."""

import json
import random
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from . import questions
from .grid import CELLS, MAX_TILES, MIN_TILES, TILE
from .words import COLOUR_NAMES, NOUNS, SYSTEM_PROMPTS, TAG_ITEMS

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<img>",
    "</img>",
    "<IMG_CONTEXT>",
    "<video>",
)
VOCABULARY = 512
_WORDS = r"<\|[a-z_]+\|>| ?[a-z]+|[A-Z]|[0-9]|\s|[^\sA-Za-z0-9]+"

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}<IMG_CONTEXT>\n"
    "{% elif content['type'] == 'video' %}<video>\n"
    "{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def corpus(seed: int = 0, lines: int = 6000) -> list[str]:
    """Question wordings filled with random words, and the answers in words."""
    rng = random.Random(seed)
    groups = [
        value
        for name, value in vars(questions).items()
        if name.isupper() and isinstance(value, tuple) and "KINDS" not in name
    ]
    templates = [template for group in groups for template in group]
    made = []
    for _ in range(lines):
        it = f"the {rng.choice(COLOUR_NAMES)} {rng.choice((*NOUNS, 'shape', 'one'))}"
        text = rng.choice(templates).format(
            it=it, item=rng.choice(TAG_ITEMS), noun=rng.choice(NOUNS), colour=rng.choice(COLOUR_NAMES), text="K7B"
        )
        made += [
            text,
            f"{rng.choice(COLOUR_NAMES)} {rng.choice(NOUNS)} K7B",
            rng.choice(COLOUR_NAMES),
            rng.choice(NOUNS),
            "user",
            "assistant",
            "system",
        ]
        made.append(f"{rng.choice(('top', 'middle', 'bottom'))} {rng.choice(('left', 'center', 'right'))}")
    return made + list(SYSTEM_PROMPTS) * 20 + list(TAG_ITEMS) * 20


def train_tokenizer() -> PreTrainedTokenizerFast:
    """Learn the vocabulary; any text can be encoded, down to single bytes."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(corpus(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        extra_special_tokens={
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
        padding_side="left",
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )


def save_processor(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write tokenizer, chat template, image processor and processor settings as `AutoProcessor` expects them."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    image = {
        "image_processor_type": "GotOcr2ImageProcessor",
        "processor_class": "InternVLProcessor",
        "crop_to_patches": True,
        "min_patches": MIN_TILES,
        "max_patches": MAX_TILES,
        "do_convert_rgb": True,
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "size": {"height": TILE, "width": TILE},
        "resample": 3,
        "rescale_factor": 1 / 255,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(image, indent=2) + "\n")
    processor = {"processor_class": "InternVLProcessor", "image_seq_length": CELLS * CELLS}
    (folder / "processor_config.json").write_text(json.dumps(processor, indent=2) + "\n")
