"""How fast the commands start, as whole processes, against bare imports."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator

from tests.benchmarks.pairs import in_turn, process
from tests.benchmarks.table import Row, run_alone

ROUNDS = 15
CASES = (
    (("--version",), "import typer", 1.2),
    (("run", "I saw a saw"), "import numpy, typer, rich.table", 1.4),
)


def rows() -> Iterator[Row]:
    script = shutil.which("attnviz")
    attnviz = [script] if script else [sys.executable, "-m", "attnviz"]
    for arguments, imports, bound in CASES:
        bare = process([sys.executable, "-c", imports])
        pair = in_turn(process([*attnviz, *arguments]), bare, ROUNDS)
        yield pair.time(f"start: attnviz {' '.join(arguments)}", imports, bound)


if __name__ == "__main__":
    run_alone(rows)
