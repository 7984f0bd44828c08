"""SmolLM2-135M-Instruct in Q4_1, against transformers (numbers) and llama.cpp (token ids)."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

import attnviz
from attnviz.models import load_model
from attnviz.models.gguf.file import GGUFFile
from attnviz.models.gguf.tokenizer import read_tokenizer
from tests.conftest import GOLDEN
from tests.golden.prompts import ATTENTIONS, HIDDEN, LOGITS, NASTY, PROMPTS
from tests.golden.texts import spread


@pytest.fixture(scope="module")
def model(smollm2):
    return load_model(str(smollm2))


@pytest.fixture(scope="module")
def samples():
    with np.load(GOLDEN / "smollm2.npz") as file:
        return dict(file)


@pytest.mark.parametrize("name", PROMPTS)
def test_numbers(model, samples, name):
    """All numbers of all prompts: `make_smollm2.py FILE.gguf --check`."""
    trace = attnviz.run(
        PROMPTS[name], model=model, hidden_states=True, logits=True, fingerprint=False
    )
    assert list(trace.streams["source"].ids) == samples[f"{name}/ids"].tolist()
    weights = spread(np.stack([record.weights for record in trace]))
    assert np.abs(weights - samples[f"{name}/attentions"]).max() <= ATTENTIONS
    assert np.abs(spread(trace.logits) - samples[f"{name}/logits"]).max() <= LOGITS
    states = np.stack(trace.hidden_states["decoder"])
    size = np.abs(states).max(-1, keepdims=True) + np.zeros_like(states)
    differences = np.abs(spread(states) - samples[f"{name}/hidden"])
    assert (differences / spread(size)).max() <= HIDDEN


@pytest.mark.parametrize("number", range(len(NASTY)))
def test_token_ids(model, samples, number):
    expected = samples[f"nasty/{number}"].tolist()
    assert list(model.tokenizer.encode(NASTY[number]).ids) == expected


def test_it_continues(cli, smollm2):
    done = cli("decode", "The capital of France is", "-m", smollm2, "-n", "1")
    assert done.returncode == 0, done.stderr
    assert "wrote    Paris" in done.stdout.decode()


def test_what_it_says_of_itself(model):
    facts = attnviz.run("I saw a saw", model=model).model
    assert facts.name == "SmolLM2-135M-Instruct.Q4_1"
    assert facts.family == "llama"
    assert facts.n_parameter == 134_515_008
    assert facts.task == "continue"
    expected = {"n_layer": 30, "n_head": 9, "n_kv_head": 3}
    assert {key: facts.shape[key] for key in expected} == expected
    assert facts.sha256.startswith("b179c952")


def test_it_opens_at_once(smollm2):
    """gguf's own reader makes an array for each token, and needs two seconds."""
    pytest.importorskip("gguf")
    start = time.process_time()
    file = GGUFFile(smollm2)
    opened = time.process_time() - start
    read_tokenizer(file.metadata, smollm2)
    assert opened < 0.3
    assert time.process_time() - start < 0.6


def test_memory(smollm2, tmp_path):
    """Of a picture of a ten-token prompt, as a whole process: not all weights are there at once,
    which would be 540 MB."""
    code = (  # a process of its own starts it: Linux counts a parent's memory as its child's
        "import resource, subprocess, sys\n"
        "subprocess.run([sys.executable, '-m', 'attnviz', *sys.argv[1:]], check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)"
    )
    command = ["run", PROMPTS["fox"], "-m", str(smollm2), "-o", str(tmp_path / "x.png")]
    done = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stderr.split()[-1]) < 450_000 * (1024 if sys.platform == "darwin" else 1)
