"""WordNet's files: the classes of a word form, and the usage examples of its synsets.

WordNet 3.0 is Debian's package `wordnet-base`; without installing it:

    apt-get download wordnet-base && dpkg-deb -x wordnet-base*.deb FOLDER

puts the files into FOLDER/usr/share/wordnet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PARTS = {"noun": "NOUN", "verb": "VERB", "adj": "ADJ", "adv": "ADV"}
"""WordNet's files and the tags of their words."""

ENDINGS = {
    "noun": "s: ses:s xes:x zes:z ches:ch shes:sh men:man ies:y",
    "verb": "s: ies:y es:e es: ed:e ed: ing:e ing:",
    "adj": "er: est: er:e est:e",
    "adv": "",
}
"""WordNet's own rules of detachment (man page morphy.7WN), as `ending:what takes its place`."""


@dataclass(frozen=True)
class Synset:
    part: str
    lemmas: frozenset[str]
    """As they are written: names have capitals."""
    definition: str
    examples: tuple[str, ...]


class WordNet:
    def __init__(self, folder: Path) -> None:
        self.synsets = [synset for part in PARTS for synset in _synsets(folder, part)]
        self.spellings: dict[str, dict[str, set[str]]] = {part: {} for part in PARTS}
        """By part and lemma in lower case: how it is written."""
        for synset in self.synsets:
            for lemma in synset.lemmas:
                self.spellings[synset.part].setdefault(lemma.lower(), set()).add(lemma)
        self.irregular = {part: _exceptions(folder / f"{part}.exc") for part in PARTS}
        self._lemmas: dict[tuple[str, str], list[str]] = {}

    def lemmas(self, form: str, part: str) -> list[str]:
        """The lemmas in `part` that a form in lower case may belong to, by WordNet's rules."""
        if (form, part) not in self._lemmas:
            self._lemmas[form, part] = self._find_lemmas(form, part)
        return self._lemmas[form, part]

    def _find_lemmas(self, form: str, part: str) -> list[str]:
        candidates = [form, *self.irregular[part].get(form, ())]
        for rule in ENDINGS[part].split():
            ending, instead = rule.split(":")
            if form.endswith(ending) and len(form) > len(ending):
                candidates.append(form[: -len(ending)] + instead)
        known = self.spellings[part]
        return [lemma for lemma in dict.fromkeys(candidates) if lemma in known]

    def tags(self, word: str, first: bool) -> set[str]:
        """All the tags that a word as it is written may have; a first word may owe its capital
        to its place."""
        capital = word[:1].isupper()
        tags = set()
        for part, tag in PARTS.items():
            for lemma in self.lemmas(word.lower(), part):
                for spelling in self.spellings[part][lemma]:
                    name = spelling[:1].isupper()
                    if name == capital or (first and capital):
                        tags.add("PROPN" if name and part == "noun" else tag)
        return tags


def _synsets(folder: Path, part: str) -> Iterator[Synset]:
    for line in (folder / f"data.{part}").read_text("utf-8").splitlines():
        if line.startswith(" "):
            continue  # the licence
        fields, gloss = line.split("|", 1)
        words = fields.split()
        n_lemma = int(words[3], 16)
        lemmas = [re.sub(r"\(.*\)", "", lemma) for lemma in words[4 : 4 + 2 * n_lemma : 2]]
        examples = re.findall(r'"([^"]+)"', gloss)
        definition = gloss.split('"')[0].strip(" ;")
        yield Synset(part, frozenset(lemmas), definition, tuple(examples))


def _exceptions(path: Path) -> dict[str, list[str]]:
    lines = (line.split() for line in path.read_text("utf-8").splitlines())
    return {form: lemmas for form, *lemmas in lines}
