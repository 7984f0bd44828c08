"""Views of models: the catalogue, and one in full."""

from __future__ import annotations

from attnviz.analysis.layers import LayerGroup
from attnviz.analysis.parameters import Component
from attnviz.views.kinds import Table, Text
from attnviz.views.models import About, catalogue_views, figure_text, model_views, summary_view

HOSTILE = "\x1b[2J/evil"


def group(**fields):
    fields = {"block": "decoder", "kind": "self", "layers": (0, 1, 3), "n_head": 6,
              "n_kv_head": 3, "mask": ("causal",), "score": "scaled_dot", "scale": 0.125,
              "softcap": None} | fields  # fmt: skip
    return LayerGroup(**fields)


def about(name="tiny", card=None, groups=(), components=(), total=0, notes=()):
    facts = [("model", "tiny"), ("weights", HOSTILE)]
    memory, commands = [(128, 1 << 20)], ["run TEXT", "heads TEXT"]
    return About(name, facts, notes, card, groups, memory, components, total, commands)


def described(**fields):
    return model_views(about(**fields))


def summary(**fields):
    return {line.term: line.text for line in summary_view(about(**fields)).lines}


def tables(views):
    return {view.title: view for view in views if isinstance(view, Table)}


def test_the_catalogue():
    views = catalogue_views(
        [("tagger", {"title": "tags words", "n_parameter": 1234}), ("bare", {})],
        [("org/name", "bert", True), (HOSTILE, "mamba", False)],
        ["."],
    )
    packaged, found = views
    assert packaged.rows == (("tagger", "tags words", 1234), ("bare", "", None))
    assert found.rows == (("org/name", "bert", "yes"), ("␛[2J/evil", "mamba", "no"))


def test_where_nothing_was_found_it_is_said_where_it_was_looked():
    (text,) = catalogue_views([], [], ["here", HOSTILE])
    assert text.lines[0].text == "no checkpoints in here, ␛[2J/evil"


def test_facts_come_first_and_move_no_cursor():
    text, *_ = described(notes=["a note"])
    assert isinstance(text, Text)
    assert [(line.term, line.text, line.tone) for line in text.lines] == [
        ("model", "tiny", "head"), ("weights", "␛[2J/evil", "plain"), ("", "a note", "note")
    ]  # fmt: skip


def test_attention_by_groups_of_layers():
    groups = [group(), group(layers=(2,), mask=(), score="cosine", scale=None, softcap=30.0)]
    attention = tables(described(groups=groups))["attention"]
    assert attention.rows == (
        ("decoder self", "0-1,3", 6, "3: head h uses h // 2", "causal", "dot × 0.125"),
        ("decoder self", "2", 6, "3: head h uses h // 2", "none", "cosine, capped at ±30"),
    )
    assert tables(described(groups=groups))["memory"].rows == ((128, "1.0 MiB"),)
    assert "memory" not in tables(described())


def test_parts_add_up_to_all():
    components = [Component("embedding", "a table", 100), Component("head", "the output", 11)]
    rows = tables(described(components=components, total=118))["parts"].rows
    assert rows[-1] == ("all", "", 118)
    assert rows[-2] == ("", "rows of tables that stand for no token", 7)
    assert sum(row[2] for row in rows[:-1]) == 118
    exact = tables(described(components=components, total=111))["parts"].rows
    assert [row[0] for row in exact] == ["embedding", "head", "all"]


def test_a_card_says_its_figures_and_what_they_are_of():
    card = {"title": "t", "figures": {"accuracy": 0.5, "sample_3": 1, "text": "no number"},
            "figures_text": {"accuracy": "of tags", "sample_*": "one of many"},
            "limits": ["first", "second"], "training_seconds": 61.4, "threads": 1, "seed": 7}  # fmt: skip
    views = described(card=card)
    assert tables(views)["measured"].rows == (
        ("accuracy", 0.5, "of tags"),
        ("sample_3", 1, "one of many"),
    )
    lines = [(line.term, line.text) for line in views[0].lines]
    assert ("trained", "61 s on 1 thread, seed 7") in lines
    assert lines[-2:] == [("limits", "first"), ("", "second")]


def test_figures_of_a_head_share_a_text():
    texts = {"alignment.RECORD.HEAD": "of a head", "alignment.best": "of the best"}
    assert figure_text(texts, "alignment.decoder.0.cross.3") == "of a head"
    assert figure_text(texts, "alignment.best") == "of the best"
    assert figure_text(texts, "other") == ""


def test_a_summary_has_the_first_clause_of_each():
    card = {"title": "t", "task_text": "Tags words, and what it does is said at length. More.",
            "data": "40 examples, of which some are held out; the rest, and so on", "licence": "MIT",
            "data_licence": "CC BY 4.0, as it stands on a page of some length. Somebody.",
            "figures": {"accuracy": 0.5, "other": 1}, "figures_text": {"accuracy": "of tags"},
            "limits": ["It knows only what it was trained on, which is little: the rest not."]}  # fmt: skip
    lines = summary(card=card, groups=[group()])
    assert lines["task"] == "Tags words, and what it does is said at length"
    assert lines["trained on"] == "40 examples, of which some are held out; the rest, and so on"
    assert lines["licence"] == "MIT; data: CC BY 4.0, as it stands on a page of some length"
    assert lines["measured"] == "accuracy 0.5: of tags"
    assert lines["limits"] == "It knows only what it was trained on, which is little"
    assert lines["ask it"].split("  ")[1].split("\u00a0") == [
        "attnviz",
        "heads",
        "TEXT",
        "-m",
        "tiny",
    ]
    assert lines["attention"].startswith("decoder self: layers 0-1,3, 6 heads")
    assert lines["memory"] == "128\u00a0tokens\u00a01.0\u00a0MiB"
    assert lines["weights"] == "␛[2J/evil"


def test_a_long_path_stands_for_itself():
    assert "/x/" not in summary(name="/x" * 30)["ask it"]
