"""Sounds on the command line, by a tiny Whisper."""

from __future__ import annotations

import json
import shutil
import wave

import numpy as np
import pytest

import attnviz
from tests.conftest import GOLDEN

WHISPER = GOLDEN / "families" / "whisper"
PREPROCESSOR = {"feature_size": 5, "chunk_length": 1, "hop_length": 727}
"""A window of 22 frames."""

GENERATION = {"decoder_start_token_id": 3, "eos_token_id": 1, "forced_decoder_ids": [[1, 40]],
              "alignment_heads": [[0, 1], [1, 0], [1, 3]]}  # fmt: skip


@pytest.fixture
def whisper(tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(WHISPER / name, folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    (folder / "generation_config.json").write_text(json.dumps(GENERATION))
    return folder


@pytest.fixture
def sound(tmp_path, generator):
    path = tmp_path / "speech.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes((3000 * generator.standard_normal(4000)).astype("<i2").tobytes())
    return path


def test_decode(call, whisper, sound):
    done = call("decode", sound, "-m", whisper, "-n", 5, "--width", 200)
    assert (done.code, done.err) == (0, "")
    assert "speech.wav was resampled from 8000 to 16000 Hz" in done.out
    assert "silence fills the window of" in done.out
    assert "decoder.0.cross.H1 · decoder.1.cross.H0,H3: heads that look" in done.out
    assert "the sharpest of the heads that the checkpoint names for alignment" in done.out
    assert "keys 0-5 of 0-10, which hold" in done.out
    assert "1 #40" in done.out


def test_run_writes_what_python_computes(call, whisper, sound, tmp_path):
    done = call("run", sound, "-m", whisper, "-o", tmp_path / "a.npz")
    assert done.code == 0
    loaded = attnviz.load(tmp_path / "a.npz")
    trace = attnviz.run(sound=sound, model=whisper)
    for record in trace:
        np.testing.assert_array_equal(loaded[str(record.id)].weights, record.weights)
    assert loaded.streams["source"].roles == trace.streams["source"].roles
    assert loaded.model.alignment_heads == ("decoder.0.cross.H1", "decoder.1.cross.H0",
                                            "decoder.1.cross.H3")  # fmt: skip
    assert trace.streams["target"].ids[:2] == (3, 40)


def test_pictures_leave_out_silence_unless_it_is_asked_for(call, whisper, sound):
    head = ("run", sound, "-m", whisper, "-s", "decoder.1.cross.H3")
    done = call(*head)
    assert "alignment head" in done.out
    assert "shown: keys 0-5 of 0-10" in done.out
    assert "shown: keys" not in call(*head, "--keys", "0-").out
    assert "shown: keys 6-10 of 0-10" in call(*head, "--keys", "silence").out


@pytest.mark.parametrize("command", ["heads", "flow", "ablate"])
def test_other_commands_hear_it(call, whisper, sound, command):
    assert call(command, sound, "-m", whisper).code == 0


def test_a_spectrogram(call, whisper, tmp_path, generator):
    np.save(tmp_path / "mel.npy", generator.standard_normal((5, 22)))
    done = call("run", tmp_path / "mel.npy", "-m", whisper)
    assert (done.code, done.err) == (0, "")
    assert "silence" not in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "speech.wav"], "speech.wav is a file, and attnviz run reads a text"),
        (["decode", "speech.wav"], "speech.wav is a file, and attnviz decode reads a text"),
        (["run", "--ids", "3", "-m", "tiny"], "tiny hears sounds, not ids"),
        (["run", "hello", "-m", "tiny"], "hello does not exist"),
        (["run", "tiny", "-m", "tiny"], "tiny is a folder"),
    ],
)
def test_what_is_no_sound_or_no_model_of_speech(
    call, whisper, sound, arguments, message, monkeypatch
):
    monkeypatch.chdir(whisper.parent)
    done = call(*arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_a_processor_as_transformers_5_saves_it(whisper, sound):
    expected = attnviz.run(sound=sound, target=[3], model=whisper)
    (whisper / "preprocessor_config.json").unlink()
    saved = {"feature_extractor": PREPROCESSOR, "processor_class": "WhisperProcessor"}
    (whisper / "processor_config.json").write_text(json.dumps(saved))
    found = attnviz.run(sound=sound, target=[3], model=whisper)
    assert found.model.notes == expected.model.notes
    for record in found:
        np.testing.assert_array_equal(record.weights, expected[str(record.id)].weights)


@pytest.mark.parametrize("heads", [[[0, 4]], [[2, 0]], [[0]], 3, [["0", 1]]])
def test_alignment_heads_that_there_are_not(whisper, sound, heads):
    (whisper / "generation_config.json").write_text(json.dumps({"alignment_heads": heads}))
    with pytest.raises(attnviz.AttnvizError, match="alignment_heads of generation_config"):
        attnviz.run(sound=sound, model=whisper)


def test_a_model_of_texts_is_given_no_sound(sound):
    with pytest.raises(attnviz.AttnvizError, match="tagger does not read sounds"):
        attnviz.run(sound=sound)
    with pytest.raises(attnviz.AttnvizError, match="not two of them"):
        attnviz.run("a text", sound=sound)


def test_what_can_be_asked_of_it(call, whisper):
    said = call("models", whisper).out
    assert "decode FILE.wav" in said
    assert "0.999625 s of sound in 5 bands; at most 29 tokens of text" in said
    by_length = json.loads(call("models", whisper, "--json").out)["memory"]
    assert [each["tokens"] for each in by_length] == [29]
    n_record = 2 * (3 * 11 * 11 + 4 * 29 * 29 + 4 * 29 * 11) * 4
    assert n_record < by_length[0]["bytes"] < 2 * n_record


def test_the_language_is_detected(whisper, sound):
    """The most probable of the languages behind the first token."""
    from attnviz.models import load_model

    languages = {"<|en|>": 31, "<|fr|>": 33, "<|zh|>": 35}
    settings = {**GENERATION, "forced_decoder_ids": [[1, None], [2, 37]], "lang_to_id": languages}
    (whisper / "generation_config.json").write_text(json.dumps(settings))
    model = load_model(whisper)
    first = attnviz.run(sound=sound, target=[3], model=model, logits=True).logits[0]
    best = max(languages.values(), key=lambda id: first[id])
    assert first.argmax() not in languages.values()
    assert attnviz.run(sound=sound, model=model).streams["target"].ids[:3] == (3, best, 37)


def test_a_model_of_speech_is_not_called_one_of_texts(call, whisper):
    assert "reads sounds, not images" in call("image", "a.png", "-m", whisper).err
