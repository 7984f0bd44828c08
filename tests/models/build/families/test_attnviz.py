"""Configs of our own models: whatever stands in one, it loads or is refused in a sentence."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from attnviz.errors import AttnvizError
from attnviz.models import PACKAGED, load_model
from attnviz.running import run

JUNK = [None, -1, 0, 1.5, "x", [], {}, True, [1], "none", 10**9]


def places(values: dict[str, Any], before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        yield (*before, key)
        if isinstance(value, dict):
            yield from places(value, (*before, key))


def changed(config: dict[str, Any], place: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The config without the field, and with everything that should not stand there."""
    for junk in ("delete", *JUNK):
        new = copy.deepcopy(config)
        inner = new
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = junk
        if junk == "delete":
            del inner[place[-1]]
        yield new


@pytest.mark.parametrize("name", ["digits", "phrases", "tagger-window"])
def test_any_field_garbled(name, tmp_path):
    folder = tmp_path / name
    shutil.copytree(PACKAGED / name, folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    refused = 0
    for place in places(config):
        for new in changed(config, place):
            (folder / "config.json").write_text(json.dumps(new))
            try:
                model = load_model(str(folder))
                if model.image is None:
                    run("a b", model=model)
            except AttnvizError:
                refused += 1
    assert refused > 50


def test_an_unknown_field_is_refused(tmp_path):
    shutil.copytree(PACKAGED / "digits", tmp_path / "d")
    path = tmp_path / "d" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "colour": 1}))
    with pytest.raises(AttnvizError, match="'colour'"):
        load_model(str(tmp_path / "d"))
    config["source"]["colour"] = 1
    path.write_text(json.dumps(config))
    with pytest.raises(AttnvizError, match="source: the field 'colour'"):
        load_model(str(tmp_path / "d"))


def test_what_can_be_changed_of_a_trained_model():
    plain, warm = run("I saw a saw"), run("I saw a saw", temperature=3.0)
    assert abs(plain.records[0].weights - warm.records[0].weights).max() > 0.01
    assert any("changed from what it was trained with" in n for n in warm.model.notes)
    for bad in ({"heads": 2}, {"temperature": 0.0}, {"score": "additive"}):
        with pytest.raises(AttnvizError):
            load_model("tagger", bad)
