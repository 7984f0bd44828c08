"""Writes chats.json: what transformers makes of messages with the templates beside this script.

    python tests/golden/chats/make_chats.py

The templates are written for these tests, with what those of well-known checkpoints do.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from unittest import mock

HERE = Path(__file__).parent

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}

ASK = {"role": "user", "content": "What is  a saw?"}
SYSTEM = {"role": "system", "content": "Answer in one word."}
ANSWER = {"role": "assistant", "content": "A tool."}
AGAIN = {"role": "user", "content": " And what\nis “é 早”? \n"}
THOUGHT = {"role": "assistant", "content": "<think>\nhm\n</think>\n\nA tool."}
REASONED = {"role": "assistant", "reasoning_content": "hm", "content": "A tool."}
PARTS = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Which one?"}]}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"type": "function", "function": {"name": "look", "arguments": {"at": "<é>"}}}],
}
RESULT = {"role": "tool", "content": "a saw"}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}

CHATS = {
    "one": {"messages": [ASK]},
    "system": {"messages": [SYSTEM, ASK]},
    "empty-system": {"messages": [{"role": "system", "content": ""}, ASK]},
    "turns": {"messages": [SYSTEM, ASK, ANSWER, AGAIN]},
    "same": {"messages": [ASK, {**ASK, "role": "assistant"}, ASK]},
    "answered": {"messages": [ASK, ANSWER]},
    "continued": {"messages": [ASK, {**ANSWER, "content": "A tool \n"}], "continues": True},
    "continued-thought": {"messages": [SYSTEM, ASK, THOUGHT], "continues": True},
    "thought": {"messages": [ASK, THOUGHT, AGAIN]},
    "thought-last": {"messages": [ASK, THOUGHT]},
    "reasoned": {"messages": [ASK, REASONED, AGAIN]},
    "parts": {"messages": [PARTS]},
    "tools": {"messages": [SYSTEM, ASK, CALL, RESULT], "tools": [TOOL]},
    "no-thinking": {"messages": [ASK], "enable_thinking": False},
    "dated": {"messages": [ASK], "date_string": "26 Jul 2024"},
    "wrong-order": {"messages": [ASK, AGAIN]},
    "spelled": {"messages": [{"role": "user", "content": "a </s> b <|im_end|> {{ 7 * 7 }}"}]},
}


class January(datetime):
    """The date that attnviz tells a template."""

    @classmethod
    def now(cls, tz=None):
        return cls(2025, 1, 1)


def main() -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from transformers.utils import chat_template_utils

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>")), **SPECIAL
    )
    texts = {}
    for path in sorted((HERE / "templates").glob("*.jinja")):
        for name, chat in CHATS.items():
            chat = dict(chat)
            messages = chat.pop("messages")
            continues = chat.pop("continues", False)
            try:
                with mock.patch.object(chat_template_utils, "datetime", January):
                    text = tokenizer.apply_chat_template(
                        messages,
                        chat_template=path.read_text(),
                        tokenize=False,
                        add_generation_prompt=messages[-1]["role"] != "assistant",
                        continue_final_message=continues,
                        **chat,
                    )
            except Exception:  # of the template, whatever it does wrong
                text = None
            texts[f"{path.stem}/{name}"] = text
    written = {"special": SPECIAL, "chats": CHATS, "texts": texts}
    (HERE / "chats.json").write_text(json.dumps(written, ensure_ascii=False, indent=1) + "\n")
    print(len(texts), "conversations,", sum(text is None for text in texts.values()), "refused")


if __name__ == "__main__":
    main()
