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
from attnviz.errors import AttnvizError
from attnviz.registry import first_sentence
from attnviz.tokens import label

INTERRUPTED = 130

LAST = 1000
"""The place in the list of commands that name none."""


class Commands(typer.core.TyperGroup):
    """Finds a command in the file of its name."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(COMMANDS, key=lambda name: getattr(COMMANDS[name], "ORDER", LAST))

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
    try:
        words = sys.argv[1:] if arguments is None else arguments
        if words == ["--version"]:  # spares the start of everything else
            print(f"attnviz {__version__}")
            return 0
        result = app(args=words, prog_name="attnviz", standalone_mode=False, obj=tuple(words))
        if result == INTERRUPTED:
            print("interrupted", file=sys.stderr)
        return result if isinstance(result, int) else 0
    except AttnvizError as error:
        return _fail(error.message, error.hint)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # the reader of our output has gone: nothing is wrong, but Python would say so at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if os.environ.get("ATTNVIZ_DEBUG"):
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "free some space" if full else "check the path, and who may read and write it"
        return _fail(f"cannot read or write: {error.strerror or error}", hint)
    except MemoryError:
        return _fail("not enough memory", "shorten the text, or keep fewer layers: -s L0")
    except Exception as error:
        if hasattr(error, "format_message"):  # the command line's own errors
            return _usage(error)
        if os.environ.get("ATTNVIZ_DEBUG"):
            raise
        return _fail(
            f"internal: {type(error).__name__}: {error}",
            "this is a bug in attnviz; ATTNVIZ_DEBUG=1 shows where",
        )


def _usage(error: Any) -> int:
    message = " ".join(error.format_message().split())
    if not message:  # no arguments at all: the help has been printed
        return 2
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "attnviz"
    return _fail(message[0].lower() + message[1:].rstrip("."), f"{path} --help")


def _fail(message: str, hint: str | None) -> int:
    """Say what went wrong; what a message quotes of a file or a name may hold anything."""
    lines = [f"error: {' '.join(message.split())}"] + ([f"hint: {hint}"] if hint else [])
    for line in lines:
        print(label(line), file=sys.stderr)
    return 2
