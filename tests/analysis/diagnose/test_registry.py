"""What holds for every known mistake."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import numpy as np
import pytest

from attnviz.analysis.diagnose.computation import Computation, compute
from attnviz.analysis.diagnose.registry import MISTAKES, MistakeEntry, Variant
from tests.analysis.diagnose.examples import EXAMPLES

NAMES = sorted(MISTAKES)
FIELD = re.compile(r"\{(\w+)[^}]*\}")
THREAD = re.compile(r"[\w.-]+/[\w.-]+#\d+")
MOST_THREADS = 6
TOLD_APART = ("scale", "softmax", "dropout", "precision")
"""Families whose parameters say all of a variant."""
ROWS = np.array([1, 4])


def everywhere(entry: MistakeEntry) -> Iterator[tuple[str, Computation, Variant]]:
    """All variants on all examples."""
    for name, example in EXAMPLES.items():
        c = example()
        for variant in entry.variants(c):
            yield name, c, variant


def assert_same(a: np.ndarray, b: np.ndarray, where: str) -> None:
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-11, equal_nan=True, err_msg=where)


@pytest.mark.parametrize("name", NAMES)
def test_rows_alone_give_what_all_rows_give(name: str) -> None:
    for example, _, variant in everywhere(MISTAKES[name]):
        c = variant.computation
        if c.mixes_rows:
            continue
        where = f"{name} {dict(variant.parameter)} on {example}"
        whole, part = compute(c), compute(c.at(ROWS))
        assert part.context.shape[2] == len(ROWS), where
        assert_same(part.context, whole.context[:, :, ROWS], where)
        assert_same(part.weights, whole.weights[:, :, ROWS], where)


@pytest.mark.parametrize("name", [n for n in NAMES if MISTAKES[n].detect == "equal"])
def test_what_is_no_mistake_gives_the_same(name: str) -> None:
    seen = 0
    for example, c, variant in everywhere(MISTAKES[name]):
        where = f"{name} {dict(variant.parameter)} on {example}"
        wanted = compute(c).context
        size = np.abs(wanted).max()
        got = compute(variant.computation).context
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-12 * size, err_msg=where)
        seen += 1
    assert seen or MISTAKES[name].id not in ("S0",), "tried on no example"


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_knows_itself(name: str) -> None:
    entry = MISTAKES[name]
    assert re.fullmatch(r"[A-Z]\d+", entry.id)
    assert re.fullmatch(r"[a-z][a-z0-9_]+", name)
    assert entry.title
    assert not entry.title.endswith(".")
    assert entry.summary
    assert 1 <= entry.rarity <= 9
    assert len(entry.threads) <= MOST_THREADS
    assert len(set(entry.threads)) == len(entry.threads)
    assert all(THREAD.fullmatch(thread) for thread in entry.threads)
    assert entry.computed
    assert entry.wanted
    assert "\n" not in entry.fix
    if entry.detect != "equal":
        assert entry.fix


@pytest.mark.parametrize("name", NAMES)
def test_every_field_of_a_text_is_filled(name: str) -> None:
    entry = MISTAKES[name]
    texts = (entry.title, entry.computed, entry.wanted, entry.fix)
    for example, _, variant in everywhere(entry):
        for text in texts:
            missing = set(FIELD.findall(text)) - set(variant.parameter)
            assert not missing, f"{name} on {example}: {text}"
            if FIELD.search(text):
                text.format(**variant.parameter)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_json_and_tell_variants_apart(name: str) -> None:
    entry = MISTAKES[name]
    for example, make in EXAMPLES.items():
        made = list(entry.variants(make()))
        found = [(json.dumps(v.parameter, sort_keys=True, allow_nan=False), v.words) for v in made]
        if entry.family in TOLD_APART:
            assert len(set(found)) == len(found), f"{name} on {example}"
