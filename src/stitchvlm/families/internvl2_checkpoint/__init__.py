"""The paper's own `InternVL2-*` checkpoints, read into transformers' native InternVL classes; no remote code is run.

The release keeps its own model, tokenizer and conversation code next to the weights (`trust_remote_code`), and that
code no longer runs under transformers 5. Everything in it has a native counterpart, so this package only translates:
the configuration (`config`), the weight names and layouts (`weights`), the tokenizer files (`tokenizer`,
`sentencepiece_bpe`), the conversation template (`template`) and the tiling rule (`image`).
"""

from stitchvlm.families.internvl2_checkpoint.config import is_internvl2, native_config
from stitchvlm.families.internvl2_checkpoint.image import load_image_processor
from stitchvlm.families.internvl2_checkpoint.tokenizer import load_tokenizer, stop_token_ids
from stitchvlm.families.internvl2_checkpoint.weights import load_model

__all__ = [
    "is_internvl2",
    "load_image_processor",
    "load_model",
    "load_tokenizer",
    "native_config",
    "stop_token_ids",
]
