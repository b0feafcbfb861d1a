"""Tiles that are never encoded: against pruning after encoding, against a masked full-length forward, and by counting."""

from dataclasses import replace

import pytest
import torch
from reference import masked_logits, plain_copy
from test_engine import N_LAYERS, QUESTIONS, TEXT_MODELS, dropped_places, row_inputs
from tiny import save_tiny_internvl

from stitchvlm.engine import Engine
from stitchvlm.families import load_vlm
from stitchvlm.families.tiles import tiled_layout
from stitchvlm.methods import Guided, Random, ReductionView
from stitchvlm.passes import Plan
from stitchvlm.sampling import Sampling
from stitchvlm.schedule import Schedule


@pytest.fixture(scope="module", params=TEXT_MODELS)
def folder(request, tmp_path_factory):
    return save_tiny_internvl(tmp_path_factory.mktemp(request.param), request.param, n_layers=N_LAYERS)


@pytest.fixture(scope="module")
def engine(folder):
    return Engine(load_vlm(str(folder), device="cpu"))


@pytest.fixture(scope="module")
def plain(folder):
    return plain_copy(folder)


def guide_of(layout, tiles):
    """A map that points at some tiles, an early token of each most."""
    scores = torch.rand(layout.n_visual, generator=torch.Generator().manual_seed(0))
    return scores + 5.0 * torch.isin(layout.tile_number, torch.tensor(tiles))


def plan_of(layouts, keep, layer, method):
    guides = [guide_of(layout, tiles) for layout, tiles in zip(layouts, ([1, 3], [0], []), strict=False)]
    return Plan(Schedule.single(keep, layer), method, guides)


def counted(engine, monkeypatch):
    """How many tiles every call of the vision encoder saw."""
    seen, encode = [], engine.vlm.model.get_image_features

    def counting(*arguments, **named):
        seen.append(len(named["pixel_values"]))
        return encode(*arguments, **named)

    monkeypatch.setattr(engine.vlm.model, "get_image_features", counting)
    return seen


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("keep", [0.0, 0.3])
def test_before_layer_0_nothing_changes_but_the_tiles_encoded(engine, rows, keep, monkeypatch):
    inputs = engine.prepare(QUESTIONS[:rows])
    plan = plan_of(inputs.layouts, keep, 0, Guided()) if keep else None
    if plan is None:
        plan = Plan(Schedule((replace(Schedule.single(0.5, 0).steps[0], keep=0.0),)), Random())
    seen = counted(engine, monkeypatch)
    whole = engine.prefill(engine.embed(inputs), plan)
    n_all = sum(seen)
    seen.clear()
    foreseen = engine.foresee(plan, inputs.layouts)
    prompt = engine.embed(inputs, plan=foreseen)
    assert sum(seen) < n_all and all(
        len(there) == 4 * len(layout.tile_number[there].unique())
        for there, layout in zip(prompt.present, inputs.layouts, strict=True)
    )
    part = engine.prefill(prompt, foreseen)
    assert all(torch.equal(a, b) for a, b in zip(whole.kept, part.kept, strict=True))
    torch.testing.assert_close(part.logits, whole.logits, rtol=1e-4, atol=1e-5)
    assert [part.kept_per_layer(row) for row in range(rows)] == [whole.kept_per_layer(row) for row in range(rows)]
    assert engine.decode(part, Sampling(5)).tokens == engine.decode(whole, Sampling(5)).tokens


@pytest.mark.parametrize("layer", [2, 3])
@pytest.mark.parametrize("rows", [1, 3])
def test_tokens_of_skipped_tiles_are_in_no_layer(engine, plain, layer, rows):
    inputs = engine.prepare(QUESTIONS[:rows])
    plan = engine.foresee(plan_of(inputs.layouts, 0.2, layer, Guided(skip_tiles=True)), inputs.layouts)
    prefilled = engine.prefill(engine.embed(inputs, plan=plan), plan)
    generated = engine.decode(prefilled, Sampling(5), keep_logits=True)
    for row, question in enumerate(QUESTIONS[:rows]):
        ids, pictures, layout = row_inputs(engine, question)
        present, kept = prefilled.prompt.present[row].tolist(), prefilled.kept[row].tolist()
        assert len(present) < layout.n_visual or not layout.n_visual
        assert prefilled.kept_per_layer(row) == (len(present),) * layer + (len(kept),) * (N_LAYERS - layer)
        steps = [(0, dropped_places(layout, present)), (layer, dropped_places(layout, kept))]
        expected = masked_logits(plain, ids, pictures, generated.tokens[row][:-1], steps)
        ours = generated.logits[row, : len(generated.tokens[row])]
        assert (ours - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_a_draft_behind_skipped_tiles_changes_no_token(engine):
    inputs = engine.prepare(QUESTIONS)
    plan = engine.foresee(plan_of(inputs.layouts, 0.2, 2, Guided(skip_tiles=True)), inputs.layouts)
    prompt = engine.embed(inputs, plan=plan)
    anew = engine.decode(engine.prefill(prompt, plan), Sampling(6))
    drafts = [anew.tokens[0][:3], [*anew.tokens[1][:1], 9, 9], []]
    assert engine.decode(engine.prefill(prompt, plan, proposed=drafts), Sampling(6)).tokens == anew.tokens


def test_methods_that_look_at_the_large_model_foresee_nothing(engine):
    from stitchvlm.methods import make_method

    layouts = engine.prepare(QUESTIONS).layouts
    for name in ("divprune", "visionzip", "fastv"):
        plan = Plan(Schedule.single(0.5, 0 if name != "fastv" else 2), make_method(name))
        assert engine.foresee(plan, layouts).foreseen is None
    late = Plan(Schedule.single(0.5, 2), Guided(), [guide_of(layout, [0]) for layout in layouts])
    assert engine.foresee(late, layouts).foreseen is None


def test_a_budget_holds_what_is_kept_to_the_best_tiles():
    """Three tiles and no thumbnail to speak of: 2 x 2 tokens a tile, worth worked out by hand."""
    layout = tiled_layout(torch.arange(16), [(3, 1)], 2, [(84, 28)], n_tokens=20)
    assert layout.n_tiles == 4
    scores = torch.tensor([9.0, 0, 0, 0, 4, 4, 0, 0, 5, 1, 3, 0, 0, 0, 0, 2])
    view = ReductionView([layout], [torch.arange(16)], 0, [scores])

    def kept(budget, n_keep=5):
        return Guided(tile_budget=budget).reduce(view, [n_keep]).kept[0].tolist()

    assert kept(0) == [0, 4, 5, 8, 10]  # tiles 0, 1, 2 with 9, 8 and 8
    assert kept(3) == kept(0)
    assert kept(2) == [0, 1, 2, 4, 5]  # of equal tiles the first; then the best there, equal ones in their order
    assert kept(1) == [0, 1, 2, 3]  # a tile holds no more than that
    with pytest.raises(ValueError, match="tile_budget must be a number of tiles"):
        Guided(tile_budget=-1)


def test_a_mass_holds_what_is_kept_to_the_fewest_tiles_that_have_it():
    """Of what would be kept 45 % lies in tile 1, 30 % in tile 0 and 25 % in tile 2: worked out by hand."""
    layout = tiled_layout(torch.arange(16), [(3, 1)], 2, [(84, 28)], n_tokens=20)
    scores = torch.tensor([6.0, 0, 0, 0, 5, 4, 0, 1, 5, 0, 0, 0, 0, 0, 0, 2])
    view = ReductionView([layout], [torch.arange(16)], 0, [scores])

    def kept(mass, n_keep=4, **options):
        return Guided(tile_mass=mass, **options).reduce(view, [n_keep]).kept[0].tolist()

    assert kept(1.0) == [0, 4, 5, 8]
    assert kept(0.76) == kept(1.0)
    assert kept(0.74) == [
        0,
        4,
        5,
        7,
    ]  # the fourth place goes to the next best of the two tiles that have three quarters
    assert kept(0.46) == kept(0.74) and kept(0.44) == [4, 5, 6, 7]
    assert kept(0.76, tile_budget=1) == kept(0.44) == kept(0.44, tile_budget=2)
    assert kept(0.5, n_keep=0) == []
    for wrong in (0.0, 1.1):
        with pytest.raises(ValueError, match="tile_mass must be a share above 0"):
            Guided(tile_mass=wrong)
