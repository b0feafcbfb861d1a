"""The recipe that reads documents: labels, windows, tokens, sizes, files, and a whole run in miniature."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import GROWN, TINY, budget
from PIL import Image, ImageDraw

from stitchvlm import Stitch
from stitchvlm.families import load_vlm
from stitchvlm.families.fingerprint import fingerprint
from stitchvlm.sampling import Sampling
from stitchvlm.training import train, worlds
from stitchvlm.training.documents import Document, Line, Written
from stitchvlm.training.documents.document import CHARACTERS
from stitchvlm.training.grid import Tiles
from stitchvlm.training.internvl import window_positions
from stitchvlm.training.kinds import KINDS
from stitchvlm.training.labels import IGNORE
from stitchvlm.training.language import FeatureBank, LanguageTrainer, Lesson
from stitchvlm.training.pipeline import Pipeline
from stitchvlm.training.recipe import Pictures, Recipe, Stage, with_receipts
from stitchvlm.training.recipes import RECIPES
from stitchvlm.training.regions import token_boxes, tokens_touching
from stitchvlm.training.saved import save_model
from stitchvlm.training.scene import Glyph
from stitchvlm.training.spelling import COLUMN, FOLDED, HEADS, SPELLED_LABELS, TEXTS, kind_of_text, spelled_labels
from stitchvlm.training.tokenizer import DOCUMENT_SPEECH, special_tokens, train_tokenizer
from stitchvlm.training.tower import DenseReader, Views, place_loss
from stitchvlm.training.worlds import DOCUMENTS, Papers, Receipts

CPU = torch.device("cpu")
KIND = KINDS["internvl_448"]
TILES = Tiles(448, 14, 1, 8)
RECEIPTS = RECIPES["receipts"]


@pytest.fixture(scope="module")
def speaker():
    return train_tokenizer(KIND.picture_tokens, DOCUMENT_SPEECH)


def built(size, tokenizer):
    tokens = {token: tokenizer.convert_tokens_to_ids(token) for token in special_tokens(KIND.picture_tokens)}
    return KIND.build(size, tokens, len(tokenizer), seed=3)


# Labels


def page(lines: dict[str, tuple[float, float, float]], width: int = 448, **more) -> Document:
    """A square page; `lines` have the left edge, the middle and the height of their characters, which are 10 pixels wide."""
    made = []
    for row, (text, (x, y, height)) in enumerate(lines.items()):
        glyphs = [
            Glyph(char, x + 10 * k + 5, y, 10, height, k == 0 or text[k - 1] == " ", text[k + 1 : k + 2] in ("", " "))
            for k, char in enumerate(text)
            if char != " "
        ]
        made.append(Line(text, (x, y - height / 2, x + 10 * len(text), y + height / 2), row, tuple(glyphs)))
    return Document("crop", width, width, tuple(made), **more)


def spelled(document: Document) -> np.ndarray:
    """`[bands, points, 3]`: the class of character, border and side at every point of a page of one tile."""
    (label,) = spelled_labels(document, None, TILES)
    columns = [COLUMN[f"{name}00"] for name in ("char", "border", "side")]
    points = np.stack([label[:, first : first + 14].reshape(16, 16, 2, 7) for first in columns], -1)
    return points.transpose(0, 2, 1, 3, 4).reshape(32, 112, 3)


def test_labels_of_a_page_set_by_hand():
    points = spelled(page({"aB 2": (28, 21, 12), "l": (28, 35, 12)}))
    text = "".join(" " if k == 0 else FOLDED[k - 1] for k in points[1, 7:20, 0])
    assert text == "AAABB   22   "  # points lie 4 pixels apart, the first 2 pixels from the edge
    assert points[1, 7:12, 1].tolist() == [2, 2, 2, 3, 3] and points[1, 15, 1] == 4
    assert points[1, 7:12, 2].tolist() == [1, 2, 2, 1, 2]
    assert FOLDED[points[2, 7, 0] - 1] == "L" and points[2, 7, 1] == 4  # the line below owns the next half of the token
    assert not points[3:].any() and not points[0].any()


def test_a_half_belongs_to_the_line_that_fills_most_of_it():
    points = spelled(page({"A": (28, 20, 12), "B": (28, 30, 12)}))
    assert [FOLDED[points[band, 8, 0] - 1] for band in (1, 2)] == ["A", "B"]


def test_what_cannot_be_read_is_not_asked_for():
    small, tiny = page({"AB": (28, 21, 12)}, width=448), page({"AB": (28, 21, 12)}, width=900)
    assert (spelled(small)[1, 7:12] > 0).all()
    views = spelled_labels(tiny, None, TILES)
    assert len(views) == 5 and (views[0] > 0).any()
    thumbnail = views[-1][:, COLUMN["char00"] :]
    assert set(np.unique(thumbnail)) == {0, IGNORE}
    guessed = page({"AB": (28, 21, 12)}, estimated=True)
    assert (spelled_labels(guessed, None, TILES) == IGNORE).all()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("TOTAL", "words"),
        ("RM 12.50", "amount"),
        ("1,204.00", "amount"),
        ("19-03-2018", "date"),
        ("12 March 2021", "date"),
        ("012-345 678", "number"),
        ("Tel 3", "words"),
    ],
)
def test_kinds_of_text(text, kind):
    assert TEXTS[kind_of_text(text) - 1] == kind


# Windows


def test_positions_of_a_window_are_those_of_its_part_of_the_tile(speaker):
    model = built(TINY, speaker)
    table = model.model.vision_tower.embeddings.position_embeddings[0]
    grid = table[1:].reshape(32, 32, -1)
    found = window_positions(model, torch.tensor([[0, 0], [3, 5]]), 8)
    assert torch.equal(found[:, 0], table[:1].expand(2, -1))
    for window, (row, column) in zip(found, ((0, 0), (6, 10)), strict=True):
        assert torch.equal(window[1:].reshape(16, 16, -1), grid[row : row + 16, column : column + 16])


@torch.no_grad()
def test_a_window_of_the_whole_tile_is_the_tile(speaker):
    model = built(TINY, speaker).eval()
    pixels = torch.randn(1, 3, 448, 448, generator=torch.Generator().manual_seed(0))
    whole = KIND.features(model, pixels)
    assert whole.shape == (1, 256, TINY.text_width)
    assert torch.allclose(KIND.features(model, pixels, torch.zeros(1, 2, dtype=torch.long)), whole, atol=1e-5)


def test_tokens_of_a_window_know_their_place_in_the_tile():
    rows, columns = torch.full((1, 4, 16), -20.0), torch.full((1, 4, 16), -20.0)
    for token, (row, column) in enumerate(((3, 5), (3, 6), (4, 5), (4, 6))):
        rows[0, token, row] = columns[0, token, column] = 20.0
    loss, known = place_loss(rows, columns, torch.tensor([[3, 5]]))
    assert loss < 1e-6 and known == 1.0
    assert place_loss(rows, columns)[1] == 0.0


# Tokens and truths


def test_every_character_of_documents_is_one_token(speaker):
    assert len(speaker) == DOCUMENT_SPEECH.vocabulary
    for char in set(CHARACTERS.upper()):
        assert len(speaker(char, add_special_tokens=False).input_ids) == 1, char
    assert len(speaker("TOTAL 9.10", add_special_tokens=False).input_ids) == 10
    for text in ("What is the total amount?", "RESTORAN [12, 3, 456, 1000] £5"):
        assert speaker.decode(speaker(text).input_ids) == text


def test_documents_are_asked_and_answered_in_capitals():
    total = Written("Rm 5.00", ((1.0, 2.0, 3.0, 4.0),))
    folded = worlds.in_capitals(page({"Nasi Lemak": (20, 20, 12)}, fields={"total": total, "label:Town": total}))
    assert [line.text for line in folded.lines] == ["NASI LEMAK"]
    assert folded.fields == {"total": replace(total, text="RM 5.00"), "label:TOWN": replace(total, text="RM 5.00")}


def test_what_is_kept_holds_what_is_asked_for():
    document = page({"TOTAL": (100, 100, 12), "5.00": (300, 101, 12)}, fields={})
    box = (300.0, 95.0, 340.0, 107.0)
    fractions = tuple(edge / 448 for edge in box)
    asked = [worlds.document_questions.Question("total", "?", "5.00", (fractions,))]
    together, (spot,) = DOCUMENTS.together(asked, document)
    assert together == asked and np.allclose(spot.text_box, box)
    row = tokens_touching(token_boxes(document, TILES), document.lines[0].box)
    assert set(row) <= set(tokens_touching(token_boxes(document, TILES), spot.box))
    nowhere = [worlds.document_questions.Question("count", "?", "2", ())]
    assert DOCUMENTS.together(nowhere, document) == ([], [])


# Sizes and files


@pytest.fixture(scope="module")
def full_size(speaker, tmp_path_factory) -> dict[str, tuple[int, Path]]:
    """Each model's number of parameters and where it was saved."""
    found = {}
    for which, size in RECEIPTS.sizes.items():
        model, folder = built(size, speaker), tmp_path_factory.mktemp(which)
        save_model(model, folder)
        KIND.save_processor(speaker, folder)
        found[which] = sum(weight.numel() for weight in model.parameters()), folder
    return found


def test_the_pair_is_as_large_as_it_may_be(full_size):
    (small, _), (large, _) = full_size["small"], full_size["large"]
    assert small <= 2_700_000 and 6 * small <= large <= 17_000_000
    assert RECEIPTS.sizes["large"].text_layers >= 16
    files = [path for _, folder in full_size.values() for path in folder.iterdir()]
    assert max(path.stat().st_size for path in files) <= 16_000_000
    assert sum(path.stat().st_size for path in files) <= 40_000_000


def test_a_model_in_several_files_loads_and_all_of_them_mark_it(speaker, tmp_path):
    model = built(GROWN, speaker)
    save_model(model, tmp_path, largest_file=200_000)
    KIND.save_processor(speaker, tmp_path)
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) > 2 and (tmp_path / "model.safetensors.index.json").exists()
    loaded = load_vlm(str(tmp_path), dtype=torch.float32, device="cpu").model.state_dict()
    assert all(torch.equal(loaded[name], weight.bfloat16().float()) for name, weight in model.state_dict().items())
    before = fingerprint(str(tmp_path))
    content = bytearray(files[-1].read_bytes())
    content[-1] ^= 1
    files[-1].write_bytes(content)
    assert fingerprint(str(tmp_path)) != before


# A run


@pytest.fixture
def real_folder(tmp_path, monkeypatch) -> Path:
    """Three receipts, of which one is held out."""
    monkeypatch.setattr(worlds, "HELD_OUT", 1)
    folder = tmp_path / "receipts"
    folder.mkdir()
    rows = []
    for name in ("a", "b", "c"):
        picture = Image.new("L", (300, 300), 255)
        ImageDraw.Draw(picture).text((30, 40), f"SHOP {name}\nTOTAL 5.00", fill=0)
        picture.save(folder / f"{name}.png")
        lines = [{"text": "Total 5.00", "box": [0.1, 0.15, 0.4, 0.2]}, {"text": "Cash", "box": [0.1, 0.3, 0.4, 0.35]}]
        fields = [{"field": "total", "answer": "5.00"}]
        rows.append({"id": name, "image": f"{name}.png", "size": [300, 300], "qa": fields, "lines": lines})
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def tiny_receipts() -> Recipe:
    """Every kind of stage that the recipe has, a step or two each, on pictures of one tile."""
    shares = {"at": 1.0, "total": 1.0}
    one_tile = Lesson(("crops", "scenes", "real"), pictures=2, questions=3, most_things=(9, 9), document_shares=shares)
    wide = replace(one_tile, sets=("documents", "real"), tiles=tuple(range(1, 10)), dropped_share=0.5, most_tiles=9)
    sets, checks = ("crops", "documents", "scenes"), ("crops-check",)
    small = (
        Stage("windows", budget(2), tiles_a_step=4, sets=sets, checks=checks, window=4),
        Stage("tiles", budget(1), tiles_a_step=4, sets=sets, checks=checks),
        Stage("find", budget(2), one_tile),
        Stage("wide", budget(2), wide),
    )
    scenes = RECEIPTS.pictures["scenes"].style
    shown = {"crops": Papers(("receipt",), (330, 340)), "documents": Papers(("slip",)), "scenes": scenes}
    shown |= {"real": Receipts(), "crops-check": Papers(("receipt",), (330, 340))}
    return replace(
        RECEIPTS,
        pictures={name: Pictures(style, 2, 1, TILES) for name, style in shown.items()},
        stages={"small": small, "large": (replace(small[3], name="deep", text_mlp=64), small[3])},
        sizes={"small": TINY, "large": GROWN},
    )


@pytest.fixture
def fonts(tmp_path) -> Path:
    (tmp_path / "fonts").mkdir()
    return tmp_path / "fonts"


def test_a_run_in_miniature(tmp_path, monkeypatch, fonts, real_folder, speaker, capsys):
    monkeypatch.setitem(RECIPES, "tiny", tiny_receipts())
    monkeypatch.setattr("stitchvlm.training.pipeline.CHECK_EVERY", 2)
    out = tmp_path / "out"
    assert train("tiny", out, fonts=fonts, workers=1, device="cpu", receipts=real_folder)
    assert '"check": "windows"' in capsys.readouterr().out
    vlm = Stitch.from_pretrained(small=str(out / "pair/small"), large=str(out / "pair/large"), device="cpu")
    answer = vlm("What is the total?", image=Image.new("L", (400, 800), 255), sampling=Sampling(4))
    assert isinstance(answer.text, str) and answer.trace.n_visual == 3 * 256

    pipeline = Pipeline("small", with_receipts(RECIPES["tiny"], real_folder), out / "data", tmp_path / "next", 7, CPU)
    crops, documents = pipeline.sets["crops"], pipeline.sets["documents"]
    assert crops.tiles(1).shape == (1, 448, 448, 1) and crops.labels(1).shape == (1, 256, len(HEADS))
    assert isinstance(documents.truth(1), Document) and documents.truth(1).to_json() != documents.truth(0).to_json()
    check_windows(pipeline)
    check_the_bank(pipeline)


def check_windows(pipeline: Pipeline) -> None:
    """Windows are parts of tiles and of their labels, at the corner that they tell; grey and coloured ones stand together."""
    crops = pipeline.sets["crops"]
    views, labels, corners = Views([crops], SPELLED_LABELS.characters, 4).draw(random.Random(0), 2, tries=1)
    assert views.shape == (8, 112, 112, 1) and labels.shape == (8, 16, len(HEADS))
    row, column = corners[0]
    wholes = [crops.tiles(k)[0] for k in range(2)]
    parts = [whole[28 * row : 28 * row + 112, 28 * column : 28 * column + 112] for whole in wholes]
    told = [crops.labels(k)[0].reshape(16, 16, -1)[row : row + 4, column : column + 4] for k in range(2)]
    (k,) = [
        k for k in range(2) if np.array_equal(parts[k], views[0]) and np.array_equal(told[k].reshape(16, -1), labels[0])
    ][:1]
    assert k in (0, 1)
    mixed = Views([crops, pipeline.sets["scenes"]], SPELLED_LABELS.characters, 4).draw(random.Random(0), 2)
    assert mixed.views.shape == (8, 112, 112, 3)
    reader = DenseReader(pipeline.model, SPELLED_LABELS)
    assert [
        logits.shape[-1] for logits in reader(torch.zeros(1, 3, 112, 112), torch.zeros(1, 2, dtype=torch.long))
    ] == [
        *HEADS.values(),
        *(16, 16),
    ]


def check_the_bank(pipeline: Pipeline) -> None:
    """A bank without room gives the same features, and a lesson of few tiles takes few pictures."""
    chosen = [(pipeline.sets["crops"], k) for k in (0, 1, 0)]
    bank, poor = FeatureBank(pipeline.model, CPU), FeatureBank(pipeline.model, CPU, most_bytes=0)
    assert torch.equal(bank.features(chosen), poor.features(chosen))
    assert len(bank._kept) == 2 and not poor._kept
    lesson = Lesson(("documents",), tuple(range(1, 10)), pictures=5, document_shares={"at": 1.0}, most_tiles=1)
    trainer = LanguageTrainer(pipeline.model, pipeline.packer, pipeline.sets, lesson, "seed")
    exercise = trainer.exercise(0, 0.5)
    assert len(exercise.rows) == 1 and all(question.boxes for question in exercise.asked[0])
    assert exercise.grounding() is not None


def test_training_goes_on_without_real_receipts(tmp_path, monkeypatch, fonts, capsys):
    monkeypatch.setitem(RECIPES, "tiny", tiny_receipts())
    assert not train("tiny", tmp_path / "out", minutes=0, fonts=fonts, workers=1, device="cpu")
    assert "all documents are drawn ones" in capsys.readouterr().out
    assert "real" not in with_receipts(RECIPES["tiny"], None).pictures
    with pytest.raises(ValueError, match="this recipe shows no receipts: leave the folder of receipts out"):
        train("scenes", tmp_path / "out", receipts=tmp_path)


def test_real_receipts_that_are_held_out_are_never_learnt_from(real_folder):
    shown, kept = Receipts(str(real_folder)), Receipts(str(real_folder), held_out=True)
    learnt = [worlds.draw(shown, "key", number, ())[0] for number in range(2)]
    (apart, _, _) = worlds.draw(kept, "key", 0, ())
    assert apart.tobytes() not in {picture.tobytes() for picture in learnt}
    assert worlds.draw(shown, "key", 2, ())[0].tobytes() == worlds.draw(shown, "key", 2, ())[0].tobytes()


def test_few_receipts_are_one_sentence(real_folder, monkeypatch):
    monkeypatch.setattr(worlds, "HELD_OUT", 3)
    with pytest.raises(ValueError, match="holds no more than 3 receipts, which are kept from training: name another"):
        worlds.draw(Receipts(str(real_folder)), "key", 0, ())
