"""The benchmark on receipts, on made-up ones: what is told, what is done once only, and what goes on."""

import json
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from stitchvlm.evaluation.settings import RunSettings
from stitchvlm.evaluation.study import Study

LINES = [
    {"text": "EXAMPLE SHOP", "box": [0.2, 0.05, 0.8, 0.1]},
    {"text": "DATE: 01/02/2020", "box": [0.0, 0.2, 0.8, 0.25]},
    {"text": "TOTAL", "box": [0.1, 0.6, 0.4, 0.65]},
    {"text": "5.00", "box": [0.5, 0.6, 0.9, 0.65]},
]
ANSWERS = {"total": "5.00", "date": "01/02/2020", "company": "ELSEWHERE"}


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture
def folder(tmp_path):
    """Two receipts whose lines are black bars; where the company stands is not to be found."""
    root = tmp_path / "receipts"
    (root / "images").mkdir(parents=True)
    lines = []
    for name in ("one", "two"):
        picture = Image.new("L", (200, 400), 255)
        for line in LINES:
            x0, y0, x1, y1 = line["box"]
            ImageDraw.Draw(picture).rectangle((200 * x0, 400 * y0 + 5, 200 * x1 - 1, 400 * y1 - 5), fill=0)
        picture.save(root / "images" / f"{name}.png")
        qa = [{"question": f"The {field}?", "field": field, "answer": answer} for field, answer in ANSWERS.items()]
        lines.append({"id": name, "image": f"images/{name}.png", "size": [200, 400], "qa": qa, "lines": LINES})
    (root / "val.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return root


@pytest.fixture
def run(folder, tiny_pair, tmp_path):
    """Runs the command with one share and two methods; gives the figures."""
    import receipts

    out = tmp_path / "receipts.json"
    pair = ["--small", tiny_pair[0], "--large", tiny_pair[1], "--max-new-tokens", "3", "--device", "cpu"]
    places = ["--work", str(tmp_path / "work"), "--out", str(out)]

    def with_words(*words: str) -> dict:
        rows = ["--methods", "guided", "random", "--keep", "50%"]
        assert receipts.main([str(folder), *pair, *places, *rows, *words]) == 0
        return json.loads(out.read_text())

    return with_words


def made_record(picture: str, kind: str, small: str, large: str, right: str, score: float) -> dict:
    return {
        "id": f"{picture}/{kind}",
        "kind": kind,
        "group": picture,
        "answers": [right],
        "answer": large,
        "small_answer": small,
        "large_answer": large,
        "answered_by": "large",
        "draft_complete": True,
        "scores": {"confidence": score, "consistency": score, "exit": score},
        "tokens": {"average_retention": 0.09, "kept": 20, "visual": 256},
        "covered": {"detail": score, "any": 1.0} if kind == "total" else None,
        "flops": {"total": 1e9},
        "seconds": {"small_prefill": 1.0, "large_prefill": 2.0, "total": 3.0},
        "spared_seconds": {},
        "first_token": 0.1,
        "live": None,
        "score": 0.0,
        "small_score": 0.0,
        "large_score": 0.0,
    }


RECORDS = [
    made_record("a", "total", "RM 5.00", "5.00", "5.00", 0.9),
    made_record("a", "company", "TIONG SDN BHD", "TIONG SDN BHB", "Tiong Sdn Bhd", 0.8),
    made_record("b", "total", "7", "9.10", "9.10", 0.1),
    made_record("b", "company", "ELSE", "ELSE", "Tiong Sdn Bhd", 0.2),
    made_record("c", "total", "7", "9.10", "9.10", 0.1),
]


def test_answers_are_judged_by_field_and_no_text_is_told():
    from receipts_figures import figures

    told = figures(RECORDS)
    assert told["fields"]["total"]["exact"]["mean"] == 1.0 and told["fields"]["total"]["n"] == 3
    assert told["fields"]["company"]["exact"]["mean"] == 0.0
    assert told["fields"]["company"]["anls"]["mean"] == pytest.approx((1 - 1 / 13) / 2)
    assert told["seconds"] == 3.0 and "iong" not in str(told).casefold()
    assert set(told["covered"]) == {"total", "all"} and told["covered"]["all"]["n"] == 3
    assert told["covered"]["total"]["detail"]["questions"]["90%"]["mean"] == pytest.approx(1 / 3)
    assert told["covered"]["total"]["any"]["questions"]["90%"]["mean"] == 1.0


def test_what_is_lost_beside_the_large_model_alone():
    """Of the three that it has right one is lost, in whose draft the small model was wrong too; one more is won."""
    from receipts_figures import beside

    other = {"a/company": "Tiong Sdn Bhd", "b/total": "9.18", "c/total": "9.10"}
    records = [record | {"answer": other.get(record["id"], record["answer"])} for record in RECORDS]
    told = beside(records, RECORDS)
    assert told == {
        "n": 5,
        "share": {"mean": 1.0, "low": None, "high": None},
        "lost": 1,
        "lost_with_a_wrong_draft": 1,
        "won": 1,
    }
    many = [record | {"id": f"{k}", "group": f"{k}"} for k in range(12) for record in RECORDS[:1]]
    some = [record | {"answer": "5.01", "small_answer": "5.00"} if k < 3 else record for k, record in enumerate(many)]
    told = beside(some, many)
    assert told["share"]["mean"] == 0.75 and 0.4 < told["share"]["low"] < 0.75 < told["share"]["high"] < 1.01
    assert told["lost"] == 3 and told["lost_with_a_wrong_draft"] == 0
    assert beside(records, []) == beside([], RECORDS) == {}


def test_exits_are_told_by_field():
    """At 0.8 two of five exit: the small model's company is right, which the large one's is not."""
    from receipts_figures import figures

    told = figures(RECORDS)["exits"]
    assert (told["exits"], told["threshold"]) == (0.4, 0.8) and told["seconds"] == pytest.approx((2 * 1 + 3 * 3) / 5)
    assert told["fields"]["all"]["exact"]["mean"] == pytest.approx(4 / 5)
    assert told["fields"]["company"]["exact"]["mean"] == 0.5 and told["fields"]["total"]["exact"]["mean"] == 1.0
    by_part = [record | {"scores": {**record["scores"], "confidence": 1 - n / 10}} for n, record in enumerate(RECORDS)]
    other = figures(by_part, "confidence")["exits"]
    assert other["score"] == "confidence" and other["threshold"] == pytest.approx(0.9)
    assert figures([record | {"small_answer": None} for record in RECORDS])["exits"] == {}
    cut = figures([record | {"draft_complete": False} for record in RECORDS])["exits"]
    assert cut["threshold"] is None and cut["exits"] == 0 and cut["fields"]["all"]["exact"]["mean"] == 0.6


def test_answers_have_the_places_of_their_lines(folder):
    """The total is the second piece of its row; of a line the words are taken, spread evenly over it."""
    from receipts import with_places

    from stitchvlm.evaluation.tasks import open_task

    samples = {sample.id: sample for sample in with_places(open_task(f"folder:{folder / 'val.jsonl'}"), folder).samples}
    assert samples["one/company"].boxes == () and len(samples) == 6
    ((total,), (date,)) = samples["two/total"].boxes, samples["one/date"].boxes
    assert (total[0], total[2]) == pytest.approx((0.5, 0.9)) and 0.6 < total[1] < total[3] < 0.65
    assert (date[0], date[2]) == pytest.approx((0.8 * 6 / 16, 0.8))


def test_one_question_of_each_receipt_is_drawn_and_fields_take_turns():
    from receipts_overlays import choose

    shares = [("a", 0.4), ("a", 0.5), ("b", 0.9), ("b", 0.9), ("c", 0.1), ("d", 1.0), ("d", 1.0)]
    records = [
        {"id": str(n), "group": group, "covered": {"detail": share, "any": 1.0}}
        for n, (group, share) in enumerate(shares)
    ] + [{"id": "9", "group": "e", "covered": None}]
    assert choose(records, 10) == ["1", "3", "5"] and choose(records, 2) == ["1", "3"]


def test_seconds_by_hand():
    """Three receipts, two questions about the first: its mean counts once in a median, and both count in a mean."""
    from receipts_seconds import EXITS, GUIDED, LARGE_ALONE, figures

    seconds = [("a", 4.0, 2.0, 1.0), ("a", 6.0, 3.0, 3.0), ("b", 4.0, 1.0, 1.0), ("c", 9.0, 3.0, 0.5)]
    told = figures(
        [
            {
                "group": group,
                "seconds": {LARGE_ALONE: alone, GUIDED: guided, EXITS: exits},
                "exits": {LARGE_ALONE: False, GUIDED: False, EXITS: exits == 1.0},
            }
            for group, alone, guided, exits in seconds
        ]
    )
    assert (told["questions"], told["receipts"]) == (4, 3)
    assert told["ways"][LARGE_ALONE]["mean"]["value"] == 5.75 and told["ways"][LARGE_ALONE]["median"]["value"] == 5.0
    guided = told["ways"][GUIDED]
    assert guided["times_large_alone"]["value"] == 23 / 9 and guided["times_large_alone_median"]["value"] == 3.0
    assert guided["times_large_alone"]["low"] < 23 / 9 < guided["times_large_alone"]["high"]
    assert guided["median"] == {"value": 2.5, "low": None, "high": None} and told["ways"][EXITS]["exits"] == 0.5
    assert figures([]) == {}


def test_the_whole_benchmark(run, tmp_path, monkeypatch):
    told = run("--overlays", str(tmp_path / "pictures"))
    assert set(told["rows"]) == {"small-alone", "large-alone", "guided 50%", "random 50%"}
    assert told["n"] == 6 and told["without_place"] == 2 and not told["problems"]
    alone = told["rows"]["large-alone"]["covered"]
    assert set(alone) == {"total", "date", "all"} and alone["all"]["n"] == 4
    assert alone["all"]["detail"]["mean_share"] == pytest.approx(1, abs=1e-5)
    assert told["rows"]["small-alone"]["covered"] == {}
    assert 0 < told["rows"]["random 50%"]["covered"]["all"]["any"]["mean_share"] <= 1
    assert told["seconds"]["keep"] == 0.5 and told["seconds"]["questions"] == 6
    assert set(told["seconds"]["ways"]) >= {"large-alone", "guided"} and told["seconds"]["measured_by"]
    pictures = list((tmp_path / "pictures").iterdir())
    assert len(pictures) == told["overlays"] and "EXAMPLE" not in str(told) and "01/02" not in str(told)


def test_rows_at_one_share_and_the_guided_ones_among_them_timed(run, folder, tmp_path, capsys):
    from receipts import main

    told = run("--also", "guided:smooth=true@50%", "guided:smooth=true@25%", "random@25%", "--n", "2")
    more = {"guided (smooth True) 50%", "guided (smooth True) 25%", "random 25%"}
    assert set(told["rows"]) == {"small-alone", "large-alone", "guided 50%", "random 50%"} | more
    assert {"guided", "guided (smooth True) 50%"} <= set(told["seconds"]["ways"]) and told["seconds"]["keep"] == 0.5
    assert not {"guided (smooth True) 25%", "random 25%"} & set(told["seconds"]["ways"])
    places = ["--work", str(tmp_path / "other"), "--out", str(tmp_path / "out.json")]
    for word in ("random", "@9%", "guided@"):
        assert main([str(folder), *places, "--also", word]) == 1
        told = capsys.readouterr().err
        assert f"{word!r} is no METHOD@SHARE" in told and not (tmp_path / "other").exists()


def test_other_rows_are_timed_in_a_file_of_their_own(run, monkeypatch):
    first = run("--n", "2")["seconds"]
    more = run("--n", "2", "--also", "guided:smooth=true@50%", "guided:rows=answer@50%")["seconds"]
    assert set(more["ways"]) - set(first["ways"]) == {"guided (smooth True) 50%", "guided (rows answer) 50%"}
    monkeypatch.setattr(Study, "answer", lambda *_: 1 / 0)
    assert run("--n", "2")["seconds"] == first
    assert run("--n", "2", "--also", "guided:rows=answer@50%", "guided:smooth=true@50%")["seconds"] == more


def test_what_was_interrupted_goes_on_and_nothing_is_asked_twice(run, tmp_path, monkeypatch):
    asked = []
    measured = Study.answer
    run("--n", "2", "--timed", "0")
    monkeypatch.setattr(Study, "answer", lambda *rest: (asked.append(rest[1].id), measured(*rest))[1])
    with monkeypatch.context() as broken:
        broken.setattr("receipts_seconds.ResultFile.append", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run("--n", "2")
    asked.clear()
    assert run("--n", "2", "--timed", "1")["seconds"]["questions"] == 1
    first = list(asked)
    told = run("--n", "2")
    assert set(first) == {"one/total"} and set(asked[len(first) :]) == {"one/date"}
    asked.clear()
    monkeypatch.setattr(Study, "_record", lambda *_: 1 / 0)
    again = run("--n", "2")
    assert not asked and again["seconds"] == told["seconds"] and again["rows"] == told["rows"]


def test_pictures_of_receipts_do_not_go_into_the_repository(folder, tmp_path, capsys):
    from receipts import main

    here = str(Path(__file__).parents[2] / "results" / "pictures")
    places = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out.json"), "--overlays", here]
    assert main([str(folder), *places]) == 1
    assert "is in the repository" in capsys.readouterr().err and not (tmp_path / "work").exists()


def test_overlays_and_seconds_need_a_guided_row_and_say_so_first(folder, tiny_pair, tmp_path, capsys):
    from receipts import main
    from receipts_seconds import EXITS, GUIDED, ways

    places = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out.json")]
    pair = ["--small", tiny_pair[0], "--large", tiny_pair[1], "--keep", "50%"]
    for method in ("random", "guided:smooth=true"):
        assert main([str(folder), *places, *pair, "--methods", method]) == 1
        assert "have guided among --methods" in capsys.readouterr().err and not (tmp_path / "work").exists()
    rows = ways(RunSettings(exit="never"), 0.09, None)
    assert set(rows) == {"large-alone", GUIDED} and ways(RunSettings(), 0.09, "mean:0.5")[EXITS].exit == "mean:0.5"
