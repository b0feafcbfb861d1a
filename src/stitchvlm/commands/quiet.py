"""Keeps the libraries below from talking while a command runs."""

import logging

from transformers.utils import logging as of_transformers


def quieten() -> None:
    """Errors only, and no bars for loading weights, which takes stderr from the one sentence that matters."""
    of_transformers.set_verbosity_error()
    of_transformers.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns at every product that is not in float16
