"""What must agree before rows may stand in one table, and what a reader is told where they do not agree in the rest."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from stitchvlm.errors import DataError
from stitchvlm.plural import counted

SAME = ("small", "large", "dtype", "quantize", "max_tiles", "max_new_tokens", "seed")
"""Settings that rows of one table share: those that decide what is answered and are no part of the way of answering."""
_PLACE = ("cpu", "gpu", "threads", "system", "torch", "transformers", "stitchvlm", "commit")
"""What of a run's surroundings seconds, and now and then answers, depend on."""
_NAMED = 3

Record = dict[str, Any]


def table_key(settings: Mapping[str, Any]) -> Hashable:
    """The same for files of results that belong into one table."""
    return tuple(repr(settings.get(name)) for name in ("task", *SAME))


def on_shared_questions(records: Mapping[str, Sequence[Record]]) -> tuple[dict[str, list[Record]], list[str]]:
    """Of every row the questions that all of them answered, and what there is to say of those that were left out.

    Raises:
        DataError: if there is no such question.
    """
    ids = {name: {record["id"] for record in rows} for name, rows in records.items()}
    shared = set.intersection(*ids.values()) if ids else set()
    if ids and not shared:
        raise DataError(f"{_listed(ids)} have no question in common: put them into folders of their own")
    kept = {name: [record for record in rows if record["id"] in shared] for name, rows in records.items()}
    longer: dict[int, list[str]] = {}
    for name, own in ids.items():
        longer.setdefault(len(own - shared), []).append(name)
    left_out = [f"{n} of {_listed(names)}" for n, names in sorted(longer.items()) if n]
    if not left_out:
        return kept, []
    return kept, [
        f"compared on the {counted(len(shared), 'question')} that every row answered; left out: {'; '.join(left_out)}"
    ]


def told_apart(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """In what the surroundings of rows differ, one text for each thing; none where all rows were made alike.

    Rows that were all interrupted alike are fair to each other, but answers of two commits are those of two programs.

    Args:
        runs: of every row, hardware, versions and commit of each run that wrote to it.
    """
    told = []
    for field in _PLACE:
        rows: dict[tuple[str, ...], list[str]] = {}
        for name, of_row in runs.items():
            values = sorted({_value(run.get(field)) for run in of_row})
            rows.setdefault(tuple(values) or ("unknown",), []).append(name)
        if len(rows) > 1:
            usual = max(rows, key=lambda values: len(rows[values]))
            others = [f"{' and '.join(values)} ({_listed(names)})" for values, names in rows.items() if values != usual]
            told.append(
                f"not all rows were measured with the same {field}: {' and '.join(usual)}, but {', '.join(others)}"
            )
        elif field == "commit":
            told += [
                f"answers of more than one commit stand in one row: {' and '.join(values)} ({_listed(names)})"
                for values, names in rows.items()
                if len(values) > 1
            ]
    return told


def _value(value: Any) -> str:
    text = "none" if value is None else str(value)
    mark, _, rest = text.partition(" ")
    return f"{mark[:10]} {rest}".rstrip() if len(mark) == 40 else text  # a commit is known by its first digits


def _listed(names: Iterable[str]) -> str:
    """A few names, and how many more there are."""
    names = list(names)
    more = len(names) - _NAMED
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:_NAMED])} and {more} more"
