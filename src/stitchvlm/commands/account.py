"""One answer and what happened on the way, for people."""

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stitchvlm.exits import CalibratedExit, SmallEarlyExit
from stitchvlm.plural import counted
from stitchvlm.records import Answer

_STAGES = {name: name for name in ("load", "prepare", "encode")} | {"own_map": "own map"}
_STAGES |= {name: name for name in ("prefill", "decode")}
"""What the stages of both models are called in seconds, in their order, and in the table."""


def printable(text: str) -> Text:
    """A model's words without control characters, which could do things to a terminal."""
    return Text("".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text))


def answer_panel(answer: Answer, question: str) -> Panel:
    """The answer under its question."""
    who = f"answered by the {answer.answered_by} model"
    return Panel(
        printable(answer.text), title=printable(question), title_align="left", subtitle=who, subtitle_align="right"
    )


def exit_account(policy: SmallEarlyExit) -> dict[str, float | str | None]:
    """The exit in use: its score and threshold, where they come from, and what is promised; None for what there is not."""
    return {
        "score": policy.score,
        "threshold": policy.threshold,
        "origin": policy.origin or None,
        "promise": policy.promise if isinstance(policy, CalibratedExit) else None,
    }


def answer_account(answer: Answer, policy: SmallEarlyExit) -> Group:
    """Who answered, the scores, the exit in use, the tokens and the seconds."""
    account = Table.grid(padding=(0, 3))
    account.add_column(style="bold")
    account.add_column()
    account.add_row("answered by", f"the {answer.answered_by} model")
    if answer.trace.small_answer is not None:
        note = "" if answer.trace.draft_complete else "  (cut short by --guide-tokens: it can only guide)"
        account.add_row("draft", printable(answer.trace.small_answer + note))
    if answer.trace.n_proposed or answer.trace.n_accepted:
        draft = f", {answer.trace.n_proposed} in the draft" if answer.trace.n_proposed else ""
        account.add_row(
            "reused" if draft else "guesses", counted(answer.trace.n_accepted, "token") + " guessed right" + draft
        )
    if scores := _scores(answer):
        account.add_row("scores", scores)
    account.add_row("exit", policy.rule + (f": {policy.origin}" if policy.origin else ""))
    account.add_row("visual tokens", _tokens(answer))
    if spared := _spared(answer):
        account.add_row("encoded", spared)
    return Group(account, _seconds(answer))


def _scores(answer: Answer) -> str:
    scores = {name: value for name, value in answer.as_dict()["scores"].items() if value is not None}
    return "   ".join(f"{name} {value:.3f}" for name, value in scores.items())


def _tokens(answer: Answer) -> str:
    trace = answer.trace
    if answer.answered_by == "small":
        return f"none of {trace.n_visual} went through the large model: the small one's answer stands"
    share = f"{trace.average_retention:.1%} of the work averaged over {counted(len(trace.kept_per_layer), 'layer')}"
    spared = trace.encoded is not None and len(trace.encoded) < trace.n_visual
    whole = ", counted from all tokens of the whole picture" if spared else ""
    return f"{trace.n_kept} of {trace.n_visual} kept to the end, {share}{whole}"


def _spared(answer: Answer) -> str:
    """What the large model's vision encoder saw where that was not all; empty otherwise."""
    trace = answer.trace
    if trace.n_tiles_encoded < trace.n_tiles:
        return f"{trace.n_tiles_encoded} of {trace.n_tiles} tiles"
    if trace.encoded is not None and len(trace.encoded) < trace.n_visual:
        return f"what {len(trace.encoded)} of {counted(trace.n_visual, 'visual token')} show"
    return ""


def _seconds(answer: Answer) -> Table:
    """Stages down, models across."""
    seconds = answer.trace.seconds
    table = Table("stage", header_style="bold", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("small, s", justify="right")
    table.add_column("large, s", justify="right")
    for stage, name in _STAGES.items():
        cells = [seconds.get(f"{model}_{stage}") for model in ("small", "large")]
        if any(cell is not None and cell >= 0.0005 for cell in cells):
            table.add_row(name, *("" if cell is None else f"{cell:.3f}" for cell in cells))
    if "exit_check" in seconds:
        table.add_row("exit check", f"{seconds['exit_check']:.3f}", "")
    table.add_row("total", "", f"{seconds['total']:.3f}", style="bold")
    return table
