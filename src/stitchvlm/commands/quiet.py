"""Keeps the libraries below from talking while a command runs."""

from transformers.utils import logging


def quieten() -> None:
    """Errors only, and no bars for loading weights, which takes stderr from the one sentence that matters."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
