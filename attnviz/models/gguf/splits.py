"""How byte-level vocabularies split a text before merging, by the `pre` of a GGUF file.

Source: llama.cpp, src/llama-vocab.cpp. Each pattern splits the pieces of the one before it.
"""

from __future__ import annotations

from typing import NamedTuple


class Split(NamedTuple):
    """A way to split text."""

    patterns: tuple[str, ...]
    keeps_tokens: bool = False
    """Whether a piece that is in the vocabulary becomes that token without merging."""
    begins: bool = False
    """Whether a text begins with the BOS token, where the file does not say."""


ANY_CASE = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = ANY_CASE + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACES
QWEN2 = ANY_CASE + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACES
PUNCTUATION = r"[\p{P}\$\+<=>\^~\|]+"
LOWER, UPPER = r"(?:(?=\p{L})[^A-Z])", r"(?:(?=\p{L})[^a-z])"
CASED = r"[^\r\n\p{L}\p{N}]?" + UPPER + "*" + LOWER + "+"
CAPITALS = r"[^\r\n\p{L}\p{N}]?" + UPPER + "+" + LOWER + "*"
SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|"
TEKKEN = f"{CASED}|{CAPITALS}|" + r"\p{N}|" + SIGNS + SPACES
GPT4O = f"{CASED}{ANY_CASE}?|{CAPITALS}{ANY_CASE}?|" + r"\p{N}{1,3}|" + SIGNS + SPACES

_GPT2 = Split((GPT2,))
_DIGITS = Split((r"\p{N}", GPT2))
_LLAMA3 = Split((LLAMA3,), keeps_tokens=True, begins=True)
_QWEN2 = Split((QWEN2,))

SPLITS = {
    "default": Split((PUNCTUATION, GPT2, r"\p{N}+", "[0-9][0-9][0-9]")),
    "gpt-2": _GPT2,
    "phi-2": _GPT2,
    "mpt": _GPT2,
    "olmo": _GPT2,
    "smollm": _DIGITS,
    "starcoder": _DIGITS,
    "refact": _DIGITS,
    "command-r": _DIGITS,
    "codeshell": _DIGITS,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "llama-bpe": _LLAMA3,
    "falcon3": _LLAMA3,
    "dbrx": Split((LLAMA3,)),
    "smaug-bpe": Split((LLAMA3,)),
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "stablelm2": _QWEN2,
    "tekken": Split((TEKKEN,), keeps_tokens=True, begins=True),
    "gpt-4o": Split((GPT4O,)),
}
