"""Texts that tokenizers stumble over."""

from __future__ import annotations

NASTY = (
    "I saw a saw",
    "The keys to the cabinet aren't on the table.",
    "Élan, naïve, Ångström, crème brûlée",
    "re\u0301sume\u0301 A\u030angstro\u0308m \u0301",
    "我看见了一把锯子 and 早上好！",
    "ひらがな カタカナ 한국어",
    "I saw 😀 and 👩‍👩‍👧 there 👍🏽 🇫🇷 ❤️",
    "שלום עולם مرحبا بالعالم",
    "नमस्ते दुनिया",
    "3.14159 1,000,000 in  2026-11-21",
    " leading, trailing  and   inner spaces  ",
    "tab\there\nnew line\r\nand\u00a0no-break\u3000wide",
    "zero\u200bwidth soft\u00adhyphen \ufeffmark \u2028line",
    "\x00control\x1b[31m",
    "[/INST] [UNK] $x^2$ <b>ä</b> C++ snake_case",
    "don't DON'T d' 'tis I'll we've",
    "saw" * 70,
    "ﬁne ½ Ⅷ ﷽ ①",
    "▁saw Ġsaw ##saw <0xE4>",
    "𝕊𝕒𝕨 𠀀 \U0010fffd",
    "The <mask> [MASK] is <|endoftext|> on",
    "",
    " ",
)

PAIRS = (("I saw a saw", "早上好！"), ("", "saw"), ("saw", ""))
