"""How every command ends: well, or with one sentence on stderr and the right exit code."""

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from stitchvlm.errors import DataError, RequestWarning

USAGE, FAILURE, INTERRUPTED = 2, 1, 130
_CommandLineError: Any = typer.BadParameter.__mro__[2]
"""The base of everything typer says about a command line; typer itself does not export it."""


class Shell(TyperGroup):
    """The group of all commands. It turns whatever is raised below it into one sentence and an exit code."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **options: Any
    ) -> Any:
        arguments = list(sys.argv[1:] if args is None else args)
        options["standalone_mode"] = False
        sys.exit(_exit_code(lambda: super(Shell, self).main(arguments, prog_name, **options), arguments))


def _exit_code(run: Callable[[], Any], arguments: Sequence[str]) -> int:
    debug = "--debug" in arguments
    try:
        with _warnings_told(debug):
            code = run()
        sys.stdout.flush()
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except BrokenPipeError:
        _drop_stdout()
        return FAILURE
    except Exception as error:
        if debug:
            traceback.print_exc()
        sentence, code = _explain(error, arguments)
        if sentence:
            print(f"stitch: {' '.join(sentence.split())}", file=sys.stderr)
        if isinstance(error, OSError):
            _drop_stdout()
    if code == INTERRUPTED:
        print("stitch: interrupted", file=sys.stderr)
    return code if isinstance(code, int) else 0


@contextmanager
def _warnings_told(debug: bool) -> Iterator[None]:
    """What is to be said of the request is said once, in one sentence; other warnings are for ``debug``."""
    with warnings.catch_warnings():
        if not debug:
            warnings.simplefilter("ignore")
        warnings.simplefilter("default", RequestWarning)
        show = warnings.showwarning

        def tell(message: Warning | str, category: type[Warning], *place: Any, **where: Any) -> None:
            if issubclass(category, RequestWarning):
                print(f"stitch: warning: {' '.join(str(message).split())}", file=sys.stderr)
            else:
                show(message, category, *place, **where)

        warnings.showwarning = tell
        yield


def _explain(error: Exception, arguments: Sequence[str]) -> tuple[str, int]:
    """What happened and the way out, in one sentence, and the exit code."""
    if isinstance(error, _CommandLineError):
        return _explain_command_line(error, arguments), USAGE
    if isinstance(error, DataError):
        return str(error), FAILURE
    if isinstance(error, OSError):
        place = error.filename or "the output"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"there is no space left to write {place}: free some, or name another file", FAILURE
        return f"{place} cannot be used ({error.strerror or error}): name another one", FAILURE
    if isinstance(error, ValueError):
        return str(error), USAGE
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "memory is full: lower --max-tiles, or choose another --dtype or --device", FAILURE
    reason = f"{type(error).__name__}: {error}"[:300]
    return f"unexpected {reason}: run it again with --debug for the traceback, and report it", FAILURE


def _explain_command_line(error: Any, arguments: Sequence[str]) -> str:
    """typer's own words, with the value that they leave out; none where it has printed the help instead."""
    message, context = error.format_message().rstrip("."), getattr(error, "ctx", None)
    command = context.command_path if context else "stitch"
    values = _values_of(getattr(getattr(error, "param", None), "opts", ()), arguments)
    if values and not any(value in message for value in values):
        message += f", not {values[-1]!r}"  # of a repeated option the last counts
    return f"{message[0].lower()}{message[1:]}: see {command} --help" if message else ""


def _values_of(names: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """What the user gave for an option, which may go by several names and be there several times."""
    values = []
    for word, following in zip(arguments, [*arguments[1:], None], strict=True):
        if word in names and following is not None:
            values.append(following)
        elif word.partition("=")[0] in names and "=" in word:
            values.append(word.partition("=")[2])
    return values


def _drop_stdout() -> None:
    """Send what is left in the buffer of stdout nowhere, or Python complains when it closes a broken pipe."""
    try:
        stdout = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stdout)
    os.close(nowhere)
