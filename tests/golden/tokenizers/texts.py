"""Random texts that tokenizers stumble over."""

from __future__ import annotations

import random

PIECES = (
    "saw", "the", "keys", "table", "Élan", "cre\u0301me", "I", "SAW", "aren't", "3.14", "2026",
    "我看见", "锯", "早上好", "ひらがな", "한국어", "שלום", "مرحبا", "नमस्ते", "😀", "👩‍👩‍👧", "🇫🇷", "<s>", "</s>",
    "<unk>", "<pad>", "<mask>", "[MASK]", "[CLS]", "[SEP]", "[UNK]", "<|endoftext|>", "<new>", "snake",
    "<extra_id_0>", "en_XX", "fra_Latn", "__fr__", "<user>", "▁", "▁saw", "Ġsaw", "##saw", "<0xE4>", "ﬁ",
    "½", "Ⅷ", "①", "！", "''", "``", '"', ".", ",", "?", "'s", "\x00", "\x1b", "\u200b", "\u00ad",
    "\ufeff", "\u2028", "\x85", "\x1c", "𝕊", "𠀀", "\U0010fffd", "MKTAYIAK", "L", "X", "<cls>", "<eos>", "B",
    "-", "_", "{", "https://a.b/c?d=e", "snake_case", "Straße", "İ", "ς", "ǆ", "Å", "A\u030a",
)  # fmt: skip

SPACES = (" ", " ", " ", " ", "", "", "  ", "\t", "\n", "\n\n", "\r\n", "\u00a0", "\u3000")


def random_text(random_: random.Random) -> str:
    if random_.random() < 0.1:
        return "".join(chr(_code(random_)) for _ in range(random_.randrange(12)))
    text = random_.choice(SPACES)
    for _ in range(random_.randrange(9)):
        text += random_.choice(PIECES) + random_.choice(SPACES)
    return text.rstrip() if random_.random() < 0.5 else text


def _code(random_: random.Random) -> int:
    code = random_.choice(
        (random_.randrange(128), random_.randrange(0x3000), random_.randrange(0x11_0000))
    )
    return code if not 0xD800 <= code < 0xE000 else ord("e")


def random_texts(seed: int, count: int) -> list[str]:
    random_ = random.Random(seed)
    return [random_text(random_) for _ in range(count)]
