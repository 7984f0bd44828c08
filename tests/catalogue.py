"""The messages that attnviz shows and their catalogues, one a language.

    python -m tests.catalogue

brings the catalogues up to date: new messages come in without a translation, those that nothing
says any more go out, and the .mo files that gettext reads are written anew. It ends with the
messages that are still to be translated, and exit code 1 if there are any.
"""

from __future__ import annotations

import ast
import io
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

import attnviz
from attnviz.language import DOMAIN, LOCALES
from attnviz.render.html.words import messages as page_messages

SOURCES = Path(attnviz.__file__).parent

Locations = list[tuple[str, int]]


def messages() -> dict[str, Locations]:
    """Every message, and the files and lines that it stands in."""
    result: dict[str, Locations] = {}
    for path in sorted(SOURCES.rglob("*.py")):
        for line, message in sorted(_messages(ast.parse(path.read_text("utf-8")))):
            name = path.relative_to(SOURCES).as_posix()
            result.setdefault(message, []).append((name, line))
    for message in page_messages():
        result.setdefault(message, []).append(("render/html", 0))
    for path in sorted(SOURCES.glob("models/packaged/*/card.json")):
        for message in _card_messages(json.loads(path.read_text("utf-8"))):
            result.setdefault(message, []).append((path.relative_to(SOURCES).as_posix(), 0))
    return result


def _card_messages(card: Mapping[str, Any]) -> Iterator[str]:
    """What the screen shows of a packaged model's card; its licences and recipe are no prose."""
    yield from (card["title"], card["task_text"], card["data"])
    yield from (*card["limits"], *card["figures_text"].values())


def _messages(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """What `say` and `to_say` are called with, and what a lesson's module says: its constants,
    and what to expect of a command that its reader may try."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name("say" | "to_say"), args=[ast.Constant(str(message)), *_]):
                yield node.lineno, message
            case ast.Assign(
                targets=[ast.Name("TITLE" | "QUESTION" | "INTUITION")],
                value=ast.Constant(str(message)),
            ):
                yield node.lineno, message
            case ast.Call(func=ast.Name("Try"), args=[_, ast.Constant(str(message))]):
                yield node.lineno, message


def catalogues() -> list[Path]:
    """The .po files that translators write."""
    return sorted(LOCALES.glob(f"*/LC_MESSAGES/{DOMAIN}.po"))


def read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, domain=DOMAIN, abort_invalid=True)


def translations(catalogue: Catalog) -> dict[str, str]:
    return {str(entry.id): str(entry.string) for entry in catalogue if entry.id}


def compiled(catalogue: Catalog) -> bytes:
    """The .mo file."""
    file = io.BytesIO()
    write_mo(file, catalogue)
    return file.getvalue()


def _update(path: Path) -> list[str]:
    """Both files of a language written anew; what is still to be translated."""
    catalogue, current = read(path), messages()
    known = translations(catalogue)
    for message in known:
        catalogue.delete(message)
    for message, locations in current.items():
        catalogue.add(message, known.get(message, ""), locations=locations)
    for entry in catalogue:
        entry.flags.discard("python-format")  # "96 % of" looks like one
    with path.open("wb") as file:
        write_po(file, catalogue, width=98, sort_by_file=True, include_lineno=False)
    path.with_suffix(".mo").write_bytes(compiled(catalogue))
    return [message for message in current if not known.get(message)]


if __name__ == "__main__":
    missing = {path: _update(path) for path in catalogues()}
    for path, untranslated in missing.items():
        for message in untranslated:
            print(f"{path}: not translated: {message}")
    sys.exit(any(missing.values()))
