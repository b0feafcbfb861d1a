"""A study with made-up figures, for tables, figures and pages."""

from pathlib import Path

from PIL import Image

from stitchvlm.evaluation.tables import StudyTable, TableRow, label_of

AGREEMENT = {
    "n": 3,
    "top": {
        share: {
            "large_layers": [{"mean": 0.2, "half_width": 0.1}, {"mean": 0.6, "half_width": 0.1}],
            "small_layers": [{"mean": 0.3, "half_width": 0.1}],
            "small_all": {"mean": 0.7, "half_width": 0.05},
            "chance": float(share),
        }
        for share in ("0.09", "0.35")
    },
}
RUN = {
    "cpu": "a CPU",
    "cores": 2,
    "threads": 1,
    "gpu": None,
    "system": "Linux x86_64",
    "python": "3.11",
    "torch": "2",
    "transformers": "5",
    "stitchvlm": "0",
    "commit": "abc",
}


def table_row(method: str, keep: float, accuracy: float, exit: float | str = "never") -> TableRow:
    """A row with 200 questions."""
    spread = {"median": 0.1, "p95": 0.2, "n": 200}
    group = {
        "n": 200,
        "accuracy": accuracy,
        "low": round(accuracy - 0.05, 3),
        "high": round(accuracy + 0.05, 3),
        "small_accuracy": 0.6,
        "large_accuracy": accuracy,
        "exits": float(method == "small-alone"),
        "average_retention": keep,
        "kept": 200 * keep,
        "visual": 200.0,
        "flops": 3e9,
        "seconds": 0.1,
        "stages": {"small_prefill": spread, "large_prefill": spread, "total": spread},
        "first_token": spread,
        "live": None,
        "live_first_token": None,
        "difference": None if method == "large-alone" else {"mean": -0.1, "low": -0.15, "high": -0.05, "n": 200},
    }
    settings = {"task": "scenes", "method": method, "keep": keep, "exit": exit, "options": {}, "layer": None}
    settings |= {
        "small": "small 1",
        "large": "large 2",
        "dtype": "auto",
        "max_tiles": None,
        "max_new_tokens": 64,
        "seed": 0,
    }
    curve = [
        {
            "threshold": 1 - share,
            "exits": share,
            "accuracy": accuracy,
            "low": 0.5,
            "high": 0.9,
            "seconds": round(0.2 - share / 10, 3),
        }
        for share in (0.0, 0.5, 1.0)
    ]
    return TableRow(label_of(settings), settings, [RUN], {"read": group, "all": group}, curve, {"resident": 600.0})


def made_up_study(folder: Path, alone: bool = True) -> StudyTable:
    """Two methods at two shares, an exit, an exhibit whose question needs care, and two problems."""
    names = ("q-asked.jpg", "q-guide.jpg", "q-kept.jpg")
    for name in names:
        Image.new("RGB", (40, 30), "white").save(folder / name)
    exhibit = {
        "id": "q",
        "question": "How much is <b>$5</b> & $6?",
        "gold": "$11",
        "small_answer": "$1",
        "large_answer": "$11",
    }
    exhibit |= {"n_kept": 17, "n_visual": 192, "pictures": list(names)}
    rows = [table_row("small-alone", 0.0, 0.6), table_row("large-alone", 1.0, 0.9)] if alone else []
    rows += [table_row("guided", 0.09, 0.8), table_row("guided", 0.35, 0.85), table_row("guided", 0.09, 0.78, exit=0.4)]
    rows += [table_row("random", 0.09, 0.2), table_row("random", 0.35, 0.5)]
    problems = ["line 4: missing picture: <script>alert(1)</script>", "line 9: empty answer: 'q9'"]
    left_out = ["fastv 9%: it keeps <everything> up to layer 2"]
    return StudyTable("scenes", "small 1", "large 2", rows, AGREEMENT, [exhibit], problems, left_out, folder=folder)
