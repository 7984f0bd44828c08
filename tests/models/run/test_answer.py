"""What a model makes of a text, out of its logits."""

from __future__ import annotations

import json

import numpy as np
import pytest

import attnviz
from attnviz.models.run.answer import LONGEST_SPAN
from tests.models.build.families import checkpoints, goldens

IDS = [7, 9, 21, 33, 12, 40, 2]


def classifier(folder, **changes):
    """A classifier of three labels, whose config says other things."""
    config, tensors = checkpoints.read(goldens.FAMILIES / "gpt2-classifier")
    return checkpoints.write(folder, config | changes, tensors)


def test_one_of_several_labels(tmp_path):
    names = {"0": "bad", "1": "so [red]so", "2": "good"}
    trace = attnviz.run(IDS, model=classifier(tmp_path / "c", id2label=names), logits=True)
    shares = np.exp(trace.logits[0].astype(float))
    shares /= shares.sum()
    answer = trace.answer
    assert [each.text for each in answer.options] == [
        names[str(i)] for i in np.argsort(-shares, kind="stable")
    ]
    np.testing.assert_allclose([each.probability for each in answer.options], -np.sort(-shares))
    assert answer.task == "classify"
    assert not answer.several
    assert trace.model.outputs == tuple(names.values())


def test_any_number_of_labels(tmp_path):
    folder = classifier(tmp_path / "c", problem_type="multi_label_classification")
    trace = attnviz.run(IDS, model=folder, logits=True)
    shares = 1 / (1 + np.exp(-trace.logits[0].astype(float)))
    assert trace.answer.several
    assert trace.answer.best.text == f"LABEL_{shares.argmax()}"
    np.testing.assert_allclose(trace.answer.best.probability, shares.max())


def test_numbers_are_no_probabilities(tmp_path):
    trace = attnviz.run(
        IDS, model=classifier(tmp_path / "c", problem_type="regression"), logits=True
    )
    options = trace.answer.options
    assert [each.value for each in options] == trace.logits[0].tolist()
    assert {each.probability for each in options} == {None}


def test_labels_of_tokens():
    trace = attnviz.run("I saw a saw")
    answers = {each.positions: each.text for each in trace.answer.options}
    assert answers == {(1,): "PRON", (2,): "VERB", (3,): "DET", (4,): "NOUN"}
    assert all(0.25 < each.probability <= 1 for each in trace.answer.options)


def test_the_next_token_is_that_of_all_logits():
    model = str(goldens.FAMILIES / "llama")
    trace = attnviz.run(IDS, model=model, logits=True)
    row = trace.logits[-1].astype(float)
    shares = np.exp(row) / np.exp(row).sum()
    best = np.argsort(-shares, kind="stable")[:5]
    assert [each.text for each in trace.answer.options] == [f"#{id}" for id in best]
    np.testing.assert_allclose([each.probability for each in trace.answer.options], shares[best])
    assert trace.answer.best.positions == (len(IDS) - 1,)
    alone = attnviz.run(IDS, model=model)
    assert alone.logits is None
    assert [each.text for each in alone.answer.options] == [f"#{id}" for id in best]


def question_answering(folder, reads_segments=True):
    """A BERT that answers questions, with a vocabulary."""
    head = json.loads((goldens.FAMILIES / "heads.json").read_text())["BertForQuestionAnswering"]
    checkpoints.of_class(folder, "BertForQuestionAnswering", head)
    n = json.loads((folder / "config.json").read_text())["vocab_size"]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{i}" for i in range(n - 5))]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return folder


def test_a_span_of_the_second_text(tmp_path):
    """By two loops over all starts and ends."""
    text, pair = "word1 word2 word3", " ".join(f"word{i}" for i in range(20, 40))
    trace = attnviz.run(text, pair=pair, model=question_answering(tmp_path / "qa"), logits=True)
    source = trace.streams["source"]
    assert len(source) == 26
    may = [i for i in range(26) if source.segments[i] == 1 and i != 25]
    start, end = (
        {i: np.exp(float(x[i])) / sum(np.exp(float(x[j])) for j in (0, *may)) for i in (0, *may)}
        for x in trace.logits.T
    )
    spans = {(i, j): start[i] * end[j] for i in may for j in may if i <= j and j - i < LONGEST_SPAN}
    found = {
        (each.positions[0], each.positions[-1]): each.probability
        for each in trace.answer.options
        if each.text
    }
    best = sorted(spans, key=lambda span: -spans[span])[: len(found)]
    assert [*found] == best
    np.testing.assert_allclose([*found.values()], [spans[span] for span in best])
    first, last = best[0]
    by_span = {(each.positions[0], each.positions[-1]): each for each in trace.answer.options}
    assert by_span[best[0]].text == " ".join(source.tokens[first : last + 1])
    none = [each.probability for each in trace.answer.options if not each.text]
    np.testing.assert_allclose(none, [start[0] * end[0]][: len(none)])


def test_a_text_without_its_end_has_no_answer():
    trace = attnviz.run([7, 9, 21], model=str(goldens.FAMILIES / "bart-classifier"), logits=True)
    assert trace.answer is None
    assert trace.logits.shape == (0, 3)
    assert any("the token that ends a text" in note for note in trace.model.notes)


@pytest.mark.parametrize("model", ["random", "random:kind=decoder", "random:kind=encoder-decoder"])
def test_random_weights_answer_nothing(model):
    assert attnviz.run("I saw a saw", model=model).answer is None


def test_what_a_model_wrote_itself_is_not_continued():
    assert attnviz.run("早上好！", model="phrases").answer is None
    continued = attnviz.run("早上好！", target="good", model="phrases").answer
    assert continued.task == "continue"
