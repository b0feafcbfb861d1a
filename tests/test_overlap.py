"""The large model's head start: on a side stream, or a stand-in for one, the same answers as one model after the other."""

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from test_cascade import QUESTIONS, pair, stitch  # noqa: F401 (a fixture)

from stitchvlm.engine import Engine
from stitchvlm.sampling import Sampling
from stitchvlm.streams import SideStream, side_stream


class StandIn:
    """A stream in name only; notes when it is used and what is waited for."""

    def __init__(self, told):
        self.told, self.joined = told, []

    @contextmanager
    def beside(self):
        self.told.append("beside")
        yield
        self.told.append("back")

    def join(self, results):
        self.told.append("join")
        self.joined += results


@pytest.fixture
def told(monkeypatch):
    """What happens in which order: small and large model preparing, seeing and prefilling, and the stand-in."""
    told = []

    def tell(name):
        do = getattr(Engine, name)

        def telling(engine, *rest, **options):
            told.append(f"{name} {'small' if engine.n_layers == 3 else 'large'}")
            return do(engine, *rest, **options)

        monkeypatch.setattr(Engine, name, telling)

    for name in ("prepare", "see", "prefill"):
        tell(name)
    side = StandIn(told)
    monkeypatch.setattr("stitchvlm.cascade.side_stream", lambda device: side)
    return told


def both(vlm, told):
    """Answers with and without a head start, and what happened in the first case."""
    plain = replace(vlm.cascade, overlap=False).answer(QUESTIONS[:2], Sampling(3))
    told.clear()
    return replace(vlm.cascade, overlap=True).answer(QUESTIONS[:2], Sampling(3)), plain, list(told)


HEAD_STARTS = {
    "guided from layer 2": {"layer": 2, "keep": 0.3},
    "guided, nothing leaves": {"keep": 1.0},
    "guided, scored": {"layer": 2, "keep": 0.3, "score_drafts": True},
    "guided by mass": {"layer": 2, "keep": "mass=0.8"},
    "large alone": {"method": None, "speculate": 2},
    "visionzip": {"method": "visionzip", "speculate": 2, "keep": 0.4},
    "downsample": {"method": "downsample", "speculate": 2, "keep": 0.4},
}


@pytest.mark.parametrize("name", HEAD_STARTS)
def test_answers_are_the_same(pair, told, name):  # noqa: F811
    ours, plain, order = both(stitch(pair, exit="never", **HEAD_STARTS[name]), told)
    assert [a.text for a in ours] == [a.text for a in plain]
    assert [a.trace.kept for a in ours] == [a.trace.kept for a in plain]
    assert order[:5] == ["prepare large", "beside", "see large", "back", "prepare small"]
    assert order.count("see large") == order.count("prepare large") == order.count("join") == 1
    assert order.index("prefill small") < order.index("join") < order.index("prefill large")
    assert set(ours[0].trace.seconds) == set(plain[0].trace.seconds) >= {"large_prepare", "large_encode"}


@pytest.mark.parametrize(
    "options",
    [
        {"exit": 0.5, "layer": 2},
        {"exit": "always", "layer": 2},
        {"exit": "never", "layer": 0},
        {"exit": "never", "layer": 2, "method_options": {"skip_tiles": True}},
        {"exit": "never", "method": "small-alone"},
    ],
)
def test_what_may_not_be_needed_is_not_begun(pair, told, options):  # noqa: F811
    from stitchvlm.methods import Guided

    chosen = options.pop("method_options", None)
    if chosen:
        options["method"] = Guided(**chosen)
    ours, plain, order = both(stitch(pair, keep=0.3, **options), told)
    assert [a.text for a in ours] == [a.text for a in plain] and "beside" not in order
    assert order.index("prefill small") < order.index("see large") if "see large" in order else True


def test_what_does_not_fit_beside_the_small_model_comes_after_it(pair, told, monkeypatch):  # noqa: F811
    vlm, see = stitch(pair, exit="never", layer=2, keep=0.3), Engine.see

    def full_once(engine, *rest):
        if told[-1] == "beside":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return see(engine, *rest)

    monkeypatch.setattr(Engine, "see", full_once)
    ours, plain, order = both(vlm, told)
    assert [a.text for a in ours] == [a.text for a in plain] and "join" not in order


def test_a_cpu_keeps_the_order(pair, told, monkeypatch):  # noqa: F811
    monkeypatch.setattr("stitchvlm.cascade.side_stream", side_stream)
    vlm = stitch(pair, exit="never", layer=2, keep=0.3)
    assert vlm.cascade.overlap == torch.cuda.is_available() and side_stream(torch.device("cpu")) is None
    _, _, order = both(vlm, told)
    assert order[:3] == ["prepare small", "see small", "prefill small"]


def test_streams_wait_for_each_other_and_memory_for_both(monkeypatch):
    done, current = [], ["main"]

    def stream(name):
        return SimpleNamespace(name=name, wait_stream=lambda other: done.append((name, "waits for", other.name)))

    @contextmanager
    def within(entered):
        current.append(entered.name)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: stream("side"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream(current[-1]))
    monkeypatch.setattr(torch.cuda, "stream", within)
    side = SideStream(torch.device("cuda"))
    with side.beside():
        assert current[-1] == "side"
    result = SimpleNamespace(is_cuda=True, record_stream=lambda on: done.append(("kept for", on.name)))
    side.join([result, torch.empty(0)])
    assert done == [("side", "waits for", "main"), ("main", "waits for", "side"), ("kept for", "main")]
