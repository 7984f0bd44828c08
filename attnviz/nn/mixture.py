"""A mixture of experts: of several feed-forward nets, each token is sent to a few."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from attnviz.nn.activations import sigmoid
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.linear import Linear
from attnviz.nn.multi_head import Routing, SublayerContext
from attnviz.nn.softmax import softmax
from attnviz.nn.types import Array


class Groups(NamedTuple):
    """Experts are chosen from a few groups of neighbours only: of those whose best experts score
    highest. Source: DeepSeek-AI 2024 (V2), section 2.2.2; V3, section 2.1.2, sums two."""

    n: int
    """Into how many groups the experts are divided."""
    top: int
    """From how many of them a token's experts are chosen."""
    n_best: int = 1
    """How many of a group's scores are summed to compare it with others."""

    def limit(self, scores: Array) -> Array:
        """scores [n_token, n_expert] with -inf outside the groups that are chosen."""
        grouped = scores.reshape(len(scores), self.n, -1)
        best = np.sort(grouped, -1)[..., -self.n_best :].sum(-1)
        chosen = _largest(best, self.top)
        outside = np.ones((len(scores), self.n), bool)
        np.put_along_axis(outside, chosen, False, -1)
        return np.where(outside[..., None], -np.inf, grouped).reshape(scores.shape)


class Router(NamedTuple):
    """x [n_token, d_model] -> the experts of each token, and what their results are weighted with.

    Source: Shazeer et al. 2017; Fedus et al. 2021 (Switch). A softmax over the chosen experts
    alone, as Mixtral and gpt-oss describe theirs, is the softmax over all of them, `normalised`.
    """

    gate: Linear
    """[n_expert, d_model]"""
    top_k: int
    scores: Callable[[Array], Array] = softmax
    """Logits [n_token, n_expert] -> what the results are weighted with."""
    normalised: bool = False
    """Whether the weights of the chosen experts are divided by their sum."""
    factor: float = 1.0
    """What all weights are multiplied by."""
    correction: Array | None = None
    """[n_expert], added to the scores for the choice alone. Source: Wang et al. 2024."""
    groups: Groups | None = None

    def __call__(self, x: Array) -> Routing:
        scores = self.scores(self.gate(x))
        wanted = scores if self.correction is None else scores + self.correction
        if self.groups is not None:
            wanted = self.groups.limit(wanted)
        experts = _largest(wanted, self.top_k)
        weights = np.take_along_axis(scores, experts, -1)
        if self.normalised:
            weights = weights / weights.sum(-1, keepdims=True)
        weights = (weights * self.factor).astype(x.dtype, copy=False)
        return Routing(experts.astype(np.uint16), weights, scores.shape[-1])


class Mixture(NamedTuple):
    """[n_token, d_model] -> [n_token, d_model]: Σ weight · expert(x) over the experts that the
    router chose for a token, plus what an expert says that all tokens share.

    Only experts that some token was sent to are computed, and of those only their tokens.
    """

    router: Router
    experts: tuple[FeedForward, ...]
    shared: FeedForward | None = None
    shared_gate: Linear | None = None
    """[1, d_model]: its sigmoid is the weight of the shared expert. Source: Qwen Team 2024."""

    def __call__(self, x: Array, context: SublayerContext) -> Array:
        flat = x.reshape(-1, x.shape[-1])
        routing = self.router(flat)
        y = self._common(flat, context)
        for number in self._chosen(routing, context):
            expert = self.experts[number].converted()  # by all threads, as they share its weights
            rows, places = np.nonzero(routing.experts == number)
            if len(rows):
                y[rows] += routing.weights[rows, places, None] * expert(flat[rows], context)
        self._record(routing, x.shape[:-1], context)
        return y.reshape(x.shape)

    def _common(self, x: Array, context: SublayerContext) -> Array:
        """What the shared expert adds to every row."""
        if self.shared is None:
            return np.zeros_like(x)
        y = self.shared.converted()(x, context)
        return y if self.shared_gate is None else y * sigmoid(self.shared_gate(x))

    def _chosen(self, routing: Routing, context: SublayerContext) -> Array:
        """The experts that some token of any thread of the team was sent to."""
        team = context.share.team
        is_chosen = team.shared(lambda: np.zeros(len(self.experts), bool))
        is_chosen[routing.experts] = True
        team.alone(lambda: None)  # all threads have said which
        return np.flatnonzero(is_chosen)

    def _record(self, routing: Routing, shape: tuple[int, ...], context: SublayerContext) -> None:
        """Hand the choices of all rows on, once."""
        share = context.share
        n_token = len(context.stream.positions)
        whole = (*shape[:-1], n_token, self.router.top_k)

        def room() -> Routing:
            experts, weights, n_expert = routing
            return Routing(np.empty(whole, experts.dtype), np.empty(whole, weights.dtype), n_expert)

        def hand_on(all_rows: Routing) -> None:
            context.recorder.routed(context.block, context.layer, all_rows)

        every = share.team.shared(room)
        every.experts[..., share.rows, :] = routing.experts.reshape(*shape, -1)
        every.weights[..., share.rows, :] = routing.weights.reshape(*shape, -1)
        share.team.last(lambda: hand_on(every))


def _largest(scores: Array, n: int) -> Array:
    """Where the n largest numbers of each row are, the largest first; of equal ones the first."""
    return np.argsort(-scores, -1, kind="stable")[..., :n]
