"""The file of a trace, out and in.

Whoever wrote a file, what it says is checked before anything relies on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from attnviz import __version__, archive
from attnviz.errors import AttnvizError
from attnviz.files import DATA_FORMATS, whole_file
from attnviz.nn.types import Array
from attnviz.tokens import Tokens, label
from attnviz.trace.record import ARRAYS, Record, Trace, read_only

FORMAT = "attnviz-trace"
VERSION = 1


def save(trace: Trace, path: Path) -> None:
    """Write the trace as `.npz`, `.safetensors` or `.json`, whole or not at all."""
    if path.suffix not in DATA_FORMATS:
        raise AttnvizError(
            f"cannot save a trace as {path.suffix or path.name!r}",
            f"known: {', '.join(DATA_FORMATS)}",
        )
    with whole_file(path) as file:
        archive.write(file, path.suffix, manifest_out(trace), arrays_out(trace))


def manifest_out(trace: Trace) -> archive.Manifest:
    """Everything but the arrays, as DESIGN's contract spells it."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "attnviz": __version__,
        "model": dict(trace.model),
        "command": list(trace.command),
        "streams": {name: _stream_out(tokens) for name, tokens in trace.streams.items()},
        "records": [_record_out(record) for record in trace.records],
    }


def arrays_out(trace: Trace) -> dict[str, Array]:
    """All arrays under the names that they have in a file."""
    named = {f"{r.id}/{stage}": array for r in trace for stage, array in r.kept().items()}
    for stack, states in trace.hidden_states.items():
        named[f"{stack}/hidden_states"] = np.stack(list(states))
    if trace.logits is not None:
        named["output/logits"] = trace.logits
    return named


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


def from_archive(path: Path, manifest: archive.Manifest, arrays: dict[str, Array]) -> Trace:
    """The trace that `Trace.save` wrote to `path`."""
    if manifest.get("format") != FORMAT:
        raise AttnvizError(
            f"{path} is no trace: its format is {manifest.get('format')!r}, expected {FORMAT!r}",
            "attnviz run TEXT -o trace.npz writes a trace",
        )
    version = manifest.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise AttnvizError(
            f"{path} is a trace of version {version}; this attnviz reads up to version {VERSION}",
            "pip install --upgrade attnviz",
        )
    try:
        streams = {name: _stream_in(stream) for name, stream in manifest.get("streams", {}).items()}
        records = tuple(_record_in(entry, arrays) for entry in manifest["records"])
        logits = arrays.get("output/logits")
        trace = Trace(
            model=_model_in(manifest.get("model", {})),
            streams=streams,
            records=records,
            command=tuple(manifest.get("command", ())),
            hidden_states={
                name.removesuffix("/hidden_states"): [read_only(state) for state in array]
                for name, array in arrays.items()
                if name.endswith("/hidden_states")
            },
            logits=None if logits is None else read_only(logits),
        )
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise AttnvizError(
            f"{path}: the trace's manifest lacks or garbles {error}", "write the file again"
        ) from error
    if not records and trace.model.get("n_head") != 0:
        raise AttnvizError(f"{path}: the trace has no records", "write the file again")
    for record in trace.records:
        _check(path, trace, record)
    return trace


def _check(path: Path, trace: Trace, record: Record) -> None:
    """Whoever wrote the file: its ids, shapes and types are what the rest relies on."""
    if not re.fullmatch(rf"\w+\.{record.layer}\.{re.escape(record.kind)}", record.id):
        raise AttnvizError(
            f"{path}: {label(record.id)} is no id of layer {record.layer}, {label(record.kind)}",
            "ids have the form encoder.0.self",
        )
    if record.kind not in ("self", "cross"):
        raise AttnvizError(f"{path}: unknown kind {label(record.kind)}", "known: self, cross")
    for stream in (record.queries, record.keys):
        if stream not in trace.streams:
            raise AttnvizError(
                f"{path}: {record.id} reads the stream {stream!r}, which is missing",
                "write the file again",
            )
    n_q, n_k = len(trace.streams[record.queries]), len(trace.streams[record.keys])
    shape = (record.n_head, n_q, n_k)
    kinds = {"scores": "f", "logits": "f", "weights": "f", "mask": "b", "masked_by": "u"}
    for stage, kind in kinds.items():
        array = getattr(record, stage)
        if array is None:
            continue
        if array.dtype.kind != kind:
            raise AttnvizError(
                f"{path}: {record.id}/{stage} holds {array.dtype}", "write the file again"
            )
        allowed = (shape, shape[1:]) if kind in "bu" else (shape,)
        if array.shape not in allowed:
            raise AttnvizError(
                f"{path}: {record.id}/{stage} has the shape {list(array.shape)}; expected "
                f"[n_head, n_q, n_k] = {list(shape)} by its tokens",
                "write the file again",
            )


def _model_in(model: Any) -> Mapping[str, Any]:
    """What the screen says of the model comes from here; unknown keys are ignored."""
    kinds = {"notes": list, "config": dict, "changed": dict}
    if not isinstance(model, dict):
        raise TypeError("'model'")
    for key, kind in kinds.items():
        if not isinstance(model.get(key, kind()), kind):
            raise TypeError(f"'model.{key}'")
    return model


def _stream_in(stream: Mapping[str, Any]) -> Tokens:
    def numbers(key: str) -> tuple[int, ...]:
        return tuple(int(number) for number in stream.get(key, ()))

    def texts(key: str) -> tuple[str, ...]:
        return tuple(stream.get(key, ()))

    n_token = len(stream["tokens"])
    if any(not 0 <= at < n_token for at in numbers("special") + numbers("unknown")):
        raise ValueError("the places of tokens")
    for key in ("labels", "tags"):
        if len(texts(key)) not in (0, n_token):
            raise ValueError(f"'{key}'")
    words, word_labels = numbers("words"), texts("word_labels")
    if words and not _are_words(words, n_token, len(word_labels)):
        raise ValueError("'words'")
    return Tokens.of(
        texts("tokens"),
        numbers("ids"),
        labels=texts("labels"),
        segments=numbers("segments"),
        special=numbers("special"),
        unknown=numbers("unknown"),
        tags=texts("tags"),
        words=words,
        word_labels=word_labels,
        notes=texts("notes"),
    )


def _are_words(words: Sequence[int], n_token: int, n_word: int) -> bool:
    """Whether they count the words from 0, in order and without a gap."""
    steps = [after - before for before, after in pairwise((-1, *words))]
    return (
        len(words) == n_token and steps[0] == 1 and set(steps) <= {0, 1} and words[-1] == n_word - 1
    )


def _record_in(entry: Mapping[str, Any], arrays: Mapping[str, Array]) -> Record:
    known = {"id", "kind", "layer", "n_head", "n_kv_head", "queries", "keys", "mask"}
    own = {
        name.rpartition("/")[2]: array
        for name, array in arrays.items()
        if name.rpartition("/")[0] == entry["id"]
    }
    for key in ("id", "kind", "queries", "keys"):
        if not isinstance(entry[key], str):
            raise TypeError(f"'{key}'")
    return Record(
        id=entry["id"],
        kind=entry["kind"],
        layer=int(entry["layer"]),
        n_head=int(entry["n_head"]),
        n_kv_head=int(entry.get("n_kv_head", entry["n_head"])),
        queries=entry["queries"],
        keys=entry["keys"],
        mask_name=label(entry.get("mask", "none")),
        facts={key: value for key, value in entry.items() if key not in known},
        **{stage: read_only(array) for stage, array in own.items() if stage in ARRAYS},
    )
