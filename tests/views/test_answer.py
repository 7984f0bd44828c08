"""The answer in the header."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import attnviz
from attnviz.trace.answer import Answer, Option
from attnviz.views.answer import answer_lines


def shown(answer):
    return [(line.term, line.text) for line in answer_lines(replace(TRACE, answer=answer))]


TRACE = attnviz.run("I saw a saw")


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (
            Answer("classify", (Option("good", 0.75), Option("bad", 0.2498), Option("so", 0.0002))),
            ("label", "good 0.750 · bad 0.250"),
        ),
        (
            Answer("classify", (Option("a", 0.75), Option("b", 0.5)), several=True),
            ("label", "a 0.750 · b 0.500 (each by itself)"),
        ),
        (
            Answer("classify", (Option("score", value=np.log(3)),)),
            ("label", "score 1.099 (0.750 by the logistic function)"),
        ),
        (
            Answer("classify", (Option("x", value=-2.5), Option("y", value=3.0))),
            ("label", "x -2.500 · y 3.000"),
        ),
        (
            Answer("span", (Option("in Paris", 0.5, positions=(3, 4)), Option("", 0.25))),
            ("answer", "in Paris 0.500 (at 3-4) · no answer 0.250"),
        ),
        (
            Answer("continue", (Option("d", 0.5), *(Option(f"{i}", 0.1) for i in range(5)))),
            ("next", "d 0.500 · 0 0.100 · 1 0.100 · 2 0.100 · 3 0.100 · and 1 more"),
        ),
        (Answer("embed", (Option("--pair", value=0.5),)), ("cosine", "--pair 0.500")),
        (
            Answer("embed", (Option("p", value=0.5), Option("q", value=-0.25))),
            ("nearest", "p 0.500 · q -0.250 (cosine)"),
        ),
    ],
)
def test_lines(answer, line):
    assert shown(answer) == [line]


def test_a_line_for_each_mask():
    options = [Option(f"w{i}", 0.5, positions=(i % 10,)) for i in range(20)]
    lines = shown(Answer("fill", tuple(sorted(options, key=lambda each: each.positions))))
    assert lines[0] == ("masked", "at 0 [BOS]: w0 0.500 · w10 0.500")
    assert lines[1] == ("", "at 1 I: w1 0.500 · w11 0.500")
    assert lines[7] == ("", "at 7: w7 0.500 · w17 0.500")  # a file may name any place
    assert lines[8] == ("", "and 2 more")


def test_tags_stand_at_their_tokens():
    assert TRACE.answer.task == "tag"
    assert shown(TRACE.answer) == shown(None) == []
