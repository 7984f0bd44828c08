"""The help of a command: what it does, examples, its options; long groups of options on a page of
their own."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from attnviz.cli.plain import BOLD, CYAN, GREEN, columns, has_colour, paint, wrap
from attnviz.tokens import in_encoding

SCREEN = "The screen and the machine"
FILES = "Plain files of weights"
STACK = "The stack (of -m random and of .toml stacks; * also of trained models)"

ALL = "--help-all"
MINE = "Options"
INDENT = 2
WIDEST_NAME, NARROWEST_TEXT = 22, 30
FITS = 40
"""Lines of a page up to which its groups stay on it."""

LONGEST_VALUE = 8
KINDS = {"<int>": "N", "<float>": "X", "<path>": "FILE"}
"""How values are written -> the same, shorter."""


class Fold(NamedTuple):
    """A group of options that has a page of its own."""

    flag: str
    """`--help-stack`"""
    about: str
    """What its options set."""
    kept: tuple[str, ...] = ()
    """Options that stand on the first page all the same."""
    always: bool = False
    """Whether it is folded though the page would fit a screen without."""


class Page:
    """The help of a command, as text.

    Args:
        context: the command's.
        folds: title of a group -> where its options are shown instead.
        only: the one group that is shown; None for the whole command.
    """

    def __init__(self, context: Any, folds: dict[str, Fold], only: str | None = None) -> None:
        self._context, self._folds, self._only = context, folds, only
        self._brief: set[str] = set()  # options of folded groups that are shown all the same
        self._colour = has_colour(sys.stdout)
        self._width = columns()
        self._encoding = sys.stdout.encoding or "ascii"

    def text(self) -> str:
        """The page; groups that are always folded, and as many others as make it fit."""
        folds = [title for title in self._folds if self._folds[title].always]
        page = self._page(folds)
        for title in self._folds:
            if page.count("\n") < FITS or self._only is not None:
                break
            if title in folds:
                continue
            folds.append(title)
            page = self._page(folds)
        return page

    def _page(self, folds: Sequence[str]) -> str:
        blocks = [self._usage(), *self._about(), *self._groups(folds)]
        first, *rest = ("\n".join(block) for block in blocks if block)
        return "\n".join([first, "\n\n".join(rest)])

    def _usage(self) -> list[str]:
        pieces = self._context.command.collect_usage_pieces(self._context)
        line = " ".join([self._context.command_path, *map(_plain, pieces)])
        return [f"{paint('Usage:', BOLD, self._colour)} {line}"]

    def _about(self) -> Iterator[list[str]]:
        """The docstring: prose wrapped anew, examples as they are."""
        if self._only is not None:
            return
        for paragraph in (self._context.command.help or "").strip().split("\n\n"):
            lines = paragraph.split("\n")
            if lines[0].strip().startswith("attnviz "):
                yield [" " * INDENT + paint(line.strip(), GREEN, self._colour) for line in lines]
            else:
                yield wrap(self._spelled(" ".join(" ".join(lines).split())), self._width)

    def _groups(self, folds: Sequence[str]) -> Iterator[list[str]]:
        groups: dict[str, list[Any]] = {}
        for parameter in self._context.command.get_params(self._context):
            if not getattr(parameter, "hidden", False) and "--help" not in parameter.opts:
                title = getattr(parameter, "rich_help_panel", None) or MINE
                groups.setdefault(title, []).append(parameter)
        folded: list[tuple[str, str]] = []
        for title in folds:  # what is kept stands among the usual options
            kept = [p for p in groups.get(title, ()) if set(p.opts) & set(self._folds[title].kept)]
            if kept:
                groups.setdefault(MINE, []).extend(kept)
            self._brief |= {p.name for p in kept}
        for title, parameters in groups.items():
            if self._only not in (None, title):
                continue
            if title not in folds or self._only == title:
                yield self._group(title, parameters)
                continue
            fold = self._folds[title]
            folded.append((fold.flag, f"{len(parameters)} options: {fold.about}"))
        if folded:
            yield self._rows(folded)
        commands = getattr(self._context.command, "list_commands", None)
        if commands is not None:
            yield [*self._title("Commands"), *self._rows(self._commands(commands(self._context)))]

    def _commands(self, names: Sequence[str]) -> list[tuple[str, str]]:
        command = self._context.command
        found = [(name, command.get_command(self._context, name)) for name in names]
        return [
            (name, each.short_help or _first_sentence(each.help or ""))
            for name, each in found
            if not each.hidden
        ]

    def _group(self, title: str, parameters: Sequence[Any]) -> list[str]:
        rows = [(self._name(parameter), self._help(parameter)) for parameter in parameters]
        return [*self._title(title), *self._rows(rows)]

    def _title(self, title: str) -> list[str]:
        lines = wrap(self._spelled(title), self._width)
        return [paint(line, BOLD, self._colour) for line in lines]

    def _rows(self, rows: Sequence[tuple[str, str]]) -> list[str]:
        """Names, and beside them what they mean."""
        widest = min(max(len(name) for name, _ in rows), WIDEST_NAME)
        beside = INDENT + widest + 2
        if self._width - beside < NARROWEST_TEXT:
            beside = 2 * INDENT
        lines = []
        for name, text in rows:
            shown = " " * INDENT + paint(name, CYAN, self._colour)
            wrapped = wrap(self._spelled(text), self._width - beside) if text else []
            if wrapped and INDENT + len(name) + 2 <= beside:
                shown += " " * (beside - INDENT - len(name)) + wrapped.pop(0)
            lines += [shown, *(" " * beside + line for line in wrapped)]
        return lines

    def _name(self, parameter: Any) -> str:
        """`-m, --model <str>`, `--[no-]gated`, `TEXT`."""
        if parameter.param_type_name == "argument":
            return re.sub(r"[][.{}]", "", parameter.make_metavar(self._context)).upper()
        short = [name for name in parameter.opts if not name.startswith("--")]
        names = [*short, *[name for name in parameter.opts if name not in short][:1]]
        if parameter.secondary_opts:
            return f"--[no-]{names[-1].removeprefix('--')}"
        name = ", ".join(names)
        if parameter.is_flag:
            return name
        value = parameter.make_metavar(self._context)
        plain = names[-1].removeprefix("--").rpartition("-")[2].upper()
        plain = plain if len(plain) < LONGEST_VALUE else "NAME"
        return f"{name} {KINDS.get(value, plain if value == '<str>' else value)}"

    def _help(self, parameter: Any) -> str:
        text = " ".join((parameter.help or "").split()).removesuffix(".")
        if parameter.name in self._brief:
            text = text.removeprefix("* ").partition(" (default")[0]
        default = parameter.default
        if parameter.required:
            return f"{text} (required)"
        shows = parameter.show_default and "(default" not in text and not callable(default)
        if not shows or default is None or default is False or default == "":
            return text
        return f"{text} (default: {default})"

    def _spelled(self, text: str) -> str:
        """With signs that the encoding lacks replaced before the lines are broken."""
        return in_encoding(text, self._encoding)


def _plain(piece: str) -> str:
    """How an argument is written: `FILE`, not `{file}`."""
    return re.sub(r"\{(\w+)\}", lambda found: found[1].upper(), piece)


def _first_sentence(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split()).partition(". ")[0].removesuffix(".")
