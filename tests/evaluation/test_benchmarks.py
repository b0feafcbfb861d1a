"""Scripts that fit what ships: they ask what they say, of the questions that they should."""

from pathlib import Path

import pytest
import torch

from stitchvlm.evaluation.sample import Sample
from stitchvlm.evaluation.settings import RunSettings
from stitchvlm.methods import Guided


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))


def test_every_form_of_the_map_is_another_one():
    from guide_forms import ABLATION, KEEPS, OTHERS, make_rows

    rows = make_rows(RunSettings(exit="never"), ["guided", *(f"guided:{form}" for form in ABLATION + OTHERS)], KEEPS)
    methods = [settings.way() for settings in rows.values() if settings.method == "guided"]
    assert methods.count(Guided()) == len(KEEPS) and len(set(methods)) == 1 + len(ABLATION) + len(OTHERS)


def test_forms_are_told_apart_from_the_papers_at_the_same_share():
    from guide_forms import compare

    def records(*scores: float) -> list[dict]:
        return [{"id": str(n), "group": str(n), "score": score} for n, score in enumerate(scores)]

    told = compare(
        {"guided 9%": records(0, 0, 1), "guided (heads max) 9%": records(1, 0, 1), "guided 18%": records(1, 1, 1)}
    )
    assert told["guided (heads max) 9%"]["difference"]["mean"] == pytest.approx(1 / 3)
    assert told["guided 9%"]["difference"] is None is told["guided 18%"]["difference"]
    assert told["guided 9%"]["accuracy"] == pytest.approx(1 / 3)


def test_an_exit_is_fitted_on_one_question_of_each_picture():
    from calibrate_pair import one_of_each_picture

    groups = "aaaabbbbcd"
    samples = [Sample(str(n), "read", "?", ("x",), Path, group=group) for n, group in enumerate(groups)]
    chosen = one_of_each_picture(samples)
    assert [sample.group for sample in chosen] == ["a", "b", "c", "d"]
    assert [sample.id for sample in chosen] == ["0", "5", "8", "9"]


def test_the_mass_found_costs_what_the_fixed_share_does():
    """Two maps of ten tokens, by hand: one holds 0.5, 0.3, 0.1, 0.1 on four of them, the other the same on all ten."""
    from adaptive_keep import find_mass, retention

    from stitchvlm.adaptive import MassKeep

    maps = [torch.tensor([0.5, 0.3, 0.1, 0.1, *[0.0] * 6]), torch.full((10,), 0.1)]
    assert retention(maps, MassKeep(0.75), n_layers=4, layer=1) == pytest.approx((1 + 3 * (2 + 8) / 20) / 4)
    mass = find_mass(maps, wanted=(2 + 8) / 20, n_layers=4, layer=0)
    assert [MassKeep(mass).count(scores) for scores in maps] == [2, 8]
    assert MassKeep(find_mass(maps, wanted=1.0, n_layers=4, layer=0)).count(maps[1]) == 10
    assert MassKeep(find_mass(maps, wanted=0.0, n_layers=4, layer=0)).count(maps[0]) == 1


def test_parts_share_no_picture():
    from adaptive_keep import parted

    samples = [Sample(str(n), "read", "?", ("x",), Path, group=group) for n, group in enumerate("aaabbbccc")]
    first, second = parted(samples, 5)
    assert ["".join(sample.group for sample in part) for part in (first, second)] == ["aaabbb", "ccc"]


def reused(*rows: tuple) -> list[dict]:
    """Records with a score, an answer, tiles encoded of four, and tokens accepted of three."""
    return [
        {
            "id": str(n),
            "group": str(n),
            "score": score,
            "answer": answer,
            "tokens": {"kept": 2, "visual": 20, "average_retention": 0.1},
            "tiles": {"all": 4, "encoded": encoded},
            "proposed": {"tokens": proposed, "accepted": accepted},
            "seconds": {"total": 0.5},
        }
        for n, (score, answer, encoded, proposed, accepted) in enumerate(rows)
    ]


def test_adaptive_and_fixed_are_told_on_the_same_questions():
    from adaptive_keep import compare

    fixed = reused((1, "A", 4, 0, 0), (0, "B", 4, 0, 0))
    adaptive = reused((1, "A", 4, 0, 0), (1, "C", 4, 0, 0))
    adaptive[1]["tokens"] = {"kept": 6, "visual": 20, "average_retention": 0.3}
    told = compare(fixed, adaptive[::-1])
    assert told["difference"]["mean"] == 0.5 and told["fixed"]["accuracy"] == 0.5
    assert told["adaptive"]["average_retention"] == pytest.approx(0.2) and told["adaptive"]["kept_median"] == 0.2


def test_drafts_and_tiles_are_told_against_the_plain_row_of_their_share():
    from draft_and_tiles import compare

    records = {
        "plain 9%": reused((1, "A", 4, 0, 0), (1, "B", 4, 0, 0)),
        "draft 9%": reused((1, "A", 2, 3, 3), (0, "C", 1, 3, 1)),
        "plain 18%": reused((0, "X", 4, 0, 0), (0, "C", 4, 0, 0)),
    }
    told = compare(records)
    draft = told["draft 9%"]
    assert told["plain 9%"]["difference"] is None is told["plain 18%"]["difference"]
    assert draft["difference"]["mean"] == -0.5 and draft["texts_differ"] == 1 and draft["accuracy"] == 0.5
    assert draft["tiles_encoded"] == 1.5 and draft["share_of_tiles_encoded"] == 0.375
    assert (draft["proposed"], draft["accepted"], draft["drafts_accepted_whole"]) == (3, 2, 0.5)
    assert told["plain 9%"]["drafts_accepted_whole"] is None and told["plain 9%"]["texts_differ"] == 0


def test_every_way_of_reuse_is_another_row_and_has_a_plain_one():
    from draft_and_tiles import by_label, in_float32, ways

    rows = ways(RunSettings(exit="never", both=False))
    assert len(by_label(rows.values())) == len(rows)
    assert all(not rows[f"plain {name.rpartition(' ')[2]}"].reuse_drafts for name in rows)
    assert {settings.dtype for settings in in_float32(rows).values()} == {"float32"}


def test_decoding_with_and_without_graphs_is_compared_case_by_case(monkeypatch):
    """With a stand-in for the capture, on shapes of no size; without a GPU the script says so."""
    import graph_decode
    from harness import random_engine

    from stitchvlm.graphs import DecodeGraphs

    shape = {"vocab_size": 1100, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    engine = random_engine({**shape, "num_attention_heads": 2, "num_key_value_heads": 2}, torch.float32)
    engine.graphs = DecodeGraphs(engine.decoder, "tiny", lambda run: run)
    rows = list(graph_decode.cases(engine, [1], [1, 2], [4], rounds=1))
    assert [row["batch"] for row in rows] == [1, 2] and all(row["same_tokens"] for row in rows)
    assert all(row["graphs_in_use"] and row["visual_tokens"] == 256 for row in rows)
    monkeypatch.setattr("sys.argv", ["graph_decode.py"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="needs? a CUDA device"):
        graph_decode.main()
