"""What the package `tokenizers` raises: panics of its Rust code, and their reports."""

from __future__ import annotations

import json
import os

import pytest

from attnviz.errors import AttnvizError
from attnviz.models.tokenizers.files import read_tokenizers
from attnviz.models.tokenizers.package import package_errors

tokenizers = pytest.importorskip("tokenizers")

PLAIN = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": None,
    "post_processor": None,
    "decoder": None,
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
}
"""A `tokenizer.json`."""

LETTERS = "a" * 40 + "b"
BACKTRACKS = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated",
              "invert": False}  # fmt: skip


@pytest.fixture
def reader(tmp_path):
    """A folder's tokenizer, of a `tokenizer.json` with some parts replaced."""

    def read(**parts):
        (tmp_path / "tokenizer.json").write_text(json.dumps({**PLAIN, **parts}))
        return read_tokenizers(tmp_path, {"model_type": "llama"}).source

    return read


@pytest.mark.parametrize("charsmap", ["AAAA", "", "/////w==", "!!"])
def test_a_panic_while_it_is_read(reader, charsmap, capfd):
    normalizer = {"type": "Precompiled", "precompiled_charsmap": charsmap}
    with pytest.raises(AttnvizError, match=r"tokenizer\.json is damaged .*: Precompiled"):
        reader(normalizer=normalizer)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "parts",
    [
        {"pre_tokenizer": BACKTRACKS},
        {"normalizer": {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": "a"}},
    ],
    ids=["pre_tokenizer", "normalizer"],
)
def test_a_regular_expression_without_end(reader, parts, capfd):
    backend = reader(**parts)
    assert backend.encode("ab").ids
    with pytest.raises(
        AttnvizError, match="cannot read this text: one of its regular expr"
    ) as error:
        backend.encode(LETTERS)
    assert "--ids" in error.value.hint
    assert capfd.readouterr().err == ""


def test_names_and_ids_of_a_special_token_that_do_not_fit(reader):
    """`zip() argument 2 is shorter`, once."""
    template = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "x", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"x": {"id": "x", "ids": [0, 1], "tokens": ["a"]}},
    }
    with pytest.raises(AttnvizError, match=r"is damaged: it gives 3 ids for 2 tokens"):
        reader(post_processor=template).encode("a")


def test_dropout_left_in_a_file_is_not_applied(reader):
    model = {**PLAIN["model"], "dropout": 0.5}
    tokens = {reader(model=model).encode("ab" * 40).ids for _ in range(5)}
    assert tokens == {(2,) * 40}


def test_only_the_packages_own_errors_are_caught(capfd):
    with pytest.raises(KeyboardInterrupt), package_errors("it fails", "h"):
        raise KeyboardInterrupt
    with (
        pytest.raises(AttnvizError, match=r"it fails: first\nhint: h$"),
        package_errors("it fails", "h"),
    ):
        raise ValueError("first\nsecond")
    with package_errors("it fails", "h"):
        os.write(2, b"of another thread")
    assert capfd.readouterr().err == "of another thread"
