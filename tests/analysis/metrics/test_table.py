"""The table of heads and its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz import AttnvizError, archive, run
from attnviz.analysis.metrics.measure import measure_heads
from attnviz.analysis.metrics.table import FORMAT, HeadTable, table_from_arrays
from attnviz.analysis.roles import roles
from attnviz.trace.record import ModelFacts


@pytest.fixture(scope="module")
def table() -> HeadTable:
    return measure_heads(run("KXQWJDKXQMWJDZKXQ", model="induction", fingerprint=False))


@pytest.mark.parametrize("suffix", [".npz", ".json", ".safetensors"])
def test_a_table_comes_back_from_its_file(table, tmp_path, suffix):
    table = replace(
        table,
        deviation={name: values / 3 for name, values in table.value.items()},
        quantiles={name: np.stack([values, values], -1) for name, values in table.value.items()},
        levels=(0.05, 0.95),
        notes=("as it was",),
    )
    path = tmp_path / f"heads{suffix}"
    with path.open("wb") as file:
        archive.write(file, suffix, table.manifest(ModelFacts("x")), table.arrays())
    manifest, arrays = archive.read(path)
    assert manifest is not None
    assert manifest["format"] == FORMAT
    back = table_from_arrays(path, manifest, arrays)
    assert (back.ids, back.levels, back.notes) == (table.ids, table.levels, table.notes)
    assert back.columns().keys() == table.columns().keys()
    assert "entropy_q95" in back.columns()
    for name, array in table.arrays().items():
        np.testing.assert_array_equal(back.arrays()[name], array, err_msg=name)
    assert roles(back) == roles(table)


def test_a_damaged_table_is_refused(table):
    manifest, arrays = table.manifest(ModelFacts("x")), table.arrays()
    path = Path("heads.npz")
    for broken, message in [
        ({**manifest, "version": 99}, "version 99"),
        ({**manifest, "ids": ["x"]}, "names no heads"),
        ({**manifest, "ids": manifest["ids"][1:]}, "expected [7] numbers"),
        ({**manifest, "levels": 0.5}, "levels or notes are malformed"),
        ({**manifest, "levels": ["x"]}, "levels or notes are malformed"),
        ({**manifest, "levels": [10**400]}, "levels or notes are malformed"),
        ({**manifest, "notes": 3}, "levels or notes are malformed"),
    ]:
        with pytest.raises(AttnvizError, match=message.replace("[", r"\[")):
            table_from_arrays(path, broken, arrays)
    with pytest.raises(AttnvizError, match="lacks rows"):
        table_from_arrays(
            path, manifest, {k: v for k, v in arrays.items() if not k.startswith("rows")}
        )


@pytest.mark.parametrize("number", [np.inf, -np.inf, 1e300, -1e300])
@pytest.mark.parametrize("name", ["value/entropy", "null/induction", "rows/sink"])
def test_numbers_that_no_head_can_have_are_refused(table, number, name):
    manifest, arrays = table.manifest(ModelFacts("x")), table.arrays()
    name = name if name in arrays else next(key for key in arrays if key.startswith(name[:4]))
    array = arrays[name].astype(float)
    array[0] = number
    with pytest.raises(AttnvizError, match=f"{name} holds numbers beyond any"):
        table_from_arrays(Path("h.npz"), manifest, arrays | {name: array})


def test_hostile_notes_can_be_printed(table):
    manifest = {**table.manifest(ModelFacts("x")), "notes": ["\ud800", "\x1b[31m"]}
    notes = table_from_arrays(Path("h.npz"), manifest, table.arrays()).notes
    assert notes == ("\\ud800", "␛[31m")


def test_metrics_that_a_later_version_knows_stay_unknown(table):
    """A metric without its null is refused; one that is new is kept."""
    manifest, arrays = table.manifest(ModelFacts("x")), table.arrays()
    new = {f"{kind}/globalness": arrays[f"{kind}/entropy"] for kind in ("value", "null", "rows")}
    assert "globalness" in table_from_arrays(Path("h.npz"), manifest, arrays | new).columns()
    del arrays["null/entropy"]
    with pytest.raises(AttnvizError, match="null/entropy"):
        table_from_arrays(Path("h.npz"), manifest, arrays)
