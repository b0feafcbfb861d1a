"""What the records of `end_to_end.py` say: ratios round by round, speed by tiles and accepted tokens, and the bars."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from end_to_end_rows import (
    ANEW,
    BARRED,
    BOTH,
    EXIT_SHARES,
    FASTV,
    HELD,
    LARGE_ALONE,
    Case,
    Shares,
    exit_name,
    swept_name,
)
from imposed import Findings

Record = dict[str, Any]
Rounds = dict[int, Record]

BARS = {"times_large_alone": 2.0, "times_fastv": 1.0, "times_large_alone_with_40%_exits": 2.8}
"""How much faster draft + tiles is to be; faster than FastV by anything at all."""
AT_LEAST = 2.0
MOST_GIB, MOST_ROOFLINES = 54.24, 1.5


def of_case(records: Sequence[Record], case: Case) -> dict[str, Rounds]:
    """Per row its records by round, exits of single questions put together from the row that they spare work of."""
    rows: dict[str, Rounds] = defaultdict(dict)
    for record in records:
        if record["case"] == case.name:
            rows[record["row"]][record["round"]] = record
    if case.batch == 1:
        for share in EXIT_SHARES:
            for way in (BOTH, HELD):
                rows[exit_name(share, way)] = {turn: _with_exits(record, share) for turn, record in rows[way].items()}
    return {name: rounds for name, rounds in rows.items() if rounds}


def _with_exits(record: Record, share: float) -> Record:
    """The mean over questions of which that share exits: the small model's parts in full, the large one's for the others."""
    seconds = {
        stage: value * (1 - share if stage.startswith("large") else 1) for stage, value in record["seconds"].items()
    }
    return {**record, "seconds": seconds, "total": sum(seconds.values()), "assembled": True}


def times_faster(slow: Rounds, fast: Rounds) -> dict[str, float] | None:
    """Median, lowest and highest of the ratios of the rounds that both have."""
    ratios = [slow[turn]["total"] / fast[turn]["total"] for turn in slow.keys() & fast.keys()]
    if not ratios:
        return None
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}


def row_summary(rounds: Rounds, rows: dict[str, Rounds]) -> dict[str, Any]:
    """Medians of one row, and how much faster it is than large alone and FastV."""
    records = list(rounds.values())
    stages = dict.fromkeys(stage for record in records for stage in record["seconds"])
    kept = ("average_retention", "tiles_encoded", "n_proposed", "n_accepted")
    return {
        "total": statistics.median(record["total"] for record in records),
        "seconds": {stage: statistics.median(record["seconds"][stage] for record in records) for stage in stages},
        "rounds": len(records),
        "assembled": records[0].get("assembled", False),
        **{name: records[0][name] for name in kept},
        "times_large_alone": times_faster(rows.get(LARGE_ALONE, {}), rounds),
        "times_fastv": times_faster(rows.get(FASTV, {}), rounds),
    }


def sweep(rows: dict[str, Rounds], case: Case, findings: Findings) -> dict[str, Any]:
    """What the bars ask of draft + tiles, by tiles touched and tokens accepted.

    What is decoded after the prefill depends on the accepted tokens alone, and all before it on the tiles alone, since as many
    tokens stay whatever tiles they lie in. So every pair is put together from one measured row for each.
    """
    table: dict[str, dict[str, dict[str, float]]] = {name: {} for name in BARS}
    twice = []
    for tiles in range(1, case.tiles + 1):
        before = rows.get(swept_name(Findings(tiles, findings.accepted, findings.guessed)), {})
        for accepted in sorted({0, (case.answer - 1) // 2, case.answer - 1}):
            after = rows.get(swept_name(Findings(findings.tiles, accepted, findings.guessed)), {})
            both = {turn: _joined(before[turn], after[turn]) for turn in before.keys() & after.keys()}
            compared = _compared(rows, both, {turn: _with_exits(record, 0.4) for turn, record in both.items()})
            for name, ratio in compared.items():
                if ratio:
                    table[name].setdefault(str(tiles), {})[str(accepted)] = ratio["median"]
            alone = compared["times_large_alone"]
            if alone and alone["median"] >= AT_LEAST:
                twice.append([tiles, accepted])
    return {**table, "at_least_twice_as_fast": twice}


def _joined(before: Record, after: Record) -> Record:
    """All of one record but the decoding, and that of another."""
    seconds = before["seconds"] | {"large_decode": after["seconds"]["large_decode"]}
    return {"seconds": seconds, "total": sum(seconds.values())}


def _compared(rows: dict[str, Rounds], both: Rounds, with_exits: Rounds) -> dict[str, dict[str, float] | None]:
    """The ratios that the bars are about, by their names."""
    alone, fastv = rows.get(LARGE_ALONE, {}), rows.get(FASTV, {})
    faster = (times_faster(alone, both), times_faster(fastv, both), times_faster(alone, with_exits))
    return dict(zip(BARS, faster, strict=True))


def on_average(rows: dict[str, Rounds], case: Case, findings: Findings, means: Shares) -> dict[str, Any]:
    """How much faster the mean question is: seconds rise evenly with every tile and every token that is not accepted.

    The sweeps have times for whole tiles and for few lengths of accepted drafts; between them a mean lies on a straight line.
    """

    def between(points: dict[int, Rounds], wanted: float) -> Rounds:
        low = max(n for n in points if n <= wanted)
        high = min(n for n in points if n >= wanted)
        weight = 0.0 if low == high else (wanted - low) / (high - low)
        turns = points[low].keys() & points[high].keys()
        return {turn: _mixed(points[low][turn], points[high][turn], weight) for turn in turns}

    n_proposed = case.answer - 1
    lengths = sorted({0, n_proposed // 2, n_proposed})
    tiles = {n: rows.get(swept_name(replace(findings, tiles=n)), {}) for n in range(1, case.tiles + 1)}
    drafts = {n: rows.get(swept_name(replace(findings, accepted=n)), {}) for n in lengths}
    after = between(drafts, means.accepted * n_proposed)
    told = {}
    for name, share in ((BOTH, means.tiles), (HELD, means.tiles_held)):
        before = between(tiles, max(1.0, share * case.tiles))
        both = {turn: _joined(before[turn], after[turn]) for turn in before.keys() & after.keys()}
        told[name] = {
            "tiles": share * case.tiles,
            "accepted": means.accepted * n_proposed,
            **_compared(rows, both, {turn: _with_exits(record, 0.4) for turn, record in both.items()}),
        }
    return told


def _mixed(one: Record, other: Record, weight: float) -> Record:
    """So much of the other record's seconds, the rest of the one's."""
    stages = {stage: (1 - weight) * value + weight * other["seconds"][stage] for stage, value in one["seconds"].items()}
    return {"seconds": stages, "total": sum(stages.values())}


def bars(rows: dict[str, Rounds], way: str = BOTH) -> dict[str, Any]:
    """The issue's bars on speed: what was reached, and whether that is enough; None where it was not measured."""
    reached = _compared(rows, rows.get(way, {}), rows.get(exit_name(0.4, way), {}))
    return {
        name: {
            "at_least": BARS[name],
            "reached": ratio,
            "met": ratio and (ratio["min"] > BARS[name] if BARS[name] == 1 else ratio["median"] >= BARS[name]),
        }
        for name, ratio in reached.items()
    }


def gpu_bars(rows: dict[str, Rounds], memory: dict[str, Record], least: dict[str, Record]) -> dict[str, Any]:
    """Those on peak memory and on the roofline of the work that remains, as far as they were measured."""
    told: dict[str, Any] = {}
    if memory:
        most = min(MOST_GIB, 1.02 * (memory["large alone"]["gib"] + memory["small weights"]["gib"]))
        reached = memory["together"]["gib"]
        told["peak_gib"] = {"at_most": most, "reached": reached, "met": reached <= most}
    if BOTH in least and rows.get(BOTH):
        reached = statistics.median(record["total"] for record in rows[BOTH].values()) / least[BOTH]["total"]
        told["times_roofline"] = {"at_most": MOST_ROOFLINES, "reached": reached, "met": reached <= MOST_ROOFLINES}
    return told


def summarise(records: Sequence[Record], cases: Sequence[Case], shares: Shares, means: Shares) -> dict[str, Any]:
    """All cases that have records, and the bars for the case that has some."""
    memory, least = (
        {record["row"]: record for record in records if record["case"] == kind} for kind in ("memory", "roofline")
    )
    told: dict[str, Any] = {
        "cases": {},
        "peak_gib": {name: record["gib"] for name, record in memory.items()},
        "roofline": {name: {"total": one["total"], "seconds": one["seconds"]} for name, one in least.items()},
    }
    for case in cases:
        rows = of_case(records, case)
        if not rows:
            continue
        shown = {name: rounds for name, rounds in rows.items() if not name.startswith(f"{BOTH}: ")}
        findings = shares.findings(case)
        told["cases"][case.name] = {
            "tiles_touched": findings.tiles,
            "accepted": findings.accepted,
            "rows": {name: row_summary(rounds, rows) for name, rounds in shown.items()},
            "sweep": sweep(rows, case, findings),
            "on_average": on_average(rows, case, findings, means),
        }
        if case == BARRED:
            told["bars"] = {way: bars(rows, way) for way in (BOTH, HELD)} | gpu_bars(rows, memory, least)
            anew = {name: rows.get(name + ANEW, {}) for name in (LARGE_ALONE, FASTV, BOTH, HELD)}
            for way in (BOTH, HELD):
                anew[exit_name(0.4, way)] = {turn: _with_exits(record, 0.4) for turn, record in anew[way].items()}
            told["bars_nothing_shared"] = {way: bars(anew, way) for way in (BOTH, HELD)}
    return told
