"""Which fields of a config transformers reads, family by family: attnviz/models/build/read_names.json.

    pip install torch==2.13.0 transformers==5.23.0
    pip download --no-deps transformers==4.57.1 && unzip transformers-4.57.1-*.whl -d older
    python tests/golden/published/make_read_names.py older/transformers

A name counts as read by a family if its configuration or modelling code, or code that all families
share, asks a config for it: as an attribute, through `getattr`, or as a key; or if its goldens are
loaded and run, and a config is asked for it. This errs on the side of too many names. Fields that older versions read count too, as checkpoints were trained with them.
A field that is not among them cannot change what the family computes.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from transformers.configuration_utils import PreTrainedConfig

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))
from make_families import EAGER, HERE, INPUTS, record
from variants import VARIANTS

TABLE = Path(__file__).parents[3] / "attnviz" / "models" / "build" / "read_names.json"

FAMILIES = """albert bart bert bloom camembert clip codegen cohere cohere2 deberta_v2 deepseek_v2
              deepseek_v3 deit dinov2 dinov2_with_registers dinov3_vit distilbert electra esm falcon
              gemma gemma2 gemma3 gpt2 gpt_bigcode gpt_neo gpt_neox gpt_oss gptj granite llama m2m_100 marian
              mbart mistral mixtral modernbert mpnet mpt mt5 nomic_bert olmo olmo2 olmo3 olmoe opt
              pegasus phi phi3 qwen2 qwen2_moe qwen3 qwen3_moe roberta smollm3 stablelm
              starcoder2 t5 umt5 vit whisper xlm_roberta""".split()  # noqa: SIM905
NAMES = {"gemma3": "gemma3_text"}
"""Folders of transformers whose `model_type` is another."""

SHARED = """configuration_utils modeling_utils modeling_layers modeling_rope_utils masking_utils
            modeling_attn_mask_utils modeling_flash_attention_utils cache_utils pytorch_utils
            integrations/heterogeneity integrations/sdpa_attention integrations/flash_attention
            integrations/flex_attention integrations/eager_paged""".split()  # noqa: SIM905
ROPE = ("modeling_rope_utils",)

CONFIG = re.compile(r"(^|_)(config|cfg|configuration)$", re.IGNORECASE)
"""What a config is called."""
ASKS = ("get", "pop", "setdefault")
ATTRIBUTE = ("getattr", "hasattr", "setattr")
IDENTIFIER = re.compile(r"[a-z_]\w*", re.IGNORECASE)


def trees(root: Path, *stems: str) -> Iterator[ast.Module]:
    """The files whose paths begin so."""
    for stem in stems:
        folder = root / stem
        paths = [*folder.rglob("*.py")] if folder.is_dir() else [*root.glob(f"{stem}*.py")]
        yield from (ast.parse(path.read_text("utf-8")) for path in paths)


def read_names(tree: ast.Module, *, keys: bool) -> Iterator[str]:
    """The names that code asks a config for; with `keys`, any key of any dictionary as well."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=value, attr=name) if CONFIG.search(_last(value)):
                yield name
            case ast.Call(
                func=ast.Name(id=function), args=[value, ast.Constant(value=str(name)), *_]
            ):
                if function in ATTRIBUTE and (keys or CONFIG.search(_last(value))):
                    yield name
            case ast.Call(
                func=ast.Attribute(attr=method), args=[ast.Constant(value=str(name)), *_]
            ):
                if keys and method in ASKS:
                    yield name
            case ast.Subscript(slice=ast.Constant(value=str(name))) if keys:
                yield name
            case ast.ClassDef(name=name) if "Config" in name and "Onnx" not in name:
                yield from _class_names(node)


def _last(node: ast.expr) -> str:
    """`a.b.config` -> config"""
    return getattr(node, "attr", getattr(node, "id", ""))


def _class_names(cls: ast.ClassDef) -> Iterator[str]:
    """The fields of a configuration, other names for them, and what its methods ask `self`."""
    for node in cls.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=[ast.Name(id="attribute_map")], value=ast.Dict() as aliases):
                for name, other in ast.literal_eval(aliases).items():
                    yield from (name, other)
            case ast.FunctionDef(name="__init__", args=arguments):
                yield from (each.arg for each in (*arguments.args, *arguments.kwonlyargs))
    for node in ast.walk(cls):
        match node:
            case ast.Attribute(value=ast.Name(id="self"), attr=name):
                yield name


def names_of(roots: list[Path], *stems: str, keys: bool = False) -> set[str]:
    found = {
        name
        for root in roots
        for tree in trees(root, *stems)
        for name in read_names(tree, keys=keys)
    }
    return {name for name in found if IDENTIFIER.fullmatch(name)}


def imported(root: Path, family: str) -> set[str]:
    """The other families whose code a family uses."""
    path = root / "models" / family / f"modeling_{family}.py"
    text = path.read_text("utf-8") if path.exists() else ""  # an older version lacks some
    return {*re.findall(r"^from \.\.(\w+)\.", text, re.MULTILINE)} - {"auto"}


def main() -> int:
    roots = [Path(transformers.__file__).parent, *map(Path, sys.argv[1:])]
    shared = names_of(roots, *SHARED) | names_of(roots, "configuration_utils", keys=True)
    names = {"rope": names_of(roots, *ROPE, keys=True)}
    for family in FAMILIES:
        users = {family, *(other for root in roots for other in imported(root, family))}
        modelling = [f"models/{user}/modeling_{user}" for user in users]
        configuration = [f"models/{user}/configuration_{user}" for user in users]
        found = names_of(roots, *modelling) | names_of(roots, *configuration, keys=True)
        names[NAMES.get(family, family)] = found - shared
    for family, asked in asked_names().items():
        names[family] |= asked - shared
    classes = {NAMES.get(family, family): classes_of(roots, family) for family in FAMILIES}
    table: dict[str, Any] = {
        "transformers": transformers.__version__,
        "also": [_version(root) for root in roots[1:]],
        "names": {"shared": sorted(shared)} | {key: sorted(found) for key, found in names.items()},
        "classes": classes,
    }
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    print({key: len(found) for key, found in table["names"].items()})
    return 0


def asked_names() -> dict[str, set[str]]:
    """By family, what a config is asked for while goldens are loaded and run."""
    found: dict[str, set[str]] = {}
    plain = PreTrainedConfig.__getattribute__
    for name, variant in VARIANTS.items():
        family = json.loads((HERE / name / "config.json").read_text())["model_type"].replace(
            "-", "_"
        )
        asked = found.setdefault(family, set())

        def spy(self: Any, key: str, asked: set[str] = asked) -> Any:
            asked.add(key)
            return plain(self, key)

        with np.load(HERE / name / "golden.npz") as file:
            keys = [key for key in INPUTS if f"single/{key}" in file]
            case = {key: file[f"single/{key}"] for key in keys}
        PreTrainedConfig.__getattribute__ = spy
        try:
            cls = getattr(transformers, variant.model)
            record(cls.from_pretrained(HERE / name, **EAGER).eval(), case)
        finally:
            PreTrainedConfig.__getattribute__ = plain
    return {
        family: {name for name in asked if not callable(getattr(PreTrainedConfig, name, None))}
        for family, asked in found.items()
    }


def classes_of(roots: list[Path], family: str) -> list[str]:
    """What `architectures` may name."""
    found = {
        node.name
        for root in roots
        for tree in trees(root, f"models/{family}/modeling_{family}")
        for node in tree.body
        if isinstance(node, ast.ClassDef) and re.search("(Model|For[A-Z].*)$", node.name)
    }
    return sorted(name for name in found if not name.endswith(("Output", "PreTrainedModel")))


def _version(root: Path) -> str:
    return re.findall(r'__version__ = "(.*?)"', (root / "__init__.py").read_text("utf-8"))[0]


if __name__ == "__main__":
    sys.exit(main())
