"""Put scoring functions or masks side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from attnviz.cli.command import Command
from attnviz.cli.emit import Report, emit
from attnviz.cli.figure_options import FigureOptions
from attnviz.cli.loading import load
from attnviz.cli.options import SelectedHead, StackOptions, TextInput
from attnviz.cli.spread import spread, whole_numbers
from attnviz.errors import AttnvizError

ORDER = 40

app = typer.Typer(add_completion=False)

TEXT = "I saw a saw"
WIDTHS = "4,16,64,256"

MAX_WIDTHS = 8192
"""Thousands of queries and keys of each width are drawn: seconds of work."""


@app.command(cls=Command)
@spread
def compare(
    selected: SelectedHead,
    stack: StackOptions,
    out: FigureOptions,
    names: Annotated[
        list[str],
        typer.Argument(
            help="Scores ({scores}) or masks (none, {masks}, also joined by +), two or more."
        ),
    ],
    text: Annotated[str, typer.Option(help="The text")] = TEXT,
    widths: Annotated[
        str, typer.Option(help="Widths d_k at which the scores are compared; none for none")
    ] = WIDTHS,
) -> None:
    """Put scoring functions side by side on the same text, or masks.

    attnviz compare additive dot scaled_dot
    attnviz compare causal window:size=3
    """
    names, text = _names_and_text(names, text)
    if len(names) < 2:
        raise AttnvizError("there is nothing to compare", "name two or more")
    from attnviz.analysis.comparison import N_MATRIX, are_scores
    from attnviz.analysis.comparison import compare as compare_names
    from attnviz.cli.inputs import first_head, read_inputs, record
    from attnviz.views.comparison import comparison_views, sharpness_views
    from attnviz.views.naming import file_name, pictures

    are_scores(names)
    (content,) = read_inputs([text], None)
    model = load(stack)
    selection = selected.selection
    stages = ("q", "k", "v", "weights")
    times = 1 + N_MATRIX * len(names)
    trace = record(
        model, content, TextInput(), stages, selection, times=times, fingerprint=out.wants_data
    )
    chosen, head = first_head(trace, selection)
    result = compare_names(chosen, names, _widths(widths))
    views = comparison_views(trace, chosen, head, result.variants, with_scores=result.of_scores)
    heatmaps = pictures(views)
    if result.widths:
        views += sharpness_views(result.widths)
    name = "-".join(map(file_name, names))
    manifest = result.manifest(trace, chosen)
    emit([Report(views, manifest, result.arrays(), heatmaps, name)], out)


def _names_and_text(words: list[str], text: str) -> tuple[list[str], str]:
    """What is compared, and the text: also one that stands among the names in quotes, or whose
    words after `--text` are bare."""
    from attnviz.cli.inputs import joined
    from attnviz.nn.masks import MASKS
    from attnviz.nn.scores import SCORES
    from attnviz.registry import slip

    known = ("none", *SCORES, *MASKS)

    def is_name(word: str) -> bool:
        base = word.partition(":")[0].partition("+")[0]
        return base in known or slip(base, known) is not None

    others = [word for word in words if not is_name(word)]
    quoted = [word for word in others if any(map(str.isspace, word))]
    if text == TEXT and len(others) == len(quoted) == 1:
        return [word for word in words if word not in quoted], quoted[0]
    if text != TEXT and others and not quoted:
        (whole,) = joined([text, *others])
        return [word for word in words if is_name(word)], whole
    return words, text


def _widths(text: str) -> list[int]:
    if text == "none":
        return []
    widths = whole_numbers("widths", text)
    if any(not 0 < width <= 4096 for width in widths):
        raise AttnvizError(
            f"--widths: expected widths from 1 to 4096, got {text}", "--widths 4,16,64,256"
        )
    if sum(widths) > MAX_WIDTHS:
        raise AttnvizError(
            f"--widths: expected at most {MAX_WIDTHS} in all, got {sum(widths)}",
            "--widths 4,16,64,256",
        )
    return widths
