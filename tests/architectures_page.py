"""`.github/docs/architectures.md`: every `model_type` of transformers, verified or why refused.

python -m tests.architectures_page        writes it
"""

from __future__ import annotations

import textwrap

from attnviz.models.build.refused import REASONS, states, version
from tests.conftest import HERE

PAGE = HERE.parent / ".github" / "docs" / "architectures.md"

INTRODUCTION = """\
# Which architectures are read

[attnviz](../../README.md): made by `python -m tests.architectures_page`.

These are the {n} values of `model_type` that transformers {version} knows. {n_verified} of them are
read and [held against transformers](checkpoints.md) number by number; every other one is refused
with the reason that stands here. Checkpoints with code of their own (`auto_map`) are not in
transformers: their code is never run.
"""


TITLES = {
    "none": "No attention",
    "some": "Attention and something else",
    "streams": "Several residual streams",
    "text": "Texts, not verified",
    "several": "Several models in one",
    "part": "Parts of models",
    "images": "Images",
    "video": "Video",
    "sound": "Sound",
    "series": "Series of numbers",
    "other": "Others",
}
"""By the kinds of what is refused."""


def page() -> str:
    found: dict[str, list[str]] = {}
    for name, state in sorted(states().items()):
        found.setdefault(state, []).append(f"`{name}`")
    verified = found.pop("verified")
    introduction = INTRODUCTION.format(n=len(states()), version=version(), n_verified=len(verified))
    refused = (
        _section(title, f"Refused: {REASONS[kind]}.", found[kind])
        for kind, title in TITLES.items()
        if kind in found
    )
    return "\n".join([introduction, _section("Verified", "", verified), *refused])


def _section(title: str, why: str, names: list[str]) -> str:
    """The names stand in one paragraph, broken between them."""
    paragraphs = [
        textwrap.fill(text, 100, break_on_hyphens=False, break_long_words=False)
        for text in (why, ", ".join(names))
        if text
    ]
    return "\n\n".join([f"## {title}: {len(names)}", *paragraphs]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
