"""The page: what it is made of, that it needs nothing from anywhere, and that nobody's text becomes markup."""

import base64
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from made_up import RUN, made_up_study
from typer.testing import CliRunner

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from stitchvlm.cli import app
from stitchvlm.evaluation.report import render_page, titles, write_report
from stitchvlm.evaluation.tables import STUDY

VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Every element with its attributes, and the text under each table's rows; fails where tags do not close in order."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "title"):
            self.text.append(" ".join(data.split()))

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_report([made_up_study(folder)], folder / "report.html")
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_nothing_comes_from_anywhere_else(page):
    for _, attributes in page.elements:
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith(("data:", "#"))
    assert not page.all("script") and not page.all("iframe")


def test_every_figure_is_inside_with_words_for_it(page):
    pictures = page.all("img")
    assert len(pictures) == 5 and all(picture["alt"] for picture in pictures)
    kinds = [picture["src"].partition(";")[0] for picture in pictures]
    assert kinds == ["data:image/svg+xml"] * 4 + ["data:image/png"]
    for picture in pictures:
        assert len(base64.b64decode(picture["src"].partition(",")[2], validate=True)) > 1000
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_way_is_in_every_table(page):
    assert [table["class"] for table in page.all("table")] == ["ways", "exits", "kinds", "stages"]
    for name in ("small-alone", "large-alone", "guided 9% + exit 0.4", "random 9%"):
        assert page.text.count(name) == 3
    for name in ("guided 9%", "guided 35%"):
        assert page.text.count(name) == 3 and page.text.count(f"{name} by mean") == 3, "three points of each curve"
    assert "-10.0 (-15.0 to -5.0)" in page.text and "80.0 %" in page.text


def test_texts_are_no_markup(page):
    assert any("line 4: missing picture: <script>alert(1)</script>" in text for text in page.text)
    assert any("commit abc" in text for text in page.text)
    assert "Not compared: fastv 9%: it keeps <everything> up to layer 2." in page.text


def test_the_models_alone_are_shown_even_if_they_were_not_asked(tmp_path):
    study = made_up_study(tmp_path, alone=False)
    write_report([study], tmp_path / "report.html")
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "small-alone" in text and "large-alone" in text
    assert any("60.0 % from the answers on file" in part for part in text)
    assert any("stitch eval TASK --method large-alone" in part for part in text)


def test_several_tasks_are_one_page(tmp_path):
    studies = [made_up_study(tmp_path), replace(made_up_study(tmp_path), task="folder:a.jsonl 12")]
    written = write_report(studies, tmp_path / "report.html", tmp_path / "plots")
    told = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert len(told.all("section")) == 2 and [a["href"] for a in told.all("a")] == [
        f"#{s['id']}" for s in told.all("section")
    ]
    assert {path.parent.name for path in written[1:]} == {"scenes", "folder-a.jsonl-12"}


def test_studies_of_one_task_keep_their_names_and_figures_apart(tmp_path):
    folders = [tmp_path / "pair", tmp_path / "scenes", tmp_path / "more" / "scenes"]
    for folder in folders:
        folder.mkdir(parents=True)
    studies = [made_up_study(folder) for folder in folders]
    assert titles(studies[:1]) == ["scenes"]
    assert titles(studies) == ["scenes (pair)", "scenes (scenes), 1", "scenes (scenes), 2"]
    written = write_report(studies, tmp_path / "report.html", tmp_path / "plots")
    assert len(written) == len(set(written)) and len({path.parent for path in written[1:]}) == 3


def test_rows_that_were_measured_elsewhere_are_told(tmp_path):
    study = made_up_study(tmp_path)
    study.rows[-1].runs[:] = [RUN | {"cpu": "another CPU"}]
    page = render_page([study], [{}])
    assert "Not all rows were measured with the same cpu: a CPU, but another CPU (random 35%)." in page


def test_the_number_of_pictures_stands_beside_that_of_questions(tmp_path):
    """Of results from before that say nothing of pictures, the number of questions alone."""
    study = made_up_study(tmp_path)
    assert "200 questions. small 1 guides large 2" in render_page([study], [{}])
    study.rows[0].all["pictures"] = 51
    assert "200 questions about 51 pictures. small 1 guides large 2" in render_page([study], [{}])


def test_the_command(tmp_path):
    made_up_study(tmp_path).write(tmp_path / STUDY)
    page = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["report", str(tmp_path), "-o", str(page), "--plots", str(tmp_path / "plots")])
    assert done.exit_code == 0 and page.exists() and len(list((tmp_path / "plots").iterdir())) == 9
    assert str(page) in done.stdout.replace("\n", "")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["none"], "there is no folder none"),
        ([".", "-o", "page.txt"], "page.txt should end in .html"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(tmp_path, monkeypatch, arguments, names):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["report", *arguments])
    assert done.exit_code == 2 and names in done.stderr and len(done.stderr.splitlines()) == 1


def test_no_folder_for_the_page_is_one_sentence(tmp_path):
    made_up_study(tmp_path).write(tmp_path / STUDY)
    done = CliRunner().invoke(app, ["report", str(tmp_path), "-o", str(tmp_path / "none" / "page.html")])
    assert done.exit_code == 2 and "there is no folder" in done.stderr
