"""Lessons' inputs as files."""

from __future__ import annotations

import pytest

from attnviz.errors import AttnvizError
from attnviz.lessons import read_input


def test_numbers_words_and_lists(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('lesson = "masks"\nn = 6\nscale = 0.5\ntext = "一, two"\nlengths = [3, 2]\n')
    options = {"n": "6", "scale": "0.5", "text": "一, two", "lengths": "3,2"}
    assert read_input(path) == ("masks", options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("n = 4", "does not say which lesson"),
        ("lesson = 4", "does not say which lesson"),
        ("lesson = ", "is not a TOML file"),
        ('lesson = "masks"\nn = {a = 1}', "n: expected a word"),
        ('lesson = "masks"\nn = [0.5]', "n: expected a word"),
        ('lesson = "masks"\nn = []', "n: expected a word"),
        ('lesson = "masks"\nn = 1979-05-27', "n: expected a word"),
    ],
)
def test_what_is_not_an_input(tmp_path, content, message):
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(AttnvizError, match=message) as caught:
        read_input(path)
    assert str(path) in caught.value.message


def test_no_file(tmp_path):
    with pytest.raises(AttnvizError, match=r"cannot read .*mine\.toml: No such file"):
        read_input(tmp_path / "mine.toml")
