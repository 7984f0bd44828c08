"""Dump what transformers computes of the tiny checkpoints when one of its functions is broken on
purpose, as somebody breaks it who ports a model.

    pip install torch==2.13.0 transformers==5.23.0
    python tests/golden/make_ports.py

`ports.npz` holds, by port and array (`rope-interleaved/hidden_states`), what its code gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn
from transformers import AutoModel
from transformers.models.llama import modeling_llama as llama
from transformers.models.qwen2 import modeling_qwen2 as qwen2
from transformers.models.qwen3 import modeling_qwen3 as qwen3

HERE = Path(__file__).parent
IDS = [[7, 9, 21, 33, 12, 40, 8, 30, 11, 29, 17]]

Patch = Callable[[Any], Any]
"""A model -> a context in which it is broken."""


@contextmanager
def nothing(model: Any) -> Iterator[None]:
    yield


def replaced(module: Any, name: str, function: Any) -> Patch:
    return lambda model: mock.patch.object(module, name, function)


def changed(change: Callable[[Any], None]) -> Patch:
    """The model itself is changed, for good: it is loaded anew for each port."""

    @contextmanager
    def context(model: Any) -> Iterator[None]:
        with torch.no_grad():
            change(model)
        yield

    return context


def interleaved(q: Any, k: Any, cos: Any, sin: Any, *rest: Any, **more: Any) -> Any:
    """Meta's and GPT-J's pairs."""
    half = cos.shape[-1] // 2
    cos, sin = (x[..., :half].repeat_interleave(2, -1).unsqueeze(1) for x in (cos, sin))

    def turned(x: Any) -> Any:
        return torch.stack((-x[..., 1::2], x[..., ::2]), -1).flatten(-2)

    return q * cos + turned(q) * sin, k * cos + turned(k) * sin


def unrotated(q: Any, k: Any, *rest: Any, **more: Any) -> Any:
    return q, k


def tiled(x: Any, n_rep: int) -> Any:
    return x.repeat(1, n_rep, 1, 1)


def eager(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, scaling: float,
    dropout: float = 0.0, *, mask: bool = True, axis: int = -1, scale: float | None = None,
    merge: bool = True, **more: Any,
) -> Any:  # fmt: skip
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, 1) for x in (key, value))
    scores = query @ key.transpose(2, 3) * (scaling if scale is None else scale)
    if mask and attention_mask is not None:
        scores = scores + attention_mask
    weights = scores.softmax(axis)
    output = weights @ value
    return (output.transpose(1, 2).contiguous() if merge else output.contiguous()), weights


def attention_of(module: Any, **options: Any) -> Patch:
    def function(*given: Any, **more: Any) -> Any:
        return eager(*given, **more, **options)

    return replaced(module, "eager_attention_forward", function)


def each(model: Any, kind: str) -> list[Any]:
    return [m for m in model.modules() if type(m).__name__ == kind]


def without_q_bias(model: Any) -> None:
    for attention in each(model, "Qwen2Attention"):
        attention.q_proj.bias = None


def only_layer_1_without_norms(model: Any) -> None:
    attention = each(model, "Qwen3Attention")[1]
    attention.q_norm, attention.k_norm = nn.Identity(), nn.Identity()


def transposed_key(model: Any) -> None:
    attention = each(model, "GPT2Attention")[0]
    d = attention.embed_dim
    attention.c_attn.weight[:, d : 2 * d] = attention.c_attn.weight[:, d : 2 * d].T.clone()


def relu_in_nets(model: Any) -> None:
    for net in each(model, "GPT2MLP"):
        net.act = nn.ReLU()


def unscaled_embedding(model: Any) -> None:
    model.embed_tokens.embed_scale.fill_(1.0)


def plain_gain(model: Any) -> None:
    for layer in model.layers:
        layer.input_layernorm.weight -= 1


def base_10000(model: Any) -> None:
    rotary = model.rotary_emb
    n = rotary.inv_freq.numel()
    rotary.inv_freq = 10000.0 ** -(torch.arange(n) / n)


PORTS: dict[str, tuple[str, Patch, bool]] = {
    "right": ("llama", nothing, True),
    "right-hidden": ("qwen3", nothing, False),
    "rope-interleaved": ("llama", replaced(llama, "apply_rotary_pos_emb", interleaved), True),
    "rope-interleaved-hidden": (
        "qwen2",
        replaced(qwen2, "apply_rotary_pos_emb", interleaved),
        False,
    ),
    "rope-none": ("qwen3", replaced(qwen3, "apply_rotary_pos_emb", unrotated), True),
    "rope-base": ("llama-3", changed(base_10000), False),
    "heads-tiled": ("llama-3", replaced(llama, "repeat_kv", tiled), True),
    "scale-none": ("llama", attention_of(llama, scale=1.0), True),
    "scale-none-hidden": ("qwen2", attention_of(qwen2, scale=1.0), False),
    "mask-dropped": ("llama", attention_of(llama, mask=False), True),
    "softmax-over-queries": ("llama", attention_of(llama, axis=-2), True),
    "heads-not-transposed": ("llama", attention_of(llama, merge=False), True),
    "bias-of-queries": ("qwen2", changed(without_q_bias), True),
    "norms-of-one-layer": ("qwen3", changed(only_layer_1_without_norms), True),
    "key-transposed": ("gpt2", changed(transposed_key), False),
    "relu": ("gpt2", changed(relu_in_nets), False),
    "embedding-unscaled": ("gemma2", changed(unscaled_embedding), False),
    "gain-without-one": ("gemma2", changed(plain_gain), False),
}
"""Port -> checkpoint, how it is broken, and whether q, k and v are dumped too."""


def dump(checkpoint: str, patch: Patch, projections: bool) -> dict[str, np.ndarray]:
    model = AutoModel.from_pretrained(HERE / "families" / checkpoint, attn_implementation="eager")
    model = model.eval()
    found: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda module, given, output: found.update({name: output.detach()})

    if projections:
        for number, layer in enumerate(model.layers):
            for name in ("v_proj", "o_proj"):
                projection = getattr(layer.self_attn, name)
                projection.register_forward_hook(keep(f"layers.{number}.self_attn.{name}"))
    with torch.no_grad(), patch(model):
        output = model(torch.tensor(IDS), output_attentions=True, output_hidden_states=True)
    found["hidden_states"] = torch.stack(output.hidden_states)
    for number, weights in enumerate(output.attentions) if projections else ():
        found[f"attentions.{number}"] = weights
    return {"input_ids": np.array(IDS), **{name: x.numpy() for name, x in found.items()}}


if __name__ == "__main__":
    arrays = {
        f"{name}/{key}": array
        for name, (checkpoint, patch, projections) in PORTS.items()
        for key, array in dump(checkpoint, patch, projections).items()
    }
    np.savez_compressed(HERE / "ports.npz", **arrays)
