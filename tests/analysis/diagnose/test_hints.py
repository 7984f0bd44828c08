"""What the numbers of a dump say of dropout and of scales of the values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.computation import Computation, compute
from attnviz.analysis.diagnose.diagnosis import diagnose
from attnviz.analysis.diagnose.hints import hinted
from attnviz.analysis.diagnose.judge import Judge
from attnviz.analysis.diagnose.masking import Masking
from attnviz.analysis.diagnose.noise import rounding
from attnviz.nn.types import Array
from tests.analysis.diagnose import examples
from tests.analysis.diagnose.examples import N_HEAD, N_KV_HEAD

RATE = 0.2


def case(c: Computation, given: dict[str, Array], dtype: str = "float64") -> Case:
    return Case(c, given, dtype)


def judge(made: Case) -> Judge:
    return Judge(made, np.arange(made.wanted.n_q), made.dtype)


def dropped(c: Computation, ratio: float = 1 / (1 - RATE)) -> tuple[dict[str, Array], Array]:
    """Weights and outputs with some weights gone, and which are left."""
    right = compute(c)
    left = np.random.default_rng(3).random(right.weights.shape) >= RATE
    weights = np.where(left, right.weights, 0) * ratio
    v = np.repeat(c.v, N_HEAD // N_KV_HEAD, 1)
    return {"weights": weights, "context": weights @ v}, left


@pytest.mark.parametrize("stages", [("weights",), ("context",), ("weights", "context")])
def test_dropout_is_found_in_weights_or_outputs(stages: tuple[str, ...]) -> None:
    """Outputs are enough where there are no more keys than d_v."""
    c = examples.causal()
    given, left = dropped(c)
    made = case(c, {name: given[name] for name in stages})
    found = hinted(judge(made)).facts.dropped
    assert found is not None
    assert found.rate == pytest.approx(RATE, abs=1e-9)
    counts = compute(c).weights > 0
    np.testing.assert_array_equal(found.kept[counts], left[counts])
    cause, *others = diagnose([made]).causes
    assert (cause.id, cause.explains, others) == ("D1", True, [])
    assert cause.parameter["p"] == RATE
    assert cause.parameter["dropped"] == (~left & counts).sum()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_dropout_in_half_precision(dtype: str) -> None:
    """Single weights can hardly be told from such outputs."""
    to = rounding(dtype)
    c = examples.plain(n_q=31)
    c = replace(c, q=to(c.q), k=to(c.k), v=to(c.v))
    given, _ = dropped(c)
    cause, *_ = diagnose([case(c, {"context": to(given["context"])}, dtype)]).causes
    assert (cause.id, cause.explains) == ("D1", True)
    assert cause.parameter["p"] == RATE


def test_dropout_that_is_not_rescaled() -> None:
    c = examples.plain()
    given, _ = dropped(c, ratio=1.0)
    cause, *_ = diagnose([case(c, given)]).causes
    assert cause.id == "D1"
    assert cause.best.hypothesis.entries[0].name == "dropout_not_rescaled"


def test_too_many_keys_say_nothing_of_weights() -> None:
    c = examples.plain(n_k=17)
    given, _ = dropped(c)
    assert hinted(judge(case(c, {"context": given["context"]}))).facts.dropped is None


def test_causal_queries_that_see_few_keys_show_dropout() -> None:
    """The others cannot be computed: it is named, and does not explain all."""
    c = examples.plain(n_q=23, n_k=23, masking=Masking(causal=True))
    given, left = dropped(c)
    made = case(c, {"context": given["context"]})
    found = hinted(judge(made)).facts.dropped
    assert found is not None
    assert found.rate == pytest.approx(RATE, abs=1e-6)
    assert not found.kept.all()
    assert (found.kept | ~left)[:, :, : examples.D_V - 1].all()
    cause, *_ = diagnose([made]).causes
    assert (cause.id, cause.explains) == ("D1", False)
    assert cause.parameter["p"] == RATE
    assert (cause.parameter["first"], cause.parameter["last"]) == found.rows


@pytest.mark.parametrize("factors", [[0.01], [3.5], [0.3, 2.0, 5.0]])
def test_scales_of_values(factors: list[float]) -> None:
    """One for all heads, or one for each key/value head."""
    c = examples.causal()
    by_head = np.repeat(np.resize(factors, N_KV_HEAD), N_HEAD // N_KV_HEAD)
    context = compute(c).context * by_head[:, None, None]
    made = case(c, {"context": context})
    np.testing.assert_allclose(hinted(judge(made)).facts.gain, by_head, rtol=1e-9)
    cause, *_ = diagnose([made]).causes
    assert (cause.id, cause.explains) == ("K3", True)
    got = cause.parameter.get("factors", [cause.parameter.get("factor")])
    assert got == pytest.approx(factors)


def test_a_scale_of_keys() -> None:
    """A factor on the scores that is no usual one is another scale, or that of the keys."""
    c = examples.causal()
    context = compute(replace(c, scale=c.scale * 0.0313)).context
    cause, *_ = diagnose([case(c, {"context": context})]).causes
    assert (cause.id, cause.explains) == ("S8", True)
    (keys,) = (e.hypothesis for e in cause.equivalent if e.hypothesis.ids == ("K3",))
    assert keys.variants[0].parameter == {"factor": 0.0313}


def test_no_hints_in_what_is_right_or_otherwise_wrong() -> None:
    for example in examples.EXAMPLES.values():
        c = example()
        right = compute(c)
        facts = hinted(judge(case(c, {"context": right.context}))).facts
        assert (facts.gain, facts.dropped) == (None, None)
        wrong = compute(replace(c, scale=1.0))
        facts = hinted(judge(case(c, {"context": wrong.context}))).facts
        assert (facts.gain, facts.dropped) == (None, None)


def test_nan_says_nothing() -> None:
    c = examples.plain()
    given = {name: np.full_like(x, np.nan) for name, x in dropped(c)[0].items()}
    facts = hinted(judge(case(c, given))).facts
    assert (facts.gain, facts.dropped) == (None, None)
