"""Every shape in a signature of the package is checked at every call while tests run."""

import io
import json
import os
import zipfile
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

os.environ.setdefault("HF_HUB_OFFLINE", "1")

CHECKED = (
    *("areas", "attention", "continuation", "crossing", "engine", "families", "graphs", "guide", "layout", "masks"),
    *("methods", "passes", "reduction", "sampling", "schedule"),
)

_hook = install_import_hook([f"stitchvlm.{module}" for module in CHECKED], "beartype.beartype")


def pytest_unconfigure(config: pytest.Config) -> None:
    _hook.uninstall()


@pytest.fixture(scope="session")
def tiny_pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Folders of a small and a large random model that can guide each other."""
    from tiny import save_tiny_internvl

    root = tmp_path_factory.mktemp("tiny-pair")
    small = save_tiny_internvl(root / "small", "qwen2", n_layers=2, seed=1)
    large = save_tiny_internvl(root / "large", "llama", n_layers=6, width=48, seed=2)
    return str(small), str(large)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive in the form of the checked-in test split: eight questions, two kinds, small pictures."""
    from test_engine import picture

    path = tmp_path_factory.mktemp("scenes") / "scenes.zip"
    rows = []
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(8):
            name = f"images/{number}.jpg"
            file = io.BytesIO()
            picture(64, 48, number).save(file, "JPEG")
            archive.writestr(name, file.getvalue())
            kind = "read" if number < 5 else "colour"
            row = {"id": f"q{number}", "kind": kind, "image": name, "question": f"What is {number}?", "answer": "K7P"}
            rows.append(json.dumps(row | {"box": [0.1, 0.1, 0.5, 0.5]}))
        archive.writestr("questions.jsonl", "\n".join(rows) + "\n")
    return path


@pytest.fixture
def scenes_task(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes that archive the task ``scenes``."""
    from stitchvlm.evaluation import tasks

    monkeypatch.setitem(tasks.TASKS, "scenes", lambda: tasks.load_archive(scenes))
