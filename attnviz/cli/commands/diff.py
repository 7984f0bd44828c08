"""Compare two texts, models, heads or files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from attnviz.cli.command import Command
from attnviz.cli.emit import Report, emit, talk
from attnviz.cli.figure_options import FigureOptions
from attnviz.cli.inputs import STDIN, as_shown, is_piped, joined, read_stdin
from attnviz.cli.options import USUAL_TOP, FileInput, LookOptions, StackOptions, TextInput
from attnviz.cli.progress import progress
from attnviz.cli.sides import Side, check_uses, read_sides, side_b
from attnviz.cli.spread import one_of, set_options, spread
from attnviz.errors import AttnvizError

ORDER = 50

app = typer.Typer(add_completion=False)


@app.command(cls=Command)
@spread
def diff(
    texts: TextInput,
    files: FileInput,
    stack: StackOptions,
    look: LookOptions,
    out: FigureOptions,
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
            "temperature=, seed=, …), ids=, pair=, target=, chat=, system=; of files array=, "
            "batch=, tokens=, key-tokens=, nan=. Repeatable.",
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
    from attnviz.analysis.pairing import pair_heads
    from attnviz.views.difference import MATRIX, difference_views
    from attnviz.views.naming import pictures

    stage = one_of("stage", look.stage, STAGES)
    _check_limit(fail_above)
    a, b = _sides(sources or [], set_options(texts, files), stack, look, with_ or (), without or ())
    read = read_sides(a, b, (stage,), stack, out.wants_data)
    traces = as_shown(read[0], look), as_shown(read[1], look)
    pairing = pair_heads(*traces, a.select, b.select)
    with progress("heads") as bar:
        difference = compare(*traces, pairing, stage, bar)
    failed = None if fail_above is None else disagreements(*traces, difference, fail_above)
    names = str(a.file or ""), str(b.file or "")
    views = difference_views(
        *traces, difference, names, USUAL_TOP if look.top is None else look.top
    )
    checked = {"fail_above": fail_above, "disagreements": failed}
    arrays = difference.arrays(*traces) if out.wants_data else {}
    drawn = [view for view in pictures(views) if view.name.endswith(MATRIX)]
    emit([Report(views, {**difference.manifest(*traces), **checked}, arrays, drawn)], out)
    if failed:
        for text in failed:
            talk(f"differs: {text}")
        raise typer.Exit(1)


def _sides(
    sources: list[str],
    options: dict[str, Any],
    stack: StackOptions,
    look: LookOptions,
    changed: Sequence[str],
    without: Sequence[str],
) -> tuple[Side, Side]:
    """What A and B are read or run from; `changed` and `without` are of B."""
    source_a, source_b = _two(sources, options.get("ids"), bool(changed or without))
    a = Side(
        name="A",
        source=source_a,
        options=options if stack.model is None else {**options, "model": stack.model},
        changes=stack.changes,
        select=look.selection,
    )
    b = side_b(a, source_b, changed, without)
    if source_b is None and b == a._replace(name="B"):
        raise AttnvizError(
            "there is nothing to compare with: B would be the same as A",
            "name a second text or file, or what differs: --with mask=causal, --without L0.H1",
        )
    check_uses(a, b)
    return a, b


def _check_limit(fail_above: float | None) -> None:
    if fail_above is not None and not 0 <= fail_above < math.inf:
        raise AttnvizError(
            f"--fail-above: expected a number from 0, got {fail_above:g}", "--fail-above 1e-5"
        )


def _two(sources: list[str], ids: str | None, changes_b: bool) -> tuple[str | None, str | None]:
    """A and B as far as they are named."""
    if not sources and ids is None and is_piped():
        sources = [STDIN]
    if len(sources) > 2 and changes_b:
        sources = joined(sources)
    if len(sources) > 2:
        raise AttnvizError(
            f"expected A and B, got {len(sources)} texts or files",
            'put each text in quotes: attnviz diff "I saw a saw" "I saw a cat"',
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
    if first == STDIN:  # which can be read once only, and both sides may need it
        first = read_stdin()
    return first, second
