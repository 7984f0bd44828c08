"""A number of every head as layers × heads, a heatmap for each block and kind of attention."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from attnviz.analysis.informative import HeadInformation, most_informative
from attnviz.language import say, to_say
from attnviz.nn.site import RecordId
from attnviz.nn.types import Array, Bool
from attnviz.views.kinds import Axis, Heatmap, Scale, around_zero, indices

LEFT_OUT = to_say("not shown or not defined")


class HeadMap(NamedTuple):
    """The heads of one block and kind."""

    block: str
    kind: str
    rows: Array
    """[n_of_map]: their numbers among all heads that were passed in."""
    heatmap: Heatmap

    def titled(self, what: str, *notes: str) -> Heatmap:
        """With a title that says which heads these are, and with notes."""
        named = "" if self.block == "array" else f"{self.block} {self.kind} · "
        title = say("{what} by layer and head", what=what)
        return self.heatmap._replace(title=named + title, notes=notes)


def head_maps(
    ids: Sequence[RecordId],
    heads: Array,
    values: Array,
    scale: Scale,
    defined: Bool | None = None,
    reason: str = LEFT_OUT,
) -> Iterator[HeadMap]:
    """The maps of [n_head] values, without titles.

    Args:
        ids: of each head's record, `encoder.0.self`. heads: the number of each in its record.
        defined: where not, a cell looks like that of a head that is not there.
        reason: why there is nothing in a cell.
    """
    defined = np.ones(len(ids), bool) if defined is None else defined
    layers = np.array([id.layer for id in ids])
    for block, kind in dict.fromkeys(id.group for id in ids):
        rows = np.flatnonzero([id.group == (block, kind) for id in ids])
        numbers = sorted(set(layers[rows].tolist()))
        cells = np.full((len(numbers), int(heads[rows].max()) + 1), np.nan)
        position = np.searchsorted(numbers, layers[rows]), heads[rows]
        cells[position] = values[rows]
        shown = np.zeros(cells.shape, bool)
        shown[position] = defined[rows]
        heatmap = Heatmap(
            title="",
            values=cells,
            rows=_layers(numbers),
            columns=indices(say("head"), cells.shape[1]),
            scale=scale,
            masked=np.where(shown, 0, 1) if not shown.all() else None,
            reasons=(say(reason) if reason == LEFT_OUT else reason,),
        )
        yield HeadMap(block, kind, rows, heatmap)


def information_maps(heads: Sequence[HeadInformation]) -> list[Heatmap]:
    """How informative each head is: of heads that are too many to be drawn."""
    values = np.array([each.mutual_information for each in heads])
    defined = np.isfinite([each.max_entropy for each in heads])
    numbers = np.array([each.head for each in heads])
    maps = head_maps([each.id for each in heads], numbers, values, around_zero(values), defined)
    about = say(
        "{n} heads are too many to draw. Shown is how much each head's rows differ: the mutual "
        "information of query and key, in nats, above that of an even spread. Below 0 the rows "
        "are more alike than the mask makes them.",
        n=len(heads),
    )
    return [
        each.titled(say("mutual information"), about, _how_to_draw(heads, each))._replace(
            small=True
        )
        for each in maps
    ]


def _how_to_draw(heads: Sequence[HeadInformation], of_map: HeadMap) -> str:
    """How to see heads of a map: for example those of the layer of its most informative one."""
    (best,) = most_informative([heads[row] for row in of_map.rows], 1)
    return say("-s L{n} draws the heads of layer {n}, with the most informative one",
               n=best.id.layer)  # fmt: skip


def _layers(numbers: Sequence[int]) -> Axis:
    """Named where there are gaps; else the indices are the layers' numbers."""
    if numbers[-1] - numbers[0] < len(numbers):
        return indices(say("layer"), len(numbers), numbers[0])
    return Axis(say("layer"), tuple(f"L{layer}" for layer in numbers))
