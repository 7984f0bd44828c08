"""The column that somebody means: by its name, by what stands above it, or by the beginning."""

from __future__ import annotations

import re
from collections.abc import Iterable

from attnviz.analysis.metrics.registry import METRICS
from attnviz.errors import AttnvizError
from attnviz.registry import slip

NEAR = 5
"""How many names a refusal offers at most."""

ALL = "attnviz heads --explain says what every metric is"


def column_title(column: str) -> str:
    """What stands above a column, in the reader's language; a file may have metrics that nobody
    here knows."""
    return METRICS[column].title if column in METRICS else column


def find_column(text: str, known: Iterable[str], option: str, what: str = "column") -> str:
    """The column that a text means: `previous_token`, `previous token`, `previous`, `prev`.

    Args:
        known: all columns. option, what: for the message.

    Raises:
        AttnvizError: none, or several.
    """
    columns = list(known)
    if text in columns:
        return text
    names = {column: _names(column) for column in columns}
    wanted = _plain(text)
    for fits in (_is, _begins, _has_word):
        found = [c for c in columns if wanted and any(fits(name, wanted) for name in names[c])]
        if (best := _shortest(found)) is not None:
            return best
        if found:
            raise AttnvizError(f"{option}: {text!r} may be several columns", _offer(found))
    raise AttnvizError(f"{option}: there is no {what} {text!r}", _nearest(wanted, names))


def _names(column: str) -> tuple[str, ...]:
    heading = METRICS[column].heading if column in METRICS else ""
    return tuple(dict.fromkeys(map(_plain, (column, heading, column_title(column)))))


def _plain(name: str) -> str:
    """Without case, units and signs: `spread (keys)` is `spread keys`."""
    return " ".join(re.findall(r"\w+", name.casefold().replace("_", " ")))


def _is(name: str, wanted: str) -> bool:
    return name == wanted


def _begins(name: str, wanted: str) -> bool:
    return name.startswith(wanted)


def _has_word(name: str, wanted: str) -> bool:
    return f" {wanted}" in name


def _shortest(columns: list[str]) -> str | None:
    """The one that all the others begin with, as `entropy_null` begins with `entropy`."""
    if not columns:
        return None
    best = min(columns, key=len)
    return best if all(column.startswith(best) for column in columns) else None


def _nearest(wanted: str, names: dict[str, tuple[str, ...]]) -> str:
    """The hint for a name that is none: those that look like it, if any do."""
    spelled: dict[str, str] = {}
    for column, each in names.items():
        for part in (*each, *(word for name in each for word in name.split() if len(word) > 2)):
            spelled.setdefault(part, column)
    if guess := slip(wanted, spelled):
        return f"did you mean `{spelled[guess]}`? {ALL}"
    words = [word for word in wanted.split() if len(word) > 2]
    near = [c for c in names if any(word in name for word in words for name in names[c])]
    return _offer(near) if near else ALL


def _offer(columns: list[str]) -> str:
    """Those that add nothing to the name of another, as `_null` and `_rows` do."""
    first = [c for c in columns if not any(c != o and c.startswith(f"{o}_") for o in columns)]
    more = f" and {len(first) - NEAR} more" if len(first) > NEAR else ""
    return f"one of {', '.join(first[:NEAR])}{more}; {ALL}"
