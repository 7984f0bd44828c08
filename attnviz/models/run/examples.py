"""A file of examples -> probes of a model, with what is right."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.files import read_file
from attnviz.models.model import Model
from attnviz.models.run.inputs import read_target, read_text
from attnviz.models.run.prepare import prepare_tokens
from attnviz.models.run.probe import UNKNOWN, Probe, make_probe, pair_probe, without_end
from attnviz.parse import parse_json
from attnviz.registry import nearest


def read_examples(model: Model, path: Path) -> list[Probe]:
    """One probe for each line of a file.

    `SOURCE<TAB>TARGET` for models that write; for taggers JSON with `tags`, null where unknown,
    and `text` or `words`.

    Raises:
        AttnvizError: names the line.
    """
    readers: dict[str, Callable[[Model, str], Probe]] = {
        "tag": _tagging_probe,
        "continue": _writing_probe,
    }
    if model.task not in readers:
        raise AttnvizError(
            f"--data is for models that tag or write; {model.name} does neither",
            "give a text, without --data",
        )
    probes = []
    for number, line in numbered_lines(path):
        try:
            probes.append(readers[model.task](model, line))
        except AttnvizError as error:
            raise AttnvizError(f"{path}, line {number}: {error.message}", error.hint) from error
    if not probes:
        raise AttnvizError(f"{path} has no lines", "one example a line")
    return probes


def _writing_probe(model: Model, line: str) -> Probe:
    """`SOURCE<TAB>TARGET`; of a decoder alone, the target is what comes after the source."""
    source_text, tab, target_text = line.partition("\t")
    if not tab or not source_text.strip() or not target_text.strip():
        raise AttnvizError(f"expected SOURCE<TAB>TARGET, got {line!r:.60}", "one tab in each line")
    source = read_text(model, source_text)
    if model.kind == "encoder-decoder":
        reader = model.output_tokenizer
        target = without_end(model, read_target(model, target_text))
        if reader.begin is not None and target.ids[0] != reader.begin:
            target = reader.take([reader.begin]).followed_by(target)
        ends = [] if reader.end is None else [reader.end]
        probe, right = pair_probe(model, source, target), [*target.ids[1:], *ends]
        positions = np.arange(len(right))
    else:
        text = without_end(model, read_text(model, source_text + target_text))
        n_prefix = _common_prefix(source.ids, text.ids)
        positions, right = np.arange(n_prefix - 1, len(text) - 1), list(text.ids[n_prefix:])
        probe = Probe(prepare_tokens(model, {"source": text}, stages=()), positions)
        if n_prefix == 0 or not right:
            raise AttnvizError("the target adds no token to the source", "a longer target")
    return probe._replace(positions=positions, right=np.array(right), all_or_nothing=True)


def _tagging_probe(model: Model, line: str) -> Probe:
    """JSON with `tags`, and `text` or `words`."""
    entry = _json(line)
    words, tags = entry.get("words"), entry.get("tags")
    text = " ".join(map(str, words)) if isinstance(words, list) else entry.get("text")
    if not isinstance(text, str) or not isinstance(tags, list):
        raise AttnvizError(
            f"expected an object with text (or words) and tags, got {line!r:.60}",
            '{"text": "I saw", "tags": ["PRON", "VERB"]}',
        )
    probe = make_probe(model, text)
    if len(probe.positions) != len(tags):
        raise AttnvizError(
            f"{len(tags)} tags for {len(probe.positions)} tokens", "a tag, or null, for each token"
        )
    if all(tag is None for tag in tags):
        raise AttnvizError("no tag is known: nothing could be right", "leave out the line")
    for tag in tags:
        if tag is not None and tag not in model.labels:
            raise AttnvizError(f"{model.name} has no tag {tag!r}", nearest(str(tag), model.labels))
    right = [UNKNOWN if tag is None else model.labels.index(tag) for tag in tags]
    return probe._replace(right=np.array(right), watched=None)


def _common_prefix(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """The number of ids that both begin with."""
    n = min(len(a), len(b))
    return next((i for i in range(n) if a[i] != b[i]), n)


def _json(line: str) -> dict[str, Any]:
    try:
        entry = parse_json(line.encode())
    except ValueError as error:
        raise AttnvizError(f"not JSON: {error}", "one object a line") from error
    return entry if isinstance(entry, dict) else {}


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, counted from 1."""
    content = read_file(path, "check the path").removeprefix(BOM_UTF8)
    for number, line in enumerate(content.splitlines(), 1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise AttnvizError(
                f"{path}, line {number}: not UTF-8: {error}", "iconv -t utf-8"
            ) from error
        if text.strip():
            yield number, text
