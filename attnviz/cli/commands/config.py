"""Say which defaults are set, and where."""

from __future__ import annotations

from typing import Any

import typer

from attnviz.cli.command import Command
from attnviz.cli.emit import Report, emit
from attnviz.cli.options import OutputOptions
from attnviz.cli.settings import KEYS, Setting, files, settings, user_file
from attnviz.cli.spread import spread
from attnviz.language import say

ORDER = 150

app = typer.Typer(add_completion=False)


@app.command(cls=Command)
@spread
def config(out: OutputOptions) -> None:
    """Say which defaults are in force, and which variable or file sets them.

    What is typed goes first, then ATTNVIZ_MODEL (…_BACKGROUND, _CMAP, _WIDTH, _LANG, _MEMORY), then
    [tool.attnviz] in the pyproject.toml of the folder or one above it, then config.toml in
    ~/.config/attnviz.

    attnviz config
    """
    from attnviz.views.kinds import Line, Table, Text, View

    found, read = settings(), [str(path) for path in files()]
    rows = tuple(_row(name, found.get(name)) for name in KEYS)
    columns = say("setting"), say("option"), say("value"), say("set by")
    where = say("files read: {files}", files=", ".join(read) or say("none"))
    yours = say('yours would be {path}: model = "tagger" and the like', path=user_file())
    lines = [Line(where, "", "note")]
    if str(user_file()) not in read:
        lines.append(Line(yours, "", "note"))
    views: list[View] = [Table(say("defaults"), columns, rows), Text(tuple(lines))]
    manifest: dict[str, Any] = {
        "format": "attnviz-settings",
        "version": 1,
        "settings": {name: setting._asdict() for name, setting in found.items()},
        "files": read,
    }
    emit([Report(views, manifest, {})], out)


def _row(name: str, setting: Setting | None) -> tuple[str, str, str, str]:
    option = KEYS[name].about
    if setting is None:
        return name, option, "–", say("the command's own default")
    return name, option, str(setting.value), setting.source
