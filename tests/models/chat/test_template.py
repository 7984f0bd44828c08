"""Chat templates: equal to transformers, who says what, and what a hostile one does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attnviz.errors import AttnvizError
from attnviz.models.chat import rendering
from attnviz.models.chat.messages import Chat, as_chat, make_chat
from attnviz.models.chat.template import ChatTemplate, make_template

GOLDEN = Path(__file__).parents[2] / "golden" / "chats"
EXPECTED = json.loads((GOLDEN / "chats.json").read_text())
CHATML = (GOLDEN / "templates" / "chatml.jinja").read_text()


@pytest.fixture
def in_process(monkeypatch):
    """Templates of ours need no process of their own; but like there they get copies, as Jinja2's
    `indent` changes a list that it is given."""

    def render(self, source, jobs, today):
        return rendering.render(source, json.loads(json.dumps(jobs)), today)

    monkeypatch.setattr(ChatTemplate, "_render", render)


def template(source: str) -> ChatTemplate:
    return make_template(source, "tokenizer_config.json", EXPECTED["special"])


def golden(name: str) -> ChatTemplate:
    return template((GOLDEN / "templates" / f"{name}.jinja").read_text())


def chat(name: str) -> Chat:
    values = dict(EXPECTED["chats"][name])
    continues = values.pop("continues", False)
    made = make_chat(values)
    return Chat(made.messages, made.variables, continues)


@pytest.mark.parametrize("name", EXPECTED["texts"])
def test_as_transformers(name, in_process):
    stem, _, which = name.partition("/")
    expected = EXPECTED["texts"][name]
    if expected is None:
        with pytest.raises(AttnvizError, match="chat template"):
            golden(stem).apply(chat(which))
    else:
        assert golden(stem).apply(chat(which)).text == expected


def said(name: str, which: str) -> list[tuple[str, str]]:
    made = golden(name).apply(chat(which))
    return [(each.role, made.text[each.start : each.stop]) for each in made.said]


TURNS = [("system", "Answer in one word."), ("user", "What is  a saw?"), ("assistant", "A tool."),
         ("user", "And what\nis “é 早”?")]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["chatml", "smollm2", "llama2", "llama3", "llama3_dated", "qwen2", "qwen3", "gemma3", "phi3",
     "zephyr", "deepseek"],
)  # fmt: skip
def test_who_says_what(name, in_process):
    assert said(name, "turns") == TURNS


def test_a_template_may_change_the_order(in_process):
    assert said("mistral", "turns") == [*TURNS[1:3], TURNS[0], TURNS[3]]


def test_the_same_text_of_two_people(in_process):
    assert [role for role, _ in said("chatml", "same")] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("qwen2", "You are a model of many words."),
        ("smollm2", "You are a small and helpful program"),
        ("chatml", ""),
        ("llama2", ""),
        ("gemma", ""),
        ("llama3_dated", ""),
    ],
)
def test_a_system_message_of_the_templates_own(name, own, in_process):
    made = golden(name).apply(chat("one"))
    assert made.own_system == own
    assert [each.role for each in made.said] == ["system"] * bool(own) + ["user"]


def test_thoughts_that_are_left_out(in_process):
    assert said("qwen3", "thought")[1] == ("assistant", "A tool.")
    assert said("gemma3", "parts") == [("user", "Which one?")]


def test_messages_that_a_template_changes(in_process):
    assert golden("qwen3").apply(chat("thought")).not_found == ()
    assert golden("controls").apply(chat("turns")).not_found == ("system",)
    assert golden("chatml").apply(chat("turns")).not_found == ()
    assert golden("chatml").apply(chat("empty-system")).not_found == ()


def test_the_date_is_told_and_fixed(in_process):
    assert golden("smollm3").apply(chat("one")).date == "2025-01-01"
    assert golden("chatml").apply(chat("one")).date == ""
    other = make_chat({"messages": [{"role": "user", "content": "a"}], "date": "2026-02-03"})
    assert "03 February 2026" in golden("smollm3").apply(other).text
    with pytest.raises(AttnvizError, match="date = 'soon'"):
        golden("smollm3").apply(make_chat({"messages": other.messages, "date": "soon"}))


def test_templates_with_names(in_process):
    named = make_template(
        [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"},
         {"name": "rag", "template": "{{ documents }}"}], "there", {})  # fmt: skip
    hi = [{"role": "user", "content": "hi"}]
    assert named.apply(as_chat("hi")).text == "plain"
    assert named.apply(make_chat({"messages": hi, "tools": [{}]})).text == "tools"
    asked = {"messages": hi, "chat_template": "rag", "documents": [1]}
    assert named.apply(make_chat(asked)).text == "[1]"
    with pytest.raises(AttnvizError, match="no chat template 'rga'") as error:
        named.apply(make_chat({**asked, "chat_template": "rga"}))
    assert "did you mean `rag`?" in str(error.value.hint)
    only = make_template([{"name": "rag", "template": ""}], "there", {})
    with pytest.raises(AttnvizError, match="several chat templates"):
        only.apply(as_chat("hi"))


@pytest.mark.parametrize("value", [3, [], {}, [{"name": "default"}], ["a"]])
def test_no_template(value):
    with pytest.raises(AttnvizError, match="chat_template ="):
        make_template(value, "there", {}).apply(as_chat("hi"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% for", "is damaged: line 1"),
        ("{{ raise_exception('no \x1b[31m such\nrole') }}", r"refuses these messages: no ␛\[31m such role"),
        ("{{ messages[0].nothing.more }}", "UndefinedError"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "SecurityError"),
        ("{{ messages.append(1) }}", "SecurityError"),
        ("{% set ns = namespace(_a=1) %}", "SecurityError"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
        ("{{ lipsum() }}", "'lipsum' is undefined"),
        ("{{ [1, 2] | random }}", "No filter named 'random'"),
        ("{{ range(10 ** 9) }}", "OverflowError"),
    ],
)  # fmt: skip
def test_a_template_that_fails(source, message, in_process):
    with pytest.raises(AttnvizError, match=message):
        template(source).apply(as_chat("hi"))


ENDLESS = "{% set r = range(99999) %}{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ 'a' * 10 ** 11 }}", "MemoryError"),
        ("{{ '%99999999999d' | format(1) }}", "MemoryError"),
        (ENDLESS, "had not ended|more memory or time"),
    ],
)
def test_a_hostile_template_is_ended(source, message, monkeypatch):
    monkeypatch.setattr("attnviz.models.chat.template.MAX_SECONDS", 0.5)
    with pytest.raises(AttnvizError, match=message):
        template(source).apply(as_chat("hi"))


def test_in_a_process_of_its_own():
    made = template(CHATML).apply(as_chat("héllo \ud800", "Be brief."))
    assert made.text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nhéllo \ud800<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_without_the_package(monkeypatch):
    monkeypatch.setattr("attnviz.models.chat.template.find_spec", lambda name: None)
    with pytest.raises(AttnvizError, match="needs the package `jinja2`") as error:
        template(CHATML).apply(as_chat("hi"))
    assert error.value.hint == "pip install 'attnviz[chat]'"


def test_a_message_of_private_characters(in_process):
    made = golden("chatml").apply(as_chat("a \U000f0100 b \U000f0001"))
    assert [(each.role, made.text[each.start : each.stop]) for each in made.said] == [
        ("user", "a \U000f0100 b \U000f0001")
    ]
