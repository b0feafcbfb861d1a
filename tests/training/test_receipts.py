"""The recipe that reads documents: sizes, files, real receipts, and a whole run in miniature."""

import json
import random
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import GROWN, TINY, budget
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from stitchvlm import Stitch
from stitchvlm.families import load_vlm
from stitchvlm.families.fingerprint import fingerprint
from stitchvlm.margins import page_window
from stitchvlm.sampling import Sampling
from stitchvlm.training import pipeline, train, worlds
from stitchvlm.training.cache import render_set
from stitchvlm.training.checkpoint import load_state, save_state
from stitchvlm.training.documents import Document
from stitchvlm.training.documents.questions import Question
from stitchvlm.training.grid import Tiles
from stitchvlm.training.kinds import KINDS
from stitchvlm.training.language import FeatureBank, LanguageTrainer, Lesson
from stitchvlm.training.loop import Deadline
from stitchvlm.training.pipeline import Pipeline, heads_beside
from stitchvlm.training.receipts import ONE_TILE
from stitchvlm.training.recipe import Pictures, Recipe, Stage, with_receipts
from stitchvlm.training.recipes import RECIPES
from stitchvlm.training.saved import save_model
from stitchvlm.training.spelling import FOLDED, HEADS, SPELLED_LABELS
from stitchvlm.training.tower import DenseReader, Views
from stitchvlm.training.worlds import Papers, Receipts

CPU = torch.device("cpu")
LOCAL = replace(TINY, vision_width=160)
KIND = KINDS["internvl_448"]
TILES = Tiles(448, 14, 1, 8)
RECEIPTS = RECIPES["receipts"]


# Sizes and files


@pytest.fixture(scope="module")
def full_size(speaker, build_large_tiles, tmp_path_factory) -> dict[str, tuple[int, Path]]:
    """Each model's number of parameters and where it was saved."""
    found = {}
    for which, size in RECEIPTS.sizes.items():
        model, folder = build_large_tiles(size), tmp_path_factory.mktemp(which)
        save_model(model, folder)
        KIND.save_processor(speaker, folder)
        found[which] = sum(weight.numel() for weight in model.parameters()), folder
    return found


def test_the_pair_is_as_large_as_it_may_be(full_size):
    (small, _), (large, _) = full_size["small"], full_size["large"]
    assert 6 * small <= large and small + large <= 20_000_000
    assert RECEIPTS.sizes["large"].text_layers >= 16
    files = [path for _, folder in full_size.values() for path in folder.iterdir()]
    assert max(path.stat().st_size for path in files) <= 16_000_000
    assert sum(path.stat().st_size for path in files) <= 40_000_000


def test_a_model_in_several_files_loads_and_all_of_them_mark_it(speaker, build_large_tiles, tmp_path):
    model = build_large_tiles(GROWN)
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


def test_a_model_replaces_the_one_that_was_saved_before_it_grew(build_large_tiles, tmp_path):
    """In one file at first, in several later, and the other way round."""
    first, grown = build_large_tiles(LOCAL), build_large_tiles(GROWN)
    for model, largest in ((first, 10**9), (grown, 200_000), (first, 10**9)):
        save_model(model, tmp_path, largest_file=largest)
        weights = {path.name for path in tmp_path.glob("model*")}
        assert ("model.safetensors" in weights) != ("model.safetensors.index.json" in weights)
        loaded = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32).state_dict()
        assert loaded.keys() == model.state_dict().keys()
        assert all(torch.equal(loaded[name], weight.bfloat16().float()) for name, weight in model.state_dict().items())


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
        ImageDraw.Draw(picture).text((30, 40), f"SHOP {name}\nTOTAL 5.00\n\n\nCASH", fill=0)
        picture.save(folder / f"{name}.png")
        lines = [{"text": "Total 5.00", "box": [0.1, 0.15, 0.4, 0.2]}, {"text": "Cash", "box": [0.1, 0.3, 0.4, 0.35]}]
        fields = [{"field": "total", "answer": "5.00"}]
        rows.append({"id": name, "image": f"{name}.png", "size": [300, 300], "qa": fields, "lines": lines})
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def tiny_receipts() -> Recipe:
    """Every kind of stage that the recipe has, a step or two each, on pictures of one tile."""
    shares = {"at": 1.0, "total": 1.0}
    one_tile = Lesson(
        ("crops", "scenes", "real"),
        pictures=2,
        questions=3,
        most_things=(9, 9),
        document_shares=shares,
        pointing=True,
    )
    wide = replace(one_tile, sets=("documents", "real"), tiles=tuple(range(1, 10)), dropped_share=0.5, most_tiles=9)
    sets, checks = ("crops", "documents", "scenes"), ("crops-check",)
    small = (
        Stage("drawn", budget(2), tiles_a_step=4, sets=sets, checks=checks),
        Stage("placed", budget(1), tiles_a_step=4, sets=(*sets, "real-crops"), checks=checks, places=True),
        Stage("tiles", budget(1), tiles_a_step=4, sets=sets, checks=checks),
        Stage("find", budget(1), one_tile),
        Stage("wide", budget(1), wide),
    )
    scenes = RECEIPTS.pictures["scenes"].style
    deeper = Stage("deeper", budget(2), text_mlp=64, tiles_a_step=4, sets=sets, checks=checks)
    shown = {"crops": Papers(("receipt",), (330, 340)), "documents": Papers(("slip",)), "scenes": scenes}
    shown |= {
        "real-crops": Receipts(TILES, parts=True),
        "real": Receipts(TILES),
        "crops-check": Papers(("receipt",), (330, 340)),
    }
    return replace(
        RECEIPTS,
        pictures={
            name: Pictures(style, 2, 1, ONE_TILE if name == "real-crops" else TILES) for name, style in shown.items()
        },
        stages={"small": small, "large": (deeper, replace(small[-1], name="deep", text_mlp=64), small[-1])},
        sizes={"small": LOCAL, "large": replace(GROWN, vision_width=160, vision_layers=2)},
    )


@pytest.fixture
def fonts(tmp_path) -> Path:
    (tmp_path / "fonts").mkdir()
    return tmp_path / "fonts"


def test_a_run_in_miniature(tmp_path, monkeypatch, fonts, real_folder, speaker, capsys):
    monkeypatch.setitem(RECIPES, "tiny", tiny_receipts())
    monkeypatch.setattr(pipeline, "CHECK_EVERY", 2)
    monkeypatch.setattr(pipeline, "CHECK_BATCHES", 1)
    monkeypatch.setattr(pipeline, "train_tokenizer", lambda *_: speaker)
    out = tmp_path / "out"
    assert train("tiny", out, fonts=fonts, workers=1, device="cpu", receipts=real_folder)
    printed = capsys.readouterr().out
    assert '"check": "drawn", "on": "crops-check"' in printed and '"lines": 6, "receipts": 3' in printed
    assert "the tower reads too little to place characters" in printed and not (out / "data/places.json").exists()
    vlm = Stitch.from_pretrained(small=str(out / "pair/small"), large=str(out / "pair/large"), device="cpu")
    answer = vlm("What is the total?", image=Image.new("L", (400, 800), 255), sampling=Sampling(4))
    assert isinstance(answer.text, str) and answer.trace.n_visual == 9 * 256

    made = Pipeline("small", with_receipts(RECIPES["tiny"], real_folder), out / "data", tmp_path / "next", 7, CPU)
    crops, documents = made.sets["crops"], made.sets["documents"]
    assert crops.tiles(1).shape == (1, 448, 448, 1) and crops.labels(1).shape == (1, 256, len(HEADS))
    assert isinstance(documents.truth(1), Document) and documents.truth(1).to_json() != documents.truth(0).to_json()
    check_views(made)
    check_heads(made, out)
    check_the_bank(made)


def check_heads(made: Pipeline, out: Path) -> None:
    """Dense heads go along with a saved model and fit its features, whose size has changed since they learned."""
    pixels = torch.randn(1, 3, 448, 448, generator=torch.Generator().manual_seed(0))
    trained = Pipeline("small", made.recipe, out / "data", out / "small", 7, CPU)
    state = load_state(out / "small" / "tiles.pt")
    trained._reader.load_state_dict(state["module"])
    with torch.no_grad():
        before = trained._reader(pixels)
        assert made.begin_with(out / "pair/small") == "wide"
        after = made._reader(pixels)
        grown = Pipeline("large", made.recipe, out / "data", out / "next", 7, CPU)
        grown.grow_from(trained)
        same = grown._reader(pixels)
    for said, tolerance in ((after, 0.05), (same, 1e-4)):  # what was saved is rounded to bfloat16
        pairs = [*zip(before.columns, said.columns, strict=True), *zip(before.places, said.places, strict=True)]
        pairs.append((before.patches, said.patches))
        assert all((a - b).abs().mean() < tolerance * a.std() for a, b in pairs)


def check_views(made: Pipeline) -> None:
    """Views are tiles with their labels; grey and coloured ones stand together."""
    crops = made.sets["crops"]
    views, labels, shape = Views([crops], SPELLED_LABELS.characters).draw(random.Random(0), 8, tries=1)
    assert views.shape == (2, 448, 448, 1) and labels.shape == (2, 256, len(HEADS)) and shape == (16, 16)
    pairs = [(crops.tiles(k)[0], crops.labels(k)[0]) for k in range(2)]
    assert any(np.array_equal(tile, views[0]) and np.array_equal(told, labels[0]) for tile, told in pairs)
    mixed = Views([crops, made.sets["scenes"]], SPELLED_LABELS.characters).draw(random.Random(0), 8, tries=3)
    assert mixed.views.shape == (2, 448, 448, 3)
    said = DenseReader(made.model, SPELLED_LABELS)(torch.zeros(1, 3, 448, 448))
    assert [logits.shape[-1] for logits in said.columns] == [*HEADS.values()]
    assert [logits.shape[-1] for logits in said.places] == [16, 16] and said.patches.shape[:3] == (1, 32, 32)


def check_the_bank(made: Pipeline) -> None:
    """A bank without room gives the same features, and a lesson of few tiles takes few pictures."""
    chosen = [(made.sets["crops"], k) for k in (0, 1, 0)]
    bank, poor = FeatureBank(made.model, CPU), FeatureBank(made.model, CPU, most_bytes=0)
    assert torch.equal(bank.features(chosen), poor.features(chosen))
    assert len(bank._kept) == 2 and not poor._kept
    lesson = Lesson(("documents",), tuple(range(1, 10)), pictures=5, document_shares={"at": 1.0}, most_tiles=1)
    trainer = LanguageTrainer(made.model, made.packer, made.sets, lesson, "seed")
    exercise = trainer.exercise(0, 0.5)
    assert len(exercise.rows) == 1 and all(question.boxes for question in exercise.asked[0])
    nothing = LanguageTrainer(
        made.model, made.packer, made.sets, Lesson(("crops",), document_shares={"largest": 1.0}), ""
    )
    with pytest.raises(ValueError, match="none of the pictures of crops allows the lesson's kinds of questions"):
        nothing.exercise(0, 0.5)


def test_real_receipts_are_drawn_with_the_places_that_are_known(tmp_path, real_folder, speaker, monkeypatch):
    """The first stage that shows them draws them; by then a tower has said where which characters stand."""
    monkeypatch.setattr(pipeline, "train_tokenizer", lambda *_: speaker)
    recipe = with_receipts(tiny_receipts(), real_folder)
    spans = [[30.0 + 9 * k, 39.0 + 9 * k] for k in range(9)]
    (tmp_path / "data").mkdir()
    (tmp_path / "data/places.json").write_text(json.dumps({name: [spans, None] for name in "abc"}))
    made = Pipeline("small", recipe, tmp_path / "data", tmp_path / "small", 7, CPU, workers=1)
    real, crops = made.sets["real"], made.sets["real-crops"]
    windows, placed, _, find, _ = recipe.stages["small"]
    assert made._ready(windows, Deadline(None)) and not len(crops)
    assert made._ready(placed, Deadline(None)) and len(crops) == 2 and not len(real)
    assert made._ready(find, Deadline(None)) and len(real) == 2
    total, cash = real.truth(0).lines
    assert total.placed and not cash.placed and np.allclose(np.diff([glyph.x for glyph in total.glyphs]), 9)
    left = page_window(Image.open(real_folder / "a.png"), TILES.columns)[0]
    assert total.glyphs[0].x == 34.5 - left and left > 0, "blank margins are not shown"
    told = real.labels(0)[0, :, SPELLED_LABELS.characters]
    assert {FOLDED[char - 1] for char in told[told > 0]} <= set("TOTAL5.00") and (told > 0).sum() > 9


@pytest.fixture
def build(tmp_path, real_folder, speaker, monkeypatch):
    """Builds the tiny pipeline of a model, with its state in a folder of that name."""
    monkeypatch.setattr(pipeline, "train_tokenizer", lambda *_: speaker)
    recipe = with_receipts(tiny_receipts(), real_folder)
    return lambda which, folder: Pipeline(which, recipe, tmp_path / "data", tmp_path / folder, 7, CPU, workers=1)


def test_heads_go_along_through_runs_of_language_stages_alone(build, tmp_path):
    """Out of a saved model with heads comes one with the same heads, and so does what grows out of it."""
    first, saved, following = build("small", "first"), tmp_path / "saved", tmp_path / "following"
    first.save(saved)
    own = first._reader.own_weights()
    heads = {name: torch.randn(weight.shape).bfloat16() for name, weight in own.items()}
    save_file(heads, heads_beside(saved))
    assert build("small", "second").begin_with(saved) == "wide"
    later = build("small", "second")  # as another call would, by the state alone
    later.save(following)
    kept = load_file(heads_beside(following))
    assert kept.keys() == heads.keys() and all(torch.equal(kept[name], heads[name]) for name in heads)
    state = {"module": later.model.state_dict(), "optimizers": [], "step": 1, "seconds": 1.0}
    save_state(later._checkpoint(later.recipe.stages["small"][-1]), state)
    large = build("large", "large")
    large.grow_from(build("small", "second"))
    grown = large._reader.own_weights()
    assert all(torch.equal(grown[name].bfloat16(), heads[name]) for name in heads)
    build("small", "without").save(following)
    assert not heads_beside(following).exists()


def test_a_tower_begun_with_a_saved_model_does_not_grow_when_it_resumes(build, tmp_path):
    """The language model behind it starts anew, in two calls as in one."""
    build("large", "first").save(tmp_path / "saved")
    begun, fresh = build("large", "begun"), build("large", "fresh")
    assert begun.begin_with(tmp_path / "saved", "deeper") == "deeper"
    for one in (begun, fresh):
        assert one.grows()
        save_state(one._checkpoint(one.recipe.stages["large"][0]), {})
    assert fresh.grows() and not build("large", "begun").grows()


def test_receipts_are_placed_by_the_state_of_the_tower_and_before_any_is_drawn(build, tmp_path, monkeypatch):
    """A resumed stage does not ask a tower that has learned nothing, and drawn pictures keep their labels."""
    asked = []

    def place(reader, receipts, _):
        asked.append(reader.heads.bias.detach().clone())
        return {receipt.id: [None, None] for receipt in receipts}

    monkeypatch.setattr(pipeline, "place_receipts", place)
    made = build("small", "small")
    placed = made.recipe.stages["small"][1]
    state = {name: weight + 1.0 for name, weight in made._reader.state_dict().items()}
    save_state(made._checkpoint(placed), {"module": state, "optimizers": [], "step": 1, "seconds": 0.0})
    for _ in range(2):
        assert build("small", "small")._ready(placed, Deadline(None))
    assert len(asked) == 1 and torch.equal(asked[0], state["heads.bias"])
    assert any((tmp_path / "data").glob("real-crops-0*.json")) and not (tmp_path / "data/places.json").exists()


def test_receipts_are_placed_as_whole_ones_are_shown(build, monkeypatch):
    """Squares of them are shown at another size, at which a whole one could not be read."""
    cuts = []

    def place(reader, receipts, cut):
        cuts.append(cut)
        return {receipt.id: [None, None] for receipt in receipts}

    monkeypatch.setattr(pipeline, "place_receipts", place)
    made = build("small", "small")
    assert made._ready(made.recipe.stages["small"][1], Deadline(None)) and cuts == [TILES]


def test_pictures_that_allow_no_question_are_passed_over(tmp_path, speaker, monkeypatch, fonts):
    monkeypatch.setattr(pipeline, "train_tokenizer", lambda *_: speaker)
    recipe = with_receipts(tiny_receipts(), None)
    crops = recipe.pictures["crops"]
    render_set(tmp_path / "data", "crops", 2, 1, crops.style, ("",), 1, cut=crops.cut, labels=SPELLED_LABELS)
    made = Pipeline("small", recipe, tmp_path / "data", tmp_path / "small", 7, CPU, workers=1)
    ask, silent = made.sets["crops"].world.ask, [True, True]
    patient = replace(made.sets["crops"].world, ask=lambda *given: [] if silent and silent.pop() else ask(*given))
    made.sets["crops"].world = patient
    lesson = Lesson(("crops",), pictures=1, questions=2, document_shares={"at": 1.0})
    found = LanguageTrainer(made.model, made.packer, made.sets, lesson, "seed").exercise(0, 0.5)
    assert not silent and len(found.asked) == 1 and found.asked[0]


def test_a_changed_recipe_does_not_go_on_with_old_pictures(tmp_path):
    style = Papers(("slip",), (270, 280))

    def draw(style, cut, labels=SPELLED_LABELS):
        return render_set(tmp_path, "crops", 1, 1, style, ("",), 1, cut=cut, labels=labels)

    assert draw(style, TILES) and draw(style, TILES)
    for other in (
        (style, ONE_TILE),
        (replace(style, grey=True), TILES),
        (style, TILES, replace(SPELLED_LABELS, heads={})),
    ):
        with pytest.raises(
            ValueError, match="crops-000000.json was drawn by another recipe: delete the set's files, or"
        ):
            draw(*other)
    here, there = Receipts(TILES, "here", places="a"), Receipts(TILES, "there", places="b")
    assert worlds.described(here) == worlds.described(there) != worlds.described(replace(here, places=None))


def test_a_changed_tokenizer_does_not_go_on_with_old_weights(tmp_path, speaker, tokenizer, monkeypatch):
    recipe, state = tiny_receipts(), {"module": {}, "optimizers": [], "step": 1, "seconds": 1.0}
    save_state(tmp_path / "small/drawn.pt", state)
    for words, refused in ((speaker, False), (speaker, False), (tokenizer, True)):
        monkeypatch.setattr(pipeline, "train_tokenizer", lambda *_, words=words: words)
        made = Pipeline("small", recipe, tmp_path / "data", tmp_path / "small", 7, CPU)
        with (
            pytest.raises(ValueError, match="has another tokenizer: the wordings have changed")
            if refused
            else nullcontext()
        ):
            made._check_tokenizer()


def test_what_takes_the_whole_document_is_not_asked_when_most_of_it_is_missing():
    box = ((0.1, 0.1, 0.2, 0.2),)
    asked = [Question(kind, "?", "A", box) for kind in ("largest", "value", "count", "first", "at", "last", "total")]
    document = Document("bars", 100, 100)
    together, spots, _ = worlds.DOCUMENTS.together(asked, document)
    assert [question.kind for question in together] == ["value", "at", "total"] and len(spots) == 3


def test_training_goes_on_without_real_receipts(tmp_path, monkeypatch, fonts, capsys):
    monkeypatch.setitem(RECIPES, "tiny", tiny_receipts())
    assert not train("tiny", tmp_path / "out", minutes=0, fonts=fonts, workers=1, device="cpu")
    assert "all documents are drawn ones" in capsys.readouterr().out
    assert "real" not in with_receipts(RECIPES["tiny"], None).pictures
    with pytest.raises(ValueError, match="this recipe shows no receipts: leave the folder of receipts out"):
        train("scenes", tmp_path / "out", receipts=tmp_path)
    with pytest.raises(ValueError, match="has no train.jsonl: name a folder of receipts, or none$"):
        train("tiny", tmp_path / "out", receipts=tmp_path)


def test_real_receipts_that_are_held_out_are_never_learnt_from(real_folder):
    shown, kept = Receipts(TILES, str(real_folder)), Receipts(TILES, str(real_folder), held_out=True)
    learnt = [worlds.draw(shown, "key", number, ())[0] for number in range(2)]
    (apart, _, _) = worlds.draw(kept, "key", 0, ())
    assert apart.tobytes() not in {picture.tobytes() for picture in learnt}
    assert worlds.draw(shown, "key", 2, ())[0].tobytes() == worlds.draw(shown, "key", 2, ())[0].tobytes()


def test_few_receipts_are_one_sentence(real_folder, monkeypatch):
    monkeypatch.setattr(worlds, "HELD_OUT", 3)
    with pytest.raises(ValueError, match="holds no more than 3 receipts, which are kept from training: name another"):
        worlds.draw(Receipts(TILES, str(real_folder)), "key", 0, ())
