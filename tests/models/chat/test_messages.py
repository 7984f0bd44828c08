"""What is a conversation, and what is none."""

from __future__ import annotations

import json

import pytest

from attnviz.errors import AttnvizError
from attnviz.models.chat.messages import Chat, as_chat, make_chat, read_chat

HI = {"role": "user", "content": "hi"}


def test_a_text_is_what_the_user_says():
    assert as_chat("hi").messages == (HI,)
    assert as_chat("hi", "Be brief.").messages == ({"role": "system", "content": "Be brief."}, HI)
    assert as_chat("hi").about == "hi"


def test_a_file_of_messages(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([HI, {"role": "assistant", "content": "ho", "tool_calls": None}]))
    assert read_chat(path) == Chat((HI, {"role": "assistant", "content": "ho"}), {})
    path.write_text(json.dumps({"messages": [HI], "enable_thinking": False}))
    assert read_chat(path, "Be brief.") == Chat(
        as_chat("hi", "Be brief.").messages, {"enable_thinking": False}
    )
    path.write_text("[")
    with pytest.raises(AttnvizError, match=r"a\.json is no JSON"):
        read_chat(path)
    with pytest.raises(AttnvizError, match=r"b\.json"):
        read_chat(tmp_path / "b.json")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "expected messages"),
        ({}, "expected messages"),
        ("hi", "expected messages"),
        ({"messages": {}}, "expected messages"),
        (["hi"], "message 0 has no role"),
        ([HI, {"content": "hi"}], "message 1 has no role"),
        ([{"role": "user"}], "message 0 has no content"),
        ([{"role": "user", "content": None}], "message 0 has no content"),
        ([{"role": "a b", "content": "hi"}], "message 0 has the role 'a b'"),
        ([{"role": "special", "content": "hi"}], "message 0 has the role 'special'"),
    ],
)
def test_no_conversation(value, message):
    with pytest.raises(AttnvizError, match=message):
        make_chat(value)


def test_two_messages_of_the_system():
    with pytest.raises(AttnvizError, match="has a system message already"):
        make_chat([{"role": "system", "content": "a"}, HI], system="b")
