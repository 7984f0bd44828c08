"""A mixture of experts, against plain loops over tokens and experts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attnviz.nn import threads
from attnviz.nn.activations import sigmoid, silu
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.linear import Linear
from attnviz.nn.mixture import Groups, Mixture, Router
from attnviz.nn.multi_head import RecordNothing, Stream, SublayerContext
from attnviz.nn.norms import LayerNorm
from attnviz.nn.scratch import Scratch
from attnviz.nn.softmax import softmax
from attnviz.nn.transformer import Stack, Sublayer
from attnviz.nn.weights import LazyWeight

D_MODEL, D_FF, N_EXPERT, TOP_K, N = 5, 11, 6, 2, 17


class Kept(RecordNothing):
    def __init__(self):
        self.routing = {}

    def routed(self, block, layer, routing):
        assert (block, layer) not in self.routing
        self.routing[block, layer] = routing


def net(generator, d_ff=D_FF):
    def linear(d_out, d_in):
        return Linear(generator.normal(size=(d_out, d_in)), generator.normal(size=d_out))

    up, gate, down = linear(d_ff, D_MODEL), linear(d_ff, D_MODEL), linear(D_MODEL, d_ff)
    return FeedForward(up, down, silu, gate)


def router(generator, **fields):
    gate = Linear(generator.normal(size=(N_EXPERT, D_MODEL)), generator.normal(size=N_EXPERT))
    return Router(gate, TOP_K, **fields)


def context(recorder, n=N):
    stream = Stream("source", np.empty((n, D_MODEL)), np.arange(n))
    return SublayerContext("decoder", 3, stream, None, recorder, Scratch())


def by_hand(expert, x):
    """One token through one expert."""
    gate = expert.gate.weight @ x + expert.gate.bias
    up = expert.up.weight @ x + expert.up.bias
    return expert.down.weight @ (gate / (1 + np.exp(-gate)) * up) + expert.down.bias


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("shared", ["", "plain", "gated"])
def test_each_token_by_itself(normalised, shared, generator):
    experts = tuple(net(generator) for _ in range(N_EXPERT))
    common = net(generator, 7) if shared else None
    gate = Linear(generator.normal(size=(1, D_MODEL))) if shared == "gated" else None
    mixture = Mixture(router(generator, normalised=normalised, factor=1.5), experts, common, gate)
    x, kept = generator.normal(size=(N, D_MODEL)), Kept()
    y = mixture(x, context(kept))
    routing = kept.routing["decoder", 3]
    assert routing.n_expert == N_EXPERT
    for token in range(N):
        logits = mixture.router.gate.weight @ x[token] + mixture.router.gate.bias
        powers = [math.exp(logit) for logit in logits]
        best = sorted(range(N_EXPERT), key=lambda e: -powers[e])[:TOP_K]
        total = sum(powers[e] for e in best) if normalised else sum(powers)
        weights = [1.5 * powers[e] / total for e in best]
        expected = sum(
            w * by_hand(experts[e], x[token]) for w, e in zip(weights, best, strict=True)
        )
        if common is not None:
            share = 1 if gate is None else 1 / (1 + math.exp(-(gate.weight[0] @ x[token])))
            expected = expected + share * by_hand(common, x[token])
        np.testing.assert_allclose(y[token], expected, rtol=1e-9)
        assert routing.experts[token].tolist() == best
        np.testing.assert_allclose(routing.weights[token], weights, rtol=1e-9)


def test_softmax_over_the_chosen_experts_alone(generator):
    """What gpt-oss computes: the same as over all of them, normalised."""
    part, x = router(generator, normalised=True), generator.normal(size=(N, D_MODEL))
    routing = part(x)
    logits = np.take_along_axis(part.gate(x), routing.experts.astype(int), -1)
    np.testing.assert_allclose(routing.weights, softmax(logits), rtol=1e-12)


@pytest.mark.parametrize("n_best", [1, 2])
def test_groups_and_correction(n_best, generator):
    """Sigmoid scores; a bias that changes the choice only; two of three groups."""
    correction = generator.normal(size=N_EXPERT)
    part = router(generator, scores=sigmoid, correction=correction, groups=Groups(3, 2, n_best))
    x = generator.normal(size=(N, D_MODEL))
    routing, n_outside = part(x), 0
    for token, row in enumerate(part.gate(x)):
        scores = 1 / (1 + np.exp(-row))
        wanted = scores + correction
        groups = [sum(sorted(wanted[g * 2 : g * 2 + 2])[-n_best:]) for g in range(3)]
        allowed = sorted(range(3), key=lambda g: -groups[g])[:2]
        inside = [e for e in range(N_EXPERT) if e // 2 in allowed]
        best = sorted(inside, key=lambda e: -wanted[e])[:TOP_K]
        n_outside += set(best) != set(np.argsort(-wanted)[:TOP_K])
        assert routing.experts[token].tolist() == best
        np.testing.assert_allclose(routing.weights[token], scores[best], rtol=1e-12)
    assert n_outside or n_best == 1  # the best expert of all lies in the best group


def test_only_experts_that_are_chosen_are_read(generator):
    read = []

    def lazy(number, weight):
        def make(ids):
            read.append(number)
            return weight

        return LazyWeight(weight.shape, make)

    def expert(number):
        return FeedForward(
            Linear(lazy(number, generator.normal(size=(D_FF, D_MODEL)))),
            Linear(lazy(number, generator.normal(size=(D_MODEL, D_FF)))),
            silu,
        )

    mixture = Mixture(router(generator), tuple(map(expert, range(N_EXPERT))))
    kept = Kept()
    mixture(generator.normal(size=(1, D_MODEL)), context(kept, 1))
    chosen = kept.routing["decoder", 3].experts[0]
    assert sorted(read) == sorted([*chosen, *chosen])


def test_a_team_computes_the_same(generator, monkeypatch):
    """Threads with some of the rows each, to whom different experts matter."""
    monkeypatch.setattr(threads, "_most", [3])

    def lazy(weight):
        return LazyWeight(weight.shape, lambda ids: weight.copy())

    def expert():
        plain = net(generator)
        up, down = (part._replace(weight=lazy(part.weight)) for part in (plain.up, plain.down))
        return plain._replace(up=up, down=down)

    mixtures = [
        Mixture(router(generator), tuple(expert() for _ in range(N_EXPERT)), expert())
        for _ in range(2)
    ]
    norm = LayerNorm(np.ones(D_MODEL), np.zeros(D_MODEL), 1e-5)
    stack = Stack("decoder", tuple((Sublayer(mixture, norm),) for mixture in mixtures))
    x = generator.normal(size=(N, D_MODEL))
    results = []
    for enough in (10**12, 0):
        monkeypatch.setattr(threads, "ENOUGH", enough)
        monkeypatch.setattr(threads, "ROWS_OF_PART", 1)
        assert stack.n_part(x.shape) == (3 if enough == 0 else 1)
        kept = Kept()
        y = stack(Stream("source", x, np.arange(N)), None, kept)
        results.append((y, kept.routing))
    (y, routing), (team_y, team_routing) = results
    np.testing.assert_allclose(team_y, y, rtol=1e-12)
    assert routing.keys() == team_routing.keys() == {("decoder", 0), ("decoder", 1)}
    for place, expected in routing.items():
        np.testing.assert_array_equal(team_routing[place].experts, expected.experts)
        np.testing.assert_allclose(team_routing[place].weights, expected.weights, rtol=1e-12)


def test_nan_stays_in_its_row(generator):
    mixture = Mixture(router(generator), tuple(net(generator) for _ in range(N_EXPERT)))
    x = generator.normal(size=(N, D_MODEL))
    x[3, 1] = np.nan
    y = mixture(x, context(Kept()))
    assert np.isnan(y[3]).all()
    assert not np.isnan(np.delete(y, 3, 0)).any()
