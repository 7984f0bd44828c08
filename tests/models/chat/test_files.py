"""Where templates stand, and which of several counts."""

from __future__ import annotations

import json

import pytest

from attnviz.errors import AttnvizError
from attnviz.models.chat.files import gguf_template, read_template
from attnviz.models.chat.messages import as_chat


def test_files_count_before_the_settings(tmp_path):
    assert read_template(tmp_path) is None
    config = tmp_path / "tokenizer_config.json"
    config.write_text("{}")
    assert read_template(tmp_path) is None
    bos = {
        "content": "<s>",
        "lstrip": False,
        "normalized": False,
        "rstrip": False,
        "single_word": False,
    }
    config.write_text(json.dumps({"chat_template": "old", "bos_token": bos, "eos_token": "</s>"}))
    old = read_template(tmp_path)
    assert (old.sources, old.where) == ({"default": "old"}, str(config))
    assert old.special == {"bos_token": "<s>", "eos_token": "</s>"}
    (tmp_path / "chat_template.jinja").write_text("new")
    more = tmp_path / "additional_chat_templates"
    more.mkdir()
    (more / "rag.jinja").write_text("rag")
    new = read_template(tmp_path)
    assert new.sources == {"default": "new", "rag": "rag"}
    assert new.special == old.special


def test_a_damaged_template_is_an_error_when_it_is_used(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": 3}))
    found = read_template(tmp_path)
    with pytest.raises(AttnvizError, match="chat_template = 3"):
        found.apply(as_chat("hi"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer_config.json", b"{", r"tokenizer_config\.json is damaged"),
        ("chat_template.jinja", b"\xff\xff", r"chat_template\.jinja is no text"),
    ],
)
def test_a_damaged_file_too(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AttnvizError, match=message):
        read_template(tmp_path).apply(as_chat("hi"))


def test_of_a_gguf_file(tmp_path):
    metadata = {
        "tokenizer.chat_template": "plain",
        "tokenizer.chat_template.tool_use": "tools",
        "tokenizer.chat_templates": ["tool_use"],
        "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>"],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 7,
    }
    found = gguf_template(metadata, tmp_path)
    assert found.sources == {"default": "plain", "tool_use": "tools"}
    assert found.special == {"bos_token": "<s>"}
    assert gguf_template({}, tmp_path) is None
