"""The command that runs, so that a hint names it and no other."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, NamedTuple


class Current(NamedTuple):
    """A command as it was called."""

    path: str = "attnviz run"
    """`attnviz heads`, `attnviz encode tokens`."""
    example: str = 'attnviz run "I saw a saw"'
    """The first of its help."""
    arguments: tuple[str, ...] = ()
    """What it was called with."""

    @property
    def again(self) -> str:
        """The command as it was called."""
        import shlex

        return shlex.join(["attnviz", *self.arguments]) if self.arguments else self.path


_CURRENT: ContextVar[Current | None] = ContextVar("command", default=None)
_STOPPED: ContextVar[bool] = ContextVar("stopped", default=False)
_HINTS: ContextVar[frozenset[str]] = ContextVar("hints", default=frozenset())


def current() -> Current:
    """The command that runs; `attnviz run` where none does."""
    return _CURRENT.get() or Current()


def set_current(context: Any) -> None:
    """From here on, hints are about the command of this context."""
    path = context.command_path
    lines = [line.strip() for line in (context.command.help or "").splitlines()]
    examples = [line for line in lines if line.startswith(f"{path} ")]
    example = examples[0] if examples else f"{path} --help"
    arguments = context.obj if isinstance(context.obj, list | tuple) else ()
    _CURRENT.set(Current(path, example, tuple(arguments)))
    _HINTS.set(frozenset())


def forget_current() -> None:
    """No command runs."""
    _CURRENT.set(None)
    _STOPPED.set(False)
    _HINTS.set(frozenset())


def is_new(hint: str) -> bool:
    """Whether this command has not said so yet: one that runs two models may come to it twice."""
    said = _HINTS.get()
    _HINTS.set(said | {hint})
    return hint not in said


def set_stopped() -> None:
    """From here on, the command shows what was finished before Ctrl-C, and fails like one that
    was interrupted."""
    _STOPPED.set(True)


def is_stopped() -> bool:
    return _STOPPED.get()
