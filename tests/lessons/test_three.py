"""Three attentions of one translation."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from attnviz import load_model, run
from attnviz.cli import run_cli
from attnviz.errors import AttnvizError
from attnviz.lessons import three
from attnviz.models.build import stack_parts
from attnviz.nn.masks import NONE
from attnviz.nn.transformer import Transformer
from attnviz.views.kinds import Grid, Links, Table
from tests.conftest import HERE

PHRASE = "他没有看见那只猫"
STRANGE = "Ω"
"""What no Chinese phrase holds."""


def one(lesson, kind):
    return next(view for view in lesson.views if isinstance(view, kind))


def unseen(n):
    """Phrases of the grammar that the model was not trained on."""
    sys.path.insert(0, str(HERE.parent / "samples" / "training"))
    try:
        import phrases_grammar
    finally:
        sys.path.pop(0)
    return [e.source for e in phrases_grammar.unseen(n, seed=7) if 2 <= len(e.source) <= 20]


def test_the_claims_hold_for_other_phrases(take):
    phrases = unseen(12)
    assert len(phrases) > 5
    for phrase in phrases:
        assert [claim.holds for claim in take("three", text=phrase).claims] == [True] * 3, phrase


def test_it_says_what_was_read_and_written(take):
    text = take("three", text=PHRASE).views[0]
    assert f"reads {PHRASE} and writes: He did not see that cat" in text.lines[0].text


def test_who_asks_whom(take):
    lesson = take("three", text=PHRASE)
    rows = [row[-2:] for row in one(lesson, Table).rows]
    assert rows == [("9 × 9", 0), ("7 × 7", 21), ("7 × 9", 0)]
    trace = run(PHRASE, model="phrases")
    ((encoder, own, cross),) = one(lesson, Grid).panels
    for panel, id in (
        (encoder, "encoder.1.self"),
        (own, "decoder.1.self"),
        (cross, "decoder.1.cross"),
    ):
        np.testing.assert_array_equal(panel.values, trace[id].weights[0])
    np.testing.assert_array_equal(own.masked, np.triu(np.ones((7, 7)), 1))
    assert own.columns.labels == ("[BOS]", "He", "did", "not", "see", "that", "cat")
    assert cross.columns.labels == (*PHRASE, "[EOS]")
    assert own.columns.labels == cross.rows.labels


def test_the_alignment_is_of_what_was_written(take):
    links = one(take("three", text=PHRASE), Links)
    assert links.right.labels == ("He", "did", "not", "see", "that", "cat")
    looked = [links.left.labels[links.strongest(i)[0]] for i in range(6)]
    assert looked == ["他", "有", "没", "看", "那", "猫"]


def probabilities(text):
    """Of the words that are written for PHRASE, when another text stands before the encoder."""
    model = load_model("phrases")
    trace = run(PHRASE, model=model)
    read = trace.streams["target"].ids
    written = (*read[1:], model.target_tokenizer.end)
    logits = run(text, target=read, model=model, logits=True).logits.astype(float)
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return [float(row[id] / row.sum()) for row, id in zip(shares, written, strict=True)][:-1]


def test_hiding_a_character_is_writing_another(take):
    table = [view for view in take("three", text=PHRASE).views if isinstance(view, Table)][1]
    whole = np.array(probabilities(PHRASE))
    costs = np.stack(
        [np.log(whole / probabilities(PHRASE.replace(char, STRANGE))) for char in PHRASE], -1
    )
    for i, (_, char, _, it, others) in enumerate(table.rows):
        place = PHRASE.index(char)
        assert it == pytest.approx(costs[i, place], abs=1e-4)
        assert others == pytest.approx(np.delete(costs[i], place).mean(), abs=1e-4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("猫", "expected 2 to 20 characters, got 1"),
        ("猫" * 21, "expected 2 to 20 characters, got 21"),
        ("他看见Ω", "the model does not know Ω"),
        ("", "no tokens"),
    ],
)
def test_what_cannot_be_translated(take, text, message):
    with pytest.raises(AttnvizError, match=message):
        take("three", text=text)


def holds(lesson):
    return [claim.holds for claim in lesson.claims]


def test_cross_attention_to_what_the_encoder_reads_is_noticed(take, monkeypatch):
    right = Transformer.encode

    def too_early(self, source, recorder, hidden=None):
        states = [] if hidden is None else hidden
        return right(self, source, recorder, states)._replace(x=states[0])

    monkeypatch.setattr(Transformer, "encode", too_early)
    assert holds(take("three"))[:2] == [False, True]


def test_a_decoder_without_a_mask_is_noticed_and_fails_the_command(monkeypatch, capsysbinary):
    monkeypatch.setattr(stack_parts, "_mask", lambda *where: NONE)
    assert run_cli(["learn", "three"]) == 1
    table = capsysbinary.readouterr().out.decode().partition("claims, checked")[2]
    assert "NO" in table[table.index("The encoder looks ahead") :]


def test_a_head_that_looks_elsewhere_is_noticed(take, monkeypatch):
    right = three.alignment_head

    def wrong(trace, selection):
        record, head = right(trace, selection)
        return replace(record, weights=np.roll(record.weights, 4, axis=-1)), head

    monkeypatch.setattr(three, "alignment_head", wrong)
    assert holds(take("three")) == [True, True, False]


def test_what_is_to_be_tried_gives_what_is_expected(take):
    (links,) = (v for v in take("three", text="早上好").views if isinstance(v, Links))
    looked_at = {
        word: links.left.labels[links.strongest(row)[0]]
        for row, word in enumerate(links.right.labels)
    }
    assert looked_at == {"Good": "好", "morning": "早"}
