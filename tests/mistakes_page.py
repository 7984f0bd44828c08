"""`.github/docs/mistakes.md`: every mistake that `attnviz diagnose` knows, made from the registry.

python -m tests.mistakes_page        writes it
"""

from __future__ import annotations

import re

from attnviz.analysis.diagnose import mistakes  # noqa: F401  (fills the registry)
from attnviz.analysis.diagnose.registry import MISTAKES, MistakeEntry
from tests.conftest import HERE
from tests.names_page import section

PAGE = HERE.parent / ".github" / "docs" / "mistakes.md"

INTRODUCTION = """\
# Mistakes that `attnviz diagnose` knows

[attnviz](../../README.md): made from the registry, by `python -m tests.mistakes_page`. How a
dump is diagnosed: [Which mistake is it?](diagnose.md)

How it can be told: *exact* from q, k, v, mask and output; *parameter* if a number that is searched
for is among those tried; *more* needs one more array (queries before RoPE, a cache, …); *weights*
needs the weights, or no more visible keys than d_v; *equal* gives the same numbers as the
reference and is nobody's fault; *rounding* drowns in half precision.
"""

FAMILIES = {
    "scale": "The scale",
    "softmax": "The softmax",
    "mask": "The mask",
    "causal": "Causal masks, windows, tails",
    "layout": "Axes and layouts",
    "heads": "Heads",
    "position": "Positions",
    "norm": "Norms of queries and keys",
    "cache": "Caches",
    "dropout": "Dropout",
    "precision": "Precision",
}


def row(entry: MistakeEntry) -> tuple[str, ...]:
    threads = ", ".join(link(thread) for thread in entry.threads)
    title = re.sub(r"{(\w+)[^}]*}", r"*\1*", entry.title)
    computed = re.sub(r"{[^}]*}", "…", entry.computed)
    return entry.id, title, f"`{computed}`" if computed else "", entry.detect, threads


def link(thread: str) -> str:
    """`owner/repository#number`, to where it is."""
    repository, _, number = thread.partition("#")
    return f"[{thread}](https://github.com/{repository}/issues/{number})"


def page() -> str:
    columns = ("id", "what was done", "what was computed", "told", "others did the same")
    parts = [INTRODUCTION]
    for family, title in FAMILIES.items():
        entries = sorted(
            (e for e in MISTAKES.values() if e.family == family), key=lambda e: _order(e.id)
        )
        parts.append(section(title, columns, map(row, entries)))
    return "\n".join(parts)


def _order(id: str) -> tuple[str, int]:
    return id.rstrip("0123456789"), int(re.sub(r"\D", "", id) or 0)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
