"""`attnviz ablate`: what is lost without some heads."""

from __future__ import annotations

import json

import numpy as np
import pytest

from attnviz.analysis import trials
from attnviz.models import load_model
from attnviz.models.run.inputs import as_input, read_text
from tests.conftest import HERE

IMAGE = HERE.parent / "samples" / "digits" / "3.png"

CONTINUED = "abcdefghabcdefgh"


def found(call, *arguments):
    done = call("ablate", *arguments, "--json")
    assert done.code == 0, done.err
    content = json.loads(done.out)
    arrays = {name: np.array(array) for name, array in content["arrays"].items()}
    return content, arrays


def effect(content, array, name):
    return array[..., content["effects"].index(name)]


def test_the_previous_token_head_carries_the_continuation(call):
    """As the docstring of the command says."""
    content, arrays = found(call, CONTINUED, "-m", "induction")
    assert content["ranking"][0] == "decoder.0.self.H2"
    assert content["prunings"][0]["order"] == content["ranking"][::-1]
    place = content["heads"].index("decoder.0.self.H2")
    assert arrays["shares"][place] > 0.6
    probability = effect(content, arrays["without"], "probability")
    assert effect(content, np.array(content["intact"]), "probability") > 0.99
    assert probability[place] < 0.01
    assert min(np.delete(probability, place)) > 0.9


def test_its_accuracy_on_texts_that_repeat(call, tmp_path, generator):
    """Of the card: .0313 without the head, on other texts and with the first repetition too."""
    letters = np.array(list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    blocks = ["".join(generator.permutation(letters)[:13]) for _ in range(20)]
    lines = [f"{block}{block[0]}\t{block[1:]}{block}" for block in blocks]
    (tmp_path / "texts.tsv").write_text("\n".join(lines))
    content, arrays = found(
        call, "--data", "texts.tsv", "-m", "induction", "--trials", "one", "--effect", "accuracy"
    )
    assert content["intact"][0] > 0.99
    assert content["ranking"][0] == "decoder.0.self.H2"
    assert arrays["without"][content["heads"].index("decoder.0.self.H2"), 0] < 0.1


def test_the_verb_saw_hangs_on_a_head_of_layer_1(call):
    content, arrays = found(call, "I saw", "-m", "tagger", "--trials", "one")
    assert content["ranking"][0] == "encoder.1.self.H2"
    assert arrays["shares"][content["heads"].index("encoder.1.self.H2")] > 0.9


def test_held_out_tags(call, tmp_path):
    lines = [
        {"text": "I saw a saw", "tags": ["PRON", "VERB", "DET", "NOUN"]},
        {"words": ["They", "saw", "it"], "tags": ["PRON", "VERB", None]},
    ]
    (tmp_path / "tags.jsonl").write_text("\n".join(map(json.dumps, lines)))
    content, arrays = found(call, "--data", "tags.jsonl", "--by", "importance")
    assert content["effects"] == ["kl", "changed", "accuracy"]
    assert content["intact"] == [0, 0, 1]
    order = [content["heads"][i] for i in np.argsort(-arrays["importance"], kind="stable")]
    assert content["ranking"] == order
    names = [pruning["name"] for pruning in content["prunings"]]
    assert names == ["by effect", "by importance", "random order"]
    assert content["prunings"][1]["order"] == order[::-1]


@pytest.mark.parametrize("kind", ["zero", "mean", "uniform"])
def test_prunings_go_from_the_whole_model_to_none_of_it(call, kind):
    content, arrays = found(call, CONTINUED, "-m", "induction", "--kind", kind)
    ends = [arrays[f"prunings/{i}/values"][[0, -1]] for i in range(2)]
    assert ends[0] == pytest.approx(ends[1])
    assert ends[0][0] == pytest.approx(content["intact"])
    for number, pruning in enumerate(content["prunings"]):
        single = arrays["without"][content["heads"].index(pruning["order"][0])]
        assert arrays[f"prunings/{number}/values"][1] == pytest.approx(single)
    other, _ = found(call, CONTINUED, "-m", "induction", "--kind", kind, "--seed", "3")
    assert other["prunings"][0] == content["prunings"][0]
    assert other["prunings"][1]["order"] != content["prunings"][1]["order"]


def test_a_head_alone_is_all_others_out(call):
    """With two heads an attention, alone is without the other."""
    _, arrays = found(call, "I saw a saw", "-m", "random:heads=2,layers=2", "--trials", "one,alone")
    swapped = arrays["without"].reshape(2, 2, -1)[:, ::-1].reshape(4, -1)
    np.testing.assert_allclose(arrays["alone"], swapped, atol=1e-12)


def test_the_mean_of_a_reference(call, tmp_path):
    (tmp_path / "others.txt").write_text("We sing.\n\nShe has a new saw.\n")
    own, other = (
        found(call, "I saw a saw", "--kind", "mean", "--trials", "one", *more)[1]["without"]
        for more in ((), ("--reference", "others.txt"))
    )
    assert abs(own - other).max() > 1e-6
    done = call("ablate", "I saw", "--kind", "mean", "--reference", "others.txt")
    assert "over all positions of the 2 texts of others.txt" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("arguments", "effects"),
    [
        (("我看见了一把锯子", "-m", "phrases"), ["kl", "changed", "accuracy", "exact"]),
        (("我看见了", "-m", "phrases", "--target", "I"), ["kl", "changed", "accuracy"]),
        ((IMAGE, "-m", "digits"), ["kl", "changed", "probability"]),
        (("I saw a saw", "-m", "random"), ["distance", "turn"]),
        (("I saw", "-m", "random:kind=encoder-decoder"), ["distance", "turn"]),
        (("--ids", "2,3,4,3,2", "-m", "induction", "--token", "q"), ["kl", "changed", "accuracy"]),
    ],
    ids=["writes", "goes on", "classifies", "no output", "no output, two stacks", "ids"],
)
def test_every_kind_of_model(call, arguments, effects):
    content, arrays = found(call, *arguments)
    assert content["effects"][: len(effects)] == effects
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert content["effects"][0] in ("kl", "distance")
    assert arrays["without"][:, 0].min() >= 0
    assert arrays["without"][:, 0].max() > 0


@pytest.mark.parametrize(("token", "low", "high"), [("a", 0.99, 1), ("q", 0, 0.01)])
def test_the_probability_of_a_token(call, token, low, high):
    content, _ = found(call, CONTINUED, "-m", "induction", "--token", token, "--trials", "one")
    assert low <= effect(content, np.array(content["intact"]), "probability") <= high


def test_a_selection(call):
    content, arrays = found(call, CONTINUED, "-m", "induction", "-s", "L0.H2", "-s", "L1.H1,H3")
    assert content["heads"] == ["decoder.0.self.H2", "decoder.1.self.H1", "decoder.1.self.H3"]
    assert len(arrays["prunings/0/counts"]) == 4
    whole, everything = found(call, CONTINUED, "-m", "induction")
    places = [whole["heads"].index(head) for head in content["heads"]]
    np.testing.assert_array_equal(arrays["without"], everything["without"][places])


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_screen(call, width):
    done = call("ablate", CONTINUED, "-m", "induction", "--width", width)
    assert (done.code, done.err) == (0, "")
    assert max(map(len, done.out.splitlines())) <= width
    for said in ("zero ablation", "kl: harm without each head", "L0.H2", "random order"):
        assert said in done.out


def test_files_twice_the_same(call, tmp_path):
    for name in ("a.png", "a.svg", "a.md", "a.csv", "a.npz", "a.json"):
        written = []
        for _ in range(2):
            assert call("ablate", CONTINUED, "-m", "induction", "-o", name).code == 0
            written.append((tmp_path / name).read_bytes())
        assert len(written[0]) > 500
        assert written[0] == written[1]


def test_long_work_is_announced(call, monkeypatch):
    monkeypatch.setattr(trials, "LONG_WORK", 0.0)
    done = call("ablate", "I saw", "--trials", "one", "-s", "L0")
    assert done.err.startswith("5 passes: this will take about ")


def test_bad_input(call, tmp_path):
    (tmp_path / "t.npz").write_bytes(b"")
    (tmp_path / "bad.jsonl").write_text('{"text": "I saw"}\n')
    (tmp_path / "null.jsonl").write_text(
        '{"text": "I saw", "tags": ["PRON", null]}\n{"text": "I", "tags": [null]}\n'
    )
    for arguments, message in (
        ((), "there is no text"),
        (("I", "--kind", "zeros"), "unknown value 'zeros'"),
        (("I", "--by", "magic"), "unknown value 'magic'"),
        (("I", "--trials", "two"), "unknown value 'two'"),
        (("I", "--effect", "exact"), "'exact' cannot be measured here"),
        (("I", "--token", "VREB"), "no output 'VREB'"),
        (("I", "--reference", "bad.jsonl"), "--reference is for --kind mean"),
        (("I", "-s", "L7"), "no such layer"),
        (("I", "-m", "tagger-word"), "has no attention"),
        (("I", "--top", "-1"), "--top: expected a number from 0, got -1"),
        (("I", "--seed", "-2"), "--seed: expected a number from 0, got -2"),
        (("--data", "null.jsonl"), "null.jsonl, line 2: no tag is known"),
        (("I", "--data", "bad.jsonl"), "--data holds the texts"),
        (("--data", "bad.jsonl"), "bad.jsonl, line 1: expected an object"),
        (("--data", "none.jsonl"), "No such file"),
        (("t.npz",), "heads can only be taken out of a model that runs"),
        (("I", "--target", "x"), "does not read a target"),
        (("--ids", "1,2", "-m", "digits"), "reads images, not ids"),
    ):
        done = call("ablate", *arguments)
        assert done.code == 2, arguments
        assert message in done.err
        assert done.err.count("\n") == 2


def test_the_process(cli):
    done = cli("ablate", CONTINUED, "-m", "induction")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "L0.H2" in done.stdout.decode()
    done = cli("ablate", "-", "--trials", "one", stdin=b"I saw a saw")
    assert done.returncode == 0
    assert b"saw/VERB" in done.stdout
    done = cli("ablate", CONTINUED, "-m", "induction", NO_COLOR="1", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()


def test_importance_is_the_slope_of_the_models_own_loss(call):
    """Against a model whose output projection is scaled by hand, with another step."""
    content, arrays = found(call, "I saw a saw", "--by", "importance", "--trials", "one")
    model = load_model("tagger", {"dtype": "float64"})
    tokens = as_input(model, read_text(model, "I saw a saw"))
    answers = model.transformer(tokens, logits=True).logits[1:-1].argmax(-1)

    def loss(number, factor):
        sites = iter(model.transformer.sites())

        def scaled(stack, attention):
            weight = np.array(attention.output.weight)
            if next(sites).id == "encoder.1.self":
                d_v = weight.shape[1] // attention.n_head
                weight[:, number * d_v : (number + 1) * d_v] *= factor
            return attention._replace(output=attention.output._replace(weight=weight))

        changed = model.transformer.change_attention(scaled)
        logits = changed(tokens, logits=True).logits[1:-1]
        chosen = logits[np.arange(len(answers)), answers]
        return float((np.log(np.exp(logits).sum(-1)) - chosen).mean())

    for number in range(4):
        slope = (loss(number, 1.001) - loss(number, 0.999)) / 0.002
        place = content["heads"].index(f"encoder.1.self.H{number}")
        assert arrays["importance"][place] == pytest.approx(abs(slope), rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "watched"),
    [
        ((CONTINUED, "-m", "induction"), "a"),
        ((CONTINUED, "-m", "induction", "--token", "z"), "z"),
        (("I saw a saw", "--token", "NOUN"), "NOUN"),
        (("I saw a saw",), None),
    ],
)
def test_what_is_watched_is_named(call, arguments, watched):
    out = call("ablate", *arguments, "--trials", "one").out
    lines = [line.strip() for line in out.splitlines() if "the watched output is" in line]
    assert lines == ([] if watched is None else [f"the watched output is {watched}"])


def test_nothing_is_right_after_one_token(call):
    done = call("ablate", "--ids", "5", "-m", "induction", "--trials", "one")
    assert "watched: the next token" in done.out
    assert "right" not in done.out
