"""A command whose help names what is registered: all scores, all masks, and so on."""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from typing import Any

from typer.core import TyperCommand

from attnviz.cli.current import set_current
from attnviz.cli.spelling import Speller
from attnviz.errors import AttnvizError
from attnviz.registry import LARGEST_INT, Entry, ModuleRegistry
from attnviz.tokens import in_encoding

REGISTRIES = {
    "activations": ("attnviz.nn.activations", "ACTIVATIONS"),
    "formats": ("attnviz.render", "FORMATS"),
    "masks": ("attnviz.nn.masks", "MASKS"),
    "position schemes": ("attnviz.nn.schemes", "SCHEMES"),
    "scores": ("attnviz.nn.scores", "SCORES"),
}
"""What stands in braces in a help text -> module and name of the registry."""


class Command(TyperCommand):
    """Fills `{scores}` and the like in the help of its options, only when the help is shown; takes
    no whole number that 64 bits cannot hold."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        set_current(ctx)
        try:
            if not ctx.resilient_parsing:
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
        return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        encoding = sys.stdout.encoding or "ascii"
        for parameter in self.params:
            text = getattr(parameter, "help", None)
            if text:  # signs that are replaced only when they are printed would widen the lines
                parameter.help = in_encoding(with_names(text), encoding)  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


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
            else:
                names = ", ".join(map(_spelled, registry.values()))
            text = text.replace(f"{{{what}}}", names)
    return text


def _spelled(entry: Entry) -> str:
    """The name, and the options that have no default."""
    parameters = inspect.signature(entry.function).parameters.values()
    options = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    return entry.name + (":" + ",".join(f"{name}=…" for name in options) if options else "")
