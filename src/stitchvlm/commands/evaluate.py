"""``stitch eval``: a whole task answered in one way, one JSON line per question."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stitchvlm.commands import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stitchvlm.evaluation.results import ResultFile
    from stitchvlm.evaluation.sample import Problem, Sample
    from stitchvlm.evaluation.study import Study

Task = Annotated[
    str,
    typer.Argument(
        metavar="TASK",
        help="scenes or documents, one kind of it such as scenes/read, or folder:FILE with your own JSON lines.",
        show_default=False,
    ),
]
Metric = Annotated[
    str | None,
    typer.Option(metavar="exact|vqa|anls|relaxed|iou", help="How answers of folder:FILE are judged. Default: exact."),
]
FirstN = Annotated[int | None, typer.Option("--n", metavar="N", help="Only the first N questions.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first line or question that cannot be used.")]
Live = Annotated[
    int,
    typer.Option(
        metavar="N", min=0, help="On how many questions to measure the latency of a user, nothing shared or remembered."
    ),
]
Unlabelled = Annotated[
    bool,
    typer.Option(
        "--unlabelled", help="Questions of folder:FILE need no right answers: record both models' for stitch calibrate."
    ),
]
METHOD = "NAME[:OPTION=VALUE]"
"""How a method is written."""


def evaluate(
    task: Task,
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSON lines; an interrupted run goes on where it stopped.")],
    n: FirstN = None,
    metric: Metric = None,
    strict: Strict = False,
    unlabelled: Unlabelled = False,
    small: options.Small = None,
    large: options.Large = None,
    device: options.Device = None,
    small_device: options.SmallDevice = None,
    device_map: options.DeviceMap = None,
    dtype: options.Dtype = "auto",
    quantize: options.Quantize = None,
    cuda_graphs: options.CudaGraphs = True,
    keep: options.Keep = "9%",
    layer: options.Layer = None,
    method: Annotated[
        str,
        typer.Option(
            metavar=METHOD,
            help="Which tokens stay, such as fastv:layer=1; large-alone or small-alone for one model alone.",
            rich_help_panel=options.REDUCTION,
        ),
    ] = "guided",
    max_tiles: options.MaxTiles = None,
    exit: Annotated[
        str | None,
        typer.Option(
            metavar="SCORE|never|always|FILE",
            help="As for ask, with its default.",
            rich_help_panel=options.ANSWER,
        ),
    ] = None,
    max_new_tokens: options.MaxNewTokens = 64,
    seed: options.Seed = 0,
    no_both: Annotated[bool, typer.Option("--no-both", help="Do not also ask the model that was spared.")] = False,
    live: Live = 20,
    memory: Annotated[bool, typer.Option("--memory", help="Measure peak memory too, in a process of its own.")] = False,
    against: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Results of large-alone on the same task, to tell the difference from."),
    ] = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Answer the questions of a task and count the right answers."""
    from stitchvlm.commands.quiet import quieten
    from stitchvlm.errors import DataError
    from stitchvlm.evaluation.memory import peak_memory
    from stitchvlm.evaluation.results import ResultFile, read_settings
    from stitchvlm.evaluation.sample import Problem
    from stitchvlm.evaluation.settings import LARGE_ALONE, SMALL_ALONE, RunSettings, parse_method
    from stitchvlm.evaluation.study import Study
    from stitchvlm.evaluation.summary import as_json as summaries_as_json
    from stitchvlm.evaluation.summary import asked_about, scores_by_id, summarise
    from stitchvlm.evaluation.tasks import open_task

    quieten()
    name, method_options = parse_method(method)
    settings = RunSettings(
        *(small, large, keep, layer, name, exit, dtype, max_tiles, max_new_tokens, seed),
        both=not no_both,
        options=method_options,
        quantize=quantize,
    )
    settings.resolve()
    if unlabelled and against is not None:
        raise ValueError(f"without right answers there is no difference to tell: leave --against {against} out")
    opened = open_task(task, n, metric, strict, unlabelled)
    baseline = None if against is None else scores_by_id(_other_results(against, settings.identity(opened.name)))
    devices: dict[str, Any] = {
        "device": device,
        "small_device": small_device,
        "device_map": device_map,
        "cuda_graphs": cuda_graphs,
    }
    asked = {sample.id for sample in opened.samples}
    problems = list(opened.problems)
    with ResultFile(out, settings.identity(opened.name)) as results:
        if not asked <= results.ids():
            study = Study({name: settings}, **devices, n_live=live)
            run_with_bar(study, opened.samples, {name: results}, strict)
            problems += study.problems
        if memory and results.records and not read_settings(out).get("memory"):
            try:
                results.note_memory(peak_memory(settings, task, results.records[0]["id"], devices, unlabelled))
            except DataError as error:
                if strict:
                    raise
                problems.append(Problem(None, "peak memory", str(error)))
        answered = [record for record in results.records if record["id"] in asked]
    tell_problems(problems)
    if not answered:
        raise DataError(f"no question of {task} could be asked, {problems[0]}: mend it")
    groups = summarise(answered, baseline)
    if as_json:
        told = summaries_as_json(groups)
        noted = read_settings(out).get("memory", {})
        print(json.dumps(told | {"problems": [str(problem) for problem in problems], "memory": noted}))
    else:
        from stitchvlm.commands.tables import kinds_table, print_table

        reduced = name not in (SMALL_ALONE, LARGE_ALONE)
        print_table(
            kinds_table(groups, f"{task}, {method}: {asked_about(groups['all'].n, groups['all'].pictures)}", reduced)
        )


def run_with_bar(study: "Study", samples: "Sequence[Sample]", files: "dict[str, ResultFile]", strict: bool) -> None:
    """Answer what is left, with a bar on stderr that shows the mean score so far."""
    from rich.console import Console

    from stitchvlm.commands.tables import progress_bar

    with progress_bar(Console(stderr=True)) as progress:
        (file,) = files.values()
        done = len(file.ids() & {sample.id for sample in samples})
        bar = progress.add_task("asking", total=len(samples), completed=done)
        for _ in study.run(samples, files, strict):
            scores = [record["score"] for record in file.records]
            right = "asking" if None in scores else f"{sum(scores) / len(scores):.1%} right"
            progress.update(bar, advance=1, description=right)


def tell_problems(problems: "Sequence[Problem]", shown: int = 20) -> None:
    """What was left out and why, on stderr: the first few by line, and how many of each kind."""
    from rich.console import Console

    from stitchvlm.commands.account import printable
    from stitchvlm.evaluation.tasks import count_problems

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for problem in problems[:shown]:
        console.print(printable(str(problem)))
    if len(problems) > shown:
        console.print(f"and {len(problems) - shown} more, which --json names")
    if problems:
        console.print(f"left out: {count_problems(list(problems))}; --strict stops instead")


def _other_results(path: Path, ours: "dict[str, Any]") -> list[dict]:
    """The records of the same large model alone on the same task."""
    from stitchvlm.evaluation.belonging import CONDITIONS
    from stitchvlm.evaluation.results import read_records, read_settings
    from stitchvlm.evaluation.settings import LARGE_ALONE, SMALL_ALONE

    if not path.is_file():
        raise ValueError(f"there is no file {path}: name results of stitch eval --method large-alone")
    settings = read_settings(path)
    if (settings.get("method"), settings.get("task")) != (LARGE_ALONE, ours["task"]):
        raise ValueError(
            f"{path} holds {settings.get('method')} on {settings.get('task')}, not {LARGE_ALONE} on {ours['task']}: "
            "name results of stitch eval --method large-alone on the same task"
        )
    for name in (*CONDITIONS, *(("large",) if ours["method"] != SMALL_ALONE else ())):
        if settings.get(name) != ours[name]:
            raise ValueError(
                f"{path} was recorded with {name} {settings.get(name)}, not {ours[name]}: name results recorded alike"
            )
    return read_records(path)
