"""Which table of tokens is whose: copies are compared, not assumed."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz.models import load_model
from tests.models.build.families import checkpoints, goldens

USERS = {
    "bart": ("model.shared", "model.encoder.embed_tokens", "model.decoder.embed_tokens", "lm_head"),
    "t5": ("shared", "encoder.embed_tokens", "decoder.embed_tokens", "lm_head"),
}
USERS |= dict.fromkeys(("marian", "mbart", "m2m_100", "pegasus"), USERS["bart"])
USERS |= dict.fromkeys(("mt5", "umt5"), USERS["t5"])

TIED = {
    "gpt2": ("transformer.wte", "lm_head"),
    "opt": ("model.decoder.embed_tokens", "lm_head"),
    "gemma2": ("model.embed_tokens", "lm_head"),
    "qwen3": ("model.embed_tokens", "lm_head"),
    "bert": ("bert.embeddings.word_embeddings", "cls.predictions.decoder"),
    "modernbert": ("model.embeddings.tok_embeddings", "decoder"),
    "esm": ("esm.embeddings.word_embeddings", "lm_head.decoder"),
    "nomic_bert": ("nomic_bert.embeddings.word_embeddings", "cls.predictions.decoder"),
    "mpnet": ("mpnet.embeddings.word_embeddings", "lm_head.decoder"),
    "roberta": ("roberta.embeddings.word_embeddings", "lm_head.decoder"),
    "distilbert": ("distilbert.embeddings.word_embeddings", "vocab_projector"),
    "albert": ("albert.embeddings.word_embeddings", "predictions.decoder"),
    "electra-generator": ("electra.embeddings.word_embeddings", "generator_lm_head"),
}
"""The table of the embedding, and of the output."""


def run(folder, case):
    trace = goldens.run(case, 0, folder)
    states = {name: np.stack(states) for name, states in trace.hidden_states.items()}
    return {**{record.id: record.weights for record in trace}, **states, "logits": trace.logits}


def differ(first, second):
    return {name for name in first if not np.array_equal(first[name], second[name])}


@pytest.mark.parametrize("variant", USERS)
class TestEncoderDecoders:
    @pytest.fixture
    def case(self, variant):
        return goldens.cases(variant)["single"]

    def copies(self, variant):
        """The checkpoint with a copy of the shared table for each of its users."""
        config, tensors = checkpoints.read(goldens.FAMILIES / variant)
        shared, *users = (f"{name}.weight" for name in USERS[variant])
        return config, tensors | {user: tensors[shared].copy() for user in users}

    def test_copies_count_once(self, variant, case, tmp_path):
        original = goldens.FAMILIES / variant
        folder = checkpoints.write(tmp_path / "copies", *self.copies(variant))
        assert not differ(run(original, case), run(folder, case))
        assert load_model(str(folder)).n_parameter == load_model(str(original)).n_parameter

    @pytest.mark.parametrize("user", [1, 2, 3])
    def test_what_is_no_copy_is_its_users_own(self, variant, case, user, tmp_path):
        config, tensors = self.copies(variant)
        name = f"{USERS[variant][user]}.weight"
        other = tensors | {name: tensors[name][::-1].copy()}
        folder = checkpoints.write(tmp_path / "other", config, other)
        changed = differ(run(goldens.FAMILIES / variant, case), run(folder, case))
        assert ("encoder.0.self" in changed) == (user == 1)
        assert ("decoder.0.self" in changed) == (user == 2)
        assert "logits" in changed
        model, whole = load_model(str(folder)), load_model(str(goldens.FAMILIES / variant))
        assert model.n_parameter == whole.n_parameter + tensors[name].size

    @pytest.mark.parametrize("only", [1, 2])
    def test_a_shared_table_under_the_name_of_a_user(self, variant, case, only, tmp_path):
        config, tensors = checkpoints.read(goldens.FAMILIES / variant)
        table = tensors.pop(f"{USERS[variant][0]}.weight")
        tensors[f"{USERS[variant][only]}.weight"] = table
        folder = checkpoints.write(tmp_path / "renamed", config, tensors)
        assert not differ(run(goldens.FAMILIES / variant, case), run(folder, case))


@pytest.mark.parametrize("variant", ["bart", "marian", "mbart", "m2m_100", "pegasus"])
def test_untied_files_of_transformers_4(variant, tmp_path):
    """They share what both stacks read, whatever the config says, and hold the output's table."""
    config, tensors = checkpoints.read(goldens.FAMILIES / variant)
    shared, output = (f"{USERS[variant][user]}.weight" for user in (0, 3))
    config["tie_word_embeddings"] = False
    case = goldens.cases(variant)["single"]
    without = goldens.run(case, 0, checkpoints.write(tmp_path / "without", config, tensors))
    assert without.logits is None
    assert any("no output matrix" in note for note in without.model.notes)
    tensors[output] = tensors[shared][::-1].copy()
    folder = checkpoints.write(tmp_path / "with", config, tensors)
    assert differ(run(goldens.FAMILIES / variant, case), run(folder, case)) == {"logits"}


@pytest.mark.parametrize("variant", TIED)
def test_the_output(variant, tmp_path):
    config, tensors = checkpoints.read(goldens.FAMILIES / variant)
    embedding, output = (f"{name}.weight" for name in TIED[variant])
    case, original = goldens.cases(variant)["single"], goldens.FAMILIES / variant
    table = tensors[embedding]
    same = checkpoints.write(tmp_path / "same", config, tensors | {output: table.copy()})
    assert not differ(run(original, case), run(same, case))
    assert load_model(str(same)).n_parameter == load_model(str(original)).n_parameter
    other = checkpoints.write(tmp_path / "other", config, tensors | {output: table[::-1].copy()})
    assert differ(run(original, case), run(other, case)) == {"logits"}


@pytest.mark.parametrize(
    "variant", ["bert-untied", "roberta-untied", "mpnet-untied", "albert-untied"]
)
def test_the_bias_of_older_files(variant, tmp_path):
    """transformers 4 wrote one bias, which was that of the linear map."""
    config, tensors = checkpoints.read(goldens.FAMILIES / variant)
    own = next(name for name in tensors if name.endswith("decoder.bias"))
    older = {name: tensor for name, tensor in tensors.items() if name != own}
    older[own.replace("decoder.", "")] = tensors[own]
    folder = checkpoints.write(tmp_path / "older", config, older)
    case = goldens.cases(variant)["single"]
    assert not differ(run(goldens.FAMILIES / variant, case), run(folder, case))


def test_stored_positions_of_marian_count(tmp_path):
    """Half precision rounds them, and transformers reads what is stored."""
    config, tensors = checkpoints.read(goldens.FAMILIES / "marian")
    ids = goldens.cases("marian")["single"].arrays["ids"][0]
    generator = np.random.default_rng(0)
    shape = (config["max_position_embeddings"], config["d_model"])
    for stack in ("encoder", "decoder"):
        stored = generator.standard_normal(shape).astype(np.float16)
        tensors[f"model.{stack}.embed_positions.weight"] = stored
    folder = checkpoints.write(tmp_path / "stored", config, tensors)
    trace = attnviz.run(ids.tolist(), target=[46, 5], model=str(folder), hidden_states=True)
    for stack, read in (("encoder", ids), ("decoder", np.array([46, 5]))):
        words = tensors["model.shared.weight"][read] * config["d_model"] ** 0.5
        places = tensors[f"model.{stack}.embed_positions.weight"][: len(read)]
        np.testing.assert_allclose(trace.hidden_states[stack][0], words + places, rtol=1e-5)


def test_the_output_of_an_untied_umt5_is_not_scaled(tmp_path):
    config, tensors = checkpoints.read(goldens.FAMILIES / "umt5")
    config["tie_word_embeddings"] = False
    folder = checkpoints.write(tmp_path / "untied", config, tensors)
    case = goldens.cases("umt5")["single"]
    untied, tied = (goldens.run(case, 0, each) for each in (folder, goldens.FAMILIES / "umt5"))
    np.testing.assert_allclose(untied.logits, tied.logits * config["d_model"] ** 0.5, rtol=1e-4)
    assert any("not scaled" in note for note in untied.model.notes)
