"""Everything that a view says is found, so that fonts can be chosen for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from attnviz.views.kinds import Scale, Table, texts
from tests.render import samples

NOT_SHOWN = {"tone", "pooling"}


def strings(value: Any) -> Iterator[str]:
    """Every string in a view, whatever field it stands in."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Scale):
        return
    elif is_dataclass(value):
        for field in fields(value):
            yield from strings(getattr(value, field.name))
    elif hasattr(value, "_fields"):
        for name in value._fields:
            if name not in NOT_SHOWN:
                yield from strings(getattr(value, name))
    elif isinstance(value, tuple):
        for part in value:
            yield from strings(part)


@pytest.mark.parametrize("view", samples.every_kind(), ids=lambda view: type(view).__name__)
def test_every_string_of_a_view(view):
    found = set(texts(view))
    assert set(strings(view)) - found == set()
    shown = (text for row in view.texts() for text in row) if isinstance(view, Table) else ()
    assert found - set(strings(view)) <= set(shown)
