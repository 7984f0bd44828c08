"""What makes a stage of a port deviate: mistakes that are tried in the block where it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.computation import computation
from attnviz.analysis.diagnose.facts import Facts
from attnviz.analysis.diagnose.masking import recognised
from attnviz.analysis.diagnose.port.blocks import (
    Block,
    Start,
)
from attnviz.analysis.diagnose.port.mistakes import PORT_MISTAKES, other_embeddings
from attnviz.analysis.diagnose.port.rows import (
    Fitted,
    Row,
    apart,
    total,
)
from attnviz.analysis.diagnose.port.stages import (
    At,
)
from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.nn.embedding import Embedding
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.transformer import attentions
from attnviz.nn.types import Array

NEARER = 0.5
"""A mistake that leaves less than this part of the deviation may be one of two."""


MOST_PAIRED = 5


@dataclass(frozen=True)
class PortCause:
    """A mistake that makes the first deviating stage what the dump has."""

    id: str
    """Of the catalogue; `port` where it has none."""
    names: tuple[str, ...]
    """The functions that make it, one or two."""
    titles: tuple[str, ...]
    """What was done, as it follows `your numbers are what you get with`: to be said."""
    words: tuple[str, ...]
    """What the titles do not say."""
    rms: float
    """What is left of the difference."""
    explained: tuple[str, ...]
    """The stages of the layer that it makes right."""

    def text(self) -> str:
        """`no RoPE`, `a bias left out: query`."""
        each = zip(self.titles, self.words, strict=True)
        return " + ".join(say(title) + (f": {words}" if words else "") for title, words in each)

    def manifest(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "id": self.id,
            "name": list(self.names),
            "what": [
                f"{title}: {words}" if words else str(title)
                for title, words in zip(self.titles, self.words, strict=True)
            ],
            "parameter": {"how": list(self.words)} if any(self.words) else {},
            "rms": self.rms,
            "explains": list(self.explained),
        }


# what explains it


class _Tried(NamedTuple):
    names: tuple[str, ...]
    ids: tuple[str, ...]
    titles: tuple[str, ...]
    words: tuple[str, ...]
    block: Any
    rms: float
    largest: float
    explained: tuple[str, ...]

    def cause(self) -> PortCause:
        id = "+".join(dict.fromkeys(self.ids))
        return PortCause(id, self.names, self.titles, self.words, self.rms, self.explained)


def causes_of(block: Block, first: Row) -> list[PortCause]:
    """Single mistakes that explain the first deviating stage; if there is none, two at once."""
    fit = next(fit for given, fit in block.found if given.name == first.name)
    if fit is None:
        return []
    floor = block.floors[fit.at]
    singles = [*_tried(block, block.place.block, fit)]
    good = [each for each in singles if each.rms <= floor.rms and each.largest <= floor.largest]
    if not good:
        near = [each for each in singles if each.rms < NEARER * first.rms]
        for one in sorted(near, key=lambda each: each.rms)[:MOST_PAIRED]:
            pairs = _tried(block, one.block, fit)
            good += [
                _both(one, other)
                for other in pairs
                if other.rms <= floor.rms and other.largest <= floor.largest
            ]
    good.sort(key=lambda each: -len(each.explained))
    most = [each for each in good if len(each.explained) == len(good[0].explained)]
    return [each.cause() for each in most]


def _both(one: _Tried, other: _Tried) -> _Tried:
    return other._replace(
        names=one.names + other.names,
        ids=one.ids + other.ids,
        titles=one.titles + other.titles,
        words=one.words + other.words,
    )


def _tried(block: Block, start: Any, fit: Fitted) -> Iterator[_Tried]:
    """Every mistake of a port in every way: what is left of the difference."""
    for entry in PORT_MISTAKES.values():
        for change in entry.function(start):
            try:
                stages = block.place.run(block.x, change.block)
            except (AttnvizError, ValueError, IndexError):
                continue  # shapes of this model do not allow the mistake
            theirs = stages.get(fit.at)
            if theirs is None or theirs.shape != fit.array.shape:
                continue
            gap = apart(theirs, fit.array)
            explained = tuple(
                each.at.name
                for _, each in block.found
                if each is not None and each.at in stages and _holds(stages[each.at], each, block)
            )
            yield _Tried(
                (entry.name,), (change.id or entry.id,), (entry.title,), (change.words,),
                change.block, total(gap), float(gap.max(initial=0)), explained,
            )  # fmt: skip


def _holds(ours: Array, fit: Fitted, block: Block) -> bool:
    if ours.shape != fit.array.shape:
        return False
    gap, floor = apart(ours, fit.array), block.floors[fit.at]
    return total(gap) <= floor.rms and float(gap.max(initial=0)) <= floor.largest


def embedding_causes(start: Start, first: Row) -> list[PortCause]:
    """What explains a hidden state that the first block reads."""
    if start.theirs is None or not isinstance(start.embed, Embedding):
        return []
    found = []
    for title, embed in other_embeddings(start.embed):
        gap = apart(embed(start.inputs), start.theirs)
        if total(gap) <= start.floor.rms and gap.max() <= start.floor.largest:
            cause = PortCause("port", ("other_embeddings",), (title,), ("",), total(gap),
                              (first.at.name,))  # fmt: skip
            found.append(cause)
    return found


def causes_before(start: Start, block: Block, first: Row) -> list[PortCause]:
    """What explains the first stage of the first block by what it reads, where the dump does not
    say what that is."""
    fit = next(fit for given, fit in block.found if given.name == first.name)
    if fit is None or not isinstance(start.embed, Embedding):
        return []
    found = []
    for title, embed in other_embeddings(start.embed):
        ours = block.place.run(embed(start.inputs)).get(fit.at)
        if ours is not None and _holds(ours, fit, block):
            left = total(apart(ours, fit.array))
            found.append(PortCause("port", ("other_embeddings",), (title,), ("",), left,
                                   (first.at.name,)))  # fmt: skip
    return found


def case_of(block: Block, first: Row, dtype: str) -> Case | None:
    """The attention of a block in which scores, weights or context are the first to deviate: of the
    dump's q, k and v, where it has them and they fit, else of ours, which its inputs give."""
    if first.at.stage not in ("scores", "logits", "weights", "context"):
        return None
    kind = first.at.kind
    own = next((a for a in attentions(block.place.block) if a.kind == kind), None)
    if own is None or own.score_name.partition(":")[0] != "scaled_dot":
        return None
    at = first.at

    def stage(name: str) -> At:
        return At(at.stack, at.layer, name, kind)

    fits = {fit.at: fit.array for _, fit in block.found if fit is not None}
    rights = {each.at for each in block.rows if each.holds}
    q, k, v = (
        fits[stage(name)] if stage(name) in rights else block.ours[stage(name)] for name in "qkv"
    )
    given = {
        name: fits[stage(name)][None]
        for name in ("scores", "logits", "weights", "context")
        if stage(name) in fits
    }
    wanted = _computation(block, own, q, k, v)
    return Case(wanted=wanted, given=given, dtype=dtype, layout="bhnd")


def _computation(block: Block, own: MultiHeadAttention, q: Array, k: Array, v: Array) -> Any:
    n_q, n_k = q.shape[-2], k.shape[-2]
    visible = block.ours.get(At(block.place.stack, block.place.layer, "mask", own.kind))
    bias = None if own.bias is None else own.bias(np.arange(n_q), np.arange(n_k))
    masking = {} if visible is None else {"masking": recognised(visible, n_q)}
    return computation(
        q[None].astype(np.float64),
        k[None].astype(np.float64),
        v[None].astype(np.float64),
        scale=q.shape[-1] ** -0.5 if own.scale is None else own.scale,
        softcap=own.softcap or 0.0,
        bias=None if bias is None else np.asarray(bias, np.float64)[None],
        sinks=own.sinks,
        facts=Facts(d_model=own.query.weight.shape[1]),
        **masking,
    )
