"""The command line. A command is one file in `commands`, imported when it is called or listed."""

from __future__ import annotations

import errno
import os
import sys
from contextvars import copy_context
from itertools import takewhile
from typing import Any

import typer
import typer.core

from attnviz import __version__
from attnviz.cli.command import Group
from attnviz.cli.commands import COMMANDS
from attnviz.cli.current import current, forget_current, is_stopped
from attnviz.cli.failures import fail
from attnviz.cli.process import discard_unwritable, prepare
from attnviz.errors import AttnvizError
from attnviz.files import DATA_FORMATS
from attnviz.registry import first_sentence, nearest, slip

INTERRUPTED = 130
PIPE_BROKEN = 141
"""What a shell says of a program whose reader went away; 1 would be a check that failed."""

HINTS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EBADF: "stdin, stdout or a file is closed",
}

COMPLETION = "_ATTNVIZ_COMPLETE"
"""The variable in which a shell asks how a line may go on."""

LAST = 1000
"""The place in the list of commands that name none."""


def _listed() -> list[str]:
    """The names of all commands, in their order."""
    return sorted(COMMANDS, key=lambda name: getattr(COMMANDS[name], "ORDER", LAST))


class Commands(Group):
    """Finds a command in the file of its name."""

    def list_commands(self, ctx: Any) -> list[str]:
        return _listed()

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name in COMMANDS:
            return super().resolve_command(ctx, args)
        if ctx.resilient_parsing:  # the shell asks what the words so far may become
            return None, None, args
        if any(map(str.isspace, name)) or name == "-":  # a text
            return super().resolve_command(ctx, ["run", *args])
        raise AttnvizError(f"no such command {name!r}", _right_command(args))

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
    add_completion=True,
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


ALSO = {
    "ablate": "remove knockout prune",
    "compare": "scores masks",
    "config": "settings configure options preferences",
    "decode": "generate translate write complete continue",
    "encode": "embed embeddings positions tokens tokenize tokenise",
    "explain": "why cell",
    "image": "picture vision vit",
    "learn": "lesson lessons teach tutorial tour course",
    "models": "list ls info download",
    "run": "viz visualize visualise attention text analyze analyse inspect",
    "show": "view open load draw plot",
}
"""Command -> what else it may be called."""


def _right_command(words: list[str]) -> str:
    """The hint for a command that does not exist."""
    name, known = words[0], _listed()
    if os.path.exists(name):
        from attnviz.cli.inputs import IMAGES

        is_data = name.lower().endswith((*DATA_FORMATS, ".npy"))
        command = "show" if is_data else "image" if name.lower().endswith(IMAGES) else "models"
        return f"attnviz {command} {name}"
    meant = next((each for each, others in ALSO.items() if name.lower() in others.split()), None)
    if meant is not None:
        return f"did you mean `{meant}`? attnviz {meant} --help"
    if slip(name, known) is None:
        text = " ".join(takewhile(lambda word: not word.startswith("-"), words))
        return f'of a text: attnviz run "{text}"; commands: {", ".join(known)}'
    return nearest(name, known)


def run_cli(arguments: list[str] | None = None) -> int:
    """Run a command line; errors become one `error:` line and a `hint:`, and exit code 2."""
    prepare()
    streams = sys.stdout, sys.stderr  # a broken pipe makes Typer put others in their place
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["help"]:  # as of git, pip and cargo
        words = [*words[1:], "--help"]
    forget_current()
    try:
        # a command's language and silence end with it
        return copy_context().run(_run, words)
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
        elif not words and COMPLETION not in os.environ:
            from attnviz.cli.start import start_page

            print(start_page())
            result = 0
        else:
            result = app(args=words, prog_name="attnviz", standalone_mode=False, obj=tuple(words))
        sys.stdout.flush()
        if result == INTERRUPTED:
            print("interrupted", file=sys.stderr)
        if is_stopped():
            return INTERRUPTED
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
        return fail(error.message, error.hint)
    if hasattr(error, "format_message"):  # the command line's own errors
        return _usage(error)
    if isinstance(error, MemoryError):
        return fail("not enough memory", "shorten the text, or keep fewer layers: -s L0")
    if os.environ.get("ATTNVIZ_DEBUG"):
        raise error
    if isinstance(error, OSError):
        hint = HINTS.get(error.errno or 0, "check the path, and who may read and write it")
        return fail(f"cannot read or write: {error.strerror or error}", hint)
    return fail(
        f"internal: {type(error).__name__}: {error}",
        "this is a bug in attnviz; ATTNVIZ_DEBUG=1 shows where",
    )


def _usage(error: Any) -> int:
    option = getattr(error, "option_name", None)
    if option is not None and hasattr(error, "possibilities"):
        return fail(f"no such option: {option}", _right_option(error.ctx, option))
    message = " ".join(error.format_message().split())
    if not message:  # no arguments at all: the help has been printed
        return 2
    context = getattr(error, "ctx", None)
    path = current().path if context is None else context.command_path
    is_missing = hasattr(error, "param_hint") and message.lower().startswith("missing argument")
    hint = current().example if is_missing else f"{path} --help"
    return fail(message[0].lower() + message[1:].rstrip("."), hint)


def _right_option(context: Any, name: str) -> str:
    """The hint for an option that a command does not have."""
    guess = slip(name, [each for option in context.command.params for each in option.opts])
    if guess:
        return f"did you mean `{guess}`? {context.command_path} --help"
    owners = [command for command in _listed() if name in _options_of(command)]
    if context.parent is None and owners:
        return f"options come after the command: attnviz {owners[0]} … {name}"
    has = f"attnviz {owners[0]} has it" if len(owners) == 1 else f"{', '.join(owners[:4])} have it"
    return f"{f'{has}; ' if owners else ''}{context.command_path} --help"


def _options_of(command: str) -> set[str]:
    """All names of the options of a command, and of the commands within it."""
    found = typer.main.get_command(COMMANDS[command].app)
    inner = getattr(found, "commands", {}).values()
    return {name for each in (found, *inner) for option in each.params for name in option.opts}
