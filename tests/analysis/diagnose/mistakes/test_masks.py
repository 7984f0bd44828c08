"""Each wrong mask against its formula in plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from attnviz.analysis.diagnose.computation import Computation, computation, compute
from attnviz.analysis.diagnose.masking import Masking, Segments
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from tests.analysis.diagnose import examples, plain

N_BATCH, N_HEAD, N = examples.N_BATCH, examples.N_HEAD, 7
LENGTHS = (7, 4)
"""Of the texts of the two items."""
S = 1 / math.sqrt(examples.D_K)
INF = math.inf

Sees = Callable[[int, int, int, int], bool]
"""Item, head, query, key."""


def right_padded(b: int, h: int, i: int, j: int) -> bool:
    return j <= i and j < LENGTHS[b]


def left_padded(b: int, h: int, i: int, j: int) -> bool:
    return j <= i and j >= N - LENGTHS[b]


def square(side: str = "right", **parts: object) -> Computation:
    """Causal, as many queries as keys, the second text shorter."""
    keys = (np.arange(N) < np.array(LENGTHS)[:, None])[:, None, None]
    keys = keys if side == "right" else keys[..., ::-1]
    masking = Masking(**{"causal": True, "keys": keys, **parts})  # type: ignore[arg-type]
    return examples.plain(11, N, N, masking=masking)


def variants(name: str, c: Computation) -> list[Variant]:
    return list(MISTAKES[name].variants(c))


def one(name: str, c: Computation, **parameter: object) -> Variant:
    """The variant with this parameter."""
    found = [v for v in variants(name, c) if v.parameter == parameter]
    assert len(found) == 1, [v.parameter for v in variants(name, c)]
    return found[0]


def assert_weights(variant: Variant, c: Computation, w: np.ndarray) -> None:
    got = compute(variant.computation)
    np.testing.assert_allclose(got.weights, w, rtol=0, atol=1e-12)
    if np.isfinite(w).all():
        np.testing.assert_allclose(got.context, plain.context(c, w), rtol=0, atol=1e-12)


def assert_is(variant: Variant, c: Computation, logit: plain.Logit, **how: plain.Weigh) -> None:
    """The variant gives the weights and the context of a formula."""
    assert_weights(variant, c, plain.weights(c, logit, **how))


def shifted(row: list[float]) -> list[float]:
    """A softmax of scores of which exp is 0."""
    return plain.softmax([x - max(row) for x in row])


def hides(sees: Sees) -> plain.Logit:
    return lambda x, b, h, i, j: x * S if sees(b, h, i, j) else -INF


def fills(sees: Sees, value: float) -> plain.Logit:
    return lambda x, b, h, i, j: x * S if sees(b, h, i, j) else value


def test_inverted() -> None:
    c = square()
    assert_is(one("inverted_mask", c), c, hides(lambda *at: not right_padded(*at)))
    both = one("inverted_mask", c, part="both")
    assert_is(both, c, hides(lambda b, h, i, j: j > i and j >= LENGTHS[b]))
    assert_is(one("inverted_padding", c), c, hides(lambda b, h, i, j: j <= i and j >= LENGTHS[b]))
    assert_is(one("inverted_causal", c), c, hides(lambda b, h, i, j: j > i and j < LENGTHS[b]))


def test_inverted_in_a_window() -> None:
    c = square(left=2)
    assert_is(one("inverted_causal", c), c, hides(lambda b, h, i, j: j > i and j < LENGTHS[b]))
    expected = hides(lambda b, h, i, j: not (0 <= i - j <= 2 and j < LENGTHS[b]))
    assert_is(one("inverted_mask", c), c, expected)


@pytest.mark.parametrize(
    ("name", "visible", "hidden"), [("mask_added", 1, 0), ("inverted_mask_added", 0, 1)]
)
def test_added(name: str, visible: float, hidden: float) -> None:
    c = square()

    def added(sees: Sees) -> plain.Logit:
        return lambda x, *at: x * S + (visible if sees(*at) else hidden)

    assert_is(one(name, c), c, added(right_padded))

    def padding_added(x: float, b: int, h: int, i: int, j: int) -> float:
        return x * S + (visible if j < LENGTHS[b] else hidden) if j <= i else -INF

    assert_is(one(name, c, part="padding"), c, padding_added)


def test_filled() -> None:
    c = square()
    for value in (0, 1e-9, -1e-12):
        logit = fills(right_padded, value)
        w = plain.weights(c, logit)
        got = compute(one("filled_with_zero", c).computation).weights
        np.testing.assert_allclose(got, w, rtol=0, atol=1e-9)
    assert_is(one("filled_with_zero", c), c, fills(right_padded, 0))
    assert_is(
        one("filled_with_zero", c, part="causal"),
        c,
        lambda x, b, h, i, j: -INF if j >= LENGTHS[b] else x * S if j <= i else 0.0,
    )
    for value in (-1.0, -10.0):
        assert_is(one("filled_with_little", c, value=value), c, fills(right_padded, value))
    assert_is(one("filled_with_another_number", c, value=-7.0), c, fills(right_padded, -7.0))


def test_filled_with_infinity() -> None:
    c = square()
    got = compute(one("filled_with_infinity", c).computation)
    for b, i in np.ndindex(N_BATCH, N):
        hides_some = any(not right_padded(b, 0, i, j) for j in range(N))
        assert np.isnan(got.context[b, :, i]).all() == hides_some
        assert np.isfinite(got.context[b, :, i]).all() == (not hides_some)


def test_fill_beaten_by_scores() -> None:
    """As in TransformerLens: a fill of -1e5, real scores of about -110 000."""
    c = square()
    assert not variants("filled_above_real_scores", replace(c, scale=1e-3))
    far = replace(c, q=c.q + 600.0, k=c.k - 600.0)
    assert (plain.dots(far) * S).max() < -1e5
    expected = plain.weights(far, fills(right_padded, -1e5), weigh=shifted)
    got = compute(one("filled_above_real_scores", far, value=-1e5).computation).weights
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)
    assert expected[0, :, 0, 1:].sum(-1) == pytest.approx(1), "only hidden keys have a weight"
    assert not [v for v in variants("filled_above_real_scores", far) if v.parameter["value"] < -1e9]
    assert not [v for v in variants("filled_with_enough", far) if v.parameter["value"] > -1e9]


def test_enough_is_no_mistake() -> None:
    c = square()
    wanted = compute(c).context
    found = variants("filled_with_enough", c)
    assert {v.parameter["value"] for v in found} >= {-1e4, -1e9, -float(np.finfo(np.float32).max)}
    for variant in found:
        np.testing.assert_allclose(compute(variant.computation).context, wanted, atol=1e-13)
    assert not variants("filled_with_enough", square("left"))
    (again,) = variants("zeroed_and_renormalised", c)
    np.testing.assert_allclose(compute(again.computation).context, wanted, atol=1e-13)


def test_zeroed_after_the_softmax() -> None:
    c = square()
    everything = plain.weights(c, lambda x, *at: x * S)
    causal = plain.weights(c, hides(lambda b, h, i, j: j <= i))
    seen = np.zeros(everything.shape, bool)
    real = np.zeros(everything.shape, bool)
    for at in np.ndindex(*seen.shape):
        seen[at], real[at] = right_padded(*at), at[3] < LENGTHS[at[0]]
    assert_weights(one("zeroed_after_softmax", c), c, everything * seen)
    assert_weights(one("zeroed_after_softmax", c, part="padding"), c, causal * real)


def test_filled_after_the_softmax() -> None:
    c = square()
    w = plain.weights(c, lambda x, *at: x * S)
    for b, h, i, j in np.ndindex(*w.shape):
        if not right_padded(b, h, i, j):
            w[b, h, i, j] = -1e4
    got = compute(one("filled_after_softmax", c, value="-10000").computation)
    np.testing.assert_allclose(got.weights, w, rtol=0, atol=1e-12)
    np.testing.assert_allclose(got.context, plain.context(c, w), rtol=1e-12)
    infinite = compute(one("filled_after_softmax", c, value="-inf").computation).context
    assert not np.isfinite(infinite[0, :, 0]).any()
    assert np.isfinite(infinite[0, :, -1]).all(), "of a query that sees all keys"


def test_multiplied() -> None:
    c = square()
    expected = plain.weights(c, lambda x, *at: x * S * right_padded(*at))
    assert_weights(one("multiplied_before_softmax", c), c, expected)


def test_dropped() -> None:
    c = square()
    assert_is(one("mask_dropped", c), c, lambda x, *at: x * S)
    assert_is(one("padding_dropped", c), c, hides(lambda b, h, i, j: j <= i))
    assert_is(one("causal_dropped", c), c, hides(lambda b, h, i, j: j < LENGTHS[b]))
    custom = np.random.default_rng(5).random((1, N_HEAD, N, N)) < 0.7
    assert_is(one("custom_dropped", square(custom=custom)), c, hides(right_padded))


def test_nothing_to_drop() -> None:
    bare = examples.plain()
    for name, entry in MISTAKES.items():
        if entry.family == "mask" and name != "target_mask_on_memory":
            assert not variants(name, bare), name
    only_causal = examples.causal()
    assert not variants("mask_dropped", only_causal), "causal_dropped says it better"
    assert variants("causal_dropped", only_causal)


def test_padding_on_queries() -> None:
    c = square()
    expected = hides(lambda b, h, i, j: j <= i and i < LENGTHS[b])
    assert_is(one("padding_on_queries", c), c, expected)
    both = hides(lambda b, h, i, j: right_padded(b, h, i, j) and i < LENGTHS[b])
    assert_is(one("padded_queries_masked", c), c, both)
    few = examples.padded()
    lower_right = hides(lambda b, h, i, j: j <= i + 2 and (b == 0 or i + 2 < 5))
    assert_is(one("padding_on_queries", few), few, lower_right)


def test_padding_of_a_memory_is_of_no_query() -> None:
    keys = np.ones((N_BATCH, 1, 1, examples.N_K), bool)
    keys[1, ..., -2:] = False
    assert not variants("padding_on_queries", examples.plain(masking=Masking(keys=keys)))


EMPTY = [(1, i) for i in range(N - LENGTHS[1])]
"""Item and query of the rows that see nothing when the padding is on the left."""


def rows_of(row: Callable[[list[float]], list[float]]) -> plain.Weigh:
    """What a softmax makes of a row of -inf alone."""
    return lambda x: row(x) if all(each == -INF for each in x) else plain.softmax(x)


def test_rows_that_see_nothing() -> None:
    c = square("left")
    seen = compute(c).weights.any(-1)
    assert {(b, i) for b, h, i in zip(*np.where(~seen), strict=True)} == set(EMPTY)
    sees = hides(left_padded)
    nan = rows_of(lambda x: [math.nan] * N)
    assert_is(one("nan_rows", c, empty_rows="nan"), c, sees, weigh=nan)
    uniform = rows_of(lambda x: [1 / N] * N)
    assert_is(one("uniform_rows", c, empty_rows="uniform"), c, sees, weigh=uniform)
    w = plain.weights(c, sees)
    bare = plain.weights(c, lambda x, *at: x * S)
    for b, i in EMPTY:
        w[b, :, i] = bare[b, :, i]
    assert_weights(one("unmasked_rows", c, empty_rows="unmasked"), c, w)


def test_one_of_two_masks_is_finite() -> None:
    """-inf for what is causal and -1e4 for padding: padded queries see the padding before them."""
    c = square("left")

    def causal_is_infinite(x: float, b: int, h: int, i: int, j: int) -> float:
        return -INF if j > i else x * S - 200 * (j < N - LENGTHS[b])

    added = one("unmasked_rows", c, empty_rows="unmasked", finite="padding")
    assert_is(added, c, causal_is_infinite)

    def padding_is_infinite(x: float, b: int, h: int, i: int, j: int) -> float:
        return -INF if j < N - LENGTHS[b] else x * S if j <= i else -1e300

    filled = one("uniform_rows", c, empty_rows="uniform", finite="causal")
    assert_is(filled, c, padding_is_infinite, weigh=shifted)

    def padding_is_filled_in_last(x: float, b: int, h: int, i: int, j: int) -> float:
        return -1e300 if j < N - LENGTHS[b] else x * S if j <= i else -INF

    last = one("uniform_rows", c, empty_rows="uniform", finite="padding", last=True)
    assert_is(last, c, padding_is_filled_in_last, weigh=shifted)


def test_float32_rounds_what_is_added() -> None:
    """softmax(scores + -1e4) in float32 keeps three decimals of the scores of such a row."""
    c = square("left")
    logits = plain.logits(c, lambda x, *at: x * S).astype(np.float32) + np.float32(-1e4)
    w = plain.weights(c, hides(left_padded))
    for b, i in EMPTY:
        for h in range(N_HEAD):
            w[b, h, i] = shifted([float(x) for x in logits[b, h, i]])
    found = one("unmasked_rows", c, empty_rows="unmasked", fill=-1e4)
    got = compute(found.computation).weights
    np.testing.assert_allclose(got, w, rtol=0, atol=1e-12)
    bare = compute(one("unmasked_rows", c, empty_rows="unmasked").computation).weights
    assert np.abs(got - bare).max() > 1e-5


def times_hidden(b: int, i: int, j: int) -> int:
    return (j > i) + (j < N - LENGTHS[b])


def test_two_masks_added() -> None:
    c = square("left")
    added = one("unmasked_rows", c, empty_rows="unmasked", masks="added")
    w = plain.weights(c, lambda x, b, h, i, j: x * S - 200 * times_hidden(b, i, j))
    got = compute(added.computation).weights
    np.testing.assert_allclose(got, w, rtol=0, atol=1e-12)

    def finfo_min_twice(x: float, b: int, h: int, i: int, j: int) -> float:
        return (x * S, -1e300, -INF)[times_hidden(b, i, j)]

    assert_is(one("two_masks_added", c), c, finfo_min_twice, weigh=shifted)


def test_no_row_is_empty() -> None:
    for name in ("nan_rows", "uniform_rows", "unmasked_rows", "two_masks_added"):
        assert not variants(name, square()), name
        with_sinks = replace(square("left"), sinks=np.zeros(N_HEAD))
        assert not variants(name, with_sinks), name


def test_everything_hidden() -> None:
    """mask.byte() before `~`: 254 and 255 are both true."""
    assert (~np.array([0, 1], np.uint8)).astype(bool).all()
    c = square()
    w = np.full((N_BATCH, N_HEAD, N, N), 1 / N)
    assert_weights(one("everything_hidden", c), c, w)


def test_prefix_dropped() -> None:
    c = square(keys=None, prefix=3)
    assert_is(one("prefix_dropped", c), c, hides(lambda b, h, i, j: j <= i))


def test_zero_times_infinity() -> None:
    c = square("left")
    with np.errstate(invalid="ignore"):
        mask = np.array([[[left_padded(b, 0, i, j) for j in range(N)] for i in range(N)]
                         for b in range(N_BATCH)], float)  # fmt: skip
        added = (1 - mask) * -np.inf
    rows = np.isnan(added).any(-1)
    got = compute(one("zero_times_infinity", c).computation).context
    np.testing.assert_array_equal(np.isnan(got).all(-1), rows[:, None].repeat(N_HEAD, 1))


def test_overflow_in_half_precision() -> None:
    c = square("left")
    with np.errstate(over="ignore", invalid="ignore"):
        fill = np.float16(-1e9)
        row = np.full(N, fill)
        assert np.isnan(np.exp(row - row.max())).all()
        assert np.isnan(np.float16(0) * fill)
    nan = rows_of(lambda x: [math.nan] * N)
    assert_is(one("fill_overflows", c, empty_rows="nan"), c, hides(left_padded), weigh=nan)
    assert np.isnan(compute(one("fill_overflows", c, factor=True).computation).context).all()


def test_tiled_over_heads() -> None:
    """np.tile(mask, (n_head, 1, 1)) for a batch of heads in which the items come first."""
    c = square()
    mask = np.array([[[right_padded(b, 0, i, j) for j in range(N)] for i in range(N)]
                     for b in range(N_BATCH)])  # fmt: skip
    tiled = np.tile(mask, (N_HEAD, 1, 1)).reshape(N_BATCH, N_HEAD, N, N)
    assert_is(one("mask_tiled", c), c, hides(lambda *at: bool(tiled[at])))
    assert not variants("mask_tiled", examples.causal()), "the same for all items"


def test_masks_of_other_items() -> None:
    c = square()
    name = "mask_of_another_item"
    assert_is(one(name, c, item="item 0"), c, hides(lambda b, *at: right_padded(0, *at)))
    after = hides(lambda b, *at: right_padded((b + 1) % 2, *at))
    assert_is(one(name, c, item="item b + 1"), c, after)
    two = replace(c, q=c.q[:, ::3], k=c.k[:, ::2], v=c.v[:, ::2])
    two = replace(two, k=two.k[:, :2], v=two.v[:, :2])
    by_head = hides(lambda b, h, i, j: right_padded(h, b, i, j))
    assert_is(one(name, two, item="item h"), two, by_head)


def test_masks_of_other_heads() -> None:
    custom = np.random.default_rng(6).random((N_BATCH, N_HEAD, N, N)) < 0.7
    c = examples.plain(11, N, N, masking=Masking(custom=custom))
    name = "mask_of_another_head"
    first = one(name, c, head="head 0")
    assert_is(first, c, hides(lambda b, h, i, j: bool(custom[b, 0, i, j])))
    flat = custom.reshape(N_BATCH * N_HEAD, N, N)
    strided = hides(lambda b, h, i, j: bool(flat[h * N_BATCH + b, i, j]))
    assert_is(one(name, c, head="head (h · n_batch + b) mod n_head"), c, strided)
    other = custom.swapaxes(0, 1).reshape(custom.shape)
    assert_is(
        one(name, c, head="head ⌊(b · n_head + h) / n_batch⌋"),
        c,
        hides(lambda b, h, i, j: bool(other[b, h, i, j])),
    )


def test_mask_in_one_place() -> None:
    c = square()
    head = hides(lambda b, h, i, j: h > 0 or right_padded(b, h, i, j))
    assert_is(one("mask_in_one_place", c, only="head 0"), c, head)
    assert not [
        v
        for v in variants("mask_in_one_place", square(causal=False))
        if v.parameter["only"] == "item 0"
    ], "the first text has no padding"
    item = hides(lambda b, h, i, j: b > 0 or right_padded(b, h, i, j))
    assert_is(one("mask_in_one_place", c, only="item 0"), c, item)


def test_windows_in_another_order() -> None:
    """Masks [n_window, n, n] for windows of several images, [n_image · n_window, head, n, d]."""
    n_image, n_window, n = 2, 3, 5
    mask = np.random.default_rng(8).random((n_window, 1, n, n)) < 0.7
    mask |= np.eye(n, dtype=bool)
    rng = np.random.default_rng(9)
    q, k, v = (rng.normal(size=(n_image * n_window, 1, n, 11)) for _ in range(3))
    right = np.tile(mask, (n_image, 1, 1, 1))
    wrong = np.repeat(mask, n_image, 0)
    c = computation(q, k, v, masking=Masking(custom=right))
    w = compute(computation(q, k, v, masking=Masking(custom=wrong))).weights
    name = "masks_of_windows_in_another_order"
    found = [compute(each.computation).weights for each in variants(name, c)]
    assert len(found) == 2
    assert any(np.array_equal(each, w) for each in found)


def test_transposed() -> None:
    c = square()
    assert_is(one("mask_transposed", c), c, hides(lambda b, h, i, j: right_padded(b, h, j, i)))
    few = examples.padded()
    mask = np.array([[[j <= i + 2 and (b == 0 or j < 5) for j in range(7)] for i in range(5)]
                     for b in range(N_BATCH)])  # fmt: skip
    read = mask.transpose(0, 2, 1).reshape(N_BATCH, 5, 7)
    assert_is(one("mask_transposed", few), few, hides(lambda b, h, i, j: bool(read[b, i, j])))


def test_padding_of_another_length() -> None:
    c = square()
    other_side = hides(left_padded)
    assert_is(one("padding_on_the_other_side", c), c, other_side)
    name = "padding_one_key_off"
    longer = hides(lambda b, h, i, j: j <= i and j < LENGTHS[b] + 1)
    assert_is(one(name, c, by=1, side="right"), c, longer)
    shorter = hides(lambda b, h, i, j: j <= i and j < LENGTHS[b] - 1)
    assert_is(one(name, c, by=-1, side="right"), c, shorter)
    c = square("left")
    longer = hides(lambda b, h, i, j: j <= i and j >= N - LENGTHS[b] - 1)
    assert_is(one(name, c, by=1, side="left"), c, longer)


def test_causal_where_none_is_wanted() -> None:
    keys = np.ones((N_BATCH, 1, 1, examples.N_K), bool)
    keys[1, ..., -2:] = False
    c = examples.plain(masking=Masking(keys=keys))
    upper = hides(lambda b, h, i, j: j <= i and (b == 0 or j < 5))
    assert_is(one("target_mask_on_memory", c, offset=0), c, upper)
    lower = hides(lambda b, h, i, j: j <= i + 2)
    assert_is(one("target_mask_on_memory", c, offset=2, part="padding"), c, lower)
    assert not variants("target_mask_on_memory", examples.causal())


TEXTS = np.array([0, 0, 1, 1, 1, 2, 2])


def test_packed_texts() -> None:
    c = square(keys=None, segments=Segments(TEXTS, TEXTS))
    assert_is(one("packed_texts_seen", c), c, hides(lambda b, h, i, j: j <= i))
    late, early = [0, 0, 0, 1, 1, 1, 2], [0, 1, 1, 1, 2, 2, 2]
    for by, texts in ((1, late), (-1, early)):
        expected = hides(lambda b, h, i, j: j <= i and texts[i] == texts[j])  # noqa: B023
        assert_is(one("packed_borders_off", c, by=by), c, expected)
    merged = [0, 0, 1, 1, 1, 1, 1]
    expected = hides(lambda b, h, i, j: j <= i and merged[i] == merged[j])
    assert_is(one("packed_borders_off", c, border=2), c, expected)


def test_mistakes_compose() -> None:
    """A second mistake works on the mask as the first one left it."""
    c = square("left")
    inverted = one("inverted_mask", c).computation
    (nan,) = variants("nan_rows", inverted)
    expected = rows_of(lambda x: [math.nan] * N)
    assert_is(nan, c, hides(lambda *at: not left_padded(*at)), weigh=expected)
    (again,) = variants("inverted_mask", inverted)[:1]
    assert_is(again, c, hides(left_padded))


@pytest.mark.parametrize("name", [n for n, entry in MISTAKES.items() if entry.family == "mask"])
def test_rows_that_see_nothing_after_any_other_mistake(name: str) -> None:
    for first in variants(name, square("left")):
        for second in ("nan_rows", "uniform_rows", "unmasked_rows", "two_masks_added"):
            for found in variants(second, first.computation):
                weights = compute(found.computation.at(np.array([0, N - 1]))).weights
                assert weights.shape == (N_BATCH, N_HEAD, 2, N)
