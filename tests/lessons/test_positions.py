"""How attention learns where a word stands."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attnviz
from attnviz.cli import run_cli
from attnviz.errors import AttnvizError
from attnviz.nn import positions, schemes
from attnviz.views.kinds import Curves, Heatmap, Table

WORDS = st.lists(st.sampled_from(["I", "saw", "a", "wood", "看", "."]), min_size=3, max_size=9)


def tables(lesson):
    return [view for view in lesson.views if isinstance(view, Table)]


@settings(max_examples=15, deadline=None)
@given(words=WORDS, length=st.integers(8, 90), half=st.integers(1, 9), heads=st.integers(1, 5))
def test_the_claims_hold_for_any_text_and_size(take, words, length, half, heads):
    lesson = take(
        "positions", text=" ".join(words), length=length, width=2 * heads * half + 2 * heads,
        heads=heads,
    )  # fmt: skip
    assert [claim.holds for claim in lesson.claims] == [True] * 3


def test_the_last_word_goes_to_the_front(take):
    text, *_ = take("positions", text="one two three four").views
    assert "four one two three" in text.lines[0].text


def test_only_schemes_with_positions_notice(take):
    schemes_table, *_ = tables(take("positions"))
    change = {name: float(percent.rstrip("%")) for name, _, percent in schemes_table.rows}
    assert change.pop("none") == 0
    assert list(change) == ["sinusoidal", "learned", "rope", "alibi", "t5"]
    assert min(change.values()) > 1


def test_the_picture_by_its_formula(take):
    (heatmap,) = (v for v in take("positions", width=24).views if isinstance(v, Heatmap))
    assert heatmap.values.shape == (16, 24)
    for p, i in ((0, 0), (1, 0), (7, 5), (15, 11)):
        angle = p / 10000 ** (2 * i / 24)
        assert heatmap.values[p, 2 * i] == pytest.approx(math.sin(angle))
        assert heatmap.values[p, 2 * i + 1] == pytest.approx(math.cos(angle))


def test_digits_and_sines_side_by_side(take):
    clocks = tables(take("positions", width=32))[1]
    assert [row[0] for row in clocks.rows] == [0, 1, 2, 3, 15]
    for i, digits, period, signs, wavelength in clocks.rows:
        assert digits == "".join(f"{p:016b}"[-1 - i] for p in range(16))
        assert period == 2 ** (i + 1)
        assert wavelength == pytest.approx(2 * math.pi * 10000 ** (2 * i / 32))
        for p, sign in enumerate(signs):
            sine = math.sin(2 * math.pi * p / wavelength)
            assert sign == ("0" if p == 0 else "+" if sine > 0 else "-")


def test_distances_by_their_formulas(take):
    lesson = take("positions", length=130, width=32, heads=8)
    rows = {row[0]: row[1:] for row in tables(lesson)[2].rows}
    assert list(rows) == [0, 1, 2, 4, 8, 16, 32, 64, 128]
    for k, (sinusoidal, _, first, last, bucket) in rows.items():
        cosines = [math.cos(k / 10000 ** (2 * i / 32)) for i in range(16)]
        assert sinusoidal == pytest.approx(sum(cosines) / 16)
        assert (first, last) == pytest.approx((-k / 2, -k / 256))
        assert bucket == (k if k <= 16 else {32: 21, 64: 26, 128: 31}[k])
    assert rows[0][1] == 1
    assert abs(rows[128][1]) < 1


def test_the_curve_says_how_often_it_rises(take):
    (curves,) = (view for view in take("positions").views if isinstance(view, Curves))
    _, values = curves.series[0]
    rises = int((np.diff(values) > 0).sum())
    assert 0 < rises < len(values) - 1
    assert f"at {rises} of {len(values) - 1} steps" in curves.notes[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": "I saw"}, "expected 3 to 32 words, got 2"),
        ({"text": "a " * 33}, "expected 3 to 32 words, got 33"),
        ({"length": 7}, "length: expected 8 to 512, got 7"),
        ({"width": 130}, "width: expected 4 to 128, got 130"),
        ({"width": 12}, "4 heads need a multiple of 8, got 12"),
        ({"heads": 0}, "heads: expected 1 to 16, got 0"),
    ],
)
def test_what_cannot_be_shown(take, options, message):
    with pytest.raises(AttnvizError, match=message):
        take("positions", **options)


def holds(lesson):
    return [claim.holds for claim in lesson.claims]


def test_positions_that_sneak_in_are_noticed(take, monkeypatch):
    sneaky = replace(schemes.SCHEMES["none"], function=schemes.sinusoidal)
    monkeypatch.setitem(schemes.SCHEMES._entries, "none", sneaky)
    assert holds(take("positions")) == [False, True, True]


def test_a_wrong_rotation_is_noticed(take, monkeypatch):
    right = positions.shift
    monkeypatch.setattr(positions, "shift", lambda x, k, *base: right(x, -k, *base))
    assert holds(take("positions")) == [True, False, True]


def test_a_wrong_rope_is_noticed_and_fails_the_command(monkeypatch, capsysbinary):
    right = positions.rope

    def wrong(x, where, **options):
        return right(x, np.asarray(where) ** 2, **options)

    monkeypatch.setattr(positions, "rope", wrong)
    assert run_cli(["learn", "positions"]) == 1
    table = capsysbinary.readouterr().out.decode().partition("claims, checked")[2]
    assert table.count("NO") == 1
    assert "NO" in table[table.index("A RoPE score") :]


@pytest.mark.parametrize(("scheme", "equal"), [("none", True), ("rope", False)])
def test_what_to_expect_of_two_equal_words(scheme, equal):
    trace = attnviz.run("the dog bit the man", model=f"random:positions={scheme},layers=1")
    heads = trace["encoder.0.self"].weights
    assert [np.allclose(head[0], head[3], atol=1e-6) for head in heads] == [equal] * len(heads)


def test_what_to_expect_of_a_wider_vector(take):
    for width, rises in ((32, 29), (128, 19)):
        (curves,) = (v for v in take("positions", width=width).views if isinstance(v, Curves))
        assert f"at {rises} of 63 steps" in curves.notes[0]
