"""Documents of every kind, drawn once without effects: only their geometry is as in training."""

import pytest
from PIL import Image

from stitchvlm.training.documents import KINDS, Document, draw_document

SEEDS = range(6)


@pytest.fixture(scope="session")
def drawn() -> list[tuple[Image.Image, Document]]:
    return [draw_document(seed, kind, clean=True) for kind in KINDS for seed in SEEDS]


@pytest.fixture(scope="session")
def documents(drawn) -> list[Document]:
    return [document for _, document in drawn]
