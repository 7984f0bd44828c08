"""llama.cpp's own tokenizer, through its server: `pip install xllamacpp==2026.10.11549`."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path


def token_ids(path: Path) -> Callable[[str], list[int]]:
    """How llama.cpp cuts a text by a GGUF file's tokenizer, special tokens in it taken as such."""
    from xllamacpp import CommonParams, Server

    params = CommonParams()
    params.model.path = str(path)
    params.n_ctx = 256
    params.warmup = False
    server = Server(params)

    def cut(text: str) -> list[int]:
        asked = {"content": text, "add_special": True, "parse_special": True}
        request = urllib.request.Request(
            f"{server.listening_address}/tokenize",
            json.dumps(asked).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:
            ids: list[int] = json.load(response)["tokens"]
        return ids

    return cut
