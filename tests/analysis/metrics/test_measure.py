"""Heads of models that are known, measured."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz import load, load_model, run
from attnviz.analysis.metrics import METRICS
from attnviz.analysis.metrics.measure import measure_heads
from attnviz.analysis.metrics.values import output_weights
from attnviz.analysis.roles import doubts, roles
from attnviz.models.edit.ablate import ablate, zero
from attnviz.nn.site import RecordId
from attnviz.trace.selection import Head, parse_selection

REPEATED = "KXQWJDKXQMWJDZKXQWBJDMZKXQW"
"""Characters that come again at many distances."""


@pytest.fixture(scope="module")
def induction():
    return load_model("induction")


def of(model, text, **options):
    trace = run(text, model=model, stages=("weights", "v"), fingerprint=False, **options)
    return measure_heads(trace, outputs=output_weights(model.transformer))


def names(table, role):
    pairs = zip(table.layers, table.heads, roles(table), strict=True)
    return [f"L{layer}.H{head}" for layer, head, its in pairs if its == role]


@pytest.mark.parametrize("text", [REPEATED, "BDFKQWXZ" * 4], ids=["varied", "one period"])
def test_the_heads_of_the_induction_model_are_found(induction, text):
    table = of(induction, text)
    assert names(table, "previous-token") == ["L0.H2"]
    assert names(table, "induction") == ["L1.H0", "L1.H1", "L1.H2", "L1.H3"]
    assert bool(doubts(table)) == (text != REPEATED)


def test_without_the_previous_token_head_nothing_induces(induction):
    """The heads of layer 1 find what followed by what layer 0 wrote there."""
    cut = ablate(induction.transformer, [Head(RecordId("decoder", 0, "self"), 2)], zero)
    whole, broken = of(induction, REPEATED), of(induction._replace(transformer=cut), REPEATED)
    first = whole.layers == 1
    assert (whole.value["induction"][first] > 0.85).all()
    assert (broken.value["induction"][first] < 0.3).all()
    assert names(broken, "induction") == []


def test_other_heads_do_not_matter_so(induction):
    for other in (0, 1, 3):
        cut = ablate(induction.transformer, [Head(RecordId("decoder", 0, "self"), other)], zero)
        table = of(induction._replace(transformer=cut), REPEATED)
        assert table.value["induction"][table.layers == 1].max() > 0.8


def test_text_without_repeats_has_no_induction(induction):
    table = of(induction, "ABCDEFGHIJKLMNOP")
    assert "induction" not in table.defined()
    assert names(table, "induction") == []
    assert names(table, "previous-token") == ["L0.H2"]


def test_a_selection_and_blocks_change_nothing(induction, monkeypatch):
    trace = run(REPEATED, model=induction, fingerprint=False)
    whole = measure_heads(trace)
    monkeypatch.setattr("attnviz.analysis.metrics.pattern.BLOCK_CELLS", 1)
    cut = measure_heads(trace)
    part = measure_heads(trace, parse_selection(["L1.H1,H3"]))
    assert part.heads.tolist() == [1, 3]
    for name in METRICS:
        np.testing.assert_allclose(cut.value[name], whole.value[name], rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(
            part.value[name], whole.value[name][[5, 7]], rtol=1e-6, atol=1e-7
        )
    assert whole.select(parse_selection(["L1.H1,H3"])).ids == part.ids


def test_reading_leaves_the_trace_as_it_was(saw):
    before = {name: array.tobytes() for name, array in saw.arrays().items()}
    measure_heads(saw)
    assert {name: array.tobytes() for name, array in saw.arrays().items()} == before


def test_what_heads_move_is_the_context_they_write(induction):
    """Lengths add up to no less than the length of the sum; a sink's sum has one term."""
    stages = ("weights", "v", "context")
    trace = run(REPEATED, model=induction, stages=stages, fingerprint=False)
    outputs = output_weights(induction.transformer)
    table = measure_heads(trace, outputs=outputs)
    assert list(outputs) == [record.id for record in trace]
    record = trace["decoder.0.self"]
    weight = np.asarray(outputs[record.id], np.float64)
    for head in range(4):
        columns = slice(16 * head, 16 * head + 16)
        written = record.context[head] @ weight[:, columns].T
        lengths = np.linalg.norm(written, axis=-1)[1:]
        assert table.value["value_norm"][head] >= lengths.mean() * (1 - 1e-6)
    moved = np.einsum("hjd,mhd->hjm", record.v, weight.reshape(64, 4, 16))
    lengths = np.linalg.norm(moved, axis=-1)
    even = [lengths[:, : i + 1].mean(-1) for i in range(1, lengths.shape[1])]
    np.testing.assert_allclose(table.null["value_norm"][:4], np.mean(even, axis=0), rtol=1e-5)
    sink = np.linalg.norm(record.context[1] @ weight[:, 16:32].T, axis=-1)[1:].mean()
    assert table.value["first_token"][1] > 0.99
    assert table.value["value_norm"][1] == pytest.approx(sink, rel=0.01)


def test_encoder_decoders_have_a_null_for_each_mask():
    table = measure_heads(run("我爱你", model="phrases", fingerprint=False))
    kinds = np.array([id.split(".")[0] + id.split(".")[2] for id in table.ids])
    cross = table.null["previous_token"][kinds == "decodercross"]
    assert np.isnan(cross).all()
    n = 4  # 我 爱 你 [EOS]
    assert set(table.null["previous_token"][kinds == "encoderself"]) == {1 / n}
    assert len(set(table.null["entropy"])) > 1


def test_foreign_weights(tmp_path):
    """Words that come again are the same token; a causal mask is seen from the zeros."""
    weights = np.tril(np.ones((2, 6, 6)))
    weights /= weights.sum(-1, keepdims=True)
    np.save(tmp_path / "w.npy", weights)
    trace = load(tmp_path / "w.npy", tokens=["a", "b", "a", "b", ",", "a"])
    table = measure_heads(trace)
    assert any("those of a causal mask" in note for note in table.notes)
    for name in table.defined():
        np.testing.assert_allclose(table.value[name], table.null[name], err_msg=name)
    assert table.rows["induction"].tolist() == [3, 3]
    assert {"value_norm", "special_tokens"}.isdisjoint(table.defined())
    np.save(tmp_path / "w.npy", np.full((2, 6, 6), 1 / 6))
    assert measure_heads(load(tmp_path / "w.npy")).notes == ()


def test_minilm_says_the_same_of_two_halves_of_a_corpus(minilm):
    """Sentences of one half against those of the other: the heads stand in the same order."""
    model = load_model(str(minilm))
    subjects = ["The old teacher", "A small dog", "My neighbour's daughter", "The new engine"]
    verbs = ["did not find", "has often described"]
    objects = ["the garden, which was empty.", "three letters from Paris.", "a very long report!"]
    sentences = [f"{s} {v} {o}" for s in subjects for v in verbs for o in objects]
    order = np.random.default_rng(0).permutation(len(sentences))
    halves = []
    for part in (order[:12], order[12:]):
        tables = [of(model, sentences[place]) for place in part]
        halves.append({n: np.mean([t.value[n] for t in tables], axis=0) for n in METRICS})
    stable = [name for name in METRICS if np.isfinite(halves[0][name]).all()]
    assert {"entropy", "previous_token", "special_tokens", "value_norm"} <= set(stable)
    for name in stable:
        correlation = np.corrcoef(halves[0][name], halves[1][name])[0, 1]
        assert correlation > 0.9, f"{name}: {correlation}"


def test_what_the_vocabulary_lacks_is_nobody_s_copy():
    """Five unknown characters are one id, and need not be one character."""
    table = measure_heads(run("∀∃∀∃a∀a", model="induction", fingerprint=False))
    assert set(table.rows["duplicate_token"]) == {1}


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.5, 2.0, np.finfo(float).max])
def test_nothing_is_said_of_a_head_whose_rows_are_no_distributions(tmp_path, generator, wrong):
    weights = generator.dirichlet(np.ones(9), (3, 9))
    np.save(tmp_path / "w.npy", weights)
    sound = measure_heads(load(tmp_path / "w.npy"))
    weights[1, 4, 4] = wrong
    np.save(tmp_path / "w.npy", weights)
    table = measure_heads(load(tmp_path / "w.npy"))
    assert roles(table) == [roles(sound)[0], "undefined", roles(sound)[2]]
    for name in table.defined():
        assert np.isnan(table.value[name][1]), name
        np.testing.assert_array_equal(table.value[name][[0, 2]], sound.value[name][[0, 2]])
