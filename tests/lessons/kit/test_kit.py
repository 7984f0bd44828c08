"""What lessons are written with."""

from __future__ import annotations

import sys
import textwrap
from importlib import import_module

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.lessons import kit
from attnviz.models import load_model
from attnviz.nn.norms import layer_norm


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The lesson in the kit's docstring, as a module."""
    _, _, code = kit.__doc__.partition("\n\n    import numpy")
    code = "    import numpy" + code.partition("\n\nIts keyword-only")[0]
    (tmp_path / "example_lesson.py").write_text(textwrap.dedent(code))
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module("example_lesson")
    del sys.modules["example_lesson"]


def test_the_example_is_a_lesson(example):
    assert (example.TITLE, example.AFTER) == ("Softmax: scores become shares", "retrieval")
    assert (example.QUESTION, example.GROUP) == ("How do scores become weights?", "start")
    assert example.ALSO == ("exponential", "shares")
    lesson = example.lesson(n=7)
    (table,) = lesson.views
    assert len(table.rows) == 7
    assert table.rows[-1][1] == pytest.approx(1 - np.exp(-1), abs=1e-3)
    assert example.TRY[0].command == "attnviz learn softmax:n=9"
    assert example.lesson(n=9).views[0].rows[-1][1] == pytest.approx(1 - np.exp(-1), abs=1e-3)
    assert example.NEXT == ("scaling",)
    assert [claim.holds for claim in lesson.claims] == [True]
    with pytest.raises(AttnvizError, match="n: expected 2 to 100, got 1"):
        example.lesson(n=1)


def test_sizes():
    for value in (3, 7):
        kit.check_size("width", value, 3, 7)
    for value in (2, 7.5):
        with pytest.raises(AttnvizError, match=f"width: expected 3 to 7, got {value}") as caught:
            kit.check_size("width", value, 3, 7)
        assert caught.value.hint == "write for example width=3"


def test_even_numbers():
    kit.check_even("r", 4)
    with pytest.raises(AttnvizError, match="r: expected an even number, got 5") as caught:
        kit.check_even("r", 5)
    assert caught.value.hint == "write for example r=6"


@pytest.mark.parametrize(("width", "heads"), [(9, 3), (10, 4)])
def test_widths_that_cannot_be_split(width, heads):
    kit.check_heads(12, 3)
    message = f"width: expected an even number that can be split into {heads} heads, got {width}"
    with pytest.raises(AttnvizError, match=message) as caught:
        kit.check_heads(width, heads)
    assert caught.value.hint == f"write for example width={8 * heads}"


def test_words():
    assert kit.read_words("I saw a saw", 1, 4, "less") == ["I", "saw", "a", "saw"]
    with pytest.raises(AttnvizError, match="text: expected 1 to 3 words, got 4") as caught:
        kit.read_words("I saw a saw", 1, 3, "take fewer")
    assert caught.value.hint == "take fewer"
    for n, hint in ((1, "give more letters"), (9, "give fewer letters")):
        with pytest.raises(AttnvizError, match=f"text: expected 2 to 8 letters, got {n}") as caught:
            kit.check_count("text", n, "letters", 2, 8)
        assert caught.value.hint == hint


def test_a_drawing():
    pixels = kit.read_drawing(kit.DIGIT)
    assert pixels.shape == (8, 8)
    assert (pixels.min(), pixels.max()) == (0, 1)
    np.testing.assert_allclose(pixels[0, 2], 5 / 9)


@pytest.mark.parametrize("drawing", ["", "00", "/".join(["0000000x"] * 8), "/".join(["00"] * 8)])
def test_what_is_not_a_drawing(drawing):
    with pytest.raises(AttnvizError, match="drawing: expected 8 rows of 8 digits"):
        kit.read_drawing(drawing)


def test_a_sublayer_by_itself():
    model = load_model("random:layers=1,d_model=8,heads=2,dtype=float64")
    sublayer = model.transformer.encoder.blocks[0][0]
    x = np.random.default_rng(0).normal(size=(5, 8))
    context = kit.sublayer_context(x)
    np.testing.assert_allclose(
        sublayer(x, context), layer_norm(x + sublayer.f(x, context)), atol=1e-12
    )


def test_the_largest_difference():
    assert kit.largest_difference(np.array([1.0, -2.0]), np.array([1.5, 1.0])) == 3
