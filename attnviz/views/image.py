"""A vision model's attention over the image, and beside it what its answer depends on."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz.analysis.patch_maps import PatchMaps, class_token_share, most_probable, patch_maps
from attnviz.language import say
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
    rest = tuple(line for line in top.lines[1:] if line.term != say("tokens"))  # names of patches
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
        say("what the answer {answer} depends on: |∂ logit / ∂ pixel|", answer=answer),
        image,
        ((slopes,),),
        ("",),
        (say("saliency"),),
        Scale(0.0, float(slopes.max())),
        (say("by central differences; not attention: a pixel may matter where no head looks"),),
    )


def drop_picture(image: Array, drops: Array, answer: str) -> Picture:
    """How far the answer's logit drops without each patch: drops [row, column]."""
    return Picture(
        say(
            "what the answer {answer} depends on: how far its logit drops without a patch",
            answer=answer,
        ),
        image,
        ((drops,),),
        ("",),
        (say("saliency"),),
        around_zero(drops),
        (
            say("each patch is given the image's mean colour; below 0, the logit rises without it"),
            say("not attention: a patch may matter where no head looks"),
        ),
    )


def _answer(trace: Trace, probabilities: Array | None) -> tuple[list[Line], list[View]]:
    if probabilities is None:
        return [Line(say("none: the model has no classifier"), say("answer"), "note")], []
    names = trace.model.outputs
    rows = tuple((names[i], share) for i, share in most_probable(probabilities, ANSWERS))
    text = say("{answer}, with probability {share:.3f}", answer=rows[0][0], share=rows[0][1])
    return [Line(text, say("answer"), "head")], [
        Table(say("the most probable"), (say("class"), say("probability")), rows)
    ]


def _attention(
    trace: Trace, selection: Selection, image: Array, patches: tuple[int, int], query: int
) -> list[View]:
    """Each head's map if they were chosen or are few, else the mean of each layer and the heads of
    the last."""
    maps = patch_maps(trace, selection, query, patches)
    patch = trace.streams["source"].labels[query]
    looks = (
        say("where the class token looks")
        if query == 0
        else say("where patch {patch} looks", patch=patch)
    )
    if selection.clauses or sum(len(each.heads) for each in maps) <= MAX_MAPS:
        title = looks + " · " + say("by layer and head")
        return [_by_head(title, image, maps, _class_token_text(maps, query))]
    last = maps[-1:]
    shown = say(
        "{n_layer} layers with {n_head} heads each: the mean of each layer's heads is shown, and "
        "the heads of L{last}; -s L0-2 or -s L5.H3 shows others",
        n_layer=len(maps),
        n_head=len(maps[0].heads),
        last=last[0].layer,
    )
    means = [each.mean() for each in maps]
    return [
        Picture(
            looks + " · " + say("the mean of each layer's heads"),
            image,
            (tuple(mean.patches[0] for mean in means),),
            ("",),
            tuple(f"L{mean.layer}" for mean in means),
            _scale(means)._replace(by="map"),
            (_class_token_text(means, query), _ends(means), shown),
        ),
        _by_head(
            looks + " · " + say("by head of the last layer"),
            image,
            last,
            _class_token_text(last, query),
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
    return say("each map has its own scale, from 0 to: {ends}", ends=ends)


def _class_token_text(maps: Sequence[PatchMaps], query: int) -> str:
    share = class_token_share(maps)
    if query == 0:
        return say(
            "the class token gives itself {share:.0%} on average, which is not drawn", share=share
        )
    return say("it gives the class token {share:.0%} on average, which is not drawn", share=share)
