"""`python -m tests.fuzz KIND --seconds 60 --seed 1`"""

from __future__ import annotations

import argparse
import importlib
import sys

KINDS = ("commands", "files", "configs", "tokenizers")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", default="", help="a pattern: of paths of samples, of names of variants"
    )
    given = parser.parse_args()
    findings = 0
    options = {"only": given.only} if given.kind in ("configs", "files", "tokenizers") else {}
    for finding in importlib.import_module(f"tests.fuzz.{given.kind}").run(
        given.seconds, given.seed, **options
    ):
        findings += 1
        print(finding, flush=True)
    print(f"{findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
