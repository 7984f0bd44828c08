"""How fast the commands start, as whole processes, against bare imports.

python tests/benchmarks/startup.py
"""

from __future__ import annotations

import shutil
import sys

from pairs import in_turn, process

ROUNDS = 15

CASES = [
    (["--version"], "import typer", 1.2),
    (["run", "I saw a saw"], "import numpy, typer, rich.table", 1.4),
]


def main() -> None:
    attnviz = shutil.which("attnviz") or "attnviz"
    for arguments, imports, bound in CASES:
        a, b, ratio = in_turn(
            process([attnviz, *arguments]), process([sys.executable, "-c", imports]), ROUNDS
        )
        print(
            f"attnviz {' '.join(arguments):18} {a * 1000:4.0f} ms  python -c {imports!r} "
            f"{b * 1000:4.0f} ms  ratio {ratio:.2f} (bound {bound})"
        )


if __name__ == "__main__":
    main()
