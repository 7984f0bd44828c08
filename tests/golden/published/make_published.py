"""What transformers computes of the published configs here, shrunk: expected.json.

    pip install torch==2.13.0 transformers==5.23.0
    python tests/golden/published/make_published.py              # all
    python tests/golden/published/make_published.py roberta-base  # these

Each NAME.json has the fields of a public model's config.json. About ten were copied from public
files, the others written down from memory: values that change nothing, such as versions and paths,
may differ, and labels are left out where they are many; a few files combine fields of several.
`shrink.py` makes it small and gives weights. expected.json
holds, by model, the shapes of the tensors and some numbers of all attention weights and last hidden
states, or that attnviz refuses it and why.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.numpy import load_file, save_file

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "families")]
from corrections import correct  # noqa: E402
from make_families import EAGER  # noqa: E402
from probe import probe  # noqa: E402
from shrink import SIZES, inputs, shrunk, weights  # noqa: E402

REFUSED = {
    "jina-embeddings-v2-small-en": "position_embedding_type = 'alibi' changes the numbers",
    "roberta-base-2019": "has no 'model_type'",
    "mistral-7b-v0.3-bnb-4bit": "the weights are quantised (bitsandbytes)",
    "gemma-3-4b-it": "the architecture 'gemma3' is not supported",
}
"""What attnviz does not read, and what it says."""

DEFAULTS = {
    "scibert_scivocab_uncased": "BertModel",
    "deberta-v3-base": "DebertaV2Model",
    "mpt-7b": "MptForCausalLM",
}
"""The classes of configs that name none, or one that transformers spells otherwise."""


SAME = {
    "Phi-3-mini-128k-instruct-2024-04": "Phi-3-mini-128k-instruct",
    "nomic-embed-text-v1.5": "nomic-embed-text-v1.5-resaved",
}
"""Older spellings, which transformers 5.23 does not load, of other configs."""


def expected(name: str, config: dict[str, Any]) -> dict[str, Any]:
    if name in REFUSED:
        return {"refused": REFUSED[name]}
    if name in SAME:
        return {"same": SAME[name]}
    small = shrunk(config)
    cls = getattr(transformers, DEFAULTS.get(name) or config["architectures"][0])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "config.json").write_text(json.dumps(small))
        cls(transformers.AutoConfig.from_pretrained(path)).save_pretrained(path)
        stored = load_file(path / "model.safetensors")
        shapes = {key: list(tensor.shape) for key, tensor in sorted(stored.items())}
        save_file(weights(shapes), path / "model.safetensors", {"format": "pt"})
        (path / "config.json").write_text(json.dumps(small))
        model, report = cls.from_pretrained(
            path, **EAGER, dtype="float32", output_loading_info=True
        )
        assert not any(report[key] for key in ("missing_keys", "unexpected_keys")), report
    return {
        "class": cls.__name__,
        "tensors": shapes,
        "probe": numbers(correct(model.eval()), small),
    }


def numbers(model: Any, config: dict[str, Any]) -> list[float]:
    """Those of each attention and, of a text, the last hidden state."""
    given = inputs(config)
    keys = {"ids": "input_ids", "target": "decoder_input_ids", "pixels": "pixel_values",
            "sound": "input_features"}  # fmt: skip
    call = {keys[key]: torch.from_numpy(array)[None] for key, array in given.items()}
    body = model.transformer if hasattr(model, "transformer") else model.base_model
    body = model.text_model if hasattr(model, "text_model") else body
    body = model if hasattr(model, "rope_embeddings") else body  # DINOv3 calls its encoder `model`
    with torch.no_grad():
        output = body(**call, output_attentions=True, output_hidden_states=True)
    last = output.get("last_hidden_state")  # T5 is its own body
    if hasattr(model, "text_model"):  # CLIP's norm belongs to what is projected
        last = output.hidden_states[-1]
    last = output.decoder_hidden_states[-1] if last is None else last
    fields = ("attentions", "encoder_attentions", "decoder_attentions", "cross_attentions")
    found = {
        f"{field}.{layer}": each[0].numpy()
        for field in fields
        for layer, each in enumerate(getattr(output, field, None) or ())
    }
    if "pixels" not in given and last.shape[-1] == SIZES["hidden_size"]:
        found["last"] = last[0].numpy()  # of OPT-350m it is projected
    return [float(f"{x:.7g}") for x in probe(found)]


def main() -> int:
    transformers.logging.set_verbosity_error()
    configs = {path.stem: json.loads(path.read_text()) for path in sorted(HERE.glob("*.json"))}
    configs.pop("expected", None)
    found, asked = json.loads((HERE / "expected.json").read_text()), sys.argv[1:] or configs
    found |= {name: expected(name, configs[name]) for name in asked}
    lines = [f"{json.dumps(name)}: {json.dumps(found[name])}" for name in configs]
    (HERE / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(len(lines), "configs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
