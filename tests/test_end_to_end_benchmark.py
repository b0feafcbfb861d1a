"""The end-to-end benchmark does what it says: its models count, what is imposed comes true, and its sums are right."""

import argparse
import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def benchmarks():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
        yield


KEEP, N_LAYERS, N_ANSWER = 0.5, 4, 6


def tiny(n_layers: int, width: int) -> dict:
    from random_pair import _release

    release = _release("Qwen2ForCausalLM", (width, 2 * width, n_layers, 4, 2, 1200), (32, 64, 2, 2))
    release = copy.deepcopy(release)
    release["vision_config"]["image_size"] = 56  # 2 x 2 visual tokens a tile
    return release


@pytest.fixture(scope="module")
def pair():
    from random_pair import counting_engine

    return counting_engine(tiny(2, 32), "cpu", torch.float32), counting_engine(tiny(N_LAYERS, 64), "cpu", torch.float32)


@pytest.fixture(scope="module")
def rows(pair):
    """Every row of a case of two questions about four tiles; three are touched, two if held; two tokens of the draft are right."""
    from end_to_end_rows import Case, Shares, make_rows

    return {row.name: row for row in make_rows(Case(4, 2, N_ANSWER), *pair, KEEP, Shares(0.7, 0.4, 0.5))}


def measured(pair, row, n_answer=N_ANSWER):
    from end_to_end_rows import Case, Meter

    return Meter(Case(4, 2, n_answer), *pair).measure(row)


def test_what_is_imposed_comes_true_in_every_row(pair, rows):
    from end_to_end_rows import HELD

    draft, tiles = ("SGP + draft",), ("SGP + tiles",)
    both = [name for name in rows if name.startswith("SGP + draft + tiles")]
    assert len(both) == 4 and HELD in both and len(rows) == 11
    for name, row in rows.items():
        record = measured(pair, row)
        n_rows = row.n_left or 2
        n_tiles = 2 if name == HELD else 3 if name in (*both, *tiles) else 4
        assert record["tiles_encoded"] == [n_tiles] * n_rows
        if name != "speculative decoding":
            assert record["n_accepted"] == [2 if name in (*both, *draft) else 0] * n_rows
        kept = KEEP if row.cascade.schedule(N_LAYERS).steps else 1.0
        assert record["average_retention"] == pytest.approx(kept, abs=1 / 16)  # one of sixteen tokens
        assert record["total"] == pytest.approx(sum(record["seconds"].values()))
        assert ("small_prefill" in record["seconds"]) == (name not in ("large alone", "FastV", "ToMe"))


def test_exits_of_a_batch_are_left_out():
    from end_to_end_rows import EXIT_SHARES, Case, Shares, exit_name, make_rows

    class Deep:
        n_layers = 22

    rows = {row.name: row for row in make_rows(Case(3, 8, 8), Deep(), Deep(), 0.09, Shares(0.3, 1.0, 0.3))}
    assert [rows[exit_name(share)].n_left for share in EXIT_SHARES] == [5, 3]


def test_the_models_count(pair):
    from random_pair import counted_on

    from stitchvlm.records import Question
    from stitchvlm.sampling import Sampling

    for engine in pair:
        inputs = engine.prepare([Question("3 0"), Question("3 1")])
        answers = engine.decode(engine.prefill(engine.embed(inputs)), Sampling(9)).tokens
        assert [list(answer) for answer in answers] == [counted_on(ids, 9) for ids in inputs.token_ids]


@pytest.mark.parametrize(("n_right", "passes"), [(None, 5), (4, 5), (1, 11), (0, 21)])
def test_imposed_guesses_are_right_so_far(pair, monkeypatch, n_right, passes):
    """Of 21 tokens the prompt's pass gives one; each further pass the right guesses, four at the most, and one more."""
    from end_to_end_rows import SPECULATIVE, Case, Shares, make_rows
    from imposed import Findings

    row = next(r for r in make_rows(Case(3, 2, 21), *pair, KEEP, Shares(1.0, 0.0, 1.0)) if r.name == SPECULATIVE)
    row = replace(row, findings=Findings(3, 0, n_right))
    seen, run = [], type(pair[1].decoder).run
    monkeypatch.setattr(
        type(pair[1].decoder), "run", lambda self, *a: seen.append(self is pair[1].decoder) or run(self, *a)
    )
    record = measured(pair, row, 21)
    assert sum(seen) == passes and record["n_accepted"] == [21 - passes] * 2


def test_a_map_points_at_tiles_evenly(pair):
    from imposed import pointing_map

    from stitchvlm.records import Question

    (layout,) = pair[0].prepare([Question("3 0")]).layouts
    best = pointing_map(layout, 2).scores.argsort(descending=True)
    assert best[:6].tolist() == [0, 4, 1, 5, 2, 6] and set(best[8:].tolist()) == {8, 9, 10, 11}


def test_shares_become_whole_tiles_and_tokens(tmp_path):
    from end_to_end_rows import Case, Shares, early_layer
    from imposed import Findings

    found = {
        "share_of_tiles_touched": {"median": 0.4, "mean": 0.5},
        "share_of_draft_accepted": {"median": 0.5, "mean": 1.0},
    }
    held = {"share_of_tiles_touched": {"median": 0.2, "mean": 0.3}}
    rows = {"9% from layer 0": found, "9% from layer 0, tiles with 90% of the scores": held}
    (tmp_path / "statistics.json").write_text(json.dumps({"rows": rows}))
    shares = Shares.recorded(tmp_path / "statistics.json", 0.09)
    assert shares.findings(Case(7, 1, 8)) == Findings(3, 3, 2) and shares.held(Case(7, 1, 8)) == Findings(2, 3, 2)
    assert Shares.recorded(tmp_path / "statistics.json", 0.09, "mean") == Shares(0.5, 1.0, 0.3)
    assert Shares(1.0, 1.0, 1.0).findings(Case(7, 1, 8)) == Findings(7, 7, None)
    assert [early_layer(0.09, n) for n in (22, 48, 60)] == [1, 2, 2]


def made_up(case, row, turn, total, **seconds):
    return {
        "id": f"{case.name} | {row} | {turn}",
        "case": case.name,
        "row": row,
        "round": turn,
        "seconds": seconds,
        "total": total,
        **{name: [] for name in ("average_retention", "tiles_encoded", "n_proposed", "n_accepted")},
    }


def test_ratios_are_of_the_same_round_and_exits_spare_the_large_model_alone():
    from end_to_end_rows import BOTH, FASTV, LARGE_ALONE, Case, Shares
    from end_to_end_summary import summarise

    case = Case(7, 1, 8)
    records = [
        made_up(case, LARGE_ALONE, 0, 20.0, large_prefill=20.0),
        made_up(case, LARGE_ALONE, 1, 60.0, large_prefill=60.0),
        made_up(case, FASTV, 0, 14.0, large_prefill=14.0),
        made_up(case, BOTH, 0, 10.0, small_prefill=2.0, large_prefill=8.0),
        made_up(case, BOTH, 1, 10.0, small_prefill=2.0, large_prefill=8.0),
    ]
    shares = Shares(0.4, 1.0, 0.4)
    bars = summarise(records, [case], shares, shares)["bars"][BOTH]
    assert bars["times_large_alone"]["reached"] == {"median": 4.0, "min": 2.0, "max": 6.0}
    assert bars["times_fastv"]["reached"]["median"] == 1.4 and bars["times_fastv"]["met"]
    exits = bars["times_large_alone_with_40%_exits"]  # 2 + 0.6 · 8 seconds
    assert exits["reached"]["min"] == pytest.approx(20 / 6.8) and exits["met"]


def test_a_sweep_joins_what_comes_before_decoding_with_decoding():
    from end_to_end_rows import LARGE_ALONE, Case, swept_name
    from end_to_end_summary import of_case, sweep
    from imposed import Findings

    def swept(tiles, accepted, encode, decode):
        stages = {"small_prefill": 1.0, "large_encode": encode - 1, "large_decode": decode}
        return made_up(case, swept_name(Findings(tiles, accepted)), 0, encode + decode, **stages)

    case, findings = Case(2, 1, 3), Findings(2, 2)
    records = [made_up(case, LARGE_ALONE, 0, 24.0), swept(1, 2, 3.5, 0.5), swept(2, 2, 7.5, 0.5)]
    records += [swept(2, 1, 7.5, 2.5), swept(2, 0, 7.5, 4.5)]
    told = sweep(of_case(records, case), case, findings)
    assert told["times_large_alone"]["1"] == {"0": 24 / 8, "1": 24 / 6, "2": 24 / 4}
    assert told["times_large_alone"]["2"] == {"0": 2.0, "1": 2.4, "2": 3.0}
    assert told["times_large_alone_with_40%_exits"]["2"]["2"] == pytest.approx(24 / (1 + 0.6 * 7))
    assert told["at_least_twice_as_fast"] == [[1, 0], [1, 1], [1, 2], [2, 0], [2, 1], [2, 2]]


def test_the_mean_question_lies_between_whole_tiles_and_tokens():
    from end_to_end_rows import BOTH, HELD, LARGE_ALONE, Case, Shares, swept_name
    from end_to_end_summary import of_case, on_average
    from imposed import Findings

    def swept(tiles, accepted, encode, decode):
        stages = {"small_prefill": 1.0, "large_encode": encode, "large_decode": decode}
        return made_up(case, swept_name(Findings(tiles, accepted)), 0, 1 + encode + decode, **stages)

    case = Case(2, 1, 3)
    records = [made_up(case, LARGE_ALONE, 0, 24.0), swept(1, 2, 3.0, 0.0), swept(2, 2, 6.0, 0.0), swept(2, 1, 6.0, 2.0)]
    told = on_average(of_case(records, case), case, Findings(2, 2), Shares(0.75, 0.75, 0.3))
    assert told[BOTH]["tiles"] == 1.5 and told[BOTH]["accepted"] == 1.5
    assert told[BOTH]["times_large_alone"]["median"] == pytest.approx(24 / (1 + 4.5 + 1))
    assert told[BOTH]["times_large_alone_with_40%_exits"]["median"] == pytest.approx(24 / (1 + 0.6 * 5.5))
    assert told[HELD]["times_large_alone"]["median"] == pytest.approx(24 / (1 + 3 + 1))  # one tile is the least


def test_memory_and_roofline_have_bars_where_they_were_measured():
    from end_to_end_rows import BARRED, BOTH, LARGE_ALONE, Shares
    from end_to_end_summary import summarise

    records = [made_up(BARRED, LARGE_ALONE, 0, 20.0), made_up(BARRED, BOTH, 0, 10.0, large_encode=10.0)]
    records.append({"case": "roofline", "row": BOTH, "seconds": {}, "total": 8.0})
    gib = {"small alone": 4.0, "small weights": 4.0, "large alone": 40.0, "together": 45.0}
    records += [{"case": "memory", "row": name, "gib": value} for name, value in gib.items()]
    shares = Shares(0.4, 1.0, 0.4)
    bars = summarise(records, [BARRED], shares, shares)["bars"]
    assert bars["peak_gib"] == {"at_most": 1.02 * 44, "reached": 45.0, "met": False}
    assert bars["times_roofline"] == {"at_most": 1.5, "reached": 1.25, "met": True}
    assert bars[BOTH]["times_fastv"]["met"] is None


def test_a_roofline_shrinks_with_the_work(pair):
    """Of three tiles one less is encoded, and a draft that is accepted leaves no decoding."""
    from end_to_end_roofline import rooflines
    from end_to_end_rows import BOTH, LARGE_ALONE, Case, Shares

    told = {record["row"]: record["seconds"] for record in rooflines(Case(3, 1, 4), *pair, KEEP, Shares(0.5, 1.0, 0.5))}
    assert told[LARGE_ALONE]["large_encode"] / 2 < told[BOTH]["large_encode"] < told[LARGE_ALONE]["large_encode"]
    assert told[BOTH]["large_decode"] == 0 < told[LARGE_ALONE]["large_decode"]
    assert set(told[BOTH]) - set(told[LARGE_ALONE]) == {"small_encode", "small_prefill", "small_decode"}


def test_a_run_goes_on_where_it_stopped(pair, tmp_path):
    from end_to_end import measure
    from end_to_end_rows import Case, Shares

    from stitchvlm.evaluation.results import ResultFile

    options = argparse.Namespace(minutes=0.0, keep=KEEP, shares=Shares(0.5, 1.0, 0.3), rounds=2, device="cpu")
    cases = [Case(3, 1, 3)]
    with ResultFile(tmp_path / "log.jsonl", {}) as file:
        assert not measure(cases, pair, file, options) and not file.records
        options.minutes = 1.0
        assert measure(cases, pair, file, options)
        ids = [record["id"] for record in file.records]
        assert len(ids) == len(set(ids)) == 2 * 9 + 5  # the sweep has three numbers of tiles, and two more of tokens
        assert measure(cases, pair, file, options) and len(file.records) == len(ids)


def test_eager_maps_give_the_same_map():
    from harness import random_engine, random_prompt
    from vs_eager import eager_map

    from stitchvlm.guide import run_guide
    from stitchvlm.sampling import Sampling

    shape = {"vocab_size": 1100, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3}
    engine = random_engine(
        {**shape, "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True}, torch.float32
    )
    prompt = random_prompt(engine, 1, n_text=9)
    ours = run_guide(engine, prompt, Sampling(4)).drafts[0]
    theirs, answer = eager_map(engine, prompt, 4)
    assert list(ours.tokens) == answer
    torch.testing.assert_close(ours.guide.scores, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.guide.prefill, eager_map(engine, prompt, 1)[0], rtol=1e-4, atol=1e-5)


def test_statistics_of_a_guide():
    from guide_statistics import Found, summary

    told = summary([Found(4, 1, 2, 2, 3, 1.0), Found(4, 2, 4, 1, 5, 0.0), Found(2, 2, 0, 0, 1, 1.0)])
    assert told["share_of_tiles_touched"]["median"] == 0.5 and told["tiles_touched"] == {"1": 1, "2": 2}
    assert told["share_of_draft_accepted"]["mean"] == pytest.approx(0.625)  # the empty draft has no share
    assert told["whole_draft_accepted"] == 0.5 and told["accepted_tokens"] == {"0": 1, "1": 1, "2": 1}
    assert told["accuracy"] == pytest.approx(2 / 3)
