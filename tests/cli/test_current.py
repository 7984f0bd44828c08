"""Hints name the command that was called."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("run",), 'attnviz run "I saw a saw"'),
        (("heads",), 'attnviz heads "I saw a saw"'),
        (("decode",), 'attnviz decode "早上好！" -m phrases'),
        (("encode", "tokens"), 'attnviz encode tokens "I saw a saw"'),
        (("heads", "hi", "--ids", "1"), "attnviz heads --ids 1,2,3"),
        (("scan",), "attnviz scan corpus.txt -m tagger -o stats.npz"),
    ],
)
def test_a_hint_names_the_command(call, arguments, hint):
    done = call(*arguments)
    assert (done.code, done.err.splitlines()[1]) == (2, f"hint: {hint}")
