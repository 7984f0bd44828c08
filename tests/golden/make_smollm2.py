"""Make the goldens of SmolLM2 with transformers and llama.cpp, or check against them.

    pip install torch==2.13.0 transformers==5.23.0 accelerate gguf xllamacpp==2026.10.11549
    python tests/golden/make_smollm2.py FILE.gguf           # write smollm2.npz
    python tests/golden/make_smollm2.py FILE.gguf --check   # compare every number

Numbers are transformers', which converts the whole file to float32. Token ids are llama.cpp's:
transformers drops the rule of this vocabulary that cuts every digit off.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from llama_cpp import token_ids
from prompts import ATTENTIONS, HIDDEN, LOGITS, NASTY, PROMPTS
from texts import spread

HERE = Path(__file__).parent


def load_reference(path: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, attn_implementation="eager", dtype="float32"
    ).eval()


def outputs(model: Any, ids: list[int]) -> dict[str, np.ndarray]:
    """attentions [n_layer, n_head, n, n], hidden [n_layer + 1, n, d_model], logits [n, n_vocab]."""
    import torch

    with torch.no_grad():
        out = model(torch.tensor([ids]), output_attentions=True, output_hidden_states=True)
    return {
        "attentions": torch.stack(out.attentions)[:, 0].numpy(),
        "hidden": torch.stack(out.hidden_states)[:, 0].numpy(),
        "logits": out.logits[0].numpy(),
    }


def make(path: Path) -> None:
    arrays: dict[str, np.ndarray] = {}
    cut, model = token_ids(path), load_reference(path)
    for name, text in PROMPTS.items():
        ids = cut(text)
        arrays[f"{name}/ids"] = np.array(ids, np.int32)
        arrays |= {f"{name}/{key}": spread(value) for key, value in outputs(model, ids).items()}
    for number, text in enumerate(NASTY):
        arrays[f"nasty/{number}"] = np.array(cut(text), np.int32)
    np.savez_compressed(HERE / "smollm2.npz", **arrays)


def check(path: Path) -> bool:
    """Every attention, hidden state and logit of every prompt, against attnviz."""
    import attnviz
    from attnviz.models import load_model

    reference, model = load_reference(path), load_model(str(path))
    fine = True
    for name, text in PROMPTS.items():
        trace = attnviz.run(text, model=model, hidden_states=True, logits=True, fingerprint=False)
        ids = list(trace.streams["source"].ids)
        expected = outputs(reference, ids)
        found = {
            "attentions": np.stack([record.weights for record in trace]),
            "hidden": np.stack(trace.hidden_states["decoder"]),
            "logits": trace.logits,
        }
        error = {key: np.abs(found[key] - expected[key]) for key in found}
        attentions, logits = error["attentions"].max(), error["logits"].max()
        size = np.abs(expected["hidden"]).max(-1, keepdims=True)
        hidden = (error["hidden"] / size).max()
        fine &= bool(attentions <= ATTENTIONS and logits <= LOGITS and hidden <= HIDDEN)
        print(
            f"{name:8} {len(ids):4} tokens  attentions {attentions:.1e}  logits {logits:.1e}  "
            f"hidden states {hidden:.1e} of their size (|h| up to {size.max():.0f}, "
            f"differing by {error['hidden'].max():.1e})"
        )
    return fine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gguf", type=Path, help="SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    given = parser.parse_args()
    if given.check:
        return 0 if check(given.gguf) else 1
    make(given.gguf)
    return 0


if __name__ == "__main__":
    sys.exit(main())
