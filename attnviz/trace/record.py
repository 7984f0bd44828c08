"""What attention did: the record of one run. Everything that draws or measures starts here.

Plain, frozen data with read-only arrays: a record is never computed with in place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from attnviz import __version__, archive
from attnviz.errors import AttnvizError
from attnviz.files import DATA_FORMATS, whole_file
from attnviz.nn.attention import STAGES, Keep, KeepNothing
from attnviz.nn.multi_head import Site
from attnviz.nn.types import Array
from attnviz.tokens import Tokens
from attnviz.trace.selection import Selection

FORMAT = "attnviz-trace"
VERSION = 1

ARRAYS = (*STAGES, "bias", "masked_by")


@dataclass(frozen=True)
class Record:
    """One attention: who asked whom, and the stages that were kept; the others are None."""

    id: str
    """`encoder.0.self`: block, layer, kind."""
    kind: str
    layer: int
    n_head: int
    n_kv_head: int
    queries: str
    """The stream whose tokens are the rows."""
    keys: str
    """The stream whose tokens are the columns."""
    mask_name: str
    """`causal+padding`; `none`."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """How it was computed: score, scale, softcap."""
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
    masked_by: Array | None = None
    """[n_q, n_k]: which of several rules masks a cell; 0 = none, counted from 1."""

    def stage(self, name: str) -> Array:
        """The array of a stage. Raises AttnvizError if it was not kept."""
        if name not in ARRAYS:
            raise AttnvizError(f"unknown stage: {name!r}", f"known: {', '.join(STAGES)}")
        array: Array | None = getattr(self, name)
        if array is None:
            raise AttnvizError(
                f"{self.id}: the stage {name!r} was not kept",
                f'run again with stages=("{name}",), or --keep {name} on the command line',
            )
        return array

    def kept(self) -> dict[str, Array]:
        """All kept arrays by stage."""
        return {name: array for name in ARRAYS if (array := getattr(self, name)) is not None}

    @property
    def mask_names(self) -> tuple[str, ...]:
        return () if self.mask_name == "none" else tuple(self.mask_name.split("+"))

    def reasons(self) -> Array | None:
        """Why cells are masked: [n_q, n_k] or [n_head, n_q, n_k], 0 = visible,
        i = the i-th of `mask_names` counted from 1. None if nothing is masked, or no mask kept."""
        if self.masked_by is not None:
            return self.masked_by
        if self.mask is None or self.mask.all():
            return None
        return (~self.mask).view(np.uint8)


@dataclass(frozen=True)
class Trace:
    """The record of one run of one model on one text."""

    model: Mapping[str, Any]
    """name, kind, trained, sha256, …"""
    streams: Mapping[str, Tokens]
    """`source` and, for an encoder-decoder, `target`."""
    records: tuple[Record, ...]
    command: tuple[str, ...] = ()
    hidden_states: Mapping[str, Sequence[Array]] = field(default_factory=dict)
    """By stack, if asked for: the embeddings, then each block's output, [n_token, d_model]."""
    logits: Array | None = None
    """[n_token, n_vocabulary], where the model has an output and it was asked for."""

    def __getitem__(self, id: str) -> Record:
        for record in self.records:
            if record.id == id:
                return record
        raise AttnvizError(
            f"no record {id!r} in this trace",
            f"there are {', '.join(record.id for record in self.records)}",
        )

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def manifest(self) -> archive.Manifest:
        """Everything but the arrays, as DESIGN's contract spells it."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "attnviz": __version__,
            "model": dict(self.model),
            "command": list(self.command),
            "streams": {name: _stream_out(tokens) for name, tokens in self.streams.items()},
            "records": [_record_out(record) for record in self.records],
        }

    def arrays(self) -> dict[str, Array]:
        """All arrays under the names that they have in a file."""
        named = {
            f"{r.id}/{stage}": array for r in self.records for stage, array in r.kept().items()
        }
        for block, states in self.hidden_states.items():
            named[f"{block}/hidden_states"] = np.stack(list(states))
        if self.logits is not None:
            named["output/logits"] = self.logits
        return named

    def save(self, path: str | Path) -> None:
        """Write the trace as `.npz`, `.safetensors` or `.json`, whole or not at all."""
        path = Path(path)
        if path.suffix not in DATA_FORMATS:
            raise AttnvizError(
                f"cannot save a trace as {path.suffix or path.name!r}",
                f"known: {', '.join(DATA_FORMATS)}",
            )
        with whole_file(path) as file:
            archive.write(file, path.suffix, self.manifest(), self.arrays())


class TraceRecorder:
    """Collects the wanted stages of the selected attentions while a transformer runs."""

    def __init__(self, stages: Sequence[str], selection: Selection | None = None) -> None:
        unknown = [stage for stage in stages if stage not in ARRAYS]
        if unknown:
            raise AttnvizError(f"unknown stage: {unknown[0]!r}", f"known: {', '.join(STAGES)}")
        self._stages = frozenset(stages)
        self._selection = selection or Selection()
        self._kept: list[tuple[Site, _Stages]] = []

    def open(self, site: Site) -> Keep:
        if not self._selection.covers(site):
            return KeepNothing()
        stages = _Stages(self._stages)
        self._kept.append((site, stages))
        return stages

    def records(self) -> tuple[Record, ...]:
        return tuple(_record(site, stages.kept) for site, stages in self._kept)


class _Stages:
    def __init__(self, wanted: frozenset[str]) -> None:
        self._wanted = wanted
        self.kept: dict[str, Array] = {}

    def wants(self, stage: str) -> bool:
        return stage in self._wanted

    def keep(self, stage: str, array: Array) -> None:
        if stage in self._wanted or (stage == "masked_by" and "mask" in self._wanted):
            self.kept[stage] = read_only(array)


def read_only(array: Array) -> Array:
    """A view that cannot be written through."""
    view = array.view()
    view.flags.writeable = False
    return view


def _record(site: Site, arrays: dict[str, Array]) -> Record:
    facts = {"score": site.score, "scale": site.scale, "softcap": site.softcap}
    return Record(
        id=site.id,
        kind=site.kind,
        layer=site.layer,
        n_head=site.n_head,
        n_kv_head=site.n_kv_head,
        queries=site.queries,
        keys=site.keys,
        mask_name="+".join(site.mask) or "none",
        facts={key: value for key, value in facts.items() if value is not None},
        **arrays,
    )


def _stream_out(tokens: Tokens) -> dict[str, Any]:
    """Empty optional fields are left out; lone surrogates go through JSON as escapes."""
    named = {f.name: list(getattr(tokens, f.name)) for f in fields(tokens)}
    return {
        name: values
        for name, values in named.items()
        if values or name in ("tokens", "ids", "labels")
    }


def _record_out(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "kind": record.kind,
        "layer": record.layer,
        "n_head": record.n_head,
        "n_kv_head": record.n_kv_head,
        "queries": record.queries,
        "keys": record.keys,
        "mask": record.mask_name,
        **record.facts,
    }
