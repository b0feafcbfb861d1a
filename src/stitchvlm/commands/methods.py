"""``stitch methods``: what can be chosen with ``--method``."""

import inspect
import json
import sys
from typing import TYPE_CHECKING, Any

from stitchvlm.commands import options

if TYPE_CHECKING:
    from stitchvlm.methods import Method


def methods(as_json: options.Json = False, debug: options.Debug = False) -> None:
    """List the methods: what they do, what they need, their options and their papers."""
    from stitchvlm.methods import survey_methods

    usable, problems = survey_methods()
    for problem in problems:
        print(f"stitch: {' '.join(problem.split())}", file=sys.stderr)
    described = {name: _describe(method) for name, method in usable.items()}
    if as_json:
        print(json.dumps(described))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("method", style="bold", no_wrap=True)
    table.add_column("what it does, needs and takes", overflow="fold")  # a narrow terminal must not cut words short
    for name, told in described.items():
        values = " ".join(f"{option}={value['default']}" for option, value in told["options"].items())
        lines = [told["does"], f"needs: {'; '.join(told['needs']) or 'nothing'}", f"options: {values or 'none'}"]
        table.add_row(name, "\n".join([*lines, f"source: {told['paper']}"]), end_section=True)
    Console(highlight=False).print(table)


def _describe(method: "type[Method]") -> dict[str, Any]:
    from stitchvlm.methods.options import method_options

    paragraph = (inspect.getdoc(method) or "").partition("\n\n")[0]
    found = method_options(method).values()
    return {
        "does": " ".join(paragraph.replace("``", "").split()),
        "paper": method.paper,
        "needs": sorted(evidence.value for evidence in method.needs),
        "options": {option.name: {"default": option.default, "value": option.wanted} for option in found},
    }
