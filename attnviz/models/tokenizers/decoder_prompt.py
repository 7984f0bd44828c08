"""What the decoder of a model of speech is given before it writes: `generation_config.json`.

Source: Radford et al. 2023, section 2.3; transformers 5.23, `generation_whisper.py`, of which this
does what `generate` does if nothing is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.models.json_object import read_object

TRANSCRIBE = "transcribe"


def read_prompt(
    folder: Path, config: Mapping[str, Any], language: str | None = None
) -> tuple[list[int | None], dict[str, int]]:
    """The ids after the first, and the tokens of languages.

    None stands for a language that is to be detected.

    Raises:
        AttnvizError: fields that are malformed.
    """
    path = folder / "generation_config.json"
    settings = read_object(path) if path.exists() else {}
    languages, tasks = (_ids(settings, key, path) for key in ("lang_to_id", "task_to_id"))
    prompt: list[int | None] = []
    language, task = language or settings.get("language"), settings.get("task")
    if language is None and task is None:
        prompt = _forced(settings.get("forced_decoder_ids"), path)
        prompt = prompt or _forced(config.get("forced_decoder_ids"), folder / "config.json")
    if language is not None:
        prompt[:1] = [_language(str(language), languages, path)]
    elif languages and (not prompt or prompt[0] is None):
        prompt[:1] = [None]
    if task in tasks:
        prompt.append(tasks[task])
    elif language is not None and TRANSCRIBE in tasks:
        prompt.append(tasks[TRANSCRIBE])
    no_times = settings.get("no_timestamps_token_id")
    if type(no_times) is int and not settings.get("return_timestamps") and no_times not in prompt:
        prompt.append(no_times)
    return prompt, languages


def _language(name: str, languages: Mapping[str, int], path: Path) -> int:
    for spelled in (name, f"<|{name.lower()}|>"):
        if spelled in languages:
            return languages[spelled]
    known = ", ".join(sorted(each.strip("<|>") for each in languages))
    raise AttnvizError(
        f"{path}: the language {name!r:.40} is not known", f"known: {known or 'none'}"
    )


def _forced(pairs: Any, path: Path) -> list[int | None]:
    """The ids at places 1, 2, …: [[1, null], [2, 50359]]."""
    if pairs is None or pairs == []:
        return []
    fits = isinstance(pairs, list) and all(
        isinstance(pair, list)
        and len(pair) == 2
        and pair[0] == place
        and (pair[1] is None or type(pair[1]) is int)
        for place, pair in enumerate(pairs, 1)
    )
    if not fits:
        raise AttnvizError(
            f"{path}: forced_decoder_ids = {str(pairs)[:60]}, expected [[1, id], [2, id], …]",
            "download it again",
        )
    return [pair[1] for pair in pairs]


def _ids(settings: Mapping[str, Any], key: str, path: Path) -> dict[str, int]:
    value = settings.get(key) or {}
    if not isinstance(value, dict) or not all(type(id) is int for id in value.values()):
        raise AttnvizError(
            f"{path}: {key} = {str(value)[:60]}, expected ids by name", "download it again"
        )
    return value
