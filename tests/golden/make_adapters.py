"""What PEFT makes of tiny checkpoints with LoRA adapters: tests/golden/adapters.

    pip install torch==2.13.0 transformers==5.23.0 peft==0.21.2
    python tests/golden/make_adapters.py

Each folder holds an adapter as PEFT saves it, and `golden.npz`: ids, and the attentions and logits
of the base with the adapter.
"""

from __future__ import annotations

import json
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from peft import LoraConfig, get_peft_model

HERE = Path(__file__).parent
FAMILIES = HERE / "families"
FOLDER = HERE / "adapters"

ADAPTERS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama-plain": ("llama-3", {"r": 3, "lora_alpha": 5, "target_modules": ["q_proj", "v_proj"]}),
    "llama-patterns": (
        "llama-3",
        {
            "r": 2,
            "lora_alpha": 7,
            "use_rslora": True,
            "target_modules": "all-linear",
            "rank_pattern": {"layers.1.self_attn.k_proj": 3},
            "alpha_pattern": {"up_proj": 11, "layers.0.mlp.down_proj": 2},
        },
    ),
    "gpt2-conv": (  # [d_in, d_out], one of them square; and a table that is not the output's
        "gpt2-untied",
        {"r": 3, "target_modules": ["c_attn", "c_proj", "wte"], "fan_in_fan_out": True},
    ),
    "bert-tagger": (  # a head that was trained as a whole, and biases
        "bert-tagger",
        {"r": 2, "target_modules": ["query"], "modules_to_save": ["classifier"], "bias": "all"},
    ),
}


def make(name: str) -> None:
    base, settings = ADAPTERS[name]
    torch.manual_seed(zlib.crc32(name.encode()))
    config = json.loads((FAMILIES / base / "config.json").read_text())
    cls = getattr(transformers, config["architectures"][0])
    model = cls.from_pretrained(FAMILIES / base, attn_implementation="eager")
    adapted = get_peft_model(model, LoraConfig(**settings)).eval()
    with torch.no_grad():
        for tensor in adapted.parameters():
            if tensor.requires_grad:
                tensor.add_(0.4 * torch.randn_like(tensor))
        ids = torch.tensor([[7, 9, 21, 33, 12, 40, 8]])
        output = adapted(input_ids=ids, output_attentions=True)
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    adapted.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    saved = json.loads(path.read_text()) | {"base_model_name_or_path": f"../../families/{base}"}
    path.write_text(json.dumps(saved, indent=1) + "\n")
    arrays = {f"layer_{i}": layer[0].numpy() for i, layer in enumerate(output.attentions)}
    np.savez_compressed(folder / "golden.npz", ids=ids[0], logits=output.logits[0], **arrays)


def main() -> None:
    for name in ADAPTERS:
        make(name)


if __name__ == "__main__":
    main()
