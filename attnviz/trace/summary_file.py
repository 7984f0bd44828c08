"""Summaries in the file of a trace: arrays `ID/summary/NAME`, which readers that do not know them
ignore, and beside the record's other keys `summary` with its steps and heads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.site import Site
from attnviz.nn.types import Array
from attnviz.trace.record import Record, read_only
from attnviz.trace.summary import Summary

KEY = "summary"
MAPS = ("total", "largest", "visible")
LINKS = ("links", "link_keys")
BLOCK = ("rows", "keys", "block", "block_masked")
STATISTICS = "statistics/"


def summary_out(summary: Summary) -> dict[str, Any]:
    """What stands in the manifest."""
    return {
        "heads": list(summary.heads),
        "shape": list(summary.shape),
        "row_step": summary.row_step,
        "key_step": summary.key_step,
    }


def summary_arrays(record: Record) -> dict[str, Array]:
    """The arrays of a record's summary under the names that they have in a file."""
    if record.summary is None:
        return {}
    summary = record.summary
    found = {name: getattr(summary, name) for name in (*MAPS, *LINKS, *BLOCK)}
    found |= {STATISTICS + name: array for name, array in summary.statistics.items()}
    start = f"{record.id}/{KEY}/"
    return {start + name: np.asarray(array) for name, array in found.items() if array is not None}


def summary_in(entry: Mapping[str, Any], site: Site, arrays: Mapping[str, Array]) -> Summary | None:
    """What `summary_out` and `summary_arrays` gave, back.

    Raises:
        LookupError, TypeError, ValueError: a key or an array that is missing or malformed; it is
            named.
    """
    about = entry.get(KEY)
    if about is None:
        return None
    if not isinstance(about, dict):
        raise TypeError(f"'{KEY}'")
    start = f"{site.id}/{KEY}/"
    own = {n.removeprefix(start): read_only(a) for n, a in arrays.items() if n.startswith(start)}
    named = {name: own[name] for name in (*MAPS, *LINKS, *BLOCK) if name in own}
    statistics = {
        name.removeprefix(STATISTICS): array
        for name, array in own.items()
        if name.startswith(STATISTICS)
    }
    for name in (*MAPS, *LINKS):
        if name not in own:
            raise KeyError(start + name)
    return Summary(
        heads=_whole(about, "heads"),
        shape=_whole(about, "shape"),  # type: ignore[arg-type]
        row_step=_whole(about, "row_step")[0],
        key_step=_whole(about, "key_step")[0],
        statistics=statistics,
        **named,
    )


def _whole(about: Mapping[str, Any], key: str) -> tuple[int, ...]:
    """Whole numbers from 0, one or a list of them."""
    values = about[key] if isinstance(about[key], list) else [about[key]]
    if not all(type(value) is int and 0 <= value < 1 << 40 for value in values) or not values:
        raise ValueError(f"'{KEY}.{key}'")
    return tuple(values)


def check_summary(path: Path, record: Record, n_q: int, n_k: int) -> None:
    """The heads, shapes and types of a summary are what the rest relies on, whoever wrote it.

    Raises:
        AttnvizError: they are not; it names the file and the array.
    """
    summary = record.summary
    if summary is None:
        return
    where = f"{path}: {record.id}/{KEY}"
    if summary.shape != (n_q, n_k):
        raise AttnvizError(
            f"{where}: it is of {list(summary.shape)} weights; expected [n_q, n_k] = "
            f"{[n_q, n_k]} by its tokens",
            "write the file again",
        )
    heads = summary.heads
    if list(heads) != sorted(set(heads)) or heads[-1] >= record.n_head:
        raise AttnvizError(
            f"{where}: its heads are {list(heads)}; expected numbers from 0 to "
            f"{record.n_head - 1}, increasing",
            "write the file again",
        )
    if min(summary.row_step, summary.key_step) < 1:
        raise AttnvizError(f"{where}: a step of 0 tokens", "write the file again")
    map_shape = (len(heads), -(-n_q // summary.row_step), -(-n_k // summary.key_step))
    for name, array, kinds, shapes in _expected(summary, map_shape):
        if array is None:
            continue
        if array.dtype.kind not in kinds or array.shape not in shapes:
            raise AttnvizError(
                f"{where}/{name} holds {array.dtype} of the shape {list(array.shape)}; expected "
                f"{'numbers' if 'f' in kinds else 'whole numbers'} {list(shapes[0])}",
                "write the file again",
            )
    _check_places(where, summary, n_q, n_k)
    for name, array in summary.statistics.items():
        if array.dtype.kind not in "fiub" or array.shape[:1] != (len(heads),):
            raise AttnvizError(
                f"{where}/{STATISTICS}{name} holds {array.dtype} of the shape "
                f"{list(array.shape)}; expected numbers, {len(heads)} heads first",
                "write the file again",
            )


def _expected(
    summary: Summary, map_shape: tuple[int, int, int]
) -> list[tuple[str, Array | None, str, tuple[tuple[int, ...], ...]]]:
    """Of each array its name, itself, its kinds of numbers and its shapes."""
    rows, keys = (() if each is None else each.shape for each in (summary.rows, summary.keys))
    n_head = map_shape[0]
    block = (n_head, *rows[:1], *keys[:1])
    links = (n_head, summary.shape[0], *summary.links.shape[2:])
    return [
        ("total", summary.total, "f", (map_shape,)),
        ("largest", summary.largest, "f", (map_shape,)),
        ("visible", summary.visible, "iu", (map_shape, map_shape[1:])),
        ("links", summary.links, "f", (links,)),
        ("link_keys", summary.link_keys, "i", (links,)),
        ("rows", summary.rows, "iu", (rows[:1],)),
        ("keys", summary.keys, "iu", (keys[:1],)),
        ("block", summary.block, "f", (block,)),
        ("block_masked", summary.block_masked, "u", (block, block[1:])),
    ]


def _check_places(where: str, summary: Summary, n_q: int, n_k: int) -> None:
    """A block comes with its rows and keys, which are positions in increasing order; links go to
    keys that exist."""
    parts = (summary.rows, summary.keys, summary.block)
    if any(part is None for part in parts) and not all(part is None for part in parts):
        raise AttnvizError(
            f"{where}: of rows, keys and block some are missing", "write the file again"
        )
    keys = summary.link_keys
    if keys.size and not -1 <= keys.min() <= keys.max() < n_k:
        raise AttnvizError(
            f"{where}/link_keys: expected positions from 0 to {n_k - 1}, or -1",
            "write the file again",
        )
    for name, places, count in (("rows", summary.rows, n_q), ("keys", summary.keys, n_k)):
        if places is None:
            continue
        increases = bool((np.diff(places.astype(np.int64)) > 0).all())
        if not places.size or not increases or places[0] < 0 or places[-1] >= count:
            raise AttnvizError(
                f"{where}/{name}: expected positions from 0 to {count - 1}, increasing",
                "write the file again",
            )
