"""What a decoder is given first, as `generate` of transformers 5.23 has it."""

from __future__ import annotations

import json

import pytest

from attnviz.errors import AttnvizError
from attnviz.models.tokenizers.decoder_prompt import read_prompt

LANGUAGES = {"<|en|>": 31, "<|fr|>": 33, "<|zh|>": 35}
SEVERAL = {
    "lang_to_id": LANGUAGES,
    "task_to_id": {"translate": 36, "transcribe": 37},
    "no_timestamps_token_id": 40,
}


def prompt(folder, settings, config=None, **asked):
    (folder / "generation_config.json").write_text(json.dumps(settings))
    return read_prompt(folder, config or {}, **asked)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, []),
        ({"forced_decoder_ids": [[1, 40]]}, [40]),
        ({"no_timestamps_token_id": 40}, [40]),
        ({"no_timestamps_token_id": 40, "return_timestamps": True}, []),
        ({**SEVERAL, "forced_decoder_ids": [[1, None], [2, 37]]}, [None, 37, 40]),
        ({**SEVERAL, "forced_decoder_ids": [[1, 33], [2, 36], [3, 40]]}, [33, 36, 40]),
        (SEVERAL, [None, 40]),
        ({**SEVERAL, "language": "fr"}, [33, 37, 40]),
        ({**SEVERAL, "language": "<|zh|>", "task": "translate"}, [35, 36, 40]),
        ({**SEVERAL, "task": "translate"}, [None, 36, 40]),
    ],
)
def test_prompts(settings, expected, tmp_path):
    assert prompt(tmp_path, settings)[0] == expected


def test_older_checkpoints_have_it_in_their_config(tmp_path):
    assert read_prompt(tmp_path, {"forced_decoder_ids": [[1, 7]]}) == ([7], {})
    assert prompt(tmp_path, {"forced_decoder_ids": [[1, 8]]}, {"forced_decoder_ids": [[1, 7]]}) == (
        [8],
        {},
    )


def test_a_language_that_is_asked_for(tmp_path):
    settings = {**SEVERAL, "forced_decoder_ids": [[1, 33], [2, 36]]}
    assert prompt(tmp_path, settings, language="EN") == ([31, 37, 40], LANGUAGES)
    with pytest.raises(AttnvizError, match="the language 'tlh' is not known") as error:
        prompt(tmp_path, settings, language="tlh")
    assert error.value.hint == "known: en, fr, zh"


@pytest.mark.parametrize(
    "settings",
    [
        {"forced_decoder_ids": [[2, 40]]},
        {"forced_decoder_ids": [[1, "a"]]},
        {"forced_decoder_ids": 3},
        {"lang_to_id": [3]},
        {"task_to_id": {"translate": "a"}},
    ],
)
def test_malformed(settings, tmp_path):
    with pytest.raises(AttnvizError, match=next(iter(settings))):
        prompt(tmp_path, settings)
