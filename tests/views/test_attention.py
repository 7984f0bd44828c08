"""Which heads are shown, and with which words."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz.analysis.informative import head_information
from attnviz.errors import AttnvizError
from attnviz.tokens import Tokens
from attnviz.trace.record import ModelFacts, Trace
from attnviz.trace.selection import Selection, parse_selection
from attnviz.views.attention import MAX_PANELS, attention_views, tokens_line
from attnviz.views.kinds import Grid, Heatmap, Text


def of_kind(views, kind):
    return [view for view in views if isinstance(view, kind)]


def test_overview_and_the_most_telling(saw):
    views = attention_views(saw, Selection())
    assert [type(view).__name__ for view in views[:2]] == ["Text", "Grid"]
    assert len(of_kind(views, Heatmap)) == 2
    assert len(of_kind(views, Grid)[0].present()) == 8
    assert any("most informative" in note for note in of_kind(views, Grid)[0].notes)


def test_titles_are_short_and_captions_are_sentences():
    tagged = attnviz.run("I saw a saw")
    first, second = of_kind(attention_views(tagged, Selection()), Heatmap)
    assert (first.heading, second.heading) == ("L1.H3", "L1.H2")
    assert first.caption == "looks at the next token (97% of its weight)"
    assert first.brief == "looks at the next token (97%)"
    assert first.notes == ()
    kinds = attnviz.run("I saw", kind="encoder-decoder")
    (head,) = of_kind(attention_views(kinds, parse_selection(["decoder.1.cross.H2"])), Heatmap)
    assert head.heading == "decoder.1.cross.H2"


def test_numbers_on_request():
    tagged = attnviz.run("I saw a saw")
    views = attention_views(tagged, Selection(), stats=True)
    focus, spread, information = of_kind(views, Heatmap)[0].notes
    measured = head_information(tagged["encoder.1.self"], 3)
    assert focus == "very focused: effectively 1.1 of 6 keys"
    assert f"{measured.entropy:.2f} of at most {np.log(6):.2f} nats" in spread
    assert f"{measured.mutual_information:.2f} nats" in information


def test_a_wide_screen_may_show_more_heads(saw):
    heads = of_kind(attention_views(saw, Selection(), top=None), Heatmap)
    assert [head.optional for head in heads] == [False, False, True]
    assert not any(h.optional for h in of_kind(attention_views(saw, Selection(), top=3), Heatmap))


def test_what_the_model_says_of_tokens_stands_beside_them():
    tokens = Tokens.of(["I", "sawr", "."], tags=["PRON", "VERB", ""], unknown=[1])
    assert tokens_line(tokens).text == "0\u00a0I/PRON  1\u00a0sawr/VERB?  2\u00a0."


def test_one_selected_head_is_shown_alone(saw):
    views = attention_views(saw, parse_selection(["L1.H3"]))
    assert of_kind(views, Grid) == []
    (heatmap,) = of_kind(views, Heatmap)
    assert heatmap.title == "encoder.1.self L1.H3 · weights"
    np.testing.assert_array_equal(heatmap.values, saw["encoder.1.self"].weights[3])


@pytest.mark.parametrize("select", ["L0.H0", "L0.H1", "L1.H0"])
def test_the_selection_is_really_used(saw, select):
    (heatmap,) = of_kind(attention_views(saw, parse_selection([select])), Heatmap)
    layer, head = int(select[1]), int(select[4])
    np.testing.assert_array_equal(heatmap.values, saw.records[layer].weights[head])


def test_a_grid_leaves_out_what_is_not_selected(saw):
    (grid,) = of_kind(attention_views(saw, parse_selection(["L0.H1,H3", "L1.H1"])), Grid)
    assert grid.column_names == ("H1", "H3")
    assert [[p is not None for p in row] for row in grid.panels] == [[True, True], [True, False]]


def test_kinds_of_attention_have_a_grid_each():
    trace = attnviz.run("I saw", kind="encoder-decoder")
    grids = of_kind(attention_views(trace, Selection()), Grid)
    assert [grid.title.split(" · ")[0] for grid in grids] == [
        "encoder self-attention", "decoder self-attention", "decoder cross-attention",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def deep():
    """26 layers of 8 heads: too many to draw each."""
    return attnviz.run("I saw a saw", model="random:kind=decoder,layers=26,heads=8,d_model=16")


@pytest.mark.parametrize("stage", ["weights", "scores"])
def test_of_too_many_heads_it_is_shown_how_much_each_tells(stage):
    trace = attnviz.run(
        "I saw a saw",
        model="random:kind=decoder,layers=26,heads=8,d_model=16",
        stages=("weights", "scores"),
    )
    views = attention_views(trace, Selection(), stage=stage)
    assert of_kind(views, Grid) == []
    told, first = of_kind(views, Heatmap)[:2]
    expected = [
        [head_information(record, head).mutual_information for head in range(8)] for record in trace
    ]
    np.testing.assert_array_equal(told.values, expected)
    layer, head = np.unravel_index(np.argmax(expected), (26, 8))
    assert first.title == f"decoder.{layer}.self L{layer}.H{head} · {stage}"
    assert any("208 heads are too many" in note for note in told.notes)
    assert told.notes[-1].startswith(f"-s L{layer} draws")


def test_what_is_suggested_then_draws_panels(deep):
    told = of_kind(attention_views(deep, Selection()), Heatmap)[0]
    selection = parse_selection([told.notes[-1].split()[1]])
    (grid,) = of_kind(attention_views(deep, selection), Grid)
    assert len(grid.present()) == 8


def test_up_to_the_limit_panels_are_drawn(deep):
    (grid,) = of_kind(attention_views(deep, parse_selection(["L0-24"])), Grid)
    assert len(grid.present()) == MAX_PANELS == 200


def test_too_many_heads_of_several_kinds():
    model = "random:kind=encoder-decoder,layers=9,heads=8,d_model=16"
    views = attention_views(attnviz.run("I saw", model=model), Selection(), top=0)
    assert [view.title.partition(" · ")[0] for view in of_kind(views, Heatmap)] == [
        "encoder self", "decoder self", "decoder cross",
    ]  # fmt: skip


@pytest.mark.parametrize("stage", ["weights", "scores", "logits"])
def test_one_scale_for_all(saw, stage):
    views = attention_views(saw, Selection(), stage=stage)
    scales = {panel.scale for grid in of_kind(views, Grid) for panel in grid.present()}
    scales |= {heatmap.scale for heatmap in of_kind(views, Heatmap)}
    assert len(scales) == 1


def test_the_same_head_has_the_same_colours_whatever_is_shown_with_it(saw):
    together = of_kind(attention_views(saw, Selection()), Grid)[0].panels[1][3]
    (alone,) = of_kind(attention_views(saw, parse_selection(["L1.H3"])), Heatmap)
    np.testing.assert_array_equal(together.shades(), alone.shades())


def test_random_weights_are_called_random(saw):
    lines = attention_views(saw, Selection())[0].lines
    assert any("random weights" in line.text and line.tone == "note" for line in lines)


def test_weights_above_one_get_a_true_scale(tmp_path):
    np.save(tmp_path / "w.npy", np.array([[1.0, 5.0], [2.0, 3.0]]))
    views = attention_views(attnviz.load(tmp_path / "w.npy"), Selection())
    assert of_kind(views, Heatmap)[0].scale.high == 5
    assert any("do not sum to 1" in line.text for line in of_kind(views, Text)[-1].lines)


def test_an_all_zero_row_is_named_under_a_row_scale(tmp_path):
    np.save(tmp_path / "w.npy", np.array([[0.2, 0.8], [0, 0]]))
    (heatmap,) = of_kind(
        attention_views(attnviz.load(tmp_path / "w.npy"), Selection(), by="row"), Heatmap
    )
    assert "all zero, not scaled: row 1" in heatmap.notes
    assert heatmap.shades()[1].tolist() == [0, 0]


def test_long_texts_say_what_is_left_out():
    assert tokens_line(Tokens.of(["a", "b"])).text == "0\u00a0a  1\u00a0b"
    line = tokens_line(Tokens.of(["a"] * 500, special=[0, 450, 499]))
    words = line.text.split("  ")
    assert words[:40] == [f"{i}\u00a0a" for i in range(40)]
    assert words[40:42] == ["…\u00a0452\u00a0more\u00a0…", "492\u00a0a"]
    assert words[-1] == "499\u00a0a"
    faint = [word for i, word in enumerate(line.text.split(" ")) if i in line.faint]
    assert faint == ["0\u00a0a", "499\u00a0a"]


def test_special_tokens_and_marks_of_a_tokens_line():
    tokens = Tokens.of(["[CLS]", "saw", "##s", "[SEP]"], special=[0, 3], notes=["## goes on"])
    line = tokens_line(tokens)
    assert [word for i, word in enumerate(line.text.split(" ")) if i in line.faint] == [
        "0\u00a0[CLS]",
        "3\u00a0[SEP]",
    ]
    trace = Trace(ModelFacts("x", shape={"n_head": 0}), {"source": tokens, "target": tokens}, ())
    (text,) = attention_views(trace, Selection())
    assert [each.text for each in text.lines].count("## goes on") == 1


def test_top():
    trace = attnviz.run("I saw a saw")
    assert len(of_kind(attention_views(trace, Selection(), top=5), Heatmap)) == 5
    assert len(of_kind(attention_views(trace, Selection(), top=8), Heatmap)) == 8
    assert len(of_kind(attention_views(trace, Selection(), top=0), Heatmap)) == 0


def test_stages_that_are_not_there(saw):
    with pytest.raises(AttnvizError, match="cannot draw 'context'"):
        attention_views(saw, Selection(), stage="context")
    with pytest.raises(AttnvizError, match="was not kept"):
        attention_views(attnviz.run("I saw"), Selection(), stage="scores")
