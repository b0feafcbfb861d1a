"""Decoding in tensors that never move: tokens, logits and maps as with caches that grow, and what happens when it fails."""

import warnings
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from test_engine import QUESTIONS, TEXT_MODELS, picture, random_plan
from tiny import QWEN_VL, save_tiny_internvl, save_tiny_qwen_vl
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from typer.testing import CliRunner

from stitchvlm.attention import AttentionTap
from stitchvlm.cli import app
from stitchvlm.engine import Engine
from stitchvlm.families import load_vlm
from stitchvlm.graphs import KEPT, CudaCapture, DecodeGraphs, DecodeStep, StepShape
from stitchvlm.guide import counted_rows, run_guide
from stitchvlm.maps import MapForm
from stitchvlm.records import Question
from stitchvlm.sampling import Sampling
from stitchvlm.stitch import Stitch

N_LAYERS = 3
MODELS = {
    **{name: (name, {}) for name in TEXT_MODELS},
    "qwen2_5_vl": ("qwen2_5_vl", {}),
    "qwen3_vl": ("qwen3_vl", {}),
    "phi3 windows": ("phi3", {"sliding_window": 16}),
    "qwen2 windows": ("qwen2", {"sliding_window": 16, "use_sliding_window": True, "max_window_layers": 1}),
}
SHORT = Question("Why?", (picture(28, 28, 3),))


class Recorder:
    """Captures nothing: what it gives back runs the step itself. Counts both."""

    def __init__(self):
        self.captured = self.replayed = 0

    def __call__(self, run):
        self.captured += 1

        def replay():
            self.replayed += 1
            run()

        return replay


def engine_of(folder, capture=None) -> Engine:
    engine = Engine(load_vlm(str(folder), device="cpu"))
    engine.graphs = DecodeGraphs(engine.decoder, "tiny", capture)
    return engine


@pytest.fixture(scope="module", params=MODELS)
def folder(request, tmp_path_factory):
    text, options = MODELS[request.param]
    save = save_tiny_qwen_vl if text in QWEN_VL else save_tiny_internvl
    return save(tmp_path_factory.mktemp("static"), text, n_layers=N_LAYERS, **options)


@pytest.fixture(scope="module")
def qwen2(tmp_path_factory):
    return save_tiny_internvl(tmp_path_factory.mktemp("qwen2"), n_layers=2)


def decoded(engine, questions, sampling, graphs):
    """Tokens, raw logits and what the tap made of it."""
    prompt = engine.embed(engine.prepare(questions))
    tap = AttentionTap(prompt.stream, counted_rows(prompt), engine.decoder.windows)
    prefilled = engine.prefill(prompt, tap=tap)
    generated = engine.decode(prefilled, sampling, tap=tap, keep_logits=True, score=True, graphs=graphs)
    return generated, tap.finish(generated.cache, tuple(len(tokens) - 1 for tokens in generated.tokens))


def assert_same(engine, questions, sampling):
    plain, maps = decoded(engine, questions, sampling, graphs=False)
    ours, our_maps = decoded(engine, questions, sampling, graphs=True)
    assert ours.tokens == plain.tokens and ours.behind is None is not plain.behind
    torch.testing.assert_close(ours.logits, plain.logits, rtol=1e-5, atol=2e-5)
    for one, other in zip(our_maps, maps, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    for one, other in zip(ours.log_probabilities, plain.log_probabilities, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    return ours.tokens


def test_the_step_equals_caches_that_grow(folder):
    """One row; three padded ones, one of which is made to end before the others; and short questions behind longer ones."""
    capture = Recorder()
    engine = engine_of(folder, capture)
    assert_same(engine, QUESTIONS[:1], Sampling(6, min_new_tokens=6))
    assert capture.captured == 1 and capture.replayed == 1 + 5
    tokens = assert_same(engine, QUESTIONS, Sampling(6, min_new_tokens=6))
    engine.vlm = replace(engine.vlm, stop_ids=(tokens[0][3],))
    lengths = {len(row) for row in assert_same(engine, QUESTIONS, Sampling(6, min_new_tokens=2))}
    assert len(lengths) > 1 and capture.captured == 2
    assert_same(engine, [SHORT], Sampling(6, min_new_tokens=2))
    assert_same(engine, [SHORT] * 3, Sampling(6, min_new_tokens=2))
    assert_same(engine, [SHORT], Sampling(6, min_new_tokens=2, temperature=0.8, seed=3))
    assert capture.captured == 2, "shorter questions take the tensors of the longer ones"


@pytest.mark.parametrize("form", [MapForm(rows="prompt"), MapForm(layers="last", heads="max"), None])
def test_guide_passes_are_the_same_whatever_is_heard(qwen2, form):
    capture = Recorder()
    engine = engine_of(qwen2, capture)
    prompt = engine.embed(engine.prepare(QUESTIONS))
    ours, plain = (run_guide(engine, prompt, Sampling(6), form=form, graphs=graphs) for graphs in (True, False))
    assert capture.captured == 1 and capture.replayed > 1
    for one, other in zip(ours.drafts, plain.drafts, strict=True):
        assert one.tokens == other.tokens and one.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-5)
        if form is not None:
            torch.testing.assert_close(one.guide.prefill, other.guide.prefill, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(one.guide.decode, other.guide.decode, rtol=1e-5, atol=1e-5)


def test_nothing_is_left_of_a_question_that_overflowed(qwen2):
    """A key or value that is not a number would spoil sums even where a mask hides it."""
    engine = engine_of(qwen2, Recorder())
    assert_same(engine, QUESTIONS[:1], Sampling(5))
    (step,) = engine.graphs._steps.values()
    with torch.inference_mode():
        for layer in step.cache.layers:
            layer.keys.fill_(torch.nan)
            layer.values.fill_(torch.nan)
    assert_same(engine, [SHORT], Sampling(5))


def test_a_run_can_be_repeated(qwen2):
    """So that warming up, capturing and checking leave no trace."""
    engine = engine_of(qwen2)
    prefilled = engine.prefill(engine.embed(engine.prepare(QUESTIONS)))
    with torch.inference_mode():
        step = DecodeStep(engine.decoder, StepShape.of(prefilled, 4, None), prefilled)
        step.load(prefilled)
        step.aim([7, 8, 9])
        step.run()
        first, keys = step.logits.clone(), step.cache.layers[0].keys.clone()
        step.run()
    assert torch.equal(step.logits, first) and torch.equal(step.cache.layers[0].keys, keys)
    assert step.cache.get_seq_length() == prefilled.spans[0].index.shape[1]


ASKS_THE_HOST = {"_local_scalar_dense", "nonzero", "lift_fresh", "masked_select", "_to_copy to a device"}


class Launches(TorchDispatchMode):
    """Notes every operation, and where those tensors lie that were there before the first one."""

    def __init__(self):
        super().__init__()
        self.names, self.read, self._made, self._alive = [], set(), set(), []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        options = options or {}
        moves = " to a device" if options.get("device") else ""
        self.names.append(function.overloadpacket.__name__ + moves)
        given = self._storages((arguments, options))
        self.read |= given - self._made
        result = function(*arguments, **options)
        self._made |= self._storages(result) - given
        return result

    def _storages(self, values) -> set[int]:
        tensors = [value for value in tree_leaves(values) if isinstance(value, torch.Tensor)]
        self._alive += tensors
        return {tensor.untyped_storage().data_ptr() for tensor in tensors}


def test_a_run_asks_the_host_for_nothing_and_reads_the_same_tensors(folder):
    """What a CUDA graph needs, as far as a CPU can tell: the same operations on the same addresses, none that waits for a value."""
    engine = engine_of(folder)
    prefilled = engine.prefill(engine.embed(engine.prepare(QUESTIONS)))
    with torch.inference_mode():
        step = DecodeStep(engine.decoder, StepShape.of(prefilled, 4, None), prefilled)
        step.load(prefilled)
        runs = []
        for tokens in ([7, 8, 9], [4, 5, 6]):
            step.aim(tokens)
            with Launches() as launches:
                step.run()
            step.move_on()
            runs.append(launches)
    assert runs[0].names == runs[1].names and runs[0].read == runs[1].read
    assert "index_copy_" in runs[0].names and not ASKS_THE_HOST & set(runs[0].names)


def test_what_a_step_is_not_made_for_is_decoded_without(qwen2):
    engine = engine_of(qwen2, capture := Recorder())
    prompt = engine.embed(engine.prepare(QUESTIONS))
    engine.decode(engine.prefill(prompt, random_plan((1, 0.4))), Sampling(4), graphs=True)
    engine.decode(engine.prefill(prompt, proposed=[(5,), (6, 7), ()]), Sampling(4), graphs=True)
    engine.decode(engine.prefill(prompt), Sampling(4), proposer=lambda answers: [()] * 3, graphs=True)
    engine.decode(engine.prefill(prompt), Sampling(1), graphs=True)
    assert run_guide(engine, prompt, Sampling(4), keep_caches=True).behind is not None
    assert capture.captured == 0
    sized = replace(prompt, stream=replace(prompt.stream, size=torch.ones_like(prompt.stream.index).float()))
    engine.decode(engine.prefill(sized), Sampling(4), graphs=True)
    assert capture.captured == 0


@pytest.mark.parametrize("wanted", [True, False])
def test_users_can_switch_graphs_off(qwen2, wanted):
    options = {"exit": "never", "keep": 0.5, "device": "cpu", "sampling": Sampling(4), "cuda_graphs": wanted}
    vlm = Stitch.from_pretrained(str(qwen2), str(qwen2), **options)
    vlm.cascade.small().graphs = DecodeGraphs(vlm.cascade.small().decoder, "tiny", capture := Recorder())
    vlm.answer([SHORT])
    assert capture.captured == wanted


@pytest.mark.parametrize(
    "command",
    [
        ["ask", "x.png", "why?"],
        ["bench", "--image", "x.png", "--question", "why?"],
        ["eval", "scenes", "--n", "1", "--out", "x.jsonl"],
        ["compare", "scenes", "--n", "1", "--out", "x"],
    ],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("flag", [[], ["--no-cuda-graphs"]])
def test_so_can_users_of_the_command_line(monkeypatch, tmp_path, command, flag):
    asked = {}

    def note(*models, **options):
        asked.update(options)
        raise ValueError("enough")

    monkeypatch.setattr("stitchvlm.stitch.Stitch.from_pretrained", note)
    monkeypatch.chdir(tmp_path)
    picture(28, 28).save("x.png")
    assert CliRunner().invoke(app, [*command, *flag]).exit_code == 2
    assert asked["cuda_graphs"] == (not flag)


def test_a_cpu_captures_nothing(qwen2):
    engine = Engine(load_vlm(str(qwen2), device="cpu"))
    prefilled = engine.prefill(engine.embed(engine.prepare(QUESTIONS)))
    assert engine.graphs.begin(prefilled, 8, None) is None


def test_only_so_many_steps_are_kept(qwen2):
    engine = engine_of(qwen2, capture := Recorder())
    prompts = [engine.embed(engine.prepare([SHORT] * rows)) for rows in range(1, KEPT + 2)]
    for prompt in [*prompts[:KEPT], prompts[0], prompts[KEPT]]:
        engine.decode(engine.prefill(prompt), Sampling(3), graphs=True)
    assert capture.captured == KEPT + 1 and engine.graphs.n_ready == KEPT
    engine.decode(engine.prefill(prompts[0]), Sampling(3), graphs=True)
    assert capture.captured == KEPT + 1, "the first was used after the second, which has gone"
    engine.decode(engine.prefill(prompts[1]), Sampling(3), graphs=True)
    assert capture.captured == KEPT + 2 and engine.graphs.n_ready == KEPT


def test_weights_that_have_moved_are_captured_anew(qwen2):
    engine = engine_of(qwen2, capture := Recorder())
    assert_same(engine, [SHORT], Sampling(3))
    for parameter in engine.decoder.layers.parameters():
        parameter.data = parameter.data * 1.5
    assert_same(engine, [SHORT], Sampling(3))
    assert capture.captured == 2


def failing(problem):
    def capture(run):
        raise problem

    return capture


def frozen(run):
    """Replays what came of the token that it was captured with, whatever has changed since."""
    step = run.__self__
    first = step.logits.clone()
    return lambda: step.logits.copy_(first)


@pytest.mark.parametrize(
    ("capture", "said"),
    [
        (failing(RuntimeError("operation not permitted when stream is capturing\nand more")), "is capturing$"),
        (failing(torch.OutOfMemoryError("CUDA out of memory.")), "out of memory.$"),
        (failing(AttributeError()), "AttributeError$"),
        (frozen, "other logits than the step"),
        (lambda run: lambda: None, "other logits than the step"),
    ],
)
def test_what_goes_wrong_is_told_once_and_costs_no_answer(qwen2, capture, said):
    engine = engine_of(qwen2, capture)
    plain, maps = decoded(engine, QUESTIONS, Sampling(6), graphs=False)
    with pytest.warns(UserWarning, match=f"tiny decodes without CUDA graphs from now on.*{said}"):
        first, first_maps = decoded(engine, QUESTIONS, Sampling(6), graphs=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second, second_maps = decoded(engine, QUESTIONS, Sampling(6), graphs=True)
    assert first.tokens == second.tokens == plain.tokens and not engine.graphs.n_ready
    for ours in (*first_maps, *second_maps):
        assert any(torch.equal(ours, one) for one in maps)


class FakeCuda:
    """torch.cuda as far as a capture needs it; notes what is done on which stream."""

    def __init__(self, monkeypatch):
        self.done, self.current, self.n_streams = [], "main", 0
        for name in ("Stream", "graph_pool_handle", "CUDAGraph", "current_stream", "stream", "graph", "device"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))

    def Stream(self, device=None):  # noqa: N802 (torch's name)
        self.n_streams += 1
        return self._stream(f"side {self.n_streams}")

    def _stream(self, name):
        wait = lambda other: self.done.append(f"{name} waits for {other.name}")  # noqa: E731
        return SimpleNamespace(name=name, wait_stream=wait)

    def graph_pool_handle(self):
        return "pool"

    def CUDAGraph(self):  # noqa: N802 (torch's name)
        return SimpleNamespace(replay=lambda: self.done.append("replayed"))

    def current_stream(self):
        return self._stream(self.current)

    def device(self, device):
        return nullcontext()

    @contextmanager
    def stream(self, stream):
        before, self.current = self.current, stream.name
        try:
            yield
        finally:
            self.current = before

    @contextmanager
    def graph(self, graph, pool, stream):
        self.done.append(f"captures into {pool} on {stream.name}")
        self.current = stream.name
        yield


def test_captures_share_a_stream_and_a_pool(monkeypatch):
    cuda = FakeCuda(monkeypatch)
    capture = CudaCapture(torch.device("cuda"))
    for _ in range(2):
        cuda.done.clear()
        replay = capture(lambda: cuda.done.append(f"run on {cuda.current}"))
        begun, *runs, ended = cuda.done
        assert begun == "side 1 waits for main" and ended == "main waits for side 1"
        assert runs == ["run on side 1"] * 2 + ["captures into pool on side 1", "run on side 1"]
        replay()
        assert cuda.done[-1] == "replayed" and cuda.current == "main"


def test_a_capture_that_fails_leaves_the_stream_as_it_was(monkeypatch):
    cuda = FakeCuda(monkeypatch)

    def run():
        if any("captures" in one for one in cuda.done):
            raise RuntimeError("not while capturing")

    with pytest.raises(RuntimeError, match="not while capturing"):
        CudaCapture(torch.device("cuda"))(run)
    assert cuda.current == "main" and cuda.done[-1] == "main waits for side 1"


def test_a_later_shape_that_fails_ends_the_earlier_ones_too(qwen2):
    recorder = Recorder()

    def capture(run):
        if recorder.captured:
            raise RuntimeError("no second one")
        return recorder(run)

    engine = engine_of(qwen2, capture)
    assert_same(engine, [SHORT], Sampling(3))
    with pytest.warns(UserWarning, match="no second one"):
        decoded(engine, QUESTIONS, Sampling(3), graphs=True)
    replayed = recorder.replayed
    decoded(engine, [SHORT], Sampling(3), graphs=True)
    assert recorder.replayed == replayed
