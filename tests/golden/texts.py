"""The texts of MiniLM's goldens, and which of its numbers are kept."""

from __future__ import annotations

from typing import Any

import numpy as np

SAMPLES = 500

TEXTS: dict[str, dict[str, Any]] = {
    "saw": {"text": "I saw a saw"},
    "agreement": {"text": "The keys to the cabinet are on the table."},
    "pair": {"text": "Where is the saw?", "pair": "It is on the bench, in the shed."},
    "hundred": {"text": "the quick brown fox jumps over the lazy dog and " * 10},
    "long": {"text": "attention is all you need , said the paper . " * 50},
    "accents": {"text": "Élan, naïve, Ångström, crème brûlée"},
    "decomposed": {"text": "re\u0301sume\u0301 A\u030angstro\u0308m"},
    "chinese": {"text": "我看见了一把锯子 and 早上好"},
    "emoji": {"text": "I saw 😀 and 👩‍👩‍👧 there 👍🏽"},
    "controls": {"text": "tab\there\nnew line\u200bzero [/INST] </s> $x^2$"},
    "numbers": {"text": "3.14159 1,000,000 2026-11-21"},
    "one": {"text": "saw"},
    "empty": {"text": ""},
}


def spread(array: np.ndarray) -> np.ndarray:
    """SAMPLES numbers of an array, evenly spread, in order."""
    flat = array.reshape(-1)
    return flat[np.linspace(0, flat.size - 1, SAMPLES).astype(int)]
