"""WordNet's usage examples with the tags that are certain: what the taggers are trained on.

A tag is certain of
- the headword of an example: the synset says whether it is noun, verb, adjective or adverb;
- words of closed classes, some of them by their neighbours (`to` before a verb is PART);
- words that WordNet knows in one class only, in all their possible inflections;
- figures, signs, and names: a capital within a sentence that WordNet does not explain.
Every other word has no certain tag and is left out of the figures; in training it may have any of
the classes that WordNet knows it in.

Tags are those of Universal Dependencies, as its English corpora use them: possessives are PRON,
forms of *be* are AUX, particles of verbs ADP. A contraction has the tag of its first part.
"""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass

from tagger_wordnet import PARTS, Synset, WordNet

from attnviz.tokens import split_words


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


MOST_WORDS = 30
"""Of a text, in training and in the test."""

TAGS = _words("NOUN VERB ADJ ADV PRON DET ADP AUX CCONJ SCONJ PART NUM INTJ PROPN PUNCT")

CLOSED = {
    "DET": "a an the every another",
    "PRON": """i you he she it we they me him us them my your his her its our their mine yours
        hers ours theirs myself yourself himself herself itself ourselves yourselves themselves
        who whom whose someone somebody something anyone anybody anything everyone everybody
        everything nobody nothing none whoever oneself""",
    "ADP": """of at from with into onto in on by for among amongst between upon without toward
        towards during against amid beside besides despite per via concerning regarding than""",
    "AUX": """be am is are was were been being could would should shall ought isn't aren't wasn't
        weren't can't cannot couldn't won't wouldn't shouldn't don't doesn't didn't haven't
        hasn't hadn't mustn't needn't ain't""",
    "CCONJ": "and or but nor",
    "SCONJ": "if because although unless whether whereas lest though",
    "PART": "not",
    "ADV": "where why how when never too also very",
    "NUM": """two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
        sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety
        hundred thousand million billion""",
    "INTJ": "oh ah hey hello hi wow yes yeah alas ouch hurrah hooray goodbye",
}
CLOSED_TAGS = {word: tag for tag, words in CLOSED.items() for word in words.split()}

SUBJECTS = _words("i he she we they")
MODALS = _words("can will may might must")
HAVE = _words("have has had having")
DO = _words("do does did")
CONJUNCTIONS = _words("before after since until till")
PARTICLES = _words(
    "up down out off over through across around along under behind near above below inside "
    "outside past beyond within throughout about"
)
BY_NEIGHBOURS = {
    *MODALS, *HAVE, *DO, *CONJUNCTIONS, *PARTICLES,
    *_words("to that this these those there so no as while what which all some any each like one"),
    *_words("both either neither whatever whichever such please"),
}  # fmt: skip
"""Words of closed classes whose class depends on the neighbours, or is left open."""

NOMINAL = {"NOUN", "ADJ", "PROPN", "NUM"}
PHRASE = NOMINAL | {"DET", "PRON"}


@dataclass
class Example:
    text: str
    words: list[str]
    tags: list[str | None]
    """None: not certain."""
    heads: list[int]
    """Places of the words whose tag the synset gave."""
    choices: list[tuple[str, ...]]
    """The tags that are not excluded: the certain one, or WordNet's classes, or all."""


@dataclass
class Corpus:
    training: list[Example]
    held_out: list[Example]
    """One example in ten, by a hash of the text."""
    ambiguous: set[str]
    """Words that are certain nouns in the training text, and certain verbs."""
    noun_and_verb: set[str]
    """Words of the held-out text that WordNet knows as noun and as verb."""


def read_corpus(wordnet: WordNet, at_least: int = 1) -> Corpus:
    training, held_out = _read_examples(wordnet)
    counts = Counter(
        (word.lower(), tag)
        for e in training
        for word, tag in zip(e.words, e.tags, strict=True)
        if tag
    )
    words = {word for word, _ in counts}
    both = {w for w in words if min(counts[w, "NOUN"], counts[w, "VERB"]) >= at_least}
    seen = {word.lower() for example in held_out for word in example.words}
    known = {w for w in seen if wordnet.lemmas(w, "noun") and wordnet.lemmas(w, "verb")}
    return Corpus(training, held_out, both, known)


def _read_examples(wordnet: WordNet) -> tuple[list[Example], list[Example]]:
    synsets: dict[str, list[Synset]] = {}
    for synset in wordnet.synsets:
        for text in synset.examples:
            synsets.setdefault(text, []).append(synset)
    training, held_out = [], []
    for text in sorted(synsets):
        if 2 <= len(split_words(text)) <= MOST_WORDS:
            part = held_out if zlib.crc32(text.lower().encode()) % 10 == 0 else training
            part.append(label(text, synsets[text], wordnet))
    return training, held_out


def label(text: str, synsets: list[Synset], wordnet: WordNet) -> Example:
    """The certain tags of an example of these synsets."""
    words = split_words(text)
    heads = _headwords(words, synsets, wordnet)
    tags = [heads.get(i) or _alone(words, i, wordnet) for i in range(len(words))]
    lower = [word.lower() for word in words]
    for i, word in enumerate(lower):
        if word in BY_NEIGHBOURS and tags[i] is None:
            tags[i] = by_neighbours(lower, tags, i, wordnet)
    for i in range(len(words)):
        if tags[i] != "PUNCT" and "-" in words[max(0, i - 1) : i + 2]:
            tags[i] = None  # a part of a compound: follow-through
    choices = [(tag,) if tag else _choices(words, i, wordnet) for i, tag in enumerate(tags)]
    return Example(text, words, tags, [i for i in heads if tags[i] is not None], choices)


def _headwords(words: list[str], synsets: list[Synset], wordnet: WordNet) -> dict[int, str]:
    """By place: the tags that the synsets give, where a synset's words occur just once."""
    found: dict[int, set[str]] = {}
    for synset in synsets:
        places = [i for i, word in enumerate(words) if _belongs(word, synset, wordnet)]
        if len(places) == 1:
            [i] = places
            found.setdefault(i, set()).add(_tag_in(synset, words[i], first=i == 0))
    return {
        i: tags.pop()
        for i, tags in found.items()
        if len(tags) == 1 and words[i].lower() not in CLOSED_TAGS
    }


def _tag_in(synset: Synset, word: str, first: bool) -> str:
    tag = PARTS[synset.part]
    name = word[0].isupper() and not first and word.lower() not in synset.lemmas
    return "PROPN" if tag == "NOUN" and name else tag


def _belongs(word: str, synset: Synset, wordnet: WordNet) -> bool:
    """Whether a word is a form of one of the synset's; that of a name has a capital."""
    names = {lemma.lower() for lemma in synset.lemmas} if word[0].isupper() else set()
    lemmas = wordnet.lemmas(word.lower(), synset.part)
    return any(lemma in synset.lemmas or lemma in names for lemma in lemmas)


def _alone(words: list[str], i: int, wordnet: WordNet) -> str | None:
    """The tag of a word that needs no neighbours."""
    word, lower = words[i], words[i].lower()
    if not any(char.isalnum() for char in word):
        return "PUNCT"
    if any(char.isdigit() for char in word):
        return "NUM" if not any(char.isalpha() for char in word) else None
    if lower in CLOSED_TAGS:
        return CLOSED_TAGS[lower]
    if lower in BY_NEIGHBOURS or len(word) == 1:
        return None
    stem, apostrophe, _ = word.replace("’", "'").partition("'")
    if apostrophe and stem:
        return CLOSED_TAGS.get(stem.lower()) or _alone([*words[:i], stem], i, wordnet)
    tags = wordnet.tags(word, first=i == 0)
    if not tags and i and word[0].isupper() and not wordnet.tags(lower, first=False):
        return "PROPN"
    return tags.pop() if len(tags) == 1 else None


def _choices(words: list[str], i: int, wordnet: WordNet) -> tuple[str, ...]:
    """The tags that a word without a certain one may have."""
    word, lower = words[i], words[i].lower()
    if lower in BY_NEIGHBOURS or not word.isalpha() or "-" in words[max(0, i - 1) : i + 2]:
        return TAGS
    tags = wordnet.tags(word, first=i == 0)
    if i and word[0].isupper():
        tags |= wordnet.tags(lower, first=False) | {"PROPN"}
    return tuple(sorted(tags)) if tags else TAGS


def by_neighbours(words: list[str], tags: list[str | None], i: int, wordnet: WordNet) -> str | None:
    """The tag of a word of `BY_NEIGHBOURS`, in lower case like all words, where it is certain."""
    word = words[i]
    before, after = (words[j] if 0 <= j < len(words) else "" for j in (i - 1, i + 1))
    tag_before, tag_after = (tags[j] if 0 <= j < len(words) else "PUNCT" for j in (i - 1, i + 1))
    verb_after = tag_after == "VERB" or after in {"be", "have", "do"}
    base_after = verb_after and after in wordnet.lemmas(after, "verb")
    subject_after = after in SUBJECTS
    if word == "to":
        return "PART" if base_after else "ADP" if tag_after in PHRASE else None
    if word in MODALS:
        auxiliary = base_after or subject_after or after in {"not", "never"} or before in SUBJECTS
        return "AUX" if auxiliary and tag_before != "DET" else None
    if word in HAVE:
        if after == "been" or (tag_after == "VERB" and not base_after):
            return "AUX"
        return "VERB" if tag_after == "DET" or after == "to" else None
    if word in DO:
        return "AUX" if base_after or subject_after or after == "not" else None
    if word in CONJUNCTIONS:
        if subject_after:
            return "SCONJ"
        later = [wordnet.tags(w, first=False) | {tag} for w, tag in zip(words, tags, strict=True)]
        verbless = not any({"VERB", "AUX"} & possible for possible in later[i + 1 :])
        return "ADP" if verbless and tag_after in PHRASE else None
    if word in PARTICLES:
        return "ADP" if tag_after in {"DET", "PRON", "PROPN"} else None
    if word in {"this", "these", "those"}:
        return "PRON" if tag_after in {"AUX", "PUNCT"} else "DET" if tag_after in NOMINAL else None
    if word == "that" and tag_after in {"AUX", "PUNCT"}:
        return "PRON" if tag_before in {"PUNCT", "NOUN"} else None
    if word == "that" and tag_before == "VERB":
        return "SCONJ" if subject_after or after in {"the", "a", "there"} else None
    if word == "there":
        return "PRON" if after in {"is", "are", "was", "were", "be", "been"} else None
    if word == "so":
        return "SCONJ" if after == "that" else "ADV" if tag_after in {"ADJ", "ADV"} else None
    if word == "as":
        clause_after = subject_after or after in {"if", "though"}
        return "SCONJ" if clause_after else "ADP" if after in {"a", "an"} else None
    if word == "while":
        return "NOUN" if before in {"a", "the"} else "SCONJ" if subject_after else None
    if word in {"what", "which"}:
        return "PRON" if subject_after or tag_after == "AUX" else None
    if word in {"no", "all", "some", "any", "each"}:
        return "DET" if tag_after in {"NOUN", "ADJ"} else None
    if word == "like" and before.startswith("look"):
        return "ADP" if after in {"a", "an", "the"} else None
    return None
