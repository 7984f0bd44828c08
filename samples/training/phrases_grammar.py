"""A synchronous grammar: short Chinese phrases, their English, and which word comes from where.

    python samples/training/phrases_grammar.py

shows some. What a production is: phrases_parts.py; clauses: phrases_clauses.py; the words:
phrases_lexicon.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from zlib import crc32

from phrases_clauses import (
    GO,
    KNOWN,
    asks_how,
    asks_what,
    asks_where_or_why,
    asks_whether,
    asks_who,
    compares,
    done,
    gives,
    going_on,
    habit,
    has,
    is_fine,
    is_named,
    is_owned,
    is_quality,
    is_someone,
    is_somewhere,
    not_doing,
    not_done,
    spoken,
    takes_with_ba,
    there_is,
    verb_and_object,
    weather,
    what_is_given,
    will_do,
    wishes,
)
from phrases_lexicon import (
    ACTS,
    ADJECTIVE_LIST,
    KIN_LIST,
    NAME_LIST,
    NOUNS,
    NUMBERS,
    PLACE_LIST,
    PRONOUN_LIST,
    SET_LIST,
    TIMES,
    VERBS,
)
from phrases_parts import (
    NOTHING,
    Phrase,
    attribute,
    en,
    entry,
    location,
    named,
    noun_phrase,
    nouns,
    pair,
    spelled,
    text_of,
    zh,
)

MAX_CHARACTERS = 40
TITLES = (("老师", "teacher"), ("医生", "doctor"), ("朋友", "friend"), ("世界", "world"))
KIN_ALONE = tuple((chinese, english) for chinese, english, _ in KIN_LIST if english)
SIGNS = {"。": ".", "！": "!", "？": "?", "，": ","}


@dataclass(frozen=True)
class Example:
    """A phrase as the model meets it."""

    source: str
    target: tuple[str, ...]
    alignment: tuple[tuple[int, ...], ...]
    """For each word of the target the positions of its characters; empty for none."""
    kind: str
    """The construction."""
    pairs: tuple[tuple[str, str], ...]
    """Verbs and the nouns they were given."""


# Requests, greetings, pieces -------------------------------------------------------------------


def requests(rng: Random) -> Phrase:
    """请打开门, 别走, 不要吃我的苹果, 我们去公园吧, 请给我一杯水."""
    dice = rng.random()
    if dice < 0.15:
        please, give, given = entry("请", "please"), entry("给", "give"), what_is_given(rng)
        return pair([please, give, *given], [please, give, *given])
    verb, what = verb_and_object(rng, kinds=KNOWN)
    while not verb.perfective:
        verb, what = verb_and_object(rng, kinds=KNOWN)
    word = spoken(verb, "base")
    if dice < 0.35:
        ours, ba = zh("我们"), zh("吧")
        return pair([ours, word, what, ba], [en("let's", ours, ba), word, what])
    please = entry("请", "please") if dice < 0.75 else NOTHING
    if dice < 0.55:
        return pair([please, word, what], [please, word, what])
    no = zh(rng.choice(("不要", "别")))
    return pair([please, no, word, what], [please, en("do"), en("not", no), word, what])


def set_phrase(rng: Random) -> Phrase:
    return spelled(*rng.choice(SET_LIST))


def greets_someone(rng: Random) -> Phrase:
    """早上好，小明; 玛丽，你好."""
    greetings = [row for row in SET_LIST if row[0][-1] != "？" and len(row[0]) > 1]
    greeting, comma = spelled(*rng.choice(greetings)), entry("，", ",")
    name = entry(*rng.choice(TITLES)) if rng.random() < 0.3 else named(rng)
    if rng.random() < 0.7:
        return pair([greeting, comma, name], [greeting, comma, name])
    (first, origin), *rest = greeting.english
    small = first if first == "I" else first.lower()
    late = Phrase(greeting.chinese, ((small, origin), *rest))
    return pair([name, comma, late], [name, comma, late])


def thanks(rng: Random) -> Phrase:
    """谢谢你的书: thank you for your book."""
    thank, pronoun = zh("谢谢"), rng.choice(PRONOUN_LIST[1:])
    noun = rng.choice(nouns(["thing", "food", "drink"]))
    your, what = entry(pronoun.chinese, pronoun.possessive), entry(noun.chinese, noun.singular)
    return pair([thank, your, zh("的"), what], [en("thank you", thank), en("for"), your, what])


def hello_to(rng: Random) -> Phrase:
    """老师好: hello, teacher."""
    name, hello = entry(*rng.choice((*TITLES, *KIN_ALONE))), entry("好", "hello")
    return pair([name, hello], [hello, en(","), name])


def without_sign(source: str) -> str:
    return source.rstrip("。！？.!?")


def words_alone() -> Iterator[Phrase]:
    """Every noun, verb, adjective, place and time by itself, not capitalised."""
    for noun in NOUNS:
        yield entry(noun.chinese, noun.singular)
    for verb in (*VERBS, *ACTS, GO):
        yield entry(verb.chinese, verb.base)
    for adjective in ADJECTIVE_LIST[1:]:
        yield entry(adjective.chinese, adjective.english)
    for pronoun in PRONOUN_LIST:
        yield entry(pronoun.chinese, pronoun.subject)
    for name in NAME_LIST:
        yield entry(*name)
    for times in TIMES.values():
        for words in times:
            yield spelled(*words)
    for kin, alone, english in KIN_LIST:
        yield entry(kin, alone or english)
    for chinese, english in NUMBERS:
        yield entry(chinese, english)
    for place in PLACE_LIST:
        yield entry(place.chinese, place.there.split()[-1])


def first_meanings() -> tuple[Phrase, ...]:
    """看 is read and watch, 画 a picture and paint: the first is what stands for it alone."""
    by_text: dict[str, Phrase] = {}
    for phrase in words_alone():
        by_text.setdefault(text_of(phrase), phrase)
    return tuple(by_text.values())


def piece(rng: Random) -> Phrase:
    """一把锯子, 我的书, 在桌子上."""
    if rng.random() < 0.15:
        return location(rng, zh("在"))
    noun, dice = rng.choice(NOUNS), rng.random()
    if dice < 0.1:  # without an article, as in a dictionary: 大猫
        quality, word = attribute(rng, noun), entry(noun.chinese, noun.singular)
        return pair([quality, word], [quality, word])
    return noun_phrase(rng, noun, "the", "one one number this those many own relative")


WORDS_ALONE = first_meanings()
LISTED = frozenset(
    [without_sign(row[0]) for row in SET_LIST] + [text_of(phrase) for phrase in WORDS_ALONE]
)
STATEMENTS = (
    (12, done),
    (8, habit),
    (5, going_on),
    (5, not_doing),
    (5, not_done),
    (9, will_do),
    (5, wishes),
    (9, is_quality),
    (1.5, is_fine),
    (4, compares),
    (1.5, weather),
    (5, is_someone),
    (0.7, is_named),
    (1.5, is_owned),
    (5, has),
    (4, there_is),
    (5, is_somewhere),
    (4, gives),
    (5, takes_with_ba),
)
QUESTIONS = (
    (12, asks_whether),
    (5, asks_who),
    (5, asks_what),
    (5, asks_where_or_why),
    (2, asks_how),
)
OTHERS = (
    (4, requests),
    (0.5, thanks),
    (0.3, hello_to),
    (3, greets_someone),
    (3, set_phrase),
    (5, piece),
    (2, None),
)


def _choose(rng: Random, table: tuple) -> Callable[[Random], Phrase]:
    return rng.choices([row[1] for row in table], [row[0] for row in table])[0]


def compound(rng: Random) -> Phrase:
    """我喜欢猫，但是他不喜欢狗; 因为他很忙，所以他没来."""
    first, second = (_choose(rng, STATEMENTS)(rng) for _ in range(2))
    comma, dice = entry("，", ","), rng.random()
    if dice < 0.3:
        why = entry("因为", "because")
        parts = [why, first, comma]
        return pair([*parts, zh("所以"), second], [*parts, second])
    link = entry(*rng.choice((("但是", "but"), ("所以", "so"))))
    parts = [first, comma, link, second]
    return pair(parts, parts)


def sample(rng: Random) -> Example:
    """Any phrase of the grammar, held out or not."""
    dice = rng.random()
    if dice < 0.55:
        make, signs, large = _choose(rng, STATEMENTS), "。。。。！", True
    elif dice < 0.75:
        make, signs, large = _choose(rng, QUESTIONS), "？", True
    elif dice < 0.83:
        make, signs, large = compound, "。", True
    else:
        make, signs, large = _choose(rng, OTHERS), "！！。", True
        if make in (piece, None):
            signs, large = "", False
    phrase = make(rng) if make is not None else rng.choice(WORDS_ALONE)
    ended = text_of(phrase).endswith("？")
    if ended and rng.random() < 0.3:
        phrase = Phrase(phrase.chinese[:-1], phrase.english[:-1], phrase.person, phrase.pairs)
    if signs and not ended and rng.random() < 0.55:
        sign = rng.choice(signs)
        last = entry(sign if rng.random() < 0.9 else SIGNS[sign], SIGNS[sign])
        phrase = pair([phrase, last], [phrase, last])
    if len(phrase.chinese) > MAX_CHARACTERS:
        return sample(rng)
    return _example(phrase, make.__name__ if make is not None else "word_alone", large)


def _example(phrase: Phrase, kind: str, large: bool) -> Example:
    position = {char: i for i, char in enumerate(phrase.chinese)}
    words = [word for word, _ in phrase.english]
    if large:
        words[0] = words[0][0].upper() + words[0][1:]
    alignment = tuple(tuple(sorted(position[c] for c in origin)) for _, origin in phrase.english)
    return Example(text_of(phrase), tuple(words), alignment, kind, phrase.pairs)


# What is held out ------------------------------------------------------------------------------


def is_held_out(source: str) -> bool:
    """By a hash of each clause without its last sign: no clause of a test phrase was trained on."""
    bare = without_sign(source).removeprefix("因为")
    clauses = bare.replace("，但是", "\n").replace("，所以", "\n").split("\n")
    return any(crc32(clause.encode()) % 10 == 0 for clause in clauses)


def has_new_pair(example: Example) -> bool:
    """Whether it joins a verb and a noun that are never joined in training."""
    return any(crc32("".join(two).encode()) % 20 == 0 for two in example.pairs)


def _listed(example: Example) -> bool:
    """Greetings and single words cannot be guessed: they are always trained on, never tested."""
    return without_sign(example.source) in LISTED


def training(rng: Random) -> Iterator[Example]:
    while True:
        example = sample(rng)
        if _listed(example) or not (is_held_out(example.source) or has_new_pair(example)):
            yield example


def unseen(n: int, seed: int) -> list[Example]:
    """`n` different phrases that are held out; their verbs and nouns did meet in training."""
    return _distinct(n, seed, lambda e: is_held_out(e.source) and not has_new_pair(e))


def unseen_pairs(n: int, seed: int) -> list[Example]:
    """The harder ones: a verb with a noun that it never had in training."""
    return _distinct(n, seed, has_new_pair)


def _distinct(n: int, seed: int, wanted: Callable[[Example], bool]) -> list[Example]:
    rng, found = Random(seed), {}
    while len(found) < n:
        example = sample(rng)
        if not _listed(example) and wanted(example):
            found.setdefault(example.source, example)
    return list(found.values())


def vocabulary(n: int = 60_000, seed: int = 0) -> tuple[list[str], list[str]]:
    """The characters and the words of many phrases, the most frequent first."""
    rng = Random(seed)
    characters: dict[str, int] = {}
    words: dict[str, int] = {}
    for _ in range(n):
        example = sample(rng)
        for counts, tokens in ((characters, example.source), (words, example.target)):
            for token in tokens:
                counts[token] = counts.get(token, 0) + 1
    return tuple(sorted(counts, key=lambda t: (-counts[t], t)) for counts in (characters, words))


if __name__ == "__main__":
    for shown in unseen(20, seed=1):
        print(f"{shown.source}\t{' '.join(shown.target)}\t{shown.alignment}")
