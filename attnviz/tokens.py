"""Tokens, and labels for them that are safe to show anywhere."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_MARKS = 3
"""Combining marks shown on one character; more would reach into other lines."""

ZWJ = "\u200d"
SKIN_TONES = range(0x1F3FB, 0x1F400)
REGIONAL = range(0x1F1E6, 0x1F200)
VARIATIONS = range(0xFE00, 0xFE10)


@dataclass(frozen=True)
class Tokens:
    """A text as a model reads it."""

    tokens: tuple[str, ...]
    """As the tokenizer gives them, whatever they hold."""
    ids: tuple[int, ...]
    labels: tuple[str, ...]
    """Safe to show: see `label`."""
    segments: tuple[int, ...] = ()
    """Which of two sentences a token belongs to; empty if there is only one."""
    special: tuple[int, ...] = ()
    """Positions of tokens that the tokenizer added."""
    unknown: tuple[int, ...] = ()
    """Positions of tokens that stand for what the tokenizer does not know."""
    tags: tuple[str, ...] = ()
    """What the model says of each token, if that is its task: NOUN, VERB, …; empty for tokens
    that the tokenizer added."""

    def __len__(self) -> int:
        return len(self.tokens)

    def followed_by(self, other: Tokens) -> Tokens:
        """These tokens, then the others."""
        n = len(self)
        return Tokens(
            tokens=self.tokens + other.tokens,
            ids=self.ids + other.ids,
            labels=self.labels + other.labels,
            special=self.special + tuple(n + place for place in other.special),
            unknown=self.unknown + tuple(n + place for place in other.unknown),
        )

    @classmethod
    def of(
        cls,
        tokens: Sequence[str],
        ids: Sequence[int] = (),
        *,
        segments: Sequence[int] = (),
        special: Iterable[int] = (),
        unknown: Iterable[int] = (),
        tags: Iterable[str] = (),
    ) -> Tokens:
        return cls(
            tokens=tuple(tokens),
            ids=tuple(ids) or tuple(range(len(tokens))),
            labels=tuple(label(token) for token in tokens),
            segments=tuple(segments),
            special=tuple(special),
            unknown=tuple(unknown),
            tags=tuple(label(tag) if tag else "" for tag in tags),
        )


def label(token: str) -> str:
    """`token` as one line of characters that print, move no cursor and style nothing.

    White space at the ends and control characters become visible signs (␣ ⏎ ⇥ ␛), invisible
    and unprintable ones their escapes; joined emoji come apart with `+`, flags become letters,
    so that every terminal gives a label the same width.
    """
    if not token:
        return "∅"
    inner = token.strip(" ")
    lead = len(token) - len(token.lstrip(" "))
    marked = "␣" * lead + inner + "␣" * (len(token) - lead - len(inner))
    shown: list[str] = []
    marks = 0
    flag = False
    for char in unicodedata.normalize("NFC", _encodable(marked)):
        code = ord(char)
        if unicodedata.category(char) in ("Mn", "Me", "Mc") and code not in VARIATIONS:
            marks += 1
            if not shown:
                shown.append("◌")
            if marks <= MAX_MARKS:
                shown.append(char)
            continue
        marks = 0
        shown.append("+" + char if code in SKIN_TONES and shown else _visible(char, flag))
        flag = code in REGIONAL
    return "".join(shown)


def _encodable(text: str) -> str:
    """Lone surrogates, which no encoding can write, as their escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _visible(char: str, after_flag: bool) -> str:
    code = ord(char)
    if char == "\n":
        return "⏎"
    if char == "\t":
        return "⇥"
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if char == ZWJ:
        return "+"
    if code in VARIATIONS:
        return ""
    if code in REGIONAL:
        letter = chr(code - REGIONAL.start + ord("A"))
        return letter if after_flag else "⚑" + letter
    if char == "\u00a0":
        return "⍽"
    if (
        unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs")
        and char != " "
    ):
        return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return char


def split_words(text: str) -> list[str]:
    """Words, numbers, single CJK characters and single signs, without the spaces between them.

    >>> split_words("I saw a saw, didn't I? 我看见了")
    ['I', 'saw', 'a', 'saw', ',', "didn't", 'I', '?', '我', '看', '见', '了']
    """
    words: list[str] = []
    joins = False  # whether the next letter continues the last word
    for position, char in enumerate(text):
        if char.isspace():
            joins = False
        elif words and _clings(char, words[-1]):
            words[-1] += char
        elif _is_cjk(char) or not (char.isalnum() or char == "_"):
            inside = joins and text[position + 1 : position + 2].isalnum()
            if char in "'’" and inside:
                words[-1] += char
                continue
            words.append(char)
            joins = False
        elif joins:
            words[-1] += char
        else:
            words.append(char)
            joins = True
    return words


def _clings(char: str, before: str) -> bool:
    """Combining marks and the joints of an emoji belong to what stands before them."""
    code = ord(char)
    return (
        unicodedata.category(char) in ("Mn", "Me", "Mc")
        or char == ZWJ
        or before.endswith(ZWJ)
        or code in SKIN_TONES
        or (code in REGIONAL and len(before) == 1 and ord(before) in REGIONAL)
    )


def _is_cjk(char: str) -> bool:
    """Scripts written without spaces, a character a word: Han, kana."""
    code = ord(char)
    return (
        0x3040 <= code <= 0x30FF
        or 0x3400 <= code <= 0x9FFF
        or 0x20000 <= code <= 0x3FFFF
        or (0xF900 <= code <= 0xFAFF)
    )
