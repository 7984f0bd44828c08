"""Options that several commands share, each declared once.

A group is a dataclass; a command that takes one as a parameter gets all its fields as options.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass, make_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from attnviz.errors import AttnvizError
from attnviz.files import DATA_FORMATS
from attnviz.models.build.stack import FIELDS
from attnviz.render import FORMATS
from attnviz.trace.selection import Selection, parse_selection

SHOW = "What is shown"
WRITE = "Where it goes"
STACK = "The stack (of -m random and of .toml stacks; * also of trained models)"


@dataclass(frozen=True)
class OutputOptions:
    """Where the result goes."""

    output: Annotated[
        list[Path] | None,
        typer.Option(
            "-o",
            "--output",
            help="Write a file; its suffix picks the format: "
            f"{' '.join((*DATA_FORMATS, *FORMATS))}. Repeatable.",
            rich_help_panel=WRITE,
        ),
    ] = None
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON to stdout.", rich_help_panel=WRITE)
    ] = False
    width: Annotated[
        int | None,
        typer.Option(help="Columns of the screen (default: the terminal's)", rich_help_panel=WRITE),
    ] = None
    color: Annotated[str, typer.Option(help="auto, always or never", rich_help_panel=WRITE)] = (
        "auto"
    )


@dataclass(frozen=True)
class LookOptions:
    """What of the attention is looked at."""

    select: Annotated[
        list[str] | None,
        typer.Option(
            "-s",
            "--select",
            help="Layers and heads: L1, L1.H3, L0-2.H1,H3, decoder.0.cross.H2. Repeatable.",
            rich_help_panel=SHOW,
        ),
    ] = None
    stage: Annotated[str, typer.Option(help="weights, scores or logits", rich_help_panel=SHOW)] = (
        "weights"
    )
    top: Annotated[
        int, typer.Option(help="How many heads are shown as matrices", rich_help_panel=SHOW)
    ] = 2
    words: Annotated[
        bool,
        typer.Option(
            "--words",
            help="Pieces of words put together: sum over keys, mean over queries",
            rich_help_panel=SHOW,
        ),
    ] = False

    def __post_init__(self) -> None:
        if self.words and self.stage != "weights":
            raise AttnvizError(
                f"--words: only weights can be merged; a word has no {self.stage}",
                "leave out --words, or --stage",
            )
        if self.top < 0:
            raise AttnvizError(f"--top: expected a number from 0, got {self.top}", "--top 2")

    @property
    def selection(self) -> Selection:
        return parse_selection(self.select or ())


@dataclass(frozen=True)
class ShowOptions(LookOptions):
    """What of the attention is shown, and how weights become colours."""

    scale: Annotated[
        str,
        typer.Option(
            help="Colours: all (0 to 1 everywhere), row or head (0 to the largest), log",
            rich_help_panel=SHOW,
        ),
    ] = "all"


Download = Annotated[
    bool,
    typer.Option(
        "--download",
        help="Fetch -m org/name from the Hugging Face hub, as far as it is not in the cache",
    ),
]


def _stack_field(name: str) -> tuple[str, Any, Any]:
    about = FIELDS[name]
    kinds: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool}
    kind = kinds[str(about.type).removesuffix(" | None")]
    star = "* " if name in ("mask", "score", "temperature", "softcap", "dtype") else ""
    default = "" if about.default is None else f" (default: {_spelled(about.default)})"
    option = typer.Option(
        f"--{name.replace('_', '-')}" + (f"/--no-{name.replace('_', '-')}" if kind is bool else ""),
        help=f"{star}{about.metadata['help']}{default}",
        rich_help_panel=STACK,
        show_default=False,
    )
    return name, Annotated[kind | None, option], field(default=None)


def _spelled(value: object) -> str:
    return (
        {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    )


StackOptions: Any = make_dataclass(
    "StackOptions",
    [
        (
            "model",
            Annotated[
                str | None,
                typer.Option(
                    "-m",
                    "--model",
                    help="One that `attnviz models` lists (tagger, phrases, …), "
                    "random:layers=2,heads=4,…, a .toml stack, a folder with config.json and "
                    "model.safetensors, a .gguf file, or org/name in Hugging Face's cache "
                    "(default: tagger; random, if a flag asks for other weights)",
                ),
            ],
            field(default=None),
        ),
        ("download", Download, field(default=False)),
        *(_stack_field(name) for name in FIELDS),
    ],
    frozen=True,
)
"""Which model, and every field of the configurable stack as a flag."""


def changes(options: Any) -> dict[str, Any]:
    """The fields of the stack that were given as flags."""
    return {name: value for name in FIELDS if (value := getattr(options, name)) is not None}


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Replace each parameter that is a group of options by the group's fields."""
    hints = get_type_hints(function, include_extras=True)
    signature = inspect.signature(function)
    groups = {name: hints[name] for name in signature.parameters if is_dataclass(hints[name])}
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        parameter.replace(annotation=hints[name], kind=keyword)
        for name, parameter in signature.parameters.items()
        if name not in groups
    ]
    for group in groups.values():
        types = get_type_hints(group, include_extras=True)
        parameters += [
            inspect.Parameter(f.name, keyword, default=f.default, annotation=types[f.name])
            for f in fields(group)
        ]

    @wraps(function)
    def wrapper(**given: Any) -> Any:
        for name, kind in groups.items():
            own = {f.name: given.pop(f.name) for f in fields(kind)}
            given[name] = kind(**own)
        return function(**given)

    wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return wrapper


def one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    """`value`, if it is among `known`."""
    from attnviz.registry import nearest

    if value not in known:
        raise AttnvizError(f"--{name}: unknown value {value!r}", nearest(value, known))
    return value


def whole_numbers(name: str, text: str) -> list[int]:
    """`4,16,64` as numbers."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise AttnvizError(
            f"--{name}: expected whole numbers separated by commas, got {text!r}",
            f"--{name} 1,2,3",
        ) from None
