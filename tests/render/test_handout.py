"""Documents of several chapters, with their pictures beside them."""

from __future__ import annotations

import numpy as np

from attnviz.render import handout
from attnviz.views.kinds import Heatmap, Line, Table, Text, indices

PICTURE = Heatmap("a [map]", np.eye(3), indices("row", 3), indices("column", 3))
TABLE = Table("numbers", ("a", "b"), ((1, 2.5),))


def test_words_are_markdown_and_the_rest_is_drawn():
    chapters = [("one", [Text((Line("words"),)), PICTURE]), ("two", [TABLE, PICTURE])]
    document, pictures, warnings = handout.render(chapters, "pictures")
    text = document.decode()
    assert list(pictures) == ["one-a-map.png", "two-a-map.png"]
    assert all(content.startswith(b"\x89PNG") for content in pictures.values())
    assert warnings == ()
    positions = [
        text.index(part)
        for part in ("words", "](pictures/one-a-map.png)", "| 1 |", "](pictures/two-a-map.png)")
    ]
    assert positions == sorted(positions)
    assert r"![a \[map\]]" in text


def test_nothing_to_show():
    assert handout.render([], "pictures") == (b"\n", {}, ())
