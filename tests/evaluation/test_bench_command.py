"""``stitch bench``: operations of every stage against torch's own count, and the command from the outside."""

import json
from contextlib import contextmanager

import pytest
from test_engine import picture
from tiny import save_tiny_qwen_vl
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from stitchvlm.cli import app
from stitchvlm.evaluation.bench import Bench
from stitchvlm.methods import Guided
from stitchvlm.sampling import Sampling
from stitchvlm.stitch import Stitch, make_question
from stitchvlm.timing import Stopwatch

STAGES = ["small_encode", "small_prefill", "small_decode", "exit_check"]
STAGES += ["large_encode", "large_prefill", "large_decode"]
TAPPED = {"small_prefill", "small_decode", "large_own_map"}
"""Stages in which a guide map is drawn, whose rows are not counted on paper."""
UNCOUNTED = 1e-3
"""Share that is not counted on paper: FastV's one scored row, and rotary angles, which older transformers multiply."""


class Counter(Stopwatch):
    """Counts operations where a stopwatch takes the time."""

    def __init__(self):
        super().__init__()
        self.flops = {}

    @contextmanager
    def stage(self, name):
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            yield
        self.flops[name] = counter.get_total_flops()


@pytest.fixture
def bench(tiny_pair):
    def make(**options):
        vlm = Stitch.from_pretrained(
            *tiny_pair, device="cpu", exit="never", dtype="float32", lazy_large=True, sampling=Sampling(5), **options
        )
        return Bench(vlm, make_question("What is it?", picture(64, 48)))

    return make


@pytest.mark.parametrize(
    ("options", "stages"),
    [
        ({"keep": 0.5, "layer": 2}, STAGES),
        ({"keep": 0.5, "layer": 2, "reuse_drafts": False}, STAGES),
        ({"keep": 0.05, "layer": 0}, STAGES),
        ({"keep": 0.5, "method": "fastv"}, STAGES[4:]),
        ({"keep": 0.5, "method": "oracle"}, [STAGES[4], "large_own_map", *STAGES[5:]]),
        ({"method": "small-alone"}, STAGES[:3]),
    ],
)
def test_operations_are_what_torch_counts_stage_by_stage(bench, options, stages):
    asking, counter = bench(**options), Counter()
    asked = asking.ask(counter)
    work = asking.work(asked)
    assert list(work) == stages
    for name in stages:
        found = pytest.approx(counter.flops[name], rel=UNCOUNTED)
        assert work[name].flops == found or (name in TAPPED and work[name].flops < counter.flops[name])
        assert work[name].bytes > 0 or name.endswith("decode")


def test_the_small_model_counts_exactly_where_nobody_draws_a_map(bench):
    asking, counter = bench(method="small-alone"), Counter()
    work = asking.work(asking.ask(counter))
    for name in STAGES[:3]:
        assert work[name].flops == pytest.approx(counter.flops[name], rel=UNCOUNTED) and work[name].flops > 0


def test_a_tile_that_is_not_encoded_and_a_draft_are_counted(bench):
    """One token of one of five tiles; a prefill that verifies a draft has more to do, and the decode less."""
    few, all_of_it = bench(keep=0.05, layer=0), bench(method="large-alone")
    few_asked, asked = few.ask(Stopwatch()), all_of_it.ask(Stopwatch())
    assert few.work(few_asked)["large_encode"].flops * 5 == all_of_it.work(asked)["large_encode"].flops
    anew = bench(keep=0.05, layer=0, reuse_drafts=False)
    verified, plain = few.work(few_asked), anew.work(anew.ask(Stopwatch()))
    assert verified["large_prefill"].flops > plain["large_prefill"].flops
    assert verified["large_prefill"].bytes > plain["large_prefill"].bytes


def test_a_crop_is_counted_as_what_is_encoded_of_it(tmp_path):
    pair = [str(save_tiny_qwen_vl(tmp_path / str(seed), "qwen2_vl", n_layers=2, seed=seed)) for seed in (1, 2)]
    method = Guided(crop=True)
    vlm = Stitch.from_pretrained(*pair, device="cpu", exit="never", method=method, keep=0.05, sampling=Sampling(2))
    asking, counter = Bench(vlm, make_question("What is it?", picture(112, 84))), Counter()
    asked = asking.ask(counter)
    work = asking.work(asked)
    assert 0 < len(asked.answer.trace.encoded) < asked.answer.trace.n_visual
    for name in ("small_encode", "large_encode"):
        assert work[name].flops == pytest.approx(counter.flops[name], rel=UNCOUNTED)
    assert work["large_encode"].flops < work["small_encode"].flops


@pytest.fixture
def run(tiny_pair):
    def invoke(*options: str):
        pair = ["--small", tiny_pair[0], "--large", tiny_pair[1], "--device", "cpu", "--max-new-tokens", "4"]
        rounds = [] if "--rounds" in options else ["--rounds", "2"]
        return CliRunner(env={"COLUMNS": "80"}).invoke(app, ["bench", *pair, *rounds, *options])

    return invoke


def test_json_holds_every_stage_and_adds_up(run):
    done = run("--keep", "50%", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert list(told["stages"]) == STAGES and told["rounds"] == 2 and told["limit"].endswith(".")
    assert told["machines"]["small"] == told["machines"]["large"]  # one device and one dtype are measured once
    machine = told["machines"]["small"]
    for stage in told["stages"].values():
        least = (stage["flops"] / machine["flops_per_second"], stage["bytes"] / machine["bytes_per_second"])
        assert stage["roofline_seconds"] == pytest.approx(max(least))
        assert stage["bound"] == ("arithmetic" if least[0] >= least[1] else "memory")
        assert stage["ratio"] is None or stage["ratio"] == pytest.approx(stage["seconds"] / stage["roofline_seconds"])
    for what in ("flops", "bytes", "roofline_seconds", "seconds"):
        assert told["total"][what] == pytest.approx(sum(stage[what] for stage in told["stages"].values()))


def test_the_table_names_every_stage(run):
    done = run("--keep", "50%")
    assert done.exit_code == 0, done.stderr
    assert all(name.replace("_", " ") in done.stdout for name in [*STAGES, "total"])
    assert "GFLOP/s in a matrix product" in done.stdout and "takes longest" in done.stdout


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--rounds", "0"], "not '0'"),
        (["--image", "a.png"], "--question"),
        (["--image", "no-such.png", "--question", "What?"], "no-such.png"),
        (["--method", "magic"], "magic"),
        (["--keep", "200%"], "2.0"),
        (["--dtype", "int4"], "int4"),
    ],
)
def test_errors_are_one_sentence(run, options, named):
    done = run(*options)
    assert done.exit_code == 2 and not done.stdout
    assert named in done.stderr and len(done.stderr.splitlines()) == 1
