"""All benchmarks, or some, as one table of ratios: less is better.

    pip install torch==2.13.0 transformers==5.23.0
    python -m tests.benchmarks
    python -m tests.benchmarks startup forward
    python -m tests.benchmarks --json > figures.json     # or --markdown

A benchmark is a module of this folder with a function `rows() -> Iterator[Row]`; each also runs
alone, `python -m tests.benchmarks.startup`. The exit code is 1 where a ratio is over its bound.
"""

from __future__ import annotations

import argparse
import compileall
import importlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import attnviz
from tests.benchmarks.table import (
    HEADINGS,
    Missing,
    Row,
    columns,
    machine,
    machine_line,
    markdown_line,
)


def names() -> list[str]:
    """The modules of this folder that have rows."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return [x.stem for x in files if "\ndef rows()" in x.read_text("utf-8")]


def measured(name: str) -> Iterator[Row]:
    """The rows of a module; what cannot be measured is a row that says why."""
    try:
        yield from importlib.import_module(f"tests.benchmarks.{name}").rows()
    except Missing as missing:
        yield Row(name, note=str(missing))
    except (RuntimeError, OSError, ImportError) as error:  # the others go on
        yield Row(name, note=str(error).strip().splitlines()[-1])


def main() -> int:
    known = names()
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description="Speed, as ratios.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(known)}; all if none")
    parser.add_argument("--json", action="store_true", help="print JSON, when all is done")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table, then too")
    chosen = parser.parse_args()
    if strange := set(chosen.names) - set(known):
        parser.error(f"unknown: {', '.join(sorted(strange))} (there are: {', '.join(known)})")
    compileall.compile_dir(Path(attnviz.__file__).parent, quiet=2)
    start, here, found = time.perf_counter(), machine(), []
    talk = sys.stderr if chosen.json or chosen.markdown else sys.stdout
    print(f"{machine_line(here)}\n\n{columns(HEADINGS)}", file=talk, flush=True)
    for name in chosen.names or known:
        for row in measured(name):
            found.append(row)
            print(row.line(), file=talk, flush=True)
    seconds = time.perf_counter() - start
    if chosen.json:
        print(json.dumps({"machine": here, "rows": [row.json() for row in found]}, indent=1))
    if chosen.markdown:
        lines = [markdown_line(HEADINGS), markdown_line(("---",) * len(HEADINGS))]
        print("\n".join([*lines, *(row.markdown() for row in found)]))
    over = sum(row.over for row in found)
    print(f"\n{len(found)} rows in {seconds:.0f} s, {over} over their bound", file=talk)
    return int(over > 0)


if __name__ == "__main__":
    sys.exit(main())
