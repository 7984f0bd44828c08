"""`python -m attnviz`, and the console script."""

from __future__ import annotations

import gc
import sys

NEW_OBJECTS = 200_000
"""Between two collections: nearly all that a start makes stays until the end."""


def main() -> None:
    """Run the command line; every way out of it is an exit code."""
    gc.set_threshold(NEW_OBJECTS)
    try:
        from attnviz.cli import run_cli
    except KeyboardInterrupt:
        sys.exit(130)
    code = run_cli()
    gc.freeze()  # the end of the process frees everything, with no need to look for cycles
    sys.exit(code)


if __name__ == "__main__":
    main()
