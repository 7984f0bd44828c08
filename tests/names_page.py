"""`.github/docs/names.md`: every name that an option takes, made from the registries.

python -m tests.names_page        writes it
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from attnviz.analysis.metrics import METRICS
from attnviz.analysis.roles import ROLES
from attnviz.cli.commands import COMMANDS
from attnviz.lessons import LESSONS, question, reading_order
from attnviz.models.build.families import FAMILIES
from attnviz.nn.activations import ACTIVATIONS
from attnviz.nn.masks import MASKS
from attnviz.nn.schemes import SCHEMES
from attnviz.nn.scores import SCORES
from attnviz.registry import Entry, first_sentence
from attnviz.render import FORMATS
from attnviz.trace.names import MEANINGS
from attnviz.trace.names import ROLES as DUMPED
from tests.conftest import HERE

PAGE = HERE.parent / ".github" / "docs" / "names.md"

INTRODUCTION = """\
# Names that options take

[attnviz](../../README.md): made from the registries, by `python -m tests.names_page`.
"""


def section(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"## {title}", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(_cell(text) for text in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def written(entry: Entry) -> str:
    """A name with its options, as one types it."""
    options = [p.name for p in entry.parameters.values() if p.kind is p.KEYWORD_ONLY]
    return entry.name + (":" if options else "") + ",".join(f"{name}=…" for name in options)


def page() -> str:
    from attnviz.cli import Commands

    commands = Commands().list_commands(None)
    return "\n".join(
        [
            INTRODUCTION,
            section("Commands", ("command", "what it does"),
                    ((f"`{name}`", first_sentence(COMMANDS[name])) for name in commands)),
            section("Scores (`--score`, `compare`)", ("name", "formula", "what it is"),
                    ((f"`{e.name}`", f"`{e.formula}`", e.summary) for e in SCORES.values())),
            section("Masks (`--mask`, `compare`; joined by `+`)", ("as it is written", "what it shows"),
                    ((f"`{written(e)}`", e.summary) for e in MASKS.values())),
            section("Position schemes (`--positions`, `encode positions --scheme`)",
                    ("name", "formula", "what it is"),
                    ((f"`{e.name}`", f"`{e.formula}`", e.summary) for e in SCHEMES.values())),
            section("Activations (`--activation`)", ("name", "formula"),
                    ((f"`{e.name}`", f"`{e.formula}`") for e in ACTIVATIONS.values())),
            section("Metrics of heads (`heads --columns`, `--where`, `--map`; `scan`)",
                    ("name", "unit", "what it measures"),
                    ((f"`{e.name}`", e.unit, e.summary) for e in METRICS.values())),
            section("Roles of heads (`heads`; the whole rules: `heads --explain`)",
                    ("role", "its threshold"),
                    ((f"`{role.name}`", role.rule.partition(",")[0]) for role in ROLES)),
            section("Arrays of a dump (`diagnose`; words before them name the layer: `layers.0.q`)",
                    ("names", "what it holds"),
                    ((", ".join(f"`{word}`" for word in DUMPED[role]), meaning)
                     for role, meaning in MEANINGS.items())),
            section("Architectures (`model_type` of a checkpoint)", ("name", "what it is"),
                    ((f"`{name}`", first_sentence(import_module(FAMILIES[name].__name__)))
                     for name in sorted(FAMILIES))),
            section("Output formats (`-o FILE`)", ("suffix", "what it is"),
                    ((f"`{suffix}`", first_sentence(FORMATS[suffix])) for suffix in FORMATS)),
            section("Lessons (`learn NAME`), in reading order", ("name", "question", "also"),
                    ((f"`{name}`", question(name), ", ".join(LESSONS[name].ALSO))
                     for name in reading_order())),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
