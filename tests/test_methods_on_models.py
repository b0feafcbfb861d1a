"""Every method inside the engine: what it sees, and that what it decides is what the model computes."""

from collections.abc import Sequence

import pytest
import torch
from reference import Loss, eager_attentions, lossy_logits, plain_copy
from test_engine import QUESTIONS, row_inputs
from tiny import save_tiny_internvl

from stitchvlm.engine import Engine, Plan
from stitchvlm.families import load_vlm
from stitchvlm.families.base import Decoder
from stitchvlm.guide import run_guide
from stitchvlm.methods import Evidence, ReductionView, TokenReducer, available_methods, make_method
from stitchvlm.reduction import Reduction
from stitchvlm.sampling import Sampling
from stitchvlm.schedule import PruneStep, Schedule

N_LAYERS = 6
REDUCERS = [name for name, method in available_methods().items() if issubclass(method, TokenReducer)]
PURE = [("sparsevlm", {"recycled": 0.0}), ("visionzip", {"contextual": 0.0})]
CASES = [(name, {}) for name in REDUCERS] + PURE + [("tome", {"proportional": False})]


class Recorded(TokenReducer):
    """A method that remembers what it saw and decided."""

    def __init__(self, inner: TokenReducer):
        self.inner, self.name, self.needs = inner, inner.name, inner.needs
        self.decisions: list[tuple[ReductionView, Reduction]] = []

    def asking_rows(self, layout, embeddings):
        return self.inner.asking_rows(layout, embeddings)

    def reduce(self, view: ReductionView, n_keep: Sequence[int]) -> Reduction:
        self.decisions.append((view, self.inner.reduce(view, n_keep)))
        return self.decisions[-1][1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_internvl(tmp_path_factory.mktemp("qwen3"), "qwen3", n_layers=N_LAYERS)


@pytest.fixture(scope="module")
def engine(folder):
    return Engine(load_vlm(str(folder), device="cpu"))


@pytest.fixture(scope="module")
def plain(folder):
    return plain_copy(folder)


@pytest.fixture(scope="module")
def prompt(engine):
    return engine.embed(engine.prepare(QUESTIONS), show_vision=True)


@pytest.fixture(scope="module")
def prompts_alone(engine):
    return [engine.embed(engine.prepare([question]), show_vision=True) for question in QUESTIONS]


@pytest.fixture(scope="module")
def guides(engine, prompt):
    """Maps that this model itself makes; the small model's are of the same kind."""
    return [draft.guide.scores for draft in run_guide(engine, prompt, Sampling(4)).drafts]


def plan(reducer: TokenReducer, schedule: Schedule, guides: Sequence[torch.Tensor], seeds=(5, 6, 7)) -> Plan:
    return Plan(schedule, reducer, guides, seeds)


def losses(recorded: Recorded, row: int) -> list[Loss]:
    """The recorded decisions about a row, by places in its prompt."""
    found, sizes = [], {}
    for view, reduction in recorded.decisions:
        place, kept = view.layouts[row].index.tolist(), set(reduction.kept[row].tolist())
        flows: dict[int, dict[int, float]] = {}
        if reduction.merges is not None:
            merge = reduction.merges[row]
            columns = (merge.source.tolist(), merge.target.tolist(), merge.weight.tolist())
            for source, target, weight in zip(*columns, strict=True):
                flows.setdefault(place[target], {})[place[source]] = weight
        if reduction.proportional:
            sizes = {at: sum(sizes.get(source, 1) for source in sources) for at, sources in flows.items()}
        dropped = [at for ordinal, at in enumerate(place) if ordinal not in kept]
        found.append(Loss(view.layer, dropped, flows, sizes if reduction.proportional else None))
    return found


@pytest.mark.parametrize(("name", "options"), CASES)
def test_decoding_equals_a_full_length_forward_without_what_was_taken(engine, plain, prompt, guides, name, options):
    """A padded batch of three against one row at a time of plain transformers layers, which know no method."""
    reducer = Recorded(make_method(name, **options))
    schedule = reducer.inner.schedule(0.5, N_LAYERS)
    prefilled = engine.prefill(prompt, plan(reducer, schedule, guides))
    generated = engine.decode(prefilled, Sampling(3), keep_logits=True)
    assert len(reducer.decisions) == len(schedule.steps) > 0
    for row, question in enumerate(QUESTIONS):
        ids, pictures, _ = row_inputs(engine, question)
        tokens = generated.tokens[row]
        expected = lossy_logits(plain, ids, pictures, tokens[:-1], losses(reducer, row))
        ours = generated.logits[row, : len(tokens)]
        assert (ours - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("name", REDUCERS)
def test_a_row_of_a_padded_batch_equals_the_row_alone(engine, prompt, prompts_alone, guides, name):
    reducer = make_method(name)
    schedule = reducer.schedule(0.5, N_LAYERS)
    together = engine.prefill(prompt, plan(reducer, schedule, guides))
    for row, alone_prompt in enumerate(prompts_alone):
        alone = engine.prefill(alone_prompt, plan(reducer, schedule, [guides[row]], (5 + row,)))
        assert torch.equal(alone.kept[0], together.kept[row])
        torch.testing.assert_close(alone.logits[0], together.logits[row], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", REDUCERS)
def test_caches_hold_what_each_layer_keeps(engine, prompt, guides, name):
    schedule = make_method(name).schedule(0.5, N_LAYERS)
    prefilled = engine.prefill(prompt, plan(make_method(name), schedule, guides))
    for row, layout in enumerate(prompt.layouts):
        expected = [layout.n_visual] * N_LAYERS
        for layer, n_keep in schedule.resolve(N_LAYERS, layout.n_visual):
            expected[layer:] = [n_keep] * (N_LAYERS - layer)
        assert list(prefilled.kept_per_layer(row)) == expected
    n_text = [layout.n_tokens - layout.n_visual for layout in prompt.layouts]
    longest = [max(n + prefilled.kept_per_layer(row)[k] for row, n in enumerate(n_text)) for k in range(N_LAYERS)]
    assert [layer.get_seq_length() for layer in prefilled.cache.layers] == longest


def test_pyramids_take_tokens_away_ever_again(engine, prompt):
    for name in ("pyramiddrop", "sparsevlm"):
        schedule = make_method(name).schedule(0.5, N_LAYERS)
        counts = engine.prefill(prompt, Plan(schedule, make_method(name))).kept_per_layer(0)
        assert len(schedule.steps) == 3 and sorted(counts, reverse=True) == list(counts) and len(set(counts)) == 4


def test_merged_tokens_stand_where_their_destination_stood(engine, prompt):
    """By hand: one pair flows together before layer 2, and its attention counts twice from there on."""
    recorded = Recorded(make_method("tome"))
    schedule = Schedule((PruneStep(2, 0.95),))
    prefilled = engine.prefill(prompt, Plan(schedule, recorded))
    (view, reduction), before = recorded.decisions[0], engine.prefill(prompt)
    (gone,) = set(range(20)) - set(reduction.kept[0].tolist())
    merge = reduction.merges[0]
    target = int(merge.target[merge.source == gone])
    span = prefilled.spans[1]
    index = view.layouts[0].index
    assert index[gone] not in span.index[0] and index[target] in span.index[0]
    assert span.size[0][span.index[0] == index[target]] == 2 and span.size[0].sum() == len(span.size[0]) + 1
    unit = torch.nn.functional.normalize(view.keys[0], dim=-1)
    likeness = (unit[::2] @ unit[1::2].T).flatten()
    assert likeness.argmax() == gone // 2 * 10 + target // 2, "the most alike pair of even and odd tokens"
    assert not torch.allclose(prefilled.logits[0], before.logits[0])


def test_two_rounds_of_merging_add_up(engine, plain, prompt):
    """Sizes of a first reduction weigh in the second one."""
    recorded = Recorded(make_method("tome"))
    schedule = Schedule((PruneStep(1, 0.6), PruneStep(4, 0.2)))
    prefilled = engine.prefill(prompt, Plan(schedule, recorded))
    assert prefilled.spans[-1].size[0].sum() == prompt.layouts[0].n_tokens
    assert (recorded.decisions[1][0].sizes[0] > 1).any()
    ids, pictures, _ = row_inputs(engine, QUESTIONS[0])
    expected = lossy_logits(plain, ids, pictures, [], losses(recorded, 0))[0]
    assert (prefilled.logits[0] - expected).abs().max() <= 1e-4 * expected.abs().max()


# What a method sees


class Curious(TokenReducer):
    """A method that wants everything of the layers and asks from two rows."""

    name, paper = "curious", "baseline, no paper"
    needs = frozenset({Evidence.ATTENTION, Evidence.STATES, Evidence.EMBEDDINGS})

    def asking_rows(self, layout, embeddings):
        rows = torch.zeros(layout.n_tokens, dtype=torch.bool)
        rows[-4] = rows[-1] = True
        return rows

    def reduce(self, view: ReductionView, n_keep: Sequence[int]) -> Reduction:
        return Reduction(tuple(present[: int(n)] for present, n in zip(view.present, n_keep, strict=True)))


@pytest.mark.parametrize("layer", [1, 4])
def test_evidence_equals_what_transformers_shows(engine, plain, layer):
    recorded = Recorded(Curious())
    engine.prefill(engine.embed(engine.prepare(QUESTIONS[:2])), Plan(Schedule.single(0.4, layer), recorded))
    view = recorded.decisions[0][0]
    for row, question in enumerate(QUESTIONS[:2]):
        ids, pictures, layout = row_inputs(engine, question)
        with torch.no_grad():
            output = plain(input_ids=ids[None], **pictures, output_hidden_states=True, use_cache=True)
        asked = eager_attentions(plain, ids, pictures, [])[layer - 1][:, [-4, -1]].mean((0, 1))
        near = {"rtol": 1e-4, "atol": 1e-4}
        torch.testing.assert_close(view.attention[row], asked[layout.index], **near)
        keys = output.past_key_values.layers[layer - 1].keys[0].transpose(0, 1).flatten(1)
        torch.testing.assert_close(view.keys[row], keys[layout.index], **near)
        torch.testing.assert_close(view.states[row], output.hidden_states[layer][0, layout.index], **near)
        start = output.hidden_states[0][0]
        torch.testing.assert_close(view.embeddings[row], start[layout.index], **near)
        torch.testing.assert_close(view.instruction[row], start[layout.first_text_after_visual :], **near)
        assert view.sizes[row].tolist() == [1] * layout.n_visual


def test_attention_of_a_later_step_is_that_of_what_is_left(engine, prompt):
    recorded = Recorded(make_method("pyramiddrop"))
    engine.prefill(prompt, Plan(Schedule((PruneStep(2, 0.6), PruneStep(4, 0.2))), recorded))
    (_, first), (view, _) = recorded.decisions
    assert [len(row) for row in view.attention] == [len(row) for row in first.kept] == [len(p) for p in view.present]


def test_windows_hide_from_the_asking_row_what_they_hide_from_the_layer(tmp_path):
    folder = save_tiny_internvl(tmp_path, "phi3", n_layers=4, sliding_window=16)
    engine, plain = Engine(load_vlm(str(folder), device="cpu")), plain_copy(folder)
    recorded = Recorded(make_method("fastv"))
    engine.prefill(engine.embed(engine.prepare(QUESTIONS[:1])), Plan(Schedule.single(0.4, 2), recorded))
    ids, pictures, layout = row_inputs(engine, QUESTIONS[0])
    expected = eager_attentions(plain, ids, pictures, [])[1][:, -1].mean(0)[layout.index]
    torch.testing.assert_close(recorded.decisions[0][0].attention[0], expected, rtol=1e-4, atol=1e-6)


def test_only_the_wanted_layer_is_listened_to(engine, prompt, monkeypatch):
    heard: list[int] = []
    rows = "stitchvlm.attention._row_probabilities"
    import stitchvlm.attention as attention

    real = attention._row_probabilities
    monkeypatch.setattr(rows, lambda query, *rest: (heard.append(query.shape[2]), real(query, *rest))[1])
    engine.prefill(prompt, Plan(Schedule.single(0.4, 3), make_method("fastv")))
    assert heard == [1], "one row, once"
    heard.clear()
    for name in ("tome", "dart", "random", "divprune"):
        engine.prefill(prompt, Plan(Schedule.single(0.4, 3), make_method(name)))
    assert not heard, "keys and embeddings cost no attention"


def test_nobody_listens_for_methods_that_do_not_ask(engine, prompt, guides, monkeypatch):
    monkeypatch.setattr("stitchvlm.evidence.LayerTap", lambda *_: pytest.fail("somebody listens"))
    for name in REDUCERS:
        method = make_method(name)
        if not method.needs & {Evidence.ATTENTION, Evidence.STATES}:
            engine.prefill(prompt, plan(method, Schedule.single(0.4, 3), guides))


@pytest.mark.parametrize("name", REDUCERS)
def test_a_view_shows_what_was_asked_for_and_nothing_else(engine, prompt, guides, name):
    from methods.views import SHOWN

    recorded = Recorded(make_method(name))
    engine.prefill(prompt, plan(recorded, recorded.inner.schedule(0.5, N_LAYERS), guides))
    asked = {field for evidence in recorded.needs for field in SHOWN[evidence]}
    for field in {field for fields in SHOWN.values() for field in fields}:
        assert len(getattr(recorded.decisions[0][0], field)) == (len(QUESTIONS) if field in asked else 0)


@pytest.mark.parametrize("name", REDUCERS)
def test_evidence_that_nobody_collected_is_named_before_anything_is_run(engine, name, monkeypatch):
    bare = engine.embed(engine.prepare(QUESTIONS[:1]))
    method = make_method(name)
    absent = method.needs & {Evidence.GUIDE_MAP, Evidence.OWN_MAP, Evidence.VISION}
    if not absent:
        return
    monkeypatch.setattr(Decoder, "run", lambda *_: pytest.fail("layers were run"))
    with pytest.raises(ValueError, match=f"{name} needs {next(iter(absent)).value}"):
        engine.prefill(bare, Plan(Schedule.single(0.5, 2), method))


@pytest.mark.parametrize("name", ["fastv", "tome", "sparsevlm", "pyramiddrop", "dart"])
def test_layer_0_has_no_layer_before(engine, prompt, name):
    with pytest.raises(ValueError, match=f"{name} looks at the layer before"):
        engine.prefill(prompt, Plan(Schedule.single(0.5, 0), make_method(name)))


@pytest.mark.parametrize("name", ["fastv", "tome", "visionzip"])
def test_scored_answers_see_the_same_reduction(engine, prompt, guides, name):
    """A teacher-forced answer behind the prompt neither asks nor is asked about."""
    method = make_method(name)
    the_plan = plan(method, method.schedule(0.5, N_LAYERS), guides)
    prefilled = engine.prefill(prompt, the_plan)
    generated = engine.decode(prefilled, Sampling(4), keep_logits=True)
    for row, logits in enumerate(engine.score(prompt, generated.tokens, the_plan)):
        torch.testing.assert_close(logits, generated.logits[row, : len(logits)], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_merging_in_half_precision_stays_finite(folder, dtype):
    half = Engine(load_vlm(str(folder), dtype, "cpu"))
    prefilled = half.prefill(half.embed(half.prepare(QUESTIONS)), Plan(Schedule.single(0.1, 2), make_method("tome")))
    assert half.decode(prefilled, Sampling(3), keep_logits=True).logits.isfinite().all()
