"""One small file of every kind that attnviz reads."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import attnviz
from tests.conftest import GOLDEN, HERE
from tests.golden.tokenizers.variants import VARIANTS, write

OLDER = {"bert": "bert", "bert-cased": "bert", "gpt2": "gpt2", "opt": "opt", "roberta": "roberta",
         "marian": "marian"}  # fmt: skip
"""The folders of tokenizers without `tokenizer.json`, and their families."""


class Sample(NamedTuple):
    """A file, and the command line that reads it."""

    path: str
    """Below the folder of the samples."""
    command: tuple[str, ...]


def _traces(folder: Path) -> list[Sample]:
    trace = attnviz.run("I saw a saw", stages=("weights", "logits", "q", "k", "v"))
    samples = []
    for suffix in ("npz", "json", "safetensors"):
        trace.save(folder / f"trace.{suffix}")
        samples.append(Sample(f"trace.{suffix}", ("show", f"trace.{suffix}")))
    return samples


def _arrays(folder: Path) -> list[Sample]:
    weights = np.random.default_rng(0).dirichlet(np.ones(5), (2, 3, 5)).astype(np.float32)
    np.save(folder / "w.npy", weights)
    np.savez(folder / "w.npz", *weights)
    return [Sample(name, ("heads", name)) for name in ("w.npy", "w.npz")]


def _checkpoints(folder: Path) -> list[Sample]:
    samples = []
    for family in ("bert-tiny", "families/llama", "families/t5"):
        source, target = GOLDEN / family, folder / Path(family).name
        target.mkdir()
        for path in source.iterdir():
            if (
                path.suffix in (".json", ".safetensors", ".txt", ".model")
                and path.name != "fields.json"
            ):
                shutil.copy(path, target)
                (target / path.name).chmod(0o644)
        reads = ("run", "--ids", "5,6,7") if "families" in family else ("run", "i saw")
        samples += [
            Sample(f"{target.name}/{path.name}", (*reads, "-m", target.name))
            for path in sorted(target.iterdir())
        ]
    return samples


TEXT = "I saw aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab: 3.1 \u5730 <mask>!"
"""A text of many kinds of characters, and of so many letters that bad patterns take long."""

BESIDE: dict[str, dict[str, Any]] = {
    "special_tokens_map.json": {
        "mask_token": {"content": "<mask>", "lstrip": True, "rstrip": False, "normalized": False},
        "additional_special_tokens": ["<e1>", "<e2>"],
    },
    "added_tokens.json": {},
    "generation_config.json": {"bos_token_id": 1, "eos_token_id": [2, 3]},
}
"""Files beside a tokenizer."""


def _tokenizers(folder: Path) -> list[Sample]:
    """Checkpoint folders with every kind of tokenizer file there is among the goldens."""
    samples = []
    for name, family in OLDER.items():
        samples += _tokenizer(folder / f"tokenizer-{name}", family, GOLDEN / "tokenizers" / name)
    for name, variant in VARIANTS.items():
        with tempfile.TemporaryDirectory() as files:
            write(variant, Path(files))
            (Path(files) / "config.json").unlink()
            samples += _tokenizer(folder / f"tokenizer {name}", variant.family, Path(files))
    return samples


def _tokenizer(target: Path, family: str, files: Path) -> list[Sample]:
    """A checkpoint of a family with the files of a tokenizer."""
    shutil.copytree(GOLDEN / "families" / family, target)
    written = list(BESIDE)
    for name, content in BESIDE.items():
        (target / name).write_text(json.dumps(content))
    for path in files.iterdir():
        if path.is_file():
            shutil.copy(path, target)
            written.append(path.name)
    decodes = "ForCausalLM" in (target / "config.json").read_text()
    commands = [("run", TEXT, "-m", target.name), ("run", "saw", "--pair", "a", "-m", target.name)]
    if decodes:
        commands.append(("decode", "--ids", "5,6,7", "-n", "3", "-m", target.name))
    return [
        Sample(f"{target.name}/{name}", command)
        for name in dict.fromkeys(written)
        for command in commands
    ]


def _texts(folder: Path) -> list[Sample]:
    (folder / "stack.toml").write_text('layers = 1\nheads = 2\nmask = "causal"\n')
    (folder / "lesson.toml").write_text('lesson = "retrieval"\nsimilarities = [1, 1, 8, 0, 0]\n')
    lines = [json.dumps({"text": "I saw a saw"}), json.dumps({"text": "a dog"})]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "corpus.txt").write_text("I saw a saw\na dog\n")
    return [
        Sample("stack.toml", ("run", "I saw", "-m", "stack.toml")),
        Sample("lesson.toml", ("learn", "lesson.toml")),
        Sample("corpus.jsonl", ("scan", "corpus.jsonl", "--workers", "1", "--json")),
        Sample("corpus.txt", ("scan", "corpus.txt", "--workers", "1", "--json")),
    ]


def _images(folder: Path) -> list[Sample]:
    shutil.copy(HERE.parent / "samples" / "digits" / "3.png", folder / "3.png")
    return [Sample("3.png", ("image", "3.png"))]


def _gguf(folder: Path) -> list[Sample]:
    """A tiny Llama as GGUF, where the package that writes them is installed."""
    try:
        from tests.models.gguf.convert import convert
    except ImportError:
        return []
    from safetensors.numpy import load_file

    source = GOLDEN / "families" / "llama"
    config = json.loads((source / "config.json").read_text())
    convert(config, load_file(source / "model.safetensors"), folder / "llama.gguf")
    return [Sample("llama.gguf", ("run", "--ids", "5,6,7", "-m", "llama.gguf"))]


MAKERS: tuple[Callable[[Path], list[Sample]], ...] = (
    _traces, _arrays, _checkpoints, _tokenizers, _texts, _images, _gguf,
)  # fmt: skip


def make_all(folder: Path) -> list[Sample]:
    return [sample for make in MAKERS for sample in make(folder)]


def write_all(folder: Path) -> list[Path]:
    """The samples' files and folders."""
    make_all(folder)
    return sorted(folder.iterdir())
