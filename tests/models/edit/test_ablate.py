"""Heads taken out, against models whose weights were changed by hand to the same effect."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.models import load_model
from attnviz.models.edit.ablate import Mean, Scaled, ablate, mean_contexts, uniform, zero
from attnviz.models.run.inputs import as_input, read_text
from attnviz.nn.linear import Linear
from attnviz.nn.site import RecordId
from attnviz.nn.transformer import attentions
from attnviz.trace.recorder import TraceRecorder
from attnviz.trace.selection import Head

MODELS = {
    "encoder": "random:layers=2,heads=3,d_model=30",
    "post-norm decoder": "random:kind=decoder,layers=3,heads=2,d_model=22,norm_place=post",
    "alibi": "random:kind=decoder,layers=2,heads=4,d_model=28,positions=alibi",
    "t5": "random:layers=2,heads=3,d_model=30,positions=t5",
    "shared keys": "random:kind=decoder,layers=2,heads=4,kv_heads=2,d_model=28,positions=rope",
    "additive": "random:layers=2,heads=3,d_model=30,score=additive",
    "softcap": "random:layers=2,heads=3,d_model=30,softcap=0.7,score=cosine",
    "both": "random:kind=encoder-decoder,layers=2,heads=3,d_model=30",
}
TEXT, OTHER = "a saw saw the sawyer once", "never saw a saw"


def loaded(spec):
    model = load_model(spec, {"dtype": "float64"})
    inputs = {"source": as_input(model, read_text(model, TEXT))}
    if model.kind == "encoder-decoder":
        inputs["target"] = as_input(model, read_text(model, OTHER), target=True)
    return model.transformer, inputs


def states(transformer, inputs, stages=()):
    """The last states, and the records."""
    recorder = TraceRecorder([*stages, "mask"])
    hidden = transformer(*inputs.values(), hidden_states=True, recorder=recorder).hidden_states
    return list(hidden.values())[-1][-1], {record.id: record for record in recorder.records()}


def with_output(transformer, head, change):
    """The transformer with the output projection of one head's attention changed:
    change(weight [d_model, n_head, d_v], bias) -> the same."""
    sites = iter(transformer.sites())

    def of(stack, attention):
        if next(sites).id != head.id:
            return attention
        weight, bias = attention.output
        by_head = np.array(weight).reshape(len(weight), attention.n_head, -1)
        by_head, bias = change(by_head, np.zeros(len(weight)) if bias is None else np.array(bias))
        return attention._replace(output=Linear(by_head.reshape(weight.shape), bias))

    return transformer.change_attention(of)


def every_head(transformer):
    return [Head(site.id, h) for site in transformer.sites() for h in range(site.n_head)]


@pytest.mark.parametrize("spec", MODELS.values(), ids=MODELS)
def test_zero_is_a_projection_without_the_head(spec):
    transformer, inputs = loaded(spec)
    for head in every_head(transformer):

        def cut(weight, bias, head=head):
            weight[:, head.number] = 0
            return weight, bias

        expected, _ = states(with_output(transformer, head, cut), inputs)
        found, _ = states(ablate(transformer, [head], zero), inputs)
        np.testing.assert_allclose(found, expected, atol=1e-12)
        assert abs(found - states(transformer, inputs)[0]).max() > 1e-6


@pytest.mark.parametrize("spec", MODELS.values(), ids=MODELS)
def test_mean_is_a_bias_in_the_place_of_the_head(spec):
    transformer, inputs = loaded(spec)
    _, records = states(transformer, inputs, ["context"])
    means = mean_contexts(transformer, [inputs])
    for head in every_head(transformer):
        mean = records[head.id].context[head.number].mean(0)
        np.testing.assert_allclose(means[head.id][head.number], mean, atol=1e-12)

        def cut(weight, bias, head=head, mean=mean):
            bias = bias + weight[:, head.number] @ mean
            weight[:, head.number] = 0
            return weight, bias

        expected, _ = states(with_output(transformer, head, cut), inputs)
        found, _ = states(ablate(transformer, [head], Mean(means)), inputs)
        np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("spec", MODELS.values(), ids=MODELS)
def test_uniform_spreads_the_weights_of_the_head_and_of_no_other(spec):
    transformer, inputs = loaded(spec)
    _, intact = states(transformer, inputs, ["weights"])
    for head in every_head(transformer):
        _, records = states(ablate(transformer, [head], uniform), inputs, ["weights"])
        record = records[head.id]
        for row, seen in zip(record.weights[head.number], record.mask, strict=True):
            np.testing.assert_allclose(row, seen / seen.sum(), atol=1e-12)
        others = [h for h in range(record.n_head) if h != head.number]
        np.testing.assert_allclose(
            record.weights[others], intact[head.id].weights[others], atol=1e-12
        )


def test_uniform_takes_what_the_sinks_had():
    transformer, inputs = loaded(MODELS["encoder"])
    sunk = transformer.change_attention(
        lambda stack, attention: attention._replace(sinks=np.array([1.0, 2.0, 3.0]))
    )
    cut = ablate(sunk, [Head(RecordId("encoder", 0, "self"), 1)], uniform)
    before, after = (
        states(each, inputs, ["weights"])[1]["encoder.0.self"].weights.sum(-1)
        for each in (sunk, cut)
    )
    assert (before < 0.99).all()
    np.testing.assert_allclose(after[1], 1)
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])


def test_means_are_over_all_positions_of_all_texts():
    transformer, long = loaded(MODELS["encoder"])
    model = load_model(MODELS["encoder"], {"dtype": "float64"})
    short = {"source": as_input(model, read_text(model, OTHER))}
    contexts = [
        states(transformer, each, ["context"])[1]["encoder.1.self"].context
        for each in (long, short)
    ]
    found = mean_contexts(transformer, [long, short])["encoder.1.self"]
    np.testing.assert_allclose(found, np.concatenate(contexts, 1).mean(1), atol=1e-12)


def test_a_factor_is_a_factor_on_the_projection():
    transformer, inputs = loaded(MODELS["both"])
    head = Head(RecordId("decoder", 1, "cross"), 2)

    def weaken(weight, bias):
        weight[:, 2] *= 0.3
        return weight, bias

    expected, _ = states(with_output(transformer, head, weaken), inputs)
    found, _ = states(ablate(transformer, [head], Scaled({head: 0.3})), inputs)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_original_stays_as_it_was():
    transformer, inputs = loaded(MODELS["both"])
    before, _ = states(transformer, inputs)
    head = Head(RecordId("decoder", 1, "self"), 0)
    for how in (zero, uniform, Mean(mean_contexts(transformer, [inputs]))):
        changed = ablate(transformer, [head], how)
        states(changed, inputs)
        assert (states(transformer, inputs)[0] == before).all()
        assert changed.encoder.blocks[0] is transformer.encoder.blocks[0]
        assert changed.decoder.blocks[0] is transformer.decoder.blocks[0]
        assert changed.decoder.blocks[1] is not transformer.decoder.blocks[1]
    (own, _), (cut, _) = (
        tuple(attentions(each.decoder.blocks[1])) for each in (transformer, changed)
    )
    assert own.gate is None
    assert cut.gate is not None
    assert own.query is cut.query  # the weights are shared, not copied


def test_uniform_leaves_hidden_what_a_bias_hides():
    """A bias of -inf masks, for the head that is taken out as for the others."""
    transformer, inputs = loaded(MODELS["encoder"])

    def hide_later(q_pos, k_pos):
        return np.where(k_pos > q_pos[:, None], -np.inf, 0.1 * k_pos)[None]

    biased = transformer.change_attention(
        lambda stack, attention: attention._replace(bias=hide_later)
    )
    head = Head(RecordId("encoder", 0, "self"), 1)
    _, records = states(ablate(biased, [head], uniform), inputs, ["weights"])
    weights = records[head.id].weights
    n = weights.shape[-1]
    np.testing.assert_allclose(weights[1], np.tri(n) / np.arange(1, n + 1)[:, None], atol=1e-12)
    assert not np.triu(weights[0], 1).any()
