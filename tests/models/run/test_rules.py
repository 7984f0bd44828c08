"""Rules of decoding: what tiny checkpoints write by them, as transformers' greedy search does."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.models.generation import make_generation
from attnviz.models.run.generate import generate
from attnviz.models.run.inputs import read_text
from attnviz.models.run.prepare import prepare
from attnviz.models.run.rules import RULES, SoFar, apply_rules

GOLDEN = Path(__file__).parents[2] / "golden"
EXPECTED = json.loads((GOLDEN / "generation" / "generation.json").read_text())
CASES = {f"{c['model']}-{c['rules']}-{c['in'].partition('.')[0]}": c for c in EXPECTED["cases"]}

SPEC = importlib.util.spec_from_file_location("made", GOLDEN / "generation" / "make_generation.py")
MADE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MADE)


@pytest.fixture
def folder(tmp_path):
    def make(model, settings, where="generation_config.json"):
        made = tmp_path / model
        shutil.copytree(GOLDEN / "families" / model, made)
        MADE.write(made, settings, where)
        return made

    return make


@pytest.mark.parametrize("name", CASES)
def test_as_transformers(name, folder):
    case = CASES[name]
    settings = EXPECTED["rules"][case["rules"]]
    model = load_model(folder(case["model"], settings, case["in"]))
    source = read_text(model, EXPECTED["prompt"])
    count = None if {"max_new_tokens", "max_length"} & settings.keys() else 13
    assert list(generate(model, source, max_tokens=count).written.ids) == case["ids"]


def test_every_rule_has_a_case():
    assert set(RULES) == {r for s in EXPECTED["rules"].values() for r in s if r in RULES}


def test_without_rules_and_without_cache(folder):
    model = load_model(folder("llama", EXPECTED["rules"]["all"]))
    source = read_text(model, EXPECTED["prompt"])
    plain = generate(model, source, max_tokens=13, rules=False)
    assert list(plain.written.ids) == CASES["llama-plain-generation_config"]["ids"]
    assert (plain.rules, plain.most_probable) == ({}, None)
    ruled = generate(model, source, max_tokens=13, cache=None)
    assert list(ruled.written.ids) == CASES["llama-all-generation_config"]["ids"]
    assert ruled.rules == {k: v for k, v in EXPECTED["rules"]["all"].items() if k in RULES}


def test_a_step_says_what_a_rule_changed(folder):
    model = load_model(folder("bart", {"forced_bos_token_id": 17}))
    source = read_text(model, EXPECTED["prompt"])
    first, second, *_ = generate(model, source, max_tokens=3).steps
    own = generate(model, source, max_tokens=3, rules=False).steps[0]
    assert (first.id, first.instead_of) == (17, own.id)
    assert first.probability < own.probability  # the model's own, not 1
    assert second.instead_of is None


def test_a_run_says_that_rules_decided(folder):
    model = load_model(folder("bart", {"forced_bos_token_id": 17}))
    notes = prepare(model, EXPECTED["prompt"]).notes
    assert [str(note) for note in notes if "rules" in note] == [
        "rules in generation_config.json decided 1 of its 37 tokens: attnviz decode says which"
    ]


def test_no_more_than_at_most(folder):
    model = load_model(folder("llama", {"max_new_tokens": 11, "forced_eos_token_id": 2}))
    source = read_text(model, EXPECTED["prompt"])
    some = generate(model, source, at_most=5)
    assert (len(some.steps), some.ended) == (5, False)  # the last that there may be comes later
    all_ = generate(model, source)
    assert (len(all_.steps), all_.ended) == (11, True)


def test_ids_that_the_model_lacks(folder):
    model = load_model(folder("llama", {"forced_bos_token_id": 99, "suppress_tokens": [99]}))
    generate(model, read_text(model, EXPECTED["prompt"]), max_tokens=2)
    with pytest.raises(AttnvizError, match=r"generation_config\.json names a token"):
        generate(model, read_text(model, [7]), max_tokens=2)


@pytest.mark.parametrize(
    ("name", "value"),
    [("no_repeat_ngram_size", -1), ("no_repeat_ngram_size", "2"), ("repetition_penalty", 0),
     ("bad_words_ids", [3]), ("bad_words_ids", [[]]), ("forced_bos_token_id", "<s>"),
     ("forced_eos_token_id", []), ("suppress_tokens", 3), ("sequence_bias", [[3, 1.0]]),
     ("exponential_decay_length_penalty", [2]), ("max_length", 0), ("max_new_tokens", 2.5)],
)  # fmt: skip
def test_a_value_that_is_none(name, value, tmp_path):
    with pytest.raises(AttnvizError, match=f"{name} = .*, expected "):
        make_generation({name: value}, tmp_path / "generation_config.json")


def test_what_is_not_greedy_is_named(tmp_path):
    values = {"do_sample": True, "temperature": 0.6, "top_k": 50, "top_p": 0.95, "num_beams": 4,
              "guidance_scale": None, "stop_strings": ["a"], "penalty_alpha": 0.0,
              "early_stopping": True, "transformers_version": "5"}  # fmt: skip
    found = make_generation(values, tmp_path / "generation_config.json")
    assert found.asks == ("do_sample (temperature 0.6, top_p 0.95)", "num_beams 4", "stop_strings")
    assert found.rules == {}
    assert make_generation({"num_beams": 1, "do_sample": False}, tmp_path / "a").asks == ()


def test_a_text_shorter_than_an_ngram():
    logits = np.linspace(-1, 1, 7)
    so_far = SoFar(np.array([3]), 1, np.array([3, 4]), [2], 11)
    for name in ("no_repeat_ngram_size", "encoder_no_repeat_ngram_size"):
        assert np.array_equal(apply_rules({name: 3}, logits, so_far), logits)


def test_rules_leave_the_logits_as_they_are():
    logits = np.linspace(-1, 1, 43)
    before = logits.copy()
    so_far = SoFar(np.array([3, 5, 3]), 3, np.array([3, 4]), [2], 4)
    for settings in EXPECTED["rules"].values():
        for name in settings.keys() & set(RULES):
            changed = RULES[name](logits, so_far, settings[name])
            assert changed is not logits or name in (
                "min_new_tokens",
                "forced_bos_token_id",
                "exponential_decay_length_penalty",
                "encoder_no_repeat_ngram_size",
            )
    assert np.array_equal(logits, before)
