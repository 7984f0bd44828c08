"""What people type for an option before they know its name: `--head 1`, `--png FILE`, `--d_model`.

A spelling counts only where a command has no option of that name and has the one that is meant.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from attnviz.cli.current import current
from attnviz.errors import AttnvizError
from attnviz.files import DATA_FORMATS
from attnviz.render import FORMATS, is_picture

MEANT = {
    "--model": "--model-name --model-path --checkpoint --ckpt",
    "--output": "--out --outfile --out-file --output-file --save --save-as --save-to --to --export",
    "--plot": "--fig --figure --savefig --save-fig --save-figure --save-plot",
    "--color": "--colour --colors",
    "--lang": "--language --locale",
    "--width": "--columns --line-width",
    "--cmap": "--colormap --colourmap --color-map --palette --ramp",
    "--background": "--bg --theme",
    "--quiet": "--silent",
    "--memory": "--mem --max-memory --memory-limit --budget",
    "--rows": "--queries --query-range --row",
    "--keys": "--key-range",
    "--top": "--top-k --topk --limit",
    "-n": "--count --max-tokens --max-new-tokens --max-length --num-tokens --n-tokens",
    "--heads": "--num-heads --n-heads --n-head --num-attention-heads --nhead",
    "--kv-heads": "--num-kv-heads --n-kv-heads --n-kv-head --num-key-value-heads",
    "--layers": "--num-layers --n-layers --n-layer --num-hidden-layers --depth",
    "--d-model": "--hidden-size --embed-dim --embedding-dim --n-embd --dim --model-dim",
    "--d-k": "--head-dim --key-dim --d-head",
    "--d-ff": "--ff-dim --ffn-dim --intermediate-size --d-mlp",
    "--vocabulary": "--vocab --vocab-size --n-vocab",
    "--positions": "--pos --position --position-scheme --positional-encoding --pe",
    "--scheme": "--positions --pos --position-scheme --positional-encoding",
    "--score": "--scoring --score-function --attention-score",
    "--norm": "--normalization --normalisation",
    "--activation": "--act --nonlinearity",
    "--temperature": "--temp --tau",
    "--mask-file": "--attn-mask --attention-mask --custom-mask",
    "--pair": "--text-pair --text2 --second --second-text",
    "--target": "--decoder-input --decoder-text --tgt",
    "--ids": "--token-ids --input-ids",
    "--select": "--only --selection",
    "--steps": "--step-by-step --walk --walkthrough --step",
    "--words": "--merge-words --by-word --word-level",
    "--columns": "--column --metrics --metric",
    "--sort": "--sort-by --order-by",
    "--where": "--filter --query",
    "--workers": "--jobs --n-jobs --processes --num-workers",
    "--field": "--text-field --column",
    "--longest": "--max-len --max-length --max-tokens",
    "--without": "--ablate --remove --drop",
    "--fail-above": "--tolerance --tol --atol --threshold",
    "--download": "--fetch --pull --allow-download",
    "--cell": "--query-key --at",
}
"""The name of an option -> what else it is called."""

FLAGS = {
    "--no-color": ("--color", "never"),
    "--no-colour": ("--color", "never"),
    "--no-colors": ("--color", "never"),
    "--light": ("--background", "light"),
    "--dark": ("--background", "dark"),
    "--chinese": ("--lang", "zh"),
    "--english": ("--lang", "en"),
    "--causal": ("--mask", "causal"),
    "--causal-mask": ("--mask", "causal"),
    "--no-mask": ("--mask", "none"),
    "--contributions": ("--method", "contributions"),
    "--rollout": ("--method", "rollout"),
    "--scores": ("--stage", "scores"),
    "--logits": ("--stage", "logits"),
    "--weights": ("--stage", "weights"),
}
"""What takes no value -> the option and its value."""

TEXTS = ("--text", "--prompt", "--input", "--sentence", "--source")
"""For the text itself."""

LAYER, HEAD = ("--layer", "-l", "--layers"), ("--head", "--heads")
PICTURES = (".jpg", ".jpeg", ".webp", ".eps", ".html")

OPTION = re.compile(r"--?[A-Za-z][\w-]*")


class Speller:
    """The options of a command, and what else may be typed for them."""

    def __init__(self, parameters: Sequence[Any]) -> None:
        options = [p for p in parameters if p.param_type_name == "option"]
        self.flags = {
            name: p.is_flag or getattr(p, "count", False)
            for p in options
            for name in (*p.opts, *p.secondary_opts)
        }
        """By each name of an option, whether it takes no value."""
        arguments = [p for p in parameters if p.param_type_name == "argument"]
        self.takes_text = any(p.name in ("text", "source", "sources") for p in arguments)
        self.reads_file = any(p.name == "file" for p in arguments)
        self.meant = {
            other: name
            for name, others in MEANT.items()
            if name in self.flags
            for other in others.split()
            if other not in self.flags
        }
        selects = "--select" in self.flags
        self.layer = [name for name in LAYER if selects and name not in self.flags]
        self.head = [name for name in HEAD if selects and name not in self.flags]

    @cached_property
    def _formats(self) -> dict[str, str]:
        """`--png` -> `.png`, of a command that writes files."""
        suffixes = (*DATA_FORMATS, *FORMATS, *PICTURES) if "--output" in self.flags else ()
        return {f"--{suffix[1:]}": suffix for suffix in suffixes}

    def respell(self, arguments: Sequence[str]) -> list[str]:
        """The arguments with the command's own names of options."""
        words = _Words(arguments)
        respelled: list[str] = []
        layers: list[str] = []
        heads: list[str] = []
        for word in words:
            if word == "--":
                respelled += [word, *words]
                break
            name, equals, value = word.partition("=")
            if not OPTION.fullmatch(name):
                respelled.append(word)
                continue
            name = self._own(name)
            if name in self.layer or name in self.head:
                wanted = layers if name in self.layer else heads
                wanted.append(value if equals else words.value(name))
            elif name in self.flags:
                respelled += self._known(name, value if equals else None, words)
            else:
                respelled += self._other(name, value if equals else None, words)
        return [*_selected(layers, heads), *respelled]

    def _own(self, name: str) -> str:
        """The option of the command that differs in `_` and capitals at most, or is another name
        of it."""
        if name in self.flags:
            return name
        plain = name.replace("_", "-").lower() if name.startswith("--") else name
        return self.meant.get(plain, plain) if plain not in self.flags else plain

    def _known(self, name: str, value: str | None, words: _Words) -> list[str]:
        """An option of the command, with its value."""
        if self.flags[name]:
            if name == "--json" and words.next.lower().endswith(".json"):
                return ["--output", words.value(name)]
            return [name if value is None else f"{name}={value}"]
        if name == "--plot":
            return [name, words.picture(self.reads_file) if value is None else value]
        if value is None and not words.next:
            return [name]
        value = words.value(name) if value is None else value
        is_file = value.lower().endswith((*DATA_FORMATS, ".npy", ".txt", ".csv"))
        if name == "--mask" and "--mask-file" in self.flags and is_file and os.path.exists(value):
            name = "--mask-file"
        return [name, value]

    def _other(self, name: str, value: str | None, words: _Words) -> list[str]:
        """What is no option of the command, but may mean one."""
        if name in FLAGS and FLAGS[name][0] in self.flags and value is None:
            return list(FLAGS[name])
        if name in self._formats:
            suffix = self._formats[name]
            file = value or words.file(suffix)
            if file:
                return ["--output", file if file.lower().endswith(suffix) else file + suffix]
            if "--plot" in self.flags and suffix in (".png", ".svg", ".pdf", *PICTURES):
                return ["--plot", suffix]
            raise AttnvizError(f"{name}: there is no file to write", f"-o FILE{suffix}")
        if name in TEXTS and self.takes_text:
            return [value if value is not None else words.value(name)]
        if value is None:
            return [name]
        return [f"{name}={value}"]


class _Words(Iterator[str]):
    """The words of a command line, one after the other."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)
        self._at = 0

    def __next__(self) -> str:
        if self._at == len(self._words):
            raise StopIteration
        self._at += 1
        return self._words[self._at - 1]

    @property
    def next(self) -> str:
        """The word that follows; empty at the end."""
        return self._words[self._at] if self._at < len(self._words) else ""

    def value(self, option: str) -> str:
        """The word that follows, as the value of an option."""
        if self._at == len(self._words):
            raise AttnvizError(f"{option} needs a value", f"{current().path} --help")
        return next(self)

    def file(self, suffix: str) -> str:
        """The word that follows, if it can be the name of a file: it ends so, or has no space."""
        word = self.next
        if not word or word.startswith("-"):
            return ""
        return next(self) if word.lower().endswith(suffix) or self._is_last_of_two() else ""

    def picture(self, reads_file: bool) -> str:
        """The word that follows, if it can only be the picture that is to be written; empty if it
        is something else, as the one picture there is may be what the command reads."""
        word = self.next
        if word.startswith("-") or not is_picture(f".{word.rpartition('.')[2]}".lower()):
            return ""
        if reads_file and os.path.exists(word) and self._bare() == [word]:
            return ""
        return next(self)

    def _bare(self) -> list[str]:
        return [word for word in self._words if not word.startswith("-")]

    def _is_last_of_two(self) -> bool:
        """Whether the next word is not the only one that can be the text."""
        return " " not in self.next and len(self._bare()) > 1


def _selected(layers: Sequence[str], heads: Sequence[str]) -> list[str]:
    """`-s` for the layers and heads: 1, 0-2, L1, H3, also several with commas."""
    named = [part for each in layers for part in _pieces(each, "L")]
    chosen = [part for each in heads for part in _pieces(each, "H")]
    full = [part for part in chosen if "." in part]  # L1.H3 says both
    short = ",".join(part for part in chosen if "." not in part)
    texts = [f"{layer}.{short}" if short else layer for layer in named] + full
    if short and not named:
        texts.append(short)
    return [word for text in texts for word in ("--select", text)]


def _pieces(text: str, letter: str) -> list[str]:
    """`1,3` as L1 and L3."""
    if text.lower() == "all":
        return []
    pieces = filter(None, text.replace(" ", "").split(","))
    return [f"{letter}{piece}" if piece[:1].isdecimal() else piece for piece in pieces]
