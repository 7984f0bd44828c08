"""The state of a finished scan -> the table of heads, and what a file says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from attnviz import __version__
from attnviz.analysis.metrics import METRICS
from attnviz.analysis.metrics.registry import N_BIN
from attnviz.analysis.metrics.table import SCAN, HeadTable
from attnviz.errors import AttnvizError
from attnviz.models.model import Model
from attnviz.nn.site import RecordId
from attnviz.nn.types import Array
from attnviz.scan.corpus import LINE_BYTES
from attnviz.scan.state import State
from attnviz.scan.statistics import LEVELS, MIN_BINS, quantiles
from attnviz.scan.tally import Complaint, Counts, metric_bins
from attnviz.trace.record import ModelFacts

MANY_UNKNOWN = 0.2


def check_result(state: State, name: str, model: Model) -> None:
    """Raise AttnvizError if nothing of the corpus was measured."""
    counts, complaint = state.tally.counts, state.tally.complaint
    if counts.lines == 0:
        raise AttnvizError(f"{name} is empty", "one text a line")
    if counts.texts == 0 and complaint is not None:
        raise AttnvizError(
            f"{name}: no line could be read; line {complaint.line}: {complaint.reason}",
            "one text a line, in the language of the model",
        )
    if counts.texts == 0:
        raise AttnvizError(f"{name}: no line holds a text", "one text a line")
    if counts.texts == counts.broken:
        model.check_weights()
        raise AttnvizError(
            f"{name}: what {model.name} computes is NaN on every text", "attnviz run shows where"
        )


@dataclass(frozen=True)
class ScanResult:
    """What a scan found, and of what."""

    state: State
    table: HeadTable
    """Means over texts, with their deviations and quantiles."""
    model: ModelFacts
    max_length: int
    """Tokens of a window."""

    def arrays(self) -> dict[str, Array]:
        """The table's arrays, and in how many texts each metric is defined, its minimum and its
        maximum."""
        statistics = self.state.tally.statistics
        known = statistics.texts > 0
        extra = {
            "texts": statistics.texts,
            "least": np.where(known, statistics.minimum, np.nan),
            "most": np.where(known, statistics.maximum, np.nan),
        }
        return self.table.arrays() | {
            f"{kind}/{name}": array
            for kind, arrays in extra.items()
            for name, array in _by_name(arrays).items()
        }

    def manifest(self) -> dict[str, Any]:
        """What a file says besides the arrays."""
        return {
            **self.table.manifest(self.model),
            "format": SCAN,
            "attnviz": __version__,
            "corpus": {"sha256": self.state.digest, **self.state.tally.counts._asdict()},
            "options": {"longest": self.max_length},
        }


def head_table(state: State, ids: tuple[RecordId, ...], heads: Array, max_length: int) -> HeadTable:
    """Means over texts, with their deviations and quantiles, of heads [n_row]."""
    statistics = state.tally.statistics
    known = statistics.texts > 0
    return HeadTable(
        ids=ids,
        heads=heads,
        value=_by_name(np.where(known, statistics.mean, np.nan)),
        null=_by_name(np.where(known, statistics.null, np.nan)),
        rows=_by_name(statistics.rows),
        deviation=_by_name(statistics.deviation),
        quantiles=_by_name(quantiles(statistics, metric_bins(max_length), LEVELS)),
        levels=LEVELS,
        notes=tuple(notes(state.tally.counts, state.tally.complaint, max_length)),
    )


def notes(counts: Counts, complaint: Complaint | None, max_length: int) -> list[str]:
    """What has to be known of how it was measured."""
    sentences = [
        f"means over {counts.texts - counts.broken} texts with {counts.tokens} tokens, every text "
        f"counting the same; quantiles are exact to 1/{N_BIN} of their range"
    ]
    if following := [m.name for m in METRICS.values() if m.histogram_bins(max_length) is None]:
        sentences.append(
            f"quantiles of {', '.join(following)} are exact to 1/{MIN_BINS} of the range of all "
            "texts"
        )
    if counts.windowed:
        sentences.append(
            f"{_lines(counts.windowed)} cut into windows of at most {max_length} tokens, each a "
            "text"
        )
    if counts.empty:
        sentences.append(f"{_lines(counts.empty)} skipped: empty")
    if counts.huge:
        sentences.append(f"{_lines(counts.huge)} skipped: longer than {LINE_BYTES >> 20} MiB")
    if complaint is not None:
        sentences.append(
            f"{_lines(counts.unreadable)} skipped, the first of them line {complaint.line}: "
            f"{complaint.reason}"
        )
    if counts.broken:
        sentences.append(f"{counts.broken} texts skipped: their weights are NaN")
    if counts.unknown > MANY_UNKNOWN * counts.tokens:
        share = counts.unknown / counts.tokens
        sentences.append(f"{share:.0%} of the tokens are unknown to the tokenizer")
    return sentences


def _lines(count: int) -> str:
    return f"{count} line was" if count == 1 else f"{count} lines were"


def _by_name(array: Array) -> dict[str, Array]:
    """[n_metric, …] -> by metric."""
    return dict(zip(METRICS, array, strict=True))
