"""Show what positions and tokens look like to the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnviz.cli.command import Command, Group
from attnviz.cli.emit import Report, emit
from attnviz.cli.figure_options import FigureOptions
from attnviz.cli.loading import load
from attnviz.cli.options import StackOptions, TextWords
from attnviz.cli.spread import one_of, spread, whole_numbers
from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.registry import LARGEST_SIZE

if TYPE_CHECKING:
    from attnviz.analysis.encoding import Positions

ORDER = 60


class Encode(Group):
    """A text alone is about its tokens."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        is_text = any(map(str.isspace, args[0]))
        return super().resolve_command(ctx, ["tokens", *args] if is_text else args)


app = typer.Typer(
    add_completion=False,
    help="Show what positions and tokens look like to the model.",
    no_args_is_help=True,
    cls=Encode,
)


@app.command(cls=Command)
@spread
def positions(
    out: FigureOptions,
    scheme: Annotated[
        str,
        typer.Option(help="{position schemes}, with options as rope:base=500000"),
    ] = "sinusoidal",
    count: Annotated[int, typer.Option("-n", "--count", help="How many positions")] = 16,
    d_model: Annotated[int, typer.Option(help="Width of the vectors")] = 32,
    heads: Annotated[int, typer.Option(help="Heads, for biases")] = 4,
    offset: Annotated[int, typer.Option(help="The first position")] = 0,
    causal: Annotated[bool, typer.Option("--causal", help="T5's buckets of a decoder")] = False,
    dims: Annotated[
        str | None, typer.Option(help="Dimensions whose curves are drawn: 4,5,6,7")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of numbers that a model would learn")] = 0,
) -> None:
    """Show a position scheme: numbers, similarity, curves, and whether its claims hold.

    attnviz encode positions --plot
    attnviz encode positions --scheme rope -n 32
    """
    for name, value in (("count", count), ("d-model", d_model), ("heads", heads)):
        if not 1 <= value <= 4096:
            raise AttnvizError(
                f"--{name}: expected 1 to 4096, got {value}", "a screen holds a few dozen"
            )
    if abs(offset) > LARGEST_SIZE:
        raise AttnvizError(f"--offset: {offset} is too large", f"up to {LARGEST_SIZE}")
    from attnviz.analysis.encoding import encode_positions
    from attnviz.views.encoding import position_views
    from attnviz.views.naming import file_name

    encoded = encode_positions(
        scheme, count, d_model, heads, offset=offset, causal=causal, seed=seed
    )
    chosen = None if dims is None else _dimensions(dims, encoded)
    views = position_views(encoded, chosen)
    name = file_name(f"positions-{scheme}")
    emit([Report(views, encoded.manifest(), encoded.arrays(), name=name)], out)


@app.command(cls=Command)
@spread
def tokens(
    stack: StackOptions,
    out: FigureOptions,
    text: TextWords = None,
    where: Annotated[
        str,
        typer.Option(
            help="embedded: as the first block reads them; output: as the last leaves them"
        ),
    ] = "embedded",
) -> None:
    """Show the vectors of a text's tokens: numbers, lengths, and how alike they are.

    attnviz encode tokens "I saw a saw"
    """
    from attnviz.analysis.encoding import embedded
    from attnviz.cli.inputs import check_known, read_input
    from attnviz.running import run
    from attnviz.views.encoding import token_views

    one_of("where", where, ("embedded", "output"))
    content = read_input(text, None, only_texts=True)
    model = load(stack)
    trace = run(content, model=model, stages=(), hidden_states=True, fingerprint=False)
    states = next(iter(trace.hidden_states.values()))
    encoded = embedded(states[0 if where == "embedded" else -1])
    stream = trace.streams["source"]
    check_known(model, stream)
    title = (
        say("{model}, as the first block reads them, positions included", model=model.name)
        if where == "embedded"
        else say("{model}, as the last block leaves them", model=model.name)
    )
    views = token_views(stream, encoded, title, model.notes)
    emit([Report(views, encoded.manifest(trace), encoded.arrays(), name="tokens")], out)


def _dimensions(text: str, encoded: Positions) -> list[int]:
    """The dimensions, or for rotations the pairs, whose curves are drawn."""
    chosen = whole_numbers("dims", text)
    drawn = next((a for a in (encoded.added, encoded.angles) if a is not None), None)
    if drawn is None:
        raise AttnvizError(f"--dims: {encoded.scheme} has no dimensions", "leave --dims out")
    last = drawn.shape[-1] - 1
    if not 0 <= min(chosen) <= max(chosen) <= last:
        raise AttnvizError(f"--dims: dimensions go from 0 to {last}, got {text}", "--dims 4,5,6,7")
    return chosen
