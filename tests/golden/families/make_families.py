"""Make a tiny random checkpoint of every family with transformers, and what it computes.

    pip install torch==2.13.0 transformers==5.23.0
    python tests/golden/families/make_families.py          # all
    python tests/golden/families/make_families.py gpt2 t5  # those whose names begin so

and, in an environment of its own, what transformers had before (BERT's relative positions):

    pip install torch==2.13.0 transformers==4.57.1
    python tests/golden/families/make_families.py bert-relative
    python tests/golden/families/fields.py bert-relative

`variants` lists the checkpoints, `cases.py` their inputs. Every weight is random, norms and
biases as well, so that a dropped bias or a swapped norm shows; attention is neither flat nor
one-hot, which is checked here. Each folder holds the checkpoint as transformers writes it, and
`golden.npz`: by case and record (`single/decoder.0.self`) what transformers computes of it.
"""

from __future__ import annotations

import json
import shutil
import sys
import zlib
from pathlib import Path
from typing import Any

import cases
import numpy as np
import torch
import transformers
from corrections import check_correction, correct
from variants import ENCODERS, VARIANTS, Variant

HERE = Path(__file__).parent

EAGER = {"attn_implementation": "eager", "experts_implementation": "eager"}
"""transformers' plainest code."""

if transformers.__version__.startswith("4."):
    del EAGER["experts_implementation"]

SOFTNESS = 0.25, 0.97
"""The mean entropy of a layer's rows, as a part of that of even weights, must lie between."""

INPUTS = {
    "ids": "input_ids",
    "mask": "attention_mask",
    "segments": "token_type_ids",
    "target": "decoder_input_ids",
    "pixels": "pixel_values",
    "sound": "input_features",
}

GENERATED = "llama-long", "phi3-long"
"""What these write is recorded, beyond the length where their rotations change: transformers' own
cache keeps the old rotations of a Llama there, and of a Phi-3 computes all anew."""

PROMPT = [7, 9, 21, 33, 12, 40]


def randomise(model: torch.nn.Module, variant: Variant) -> None:
    """Give every number a random value: matrices keep the size of what they multiply."""
    if variant.untied:
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.clone())
    for name, module in model.named_modules():
        fixed = "inusoidal" in type(module).__name__ or (
            name.endswith("position_embeddings")
            and getattr(model.config, "sinusoidal_pos_embds", False)
        )
        for entry, tensor in () if fixed else module.named_parameters(recurse=False):
            tensor.data = _random(tensor, module, f"{name}.{entry}", variant)
    for name, buffer in model.named_buffers():
        if name.endswith("final_logits_bias"):
            buffer.copy_(torch.randn_like(buffer))
        if name.endswith("e_score_correction_bias"):
            buffer.copy_(0.2 * torch.randn_like(buffer))


def _random(
    tensor: torch.Tensor, module: torch.nn.Module, name: str, variant: Variant
) -> torch.Tensor:
    noise = torch.randn(tensor.shape)
    is_norm = type(module).__name__.endswith("Norm")  # Cohere's may have one gain for each head
    if tensor.ndim == 1 or is_norm:  # a bias, a gain or a shift: around what it starts from
        return tensor.data.mean().round() + 0.2 * noise
    if ".experts." in name and tensor.ndim == 3:  # all experts of a mixture
        n_in = tensor.shape[1 if getattr(module, "is_transposed", False) else 2]
        return noise / n_in**0.5
    if isinstance(module, torch.nn.Embedding) or not hasattr(module, "weight"):
        return noise * variant.embedding / getattr(module, "embed_scale", 1.0)
    n_in = tensor.shape[0] if type(module).__name__ == "Conv1D" else tensor[0].numel()
    asks = any(part in name for part in ("query", "key", "c_attn", "qkv", "q_proj", "k_proj",
               "q_lin", "k_lin", ".q.", ".k."))  # fmt: skip
    return noise * (variant.sharpness if asks else 1.0) / n_in**0.5


def make(folder: Path, variant: Variant) -> None:
    """The checkpoint and `golden.npz` in `folder`."""
    seed = zlib.crc32(folder.name.encode())
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    cls = getattr(transformers, variant.model)
    model = cls(cls.config_class(**variant.config))
    with torch.no_grad():
        randomise(model, variant)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "model.safetensors").chmod(0o644)
    loaded = correct(cls.from_pretrained(folder, **EAGER).eval())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name
    given = getattr(cases, variant.cases)(loaded.config, generator, variant.tokens)
    arrays: dict[str, np.ndarray] = {}
    for name, case in given.items():
        outputs = record(loaded, case)
        check_correction(loaded, lambda: cls.from_pretrained(folder), case, outputs)
        clear_padding(case, outputs)
        if name == "single":
            check_softness(folder.name, outputs)
        arrays |= {f"{name}/{key}": value for key, value in (case | outputs).items()}
    np.savez_compressed(folder / "golden.npz", **arrays)
    if hasattr(loaded, "logit_scale"):
        np.savez_compressed(folder / "similarity.npz", **similarity(loaded, variant))


def similarity(model: Any, variant: Variant) -> dict[str, np.ndarray]:
    """Three texts and an image, and the logits of the texts."""
    generator = np.random.default_rng(0)
    (image,) = cases.vit(model.config.vision_config, generator, {}).values()
    last = model.config.text_config.eos_token_id
    ids = generator.integers(cases.FIRST, last, (3, 7))
    ids[:, -1] = last
    with torch.no_grad():
        output = model(input_ids=torch.tensor(ids), pixel_values=torch.tensor(image["pixels"]))
    return {"ids": ids, "pixels": image["pixels"], "logits": output.logits_per_image.numpy()}


def record(model: Any, case: cases.Case) -> dict[str, np.ndarray]:
    """Attention by record id [batch, n_head, n_q, n_k], `STACK.hidden`
    [batch, n_layer + 1, n_token, d_model], and `logits`."""
    inputs = {INPUTS[key]: torch.from_numpy(value) for key, value in case.items()}
    with torch.no_grad():
        part = model
        if hasattr(model, "text_model") and hasattr(model, "vision_model"):
            part = model.vision_model if "pixels" in case else model.text_model
        output = part(**inputs, output_attentions=True, output_hidden_states=True)
    found: dict[str, torch.Tensor] = {"logits": output.logits} if "logits" in output else {}
    if hasattr(output, "decoder_attentions"):
        given = {
            "encoder.{}.self": output.encoder_attentions,
            "decoder.{}.self": output.decoder_attentions,
            "decoder.{}.cross": output.cross_attentions,
        }
        hidden = {"encoder": output.encoder_hidden_states, "decoder": output.decoder_hidden_states}
    else:
        stack = "decoder" if is_decoder(model) else "encoder"
        given = {f"{stack}.{{}}.self": output.attentions}
        hidden = {stack: output.hidden_states}
    for form, attentions in given.items():
        found |= {form.format(layer): each for layer, each in enumerate(attentions)}
    for stack, states in hidden.items():
        if states[-1].shape != states[0].shape:  # OPT-350m: projected for the output already
            states = states[:-1]
        found[f"{stack}.hidden"] = torch.stack(states, 1)
    return {name: tensor.numpy().copy() for name, tensor in found.items()}


def is_decoder(model: Any) -> bool:
    """Whether a model of one stack sees only what came before."""
    if getattr(model.config, "use_bidirectional_attention", False):
        return False
    family = model.config.model_type.replace("-", "_")
    return getattr(model.config, "is_causal", True) and family not in ENCODERS


def clear_padding(case: cases.Case, outputs: dict[str, np.ndarray]) -> None:
    """Set the rows of padding, whose numbers mean nothing, to 0."""
    for name, array in outputs.items() if "mask" in case else ():
        if name == "logits" and array.shape[:2] != case["mask"].shape:  # one row for each text
            continue
        if "target" not in case or name.startswith("encoder"):
            rows = array if name == "logits" else array.swapaxes(1, 2)
            rows[case["mask"] == 0] = 0


def check_softness(name: str, outputs: dict[str, np.ndarray]) -> None:
    """Attention must be neither flat nor one-hot, or a mistake in the scores would not show."""
    for key, weights in outputs.items():
        if not key.endswith(("self", "cross")):
            continue
        n_key = (weights > 0).sum(-1)
        entropy = -(weights * np.log(np.maximum(weights, 1e-30))).sum(-1)
        softness = (entropy[n_key > 1] / np.log(n_key[n_key > 1])).mean()
        print(f"{name:24} {key:18} softness {softness:.2f}")
        assert SOFTNESS[0] < softness < SOFTNESS[1], f"{name}: set the variant's sharpness"


def generate(name: str) -> dict[str, list[int]]:
    """What a decoder writes greedily if nothing is cached."""
    cls = getattr(transformers, VARIANTS[name].model)
    model = cls.from_pretrained(HERE / name, **EAGER).eval()
    model.generation_config.eos_token_id = None
    ids = torch.tensor([PROMPT])
    written = model.generate(ids, max_new_tokens=20, do_sample=False, use_cache=False)
    return {"prompt": PROMPT, "written": written[0, len(PROMPT) :].tolist()}


def main() -> int:
    asked = tuple(sys.argv[1:]) or ("",)
    for name, variant in VARIANTS.items():
        if name.startswith(asked) and transformers.__version__.startswith(variant.transformers):
            make(HERE / name, variant)
    if transformers.__version__.startswith("4."):
        return 0
    written = {name: generate(name) for name in GENERATED}
    (HERE / "generated.json").write_text(json.dumps(written) + "\n")
    total = sum(path.stat().st_size for path in HERE.rglob("*.*") if path.suffix != ".py")
    print(f"{total / 1e6:.2f} MB in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
