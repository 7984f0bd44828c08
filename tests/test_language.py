"""Other languages: nothing is missing, and nothing of it runs off the screen."""

from __future__ import annotations

import functools
import json
import pickle
import re
import string
from collections import Counter

import pytest
from babel.messages.mofile import read_mo
from rich.cells import cell_len

from attnviz import language
from attnviz.cli import run_cli
from attnviz.errors import AttnvizError
from attnviz.language import SOURCE, language_of, languages, say, speaking, to_say
from attnviz.lessons import LESSONS, question
from attnviz.lessons.kit.page import lesson_views, list_views
from attnviz.render.terminal import render
from attnviz.render.terminal.screen import Screen
from attnviz.views.kinds import Text, texts
from tests.catalogue import catalogues, messages, read, translations

CHINESE = "[\u4e00-\u9fff]"
ENGLISH = "[a-z]{2,}"
NAMES = r"[A-Z]\w+ (?:et al\.|and [A-Z]\w+) \(?\d{4}|`.*?`|\$ attnviz .*|attnviz \w+ \S+"
"""Papers, models, commands."""

# the field's words, each of which has one translation in all lessons
TERMS = {
    "quer(y|ies)": "查询",
    "keys?": "键",
    "values?": "值",
    "weights?": "权重",
    "scores?": "分数",
    "heads?": "头",
    "layers?": "层",
    "blocks?": "块",
    "attention": "注意力",
    "self-attention": "自注意力",
    "cross-attention": "交叉注意力",
    "dot product": "点积",
    "scaled dot product": "缩放点积",
    "feed-forward": "前馈网络",
    "encoder": "编码器",
    "decoders?": "解码器",
    "masks?": "掩码",
    "causal": "因果",
    "padding": "填充",
    "window": "窗口",
    "prefix": "前缀",
    "tokens?": "词元",
    "patch(es)?": "图像块",
    "positions?": "位置",
    "sinusoidal": "正弦",
    "embedding": "嵌入",
    "layer norm": "层归一化",
    "batch norm": "批量归一化",
    "kernels?": "核",
    "vectors?": "向量",
    "variances?": "方差",
    "entropy": "熵",
    "temperature": "温度",
    "cache": "缓存",
    "features?": "特征",
    "parameters?": "参数",
}

every = pytest.mark.parametrize("name", LESSONS)
each_file = pytest.mark.parametrize("path", catalogues(), ids=lambda path: path.parts[-3])


def fields(message):
    """`{n}` and `{off:.1e}`, each as often as it stands there."""
    parts = string.Formatter().parse(message)
    return Counter((name, spec, conversion) for _, name, spec, conversion in parts if name)


def without_fields(message):
    """And without names of records, which are words of no language."""
    return re.sub(r"\{.*?\}|(en|de)coder\.\d\.\w+", "", message)


@functools.cache
def chinese_page(name):
    """And the phrases that came as fields of messages: the reader's own text, names, and what
    other parts of the program say."""
    given = set()

    class Message(str):
        def format(self, **fields):
            given.update(value for value in map(str, fields.values()) if " " in value)
            return str(self).format(**fields)

    chinese = language._translator("zh")
    module = LESSONS[name]
    with speaking(lambda message: Message(chinese(message))):
        return lesson_views(module, module.lesson()), sorted(given)


def test_every_language_has_a_catalogue():
    assert [SOURCE, *(path.parts[-3] for path in catalogues())] == languages() == ["en", "zh"]


@each_file
def test_every_message_is_translated_and_none_is_obsolete(path):
    translated, current = translations(read(path)), messages()
    assert [message for message in current if not translated.get(message)] == []
    assert sorted(translated.keys() - current.keys()) == []


@each_file
def test_translations_have_the_fields_of_their_messages(path):
    for message, translation in translations(read(path)).items():
        assert fields(translation) == fields(message), message


@each_file
def test_what_gettext_reads_is_what_translators_wrote(path):
    with path.with_suffix(".mo").open("rb") as file:
        assert translations(read_mo(file)) == translations(read(path))
    assert not read(path).fuzzy


def chinese():
    (path,) = (path for path in catalogues() if path.parts[-3] == "zh")
    return translations(read(path)).items()


def test_chinese_is_chinese():
    for message, translation in chinese():
        if re.search(ENGLISH, without_fields(message)):
            assert re.search(CHINESE, translation), message


def test_chinese_terms_are_the_same_everywhere():
    for message, translation in chinese():
        for english, term in TERMS.items():
            if re.search(rf"\b{english}\b", without_fields(message), re.IGNORECASE):
                assert term in translation, (message, translation)


def test_chinese_sentences_have_chinese_punctuation():
    for _, translation in chinese():
        assert not re.search(rf"{CHINESE} ?[,;?!]|[,;?!] ?{CHINESE}", translation), translation


@every
def test_no_english_sentence_is_shown_in_chinese(name):
    views, given = chinese_page(name)
    for text in (text for view in views for text in texts(view)):
        for phrase in (*given, *re.findall(NAMES, text)):
            text = text.replace(phrase, "")
        assert not re.search(rf"\b{ENGLISH} {ENGLISH}\b", text), text
    assert all(
        re.search(CHINESE, line.text)
        for view in views
        if isinstance(view, Text)
        for line in view.lines
        if not line.text.startswith("$ attnviz ")
    )


@every
@pytest.mark.parametrize("width", [40, 80, 120])
def test_fits_the_screen(name, width):
    for line in render(chinese_page(name)[0], Screen(width)).decode().splitlines():
        assert cell_len(line) <= width, line
        assert not re.match(r" *[，。；：！？、）]", line), "a line begins with punctuation"


def test_the_list_of_lessons():
    with speaking("zh"):
        questions = {name: say(question(name)) for name in LESSONS}
        shown = render(list_views({"": questions}), Screen(80)).decode()
    assert all(question in shown for question in questions.values())


def test_the_command_speaks_chinese(cli):
    done = cli("learn", "retrieval", "--lang", "zh")
    assert done.returncode == 0
    assert "检索：返回加权混合的字典" in done.stdout.decode()
    assert b"answer" not in done.stdout


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_TW"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "C", "LC_MESSAGES": "zh_CN"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "zh"),
    ],
)
def test_the_environment_names_the_language(environment, expected):
    assert language_of(environment) == expected


def test_data_is_english_wherever_it_is_made(cli, tmp_path):
    chinese = {"LANG": "zh_CN.UTF-8", "LC_ALL": ""}
    assert "检索：返回加权混合的字典" in cli("learn", "retrieval", **chinese).stdout.decode()
    cli("learn", "retrieval", "-o", "data.csv", **chinese)
    cli("learn", "retrieval", "-o", "chinese.csv", "--lang", "zh", **chinese)
    assert "claim" in (tmp_path / "data.csv").read_text()
    assert "claim" not in (tmp_path / "chinese.csv").read_text()
    assert b"a dictionary" in cli("learn", "retrieval", "--json", **chinese).stdout


def test_an_unknown_language(capsys):
    with pytest.raises(AttnvizError, match="unknown language 'tlh'"):
        language.speak("tlh")
    assert run_cli(["learn", "steps", "--lang", "tlh"]) == 2
    assert "hint: en, zh" in capsys.readouterr().err


def test_a_note_is_english_data_and_said_in_any_language():
    inner = to_say("token {key}", key=3)
    note = to_say("without {heads}: their output is 0", heads=inner)
    assert note == say(note) == "without token 3: their output is 0"
    assert json.loads(json.dumps(note)) == pickle.loads(pickle.dumps(note)) == note
    with speaking("zh"):
        assert say(note) == say(pickle.loads(pickle.dumps(note))) == "去掉 词元 3：这些头的输出为 0"
        assert say(str(note)) == note, "what has no translation stays as it is"
        assert say("{0} 100% {") == "{0} 100% {"
