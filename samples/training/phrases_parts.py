"""The parts of the phrase grammar: words of both languages, noun phrases, times and places.

A production puts the same parts in the order of either language, so the alignment of the words is
known by construction: every English word holds the very characters it comes from, and a word with
none (a `do`, a `the`) is aligned with nothing. For 看见了, saw is aligned with 看见 alone, as 了
only gives the tense; likewise 的, 把 and a measure word without English are behind no word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from random import Random

from phrases_lexicon import (
    ADJECTIVE_LIST,
    KIN_LIST,
    NAME_LIST,
    NOUNS,
    NUMBERS,
    PLACE_LIST,
    PRONOUN_LIST,
    TIMES,
    VERBS,
    Adjective,
    Noun,
    Verb,
)

from attnviz.tokens import split_words

LOCALIZERS = {"on": "上", "in": "里", "under": "下面"}
BESIDE = (("旁边", "next to"), ("后面", "behind"), ("前面", "in front of"))


@dataclass(frozen=True, eq=False)
class Character:
    """One occurrence of a character: the same one is in the Chinese and behind the English."""

    text: str


@dataclass(frozen=True)
class Phrase:
    chinese: tuple[Character, ...] = ()
    english: tuple[tuple[str, frozenset[Character]], ...] = ()
    person: str = "he"
    pairs: tuple[tuple[str, str], ...] = ()


NOTHING = Phrase()


def zh(text: str) -> Phrase:
    """Characters that no word comes from, unless `en` says so."""
    return Phrase(tuple(Character(char) for char in text))


def en(text: str, *origins: Phrase) -> Phrase:
    """Words that come from the characters of `origins`."""
    characters = frozenset(char for origin in origins for char in origin.chinese)
    return Phrase(english=tuple((word, characters) for word in text.split()))


def entry(chinese: str, english: str, person: str = "he") -> Phrase:
    origin = zh(chinese)
    return Phrase(origin.chinese, en(english, origin).english, person)


def spelled(chinese: str, english: str, origins: str) -> Phrase:
    """`origins` names, for each word, the part of `chinese` it comes from (- for none)."""
    characters = zh(chinese).chinese
    words = []
    for word, origin in zip(split_words(english), origins.split(), strict=True):
        start = chinese.index(origin) if origin != "-" else 0
        count = len(origin) if origin != "-" else 0
        words.append((word, frozenset(characters[start : start + count])))
    return Phrase(characters, tuple(words))


def pair(
    chinese: Iterable[Phrase],
    english: Iterable[Phrase],
    person: str = "he",
    pairs: tuple[tuple[str, str], ...] = (),
) -> Phrase:
    """A production: the parts in the order of either language."""
    chinese = tuple(chinese)
    characters = tuple(char for part in chinese for char in part.chinese)
    words = tuple(word for part in english for word in part.english)
    inner = tuple(found for part in chinese for found in part.pairs)
    return Phrase(characters, words, person, inner + pairs)


def text_of(phrase: Phrase) -> str:
    return "".join(char.text for char in phrase.chinese)


# Agreement -------------------------------------------------------------------------------------


def be(person: str, past: bool = False) -> str:
    if past:
        return "were" if person == "they" else "was"
    return {"I": "am", "he": "is", "they": "are"}[person]


def do(person: str) -> str:
    return "does" if person == "he" else "do"


def present(person: str) -> str:
    return "third" if person == "he" else "base"


def article(following: Phrase) -> str:
    word = following.english[0][0]
    return "an" if word[0] in "aeio" or word == "umbrella" else "a"


# Noun phrases ----------------------------------------------------------------------------------


def nouns(tags: Iterable[str]) -> list[Noun]:
    return _nouns(frozenset(tags))


@cache
def _nouns(tags: frozenset[str]) -> list[Noun]:
    return [noun for noun in NOUNS if noun.tags & tags]


def adjectives(noun: Noun) -> list[Adjective]:
    return _adjectives(noun.tags)


@cache
def _adjectives(tags: frozenset[str]) -> list[Adjective]:
    return [adjective for adjective in ADJECTIVE_LIST if adjective.tags & tags]


def attribute(rng: Random, noun: Noun) -> Phrase:
    """Nothing, 新, 红色的 or 很好的."""
    fitting = adjectives(noun)
    if not fitting or rng.random() > 0.25:
        return NOTHING
    adjective = rng.choice(fitting)
    word = entry(adjective.chinese, adjective.english)
    if not adjective.chinese.endswith("色") and rng.random() < 0.3:
        very = entry("很", "very")
        return pair([very, word, zh("的")], [very, word])
    return pair([word, zh("" if adjective.joint == "-" else "的")], [word])


def named(rng: Random) -> Phrase:
    """小明, 妈妈."""
    alone = NAME_LIST + tuple((kin, english) for kin, english, _ in KIN_LIST if english)
    return entry(*rng.choice(alone))


def owner(rng: Random) -> Phrase:
    """我的, 小明的."""
    if rng.random() < 0.75:
        pronoun = rng.choice(PRONOUN_LIST)
        return pair([mine := entry(pronoun.chinese, pronoun.possessive), zh("的")], [mine])
    name = named(rng)
    *first, (last, origin) = name.english
    return Phrase(name.chinese + zh("的").chinese, (*first, (last + "'s", origin)))


def relative(rng: Random, noun: Noun) -> Phrase:
    """我昨天买的书: the book I bought yesterday."""
    verbs = [verb for verb in VERBS if verb.perfective and verb.objects & noun.tags]
    verb, subject = rng.choice(verbs), someone(rng)
    when = moment(rng, "past", 0.3)
    word, done = entry(noun.chinese, noun.singular), entry(verb.chinese, verb.past)
    return pair(
        [subject, when, done, zh("的"), word],
        [en("the"), word, subject, done, when],
        pairs=((verb.chinese, noun.chinese),),
    )


def noun_phrase(rng: Random, noun: Noun, bare: str, kinds: str = "") -> Phrase:
    """`kinds` limits the choice to some of: one number this those many own bare relative."""
    weights = {
        "one": 6,
        "number": 3,
        "this": 3,
        "those": 1.5,
        "many": 1,
        "own": 4,
        "bare": 4,
        "relative": 0.7,
    }
    choices = kinds.split() or list(weights)
    kind = rng.choices(choices, [weights[choice] for choice in choices])[0]
    if kind == "relative" and not any(v.perfective and v.objects & noun.tags for v in VERBS):
        kind = "one"
    if kind == "relative":
        return relative(rng, noun)
    quality = attribute(rng, noun)
    one, some = entry(noun.chinese, noun.singular), entry(noun.chinese, noun.plural)
    if kind == "one":
        return _counted(zh("一"), "", noun, quality)
    if kind == "number":
        digit, english = rng.choice(NUMBERS)
        return _counted(zh(digit), english, noun, quality)
    if kind == "this":
        digit, english = rng.choice((("这", "this"), ("那", "that")))
        return _counted(zh(digit), english, noun, quality)
    person = "they" if noun.counted else "he"
    if kind == "those":
        near = rng.random() < 0.5
        english = ("these" if near else "those") if noun.counted else ("this" if near else "that")
        which = entry("这些" if near else "那些", english)
        return pair([which, quality, some], [which, quality, some], person)
    if kind == "many":
        which = entry("很多", "many" if noun.counted else "a lot of")
        return pair([which, quality, some], [which, quality, some], person)
    if kind == "own":
        which = owner(rng)
        return pair([which, quality, one], [which, quality, one])
    if bare == "the":
        return pair([quality, one], [en("the"), quality, one])
    return pair([quality, some], [quality, some], person)


def _counted(digit: Phrase, english: str, noun: Noun, quality: Phrase) -> Phrase:
    """一把锯子, 两杯茶: `english` is empty for the article."""
    many = english not in ("", "this", "that")
    word = entry(noun.chinese, noun.plural if many else noun.singular)
    measure, of = zh(noun.measure), NOTHING
    if not noun.counted:
        measure, of = entry(noun.measure, noun.amount[many]), en("of")
    rest = pair([measure, quality, word], [measure, of, quality, word])
    count = en(english or article(rest), digit)
    return pair([digit, rest], [count, rest], "they" if many else "he")


def someone(rng: Random) -> Phrase:
    """A subject of one or two words: 我, 小明, 老师."""
    if rng.random() < 0.7:
        pronoun = rng.choice(PRONOUN_LIST)
        return entry(pronoun.chinese, pronoun.subject, pronoun.person)
    if rng.random() < 0.6:
        return named(rng)
    return noun_phrase(rng, rng.choice(nouns(["work"])), "the", "bare")


def relation(rng: Random) -> Phrase:
    """我妈妈, 她的朋友."""
    pronoun = rng.choice(PRONOUN_LIST)
    mine = entry(pronoun.chinese, pronoun.possessive)
    if rng.random() < 0.6:
        kin, _, english = rng.choice(KIN_LIST)
    else:
        kin, english = rng.choice((("朋友", "friend"), ("老师", "teacher")))
    who = entry(kin, english)
    return pair([mine, zh("的" if rng.random() < 0.4 else ""), who], [mine, who])


def people(rng: Random, kinds: str = "this those bare") -> Phrase:
    """Any subject who can act."""
    dice = rng.random()
    if dice < 0.55:
        return someone(rng)
    if dice < 0.7:
        return relation(rng)
    if dice < 0.76:
        first, second = named(rng), named(rng)
        both = entry("和", "and")
        return pair([first, both, second], [first, both, second], "they")
    if dice < 0.79:
        return entry("大家", "everyone")
    if dice < 0.83:
        word, person = rng.choice((("孩子们", "children"), ("学生们", "students"))), "they"
        group = entry(*word)
        return pair([group], [en("the"), group], person)
    return noun_phrase(rng, rng.choice(nouns(["person"])), "the", kinds)


def thing(rng: Random, tags: str = "thing food drink read watch animal hear open drive") -> Phrase:
    """A subject that one says something about; it is not a new one (no 一本书)."""
    noun = rng.choice(nouns(tags.split()))
    return noun_phrase(rng, noun, "the", "this those own bare relative")


def object_of(rng: Random, verb: Verb, kinds: str = "") -> Phrase:
    if "person" in verb.objects and rng.random() < 0.4:
        return named(rng) if rng.random() < 0.3 else object_pronoun(rng)
    noun = rng.choice(nouns(verb.objects))
    if noun.chinese == "歌":  # 唱歌 is a verb of its own
        kinds = kinds.replace(" bare", "") or "one number this those own relative"
    what = noun_phrase(rng, noun, verb.bare, kinds)
    if rng.random() < 0.04 and noun.chinese != "歌" and "person" not in noun.tags:
        more = noun_phrase(rng, rng.choice(nouns(verb.objects)), verb.bare, "own bare")
        both = entry("和", "and")
        what = pair([what, both, more], [what, both, more])
    return pair([what], [what], pairs=((verb.chinese, noun.chinese),))


def object_pronoun(rng: Random) -> Phrase:
    pronoun = rng.choice(PRONOUN_LIST)
    return entry(pronoun.chinese, pronoun.object)


# Times and places ------------------------------------------------------------------------------


def moment(rng: Random, name: str, chance: float) -> Phrase:
    if rng.random() > chance:
        return NOTHING
    return spelled(*rng.choice(TIMES[name]))


def location(rng: Random, zai: Phrase, verbal: bool = False) -> Phrase:
    """在桌子上, 在学校. If 在 is the verb (`verbal`), on comes from 上 alone."""
    if rng.random() < 0.5:
        place = rng.choice(PLACE_LIST)
        roomy = place.there.startswith("in the") and rng.random() < 0.5
        inside = zh("里" if roomy else "")
        origins = [inside] if verbal and roomy else [zai, inside]
        first, *rest, last = place.there.split()
        where = entry(place.chinese, last)
        return pair([zai, where, inside], [en(first, *origins), en(" ".join(rest)), where])
    tag, preposition, behind = local(rng)
    origins = [behind] if verbal else [zai, behind]
    what = noun_phrase(rng, rng.choice(nouns([tag])), "the", "this own bare bare")
    return pair([zai, what, behind], [en(preposition, *origins), what])


def local(rng: Random) -> tuple[str, str, Phrase]:
    """The tag of the nouns that fit, the preposition, and its characters."""
    if rng.random() < 0.75:
        name = rng.choice(list(LOCALIZERS))
        return name, name, zh(LOCALIZERS[name])
    chinese, english = rng.choice(BESIDE)
    return rng.choice(("on", "in", "under", "sight")), english, zh(chinese)


def destination(rng: Random) -> Phrase:
    place = rng.choice([place for place in PLACE_LIST if place.to.startswith("to ")])
    *words, last = place.to.split()
    where = entry(place.chinese, last)
    return pair([where], [en(" ".join(words)), where])
