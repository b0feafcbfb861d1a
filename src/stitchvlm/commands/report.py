"""``stitch report``: results as one page and as figures."""

from pathlib import Path
from typing import Annotated

import typer

from stitchvlm.commands import options


def report(
    results: Annotated[
        Path, typer.Argument(metavar="DIR", help="What stitch compare or stitch eval wrote.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="The page to write.")] = Path("report.html"),
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write every figure there, as PNG and SVG.")
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Put results on one page that needs nothing else: tables, figures and pictures."""
    from stitchvlm.evaluation.report import write_report
    from stitchvlm.evaluation.tables import find_studies

    if out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{out} should end in .html: a report is a page")
    for path in write_report(find_studies(results), out, plots):
        print(path)
