"""LoRA adapters as PEFT saves them: what is added to the matrices of a base model.

W + scale · B A, with A [rank, d_in], B [d_out, rank] and scale = alpha / rank, or alpha / √rank.
Source: Hu et al. 2021 (LoRA), section 4.1; Kalajdzievski 2023 (rsLoRA); PEFT's file format.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.models.build.config import Config
from attnviz.models.build.tensors import Rows, TensorFile
from attnviz.models.formats.safetensors import SafetensorsFile
from attnviz.models.json_object import read_object
from attnviz.nn.types import Array
from attnviz.tokens import label

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
NONE = "none"
"""What stands for no adapter."""

PREFIX = "base_model.model."
"""What PEFT puts before the names of a model's modules."""

PART = re.compile(r"(.+)\.lora_(?:embedding_)?([AB])(?:\.weight)?")
"""`NAME.lora_A.weight`, `NAME.lora_embedding_A`"""

OUTPUT = re.compile(r"(^|\.)(lm_head|embed_out)\.weight$")
"""The matrix of an output that is not the table of tokens."""

INERT = """auto_mapping base_model_name_or_path base_model_class parent_library revision task_type
    inference_mode peft_type peft_version target_modules exclude_modules layers_to_transform
    layers_pattern lora_dropout init_lora_weights loftq_config eva_config corda_config
    lora_ga_config megatron_config megatron_core runtime_config ensure_weight_tying bias
    qalora_group_size modules_to_save unsloth_fixed""".split()  # noqa: SIM905
"""Fields that say what was trained and how; what came of it is in the weights."""

MERGE = (
    "merge it into its base model where PyTorch is installed: "
    "PeftModel.from_pretrained(base, folder).merge_and_unload().save_pretrained(new_folder)"
)


class Delta(NamedTuple):
    """What is added to one matrix."""

    left: Array
    """[n_row, rank]"""
    right: Array
    """[rank, n_column], with the scale."""

    def of(self, rows: Rows | None) -> Array:
        """[n_row, n_column], or some of its rows."""
        added: Array = (self.left if rows is None else self.left[rows]) @ self.right
        return added


class Adapter(NamedTuple):
    """The adapter in a folder."""

    file: TensorFile
    config: Config

    @property
    def base(self) -> str:
        """The model that it was made for, as its config has it; empty if it says none."""
        return self.config.text("base_model_name_or_path", "")


def read_adapter(folder: Path) -> Adapter:
    """The LoRA adapter in a folder.

    Raises:
        AttnvizError: it is of another kind than LoRA, or has an option that is not understood.
    """
    if not (folder / CONFIG).exists():
        raise AttnvizError(
            f"{folder} holds no adapter: it has no {CONFIG}", "adapter=FOLDER, as PEFT saves it"
        )
    config = Config(read_object(folder / CONFIG), str(folder / CONFIG), MERGE)
    kind = config.text("peft_type", "")
    if kind != "LORA":
        raise AttnvizError(
            f"{config.where}: an adapter of the kind {label(kind) or '?'} is not supported, only "
            "LORA",
            MERGE,
        )
    known = {*INERT, "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern",
             "fan_in_fan_out"}  # fmt: skip
    for key, value in config.values().items():
        if key not in known and value not in (False, None, [], {}, 0):
            raise AttnvizError(
                f"{config.where}: {label(key)} = {label(str(value)[:40])} changes the numbers and "
                "is not supported",
                MERGE,
            )
    path = folder / WEIGHTS
    if not path.exists():
        raise AttnvizError(
            f"{folder} has no {WEIGHTS}: the weights of the adapter are missing, or pickled",
            MERGE,
        )
    return Adapter(SafetensorsFile(path), config)


class Merged:
    """The weights of a base model with an adapter merged in, by the names of the base."""

    def __init__(self, base: TensorFile, adapter: Adapter) -> None:
        self._base, self._adapter = base, adapter
        self.path, self.n_byte = base.path, base.n_byte + adapter.file.n_byte
        self._parts: dict[str, dict[str, str]] = {}
        self._replaced: dict[str, str] = {}
        for name in adapter.file.shapes:
            self._place(name)
        self.shapes = dict(base.shapes) | {
            target: adapter.file.shapes[name] for target, name in self._replaced.items()
        }
        for target in self._parts:
            self._check(target)

    @property
    def note(self) -> str:
        """What the adapter changes, for the screen."""
        ranks = {self._shape(target, "A")[0] for target in self._parts}
        return to_say(
            "a LoRA adapter (rank {rank}) is merged into {n} of its matrices",
            rank=", ".join(map(str, sorted(ranks))),
            n=len(self._parts),
        )

    def copies(self, name: str) -> bool:
        return name in self._parts or self._holder(name)[0].copies(self._holder(name)[1])

    def read(self, name: str, rows: Rows | None = None) -> Array:
        """The tensor or some of its rows."""
        file, own = self._holder(name)
        array = file.read(own, rows)
        if name not in self._parts:
            return array
        return np.asarray(array, np.float32) + self._delta(name).of(rows)

    def sha256(self) -> str:
        """The hash of the lines `HASH  NAME` of the base and the adapter."""
        import hashlib  # loads OpenSSL, which most runs do not need

        lines = f"{self._base.sha256()}  base\n{self._adapter.file.sha256()}  adapter\n"
        return hashlib.sha256(lines.encode()).hexdigest()

    def _holder(self, name: str) -> tuple[TensorFile, str]:
        if name in self._replaced:
            return self._adapter.file, self._replaced[name]
        return self._base, name

    def _place(self, name: str) -> None:
        """Find what a tensor of the adapter belongs to."""
        match = PART.fullmatch(name)
        if match is not None:
            if "lora_embedding_" in name and not any(map(OUTPUT.search, self._base.shapes)):
                raise self._error(
                    f"{label(name)} changes the table of tokens, which is the output's too: "
                    "whether the output changes with it is not said"
                )
            self._parts.setdefault(self._target(f"{match[1]}.weight"), {})[match[2]] = name
        elif "lora_" in name:
            raise self._error(f"the tensor {label(name)} is not understood")
        else:  # a module that was trained as a whole
            plain = re.sub(r"\.(modules_to_save(\.\w+)?|base_layer)\.", ".", name)
            self._replaced[self._target(plain, is_new=True)] = name

    def _target(self, name: str, is_new: bool = False) -> str:
        """The name in the base of what PEFT calls `name`: files of a model's body alone lack its
        prefix, and others have one more."""
        plain = name.removeprefix(PREFIX)
        shapes = self._base.shapes
        if plain in shapes:
            return plain
        found = [each for each in shapes if _are_one(each, plain)]
        if len(found) == 1:
            return found[0]
        if is_new:
            return plain
        raise self._error(
            f"{label(plain)} is not in the base, {self._base.path}: they belong to different models"
        )

    def _shape(self, target: str, part: str) -> tuple[int, ...]:
        return self._adapter.file.shapes[self._parts[target][part]]

    def _check(self, target: str) -> None:
        """Raise AttnvizError unless both parts are there and fit the matrix."""
        if set(self._parts[target]) != {"A", "B"}:
            raise self._error(f"{label(target)} has only one of lora_A and lora_B")
        a, b = (self._shape(target, part) for part in "AB")
        stored = self._base.shapes[target]
        fits = len(a) == len(b) == 2 and a[0] == b[1] and stored in ((b[0], a[1]), (a[1], b[0]))
        if not fits:
            raise self._error(
                f"lora_A {list(a)} and lora_B {list(b)} do not fit {label(target)} {list(stored)}"
            )

    def _delta(self, target: str) -> Delta:
        """[n_row, n_column] of the matrix as it is stored. Tables of tokens and the matrices of
        GPT-2 are stored as [d_in, d_out]."""
        a, b = (
            self._adapter.file.read(self._parts[target][part]).astype(np.float32) for part in "AB"
        )
        scale = np.float32(self._scale(target, len(a)))
        shape = self._base.shapes[target]
        is_table = "lora_embedding_" in self._parts[target]["A"]
        transposed = is_table or self._adapter.config.switch("fan_in_fan_out")
        if (b.shape[0], a.shape[1]) != shape or (transposed and shape[0] == shape[1]):
            return Delta(a.T, scale * b.T)
        return Delta(b, scale * a)

    def _scale(self, target: str, rank: int) -> float:
        config = self._adapter.config
        module = target.removesuffix(".weight")
        alpha = _by_pattern(config, "alpha_pattern", module, config.number("lora_alpha", 8))
        return alpha / (math.sqrt(rank) if config.switch("use_rslora") else rank)

    def _error(self, problem: str) -> AttnvizError:
        return AttnvizError(f"{self._adapter.file.path}: {problem}", MERGE)


def _are_one(first: str, second: str) -> bool:
    return first.endswith(f".{second}") or second.endswith(f".{first}")


def _by_pattern(config: Config, field: str, module: str, default: float) -> float:
    """What the first pattern says that matches the end of a module's name, as PEFT reads it."""
    patterns: Mapping[str, Any] = config.get(field, {})
    for pattern, value in patterns.items() if isinstance(patterns, dict) else ():
        if isinstance(value, int | float) and _matches(pattern, module):
            return float(value)
    return default


def _matches(pattern: str, module: str) -> bool:
    try:
        return re.match(rf"(.*\.)?({pattern})$", module) is not None
    except re.error:
        return False


def holds_adapter(names: Iterable[str]) -> bool:
    """Whether files are those of an adapter of PEFT, beside its base or alone."""
    return any(name == CONFIG or name.startswith("adapter_model.") for name in names)
