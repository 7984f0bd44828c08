"""One small file of every kind that attnviz reads."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load_file, save_file

import attnviz
from attnviz.cli import run_cli
from attnviz.models import PACKAGED
from tests.conftest import GOLDEN, HERE
from tests.golden.tokenizers.kinds import KINDS, settings_of
from tests.golden.tokenizers.kinds import write as write_kind
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
        samples += [
            Sample(f"trace.{suffix}", command)
            for command in (
                ("show", f"trace.{suffix}"),
                ("heads", f"trace.{suffix}", "--json"),
                ("diff", f"trace.{suffix}", "other.npz"),
            )
        ]
    shutil.copy(folder / "trace.npz", folder / "other.npz")
    return samples


def _results(folder: Path) -> list[Sample]:
    """What other commands read of what commands wrote."""
    text = ("I saw a saw",)
    for name in ("heads.npz", "heads.json"):
        with contextlib.redirect_stderr(io.StringIO()):
            assert run_cli(["heads", *text, "-o", str(folder / name)]) == 0
    np.save(folder / "mask.npy", np.tri(4, dtype=bool))
    (folder / "tokens.txt").write_text("a\nb\nc\nd\ne\n")
    (folder / "tagged.jsonl").write_text('{"text": "I saw", "tags": ["PRON", "VERB"]}\n')
    return [
        Sample("heads.npz", ("heads", "heads.npz")),
        Sample("heads.json", ("heads", "heads.json")),
        Sample("mask.npy", ("run", *text, "-m", "random", "--mask-file", "mask.npy")),
        Sample("tokens.txt", ("show", "w.npy", "--tokens", "tokens.txt")),
        Sample("tagged.jsonl", ("ablate", "--data", "tagged.jsonl")),
    ]


def _arrays(folder: Path) -> list[Sample]:
    weights = np.random.default_rng(0).dirichlet(np.ones(5), (2, 3, 5)).astype(np.float32)
    np.save(folder / "w.npy", weights)
    np.savez(folder / "w.npz", *weights)
    save_file({"weights": weights}, folder / "w.safetensors")
    (folder / "w.json").write_text(json.dumps(weights.tolist()))
    names = ("w.npy", "w.npz", "w.safetensors", "w.json")
    return [Sample(name, (command, name)) for name in names for command in ("heads", "show")]


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


def _shards(folder: Path) -> list[Sample]:
    """A checkpoint in two files with an index."""
    source, target = GOLDEN / "families" / "llama", folder / "shards"
    target.mkdir()
    (target / "config.json").write_bytes((source / "config.json").read_bytes())
    tensors = load_file(source / "model.safetensors")
    file_of = {name: f"model-{number % 2}.safetensors" for number, name in enumerate(tensors)}
    for file in sorted(set(file_of.values())):
        save_file({n: tensors[n] for n in tensors if file_of[n] == file}, target / file)
    index = target / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": file_of}))
    command = ("run", "--ids", "5,6,7", "-m", "shards")
    return [Sample(f"shards/{path.name}", command) for path in sorted(target.iterdir())]


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
    for name, kind in KINDS.items():
        if name.endswith(".model") and (GOLDEN / "families" / kind.family).is_dir():
            with tempfile.TemporaryDirectory() as files:
                write_kind(Path(files), kind, settings_of(kind, {}))
                (Path(files) / "config.json").unlink()
                samples += _tokenizer(folder / f"tokenizer {name}", kind.family, Path(files))
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
    shutil.copytree(PACKAGED / "digits", folder / "digits")
    of_folder = ("image", "3.png", "-m", "digits")
    return [
        Sample("3.png", ("image", "3.png")),
        *(
            Sample(f"digits/{path.name}", of_folder)
            for path in sorted((folder / "digits").iterdir())
        ),
    ]


def _gguf(folder: Path) -> list[Sample]:
    """A tiny Llama as GGUF, where the package that writes them is installed."""
    try:
        from tests.models.gguf.convert import convert
    except ImportError:
        return []
    source = GOLDEN / "families" / "llama"
    config = json.loads((source / "config.json").read_text())
    convert(config, load_file(source / "model.safetensors"), folder / "llama.gguf")
    return [
        Sample("llama.gguf", ("run", "--ids", "5,6,7", "-m", "llama.gguf")),
        Sample("llama.gguf", ("models", "llama.gguf")),
        Sample("llama.gguf", ("models", ".")),
    ]


MAKERS: tuple[Callable[[Path], list[Sample]], ...] = (
    _traces, _arrays, _results, _shards, _checkpoints, _tokenizers, _texts, _images, _gguf,
)  # fmt: skip


def make_all(folder: Path) -> list[Sample]:
    return [sample for make in MAKERS for sample in make(folder)]


def write_all(folder: Path) -> list[Path]:
    """The samples' files and folders."""
    make_all(folder)
    return sorted(folder.iterdir())
