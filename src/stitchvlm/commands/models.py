"""``stitch models``: what can be given as ``--small`` and ``--large``."""

import json
import sys

from stitchvlm.commands import options


def models(as_json: options.Json = False, debug: options.Debug = False) -> None:
    """List the supported families with checkpoints of theirs, and pairs that go together."""
    from stitchvlm.embedded import EMBEDDED, embedded_folder
    from stitchvlm.families import survey_families
    from stitchvlm.families.known import known_lines, known_pairs

    families, problems = survey_families()
    for problem in problems:
        print(f"stitch: {' '.join(problem.split())}", file=sys.stderr)
    lines, pairs = known_lines(families), known_pairs(families)
    embedded = {name: str(embedded_folder(name)) for name in EMBEDDED}
    if as_json:
        told = {family.name: {line.name: line.checkpoints for of, line in lines if of is family} for family in families}
        listed = [{"small": pair.small, "large": pair.large, "source": pair.source or None} for pair in pairs]
        print(json.dumps({"families": told, "pairs": listed, "embedded": embedded}))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("family", style="bold", no_wrap=True)
    table.add_column("checkpoints", overflow="fold")
    for family in families:
        table.add_row(family.name, "\n".join(c for of, line in lines if of is family for c in line.checkpoints))
    console.print(table)
    console.print("[bold]pairs that go together[/bold]")
    for pair in pairs:  # one line each, so that it can be copied
        source = f"  ({pair.source})" if pair.source else ""
        console.print(f" --small {pair.small} --large {pair.large}{source}", soft_wrap=True)
    console.print()
    console.print(
        "Without --small and --large the embedded pair answers. Any of these may guide any other.", soft_wrap=True
    )
    for name, folder in embedded.items():
        console.print(f"{name}: {folder}", soft_wrap=True)
