"""Tensors of GGUF files under Hugging Face's names, with what the converter did undone."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.models.gguf.layout import Change, Renamed, halves, side_by_side


class Stored:
    """A file of tensors in memory."""

    path, n_byte = "x.gguf", 7

    def __init__(self, **tensors):
        self.tensors = {name.replace("__", "."): array for name, array in tensors.items()}
        self.shapes = {name: array.shape for name, array in self.tensors.items()}

    def sha256(self):
        return "beef"

    def copies(self, name):
        return False

    def read(self, name, rows=None):
        return self.tensors[name] if rows is None else self.tensors[name][rows]


MATRIX = np.arange(8 * 3, dtype=np.float32).reshape(8, 3)


def test_blocks_become_layers_and_what_is_not_in_the_table_keeps_its_name():
    file = Stored(
        blk__3__attn_q__weight=MATRIX, output_norm__bias=MATRIX[0], other=MATRIX, gone=MATRIX
    )
    names = {"attn_q": "layers.{}.q_proj", "output_norm": "norm"}
    renamed = Renamed(file, names, {}, frozenset({"gone"}))
    assert set(renamed.shapes) == {"layers.3.q_proj.weight", "norm.bias", "other"}
    assert renamed.read("layers.3.q_proj.weight") is MATRIX
    assert not renamed.copies("other")
    assert (renamed.path, renamed.n_byte, renamed.sha256()) == ("x.gguf", 7, "beef")


ORDER = np.array([3, 1, 4, 0, 5, 2, 7, 6])


@pytest.mark.parametrize("rows", [None, slice(1, 6, 2), np.array([7, 0])])
@pytest.mark.parametrize(
    ("change", "undone"),
    [
        (Change(order=lambda n: ORDER), MATRIX[ORDER]),
        (Change(offset=1.0), MATRIX - 1),
        (Change(order=lambda n: ORDER, offset=2.0), MATRIX[ORDER] - 2),
    ],
)
def test_orders_and_offsets_are_undone(change, undone, rows):
    file = Renamed(Stored(a__weight=MATRIX), {"a": "b"}, {"a": change}, frozenset())
    assert file.copies("b.weight")
    np.testing.assert_array_equal(
        file.read("b.weight", rows), undone if rows is None else undone[rows]
    )


def test_a_matrix_that_was_transposed():
    named = Renamed(
        Stored(a__weight=MATRIX), {"a": "b"}, {"a": Change(transposed=True)}, frozenset()
    )
    assert named.shapes == {"b.weight": (3, 8)}
    np.testing.assert_array_equal(named.read("b.weight"), MATRIX.T)
    np.testing.assert_array_equal(named.read("b.weight", np.array([2, 0])), MATRIX.T[[2, 0]])


def test_blocks_of_two_stacks():
    file = Stored(enc__blk__3__attn_q__weight=MATRIX, dec__blk__1__attn_q__weight=MATRIX + 1)
    names = {"enc.attn_q": "encoder.{0}.q", "dec.attn_q": "decoder.{0}.q"}
    renamed = Renamed(file, names, {}, frozenset())
    assert set(renamed.shapes) == {"encoder.3.q.weight", "decoder.1.q.weight"}
    np.testing.assert_array_equal(renamed.read("decoder.1.q.weight"), MATRIX + 1)


@pytest.mark.parametrize("rows", [None, slice(1, 3), np.array([2, 0])])
def test_the_first_axis_becomes_as_many_tensors(rows):
    """Experts, and norms of single heads."""
    experts = np.arange(5 * 3 * 7, dtype=np.float32).reshape(5, 3, 7)
    names = {"ffn_up_exps": "layers.{0}.experts.{1}.up"}
    renamed = Renamed(Stored(blk__2__ffn_up_exps__weight=experts), names, {}, frozenset())
    assert renamed.shapes == {f"layers.2.experts.{n}.up.weight": (3, 7) for n in range(5)}
    found = renamed.read("layers.2.experts.4.up.weight", rows)
    np.testing.assert_array_equal(found, experts[4] if rows is None else experts[4][rows])


@pytest.mark.parametrize("stored", [MATRIX[0], MATRIX[:1]])
def test_a_row_may_be_a_vector(stored):
    named = Renamed(Stored(a__weight=stored), {"a": "b"}, {"a": Change(is_row=True)}, frozenset())
    assert named.shapes == {"b.weight": (1, 3)}
    for rows in (None, slice(0, 1)):
        np.testing.assert_array_equal(named.read("b.weight", rows), MATRIX[:1])


def test_halves_pairs_a_feature_with_the_one_after_it():
    """Meta's pair (2i, 2i + 1) of a head stands at i and i + d/2."""
    stored = [f"h{head} pair {i} {part}" for head in range(3) for i in range(4) for part in "ab"]
    restored = [stored[row] for row in halves(3, len(stored))]
    assert restored == [
        f"h{head} pair {i} {part}" for head in range(3) for part in "ab" for i in range(4)
    ]


def test_side_by_side_gives_each_head_its_query_key_and_value():
    stored = [f"{part}{head}.{i}" for part in "qkv" for head in range(5) for i in range(2)]
    restored = [stored[row] for row in side_by_side(5, 5, len(stored))]
    assert restored == [
        f"{part}{head}.{i}" for head in range(5) for part in "qkv" for i in range(2)
    ]


def test_side_by_side_gives_each_group_its_queries_its_key_and_its_value():
    sizes = {"q": 6, "k": 2, "v": 2}
    stored = [f"{part}{head}.{i}" for part, n in sizes.items() for head in range(n) for i in "ab"]
    restored = [stored[row] for row in side_by_side(6, 2, len(stored))]
    heads = ["q0", "q1", "q2", "k0", "v0", "q3", "q4", "q5", "k1", "v1"]
    assert restored == [f"{head}.{i}" for head in heads for i in "ab"]
