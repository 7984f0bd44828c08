"""`python -m attnviz`, and the console script."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; every way out of it is an exit code."""
    try:
        from attnviz.cli import run_cli
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(run_cli())


if __name__ == "__main__":
    main()
