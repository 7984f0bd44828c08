"""The models that ship: the NumPy stack computes what the training code computed, and every
figure of a card comes out again."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys

import numpy as np
import pytest

from attnviz.models import PACKAGED, load_model, packaged
from attnviz.models.edit.ablate import ablate, zero
from attnviz.models.run.generate import generate
from attnviz.models.run.inputs import as_input, read_text
from attnviz.nn.embedding import Input
from attnviz.nn.site import RecordId
from attnviz.nn.types import Array
from attnviz.running import run
from attnviz.trace.recorder import TraceRecorder
from attnviz.trace.selection import Head
from attnviz.views.models import figure_text
from tests.conftest import HERE

HELD_OUT = HERE / "models" / "packaged"
NAMES = ("digits", "induction", "phrases", "tagger", "tagger-window", "tagger-word")
LARGEST = 2_000_000

sys.path.insert(0, str(HERE.parent / "samples" / "training"))


def card(name: str) -> dict:
    return json.loads((PACKAGED / name / "card.json").read_text("utf-8"))


def forward(model, source: Input, target: Input | None = None) -> tuple[Array, dict[str, Array]]:
    recorder = TraceRecorder(["weights"])
    output = model.transformer(source, target, recorder=recorder, logits=True)
    return output.logits, {record.id: record.weights for record in recorder.records()}


def test_all_are_there():
    assert packaged() == sorted(NAMES)


def test_together_they_are_small():
    files = [path for path in PACKAGED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < LARGEST


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_of_these_weights(name):
    data = (PACKAGED / name / "model.safetensors").read_bytes()
    told = card(name)
    assert told["sha256"] == hashlib.sha256(data).hexdigest()
    assert told["n_byte"] == len(data)
    assert told["n_parameter"] == load_model(name).n_parameter
    for key in ("title", "task_text", "data", "data_licence", "licence", "recipe", "limits"):
        assert told[key]
    assert told["training_seconds"] > 0
    for figure in told["figures"]:
        assert figure_text(told["figures_text"], figure), figure


def golden_texts(name: str) -> list[dict[str, Array]]:
    """What the training code computed for some inputs, an input each."""
    with np.load(HELD_OUT / f"{name}.npz") as file:
        arrays = dict(file)
    if "source" not in arrays:  # texts of several lengths: 0/source, 1/source, …
        texts: dict[str, dict[str, Array]] = {}
        for key, array in arrays.items():
            number, _, name = key.partition("/")
            name = {"ids": "source"}.get(name, name.removesuffix("/weights"))
            texts.setdefault(number, {})[name] = array
        return list(texts.values())
    return [{key: a[i] for key, a in arrays.items()} for i in range(len(arrays["source"]))]


def together(patches):
    """[16, 4] -> [1, 8, 8]: the image that the patches of 2 × 2 pixels were cut from."""
    rows = patches.reshape(4, 4, 2, 2)
    return np.block([list(row) for row in rows])[None]


@pytest.mark.parametrize("name", NAMES)
def test_the_numpy_stack_gives_the_logits_of_the_training_code(name):
    """Logits within 1e-4, as was asked; weights within 1e-5."""
    model = load_model(name)
    sites = {site.id for site in model.transformer.sites()}
    for golden in golden_texts(name):
        if model.image is not None:
            given = Input(pixels=together(golden["source"]))
        else:
            given = Input(ids=golden["source"], pieces=golden.get("pieces"))
        target = Input(ids=golden["target"]) if "target" in golden else None
        logits, weights = forward(model, given, target)
        np.testing.assert_allclose(logits, golden["logits"], atol=1e-4)
        assert set(weights) == sites
        for id, found in weights.items():
            np.testing.assert_allclose(found, golden[id], atol=1e-5)


class TestDigits:
    def test_held_out_accuracy(self):
        model = load_model("digits")
        with np.load(HELD_OUT / "digits-heldout.npz") as file:
            images, labels = file["images"] / 16, file["labels"]
        given = Input(pixels=images[:, None].astype(np.float32))
        logits = model.transformer(given, logits=True).logits[:, 0]
        accuracy = float((logits.argmax(-1) == labels).mean())
        assert accuracy == pytest.approx(card("digits")["figures"]["heldout_accuracy"], abs=1e-4)
        assert accuracy >= 0.98


@pytest.fixture(scope="module")
def texts():
    """Repeated blocks of lengths that were not trained on."""
    from induction_data import UNSEEN_PERIODS, unseen_texts

    return [unseen_texts(period) for period in UNSEEN_PERIODS]


class TestInduction:
    @staticmethod
    def right(model, texts) -> float:
        """The share of the told tokens that were foreseen."""
        ids = texts.ids[:, :-1]
        logits = model.transformer(Input(ids=ids), logits=True).logits
        hits: Array = (logits.argmax(-1) == texts.ids[:, 1:])[texts.told]
        return float(hits.mean())

    def accuracy(self, model, texts) -> float:
        return float(np.mean([self.right(model, each) for each in texts]))

    def test_accuracy_on_unseen_periods(self, texts):
        found = self.accuracy(load_model("induction"), texts)
        assert found == pytest.approx(card("induction")["figures"]["accuracy"], abs=5e-4)
        assert found >= 0.99

    def test_without_the_previous_token_head(self, texts):
        model, figures = load_model("induction"), card("induction")["figures"]
        head = Head(RecordId("decoder", 0, "self"), figures["previous_token_head"])
        cut_out = ablate(model.transformer, [head], zero)
        found = self.accuracy(model._replace(transformer=cut_out), texts)
        told = figures["accuracy_without_previous_token_head"]
        assert found == pytest.approx(told, abs=5e-4)
        assert found < 0.3

    def test_heads(self, texts):
        from induction_data import followers

        model, figures = load_model("induction"), card("induction")["figures"]
        ids = np.concatenate([each.ids[:, :-1] for each in texts])
        _, weights = forward(model, Input(ids=ids))
        first, second = weights["decoder.0.self"], weights["decoder.1.self"]
        previous = np.diagonal(first, -1, 2, 3).mean((0, 2))
        where = followers(ids)
        rows = where.any(-1)
        mass = (second * where[:, None]).sum(-1)
        induction = [float(mass[:, head][rows].mean()) for head in range(4)]
        for head in range(4):
            assert previous[head] == pytest.approx(figures[f"previous_token_L0H{head}"], abs=2e-3)
            assert induction[head] == pytest.approx(figures[f"induction_L1H{head}"], abs=2e-3)
        assert previous.max() >= 0.95
        assert sum(score >= 0.9 for score in induction) >= 2


class TestPhrases:
    @pytest.fixture
    def sample(self):
        from phrases_grammar import unseen

        return unseen(2000, seed=1)[:200]

    def test_exact_translations(self, sample):
        model, figures = load_model("phrases"), card("phrases")["figures"]
        right = 0
        for example in sample:
            generated = generate(model, read_text(model, example.source))
            words = generated.written.tokens[: -1 if generated.ended else None]
            right += words == example.target
        assert right / len(sample) == pytest.approx(figures["sample_exact"], abs=0.0051)
        assert right / len(sample) >= 0.98

    def test_alignment(self, sample):
        model, figures = load_model("phrases"), card("phrases")["figures"]
        place = {word: id for id, word in enumerate(model.target_tokenizer.entries)}
        hits = []
        for example in sample:
            source = read_text(model, example.source)
            target = [model.target_tokenizer.begin, *(place[word] for word in example.target)]
            _, weights = forward(
                model, Input(ids=np.array(source.ids)), Input(ids=np.array(target))
            )
            looked = weights["decoder.1.cross"][0].argmax(-1)
            hits += [looked[i] in origin for i, origin in enumerate(example.alignment) if origin]
        assert np.mean(hits) == pytest.approx(figures["sample_alignment"], abs=0.001)
        assert np.mean(hits) >= 0.95

    @pytest.mark.parametrize(
        ("source", "target"),
        [
            ("早上好！", "Good morning!"),
            ("我看见了一把锯子", "I saw a saw"),
            ("我看见了一把锯子。", "I saw a saw."),
            ("你好！", "Hello!"),
            ("好", "Good"),
            ("好！", "Good!"),
        ],
    )
    def test_one_character_by_its_neighbours(self, source, target):
        model = load_model("phrases")
        generated = generate(model, read_text(model, source))
        assert model.target_tokenizer.join(generated.written.ids) == target


class TestTaggers:
    """Held-out examples of WordNet; `null` where no rule gives a word's tag."""

    @pytest.fixture
    def examples(self):
        return json.loads(gzip.decompress((HELD_OUT / "tagger-heldout.json.gz").read_bytes()))

    @pytest.mark.parametrize("name", ["tagger", "tagger-window", "tagger-word"])
    def test_held_out_accuracy(self, name, examples):
        model, figures = load_model(name), card(name)["figures"]
        right, n, ambiguous, n_ambiguous = 0, 0, 0, 0
        words = set(examples["ambiguous"])
        for example in examples["examples"]:
            tokens = model.tokenizer.encode(" ".join(example["words"]))
            own = [i for i in range(len(tokens)) if i not in tokens.special]
            assert [tokens.tokens[i] for i in own] == example["words"]
            logits = forward(model, as_input(model, tokens))[0][own]
            for word, gold, row in zip(example["words"], example["tags"], logits, strict=True):
                if gold is None:
                    continue
                hit = model.labels[row.argmax()] == gold
                right, n = right + hit, n + 1
                if word.lower() in words and gold in ("NOUN", "VERB"):
                    ambiguous, n_ambiguous = ambiguous + hit, n_ambiguous + 1
        assert right / n == pytest.approx(figures["sample_accuracy"], abs=2e-4)
        assert ambiguous / n_ambiguous == pytest.approx(
            figures["sample_accuracy_ambiguous"], abs=2e-3
        )

    def test_attention_beats_the_window_and_the_window_the_word(self):
        """On the mean of three seeds: on one, a few hundred ambiguous words do not tell."""
        found = [card(name)["figures"] for name in ("tagger", "tagger-window", "tagger-word")]
        for figure in ("accuracy", "accuracy_noun_or_verb", "accuracy_ambiguous"):
            names = (figure, f"{figure}_seed_1", f"{figure}_seed_2")
            attention, window, word = (
                sum(figures[name] for name in names) / 3 for figures in found
            )
            assert attention > window > word

    def test_the_two_saws(self):
        tags = {
            name: run("I saw a saw", model=name).streams["source"].tags
            for name in ("tagger", "tagger-word")
        }
        assert tags["tagger"] == ("", "PRON", "VERB", "DET", "NOUN", "")
        assert tags["tagger-word"][1] == tags["tagger-word"][3]
