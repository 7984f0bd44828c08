"""Compare two texts, models, heads or files."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnviz.cli.command import Command
from attnviz.cli.emit import Report, emit, talk
from attnviz.cli.inputs import as_shown
from attnviz.cli.options import FileInput, LookOptions, OutputOptions, StackOptions, TextInput
from attnviz.cli.progress import progress
from attnviz.cli.sides import Side, check_uses, read_sides, side_b
from attnviz.cli.spread import one_of, set_options, spread
from attnviz.errors import AttnvizError

if TYPE_CHECKING:
    from attnviz.analysis.difference import Cell, Difference, HeadDifference
    from attnviz.nn.types import Array
    from attnviz.trace.record import Trace

ORDER = 50

app = typer.Typer(add_completion=False)

FORMAT = "attnviz-difference"
VERSION = 1


@app.command(cls=Command)
@spread
def diff(
    texts: TextInput,
    files: FileInput,
    stack: StackOptions,
    look: LookOptions,
    out: OutputOptions,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="A and B: each a text, or a file as `attnviz show` reads it. Without B, the same "
            "as A but for --with and --without.",
            metavar="A [B]",
            show_default=False,
        ),
    ] = None,
    with_: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="KEY=VALUE",
            help="In what B differs: model=, select= (its heads), any field of the stack (mask=, "
            "temperature=, seed=, …), ids=, pair=, target=; of files array=, batch=, tokens=, "
            "key-tokens=. Repeatable.",
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Heads that B loses (what they give is 0): L0.H1. Repeatable."),
    ] = None,
    fail_above: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Exit code 1 if any two cells differ by more than X; also if a head or a token "
            "has no counterpart, a mask hides a cell on one side only, or anything is NaN.",
        ),
    ] = None,
) -> None:
    """Compare the attention of two texts, models, heads or files: B less A, head by head.

    Tokens are aligned; cells are compared where both sides have the query and the key.

    attnviz diff "I saw a saw" "I saw a cat"
    attnviz diff "I saw a saw" --with mask=causal
    attnviz diff "I saw a saw" --without L0.H1
    attnviz diff "I saw a saw" -m random --with seed=1
    attnviz diff "I saw a saw" -s L0.H1 --with select=L1.H2
    attnviz diff expected.npz found.npz --fail-above 1e-5
    """
    from attnviz.analysis.agreement import disagreements
    from attnviz.analysis.difference import STAGES, compare
    from attnviz.analysis.pairing import pair_by_place, pair_in_order
    from attnviz.views.difference import difference_views

    stage = one_of("stage", look.stage, STAGES)
    _check_limit(fail_above)
    options = set_options(texts, files)
    source_a, source_b = _two(sources or [], texts.ids)
    a = Side(
        name="A",
        source=source_a,
        options=options if stack.model is None else {**options, "model": stack.model},
        changes=stack.changes,
        select=look.selection,
    )
    b = side_b(a, source_b, with_ or (), without or ())
    if source_b is None and b == a._replace(name="B"):
        raise AttnvizError(
            "there is nothing to compare with: B would be the same as A",
            "name a second text or file, or what differs: --with mask=causal, --without L0.H1",
        )
    check_uses(a, b)
    read = read_sides(a, b, (stage,), stack.download, out.wants_data)
    traces = as_shown(read[0], look), as_shown(read[1], look)
    if a.select == b.select:
        pairing = pair_by_place(*traces, a.select)
    else:
        pairing = pair_in_order(*traces, a.select, b.select)
    with progress("heads") as bar:
        found = compare(*traces, pairing, stage, bar)
    failed = None if fail_above is None else disagreements(*traces, found, fail_above)
    names = [str(side.file or "") for side in (a, b)]
    views = difference_views(*traces, found, (names[0], names[1]), look.top)
    manifest = {**_manifest(*traces, found), "fail_above": fail_above, "disagreements": failed}
    arrays = _arrays(*traces, found) if out.wants_data else {}
    emit([Report(views, manifest, arrays)], out)
    if failed:
        for text in failed:
            talk(f"differs: {text}")
        raise typer.Exit(1)


def _check_limit(fail_above: float | None) -> None:
    if fail_above is not None and not 0 <= fail_above < math.inf:
        raise AttnvizError(
            f"--fail-above: expected a number from 0, got {fail_above:g}", "--fail-above 1e-5"
        )


def _two(sources: list[str], ids: str | None) -> tuple[str | None, str | None]:
    """A and B as far as they are named."""
    if len(sources) > 2:
        raise AttnvizError(
            f"expected A and B, got {len(sources)} texts or files",
            "put a text of several words in quotes",
        )
    if ids is not None and sources:
        raise AttnvizError(
            "give a text or --ids, not both", "attnviz diff --ids 1,2,3 --with ids=1,2,4"
        )
    if ids is None and not sources:
        raise AttnvizError(
            "there is nothing to compare", 'attnviz diff "I saw a saw" "I saw a cat"'
        )
    first, second = [*sources, None, None][:2]
    return first, second


def _manifest(a: Trace, b: Trace, found: Difference) -> dict[str, Any]:
    from attnviz.analysis.difference import REASONS

    return {
        "format": FORMAT,
        "version": VERSION,
        "stage": found.stage,
        "a": _side(a),
        "b": _side(b),
        "aligned": [
            {"a": names[0], "b": names[1], "places": [list(x.a), list(x.b)], "whole": x.whole}
            for names, x in found.alignments.items()
        ],
        "heads": [_head(head) for head in found.heads],
        "only_a": list(map(str, found.pairing.only_a)),
        "only_b": list(map(str, found.pairing.only_b)),
        "reasons": ["", *REASONS],
    }


def _side(trace: Trace) -> dict[str, Any]:
    tokens = {name: list(stream.tokens) for name, stream in trace.streams.items()}
    return {"model": dict(trace.model), "tokens": tokens}


def _head(head: HeadDifference) -> dict[str, Any]:
    return {
        "a": str(head.pair.a),
        "b": str(head.pair.b),
        "cells": head.n_cell,
        "largest": _number(head.largest),
        "at": _cell(head.at),
        "rms": _number(head.rms),
        "variation": _number(head.variation),
        "divergence": _number(head.divergence),
        "hidden_once": head.hidden_once,
        "nan": head.n_broken,
        "first_nan": _cell(head.broken),
    }


def _cell(cell: Cell | None) -> dict[str, Any] | None:
    """Places and values, first of A, then of B."""
    if cell is None:
        return None
    values = [_number(cell.a), _number(cell.b)]
    return {"query": list(cell.query), "key": list(cell.key), "values": values}


def _number(value: float | None) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if value is not None and math.isfinite(value) else None


def _arrays(a: Trace, b: Trace, found: Difference) -> dict[str, Array]:
    """B less A and why cells are no numbers, over all tokens of A, [n_q, n_k] a head."""
    from attnviz.analysis.difference import matrix

    arrays = {}
    for head in found.heads:
        values, reasons = matrix(a, b, found, head.pair)
        arrays[f"{head.pair.name}/difference"] = values
        arrays[f"{head.pair.name}/reasons"] = reasons
    return arrays
