"""Options that several commands share: what a group makes of its values, and what it refuses."""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from attnviz.cli.options import (
    LookOptions,
    OutputOptions,
    Selected,
    SelectedHead,
    StackOptions,
    TextInput,
)
from attnviz.errors import AttnvizError
from attnviz.models.build.stack import FIELDS
from attnviz.trace.selection import parse_selection


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_pair_is_ids_where_the_text_is():
    assert TextInput(pair="a saw").second == "a saw"
    assert TextInput(pair="4,7", ids="1,2").second == [4, 7]
    assert TextInput(ids="1,2").second is None
    with pytest.raises(AttnvizError, match="--pair: expected whole numbers"):
        _ = TextInput(pair="a saw", ids="1,2").second


def test_files_of_data_and_others():
    out = OutputOptions([Path("a.npz"), Path("b.PNG"), Path("c.json"), Path("d.md")])
    assert out.data_files == [Path("a.npz"), Path("c.json")]
    assert [OutputOptions(*given).wants_data for given in (([Path("b.png")],), (None, True), ())] == [
        False, True, False
    ]  # fmt: skip
    assert out.wants_data


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": [Path("a.bmp")]}, "-o a.bmp: unknown format '.bmp'"),
        ({"output": [Path("a")]}, r"-o a: unknown format '\(no suffix\)'"),
        ({"output": [Path("missing/a.png")]}, "missing"),
        ({"width": 0}, "--width: expected columns, got 0"),
        ({"color": "blue"}, "--color: unknown value 'blue'"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(options, message):
    with pytest.raises(AttnvizError, match=message):
        OutputOptions(**options)


def test_selections_are_parsed():
    assert Selected().selection == parse_selection(())
    assert Selected(["L1", "L0.H2"]).selection == parse_selection(("L1", "L0.H2"))
    assert SelectedHead().selection == parse_selection(())
    assert SelectedHead("L0.H2").selection == parse_selection(["L0.H2"])


def test_only_weights_of_words():
    LookOptions(words=True)
    with pytest.raises(AttnvizError, match="a word has no logits"):
        LookOptions(words=True, stage="logits")
    with pytest.raises(AttnvizError, match="--top: expected a number from 0, got -1"):
        LookOptions(top=-1)


def test_every_field_of_the_stack_is_a_flag():
    flags = {f.name: f for f in fields(StackOptions)}
    others = {"model", "download", "extrapolate", "source_lang", "target_lang"}
    assert set(flags) == others | {*FIELDS}
    for name, about in FIELDS.items():
        assert flags[name].default is None
        assert about.default is not MISSING


def test_only_flags_that_were_set_change_the_stack():
    assert StackOptions().changes == {}
    options = StackOptions(model="random", layers=3, mask="causal", bias=False)
    assert options.changes == {"layers": 3, "mask": "causal", "bias": False}
