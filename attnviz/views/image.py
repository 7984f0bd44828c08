"""A vision model's attention over the image, and beside it what its answer depends on."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz.analysis.patch_maps import (
    FAR,
    Outliers,
    PatchMaps,
    first_shares,
    most_probable,
    patch_maps,
)
from attnviz.language import say
from attnviz.nn.types import Array
from attnviz.trace.record import Trace
from attnviz.trace.selection import Selection
from attnviz.views.attention import findings_text, header
from attnviz.views.kinds import Line, Picture, Scale, Table, Text, View, around_zero

ANSWERS = 3

MAX_OUTLIERS = 8
"""Outliers that are named."""

MAX_MAPS = 24
"""Heads that are shown one by one, unless they were chosen."""


def image_views(
    trace: Trace,
    selection: Selection,
    image: Array,
    patches: tuple[int, int],
    *,
    query: int | None = 0,
    probabilities: Array | None = None,
    answer: Sequence[View] = (),
    covered: str = "",
    outliers: Outliers | None = None,
) -> list[View]:
    """The model, its answer, where a token looks, and what the answer depends on.

    Args:
        image: [height, width] or [height, width, 3], 0 to 1. patches: rows and columns.
        query: the token whose attention is shown; None for the query that pools the patches.
        probabilities: [n_class], of a model that classifies.
        answer: what shows the reasons for the answer.
        covered: which part of the user's image the patches cover.
        outliers: patches of which attention says little.
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
    lines = [Line(covered, say("patches"))] if covered else []
    if outliers is not None and outliers.patches:
        lines.append(Line(_outliers_text(outliers, patches), say("outliers"), "note"))
    if lines:
        views.append(Text(tuple(lines)))
    if text := findings_text(trace, selection):
        views.append(text)
    return views


def covered_text(
    window: tuple[float, float, float, float], size: tuple[int, int], grid: tuple[int, int]
) -> str:
    """Where the patches are in the user's image.

    Args:
        window: top, left, bottom and right edge, in its pixels. size: its height and width.
        grid: rows and columns of patches.
    """
    top, left, bottom, right = window
    return say(
        "{rows} × {columns}, named row,column from 0,0 at the top left; of the file's "
        "{width} × {height} pixels, counted from the top left, they cover {left:.0f} to "
        "{right:.0f} across and {top:.0f} to {bottom:.0f} down, a patch {across:.3g} × {down:.3g}",
        rows=grid[0],
        columns=grid[1],
        height=size[0],
        width=size[1],
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        across=(right - left) / grid[1],
        down=(bottom - top) / grid[0],
    )


def covered_patch_text(patch: str, window: tuple[float, float, float, float]) -> str:
    """The same of one patch."""
    top, left, bottom, right = window
    return say(
        "patch {patch} covers {left:.0f} to {right:.0f} across and {top:.0f} to {bottom:.0f} down",
        patch=patch,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
    )


def _outliers_text(outliers: Outliers, grid: tuple[int, int]) -> str:
    named = [
        say("{patch} ({ratio:.1f} times)", patch=f"{i // grid[1]},{i % grid[1]}", ratio=ratio)
        for i, ratio in zip(outliers.patches, outliers.ratios, strict=True)
    ]
    return say(
        "{n} of {n_patch} patches end as vectors more than {limit:g} times as long as the median: "
        "{patches}; there a model keeps what concerns the whole image (Darcet et al. 2024), so "
        "attention on them says little about what they show",
        n=len(named),
        n_patch=grid[0] * grid[1],
        limit=FAR,
        patches=", ".join(named[:MAX_OUTLIERS]) + (", …" if len(named) > MAX_OUTLIERS else ""),
    )


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
    table = Table(say("the most probable"), (say("class"), say("probability")), rows)
    if trace.answer is not None:  # which stands in the header by itself
        return [], [table]
    text = say("{answer}, with probability {share:.3f}", answer=rows[0][0], share=rows[0][1])
    return [Line(text, say("answer"), "head")], [table]


def _attention(
    trace: Trace,
    selection: Selection,
    image: Array,
    patches: tuple[int, int],
    query: int | None,
) -> list[View]:
    """Each head's map if they were chosen or are few, else the mean of each layer and the heads of
    the last."""
    maps = patch_maps(trace, selection, query, patches)
    names = trace.streams["source"].labels
    firsts = names[: len(names) - patches[0] * patches[1]]
    looks = _looks(names, len(firsts), query)
    if not maps:
        return []
    if selection.clauses or sum(len(each.heads) for each in maps) <= MAX_MAPS:
        title = looks + " · " + say("by layer and head")
        return [_by_head(title, image, maps, _first_text(maps, firsts, query))]
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
            (*_first_text(means, firsts, query), _ends(means), shown),
        ),
        _by_head(
            looks + " · " + say("by head of the last layer"),
            image,
            last,
            _first_text(last, firsts, query),
        ),
    ]


def _looks(names: Sequence[str], n_first: int, query: int | None) -> str:
    """Whose attention is shown."""
    if query is None:
        return say("where the query that pools the patches looks")
    if query == 0 and n_first:
        return say("where the class token looks")
    if query < n_first:
        return say("where {token} looks", token=names[query])
    return say("where patch {patch} looks", patch=names[query])


def _by_head(title: str, image: Array, maps: Sequence[PatchMaps], notes: Sequence[str]) -> Picture:
    """A row for each layer, a column for each head of any."""
    columns = sorted({head for each in maps for head in each.heads})
    return Picture(
        title,
        image,
        tuple(tuple(each.head(head) for head in columns) for each in maps),
        tuple(each.name for each in maps),
        tuple(f"H{head}" for head in columns),
        _scale(maps),
        tuple(notes),
    )


def _scale(maps: Sequence[PatchMaps]) -> Scale:
    return Scale(0.0, max(each.largest for each in maps))


def _ends(maps: Sequence[PatchMaps]) -> str:
    """How much the same colour means in each of several maps."""
    ends = ", ".join(f"L{each.layer} {each.largest:.2g}" for each in maps)
    return say("each map has its own scale, from 0 to: {ends}", ends=ends)


def _first_text(maps: Sequence[PatchMaps], names: Sequence[str], query: int | None) -> list[str]:
    """What is given to tokens that are no patches, if there are such keys."""
    shares = first_shares(maps)
    if not len(shares):
        return []
    if len(shares) > 1:
        each = ", ".join(f"{name} {share:.0%}" for name, share in zip(names, shares, strict=True))
        return [
            say("not drawn, as these are no patches: on average it gives {shares}", shares=each)
        ]
    if query == 0:
        return [
            say(
                "the class token gives itself {share:.0%} on average, which is not drawn",
                share=shares[0],
            )
        ]
    return [
        say("it gives the class token {share:.0%} on average, which is not drawn", share=shares[0])
    ]
