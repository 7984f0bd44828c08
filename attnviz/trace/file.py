"""The file of a trace: what goes out and what comes in, side by side."""

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
from attnviz.nn.masks import NONE, Mask, as_visible, custom
from attnviz.nn.site import RecordId, Site
from attnviz.nn.stages import TERMS
from attnviz.nn.types import Array
from attnviz.tokens import RESERVED, Tokens, label
from attnviz.trace.answer import Answer
from attnviz.trace.record import ARRAYS, ModelFacts, Record, Trace, read_only
from attnviz.trace.routing_file import check_routing, routing_arrays, routing_in, routing_out
from attnviz.trace.selection import Selection
from attnviz.trace.summary import PlanSummaries
from attnviz.trace.summary_file import check_summary, summary_arrays, summary_in, summary_out

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


def load(
    path: str | Path,
    *,
    array: str | None = None,
    batch: str | int | None = None,
    tokens: Sequence[str] | None = None,
    key_tokens: Sequence[str] | None = None,
    nan: str | None = None,
    mask: Mask | Array | None = None,
    memory: int | None = None,
    summaries: PlanSummaries | None = None,
    select: Selection | None = None,
) -> Trace:
    """Read a trace that `Trace.save` wrote, or a plain file of attention weights; of a file of
    queries, keys and values the weights are computed.

    Args:
        path: `.npz`, `.safetensors` or `.json` of a trace; `.npy`, `.npz`, `.safetensors` or
            `.json` of weights: [n_k], [n_q, n_k], [n_head, n_q, n_k] or
            [n_layer, n_head, n_q, n_k].
        array: which array of the file holds the weights; by default the only one, one with a
            usual name, or all of them, a layer each.
        batch: the batch axis, 0 or "0"; "0:3" takes item 3 of it.
        tokens: of the queries, and of the keys too where their numbers are equal.
        key_tokens: of the keys, where they are others.
        nan: what NaN among the weights means: "broken" (the default), or "masked" where a cell
            that is NaN is one that its query does not see.
        mask: of plain arrays: which cells are masked, [n_q, n_k] or [n_head, n_q, n_k]: booleans,
            True = visible, 0 and 1, or 0 and -inf.
        memory: of plain arrays, bytes that the weights may take; of more only a summary is made.
        summaries: makes the plan of the summaries.
        select: of which heads summaries are made.

    Raises:
        AttnvizError: a file that cannot be read, shapes or numbers of tokens that do not fit.
    """
    path = Path(path)
    manifest, arrays, bits = _read(path, memory)
    if manifest is None:
        from attnviz.trace.arrays import trace_of_arrays

        return trace_of_arrays(
            path,
            arrays,
            array=array,
            batch=batch,
            tokens=tokens,
            key_tokens=key_tokens,
            nan=nan,
            mask=_as_mask(mask),
            bits=bits,
            memory=memory,
            summaries=summaries,
            select=select,
        )
    if any(option is not None for option in (array, batch, tokens, key_tokens, nan, mask)):
        raise AttnvizError(
            f"{path} is a trace: it has its own tokens, axes and masks",
            "tokens, key tokens, batch, array, nan and mask are for plain arrays",
        )
    return trace_in(path, manifest, arrays)


def _read(
    path: Path, memory: int | None
) -> tuple[archive.Manifest | None, dict[str, Array], frozenset[str]]:
    """The manifest, None of plain arrays, the arrays, and which are the bits of bfloat16. Plain
    arrays that take more than `memory` stay in the file until they are looked at."""
    if memory is not None and path.is_file() and path.stat().st_size > memory:
        stored = archive.read_stored(path)
        if stored.manifest is None:
            return None, stored.arrays, stored.bfloat16
    return *archive.read(path), frozenset()


def _as_mask(mask: Mask | Array | None) -> Mask:
    if mask is None or isinstance(mask, Mask):
        return mask or NONE
    return custom(as_visible("mask", np.asarray(mask)))


def manifest_out(trace: Trace) -> archive.Manifest:
    """Everything but the arrays."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "attnviz": __version__,
        "model": trace.model.to_manifest(),
        "command": list(trace.command),
        "streams": {name: _stream_out(tokens) for name, tokens in trace.streams.items()},
        "records": [_record_out(record) for record in trace],
        **({"routing": routing_out(trace)} if trace.routing else {}),
        **({} if trace.answer is None else {"answer": trace.answer.to_manifest()}),
    }


def trace_in(path: Path, manifest: archive.Manifest, arrays: Mapping[str, Array]) -> Trace:
    """The trace that `path` holds. Whatever it says is checked before anything relies on it."""
    _check_version(path, manifest)
    try:
        trace = Trace(
            model=model_in(path, manifest),
            streams={name: _stream_in(each) for name, each in manifest.get("streams", {}).items()},
            records=tuple(_record_in(path, entry, arrays) for entry in manifest["records"]),
            command=_texts(manifest, "command"),
            routing=routing_in(manifest, arrays),
            **_outputs_in(arrays),
            answer=_answer_in(manifest, arrays),
        )
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise _malformed(path, error) from error
    if not trace.records and trace.model.has_attention:
        raise AttnvizError(f"{path}: the trace has no records", "write the file again")
    for record in trace.records:
        _check_record(path, trace, record)
    check_routing(path, trace)
    return trace


def _check_version(path: Path, manifest: archive.Manifest) -> None:
    if manifest.get("format") != FORMAT:
        raise AttnvizError(
            f"{path} is not a trace: its format is {manifest.get('format')!r}, expected {FORMAT!r}",
            "attnviz run TEXT -o trace.npz writes a trace",
        )
    version = manifest.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise AttnvizError(
            f"{path} is a trace of version {version}; this attnviz reads up to version {VERSION}",
            "pip install --upgrade attnviz",
        )


def model_in(path: Path, manifest: archive.Manifest) -> ModelFacts:
    """What the manifest of a trace, or of a table of heads, says of the model."""
    try:
        return ModelFacts.from_manifest(manifest.get("model", {}))
    except TypeError as error:
        raise _malformed(path, error) from error


def _malformed(path: Path, error: Exception) -> AttnvizError:
    return AttnvizError(
        f"{path}: in the manifest, {error} is missing or malformed", "write the file again"
    )


def _check_record(path: Path, trace: Trace, record: Record) -> None:
    """Its streams, shapes and types are what the rest relies on, whoever wrote the file."""
    for stream in (record.queries, record.keys):
        if stream not in trace.streams:
            raise AttnvizError(
                f"{path}: {record.id} reads the stream {stream!r}, which is missing",
                "write the file again",
            )
    n_q, n_k = len(trace.streams[record.queries]), len(trace.streams[record.keys])
    shape = (record.n_head, n_q, n_k)
    sinks = record.sinks
    if sinks is not None and (sinks.shape != (record.n_head,) or sinks.dtype.kind != "f"):
        raise AttnvizError(
            f"{path}: {record.id}/sinks holds {sinks.dtype} of the shape {list(sinks.shape)}; "
            f"expected numbers [n_head] = [{record.n_head}]",
            "write the file again",
        )
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
    _check_vectors(path, record, n_q, n_k)
    check_summary(path, record, n_q, n_k)


def _check_vectors(path: Path, record: Record, n_q: int, n_k: int) -> None:
    """q, k, v and context have a vector for each head and token; a bias fits the scores."""
    queries, keys = (record.n_head, n_q), (record.n_kv_head, n_k)
    for stage, leading in (("q", queries), ("k", keys), ("v", keys), ("context", queries)):
        array = getattr(record, stage)
        if array is None:
            continue
        if array.ndim != 3 or array.shape[:2] != leading or array.dtype.kind != "f":
            raise AttnvizError(
                f"{path}: {record.id}/{stage} holds {array.dtype} of the shape "
                f"{list(array.shape)}; expected numbers [{leading[0]}, {leading[1]}, width]",
                "write the file again",
            )
    shape = (record.n_head, n_q, n_k)
    for stage in ("bias", *TERMS):
        _check_added(path, record, stage, shape)


def _check_added(path: Path, record: Record, stage: str, shape: tuple[int, int, int]) -> None:
    bias = getattr(record, stage)
    if bias is not None and (
        bias.ndim > 3
        or bias.dtype.kind != "f"
        or any(a not in (1, b) for a, b in zip(bias.shape[::-1], shape[::-1], strict=False))
    ):
        raise AttnvizError(
            f"{path}: {record.id}/{stage} holds {bias.dtype} of the shape {list(bias.shape)}; "
            f"expected numbers that fit [n_head, n_q, n_k] = {list(shape)}",
            "write the file again",
        )


def arrays_out(trace: Trace) -> dict[str, Array]:
    """All arrays under the names that they have in a file."""
    named = {f"{r.id}/{stage}": array for r in trace for stage, array in r.kept().items()}
    for record in trace:
        named |= summary_arrays(record)
    for stack, states in trace.hidden_states.items():
        named[f"{stack}/hidden_states"] = np.stack(list(states))
    named |= routing_arrays(trace)
    if trace.logits is not None:
        named["output/logits"] = trace.logits
    if trace.answer is not None and trace.answer.embedding is not None:
        named["output/embedding"] = trace.answer.embedding
    return named


def _answer_in(manifest: archive.Manifest, arrays: Mapping[str, Array]) -> Answer | None:
    """What the model made of the text, where the file says so."""
    entry = manifest.get("answer")
    if entry is None or ("label" in entry and "task" not in entry):
        return None  # the latter of an image, as it was written before traces had answers
    embedding = arrays.get("output/embedding")
    if embedding is not None and (embedding.ndim != 1 or embedding.dtype.kind != "f"):
        raise ValueError("'output/embedding'")
    return Answer.from_manifest(entry, None if embedding is None else read_only(embedding))


def _outputs_in(arrays: Mapping[str, Array]) -> dict[str, Any]:
    """The arrays that belong to no record, as `Trace` takes them."""
    end = "/hidden_states"
    logits = arrays.get("output/logits")
    return {
        "hidden_states": {
            name.removesuffix(end): [read_only(state) for state in array]
            for name, array in arrays.items()
            if name.endswith(end)
        },
        "logits": None if logits is None else read_only(logits),
    }


def _stream_out(tokens: Tokens) -> dict[str, Any]:
    """Empty optional fields are left out; lone surrogates go through JSON as escapes."""
    named = {f.name: list(getattr(tokens, f.name)) for f in fields(tokens)}
    return {
        name: values
        for name, values in named.items()
        if values or name in ("tokens", "ids", "labels")
    }


def _stream_in(stream: Mapping[str, Any]) -> Tokens:
    def numbers(key: str) -> tuple[int, ...]:
        return tuple(int(number) for number in stream.get(key, ()))

    def texts(key: str) -> tuple[str, ...]:
        return _texts(stream, key)

    if "tokens" not in stream:
        raise KeyError("tokens")
    n_token = len(texts("tokens"))
    for key in ("special", "unknown", "generated"):
        if any(not 0 <= position < n_token for position in numbers(key)):
            raise ValueError(f"'{key}'")
    lengths = {key: len(texts(key)) for key in ("labels", "tags", "roles")}
    lengths |= {key: len(numbers(key)) for key in ("ids", "segments")}
    for key, length in lengths.items():
        if length not in (0, n_token):
            raise ValueError(f"'{key}'")
    if {"template", *texts("roles")} & set(RESERVED) != {"template"}:
        raise ValueError("'roles'")
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
        generated=numbers("generated"),
        roles=texts("roles"),
    )


def _texts(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A list of texts, empty if it is not there."""
    texts = values.get(key, [])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"'{key}'")
    return tuple(texts)


def _are_words(words: Sequence[int], n_token: int, n_word: int) -> bool:
    """Whether they count the words from 0, in order and without a gap."""
    steps = [after - before for before, after in pairwise((-1, *words))]
    return (
        len(words) == n_token and steps[0] == 1 and set(steps) <= {0, 1} and words[-1] == n_word - 1
    )


def _record_in(path: Path, entry: Mapping[str, Any], arrays: Mapping[str, Array]) -> Record:
    site = _site_in(path, entry)
    names = {stage: f"{site.id}/{stage}" for stage in ARRAYS}
    kept = {s: read_only(arrays[n]) for s, n in names.items() if n in arrays}
    return Record.of(site, kept, summary_in(entry, site, arrays))


def _record_out(record: Record) -> dict[str, Any]:
    summary = {} if record.summary is None else {"summary": summary_out(record.summary)}
    return {**_site_out(record.site), **summary}


def _site_out(site: Site) -> dict[str, Any]:
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
        **({} if site.n_content is None else {"n_content": site.n_content}),
        **({"merged": "words"} if site.merged_words else {}),
    }


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
        n_content=None if entry.get("n_content") is None else int(entry["n_content"]),
        merged_words=entry.get("merged") == "words",
    )
