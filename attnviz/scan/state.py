"""How far a scan has come, in a file that is always whole."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attnviz import __version__, archive
from attnviz.analysis.metrics import METRICS
from attnviz.errors import AttnvizError
from attnviz.files import whole_file
from attnviz.nn.types import Array
from attnviz.scan.corpus import CHUNK_BYTES, CHUNK_LINES, LINE_BYTES, Chunk
from attnviz.scan.statistics import Statistics, nothing
from attnviz.scan.tally import Complaint, Counts, Tally, merge, metric_bins
from attnviz.trace.record import ModelFacts

FORMAT = "attnviz-scan-state"
VERSION = 2
"""Files of version 1 have no checksum, and do not say which field of JSON lines was read."""

START_ANEW = "delete the file: the scan then starts anew"

EMPTY = ""

RENAMED = {"least": "minimum", "most": "maximum"}
"""What arrays are called in files of earlier versions."""


class State(NamedTuple):
    """What was counted so far."""

    n_chunk: int
    digest: str
    """The SHA-256 of the corpus as far as it was counted."""
    tally: Tally

    @property
    def n_measured(self) -> int:
        """Texts that entered the statistics."""
        return self.tally.counts.texts - self.tally.counts.broken

    def plus(self, chunk: Chunk, tally: Tally) -> State:
        """With the next chunk of the corpus."""
        return State(self.n_chunk + 1, chunk.digest, merge(self.tally, tally))


def beginning(n_row: int, max_length: int) -> State:
    """Nothing was counted."""
    return State(0, EMPTY, Tally(nothing(metric_bins(max_length), n_row), Counts()))


def identity(model: ModelFacts, max_length: int, field: str | None) -> dict[str, Any]:
    """What two runs must have in common so that one can go on where the other stopped.

    A trained model may have been moved: it is known by its weights.
    """
    ignored = {"notes"} if model.sha256 is None else {"notes", "name"}
    return {
        "model": {key: value for key, value in model.to_manifest().items() if key not in ignored},
        "longest": max_length,
        "field": field,
        "metrics": list(METRICS),
        "chunks": [CHUNK_LINES, CHUNK_BYTES, LINE_BYTES],
        "attnviz": __version__,
    }


def save(path: Path, state: State, of: Mapping[str, Any]) -> None:
    """Write the state, whole or not at all; one that was there stays until then."""
    tally = state.tally
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "of": dict(of),
        "n_chunk": state.n_chunk,
        "digest": state.digest,
        "counts": tally.counts._asdict(),
        "complaint": tally.complaint,
    }
    arrays = tally.statistics._asdict()
    manifest["checksum"] = _checksum(manifest, arrays)
    with whole_file(path) as file:
        archive.write(file, ".npz", manifest, arrays)


def load(path: Path, of: Mapping[str, Any], start: State) -> State:
    """The state that `save` wrote, of arrays with the shapes of `start`.

    Raises:
        AttnvizError: it is damaged, of another model, or of other options.
    """
    try:
        manifest, arrays = archive.read(path)
    except AttnvizError as error:
        raise AttnvizError(error.message, START_ANEW) from error
    if manifest is None or manifest.get("format") != FORMAT:
        raise AttnvizError(
            f"{path} is not the state of a scan", "another -o, or move the file elsewhere"
        )
    version = manifest.get("version")
    if version not in (1, VERSION):
        raise AttnvizError(
            f"{path} has the version {version!s:.20} of a scan's state; this attnviz reads up to "
            f"{VERSION}",
            START_ANEW,
        )
    if version == VERSION and manifest.pop("checksum", None) != _checksum(manifest, arrays):
        raise AttnvizError(f"{path} is damaged: its content does not fit its checksum", START_ANEW)
    try:
        if version == 1:
            manifest["of"] = {"field": of["field"], **manifest["of"]}
            arrays = {RENAMED.get(name, name): array for name, array in arrays.items()}
            arrays.setdefault("follows", np.zeros(len(of["metrics"]), bool))
        _check(path, manifest["of"], of)
        return _state(manifest, arrays, start)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AttnvizError(f"{path} is damaged: {error}", START_ANEW) from error


def _state(manifest: Mapping[str, Any], arrays: Mapping[str, Array], start: State) -> State:
    """The state in the parts of a file.

    Raises:
        ValueError: something in it cannot be.
    """
    for name, expected in start.tally.statistics._asdict().items():
        array = arrays.get(name, np.empty(0))
        if (array.shape, array.dtype) != (expected.shape, expected.dtype):
            raise ValueError(
                f"{name} is {array.dtype} {list(array.shape)}; expected {expected.dtype} "
                f"{list(expected.shape)}"
            )
    statistics = Statistics(**{name: arrays[name] for name in Statistics._fields})
    counts, complaint = Counts(**manifest["counts"]), manifest["complaint"]
    for number in (manifest["n_chunk"], *counts):
        if type(number) is not int or number < 0:
            raise ValueError(f"expected a count, got {number!r:.20}")
    return State(
        manifest["n_chunk"],
        manifest["digest"],
        Tally(statistics, counts, None if complaint is None else Complaint(*complaint)),
    )


def _checksum(manifest: Mapping[str, Any], arrays: Mapping[str, Array]) -> str:
    """The SHA-256 of a manifest without its checksum and of all arrays."""
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def remaining(path: Path, state: State, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """The chunks that were not counted yet.

    Raises:
        AttnvizError: the corpus does not begin with what was counted.
    """
    every = iter(chunks)
    digest = EMPTY
    for chunk in itertools.islice(every, state.n_chunk):
        digest = chunk.digest
    if digest != state.digest:
        raise AttnvizError(
            f"{path} is of another corpus: its first {state.tally.counts.lines} lines had the "
            f"SHA-256 {state.digest}, these have {digest}",
            "give the same corpus, or start anew: delete the file",
        )
    return every


def _check(path: Path, had: Mapping[str, Any], have: Mapping[str, Any]) -> None:
    before, now = had["model"].get("sha256"), have["model"].get("sha256")
    if before != now:
        raise AttnvizError(
            f"{path} is of another model: its weights had the SHA-256 {before}, these have {now}",
            "give the same model, or start anew: delete the file",
        )
    before_all, now_all = ({**of, **of["model"], "model": None} for of in (had, have))
    for key in before_all | now_all:
        if before_all.get(key) != now_all.get(key):
            raise AttnvizError(
                f"{path} was made with {key} = {before_all.get(key)}; now it is {now_all.get(key)}",
                "give the same options, or start anew: delete the file",
            )
