"""What attention did: the record of one run. Everything that draws or measures starts here.

Plain, frozen data with read-only arrays: a record is never computed with in place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from attnviz import archive
from attnviz.errors import AttnvizError
from attnviz.files import DATA_FORMATS
from attnviz.nn.multi_head import Routing
from attnviz.nn.site import RecordId, Site
from attnviz.nn.stages import MATRICES, STAGES, TERMS
from attnviz.nn.types import Array
from attnviz.tokens import Tokens
from attnviz.trace.answer import Answer
from attnviz.trace.selection import parse_selection
from attnviz.trace.summary import Summary

ARRAYS = (*STAGES, "bias", *TERMS, "masked_by", "sinks")

ARRAY = "array"
"""The kind of a model that is not there, only weights in a plain file, and the block of these."""


@dataclass(frozen=True, eq=False, repr=False)
class Record:
    """One attention: who asked whom, and the stages that were kept; the others are None."""

    site: Site
    q: Array | None = None
    """[n_head, n_q, d_k], as it enters the score."""
    k: Array | None = None
    """[n_kv_head, n_k, d_k]"""
    v: Array | None = None
    """[n_kv_head, n_k, d_v]"""
    scores: Array | None = None
    """[n_head, n_q, n_k]: scaled similarity, before cap, bias and mask."""
    logits: Array | None = None
    """[n_head, n_q, n_k]: what enters the softmax; -inf where masked."""
    mask: Array | None = None
    """bool [n_q, n_k] or [n_head, n_q, n_k]: True = visible."""
    weights: Array | None = None
    """[n_head, n_q, n_k]: after softmax."""
    context: Array | None = None
    """[n_head, n_q, d_v]: weights times v."""
    bias: Array | None = None
    """What was added to the capped scores, if anything was."""
    content_to_position: Array | None = None
    """[n_head, n_q, n_k]: the part of that which takes the query and the distance."""
    position_to_content: Array | None = None
    """[n_head, n_q, n_k]: the part which takes the key and the distance."""
    masked_by: Array | None = None
    """[n_q, n_k]: which of several rules masks a cell; 0 = none, counted from 1."""
    sinks: Array | None = None
    """[n_head]: logits that only enter the softmax's denominator, if the heads have such."""
    summary: Summary | None = None
    """Instead of matrices, where these would be too large."""

    @classmethod
    def of(cls, site: Site, arrays: Mapping[str, Any], summary: Summary | None = None) -> Record:
        """From the arrays of stages by name."""
        return cls(site, summary=summary, **arrays)

    def __repr__(self) -> str:
        """What it is and the shapes of what was kept; never the numbers."""
        kept = ", ".join(f"{name} {list(array.shape)}" for name, array in self.kept().items())
        if self.summary is not None:
            kept = ", ".join(filter(None, (repr(self.summary), kept)))
        head = "" if self.site.head is None else f".H{self.site.head}"
        return f"<Record {self.id}{head}: {kept or 'nothing kept'}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from attnviz import display

        return display.mime_bundle(self, include, exclude)

    @property
    def id(self) -> RecordId:
        return self.site.id

    @property
    def layer(self) -> int:
        return self.site.layer

    @property
    def kind(self) -> str:
        return self.site.kind

    @property
    def n_head(self) -> int:
        return self.site.n_head

    @property
    def n_kv_head(self) -> int:
        return self.site.n_kv_head

    @property
    def queries(self) -> str:
        return self.site.queries

    @property
    def keys(self) -> str:
        return self.site.keys

    def stage(self, name: str) -> Array:
        """The array of a stage. Raises AttnvizError if it was not kept."""
        if name not in ARRAYS:
            raise AttnvizError(f"unknown stage: {name!r}", f"known: {', '.join(STAGES)}")
        array: Array | None = getattr(self, name)
        if array is None and self.summary is not None and name in (*MATRICES, "mask"):
            n_q, n_k = self.summary.shape
            raise AttnvizError(
                f"{self.id}: {n_q} × {n_k} {name} a head were too large to be kept; there is "
                "their summary",
                "attnviz run TEXT --memory 8GB -o FILE keeps them, --rows 0-40 --keys 0-40 a part; "
                "in Python memory=, rows=, keys=",
            )
        if array is None:
            raise AttnvizError(
                f"{self.id}: the stage {name!r} was not kept",
                f'run again with stages=("{name}",), or --keep {name} on the command line',
            )
        return array

    def kept(self) -> dict[str, Array]:
        """All kept arrays by stage."""
        return {name: array for name in ARRAYS if (array := getattr(self, name)) is not None}

    def head(self, number: int) -> Record:
        """The record of one of its heads alone: every stage with n_head = 1, the arrays views of
        this record's."""
        if not 0 <= number < self.n_head:
            raise AttnvizError(
                f"{self.id}: there is no head {number}",
                f"the heads count from H0 to H{self.n_head - 1}",
            )

        def part(name: str, array: Array) -> Array:
            if name == "sinks":
                return array[number : number + 1]
            if name in ("mask", "masked_by", "bias") and array.ndim < 3:
                return array  # one for all heads
            group = max(1, self.n_head // array.shape[-3])  # 1, or the heads that share a k and v
            first = number // group
            return array[..., first : first + 1, :, :]

        site = replace(self.site, n_head=1, n_kv_head=1, head=number)
        summary = None if self.summary is None else self.summary.head(number)
        kept = {name: part(name, array) for name, array in self.kept().items()}
        return Record.of(site, kept, summary)

    def reasons(self) -> Array | None:
        """Why cells are masked: [n_q, n_k] or [n_head, n_q, n_k], 0 = visible,
        i = the i-th of `site.mask` counted from 1. None if nothing is masked, or no mask kept."""
        if self.masked_by is not None:
            return self.masked_by
        if self.mask is None or self.mask.all():
            return None
        return (~self.mask).view(np.uint8)


@dataclass(frozen=True)
class ModelFacts:
    """What a trace says of the model that made it."""

    name: str
    kind: str = ""
    """`encoder`, `decoder`, `encoder-decoder`; `array` of a plain file of weights."""
    trained: bool | None = None
    """None where nothing is known."""
    sha256: str | None = None
    """Of the weights; None if they are seeded, or were not read for it."""
    n_parameter: int | None = None
    task: str = ""
    """What the output is: `tag`, `classify`, `span`, `continue`, `fill`, `embed`."""
    outputs: tuple[str, ...] = ()
    """The names of the outputs, for `tag`, `classify` and `span`."""
    shape: Mapping[str, Any] = field(default_factory=dict)
    """n_layer, n_head, d_model, …: what else the screen and the manifest say about it."""
    notes: tuple[str, ...] = ()
    """What the reader has to know about it, a sentence each."""

    @property
    def is_array(self) -> bool:
        """Whether there is no model: the weights come from a plain file."""
        return self.kind == ARRAY

    @property
    def has_attention(self) -> bool:
        return self.shape.get("n_head") != 0

    @property
    def family(self) -> str:
        """The architecture of a checkpoint; of attnviz's own models empty."""
        family = str(self.shape.get("family", ""))
        return "" if family == "attnviz" else family

    @property
    def changed(self) -> dict[str, Any]:
        """The fields that are not as usual, or not as it was trained with."""
        return {**self.shape.get("config", {}), **self.shape.get("changed", {})}

    @property
    def alignment_head(self) -> str:
        """The head that was trained to align with the source, `decoder.0.cross.H2`, if one was."""
        return str(self.shape.get("alignment_head", ""))

    @property
    def alignment_heads(self) -> tuple[str, ...]:
        """Heads of which the checkpoint says that they align what is written with what is read."""
        named = self.shape.get("alignment_heads", ())
        return tuple(map(str, named)) if isinstance(named, list | tuple) else ()

    def with_notes(self, *notes: str) -> ModelFacts:
        return replace(self, notes=(*self.notes, *notes))

    def to_manifest(self) -> dict[str, Any]:
        """As it stands in files; what is not known is left out."""
        return {
            "name": self.name,
            "kind": self.kind,
            "trained": self.trained,
            "sha256": self.sha256,
            **({} if self.n_parameter is None else {"n_parameter": self.n_parameter}),
            **({"task": self.task} if self.task else {}),
            **({"outputs": list(self.outputs)} if self.outputs else {}),
            **self.shape,
            **({} if self.is_array and not self.notes else {"notes": list(self.notes)}),
        }

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> ModelFacts:
        """What `to_manifest` gave, back. Raises TypeError that names the key of a wrong type."""
        kinds = {"notes": list, "outputs": list, "config": dict, "changed": dict}
        if not isinstance(manifest, Mapping):
            raise TypeError("'model'")
        for key, kind in kinds.items():
            if not isinstance(manifest.get(key, kind()), kind):
                raise TypeError(f"'model.{key}'")
        for key in ("n_parameter", "n_layer", "n_head"):
            if not isinstance(manifest.get(key, 0), int):
                raise TypeError(f"'model.{key}'")
        typed = {f.name for f in fields(cls)} - {"shape"}
        trained, sha256 = manifest.get("trained"), manifest.get("sha256")
        return cls(
            name=str(manifest.get("name", "")),
            kind=str(manifest.get("kind", "")),
            trained=None if trained is None else bool(trained),
            sha256=None if sha256 is None else str(sha256),
            n_parameter=manifest.get("n_parameter"),
            task=str(manifest.get("task", "")),
            outputs=tuple(map(str, manifest.get("outputs", ()))),
            shape={key: value for key, value in manifest.items() if key not in typed},
            notes=tuple(map(str, manifest.get("notes", ()))),
        )


REPR_RECORDS, REPR_TOKENS = 4, 24
"""How many of each a trace's `repr` names."""


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """The record of one run of one model on one text."""

    model: ModelFacts
    streams: Mapping[str, Tokens]
    """`source` and, for an encoder-decoder, `target`."""
    records: tuple[Record, ...]
    command: tuple[str, ...] = ()
    hidden_states: Mapping[str, Sequence[Array]] = field(default_factory=dict)
    """By stack, if asked for: the embeddings, then each block's output, [n_token, d_model]."""
    logits: Array | None = None
    """[n_token, n_vocabulary], where the model has an output and it was asked for; of a head that
    answers [n_token, n_label], or [1, n_label] of the whole text."""
    routing: Mapping[str, Routing] = field(default_factory=dict)
    """By layer, `decoder.3`: to which experts its mixture sent the tokens."""
    answer: Answer | None = None
    """What the model makes of the text; None where it has no known output."""

    def __repr__(self) -> str:
        """The model, the tokens and the shapes of what was kept, in a few lines."""
        model = self.model
        trained = {True: "trained", False: "random weights", None: ""}[model.trained]
        lines = [f"<Trace of {', '.join(filter(None, (model.name, model.kind, trained)))}"]
        for name, tokens in self.streams.items():
            shown = " ".join(tokens.labels[:REPR_TOKENS]) + " …" * (len(tokens) > REPR_TOKENS)
            lines.append(f"{name}, {len(tokens)} tokens: {shown}")
        lines += map(repr, self.records[:REPR_RECORDS])
        if (rest := len(self.records) - REPR_RECORDS) > 0:
            lines.append(f"… and {rest} more records")
        return "\n  ".join(lines) + ">"

    def __getitem__(self, name: str) -> Record:
        """`trace["encoder.1.self"]`, a record; `trace["L1.H3"]` or `trace["decoder.1.cross.H3"]`,
        one head of a record, itself a record with n_head = 1.

        Raises AttnvizError if there is no such record, or if the name is that of several.
        """
        for record in self.records:
            if record.id == name:
                return record
        return self._named(name)

    def _named(self, name: str) -> Record:
        """What `name` selects, if that is one record or one head."""
        known = f"there are {', '.join(record.id for record in self.records)}"
        if not isinstance(name, str):
            raise AttnvizError(f"a record has a name, not {name!r}", f"trace.records[0]; {known}")
        try:
            clauses = parse_selection([name], option="").clauses
        except AttnvizError as error:
            raise AttnvizError(f"no record {name!r} in this trace", known) from error
        clause = clauses[0]
        if len(clauses) > 1 or not clause.names_one:
            raise AttnvizError(
                f"{name!r} names several records or heads; expected one",
                'trace["L1.H3"] is one head, trace["encoder.1.self"] a record',
            )
        records = [record for record in self.records if clause.covers(record)]
        if not records:
            raise AttnvizError(f"no record {name!r} in this trace", known)
        if len(records) > 1:
            head = "" if clause.heads is None else f".H{clause.heads[0]}"
            raise AttnvizError(
                f"{name!r} is in {len(records)} records: {', '.join(r.id for r in records)}",
                f"name it in full: {records[0].id}{head}",
            )
        return records[0] if clause.heads is None else records[0].head(clause.heads[0])

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def manifest(self) -> archive.Manifest:
        """Everything but the arrays, as it stands in a file."""
        from attnviz.trace import file

        return file.manifest_out(self)

    def arrays(self) -> dict[str, Array]:
        """All arrays under the names that they have in a file."""
        from attnviz.trace import file

        return file.arrays_out(self)

    def plot(self, select: str | Sequence[str] = (), ax: Any = None, **options: Any) -> Any:
        """Draw heads with Matplotlib and return its Axes: `trace.plot("L1.H3", cmap="viridis")`.
        The options are those of `attnviz.plot`."""
        from attnviz.plotting import plot

        return plot(self, select, ax, **options)

    def save(self, path: str | Path, select: str | Sequence[str] = ()) -> None:
        """Write the trace, whole or not at all, in the format of the suffix: as data that `load`
        reads (`.npz`, `.safetensors`, `.json`), or as what a reader sees (`.html`, `.png`, `.svg`,
        `.pdf`, `.md`, `.txt`, …), of that only the layers and heads in `select`: `["L1.H3"]`."""
        from attnviz.trace import file

        if Path(path).suffix.lower() in DATA_FORMATS:
            file.save(self, Path(path))
            return
        from attnviz import display

        display.save(self, Path(path), select)

    def text(self, select: str | Sequence[str] = (), *, width: int = 80) -> str:
        """What a terminal of so many columns shows of it, without colours."""
        from attnviz import display

        return display.text(self, select, width=width)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """For notebooks: a page, a picture, a few lines of text."""
        from attnviz import display

        return display.mime_bundle(self, include, exclude)


def read_only(array: Array) -> Array:
    """A view that cannot be written through."""
    view = array.view()
    view.flags.writeable = False
    return view
