"""A command whose help names what is registered: all scores, all masks, and so on."""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from attnviz.cli import settings
from attnviz.cli.current import set_current
from attnviz.cli.help import ALL, FILES, SCREEN, STACK, Fold, Page
from attnviz.cli.plain import has_colour
from attnviz.cli.spelling import Speller
from attnviz.errors import AttnvizError
from attnviz.registry import LARGEST_INT, Entry, ModuleRegistry, Registry

REGISTRIES = {
    "activations": ("attnviz.nn.activations", "ACTIVATIONS"),
    "formats": ("attnviz.render", "FORMATS"),
    "masks": ("attnviz.nn.masks", "MASKS"),
    "position schemes": ("attnviz.nn.schemes", "SCHEMES"),
    "scores": ("attnviz.nn.scores", "SCORES"),
    "probe features": ("attnviz.analysis.diagnose.probe", "FEATURES"),
    "snippets": ("attnviz.analysis.diagnose.snippets", "SNIPPETS"),
    "specs": ("attnviz.analysis.diagnose.specs", "SPECS"),
}
"""What stands in braces in a help text -> module and name of the registry, or of a mapping."""


FOLDED = {
    STACK: Fold("--help-stack", "layers, heads, seed, … of -m random", ("--mask", "--score"), True),
    FILES: Fold("--help-files", "how plain files of weights are read"),
    SCREEN: Fold("--help-screen", "width, colours, language, quiet, memory"),
    "Figures": Fold("--help-figures", "size, fonts, colours of pictures", ("--plot",)),
}
"""Title of a group of options -> the flag that shows it, on a page of its own."""


class Command(TyperCommand):
    """Fills `{scores}` and the like in the help of its options, only when the help is shown; takes
    no whole number that 64 bits cannot hold."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        set_current(ctx)
        if ctx.resilient_parsing:  # the shell asks how the line may go on
            from attnviz.cli.completion import add_completion

            add_completion(self)
            return super().parse_args(ctx, args)
        for flag in (ALL, *(fold.flag for fold in FOLDED.values())):
            if flag in args:
                self._show_page(ctx, flag)
        try:
            args = Speller(self.params).respell(args)
            return super().parse_args(ctx, args)
        except UnicodeEncodeError as error:  # of the file that an option names
            raise AttnvizError(
                f"no file can have the name {error.object!r}: {error.reason}", "check its name"
            ) from error

    def invoke(self, ctx: Any) -> Any:
        for parameter in self.params:
            value = ctx.params.get(parameter.name)
            if isinstance(value, int) and abs(value) > LARGEST_INT:
                flag = parameter.opts[-1]
                raise AttnvizError(f"{flag}: {value} is too large", f"{ctx.command_path} --help")
        settings.apply(ctx)
        return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        ctx.color = has_colour(sys.stdout) or None
        formatter.write(self._page(ctx, FOLDED))

    def _page(self, ctx: Any, folds: dict[str, Fold], only: str | None = None) -> str:
        for parameter in self.params:
            if getattr(parameter, "help", None):
                parameter.help = with_names(parameter.help)  # type: ignore[attr-defined]
        return Page(ctx, folds, only).text()

    def _show_page(self, ctx: Any, flag: str) -> None:
        """The page of a group of options, or of all."""
        titles = {fold.flag: title for title, fold in FOLDED.items()}
        only = titles.get(flag)
        if only is not None and not any(
            getattr(each, "rich_help_panel", None) == only for each in self.params
        ):
            raise AttnvizError(f"no such option: {flag}", f"{ctx.command_path} --help")
        typer.echo(self._page(ctx, {}, only), color=has_colour(sys.stdout))
        ctx.exit()


class Group(TyperGroup):
    """A command with commands of its own, with the same help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help(), color=has_colour(sys.stdout))
            ctx.exit(2)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        ctx.color = has_colour(sys.stdout) or None
        formatter.write(Page(ctx, {}).text())


def with_names(text: str) -> str:
    """The names of a registry in place of `{scores}` and the like.

    >>> with_names("one of {scores}")
    'one of additive, dot, scaled_dot, general, cosine, gaussian'
    """
    for what, (module, name) in REGISTRIES.items():
        if f"{{{what}}}" in text:
            registry = getattr(import_module(module), name)
            if isinstance(registry, ModuleRegistry):
                names = " ".join(registry)
            elif isinstance(registry, Registry):
                names = ", ".join(map(_spelled, registry.values()))
            else:
                names = ", ".join(registry)
            text = text.replace(f"{{{what}}}", names)
    return text


def _spelled(entry: Entry) -> str:
    """The name, and the options that have no default."""
    parameters = inspect.signature(entry.function).parameters.values()
    options = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    return entry.name + (":" + ",".join(f"{name}=…" for name in options) if options else "")
