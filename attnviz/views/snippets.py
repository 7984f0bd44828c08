"""What can be printed to be pasted into other people's code."""

from __future__ import annotations

from attnviz.analysis.diagnose.snippets import SNIPPETS
from attnviz.language import say
from attnviz.views.kinds import Line, Table, Text, View


def snippet_views(shown: str) -> list[View]:
    """Every snippet and what reads its dump; `shown` is the one that follows."""
    rows = tuple((name, say(each.about), each.then) for name, each in SNIPPETS.items())
    columns = say("name"), say("prints lines that dump"), say("then")
    text = say("attnviz probe {name}, the most common, prints:", name=shown)
    return [Table("attnviz probe", columns, rows), Text((Line(text),))]
