"""Make the golden files of this folder with PyTorch and transformers, or check against them.

    pip install torch==2.13.0 transformers==5.23.0
    python tests/golden/make_goldens.py MINILM         # write the files
    python tests/golden/make_goldens.py MINILM --check # compare every number of MiniLM

The files are small: of MiniLM, some numbers of each text (`texts.py`), evenly spread over all layers,
heads, rows and columns. `--check` compares all of them and prints the largest differences.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from texts import TEXTS, spread

HERE = Path(__file__).parent


def bert_outputs(folder: Path, **given: Any) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """[n_layer, n_head, n, n] attentions, [n_layer + 1, n, d] hidden states, token ids."""
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    if "ids" in given:
        inputs = {"input_ids": torch.tensor([given["ids"]])}
        if "segments" in given:
            inputs["token_type_ids"] = torch.tensor([given["segments"]])
    else:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        inputs = tokenizer(given["text"], given.get("pair"), return_tensors="pt")
    with torch.no_grad():
        output = model(**inputs, output_attentions=True, output_hidden_states=True)
    attentions = torch.stack(output.attentions)[:, 0].numpy()
    hidden = torch.stack(output.hidden_states)[:, 0].numpy()
    return attentions, hidden, inputs["input_ids"][0].tolist()


def make_minilm(folder: Path) -> None:
    arrays: dict[str, np.ndarray] = {}
    for name, given in TEXTS.items():
        attentions, hidden, ids = bert_outputs(folder, **given)
        arrays |= {
            f"{name}/attentions": spread(attentions),
            f"{name}/hidden": spread(hidden),
            f"{name}/ids": np.array(ids, np.int32),
        }
    np.savez_compressed(HERE / "minilm.npz", **arrays)


def check_minilm(folder: Path) -> bool:
    """Every attention and every hidden state of every text, against attnviz."""
    import attnviz

    fine = True
    for name, given in TEXTS.items():
        attentions, hidden, ids = bert_outputs(folder, **given)
        trace = attnviz.run(**given, model=str(folder), hidden_states=True, fingerprint=False)
        assert list(trace.streams["source"].ids) == ids, name
        weights = np.stack([record.weights for record in trace])
        states = np.stack(trace.hidden_states["encoder"])
        differences = np.abs(weights - attentions).max(), np.abs(states - hidden).max()
        fine &= bool(differences[0] <= 2e-5 and differences[1] <= 1e-4)
        print(
            f"{name:12} {len(ids):4} tokens  attentions {differences[0]:.1e}  "
            f"hidden states {differences[1]:.1e}"
        )
    return fine


def make_tiny_bert() -> None:
    """A random BERT of two layers whose biases and norms all matter, and what it computes."""
    from safetensors.torch import save_file
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    folder = HERE / "bert-tiny"
    folder.mkdir(exist_ok=True)
    config = BertConfig(
        vocab_size=41, hidden_size=12, num_hidden_layers=2, num_attention_heads=3,
        intermediate_size=17, max_position_embeddings=23, type_vocab_size=2, layer_norm_eps=1e-7,
    )  # fmt: skip
    model = BertModel(config).eval()
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            gain = name.endswith("LayerNorm.weight")
            tensor.copy_(torch.randn_like(tensor) * (0.3 if gain else 0.7) + (1.0 if gain else 0))
    tensors = {f"bert.{name}": tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_dict(), indent=1, sort_keys=True))
    arrays: dict[str, np.ndarray] = {}
    cases = {
        "single": {"ids": [2, 7, 1, 8, 28, 1, 8, 3]},
        "pair": {"ids": [2, 7, 1, 3, 8, 28, 3], "segments": [0, 0, 0, 0, 1, 1, 1]},
        "longest": {"ids": [i * 7 % 41 for i in range(23)]},
        "one": {"ids": [5]},
    }
    for name, given in cases.items():
        attentions, hidden, _ = bert_outputs(folder, **given)
        arrays |= {f"{name}/attentions": attentions, f"{name}/hidden": hidden}
        arrays |= {f"{name}/{key}": np.array(value) for key, value in given.items()}
    np.savez_compressed(HERE / "bert-tiny.npz", **arrays)


def make_torch_transformer() -> None:
    """torch.nn's own encoder and decoder layers, post-norm and pre-norm, with causal masks."""
    torch.manual_seed(1)
    arrays: dict[str, np.ndarray] = {}
    d_model, n_head, d_ff = 15, 3, 7
    source, target = torch.randn(1, 11, d_model), torch.randn(1, 5, d_model)
    arrays |= {"source": source[0].numpy(), "target": target[0].numpy()}
    for place in ("post", "pre"):
        options: dict[str, Any] = {
            "dropout": 0.0,
            "batch_first": True,
            "norm_first": place == "pre",
        }
        encoder = torch.nn.TransformerEncoderLayer(d_model, n_head, d_ff, **options).eval()
        decoder = torch.nn.TransformerDecoderLayer(d_model, n_head, d_ff, **options).eval()
        for module in (encoder, decoder):
            with torch.no_grad():
                for name, tensor in module.named_parameters():
                    tensor.copy_(
                        torch.randn_like(tensor) * 0.5 + ("norm" in name and "weight" in name)
                    )
        causal = torch.nn.Transformer.generate_square_subsequent_mask(5)
        with torch.no_grad():
            memory = encoder(source)
            output = decoder(target, memory, tgt_mask=causal)
        for module, prefix in ((encoder, "encoder"), (decoder, "decoder")):
            for name, tensor in module.state_dict().items():
                arrays[f"{place}/{prefix}/{name}"] = tensor.numpy()
        arrays[f"{place}/memory"] = memory[0].numpy()
        arrays[f"{place}/output"] = output[0].numpy()
    np.savez_compressed(HERE / "torch-transformer.npz", **arrays)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("minilm", type=Path, help="the folder of all-MiniLM-L6-v2")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    given = parser.parse_args()
    if given.check:
        return 0 if check_minilm(given.minilm) else 1
    make_minilm(given.minilm)
    make_tiny_bert()
    make_torch_transformer()
    return 0


if __name__ == "__main__":
    sys.exit(main())
