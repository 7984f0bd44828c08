"""`attnviz show`: a saved trace again, or anybody's arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from attnviz.cli.emit import check_outputs, emit, trace_report
from attnviz.cli.inputs import as_shown
from attnviz.cli.options import OutputOptions, ShowOptions, one_of, spread
from attnviz.errors import AttnvizError

app = typer.Typer(add_completion=False)


@app.command()
@spread
def show(
    look: ShowOptions,
    out: OutputOptions,
    file: Annotated[
        Path, typer.Argument(help="A trace, or a .npy .npz .safetensors .json of weights.")
    ],
    tokens: Annotated[
        str | None,
        typer.Option(help="Of the queries: words between spaces, or a file with one a line"),
    ] = None,
    key_tokens: Annotated[
        str | None, typer.Option(help="Of the keys, where they are others")
    ] = None,
    batch: Annotated[
        str | None, typer.Option(help="The batch axis: 0; or 0:3 for its item 3")
    ] = None,
    array: Annotated[
        str | None, typer.Option(help="Which array of the file holds the weights")
    ] = None,
) -> None:
    """Draw a trace that was saved, or your own attention weights.

    The last two axes of plain arrays are queries and keys, before them heads, before them layers.

    attnviz show trace.npz -s L1.H3
    attnviz show weights.npy --tokens "I saw a saw" -o weights.png
    """
    check_outputs(out)
    from attnviz.trace.arrays import load
    from attnviz.views.attention import SCALES, attention_views

    trace = load(
        file,
        array=array,
        batch=batch,
        tokens=None if tokens is None else words("tokens", tokens),
        key_tokens=None if key_tokens is None else words("key-tokens", key_tokens),
    )
    trace = as_shown(trace, look)
    by: Any = one_of("scale", look.scale, SCALES)
    views = attention_views(trace, look.selection, top=look.top, stage=look.stage, by=by)
    emit([trace_report(trace, views)], out)


def words(option: str, text: str) -> list[str]:
    """The lines of a file, if there is one of this name, else the words of the text itself."""
    path = Path(text)
    try:
        if not path.is_file():
            return text.split()
        return path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise AttnvizError(f"--{option} {text}: not UTF-8: {error}", "iconv -t utf-8") from error
    except OSError as error:
        if error.errno is not None and path.exists():
            raise AttnvizError(
                f"--{option}: cannot read {text}: {error.strerror}", "check who may read it"
            ) from error
        return text.split()
