"""The file of a trace, out and in.

Whoever wrote a file, what it says is checked before anything relies on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from attnviz import __version__, archive
from attnviz.errors import AttnvizError
from attnviz.files import DATA_FORMATS, whole_file
from attnviz.nn.site import RecordId, Site
from attnviz.nn.types import Array
from attnviz.tokens import Tokens, label
from attnviz.trace.record import ARRAYS, ModelFacts, Record, Trace, read_only

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
        "model": trace.model.to_manifest(),
        "command": list(trace.command),
        "streams": {name: _stream_out(tokens) for name, tokens in trace.streams.items()},
        "records": [_record_out(record.site) for record in trace],
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


def _record_out(site: Site) -> dict[str, Any]:
    """What is not known is left out."""
    how = {"score": site.score, "scale": site.scale, "softcap": site.softcap}
    return {
        "id": site.id,
        "kind": site.kind,
        "layer": site.layer,
        "n_head": site.n_head,
        "n_kv_head": site.n_kv_head,
        "queries": site.queries,
        "keys": site.keys,
        "mask": site.mask_name,
        **{key: value for key, value in how.items() if value is not None},
        **({"sinks": True} if site.sinks else {}),
        **({"merged": "words"} if site.merged_words else {}),
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
        records = tuple(_record_in(path, entry, arrays) for entry in manifest["records"])
        logits = arrays.get("output/logits")
        trace = Trace(
            model=model_in(path, manifest),
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
        raise _garbled(path, error) from error
    if not records and trace.model.has_attention:
        raise AttnvizError(f"{path}: the trace has no records", "write the file again")
    for record in trace.records:
        _check(path, trace, record)
    return trace


def model_in(path: Path, manifest: archive.Manifest) -> ModelFacts:
    """What the manifest of a trace, or of what was measured of one, says of the model."""
    try:
        return ModelFacts.from_manifest(manifest.get("model", {}))
    except TypeError as error:
        raise _garbled(path, error) from error


def _garbled(path: Path, error: Exception) -> AttnvizError:
    return AttnvizError(
        f"{path}: in the manifest, {error} is missing or malformed", "write the file again"
    )


def _check(path: Path, trace: Trace, record: Record) -> None:
    """Whoever wrote the file: its streams, shapes and types are what the rest relies on."""
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


def _record_in(path: Path, entry: Mapping[str, Any], arrays: Mapping[str, Array]) -> Record:
    site = _site_in(path, entry)
    names = {stage: f"{site.id}/{stage}" for stage in ARRAYS}
    return Record(site, **{s: read_only(arrays[n]) for s, n in names.items() if n in arrays})


def _site_in(path: Path, entry: Mapping[str, Any]) -> Site:
    for key in ("id", "kind", "queries", "keys"):
        if not isinstance(entry[key], str):
            raise TypeError(f"'{key}'")
    try:
        id = RecordId.parse(entry["id"])
    except AttnvizError as error:
        raise AttnvizError(f"{path}: {error.message}", error.hint) from error
    if (id.layer, id.kind) != (entry["layer"], entry["kind"]):
        raise AttnvizError(
            f"{path}: {id} is not an id of layer {entry['layer']!r}, {entry['kind']!r}",
            "ids have the form encoder.0.self",
        )
    mask = label(entry.get("mask", "none"))

    def number(key: str) -> float | None:
        return None if entry.get(key) is None else float(entry[key])

    return Site(
        id=id,
        queries=entry["queries"],
        keys=entry["keys"],
        n_head=int(entry["n_head"]),
        n_kv_head=int(entry.get("n_kv_head", entry["n_head"])),
        mask=() if mask == "none" else tuple(mask.split("+")),
        score=None if entry.get("score") is None else label(entry["score"]),
        scale=number("scale"),
        softcap=number("softcap"),
        sinks=bool(entry.get("sinks")),
        merged_words=entry.get("merged") == "words",
    )
