"""BERT against transformers: a tiny random one (goldens), and MiniLM."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import attnviz
from attnviz.errors import AttnvizError
from attnviz.models import load_model
from tests.conftest import GOLDEN
from tests.golden.texts import TEXTS, spread

TINY = GOLDEN / "bert-tiny"
CASES = ("single", "pair", "longest", "one")


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "bert-tiny.npz") as file:
        return dict(file)


@pytest.fixture
def copy(tmp_path):
    """A checkpoint to spoil."""
    shutil.copytree(TINY, tmp_path / "bert")
    return tmp_path / "bert"


def halves(golden, case):
    """The ids of a case as text and pair."""
    ids = golden[f"{case}/ids"].tolist()
    second = golden.get(f"{case}/segments", np.zeros(len(ids), int)).tolist()
    split = second.index(1) if 1 in second else len(ids)
    return ids[:split], ids[split:] or None


@pytest.mark.parametrize("case", CASES)
def test_tiny(golden, case):
    ids, pair = halves(golden, case)
    trace = attnviz.run(ids, pair=pair, model=str(TINY), hidden_states=True)
    weights = np.stack([record.weights for record in trace])
    np.testing.assert_allclose(weights, golden[f"{case}/attentions"], atol=2e-6)
    states = np.stack(trace.hidden_states["encoder"])
    np.testing.assert_allclose(states, golden[f"{case}/hidden"], atol=2e-5)


def test_tiny_in_float64(golden):
    trace = attnviz.run(golden["single/ids"].tolist(), model=str(TINY), dtype="float64")
    assert trace.records[0].weights.dtype == np.float64
    np.testing.assert_allclose(trace.records[1].weights, golden["single/attentions"][1], atol=2e-6)


def edit_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    config = {k: v for k, v in (config | changes).items() if v is not ...}
    (folder / "config.json").write_text(json.dumps(config))


def edit_tensors(folder, change):
    tensors = load_file(folder / "model.safetensors")
    save_file(change(dict(tensors)), folder / "model.safetensors")


SPELLINGS = {
    "no prefix": lambda t: {k.removeprefix("bert."): v for k, v in t.items()},
    "gamma and beta": lambda t: {
        k.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): v
        for k, v in t.items()
    },
    "heads that are not used": lambda t: t | {"cls.seq_relationship.bias": np.ones(2, np.float32)},
    "position ids": lambda t: t | {"bert.embeddings.position_ids": np.arange(23)[None]},
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings_of_the_tensors(copy, golden, spelling):
    edit_tensors(copy, SPELLINGS[spelling])
    trace = attnviz.run(golden["single/ids"].tolist(), model=str(copy))
    np.testing.assert_allclose(trace.records[1].weights, golden["single/attentions"][1], atol=2e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_dtypes_on_disk(copy, golden, dtype):
    edit_tensors(copy, lambda t: {k: v.astype(dtype) for k, v in t.items()})
    trace = attnviz.run(golden["single/ids"].tolist(), model=str(copy))
    assert trace.records[1].weights.dtype == np.float32
    np.testing.assert_allclose(trace.records[1].weights, golden["single/attentions"][1], atol=2e-2)


class TestRefusals:
    def refused(self, folder, message, text=(2, 7, 3)):
        with pytest.raises(AttnvizError, match=message) as error:
            attnviz.run(list(text), model=str(folder))
        assert error.value.hint
        return error.value

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                {"position_embedding_type": "alibi"},
                "position_embedding_type = 'alibi' changes",
            ),
            ({"hidden_act": "gelu_10"}, "hidden_act = 'gelu_10' changes the numbers"),
            ({"is_decoder": True}, "is_decoder = True changes the numbers"),
            ({"rope_theta": 10000.0}, "the field 'rope_theta' .* unknown and may change"),
            ({"hidden_size": ...}, "has no 'hidden_size'"),
            (
                {"num_attention_heads": 0},
                "num_attention_heads: expected a whole number of at least 1",
            ),
            ({"num_attention_heads": 5}, "5 heads do not divide the width 12"),
            ({"model_type": "bort"}, "architecture 'bort' is not supported"),
            ({"model_type": ...}, "has no 'model_type'"),
            ({"vocab_size": 40}, r"word_embeddings.weight has the shape \[41, 12\]; .* \[40, 12\]"),
            ({"num_hidden_layers": 3}, "tensor bert.encoder.layer.2.* is missing"),
            (
                {"num_hidden_layers": 1},
                "no place for the tensor bert.encoder.layer.1.* and 15 more",
            ),
        ],
        ids=str,
    )
    def test_config(self, copy, change, message):
        edit_config(copy, **change)
        self.refused(copy, message)

    def test_missing_and_extra_tensors(self, copy):
        name = "bert.encoder.layer.1.output.dense.bias"
        edit_tensors(copy, lambda t: {k: v for k, v in t.items() if k != name})
        self.refused(copy, f"the tensor {name} is missing")
        edit_tensors(
            copy, lambda t: t | {name: np.ones(12, np.float32), "bert.adapter": np.ones(2)}
        )
        self.refused(copy, "no place for the tensor bert.adapter")

    @pytest.mark.parametrize("keep", [0, 7, 100, 5000])
    def test_half_written_weights(self, copy, keep):
        path = copy / "model.safetensors"
        path.write_bytes(path.read_bytes()[:keep])
        self.refused(copy, "is damaged: ")

    def test_a_git_lfs_pointer(self, copy):
        (copy / "model.safetensors").write_text(
            "version https://git-lfs.github.com/spec/v1\noid sha256:0"
        )
        assert "git lfs pull" in self.refused(copy, "a Git LFS pointer").hint

    def test_half_a_config(self, copy):
        (copy / "config.json").write_text('{"model_type": "bert"')
        self.refused(copy, "is damaged or not a JSON file")

    def test_pickles(self, copy):
        (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
        assert "save_pretrained" in self.refused(copy, "a pickle, which is never loaded").hint

    def test_no_weights_no_config(self, copy, tmp_path):
        (copy / "model.safetensors").unlink()
        self.refused(copy, "has no model.safetensors")
        self.refused(tmp_path, "it has no config.json")

    def test_no_tokenizer(self):
        with pytest.raises(AttnvizError, match=r"has no tokenizer\.json, so it cannot read text"):
            attnviz.run("I saw", model=str(TINY))

    def test_too_long_and_unknown_ids(self, copy):
        self.refused(copy, "has 24 tokens; .* reads at most 23", text=[1] * 24)
        self.refused(copy, "has no token 41: its ids go from 0 to 40", text=[41])

    def test_fields_that_a_trained_model_cannot_change(self):
        with pytest.raises(AttnvizError, match="is trained: its layers cannot be changed"):
            load_model(str(TINY), {"layers": 3})
        with pytest.raises(AttnvizError, match="'additive' has learned arrays"):
            load_model(str(TINY), {"score": "additive"})


class TestIntervention:
    ids = (2, 7, 1, 8, 3)

    def run(self, **changes):
        return attnviz.run(list(self.ids), model=str(TINY), stages=("q", "k", "weights"), **changes)

    def test_mask(self):
        record = self.run(mask="causal").records[0]
        assert record.site.mask == ("causal",)
        assert (np.triu(record.weights[0], 1) == 0).all()

    def test_temperature_divides_the_scale(self):
        plain, hot = self.run().records[0], self.run(temperature=3.0).records[0]
        assert hot.site.scale == pytest.approx(plain.site.scale / 3)
        scores = plain.q @ plain.k.mT * hot.site.scale
        expected = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
        np.testing.assert_allclose(hot.weights, expected, atol=1e-5)

    @pytest.mark.parametrize(
        ("score", "scale"), [("dot", 1.0), ("cosine", 1.0), ("scaled_dot", 0.5)]
    )
    def test_score(self, score, scale):
        assert self.run(score=score).records[0].site.scale == scale

    def test_it_is_said(self):
        trace = self.run(mask="causal", softcap=2.0)
        assert trace.model.changed == {"mask": "causal", "softcap": 2.0}
        assert "changed from what it was trained with" in trace.model.notes[0]


@pytest.fixture(scope="module")
def model(minilm):
    return load_model(str(minilm))


@pytest.fixture(scope="module")
def samples():
    with np.load(GOLDEN / "minilm.npz") as file:
        return dict(file)


class TestMiniLM:
    @pytest.mark.parametrize("name", TEXTS)
    def test_against_transformers(self, model, samples, name):
        """All numbers of all texts: `make_goldens.py MINILM --check`."""
        trace = attnviz.run(**TEXTS[name], model=model, hidden_states=True, fingerprint=False)
        assert list(trace.streams["source"].ids) == samples[f"{name}/ids"].tolist()
        weights = spread(np.stack([record.weights for record in trace]))
        assert np.abs(weights - samples[f"{name}/attentions"]).max() <= 2e-5
        states = spread(np.stack(trace.hidden_states["encoder"]))
        assert np.abs(states - samples[f"{name}/hidden"]).max() <= 1e-4

    def test_what_it_says_of_itself(self, model):
        trace = attnviz.run("I saw a saw", model=model)
        assert trace.model.sha256.startswith("53aa5117")
        assert trace.model.trained is True
        assert trace.model.family == "bert"
        assert trace.streams["source"].special == (0, 5)

    def test_a_pair_has_two_segments(self, model):
        tokens = attnviz.run("a b", pair="c", model=model).streams["source"]
        assert tokens.segments == (0, 0, 0, 0, 1, 1)

    def test_padding_and_truncation_of_the_tokenizer_are_off(self, model):
        """tokenizer.json has both switched on at 128."""
        assert len(attnviz.run("saw", model=model).streams["source"]) == 3
        assert len(attnviz.run("saw " * 200, model=model).streams["source"]) == 202

    def test_the_longest_text(self, model):
        assert len(attnviz.run("saw " * 510, model=model).streams["source"]) == 512
        with pytest.raises(AttnvizError, match=r"has 513 tokens; .* reads at most 512"):
            attnviz.run("saw " * 511, model=model)

    def test_unknown_characters_are_marked(self, model):
        tokens = attnviz.run("saw 😀 saw", model=model).streams["source"]
        assert tokens.unknown == (2,)
