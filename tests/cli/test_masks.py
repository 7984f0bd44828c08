"""A mask of the user's own, from files as people have them."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.cli.masks import read_mask
from attnviz.errors import AttnvizError

LOWER = np.tril(np.ones((3, 5), bool))
ADDED = np.where(LOWER, 0.0, -np.inf)
ONE, ZERO = "1 is visible, 0 is masked", "0 is visible, -inf is masked"


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (LOWER, ""),
        (LOWER[None, None], ""),
        (LOWER.astype(np.int8), ONE),
        (LOWER.astype(np.float32), ONE),
        (ADDED, ZERO),
        (np.maximum(ADDED, -1e9).astype(np.float32), ZERO),
    ],
)
def test_arrays(tmp_path, capsys, array, said):
    np.save(tmp_path / "m.npy", array)
    assert np.array_equal(read_mask(tmp_path / "m.npy"), LOWER)
    assert capsys.readouterr().err.rstrip().endswith(said)


@pytest.mark.parametrize(
    ("name", "separator", "numbers"),
    [("m.csv", ",", LOWER.astype(int)), ("m.txt", " ", LOWER.astype(float)), ("m.tsv", "\t", LOWER),
     ("m.csv", ";", LOWER), ("m.csv", ",", ADDED)],
)  # fmt: skip
def test_text_files(tmp_path, name, separator, numbers):
    lines = [separator.join(map(str, row)) for row in numbers.tolist()]
    (tmp_path / name).write_text("\n".join(lines) + "\n")
    assert np.array_equal(read_mask(tmp_path / name), LOWER)


def test_a_mask_for_each_head_stays_one(tmp_path):
    np.save(tmp_path / "m.npy", np.stack([LOWER, ~LOWER]))
    assert read_mask(tmp_path / "m.npy").shape == (2, 3, 5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,0\n1\n", "line 2 has 1 numbers, the first 2"),
        ("q,k\n1,0\n", "line 1 is no row of numbers: 'q,k'"),
        ("0.5,1\n", "is no mask: it holds float64, 0.5"),
        ("", "expected the axes"),
    ],
)
def test_text_files_that_hold_no_mask(tmp_path, content, message):
    (tmp_path / "m.csv").write_text(content)
    with pytest.raises(AttnvizError, match=message):
        read_mask(tmp_path / "m.csv")


def test_axes_that_are_too_many(tmp_path):
    np.save(tmp_path / "m.npy", np.ones((2, 3, 5, 7), bool))
    with pytest.raises(AttnvizError, match=r"got the shape \[2, 3, 5, 7\]"):
        read_mask(tmp_path / "m.npy")


def test_rows_and_columns_that_do_not_fit(call, tmp_path):
    np.save(tmp_path / "m.npy", LOWER)
    done = call("run", "I saw a saw", "--mask-file", "m.npy")
    assert "[3, 5]; expected n_q = 6 rows and n_k = 6 columns" in done.err
    assert "special tokens included" in done.err
