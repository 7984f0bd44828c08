"""The two sides of `attnviz diff`: each a file, or a text with the model that reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from attnviz.cli.inputs import load_file, named_file, read_inputs, record_source
from attnviz.cli.loading import beyond, load_named
from attnviz.cli.options import FileInput, TextInput
from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.models.build.stack import FIELDS
from attnviz.models.tokenizers.names import LANGUAGES
from attnviz.registry import convert, nearest
from attnviz.trace.selection import Head, Selection, parse_selection

if TYPE_CHECKING:
    from attnviz.cli.options import StackOptions
    from attnviz.models.model import Model
    from attnviz.trace.record import Trace

G = TypeVar("G", FileInput, TextInput)

OF_FILES = ("array", "batch", "tokens", "key-tokens", "nan")
OF_TEXTS = ("model", "ids", "pair", "target", "chat", "system")
BESIDES = ("adapter", *LANGUAGES)
"""Of a model: `none` or the folder of an adapter; what it reads, and what it is to write."""

SELECT = "select"
SIDES = 2
"""Whose records are in memory together."""


class Side(NamedTuple):
    """What one trace is read or run from."""

    name: str
    """A or B."""
    source: str | None
    """A file or a text; None for token ids."""
    options: Mapping[str, Any]
    """By the names in OF_FILES and OF_TEXTS."""
    changes: Mapping[str, Any]
    """Fields of the stack, and the adapter."""
    select: Selection
    without: Selection = Selection()
    """Heads whose contexts are 0."""

    @property
    def file(self) -> Path | None:
        """The file that the source names, if it names one; messages of a chat are a text."""
        is_chat = self.options.get("chat") or "system" in self.options
        return None if is_chat else named_file(self.source)

    @property
    def uses(self) -> Sequence[str]:
        """The options that this kind of side has."""
        return OF_FILES if self.file else (*OF_TEXTS, *FIELDS, *BESIDES, "without")


def side_b(a: Side, source: str | None, changed: Sequence[str], without: Sequence[str]) -> Side:
    """A side like A, but for another source, for what `--with KEY=VALUE` says, and without some
    heads."""
    b = a._replace(name="B", source=a.source if source is None else source)
    pairs = dict(_key_and_value(text) for text in changed)
    if "ids" in pairs:
        b = b._replace(source=None)
    known = (SELECT, *(name for name in b.uses if name != "without"))
    for key in pairs:
        if key not in known:
            what = f"{b.file} is a file" if b.file else "B is a text"
            raise AttnvizError(f"--with {key}: {what}", nearest(key, known))
    changes = {
        key: convert(value, str(FIELDS[key].type), f"--with {key}")
        for key, value in pairs.items()
        if key in FIELDS
    }
    changes |= {key: value for key, value in pairs.items() if key in BESIDES}
    options: dict[str, Any] = {
        key: value for key, value in pairs.items() if key in (*OF_FILES, *OF_TEXTS)
    }
    if "chat" in options:
        options["chat"] = convert(options["chat"], "bool", "--with chat")
    return b._replace(
        options={**a.options, **options},
        changes={**a.changes, **changes},
        select=_selected(pairs[SELECT]) if SELECT in pairs else a.select,
        without=parse_selection(without, "--without "),
    )


def _selected(text: str) -> Selection:
    return parse_selection([text], f"--with {SELECT}=")


def check_uses(a: Side, b: Side) -> None:
    """Raise AttnvizError for an option that neither side uses, or that B cannot use."""
    used = {*b.options, *b.changes, *(["without"] if b.without.clauses else [])}
    for key in sorted(used - {*a.uses, *b.uses}):
        kind = "plain files of weights" if key in OF_FILES else "texts, which a model reads"
        raise AttnvizError(f"--{key.replace('_', '-')} is for {kind}", f"leave out --{key}")
    if b.without.clauses and b.file:
        raise AttnvizError(f"--without: {b.file} is a file", "only a model can lose heads: B")


def read_sides(
    a: Side, b: Side, stages: tuple[str, ...], stack: StackOptions, fingerprint: bool
) -> tuple[Trace, Trace]:
    """Both traces; what is the same for both is loaded and run once."""
    if a._replace(name="B", select=b.select) == b:
        both = Selection(a.select.clauses + b.select.clauses)
        every = a.select.clauses and b.select.clauses
        trace = _read(a._replace(select=both if every else Selection()), stages, stack, fingerprint)
        return trace, trace
    return _read(a, stages, stack, fingerprint), _read(b, stages, stack, fingerprint)


def _read(side: Side, stages: tuple[str, ...], stack: StackOptions, fingerprint: bool) -> Trace:
    options = side.options
    if side.file is not None:
        return load_file(side.file, _group(FileInput, options))
    texts = _group(TextInput, options)
    (text,) = read_inputs(None if side.source is None else [side.source], texts.ids, texts)
    model = load_named(options.get("model"), stack.download, side.changes)
    model = beyond(model, stack.extrapolate)
    if side.without.clauses:
        model = _without(model, side.without)
    return record_source(
        model, text, texts, stages, side.select, times=SIDES, fingerprint=fingerprint
    )


def _group(kind: type[G], options: Mapping[str, Any]) -> G:
    """The options as a group of them."""
    names = {f.name: f.name.replace("_", "-") for f in fields(kind)}
    return kind(**{field: options[name] for field, name in names.items() if name in options})


def _without(model: Model, select: Selection) -> Model:
    """The model with some heads taken out: their contexts are 0."""
    from attnviz.models.edit.ablate import ablate, zero

    sites = model.transformer.sites()
    select.check(sites)
    heads = [Head(site.id, head) for site in sites for head in select.heads(site)]
    names = ", ".join(map(str, heads))
    return model._replace(
        transformer=ablate(model.transformer, heads, zero),
        shape={**model.shape, "without": names},
        notes=(*model.notes, to_say("without {heads}: their output is 0", heads=names)),
    )


def _key_and_value(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise AttnvizError(
            f"--with {text}: expected KEY=VALUE", "--with mask=causal, --with select=L1.H2"
        )
    key = key.strip()
    return (key if key in OF_FILES else key.replace("-", "_")), value
