"""Contributions against loops over heads and tokens, and against the model's own sums."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz import AttnvizError
from attnviz.analysis.contributions import (
    STAGES,
    contribution_mix,
    contribution_mixes,
    projected_values,
)
from attnviz.analysis.flow import flow
from attnviz.models import load_model
from attnviz.nn.linear import Linear
from attnviz.nn.norms import LayerNorm, RMSNorm, Scale
from attnviz.nn.transformer import ResidualOfNorm, Sublayer, attentions
from attnviz.running import run

TEXT = "a saw saw the sawyer once"
SPECS = {
    "post": "random:layers=2,heads=3,d_model=30,norm_place=post",
    "pre": "random:kind=decoder,layers=2,heads=2,d_model=22,norm_place=pre,norm=rms",
    "shared keys": "random:kind=decoder,layers=2,heads=4,kv_heads=2,d_model=28,positions=rope",
    "both": "random:kind=encoder-decoder,layers=2,heads=3,d_model=30",
}


def traced(spec):
    model = load_model(spec, {"dtype": "float64"})
    return model.transformer, run(TEXT, model=model, stages=STAGES, hidden_states=True)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_rows_sum_to_one(spec):
    transformer, trace = traced(spec)
    mixes = contribution_mixes(transformer, trace)
    assert list(mixes) == [record.id for record in trace]
    for keys, own in mixes.values():
        np.testing.assert_allclose(keys.sum(-1) + own, 1)
        assert (keys >= 0).all()
    found = flow(trace.records, lambda record: mixes[record.id])
    np.testing.assert_allclose(sum(share.sum(-1) for share in found.shares.values()), 1)


def by_loops(record, attention, sublayer, x):
    """[n_q, n_k + 1]: the shares, the token's own last; a layer norm behind the sum."""
    n_head, n_q, n_k = record.weights.shape
    d_v = record.v.shape[-1]
    w_o, gain, eps = np.asarray(attention.output.weight), sublayer.after.gain, sublayer.after.eps
    bias = 0 if attention.output.bias is None else attention.output.bias
    shares = np.zeros((n_q, n_k + 1))
    for i in range(n_q):
        parts = []
        for j in range(n_k):
            part = np.zeros(len(x[i]))
            for h in range(n_head):
                v = record.v[h * len(record.v) // n_head, j]
                part += record.weights[h, i, j] * (w_o[:, h * d_v : (h + 1) * d_v] @ v)
            parts.append(part + x[i] if record.kind == "self" and i == j else part)
        parts.append(np.zeros(len(x[i])) if record.kind == "self" else x[i])
        whole = sum(parts) + bias
        deviation = np.sqrt(((whole - whole.mean()) ** 2).mean() + eps)
        parts = [gain * (part - part.mean()) / deviation for part in parts]
        y = sum(parts)
        near = [max(0, abs(y).sum() - abs(y - part).sum()) for part in parts]
        shares[i] = np.array(near) / sum(near)
    return shares


def test_self_and_cross_attention_by_loops():
    transformer, trace = traced(SPECS["both"] + ",norm_place=post")
    mixes = contribution_mixes(transformer, trace)
    hidden = trace.hidden_states
    for layer in range(2):
        first, second, _ = transformer.decoder.blocks[layer]
        x = np.array(hidden["decoder"][layer])
        own, cross = trace[f"decoder.{layer}.self"], trace[f"decoder.{layer}.cross"]
        expected = by_loops(own, first.f, first, x)
        np.testing.assert_allclose(mixes[own.id].keys, expected[:, :-1], atol=1e-12)
        assert (mixes[own.id].own == 0).all()
        merged = own.context.swapaxes(0, 1).reshape(len(x), -1)
        x = first.after(first.f.output(merged) + x)  # what the cross-attention reads
        expected = by_loops(cross, second.f, second, x)
        np.testing.assert_allclose(mixes[cross.id].keys, expected[:, :-1], atol=1e-12)
        np.testing.assert_allclose(mixes[cross.id].own, expected[:, -1], atol=1e-12)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_weighted_values_add_up_to_the_output(spec):
    """Σ_h Σ_j α f(x_j) is what the attention's own projection makes of the context."""
    transformer, trace = traced(spec)
    stack = transformer.decoder or transformer.encoder
    (attention,) = attentions(stack.blocks[1][:1])
    record = trace[f"{stack.name}.1.self"]
    summed = np.einsum("hij,hjd->id", record.weights, projected_values(record, attention))
    merged = record.context.swapaxes(0, 1).reshape(summed.shape[0], -1)
    np.testing.assert_allclose(summed, merged @ np.asarray(attention.output.weight).T, atol=1e-12)


def test_what_moves_nothing_contributes_nothing():
    """Without values, whatever the weights, every token keeps itself."""
    transformer, trace = traced(SPECS["post"])
    (attention,) = attentions(transformer.encoder.blocks[0])
    mute = attention._replace(output=Linear(np.zeros_like(attention.output.weight)))
    x = np.array(trace.hidden_states["encoder"][0])
    mix = contribution_mix(trace.records[0], mute, Sublayer(mute), x)
    np.testing.assert_allclose(mix.keys, np.eye(len(x)))


def test_a_residual_from_behind_the_norm_is_what_a_token_keeps():
    """The shares are those of a plain residual of the normalised vectors."""
    transformer, trace = traced(SPECS["post"])
    (attention,) = attentions(transformer.encoder.blocks[0])
    x = np.array(trace.hidden_states["encoder"][0])
    norm = LayerNorm(np.linspace(0.1, 3, 30))
    found = contribution_mix(trace.records[0], attention, ResidualOfNorm(attention, norm), x)
    plain = contribution_mix(trace.records[0], attention, Sublayer(attention), norm(x))
    np.testing.assert_allclose(found.keys, plain.keys)
    other = contribution_mix(trace.records[0], attention, Sublayer(attention, norm), x)
    assert np.abs(found.keys - other.keys).max() > 0.01


@pytest.mark.parametrize(
    "norm", [LayerNorm(eps=0.0), RMSNorm(eps=0.0), Scale(np.array([2.0] * 30))]
)
def test_norms_within_scale_what_moves_against_the_residual(norm):
    """A norm of the attention's output makes its size forgotten, a scale does not."""
    transformer, trace = traced(SPECS["post"])
    (attention,) = attentions(transformer.encoder.blocks[0])
    weight = np.asarray(attention.output.weight)
    x = np.array(trace.hidden_states["encoder"][0])
    mixes = []
    for size in (1, 10):
        louder = attention._replace(output=Linear(weight * size))
        mixes.append(contribution_mix(trace.records[0], louder, Sublayer(louder, within=norm), x))
    same = np.allclose(mixes[0].keys, mixes[1].keys)
    assert same == (not isinstance(norm, Scale))


def test_a_norm_within_has_the_statistics_of_all_that_moves(generator):
    """The projection's bias is no token's part, but it is among what is normalised."""
    transformer, trace = traced(SPECS["post"])
    (attention,) = attentions(transformer.encoder.blocks[0])
    record, bias = trace.records[0], generator.normal(size=30)
    attention = attention._replace(output=attention.output._replace(bias=bias))
    gain = generator.random(30)
    sublayer = Sublayer(attention, within=LayerNorm(gain, generator.normal(size=30), eps=1e-3))
    x = np.array(trace.hidden_states["encoder"][0])
    found = contribution_mix(record, attention, sublayer, x).keys
    values = projected_values(record, attention)
    for i in range(len(x)):
        parts = [(record.weights[:, i, j, None] * values[:, j]).sum(0) for j in range(len(x))]
        deviation = np.sqrt((sum(parts) + bias).var() + 1e-3)
        parts = [gain * (part - part.mean()) / deviation for part in parts]
        parts[i] = parts[i] + x[i]
        y = sum(parts)
        near = np.array([max(0, abs(y).sum() - abs(y - part).sum()) for part in parts])
        np.testing.assert_allclose(found[i], near / near.sum(), atol=1e-12)


def test_an_unknown_norm():
    class Odd:
        def __call__(self, x):
            return x

    transformer, trace = traced(SPECS["post"])
    (attention,) = attentions(transformer.encoder.blocks[0])
    x = np.array(trace.hidden_states["encoder"][0])
    with pytest.raises(AttnvizError, match="what a Odd makes"):
        contribution_mix(trace.records[0], attention, Sublayer(attention, after=Odd()), x)


def test_the_trace_stays_as_it_was():
    transformer, trace = traced(SPECS["both"])
    before = {name: array.copy() for name, array in trace.arrays().items()}
    contribution_mixes(transformer, trace)
    for name, array in trace.arrays().items():
        assert (array == before[name]).all(), name
