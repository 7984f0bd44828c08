"""Help that names what is registered."""

from __future__ import annotations

from importlib import import_module

import pytest

from attnviz.cli.command import REGISTRIES, with_names
from attnviz.nn.masks import MASKS


@pytest.mark.parametrize("what", REGISTRIES)
def test_every_name_of_a_registry_stands_in_its_place(what):
    module, name = REGISTRIES[what]
    text = with_names(f"one of {{{what}}}, or none")
    assert text.startswith("one of ")
    assert text.endswith(", or none")
    for registered in getattr(import_module(module), name):
        assert registered in text


def test_a_name_shows_the_options_that_it_needs(monkeypatch):
    def nearby(q_pos, k_pos, *, reach: int, strict: bool = False):
        """Only near keys."""

    monkeypatch.setattr(MASKS, "_entries", {**MASKS._entries})
    MASKS.add(nearby)
    assert with_names("{masks}").endswith("nearby:reach=…")


def test_other_braces_stay():
    assert with_names("a {thing} and {}") == "a {thing} and {}"
