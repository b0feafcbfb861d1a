"""What a call on a GPU leaves behind is all that the next machine goes on from."""

import random
from pathlib import Path

import pytest

from stitchvlm.training.pipeline import heads_beside


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import train_on_gpu

    return train_on_gpu


def test_models_with_their_heads_and_logs_come_through_pieces(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "PIECE", 1000)
    work, out, begin = tmp_path / "work", tmp_path / "out", tmp_path / "begin"
    noise = random.Random(0).randbytes(9000)
    kept = {"small/config.json": b"{}", "small/model.safetensors": noise, "small-heads.safetensors": b"heads"}
    for name, content in kept.items():
        path = work / "pair" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for which in ("small", "large"):
        (work / which).mkdir()
        (work / which / "log.jsonl").write_text("{}\n")
        kept[f"{which}/log.jsonl"] = b"{}\n"
    (work / "small" / "wide.pt").write_bytes(b"state")
    script.collect("receipts", work, out)
    assert len(list(out.iterdir())) > 10
    assert script.unpacked(out, begin) == begin
    found = {str(path.relative_to(begin)): path.read_bytes() for path in begin.rglob("*") if path.is_file()}
    assert found == kept
    assert heads_beside(begin / "small").read_bytes() == b"heads"
    assert script.unpacked(tmp_path / "work", tmp_path / "other") == tmp_path / "work"
