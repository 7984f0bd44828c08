"""The texts of SmolLM2's goldens: prompts that are run, and strings that are only cut into tokens."""

from __future__ import annotations

ATTENTIONS, LOGITS, HIDDEN = 2e-5, 2e-4, 2e-5
"""How far attnviz may be from transformers, both in float32. Attentions and logits: as they are.
Hidden states: as a part of the largest number in each vector, since this model has activations of
25,000, where the next float32 is 0.002 away; each of the two is within 7e-6 of float64."""

PROMPTS = {
    "capital": "The capital of France is",
    "fox": "The quick brown fox jumps over the lazy dog.",
    "digits": "In 1969, 3 men flew 384400 km to the moon.",
    "chinese": "我看见了一把锯子。 It was sharp.",
    "one": "saw",
    "long": "attention is all you need, said the paper. " * 12 + "Not quite, said the other one.",
}
"""`long` has 128 tokens."""

NASTY = (
    "",
    " ",
    "   ",
    "\t",
    "\t\tb",
    "\n\n x\r\n\ty  ",
    "a  1",
    "x   22 y",
    "\n 7",
    "Ⅷ ½ ² ٣ ०१",
    "3.14159 1,000,000 2026-11-21",
    "Élan, naïve, Ångström, crème brûlée",
    "re\u0301sume\u0301 A\u030angstro\u0308m",
    "e\u0301\u0302\u0303",
    "\u0301",
    "我看见了一把锯子 and 早上好",
    "かな カナ 한글",
    "I saw 😀 and 👩‍👩‍👧 there 👍🏽 🇫🇷",
    "don't DON'T we'll WE'LL I'm 's 'S ''s",
    "שלום مرحبا हिन्दी ไทย",
    "zero\u200bwidth \u202eleft nbsp\u00a0x \u3000wide\u2028",
    "\x00\x07\x1b[31m\x7f\x85",
    "[/INST] </s> <s> $x^2$ <|im_sta",
    "<|im_start|>user\nhi<|im_end|>",
    "def f(x):\n    return x**2  # ünïcödé",
    "𝔸𝕓𝕔 𐍈 \U000e0001",
    "ſſ ıİ ß ŉ ǆ",
    "a" * 300,
    "word " * 40 + "7 8  99",
)
"""Accents, digits behind spaces, numerals, combining marks, scripts, emoji, controls, specials."""
