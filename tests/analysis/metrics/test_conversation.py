"""How much heads look at what who says: kept and streamed alike, and the lookback ratio."""

from __future__ import annotations

import json

import numpy as np
import pytest

import attnviz
from attnviz.analysis.metrics import METRICS, MetricContext, Pattern
from attnviz.analysis.metrics.conversation import spans_of_keys
from attnviz.analysis.metrics.measure import measure_heads
from attnviz.analysis.metrics.statistics import head_statistics
from attnviz.models import load_model
from attnviz.models.chat.messages import make_chat
from attnviz.models.run.forward import forward
from attnviz.models.run.prepare import prepare
from attnviz.tokens import Tokens
from attnviz.trace.summary import SummaryPlan

SAID = [
    {"role": "system", "content": "be brief."},
    {"role": "user", "content": "who are you?"},
    {"role": "assistant", "content": "a saw, you saw."},
]
NAMES = ("system_tokens", "user_tokens", "assistant_tokens", "template_tokens", "lookback_ratio")


def test_kept_and_streamed_alike(instruct):
    model = load_model(instruct)
    kept = measure_heads(attnviz.run(SAID, model=model))
    plan = lambda streams: SummaryPlan(statistics=head_statistics(streams))  # noqa: E731
    prepared = prepare(model, make_chat(SAID), memory=1, summaries=plan)
    streamed = measure_heads(forward(prepared))
    for name in NAMES:
        assert np.isfinite(kept.value[name]).all()
        np.testing.assert_allclose(streamed.value[name], kept.value[name], atol=1e-6)
        np.testing.assert_allclose(streamed.null[name], kept.null[name], atol=1e-6)
    assert np.isnan(kept.value["generated_tokens"]).all()
    np.testing.assert_allclose(kept.null["lookback_ratio"], 0.5)


def test_all_weight_is_somebodys(instruct):
    """From the last token, whose row sees all: the shares of the spans add up to 1."""
    trace = attnviz.run(SAID, model=instruct)
    weights = trace["decoder.1.self"].weights[:, -1]
    spans = trace.streams["source"].spans
    shares = [weights[:, list(spans[name])].sum(-1) for name in
              ("system", "user", "assistant", "template", "special")]  # fmt: skip
    np.testing.assert_allclose(sum(shares), 1, atol=1e-6)


def test_lookback_by_hand():
    spans = {"answer": np.array([False] * 3 + [True] * 2)}
    spans["context"] = ~spans["answer"]
    weights = np.zeros((1, 5, 5))
    weights[0, 3] = [0.3, 0.15, 0.15, 0.4, 0]  # 0.2 a token of the context, 0.4 of the answer
    weights[0, 4] = [0, 0, 0, 0.5, 0.5]
    pattern = Pattern(MetricContext(np.tri(5, dtype=bool), spans=spans), weights)
    value, rows = METRICS["lookback_ratio"](pattern)
    assert value == pytest.approx([(0.2 / 0.6 + 0) / 2])
    assert rows == 2


def test_the_answer_is_what_was_generated_or_the_last_message():
    roles = ["user", "assistant", "template", "user", "assistant", "assistant"]
    spans = spans_of_keys(Tokens.of(list("abcdef"), roles=roles))
    assert spans["answer"].tolist() == [False] * 4 + [True] * 2
    assert (spans["context"] == ~spans["answer"]).all()
    assert spans["assistant"].tolist() == [False, True, False, False, True, True]
    asked = spans_of_keys(Tokens.of(list("abcd"), roles=roles[:4]))
    assert {"answer", "context"}.isdisjoint(asked)
    written = spans_of_keys(Tokens.of(list("abcd"), generated=[3]))
    assert written["answer"].tolist() == [False, False, False, True]
    assert spans_of_keys(Tokens.of(list("abcd"))) == {}


def test_of_a_decoding(instruct, tmp_path):
    from attnviz.cli import run_cli

    path = tmp_path / "a.npz"
    run_cli(["decode", "--chat", "hi", "-m", str(instruct), "-n", "5", "-o", str(path), "-q"])
    table = measure_heads(attnviz.load(path))
    assert np.isfinite(table.value["lookback_ratio"]).all()
    assert (table.value["generated_tokens"] > 0).all()
    assert json.dumps(table.null["lookback_ratio"].tolist()) == json.dumps([0.5] * len(table))
