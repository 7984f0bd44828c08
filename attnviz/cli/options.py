"""Options that several commands share, each declared once.

A group is a dataclass; a command that takes one as a parameter gets all its fields as options.
Annotations are not postponed here: they are the options, and every command would evaluate them.
"""

import os
from collections.abc import Iterable
from copy import copy
from dataclasses import FrozenInstanceError, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar, cast, dataclass_transform

import typer

from attnviz.cli.help import FILES, SCREEN, STACK
from attnviz.cli.quiet import QUIET
from attnviz.cli.spread import one_of, whole_numbers
from attnviz.cli.terminal import background, colour_depth
from attnviz.errors import AttnvizError
from attnviz.files import DATA_FORMATS, check_writable
from attnviz.language import SOURCE, language_of, speak
from attnviz.memory import BUDGET, parse_size
from attnviz.models.build.stack import FIELDS
from attnviz.models.tokenizers.names import LANGUAGES
from attnviz.render import FORMATS, is_picture
from attnviz.trace.selection import Selection, parse_selection

if TYPE_CHECKING:
    from attnviz.trace.spans import Zoom

SHOW = "What is shown"
WRITE = "Where it goes"

Ids = Annotated[str | None, typer.Option(help="Token ids instead of a text: 101,1045,2387")]

TextWords = Annotated[
    list[str] | None,
    typer.Argument(
        help="The text; several bare words are one; - reads stdin.",
        metavar="[TEXT]...",
        show_default=False,
    ),
]

Target = Annotated[
    str | None,
    typer.Option(help="What the decoder has so far (default: what it writes)"),
]

Scale = Annotated[
    str,
    typer.Option(
        help="Colours: auto, all (0 to 1), row, head, root, log",
        show_default=False,
        rich_help_panel=SHOW,
    ),
]

Stats = Annotated[
    bool,
    typer.Option(
        "--stats", help="The numbers behind the sentences: entropy, …", rich_help_panel=SHOW
    ),
]

MODEL = "From `attnviz models`, org/name of Hugging Face, a folder, .gguf, .toml, or random:heads=4"

Model = Annotated[str | None, typer.Option("-m", "--model", help=f"{MODEL} (default: tagger)")]

Download = Annotated[
    bool,
    typer.Option(
        "--download",
        help="Use the network: fetch -m org/name from Hugging Face",
        rich_help_panel=SCREEN,
    ),
]


Extrapolate = Annotated[
    bool,
    typer.Option(
        "--extrapolate",
        help="Read more tokens than the model was trained for",
        rich_help_panel=SCREEN,
    ),
]
SourceLang = Annotated[
    str | None,
    typer.Option(
        "--source-lang",
        metavar="CODE",
        help="What a text is in, for translators of many languages: fr_XX, fra_Latn, fr",
        rich_help_panel=SCREEN,
        show_default=False,
    ),
]

TargetLang = Annotated[
    str | None,
    typer.Option(
        "--target-lang",
        metavar="CODE",
        help="What they are to write, or what Whisper hears",
        rich_help_panel=SCREEN,
        show_default=False,
    ),
]


USUAL_TOP = 2
"""Heads that are shown as matrices, where nothing else is asked for."""

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def group(kind: type[T]) -> type[T]:
    """A frozen dataclass. Its methods are those below instead of ones that are written and
    compiled for each: every command starts faster."""
    made: Any = dataclass(init=False, eq=False, repr=False)(kind)
    made.__init__, made.__setattr__, made.__delattr__ = _fill, _refuse_change, _refuse_change
    return cast("type[T]", made)


def _fill(self: Any, *values: Any, **named: Any) -> None:
    """What a dataclass's own __init__ does."""
    names = [each.name for each in fields(self)]
    given = dict(zip(names, values, strict=False)) | named
    if len(values) > len(names) or not given.keys() <= set(names):
        raise TypeError(f"{type(self).__name__} has the options {', '.join(names)}, got {given}")
    # the defaults are attributes of the class
    self.__dict__.update(given)
    if hasattr(self, "__post_init__"):
        self.__post_init__()


def _refuse_change(self: Any, name: str, value: Any = None) -> None:
    raise FrozenInstanceError(f"cannot assign to {name}")


EACH = "*"
"""The name of a file that stands for one of each picture."""


def destination(text: str) -> Path:
    """Where `-o` writes to; a folder is `folder/*.png`, `folder/.pdf` the same in that format."""
    if text.endswith(("/", os.sep)) or os.path.isdir(text):
        return Path(text) / f"{EACH}.png"
    path = Path(text)
    return path.with_name(EACH + path.name) if path.name in FORMATS else path


def _check_destination(path: Path) -> None:
    """Raise AttnvizError for a file of no known format, or one that clearly cannot be written."""
    suffix, known = path.suffix.lower(), (*DATA_FORMATS, *FORMATS)
    if suffix not in known:
        raise AttnvizError(
            f"-o {path}: unknown format {path.suffix or '(no suffix)'!r}",
            f"known: {', '.join(known)}; FOLDER/ for every picture",
        )
    if path.stem != EACH:
        check_writable(path)
        return
    if not is_picture(suffix):
        raise AttnvizError(
            f"-o {path.parent}/: a folder takes pictures, {suffix} is none", f"-o FILE{suffix}"
        )
    check_writable(path.with_name("picture.png") if path.parent.exists() else path.parent)


@group
class ChatInput:
    """Whether a text is what somebody says in a conversation."""

    chat: Annotated[
        bool | None,
        typer.Option(
            "--chat",
            help="In the model's chat template; or a .json of messages",
            show_default=False,
        ),
    ] = None
    system: Annotated[
        str | None,
        typer.Option(help="What the system says first, in a --chat", rich_help_panel=SCREEN),
    ] = None

    @property
    def is_chat(self) -> bool:
        return bool(self.chat or self.system is not None)


@group
class TextInput(ChatInput):
    """What a model reads beside the text."""

    pair: Annotated[str | None, typer.Option(help="A second text, for models that read two")] = None
    target: Target = None
    ids: Ids = None

    @property
    def second(self) -> str | list[int] | None:
        """The pair; as token ids where the text is given as ids."""
        return whole_numbers("pair", self.pair) if self.pair and self.ids else self.pair


@group
class FileInput:
    """How plain files of weights are read."""

    tokens: Annotated[
        str | None,
        typer.Option(
            help="Of the queries: words between spaces, or a file with one a line",
            rich_help_panel=FILES,
        ),
    ] = None
    key_tokens: Annotated[
        str | None, typer.Option(help="Of the keys, where they are others", rich_help_panel=FILES)
    ] = None
    batch: Annotated[
        str | None,
        typer.Option(help="The batch axis: 0; or 0:3 for its item 3", rich_help_panel=FILES),
    ] = None
    array: Annotated[
        str | None, typer.Option(help="Which array holds the weights", rich_help_panel=FILES)
    ] = None
    nan: Annotated[
        str | None,
        typer.Option(help="What NaN means: broken (default) or masked", rich_help_panel=FILES),
    ] = None


@group
class ModelInput:
    """Which model; a command may have a default of its own."""

    model: Model = None
    download: Download = False
    extrapolate: Extrapolate = False
    source_lang: SourceLang = None
    target_lang: TargetLang = None

    @property
    def changes(self) -> dict[str, Any]:
        """The languages that were set as flags."""
        return _set(self, LANGUAGES)


@group
class LongInputs:
    """What happens to inputs whose record would be large."""

    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="What a record may take, 500MB or 2GiB; a longer input is summarised, exactly "
            "(default: 1GB)",
            show_default=False,
            rich_help_panel=SCREEN,
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.memory is not None:
            parse_size(self.memory)

    @property
    def budget(self) -> int:
        """In bytes."""
        return BUDGET if self.memory is None else parse_size(self.memory)


@group
class OutputOptions:
    """Where the result goes. What cannot be written is refused here, before the work."""

    output: Annotated[
        list[Path] | None,
        typer.Option(
            "-o",
            "--output",
            "--report",
            parser=destination,
            metavar="FILE",
            help=f"Write {' '.join(DATA_FORMATS)} {{formats}}, or FOLDER/ with all pictures",
            rich_help_panel=WRITE,
        ),
    ] = None
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON to stdout.", rich_help_panel=WRITE)
    ] = False
    width: Annotated[
        int | None,
        typer.Option(
            help="Columns of the screen (default: the terminal's)", rich_help_panel=SCREEN
        ),
    ] = None
    color: Annotated[str, typer.Option(help="auto, always or never", rich_help_panel=SCREEN)] = (
        "auto"
    )
    background: Annotated[
        str,
        typer.Option(
            help="The terminal's: dark, light, or auto (by COLORFGBG, else the terminal is asked)",
            rich_help_panel=SCREEN,
        ),
    ] = "auto"
    quiet: Annotated[
        bool,
        typer.Option(
            "-q",
            "--quiet",
            help="No hints and no progress: only warnings and errors on stderr",
            rich_help_panel=SCREEN,
        ),
    ] = False
    lang: Annotated[
        str | None,
        typer.Option(
            help="en, or zh for Chinese (default: of LANG; CSV and JSON are English)",
            show_default=False,
            rich_help_panel=SCREEN,
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.width is not None and self.width < 1:
            raise AttnvizError(f"--width: expected columns, got {self.width}", "--width 80")
        QUIET.set(self.quiet)
        one_of("color", self.color, ("auto", "always", "never"))
        one_of("background", self.background, ("auto", "dark", "light"))
        for path in self.output or ():
            _check_destination(path)
        # what programs read does not depend on where they run
        programs = self.json or any(p.suffix.lower() == ".csv" for p in self.output or ())
        speak(self.lang or (SOURCE if programs else language_of()))
        if not (self.json or self.output):  # the earlier it is asked, the surer is its answer
            background(self.background, colour_depth(self.color))

    @property
    def files(self) -> list[Path]:
        """What is written, but for the pictures that go into a folder."""
        return [path for path in self.output or () if path.stem != EACH]

    @property
    def folders(self) -> list[Path]:
        """`folder/*.png`: where each picture is written as a file of its own."""
        return [path for path in self.output or () if path.stem == EACH]

    @property
    def is_written(self) -> bool:
        """Whether the result goes to files, and not to the screen."""
        return bool(self.output)

    def to(self, output: list[Path], **changed: Any) -> Self:
        """The same options, but other files; what was checked is not checked again."""
        other = copy(self)
        for name, value in {"output": output, **changed}.items():
            object.__setattr__(other, name, value)
        return other

    def paths(self, number: int, n_report: int, about: str = "") -> list[Path]:
        """The files of one of several reports, which have its number in their names; pictures
        also what it is about."""
        if n_report == 1:
            return self.files
        named = {True: f"-{number}-{about}".rstrip("-"), False: f"-{number}"}
        return [p.with_stem(p.stem + named[is_picture(p.suffix.lower())]) for p in self.files]

    def check(self, n_report: int) -> None:
        """Raise AttnvizError if a file of so many reports clearly cannot be written."""
        for number in range(n_report):
            for path in self.paths(number, n_report):
                check_writable(path)

    @property
    def data_files(self) -> list[Path]:
        """The files that hold the result as data."""
        return [path for path in self.output or () if path.suffix.lower() in DATA_FORMATS]

    @property
    def has_page(self) -> bool:
        """Whether a page is written, which has room for what a screen has not."""
        return any(path.suffix.lower() == ".html" for path in self.output or ())

    @property
    def wants_data(self) -> bool:
        """Whether the result will be kept as data, so that it should say exactly what made it."""
        return self.json or bool(self.data_files)


@group
class Selected:
    """Which layers and heads."""

    select: Annotated[
        list[str] | None,
        typer.Option(
            "-s",
            "--select",
            help="Layers and heads: L1, L1.H3, L0-2.H1,H3, decoder.0.cross",
            rich_help_panel=SHOW,
        ),
    ] = None

    @property
    def selection(self) -> Selection:
        return parse_selection(self.select or ())


@group
class SelectedHead:
    """Which head, of a command that shows one."""

    select: Annotated[
        str | None,
        typer.Option(
            "-s",
            "--select",
            help="One head, as L0.H1 (default: the first; of explain the most informative)",
            rich_help_panel=SHOW,
        ),
    ] = None

    @property
    def selection(self) -> Selection:
        return parse_selection([] if self.select is None else [self.select])


@group
class LookOptions(Selected):
    """What of the attention is looked at."""

    stage: Annotated[str, typer.Option(help="weights, scores or logits", rich_help_panel=SHOW)] = (
        "weights"
    )
    top: Annotated[
        int | None,
        typer.Option(
            help="Heads shown as matrices (default: 2; 3 on a wide screen)",
            show_default=False,
            rich_help_panel=SHOW,
        ),
    ] = None
    words: Annotated[
        bool,
        typer.Option(
            "--words",
            help="Whole words, not pieces: sums of keys, means of queries",
            rich_help_panel=SHOW,
        ),
    ] = False

    def __post_init__(self) -> None:
        if self.words and self.stage != "weights":
            raise AttnvizError(
                f"--words: only weights can be merged; a word has no {self.stage}",
                "leave out --words, or --stage",
            )
        if self.top is not None and self.top < 0:
            raise AttnvizError(f"--top: expected a number from 0, got {self.top}", "--top 2")

    def heads(self, out: OutputOptions) -> int | None:
        """How many are asked for; None where the screen's width decides."""
        return USUAL_TOP if self.top is None and out.output else self.top


@group
class Zoomed:
    """Which part of the matrices is looked at."""

    rows: Annotated[
        str | None,
        typer.Option(
            help="Some queries: -1, 4-9, last, user; ^special leaves out",
            rich_help_panel=SHOW,
        ),
    ] = None
    keys: Annotated[
        str | None,
        typer.Option("--keys", "--cols", help="Some keys, the same way", rich_help_panel=SHOW),
    ] = None

    def __post_init__(self) -> None:
        if not (self.rows is self.keys is None):
            _ = self.zoom  # what cannot be read is refused before the work

    @property
    def zoom(self) -> "Zoom":
        from attnviz.trace.spans import Zoom, parse_span

        return Zoom(
            None if self.rows is None else parse_span(self.rows, "--rows"),
            None if self.keys is None else parse_span(self.keys, "--keys"),
        )


@group
class ShowOptions(LookOptions):
    """What of the attention is shown, and how weights become colours."""

    scale: Scale = "auto"
    stats: Stats = False


def _stack_option(name: str) -> Any:
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
    return Annotated[kind | None, option]


def _spelled(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _changes(options: Any) -> dict[str, Any]:
    """The fields of the stack and the languages that were set as flags."""
    return _set(options, (*FIELDS, *LANGUAGES))


def _set(options: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(options, name)) is not None}


if TYPE_CHECKING:

    @group
    class StackOptions:
        """Which model, and every field of the configurable stack as a flag."""

        model: str | None
        download: bool
        extrapolate: bool
        source_lang: str | None
        target_lang: str | None

        @property
        def changes(self) -> dict[str, Any]:
            """The fields of the stack and the languages that were set as flags."""

else:
    _MODEL = typer.Option(
        "-m",
        "--model",
        help="tagger, any of `attnviz models`, org/name, folder or .gguf",
    )
    _ANNOTATIONS = {
        "model": Annotated[str | None, _MODEL],
        "download": Download,
        "extrapolate": Extrapolate,
        "source_lang": SourceLang,
        "target_lang": TargetLang,
        **{name: _stack_option(name) for name in FIELDS},
    }
    StackOptions = group(
        type(
            "StackOptions",
            (),
            {
                "__doc__": "Which model, and every field of the configurable stack as a flag.",
                "__annotations__": _ANNOTATIONS,
                **dict.fromkeys(_ANNOTATIONS),
                "download": False,
                "extrapolate": False,
                "changes": property(_changes),
            },
        )
    )
