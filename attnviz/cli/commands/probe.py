"""Print the lines that dump attention from your code, or write inputs that tell mistakes apart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attnviz.cli.command import Command
from attnviz.cli.emit import OutputFiles, Report, emit, print_text
from attnviz.cli.options import OutputOptions
from attnviz.cli.spread import spread
from attnviz.errors import AttnvizError
from attnviz.files import DATA_FORMATS

ORDER = 118

COMMON = "transformers"
"""The snippet that is printed where none is named."""

app = typer.Typer(add_completion=False)


@app.command(cls=Command)
@spread
def probe(
    out: OutputOptions,
    name: Annotated[
        str | None,
        typer.Argument(help="{snippets} (default: a list)", show_default=False),
    ] = None,
    feature: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="FEATURE",
            help="With -o: {probe features}. Repeatable. (default: causal and padding)",
        ),
    ] = None,
) -> None:
    """Print the lines that dump attention from your code for `attnviz diagnose`.

    With -o FILE.npz, write inputs on which all known mistakes give different outputs: run your
    attention on its q, k, v and mask, save what it gives as `out` beside them, and diagnose that.

    attnviz probe
    attnviz probe pytorch
    attnviz probe jax > dump.py
    attnviz probe -o probe.npz --with causal --with window
    """
    if out.output:
        if name is not None:
            raise AttnvizError(
                f"probe {name} prints code, -o writes inputs", f"attnviz probe {name} > dump.txt"
            )
        _write(out, feature)
        return
    if feature:
        raise AttnvizError("--with is for the inputs that -o FILE.npz writes", "-o probe.npz")
    _print(out, name)


def _print(out: OutputOptions, name: str | None) -> None:
    """One snippet as it is, to be piped into a file; without a name what there is, and one."""
    from attnviz.analysis.diagnose.snippets import SNIPPETS
    from attnviz.registry import nearest
    from attnviz.views.snippets import snippet_views

    if name is not None and name not in SNIPPETS:
        raise AttnvizError(f"no lines for {name!r}", nearest(name, SNIPPETS))
    chosen = SNIPPETS[name or COMMON]
    if name is None or out.json:
        known = {each: snippet._asdict() for each, snippet in SNIPPETS.items()}
        shown = known if name is None else {name: known[name]}
        manifest = {"format": "attnviz-snippets", "version": 1, "snippets": shown}
        emit([Report(snippet_views(COMMON), manifest, {})], out)
        if out.json:
            return
        print_text("\n")
    print_text(chosen.code)


def _write(out: OutputOptions, features: list[str] | None) -> None:
    """The inputs, into every file that is asked for."""
    from attnviz import archive
    from attnviz.analysis.diagnose.probe import FEATURES, USUAL, probe_arrays
    from attnviz.cli.emit import talk
    from attnviz.registry import nearest

    names = [each.strip() for text in features or () for each in text.split(",")]
    for each in names:
        if each not in FEATURES:
            raise AttnvizError(f"--with: unknown feature {each!r}", nearest(each, FEATURES))
    arrays = probe_arrays(names or USUAL)
    with OutputFiles() as files:
        for path in out.output or ():
            suffix = Path(path).suffix.lower()
            if suffix not in DATA_FORMATS:
                raise AttnvizError(f"-o {path}: inputs are data", f"{', '.join(DATA_FORMATS)}")
            with files.open(path) as file:
                archive.write(file, suffix, {}, arrays)
            files.say(f"wrote {path}")
    shapes = ", ".join(f"{name} {list(x.shape)}" for name, x in arrays.items() if x.ndim)
    talk(f"{shapes}: [batch, head, n, d]; save your output as `out` beside them: attnviz diagnose")
