"""A file of results survives what happens to files."""

import os
import subprocess
import sys

import pytest

from stitchvlm.errors import DataError
from stitchvlm.evaluation.results import ResultFile, read_records, read_settings

SETTINGS = {"task": "scenes", "keep": 0.09}


def write_one(path):
    with ResultFile(path, SETTINGS) as results:
        results.append({"id": "a"})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results.jsonl"


def test_lines_are_there_again(path):
    with ResultFile(path, SETTINGS) as results:
        results.append({"id": "a", "answer": "Öl"})
        results.append({"id": "b", "answer": "x"})
    again = ResultFile(path, SETTINGS)
    assert again.ids() == {"a", "b"} and again.records == results.records
    assert path.read_text(encoding="utf-8").count("\n") == 2


def test_a_torn_last_line_is_dropped(path):
    write_one(path)
    with path.open("ab") as file:
        file.write(b'{"id": "b", "ans')
    assert read_records(path) == [{"id": "a"}]
    with ResultFile(path, SETTINGS) as results:
        assert results.ids() == {"a"}
    assert path.read_bytes() == b'{"id": "a"}\n'


def test_a_torn_line_in_the_middle_is_refused(path):
    write_one(path)
    path.write_bytes(b'{"id": "b", "ans\n{"id": "a"}\n')
    with pytest.raises(DataError, match=r"line 1 of .*results\.jsonl"):
        ResultFile(path, SETTINGS)


def test_other_settings_are_refused(path):
    write_one(path)
    with pytest.raises(ValueError, match=r"other settings, keep 0\.09 \(now 0\.2\): name another --out"):
        ResultFile(path, SETTINGS | {"keep": 0.2})


def test_settings_of_an_empty_run_may_change(path):
    with ResultFile(path, SETTINGS):
        pass
    with ResultFile(path, SETTINGS | {"keep": 0.2}) as results:
        results.append({"id": "a"})
    assert read_settings(path)["keep"] == 0.2


def test_a_foreign_file_is_left_alone(path):
    path.write_text("precious\n")
    with pytest.raises(ValueError, match="without settings"):
        ResultFile(path, SETTINGS)
    assert path.read_text() == "precious\n"


def test_two_runs_on_one_file_are_refused(path):
    with ResultFile(path, SETTINGS) as results:
        results.append({"id": "a"})
        with pytest.raises(ValueError, match=r"another run is writing to .*results\.jsonl: wait"):
            ResultFile(path, SETTINGS)
    with ResultFile(path, SETTINGS) as results:
        assert results.ids() == {"a"}


def test_a_killed_run_frees_its_file(path):
    code = (
        "import pathlib, sys\n"
        "from stitchvlm.evaluation.results import ResultFile\n"
        f"file = ResultFile(pathlib.Path({str(path)!r}), {SETTINGS!r})\n"
        "file.append({'id': 'a'})\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"open\n"
        with pytest.raises(ValueError, match="another run"):
            ResultFile(path, SETTINGS)
        process.kill()
    with ResultFile(path, SETTINGS) as results:
        assert results.ids() == {"a"}


def test_refused_settings_do_not_hold_the_file(path):
    write_one(path)
    with pytest.raises(ValueError, match="other settings"):
        ResultFile(path, SETTINGS | {"keep": 0.2})
    ResultFile(path, SETTINGS).close()


def test_where_it_was_made_is_noted_once(path):
    for name in ("a", "b"):
        with ResultFile(path, SETTINGS) as results:
            results.append({"id": name})
    (run,) = read_settings(path)["runs"]
    assert {"cpu", "cores", "torch", "transformers", "stitchvlm", "commit"} <= set(run)


def test_peak_memory_lies_beside_the_lines_and_stays_when_the_run_goes_on(path):
    write_one(path)
    with ResultFile(path, SETTINGS) as results:
        results.note_memory({"resident": 600.0})
    with ResultFile(path, SETTINGS) as results:
        results.append({"id": "b"})
    told = read_settings(path)
    assert told["memory"] == {"resident": 600.0} and told["keep"] == 0.09 and len(told["runs"]) == 1
    path.unlink()
    write_one(path)
    assert "memory" not in read_settings(path), "another file, another run"


def test_no_folder_and_no_file(tmp_path):
    with pytest.raises(ValueError, match="no folder"):
        ResultFile(tmp_path / "missing" / "r.jsonl", SETTINGS)
    with pytest.raises(ValueError, match="is a folder"):
        ResultFile(tmp_path, SETTINGS)


def test_a_full_disk_leaves_whole_lines(path, monkeypatch):
    results = ResultFile(path, SETTINGS)
    results.append({"id": "a"})
    write = os.write

    def fills_up(handle: int, data: bytes) -> int:
        if len(data) < 8:
            raise OSError(28, "No space left on device")
        return write(handle, data[:8])

    monkeypatch.setattr(os, "write", fills_up)
    with pytest.raises(OSError, match=r"No space left.*results\.jsonl"):
        results.append({"id": "b", "answer": "long"})
    assert path.read_bytes() == b'{"id": "a"}\n' and results.ids() == {"a"}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_device_gets_no_settings_beside_it(tmp_path):
    link = tmp_path / "full"
    link.symlink_to("/dev/full")
    results = ResultFile(link, SETTINGS)
    with pytest.raises(OSError, match="No space left"):
        results.append({"id": "a"})
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
