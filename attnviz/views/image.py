"""A vision model's attention over the image, and beside it what its answer depends on."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz.analysis.patch_maps import PatchMaps, class_token_share, most_probable, patch_maps
from attnviz.nn.types import Array
from attnviz.trace.record import Trace
from attnviz.trace.selection import Selection
from attnviz.views.attention import findings_text, header
from attnviz.views.kinds import Line, Picture, Scale, Table, Text, View, around_zero

ANSWERS = 3

MAX_MAPS = 24
"""Heads that are shown one by one, unless they were chosen."""


def image_views(
    trace: Trace,
    selection: Selection,
    image: Array,
    patches: tuple[int, int],
    *,
    query: int = 0,
    probabilities: Array | None = None,
    answer: Sequence[View] = (),
) -> list[View]:
    """The model, its answer, where a token looks, and what the answer depends on.

    Args:
        image: [height, width] or [height, width, 3], 0 to 1. patches: rows and columns.
        query: the token whose attention is shown; 0 is the class token.
        probabilities: [n_class], of a model that classifies.
        answer: what shows the reasons for the answer.
    """
    top = header(trace)
    rest = tuple(line for line in top.lines[1:] if line.term != "tokens")  # names of patches
    first, best = _answer(trace, probabilities)
    views: list[View] = [
        Text((top.lines[0], *first, *rest)),
        *best,
        *_attention(trace, selection, image, patches, query),
        *answer,
    ]
    if text := findings_text(trace, selection):
        views.append(text)
    return views


def slope_picture(image: Array, slopes: Array, answer: str) -> Picture:
    """How steeply the answer's logit changes with each pixel: slopes [height, width], from 0."""
    return Picture(
        f"what the answer {answer} hangs on: |∂ logit / ∂ pixel|",
        image,
        ((slopes,),),
        ("",),
        ("saliency",),
        Scale(0.0, float(slopes.max())),
        ("by central differences; not attention: a pixel may matter where no head looks",),
    )


def drop_picture(image: Array, drops: Array, answer: str) -> Picture:
    """How far the answer's logit drops without each patch: drops [row, column]."""
    return Picture(
        f"what the answer {answer} hangs on: how far its logit drops without a patch",
        image,
        ((drops,),),
        ("",),
        ("saliency",),
        around_zero(drops),
        (
            "by giving each patch the image's mean colour; below 0, the logit rises without it",
            "not attention: a patch may matter where no head looks",
        ),
    )


def _answer(trace: Trace, probabilities: Array | None) -> tuple[list[Line], list[View]]:
    if probabilities is None:
        return [Line("none: the model has no classifier", "answer", "note")], []
    names = trace.model.outputs
    rows = tuple((names[i], share) for i, share in most_probable(probabilities, ANSWERS))
    text = f"{rows[0][0]}, with probability {rows[0][1]:.3f}"
    return [Line(text, "answer", "head")], [
        Table("the most probable", ("class", "probability"), rows)
    ]


def _attention(
    trace: Trace, selection: Selection, image: Array, patches: tuple[int, int], query: int
) -> list[View]:
    """Each head's map if they were chosen or are few, else the mean of each layer and the heads of
    the last."""
    maps = patch_maps(trace, selection, query, patches)
    who = "the class token" if query == 0 else f"patch {trace.streams['source'].labels[query]}"
    looks = f"where {who} looks: attention"
    if selection.clauses or sum(len(each.heads) for each in maps) <= MAX_MAPS:
        title = f"{looks}, by layer and head"
        return [_by_head(title, image, maps, _class_token_text(maps, query))]
    last = maps[-1:]
    shown = (
        f"{len(maps)} layers with {len(maps[0].heads)} heads each: shown are the mean of each "
        f"layer's heads, and the heads of L{last[0].layer}; -s L0-2 or -s L5.H3 shows others"
    )
    means = [each.mean() for each in maps]
    return [
        Picture(
            f"{looks}, the mean of each layer's heads",
            image,
            (tuple(mean.patches[0] for mean in means),),
            ("",),
            tuple(f"L{mean.layer}" for mean in means),
            _scale(means)._replace(by="map"),
            (_class_token_text(means, query), _ends(means), shown),
        ),
        _by_head(
            f"{looks}, by head of the last layer", image, last, _class_token_text(last, query)
        ),
    ]


def _by_head(title: str, image: Array, maps: Sequence[PatchMaps], note: str) -> Picture:
    """A row for each layer, a column for each head of any."""
    columns = sorted({head for each in maps for head in each.heads})
    return Picture(
        title,
        image,
        tuple(tuple(each.head(head) for head in columns) for each in maps),
        tuple(f"L{each.layer}" for each in maps),
        tuple(f"H{head}" for head in columns),
        _scale(maps),
        (note,),
    )


def _scale(maps: Sequence[PatchMaps]) -> Scale:
    return Scale(0.0, max(each.largest for each in maps))


def _ends(maps: Sequence[PatchMaps]) -> str:
    """How much the same colour means in each of several maps."""
    ends = ", ".join(f"L{each.layer} {each.largest:.2g}" for each in maps)
    return f"each map has a scale of its own, from 0 to: {ends}"


def _class_token_text(maps: Sequence[PatchMaps], query: int) -> str:
    share = class_token_share(maps)
    if query == 0:
        return f"the class token looks at itself with {share:.0%} on average, which is not drawn"
    return f"it looks at the class token with {share:.0%} on average, which is not drawn"
