"""Greedy decoding against whole passes, token by token."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.models.run.generate import generate
from attnviz.models.run.inputs import as_input, read_text
from attnviz.nn.cache import ContiguousCache
from attnviz.tokens import Tokens


def one_by_one(model, read, n, memory=None):
    """The most probable token after each, and its probability, from passes over all tokens."""
    tokens, written = read, []
    for _ in range(n):
        step = as_input(model, tokens, target=memory is not None)
        output = model.transformer(*([step] if memory is None else [memory, step]), logits=True)
        logits = output.logits[-1].astype(float)
        probabilities = np.exp(logits - logits.max())
        probabilities /= probabilities.sum()
        written.append((int(probabilities.argmax()), probabilities.max()))
        tokens = tokens.followed_by(model.output_tokenizer.take([written[-1][0]]))
    return written


@pytest.mark.parametrize("cache", [ContiguousCache, None])
def test_a_decoder_alone(cache):
    model = load_model("induction")
    source = read_text(model, "abcdefgabc")
    generated = generate(model, source, max_tokens=5, cache=cache)
    expected = one_by_one(model, source, 5)
    assert [step.id for step in generated.steps] == [id for id, _ in expected]
    assert [step.probability for step in generated.steps] == pytest.approx(
        [probability for _, probability in expected], rel=1e-4
    )
    assert generated.read.ids == (*source.ids, *(id for id, _ in expected[:-1]))
    assert generated.written.ids == tuple(id for id, _ in expected)
    assert (generated.n_given, generated.ended) == (len(source), False)
    assert (generated.cache is None) == (cache is None)


def test_an_encoder_decoder_begins_with_its_first_token_and_stops_at_its_end():
    model = load_model("phrases")
    source = read_text(model, "早上好！")
    generated = generate(model, source)
    reader = model.output_tokenizer
    assert generated.ended
    assert generated.read.ids[0] == reader.begin
    assert generated.written.ids[-1] == reader.end
    expected = one_by_one(
        model, reader.take([reader.begin]), len(generated.steps), as_input(model, source)
    )
    assert list(generated.written.ids) == [id for id, _ in expected]
    stopped = generate(model, source, max_tokens=2)
    assert (len(stopped.steps), stopped.ended) == (2, False)


def test_every_step_is_counted_and_recorded():
    model, counted = load_model("induction"), []
    source = read_text(model, "abcabc")
    generated = generate(model, source, max_tokens=3, stages=("weights",),
                         progress=lambda *done: counted.append(done))  # fmt: skip
    assert counted == [(1, 3), (2, 3), (3, 3)]
    first, second, third = (step.records[0].weights.shape[1:] for step in generated.steps)
    n = len(source)
    assert (first, second, third) == ((n, n), (1, n + 1), (1, n + 2))


def test_no_more_is_written_than_the_model_has_positions_for():
    model = load_model("induction")
    source = read_text(model, "abcab")
    short = model._replace(max_tokens=len(source) + 3)
    generated = generate(short, source)
    assert len(generated.read) == short.max_tokens
    assert len(generated.steps) == 4


def test_what_writes_no_text():
    with pytest.raises(AttnvizError, match="tagger writes no text"):
        generate(load_model("tagger"), Tokens.of(["a"], [1]))
