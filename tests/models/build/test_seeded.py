"""Seeded stacks: every field matters, and only where it should."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import attnviz
from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.models.build.stack import KINDS, NORMS, PLACES
from attnviz.nn.activations import ACTIVATIONS
from attnviz.nn.schemes import SCHEMES
from attnviz.nn.scores import SCORES
from tests.conftest import HERE

TEXT = "I saw a saw"


def weights(**changes):
    trace = attnviz.run(TEXT, model="random", **changes)
    return np.concatenate([record.weights.reshape(-1) for record in trace])


def test_the_paper_has_63_million_parameters():
    """Vaswani et al. print 65 for a vocabulary of about 37 000; counted without attention biases."""
    model = load_model(str(HERE.parent / "samples" / "paper-base.toml"))
    d, d_ff, v = 512, 2048, 37000
    attention, net, norm = 4 * d * d, 2 * d * d_ff + d_ff + d, 2 * d
    encoder, decoder = attention + net + 2 * norm, 2 * attention + net + 3 * norm
    assert model.n_parameter == v * d + 6 * (encoder + decoder) == 63_045_632


CHANGES = [
    {"heads": 2}, {"kv_heads": 2}, {"d_model": 40}, {"d_k": 3}, {"d_v": 5}, {"d_ff": 7},
    {"activation": "silu"}, {"gated": True}, {"norm": "rms"}, {"norm_place": "pre"},
    {"positions": "rope"}, {"score": "dot"}, {"mask": "causal"}, {"temperature": 2.0},
    {"softcap": 1.0}, {"embedding_scale": False}, {"seed": 1}, {"d_ff": 0}, {"layers": 3},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_every_field_changes_the_result(change):
    before, after = weights(), weights(**change)
    assert before.shape != after.shape or np.abs(before - after).max() > 1e-4


def test_a_decoder_is_causal():
    assert attnviz.run(TEXT, kind="decoder").records[0].site.mask == ("causal",)


@pytest.mark.parametrize(("kind", "norm", "place"), list(itertools.product(KINDS, NORMS, PLACES)))
def test_every_kind_and_norm_runs(kind, norm, place):
    trace = attnviz.run(TEXT, kind=kind, norm=norm, norm_place=place)
    for record in trace:
        np.testing.assert_allclose(record.weights.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("positions", SCHEMES)
def test_every_score_and_position_scheme_runs(score, positions):
    trace = attnviz.run(TEXT, score=score, positions=positions, softcap=4.0)
    for record in trace:
        np.testing.assert_allclose(record.weights.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("gated", [True, False])
def test_every_activation_runs(activation, gated):
    assert np.isfinite(weights(activation=activation, gated=gated)).all()


def test_one_more_layer_or_word_leaves_the_rest_as_it_was():
    short, long = attnviz.run("I saw", layers=2), attnviz.run("I saw", layers=3)
    np.testing.assert_array_equal(short.records[1].weights, long.records[1].weights)
    causal = [attnviz.run(text, kind="decoder").records[0].weights for text in ("I saw", "I saw a")]
    np.testing.assert_allclose(causal[1][:, :2, :2], causal[0], atol=1e-6)


def test_the_same_word_has_the_same_vector_everywhere():
    states = attnviz.run(TEXT, positions="none", hidden_states=True).hidden_states["encoder"][0]
    np.testing.assert_array_equal(states[1], states[3])
    assert np.abs(states[0] - states[1]).max() > 0.1


def test_float64_is_float32_with_more_digits():
    one, other = weights(), weights(dtype="float64")
    assert (one.dtype, other.dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_output(tied):
    trace = attnviz.run(TEXT, model=f"random:vocabulary=50,tied={tied}", logits=True)
    assert trace.logits.shape == (4, 50)
    assert max(trace.streams["source"].ids) < 50
    assert attnviz.run(TEXT, model="random", logits=True).logits is None


def test_tied_output_is_the_embedding():
    """Without layers' help: the logit of a word is the dot product with its own vector."""
    trace = attnviz.run(TEXT, model="random:vocabulary=50", logits=True, hidden_states=True)
    model = load_model("random:vocabulary=50")
    table = model.transformer.source.tokens(np.arange(50))
    np.testing.assert_allclose(
        trace.logits, trace.hidden_states["encoder"][-1] @ table.T, atol=1e-5
    )


def test_encoder_decoder_reads_a_target():
    trace = attnviz.run(TEXT, kind="encoder-decoder", target="Ich sah eine Säge .")
    assert [r.id for r in trace][:3] == ["encoder.0.self", "encoder.1.self", "decoder.0.self"]
    cross = trace["decoder.1.cross"]
    assert cross.weights.shape == (4, 5, 4)
    assert (cross.queries, cross.keys) == ("target", "source")
    assert trace["decoder.0.self"].site.mask == ("causal",)


def test_learned_positions_end():
    with pytest.raises(AttnvizError, match="4 tokens, but there are learned positions for 2"):
        attnviz.run(TEXT, positions="learned:length=2")


def test_ids():
    trace = attnviz.run([5, 0, 5], model="random")
    assert trace.streams["source"].tokens == ("#5", "#0", "#5")
    assert trace.streams["source"].ids == (5, 0, 5)
    with pytest.raises(AttnvizError, match="has no token 50: its ids go from 0 to 49"):
        attnviz.run([50], model="random:vocabulary=50")
    with pytest.raises(AttnvizError, match="has no token -1"):
        attnviz.run([-1], model="random")
