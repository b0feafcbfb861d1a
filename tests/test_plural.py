"""Messages about one thing and about several."""

import pytest
from test_engine import picture
from tiny import save_tiny_internvl
from typer.testing import CliRunner

from stitchvlm.cli import app
from stitchvlm.plural import counted


@pytest.mark.parametrize(
    ("n", "told"),
    [(0, "0 tiles"), (1, "1 tile"), (2, "2 tiles"), (16384, "16,384 tiles"), (1.0, "1 tile"), (0.5, "0.5 tiles")],
)
def test_the_form_fits_the_number(n, told):
    assert counted(n, "tile") == told


@pytest.fixture
def stitch(tmp_path):
    folder = str(save_tiny_internvl(tmp_path / "one", n_layers=1))

    def run(*arguments: str) -> str:
        models = [] if arguments[0] == "inspect" else ["--small", folder, "--large", folder, "--device", "cpu"]
        named = [folder if argument == "MODEL" else argument for argument in arguments]
        done = CliRunner(env={"COLUMNS": "160"}).invoke(app, [*named, *models])
        assert done.exit_code == 0, done.output
        return "\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n"

    return run


def test_of_one_tile_layer_question_and_round_there_is_one(stitch, scenes_task, tmp_path):
    told = stitch("inspect", "MODEL", "--image-size", "28x28")
    assert "4 visual tokens in 1 tile\n" in told and "1 layer in" in told
    picture(64, 48).save(tmp_path / "p.png")
    short = ["--max-new-tokens", "2", "--keep", "50%"]
    assert "averaged over 1 layer\n" in stitch("ask", str(tmp_path / "p.png"), "What?", *short)
    assert "median of 1 round after" in stitch("bench", "--rounds", "1", *short)
    out = ["--n", "1", "--live", "0", "--out"]
    assert "guided: 1 question" in (told := stitch("eval", "scenes", *short, *out, str(tmp_path / "r.jsonl")))
    assert "1 questions" not in told
    quick = ["--no-memory", "--agreement", "0", "--methods", "random"]
    assert "1 questions" not in stitch("compare", "scenes", *short, *quick, *out, str(tmp_path / "study"))
