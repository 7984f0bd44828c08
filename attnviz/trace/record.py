"""What attention did: the record of one run. Everything that draws or measures starts here.

Plain, frozen data with read-only arrays: a record is never computed with in place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from attnviz import archive
from attnviz.errors import AttnvizError
from attnviz.nn.attention import STAGES
from attnviz.nn.site import RecordId, Site
from attnviz.nn.types import Array
from attnviz.tokens import Tokens

ARRAYS = (*STAGES, "bias", "masked_by")


@dataclass(frozen=True)
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
    masked_by: Array | None = None
    """[n_q, n_k]: which of several rules masks a cell; 0 = none, counted from 1."""

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
        if array is None:
            raise AttnvizError(
                f"{self.id}: the stage {name!r} was not kept",
                f'run again with stages=("{name}",), or --keep {name} on the command line',
            )
        return array

    def kept(self) -> dict[str, Array]:
        """All kept arrays by stage."""
        return {name: array for name in ARRAYS if (array := getattr(self, name)) is not None}

    def reasons(self) -> Array | None:
        """Why cells are masked: [n_q, n_k] or [n_head, n_q, n_k], 0 = visible,
        i = the i-th of `site.mask` counted from 1. None if nothing is masked, or no mask kept."""
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
        """Everything but the arrays, as it stands in a file."""
        from attnviz.trace import file

        return file.manifest_out(self)

    def arrays(self) -> dict[str, Array]:
        """All arrays under the names that they have in a file."""
        from attnviz.trace import file

        return file.arrays_out(self)

    def save(self, path: str | Path) -> None:
        """Write the trace as `.npz`, `.safetensors` or `.json`, whole or not at all."""
        from attnviz.trace import file

        file.save(self, Path(path))


def read_only(array: Array) -> Array:
    """A view that cannot be written through."""
    view = array.view()
    view.flags.writeable = False
    return view
