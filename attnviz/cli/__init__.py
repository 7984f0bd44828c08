"""The command line. A command is one file in `commands`, imported when it is called or listed."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import typer
import typer.core

from attnviz import __version__
from attnviz.cli.commands import COMMANDS
from attnviz.cli.process import discard_unwritable, prepare
from attnviz.errors import AttnvizError
from attnviz.registry import first_sentence, nearest, slip
from attnviz.tokens import label

INTERRUPTED = 130
PIPE_BROKEN = 141
"""What a shell says of a program whose reader went away; 1 would be a check that failed."""

HINTS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EBADF: "stdin, stdout or a file is closed",
}

LONGEST_LINE, ENDING = 1000, 200
"""Characters of a message that quotes something very long."""

LAST = 1000
"""The place in the list of commands that name none."""


class Commands(typer.core.TyperGroup):
    """Finds a command in the file of its name."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(COMMANDS, key=lambda name: getattr(COMMANDS[name], "ORDER", LAST))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name not in COMMANDS:
            raise AttnvizError(f"no such command {name!r}", nearest(name, self.list_commands(ctx)))
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = COMMANDS[cmd_name]
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        command.short_help = first_sentence(module)
        return command


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def attnviz(
    version: bool = typer.Option(False, "--version", help="Print the version and leave."),
) -> None:
    """attnviz, the attention inspector for the terminal.

    attnviz run "I saw a saw"
    """
    if version:
        typer.echo(f"attnviz {__version__}")
        raise typer.Exit


def run_cli(arguments: list[str] | None = None) -> int:
    """Run a command line; errors become one `error:` line and a `hint:`, and exit code 2."""
    prepare()
    streams = sys.stdout, sys.stderr  # a broken pipe makes Typer put others in their place
    words = sys.argv[1:] if arguments is None else arguments
    try:
        return _run(words)
    except BrokenPipeError:  # the reader of our output has gone: nothing is wrong
        return PIPE_BROKEN
    except OSError:  # what is wrong could not even be said
        return 2
    finally:
        discard_unwritable(streams)


def _run(words: list[str]) -> int:
    try:
        if words == ["--version"]:  # spares the start of everything else
            print(f"attnviz {__version__}")
            result = 0
        else:
            result = app(args=words, prog_name="attnviz", standalone_mode=False, obj=tuple(words))
        sys.stdout.flush()
        if result == INTERRUPTED:
            print("interrupted", file=sys.stderr)
        return result if isinstance(result, int) else 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as leaving:
        if isinstance(leaving.__context__, BrokenPipeError):
            raise leaving.__context__ from None
        raise
    except Exception as error:
        if isinstance(error, BrokenPipeError):
            raise
        return _explain(error)


def _explain(error: Exception) -> int:
    """Say what went wrong, in a line and a hint."""
    if isinstance(error, AttnvizError):
        return _fail(error.message, error.hint)
    if hasattr(error, "format_message"):  # the command line's own errors
        return _usage(error)
    if isinstance(error, MemoryError):
        return _fail("not enough memory", "shorten the text, or keep fewer layers: -s L0")
    if os.environ.get("ATTNVIZ_DEBUG"):
        raise error
    if isinstance(error, OSError):
        hint = HINTS.get(error.errno or 0, "check the path, and who may read and write it")
        return _fail(f"cannot read or write: {error.strerror or error}", hint)
    return _fail(
        f"internal: {type(error).__name__}: {error}",
        "this is a bug in attnviz; ATTNVIZ_DEBUG=1 shows where",
    )


def _usage(error: Any) -> int:
    option = getattr(error, "option_name", None)
    if option is not None and hasattr(error, "possibilities"):
        return _fail(f"no such option: {option}", _right_option(error.ctx, option))
    message = " ".join(error.format_message().split())
    if not message:  # no arguments at all: the help has been printed
        return 2
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "attnviz"
    return _fail(message[0].lower() + message[1:].rstrip("."), f"{path} --help")


def _right_option(context: Any, name: str) -> str:
    """The hint for an option that a command does not have."""
    guess = slip(name, [each for option in context.command.params for each in option.opts])
    return f"{f'did you mean `{guess}`? ' if guess else ''}{context.command_path} --help"


def _fail(message: str, hint: str | None) -> int:
    """Say what went wrong; what a message quotes of a file or a name may hold anything."""
    lines = [f"error: {' '.join(message.split())}"] + ([f"hint: {hint}"] if hint else [])
    for line in lines:
        cut = len(line) > LONGEST_LINE
        shown = f"{line[:LONGEST_LINE]} … {line[-ENDING:]}" if cut else line
        print(label(shown), file=sys.stderr)
    return 2
