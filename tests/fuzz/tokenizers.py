"""Tokenizers with random settings beside them, against transformers.

Every kind of vocabulary is read with random settings; random texts have the same ids as what
`AutoTokenizer` reads, or attnviz refuses with an error; other ids are a finding.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from attnviz.models.build.families import FAMILIES
from tests.golden.tokenizers.kinds import KINDS, SETTINGS, Kind, settings_of, write
from tests.golden.tokenizers.texts import random_texts

N_TEXT = 300
"""Texts by folder of files."""


def random_settings(random_: random.Random, kind: Kind) -> dict[str, dict[str, Any]]:
    """The files beside a vocabulary, by name."""
    config: dict[str, Any] = {}
    for key in random_.sample(sorted(SETTINGS), random_.choice((0, 1, 2, 3, 5))):
        config[key] = random_.choice(SETTINGS[key])
    is_known = kind.family in FAMILIES
    if not is_known or random_.random() < 0.8:
        config["tokenizer_class"] = random_.choice(kind.classes)
    files = {"tokenizer_config.json": config} if not is_known or random_.random() < 0.95 else {}
    if random_.random() < 0.1:
        files["added_tokens.json"] = {"<new>": n_entry(kind), "snake": n_entry(kind) + 1}
    if random_.random() < 0.1:
        key = random_.choice(("eos_token", "bos_token", "mask_token", "additional_special_tokens"))
        files["special_tokens_map.json"] = {key: random_.choice(SETTINGS[key])}
    return files


@cache
def n_entry(kind: Kind) -> int:
    from attnviz.models.tokenizers.files import read_tokenizers

    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), kind, settings_of(kind, {}))
        return read_tokenizers(Path(folder), {"model_type": kind.family}).source.n_entry or 0


def reference(folder: Path, texts: list[str], pairs: list[str]) -> list[list[int]] | None:
    """The ids that transformers gives texts, and texts in pairs; None if it cannot."""
    import transformers

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        single = tokenizer(texts)["input_ids"]
        double = tokenizer(pairs, pairs[::-1])["input_ids"]
    except Exception:
        return None
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        return None
    return [*single, *double]


def compare(folder: Path, kind: Kind, seed: int) -> tuple[str, str]:
    """`same`, `refused`, `not there` or what is wrong, and an example."""
    from attnviz.errors import AttnvizError
    from attnviz.models.tokenizers.files import read_tokenizers

    texts = random_texts(seed, N_TEXT)
    pairs = texts[: N_TEXT // 10]
    expected = reference(folder, texts, pairs)
    if expected is None:
        return "not there", ""
    given = [(text,) for text in texts] + list(zip(pairs, pairs[::-1], strict=True))
    try:
        tokenizer = read_tokenizers(folder, {"model_type": kind.family}).source
        for each, ids in zip(given, expected, strict=True):
            found = tokenizer.encode(*each)
            if list(found.ids) != ids:
                noted = "may differ" in " ".join(found.notes)
                return "said" if noted else "wrong", f"{each!r}: {list(found.ids)} is not {ids}"
    except AttnvizError as error:
        return "refused", str(error).replace(str(folder), "")
    return "same", ""


def serialized() -> dict[str, Kind]:
    """Kinds of older files as the `tokenizer.json` that transformers makes of them."""
    import transformers

    kinds = {}
    for name, kind in KINDS.items():
        if "tokenizer.json" in kind.files:
            continue
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), kind, settings_of(kind, {}))
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        if tokenizer.is_fast:
            files = {"tokenizer.json": tokenizer.backend_tokenizer.to_str(pretty=True)}
            kinds[f"{name} as tokenizer.json"] = Kind(kind.family, files, kind.classes)
    return kinds


def run(seconds: float, seed: int, only: str = "") -> Iterator[str]:
    """Findings, each with the settings."""
    try:
        import transformers
    except ImportError:
        print("transformers is not installed: no tokenizers are compared")
        return
    transformers.logging.set_verbosity_error()
    random_ = random.Random(seed)
    kinds = {name: kind for name, kind in {**KINDS, **serialized()}.items() if only in name}
    counts: dict[str, Counter[str]] = {name: Counter() for name in kinds}
    refusals: Counter[str] = Counter()
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        name = sorted(counts)[number % len(counts)]
        number += 1
        files = random_settings(random_, kinds[name])
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), kinds[name], files)
            verdict, example = compare(Path(folder), kinds[name], seed * 10_000 + number)
        counts[name][verdict] += 1
        if verdict == "refused":
            refusals[example] += 1
        if verdict in ("wrong", "said"):
            yield f"{name} (number {number} of seed {seed}) {json.dumps(files)}\n  {example}"
    for name, count in sorted(counts.items()):
        print(
            f"{name}: {count['same']} of {count.total()} the same, {N_TEXT} texts each: {dict(count)}"
        )
    for message, count in refusals.most_common(30):
        print(f"refused {count} times: {message}")
