"""A text or an image is read once and planned once, whichever command or function asks for it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import attnviz
from attnviz.cli import run_cli
from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.models.run import inputs, memory, prepare
from attnviz.models.run.forward import forward
from attnviz.models.run.generate import generate
from attnviz.nn.masks import parse
from attnviz.trace.selection import parse_selection

DIGIT = str(Path(__file__).parents[3] / "samples" / "digits" / "3.png")
PHRASE = "早上好！"


@pytest.fixture
def counts(monkeypatch):
    """How often a tokenizer encodes, an image is read, and a run is planned."""
    counts = Counter()

    def count(module, name):
        function = getattr(module, name)

        def counted(*arguments, **options):
            counts[name] += 1
            return function(*arguments, **options)

        for user in (module, prepare):
            if hasattr(user, name):
                monkeypatch.setattr(user, name, counted)

    count(inputs, "_read_tokens")
    count(inputs, "read_image")
    count(memory, "plan_run")
    return counts


ONCE = {
    ("run", "I saw a saw"): "_read_tokens",
    ("run", "I saw a saw", "--mask-effect", "--mask", "causal"): "_read_tokens",
    ("heads", "I saw a saw"): "_read_tokens",
    ("heads", DIGIT, "-m", "digits"): "read_image",
    ("flow", "I saw a saw"): "_read_tokens",
    ("flow", "I saw a saw", "--method", "contributions"): "_read_tokens",
    ("flow", DIGIT, "-m", "digits"): "read_image",
    ("image", DIGIT, "--no-saliency"): "read_image",
    ("decode", "abcab", "-m", "induction"): "_read_tokens",
    ("explain", "I saw a saw", "--cell", "3,1"): "_read_tokens",
    ("compare", "causal", "none", "--text", "I saw a saw"): "_read_tokens",
    ("diff", "I saw a saw", "--with", "mask=causal"): "_read_tokens",
    ("ablate", "I saw a saw"): "_read_tokens",
    ("encode", "tokens", "I saw a saw"): "_read_tokens",
}


@pytest.mark.parametrize("arguments", ONCE, ids=" ".join)
def test_a_command_reads_and_plans_once(arguments, counts, capsys):
    assert run_cli(list(arguments)) == 0
    n = 2 if arguments[0] == "diff" else 1  # two sides
    assert counts == {ONCE[arguments]: n, "plan_run": n}


def test_decoding_reads_its_source_and_its_first_token(counts, capsys):
    assert run_cli(["decode", PHRASE]) == 0
    assert counts == {"_read_tokens": 2, "plan_run": 1}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"text": "I saw"}, {"_read_tokens": 1}),
        ({"text": [2, 3, 4]}, {"_read_tokens": 1}),
        ({"image": DIGIT, "model": "digits"}, {"read_image": 1}),
        ({"text": PHRASE, "target": "I", "model": "phrases"}, {"_read_tokens": 2}),
        ({"text": PHRASE, "model": "phrases"}, {"_read_tokens": 2}),
    ],
    ids=["text", "ids", "image", "target", "written target"],
)
def test_run_reads_each_stream_and_plans_once(options, expected, counts):
    attnviz.run(**options)
    assert counts == {**expected, "plan_run": 1}


def test_what_is_prepared_can_be_run_again():
    prepared = prepare.prepare(load_model("tagger"), "I saw", stages=("weights", "q"))
    first, second = forward(prepared), forward(prepared, logits=True)
    assert (first["encoder.1.self"].q == second["encoder.1.self"].q).all()
    assert first.logits is None
    assert second.logits is not None


@pytest.mark.parametrize("options", [{"text": "I saw a saw"}, {"image": DIGIT}], ids=str)
def test_a_text_and_an_image_obey_one_rule(options):
    """The output is kept if it is asked for; a mask hides; only what is selected is kept."""
    model = load_model("digits" if "image" in options else "tagger")
    assert attnviz.run(**options, model=model).logits is None
    trace = attnviz.run(
        **options, model=model, logits=True, mask=parse("causal"), select=parse_selection(["L1"])
    )
    assert trace.logits is not None
    assert [record.id for record in trace] == ["encoder.1.self"]
    assert (np.triu(trace.records[0].weights[0], 1) == 0).all()
    n_token = len(trace.streams["source"])
    by_array = attnviz.run(**options, model=model, mask=np.tri(n_token, dtype=bool))
    assert (by_array["encoder.1.self"].weights == trace.records[0].weights).all()


@pytest.mark.parametrize("options", [{"text": "I saw a saw"}, {"image": DIGIT}], ids=str)
def test_both_are_refused_where_memory_lacks(options, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 100)
    with pytest.raises(AttnvizError, match="of memory"):
        attnviz.run(**options, model="digits" if "image" in options else "tagger")


def test_the_written_target_is_planned_for_the_longest():
    model = load_model("phrases")
    prepared = prepare.prepare(model, PHRASE)
    source = prepared.streams["source"]
    assert prepared.streams["target"].ids == generate(model, source).read.ids
    assert prepare.WRITTEN_NOTE in prepared.notes
    streams = prepared.streams
    assert prepared.plan.n_byte >= memory.plan_run(model, streams, ("weights",)).n_byte
