"""Tokens, and labels for them that are safe to show anywhere."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_MARKS = 3
"""Combining marks shown on one character; more would reach into other lines."""

ZWJ = "\u200d"
SKIN_TONES = range(0x1F3FB, 0x1F400)
REGIONAL = range(0x1F1E6, 0x1F200)
WITHOUT_VARIATIONS = dict.fromkeys(range(0xFE00, 0xFE10))

RESERVED = ("special", "generated", "prompt", "first", "second", "last", "template")
"""Names of spans that are nobody's role."""

ASCII = str.maketrans(
    {
        "·": ".",
        "×": "x",
        "…": "~",
        "→": "->",
        "√": "sqrt ",
        "∞": "inf",
        "ᵀ": "^T",
        "“": '"',
        "”": '"',
        "’": "'",
        "‖": "|",
        "²": "^2",
        "σ": "sigma",
        "Σ": "sum",
        "±": "+-",
        "│": "|",
        "−": "-",
        "␣": "_",
        "\u00a0": " ",
    }
)
"""Signs of our own as ASCII, for terminals that lack them."""

REPLACE = "attnviz.replace"
"""How an encoding writes characters that it lacks: our signs as ASCII, others as escapes."""


@dataclass(frozen=True)
class Tokens:
    """A text as a model reads it."""

    tokens: tuple[str, ...]
    """As the tokenizer gives them, whatever they hold."""
    ids: tuple[int, ...]
    labels: tuple[str, ...]
    """What they stand for, safe to show: see `label`."""
    segments: tuple[int, ...] = ()
    """Which of two sentences a token belongs to; empty if there is only one."""
    special: tuple[int, ...] = ()
    """Positions of tokens that the tokenizer added."""
    unknown: tuple[int, ...] = ()
    """Positions of tokens that stand for what the tokenizer does not know."""
    tags: tuple[str, ...] = ()
    """What the model says of each token, if that is its task: NOUN, VERB, …; empty for tokens
    that the tokenizer added."""
    words: tuple[int, ...] = ()
    """The word that each token is a piece of, counted from 0; empty where nothing is known."""
    word_labels: tuple[str, ...] = ()
    """The words, safe to show."""
    notes: tuple[str, ...] = ()
    """What the marks in the labels mean."""
    generated: tuple[int, ...] = ()
    """Positions of tokens that the model wrote itself."""
    roles: tuple[str, ...] = ()
    """Of a conversation, who says each token: `system`, `user`, `assistant`, …, `template` where
    it is the chat template's; empty of what was written later."""

    def __len__(self) -> int:
        return len(self.tokens)

    def followed_by(self, other: Tokens) -> Tokens:
        """These tokens, then the others."""
        n, n_word = len(self), len(self.word_labels)
        spelled = bool(self.words and other.words)
        return Tokens(
            tokens=self.tokens + other.tokens,
            ids=self.ids + other.ids,
            labels=self.labels + other.labels,
            special=self.special + tuple(n + position for position in other.special),
            unknown=self.unknown + tuple(n + position for position in other.unknown),
            words=self.words + tuple(n_word + word for word in other.words) if spelled else (),
            word_labels=self.word_labels + other.word_labels if spelled else (),
            notes=tuple(dict.fromkeys(self.notes + other.notes)),
            generated=self.generated + tuple(n + position for position in other.generated),
            roles=(self.roles or ("",) * n) + (other.roles or ("",) * len(other))
            if self.roles or other.roles
            else (),
        )

    def first(self, count: int) -> Tokens:
        """The first so many of these tokens."""
        words = self.words[:count]
        return Tokens(
            tokens=self.tokens[:count],
            ids=self.ids[:count],
            labels=self.labels[:count],
            segments=self.segments[:count],
            special=tuple(position for position in self.special if position < count),
            unknown=tuple(position for position in self.unknown if position < count),
            tags=self.tags[:count],
            words=words,
            word_labels=self.word_labels[: max(words, default=-1) + 1],
            notes=self.notes,
            generated=tuple(position for position in self.generated if position < count),
            roles=self.roles[:count],
        )

    def after(self, count: int) -> Tokens:
        """These tokens without the first so many, as a text of its own."""
        if not count:
            return self

        def moved(positions: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(position - count for position in positions if position >= count)

        words = self.words[count:]
        first = min(words, default=0)
        return Tokens(
            tokens=self.tokens[count:],
            ids=self.ids[count:],
            labels=self.labels[count:],
            segments=self.segments[count:],
            special=moved(self.special),
            unknown=moved(self.unknown),
            tags=self.tags[count:],
            words=tuple(word - first for word in words),
            word_labels=self.word_labels[first:],
            notes=self.notes,
            generated=moved(self.generated),
            roles=self.roles[count:],
        )

    @property
    def spans(self) -> dict[str, tuple[int, ...]]:
        """Parts of the text that one may want to leave out of a picture, by name: `special`,
        `first` and `second` segment, `prompt` and `generated`, and who says what in a
        conversation: `system`, `user`, `assistant`, `template`."""
        added = set(self.special)
        ordinary = [i for i in range(len(self)) if i not in added]
        spans = {"special": self.special, "generated": self.generated}
        if self.generated:
            written = set(self.generated)
            spans["prompt"] = tuple(i for i in ordinary if i not in written)
        if len(set(self.segments)) > 1:
            for name, number in (("first", 0), ("second", 1)):
                spans[name] = tuple(i for i in ordinary if self.segments[i] == number)
        for role in filter(None, dict.fromkeys(self.roles)):
            spans[role] = tuple(i for i in ordinary if self.roles[i] == role)
        return {name: positions for name, positions in spans.items() if positions}

    @classmethod
    def of(
        cls,
        tokens: Sequence[str],
        ids: Sequence[int] = (),
        *,
        labels: Sequence[str] = (),
        segments: Sequence[int] = (),
        special: Iterable[int] = (),
        unknown: Iterable[int] = (),
        tags: Iterable[str] = (),
        words: Iterable[int] = (),
        word_labels: Iterable[str] = (),
        notes: Iterable[str] = (),
        generated: Iterable[int] = (),
        roles: Iterable[str] = (),
    ) -> Tokens:
        """Tokens with everything that is shown of them made safe.

        Args:
            labels: what the tokens stand for, where they do not say it themselves.
        """
        shown = labels or tokens
        safe = {text: label(text) for text in set(shown)}  # a long text has few different tokens
        return cls(
            tokens=tuple(tokens),
            ids=tuple(ids) or tuple(range(len(tokens))),
            labels=tuple(safe[text] for text in shown),
            segments=tuple(segments),
            special=tuple(special),
            unknown=tuple(unknown),
            tags=tuple(label(tag) if tag else "" for tag in tags),
            words=tuple(words),
            word_labels=tuple(map(label, word_labels)),
            notes=tuple(map(label, notes)),
            generated=tuple(generated),
            roles=tuple(label(role) if role else "" for role in roles),
        )


def label(token: str) -> str:
    """`token` as one line of characters that print, move no cursor and style nothing.

    White space at the ends and control characters become visible signs (␣ ⏎ ⇥ ␛), invisible
    and unprintable ones their escapes; joined emoji come apart with `+`, flags become letters,
    so that every terminal gives a label the same width. A label is its own label.
    """
    token = token.translate(WITHOUT_VARIATIONS)
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
        if unicodedata.category(char) in ("Mn", "Me", "Mc"):
            marks += 1
            if not shown:
                shown.append("◌")
            if marks <= MAX_MARKS:
                shown.append(char)
            continue
        marks = 0
        joins = code in SKIN_TONES and shown and shown[-1] != "+"
        shown.append("+" + char if joins else _visible(char, flag))
        flag = code in REGIONAL
    return "".join(shown)


def in_encoding(text: str, encoding: str) -> str:
    """`text` in the characters that an encoding has.

    >>> in_encoding("√2 早", "latin-1")
    'sqrt 2 \\\\u65e9'
    """
    return text.encode(encoding, REPLACE).decode(encoding)


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    shown = lacking.translate(ASCII).encode("ascii", "backslashreplace").decode("ascii")
    return shown, error.end


codecs.register_error(REPLACE, _replace)


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
    words: list[list[str]] = []
    for char, number in zip(text, word_numbers(text), strict=True):
        if number == len(words):
            words.append([])
        if number is not None:
            words[number].append(char)
    return ["".join(chars) for chars in words]


def word_numbers(text: str) -> list[int | None]:
    """Of every character, the number of its word as `split_words` has them; None for spaces.

    >>> word_numbers("a saw!")
    [0, None, 1, 1, 1, 2]
    """
    numbers: list[int | None] = []
    word = ""
    last = -1
    joins = False  # whether the next letter continues the last word
    for position, char in enumerate(text):
        if char.isspace():
            word, joins = "", False
            numbers.append(None)
            continue
        letter = (char.isalnum() or char == "_") and not _is_cjk(char)
        inside = joins and char in "'’" and text[position + 1 : position + 2].isalnum()
        if word and (_clings(char, word) or inside or (letter and joins)):
            word, joins = (word + char)[-2:], joins or letter  # no more is looked at
        else:
            word, last, joins = char, last + 1, letter
        numbers.append(last)
    return numbers


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
