"""Peak memory in a process of its own."""

import subprocess
import sys

import pytest

from stitchvlm.errors import DataError
from stitchvlm.evaluation.memory import peak_memory, peak_resident
from stitchvlm.evaluation.settings import RunSettings
from stitchvlm.evaluation.tasks import load_task

CPU = {"device": "cpu"}


@pytest.mark.slow
def test_a_process_of_its_own_tells_how_large_it_grew(tiny_pair):
    settings = RunSettings(*tiny_pair, method="random", keep=0.5, exit="never", max_new_tokens=2)
    assert 100 < peak_memory(settings, "scenes", load_task("scenes", 1)[0].id, CPU)["resident"] < 5000


def test_what_the_process_before_held_is_not_counted():
    bloated = bytearray(600 * 2**20)
    told = "from stitchvlm.evaluation.memory import peak_resident; print(peak_resident())"
    alone = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert peak_resident() > len(bloated) / 2**20 > float(alone.stdout) > 10


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (subprocess.TimeoutExpired("python", 1800), "no answer within 1800 seconds"),
        (OSError(12, "Cannot allocate memory"), "Cannot allocate memory"),
        (subprocess.CompletedProcess("python", -9, "", ""), "it ended with -9"),
        (subprocess.CompletedProcess("python", 1, "", "Traceback\n  x\nValueError: no"), "ValueError: no"),
    ],
)
def test_whatever_happens_to_the_process_is_one_sentence(tiny_pair, monkeypatch, failure, reason):
    def run(*_, **__):
        if isinstance(failure, Exception):
            raise failure
        return failure

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(DataError, match=f"memory could not be measured \\(.*{reason}\\): leave it out"):
        peak_memory(RunSettings(*tiny_pair), "scenes", "q1", CPU)


@pytest.mark.slow
def test_a_process_that_fails_is_one_sentence(tiny_pair):
    with pytest.raises(DataError, match="memory could not be measured .*--no-memory"):
        peak_memory(RunSettings(*tiny_pair), "poems", "q1", CPU)
