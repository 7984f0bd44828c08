"""Tables on a screen."""

from __future__ import annotations

from attnviz.views.kinds import Table
from tests.render.terminal.drawing import drawn


def test_tables_never_drop_a_column():
    columns = tuple(f"column number {i}" for i in range(12))
    table = Table("t", columns, (tuple(float(i) for i in range(12)),))
    for width in (40, 80, 200):
        text = " ".join(drawn([table], width).split())
        assert all(name in text for name in columns)


def test_long_tables_say_so():
    table = Table("t", ("a",), tuple((i,) for i in range(100)))
    assert "60 of 100 rows shown" in drawn([table])
