"""Lines become texts, windows and batches; no token is lost."""

from __future__ import annotations

import pytest

from attnviz import load_model
from attnviz.errors import AttnvizError
from attnviz.scan.texts import Text, batch_inputs, batches, read_line, windows
from attnviz.tokens import Tokens


def test_several_texts_go_through_at_once(generator):
    model = load_model("tagger")
    texts = [text for line in ["I saw a saw"] * 13 for text in read_line(model, line, 512)]
    assert [len(batch) for batch in batches(texts, 6 * 6 * 5)] == [5, 5, 3]
    assert [len(batch) for batch in batches(texts, 0)] == [1] * 13


def tokens(n, begin=1, end=1):
    names = [f"t{i}" for i in range(n)]
    special = (*range(begin), *range(n - end, n))
    return Tokens.of(names, range(100, 100 + n), special=special, unknown=(2,))


@pytest.mark.parametrize(("begin", "end"), [(1, 1), (1, 0), (0, 0), (0, 1)])
def test_windows_hold_every_token_once(begin, end):
    whole = tokens(23, begin, end)
    parts = windows(whole, 7)
    inner = [id for part in parts for place, id in enumerate(part.ids) if place not in part.special]
    assert inner == [id for place, id in enumerate(whole.ids) if place not in whole.special]
    assert max(map(len, parts)) == 7
    for part in parts:
        assert part.ids[:begin] == whole.ids[:begin]
        assert part.ids[len(part) - end :] == whole.ids[23 - end :]
        assert [part.tokens[place] for place in part.unknown] == ["t2"] * ("t2" in part.tokens)
    assert windows(whole, 23) == [whole]


def test_faults():
    with pytest.raises(AttnvizError, match="2 tokens stand around"):
        windows(tokens(23), 2)
    phrases = load_model("phrases")
    with pytest.raises(AttnvizError, match="reads SOURCE<TAB>TARGET, got 'good'"):
        read_line(phrases, "good", 41)
    with pytest.raises(AttnvizError, match="a pair is not cut"):
        read_line(phrases, "good\t早上好", 3)
    assert isinstance(read_line(phrases, "good\t早上好", 41)[0], Text)


def test_texts_of_one_length_are_read_together():
    """Every text once, and only with others of its lengths."""
    model = load_model("tagger")
    lines = ["I saw", "a saw and a house", "the saw", "I saw a saw and a house", "a"]
    texts = [text for line in lines for text in read_line(model, line, 512)]
    together = list(batches(texts, 10**6))
    assert sorted(id(text) for batch in together for text in batch) == sorted(map(id, texts))
    assert [len(batch) for batch in together] == [1, 2, 1, 1]
    for batch in together:
        assert len({text.lengths for text in batch}) == 1
        ids = batch_inputs(model, batch)["source"].ids
        assert ids.tolist() == [list(text.streams["source"].ids) for text in batch]
