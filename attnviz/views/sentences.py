"""What a head does, in a plain sentence, and how focused it is; the numbers stand behind it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from attnviz.analysis.looks import EVEN, FOCUSED, KEY, SCATTERED, Look
from attnviz.analysis.roles import UNDEFINED
from attnviz.language import say, to_say
from attnviz.tokens import Tokens

LONGEST = 20
"""Characters of a token in a sentence."""

MOST = 0.5
"""A key that takes more than this is named."""

PATTERNS = {
    "induction": to_say("where a token comes again, looks at what followed it before ({share})"),
    "duplicate-token": to_say("looks at earlier copies of the same token ({share})"),
    "previous-token": to_say("looks at the previous token ({share})"),
    "next-token": to_say("looks at the next token ({share})"),
    "self": to_say("looks at itself ({share})"),
    "sink": to_say("looks at {token} (sink, {percent})"),
    "other sink": to_say("looks at {token} (sink, {percent})"),
    "special-token": to_say("looks at the special tokens ({share})"),
    "punctuation": to_say("looks at punctuation ({share})"),
    "broad": to_say("spreads evenly (effectively over {keys} of {max_keys} keys)"),
    KEY: to_say("looks most at {token} ({share})"),
    EVEN: to_say("spreads almost evenly (effectively over {keys} of {max_keys} keys)"),
    FOCUSED: to_say(
        "no simple pattern: each row looks at about one key (effectively {keys} of {max_keys})"
    ),
    SCATTERED: to_say("no simple pattern: its rows look at {keys} of {max_keys} keys on average"),
    UNDEFINED: to_say("nothing can be said: its rows are not distributions over the keys"),
}
"""By the pattern of a look; `positional` has words of its own."""

PHRASES = {
    "induction": to_say("looks after earlier copies ({percent})"),
    "duplicate-token": to_say("looks at earlier copies ({percent})"),
    "previous-token": to_say("looks at the previous token ({percent})"),
    "next-token": to_say("looks at the next token ({percent})"),
    "self": to_say("looks at itself ({percent})"),
    "sink": PATTERNS["sink"],
    "other sink": PATTERNS["sink"],
    "special-token": to_say("looks at special tokens ({percent})"),
    "punctuation": to_say("looks at punctuation ({percent})"),
    "broad": to_say("spreads evenly ({keys} of {max_keys} keys)"),
    KEY: to_say("looks most at {token} ({percent})"),
    EVEN: to_say("almost even ({keys} of {max_keys} keys)"),
    FOCUSED: to_say("no simple pattern ({keys} of {max_keys} keys)"),
    SCATTERED: to_say("no simple pattern ({keys} of {max_keys} keys)"),
    UNDEFINED: to_say("its rows are not distributions"),
}
"""The same in a few words, for a caption above a small matrix."""

FOCUS = (
    (0.15, to_say("very focused: effectively {keys} of {max_keys} keys")),
    (0.45, to_say("focused: effectively {keys} of {max_keys} keys")),
    (0.75, to_say("fairly broad: effectively {keys} of {max_keys} keys")),
    (0.9, to_say("broad: effectively {keys} of {max_keys} keys")),
    (np.inf, to_say("almost even: effectively {keys} of {max_keys} keys")),
)
"""By the entropy as a share of the most it can be."""


def look_sentence(look: Look, keys: Tokens | None = None) -> str:
    """`looks at the next token (97% of its weight)`, in the reader's language.

    Args:
        keys: the tokens that the head looks at; without them keys are named by position.
    """
    if look.pattern == "positional":
        rows = say("{percent} of its rows look there most", percent=share_text(look.share))
        sentence = _offset_sentence(look.offset, rows)
    else:
        sentence = _filled(PATTERNS, look, keys)
    if _is_of_this_text(look):
        return say("here {sentence}, in {n} rows", sentence=sentence, n=look.n_query)
    return sentence


def look_phrase(look: Look, keys: Tokens | None = None) -> str:
    """`looks at the next token (97%)`: the same where there is little room."""
    if look.pattern == "positional":
        sentence = _offset_sentence(look.offset, share_text(look.share))
    else:
        sentence = _filled(PHRASES, look, keys)
    return say("here {sentence}", sentence=sentence) if _is_of_this_text(look) else sentence


def _is_of_this_text(look: Look) -> bool:
    """Whether its pattern has too few rows, or is too near to chance, to be more than that."""
    plain = (KEY, EVEN, FOCUSED, SCATTERED, UNDEFINED)
    return not look.is_role and look.pattern not in plain


def _filled(words: Mapping[str, str], look: Look, keys: Tokens | None) -> str:
    percent = share_text(look.share)
    named = look.pattern == "special-token" and look.position_share >= MOST
    return say(
        words["sink" if named else look.pattern],
        share=say("{percent} of its weight", percent=percent),
        percent=share_text(look.position_share) if named else percent,
        token=key_name(0 if look.pattern == "sink" else look.position, keys),
        keys=count(look.keys),
        max_keys=count(look.max_keys),
    )


def focus_sentence(keys: float, max_keys: float) -> str:
    """`very focused: effectively 1.1 of 6 keys`."""
    spread = np.log(max(keys, 1)) / np.log(max_keys) if max_keys > 1 else 0.0
    words = next(words for bound, words in FOCUS if spread < bound)
    return say(words, keys=count(keys), max_keys=count(max_keys))


def key_name(position: int | None, keys: Tokens | None) -> str:
    """`“saw”`, `[BOS]`, with its position if the same stands elsewhere too."""
    if position is None:
        return say("one token")
    if keys is None or position >= len(keys):
        return say("the first token") if position == 0 else say("token {n}", n=position)
    name = keys.labels[position]
    shown = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
    shown = shown if position in keys.special else say("“{token}”", token=shown)
    if keys.labels.count(name) > 1:
        return say("{token} at {n}", token=shown, n=position)
    return shown


def count(value: float) -> str:
    """`6`, `1.1`, `125`: a number of keys."""
    text = f"{value:.1f}" if value < 100 else f"{value:.0f}"
    return text.removesuffix(".0")


def share_text(share: float) -> str:
    """What is less than all, or more than nothing, is not rounded to it."""
    if 0.995 <= share < 0.9995:
        return f"{min(share, 0.999):.1%}"
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def _offset_sentence(offset: int | None, share: str) -> str:
    if offset is None:  # of a whole corpus
        return say("looks at one fixed distance ({share})", share=share)
    if offset == 0:
        return say("looks at itself ({share})", share=share)
    if offset == -1:
        return say("looks at the previous token ({share})", share=share)
    if offset == 1:
        return say("looks at the next token ({share})", share=share)
    if offset == -2:
        return say("looks two tokens back ({share})", share=share)
    if offset == 2:
        return say("looks two tokens ahead ({share})", share=share)
    if offset < 0:
        return say("looks {n} tokens back ({share})", n=-offset, share=share)
    return say("looks {n} tokens ahead ({share})", n=offset, share=share)
