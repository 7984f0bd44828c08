"""Every metric of every head beside its null, and the file that holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attnviz.analysis.metrics import METRICS
from attnviz.errors import AttnvizError
from attnviz.nn.site import RecordId
from attnviz.nn.types import Array
from attnviz.tokens import label
from attnviz.trace.record import ModelFacts
from attnviz.trace.selection import Selection

FORMAT = "attnviz-heads"
SCAN = "attnviz-scan"
"""The format of what a scan of a corpus writes: the same, and more besides."""
VERSION = 1

NEEDED = ("value", "null", "rows")
"""What a file holds of every metric."""

STORED = {
    "value": "value",
    "null": "null",
    "rows": "rows",
    "deviation": "deviation",
    "positions": "places",
    "quantiles": "quantiles",
}
"""What a table holds by metric, under the names that it has in a file."""


@dataclass(frozen=True, eq=False, repr=False)
class HeadTable:
    """One row a head; every array [n_row], or with a further axis of quantiles."""

    ids: tuple[RecordId, ...]
    """`encoder.0.self`, of each row."""
    heads: Array
    """The head's number in its layer."""
    value: Mapping[str, Array]
    """By metric; NaN where it is not defined."""
    null: Mapping[str, Array]
    """The same of an even spread under the same masks and lengths."""
    rows: Mapping[str, Array]
    """Of how many queries each is the mean."""
    positions: Mapping[str, Array] = field(default_factory=dict)
    """Positions that belong to a metric; of one text only."""
    deviation: Mapping[str, Array] = field(default_factory=dict)
    """Over the texts of a scan."""
    quantiles: Mapping[str, Array] = field(default_factory=dict)
    """Over the texts of a scan, [n_row, n_quantile]."""
    levels: tuple[float, ...] = ()
    """Which quantiles these are."""
    notes: tuple[str, ...] = ()
    """What has to be known of how it was measured."""

    def __repr__(self) -> str:
        """Which heads and metrics; never the numbers."""
        names = ", ".join(list(self.value)[:6]) + ", …" * (len(self.value) > 6)
        return f"<HeadTable: {len(self)} heads × {len(self.value)} metrics: {names}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """For notebooks: a table that sorts, a picture of it, a line of text."""
        from attnviz import display

        return display.mime_bundle(self, include, exclude)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def layers(self) -> Array:
        """[n_row]"""
        return np.array([id.layer for id in self.ids], np.int64)

    def defined(self) -> list[str]:
        """The metrics that have a value for some head."""
        return [name for name, values in self.value.items() if np.isfinite(values).any()]

    def columns(self) -> dict[str, Array]:
        """All numbers of a head, [n_row] each: `entropy`, `entropy_null`, `entropy_rows`, of a scan
        `entropy_deviation` and `entropy_q5`, …"""
        named: dict[str, Array] = {}
        for metric, values in self.value.items():
            named[metric] = values
            named[f"{metric}_null"] = self.null[metric]
            named[f"{metric}_rows"] = self.rows[metric]
            if metric in self.deviation:
                named[f"{metric}_deviation"] = self.deviation[metric]
            if metric in self.quantiles:
                for number, level in enumerate(self.levels):
                    named[f"{metric}_q{100 * level:g}"] = self.quantiles[metric][:, number]
        return {"layer": self.layers, "head": self.heads, **named, **self.positions}

    def select(self, selection: Selection) -> HeadTable:
        """The rows of the selected heads."""
        n_head = {id: 1 + int(self.heads[rows].max()) for id, rows in self._by_id().items()}
        records = [_Named(id, count) for id, count in n_head.items()]
        selection.check(records)
        chosen = {(record.id, head) for record in records for head in selection.heads(record)}
        pairs = zip(self.ids, self.heads.tolist(), strict=True)
        return self.take([row for row, pair in enumerate(pairs) if pair in chosen])

    def _by_id(self) -> dict[RecordId, list[int]]:
        rows: dict[RecordId, list[int]] = {}
        for row, id in enumerate(self.ids):
            rows.setdefault(id, []).append(row)
        return rows

    def take(self, which: Sequence[int]) -> HeadTable:
        """Some rows, in this order."""
        rows = np.array(which, np.int64)
        taken: dict[str, Any] = {
            name: {key: array[rows] for key, array in getattr(self, name).items()}
            for name in STORED
        }
        ids = tuple(self.ids[row] for row in which)
        return HeadTable(
            ids=ids, heads=self.heads[rows], levels=self.levels, notes=self.notes, **taken
        )

    def manifest(self, model: ModelFacts, roles: Sequence[str] | None = None) -> dict[str, Any]:
        """What a file says besides the arrays."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "model": model.to_manifest(),
            "ids": list(self.ids),
            "levels": list(self.levels),
            "notes": list(self.notes),
            **({} if roles is None else {"roles": list(roles)}),
        }

    def arrays(self) -> dict[str, Array]:
        """Under the names that they have in a file: `heads`, `value/entropy`, `null/entropy`, …"""
        named = {"heads": self.heads}
        for name, stored in STORED.items():
            named |= {f"{stored}/{key}": array for key, array in getattr(self, name).items()}
        return named


class _Named(NamedTuple):
    """What a selection has to know of a record."""

    id: RecordId
    n_head: int


LIMIT = 1e30
"""No metric, and no number of rows, is larger."""


def table_from_arrays(
    path: Path, manifest: Mapping[str, Any], arrays: Mapping[str, Array]
) -> HeadTable:
    """The table that `manifest` and `arrays`, [n_row, …] each, were made of; also of a scan, which
    writes the same.

    Raises:
        AttnvizError: a higher version, or arrays that do not fit together.
    """
    if manifest.get("version") != VERSION:
        raise AttnvizError(
            f"{path} has version {manifest.get('version')!r} of {FORMAT}; this reads {VERSION}",
            "update attnviz",
        )
    try:
        ids = tuple(RecordId.parse(id) for id in manifest["ids"])
    except (LookupError, TypeError, ValueError, AttnvizError) as error:
        raise AttnvizError(
            f"{path}: the manifest names no heads", "write the file again"
        ) from error
    try:
        levels = tuple(map(float, manifest.get("levels", ())))
        notes = tuple(label(str(note)) for note in manifest.get("notes", ()))
    except (TypeError, ValueError, ArithmeticError) as error:
        raise AttnvizError(
            f"{path}: in the manifest, levels or notes are malformed", "write the file again"
        ) from error
    groups = _by_kind(path, arrays, len(ids))
    known = {name: groups.get(stored, {}) for name, stored in STORED.items()}
    return HeadTable(
        ids=ids,
        heads=groups["heads"][""],
        levels=levels,
        notes=notes,
        **known,
    )


def _by_kind(path: Path, arrays: Mapping[str, Array], n_row: int) -> dict[str, dict[str, Array]]:
    """The arrays of a file by the part of their name before the slash, then by metric."""
    groups: dict[str, dict[str, Array]] = {}
    for name, array in arrays.items():
        if array.shape[:1] != (n_row,) or array.dtype.kind not in "fiu":
            raise AttnvizError(
                f"{path}: {name} has the shape {list(array.shape)}; expected [{n_row}] numbers, "
                "one a head",
                "write the file again",
            )
        if (np.abs(array) > LIMIT).any():
            raise AttnvizError(
                f"{path}: {name} holds numbers beyond any that are measured", "write the file again"
            )
        kind, _, metric = name.partition("/")
        groups.setdefault(kind, {})[metric] = array
    missing = [kind for kind in ("heads", *NEEDED) if kind not in groups]
    if missing:
        raise AttnvizError(f"{path} lacks {', '.join(missing)}", "write the file again")
    unknown = [name for name in METRICS if not any(name in groups[kind] for kind in NEEDED)]
    for kind, fill in zip(NEEDED, (np.nan, np.nan, 0), strict=True):  # the file is older
        groups[kind] |= {name: np.full(n_row, fill) for name in unknown}
    alone = [
        f"{kind}/{metric}"
        for metric in (*METRICS, *groups["value"])
        for kind in NEEDED
        if metric not in groups[kind]
    ]
    if alone:
        more = f" and {len(alone) - 4} more" if len(alone) > 4 else ""
        raise AttnvizError(f"{path} lacks {', '.join(alone[:4])}{more}", "write the file again")
    return groups
