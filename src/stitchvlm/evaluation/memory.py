"""Peak memory of one way of answering: a process of its own answers one question and says how large it grew.

On a CPU that is its resident size, Python and torch themselves included; on a GPU what torch held there at most.
"""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from stitchvlm.errors import DataError
from stitchvlm.evaluation.settings import RunSettings
from stitchvlm.evaluation.study import Study
from stitchvlm.evaluation.tasks import open_task

_TIMEOUT = 1800


def peak_memory(
    settings: RunSettings, task: str, question: str, devices: dict[str, Any], unlabelled: bool = False
) -> dict[str, float]:
    """Peak mebibytes of the process (``resident``) and of its GPUs together (``device``, where there are any).

    Args:
        task, unlabelled: as :func:`~stitchvlm.evaluation.tasks.open_task` takes them.
        question: the id of the one that is answered.
        devices: ``device``, ``small_device``, ``device_map`` and ``cuda_graphs`` of the study.

    Raises:
        DataError: if the process fails, or takes longer than half an hour.
    """
    order = json.dumps(
        {"settings": asdict(settings), "task": task, "unlabelled": unlabelled, "question": question, "devices": devices}
    )
    command = [sys.executable, "-m", "stitchvlm.evaluation.memory"]
    try:
        done = subprocess.run(command, input=order, capture_output=True, text=True, timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise _failed(f"no answer within {_TIMEOUT} seconds") from None
    except OSError as error:
        raise _failed(str(error)) from error
    if done.returncode:
        raise _failed((done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1])
    return json.loads(done.stdout.splitlines()[-1])


def _failed(reason: str) -> DataError:
    return DataError(f"memory could not be measured ({reason}): leave it out, in stitch compare with --no-memory")


def peak_resident() -> float:
    """How large this process has been at most, in mebibytes.

    Linux carries the usual figure (``ru_maxrss``) over from the process that started this one, so the kernel's own is read.
    """
    if (status := Path("/proc/self/status")).exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    import resource

    unit = 1024 if sys.platform != "darwin" else 1024**2
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _measure(order: dict[str, Any]) -> dict[str, float]:
    settings = RunSettings(**order["settings"])
    study = Study({"row": settings}, **order["devices"])
    if settings.way().asks_large:
        study.large()  # an early exit must not hide what the large model takes
    samples = open_task(order["task"], unlabelled=order["unlabelled"]).samples
    study.answer(next(sample for sample in samples if sample.id == order["question"]), "row")
    peak = {"resident": peak_resident()}
    if torch.cuda.is_available():
        held = sum(torch.cuda.max_memory_allocated(device) for device in range(torch.cuda.device_count()))
        peak["device"] = held / 1024**2
    return peak


if __name__ == "__main__":
    print(json.dumps(_measure(json.load(sys.stdin))))
