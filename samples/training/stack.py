"""The configurable stack of attnviz in PyTorch: what the training scripts train and save.

It computes what `attnviz.nn` computes, written a second time, so that the tests can hold one
against the other. The names of its tensors are those of the packaged models' files.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

Attentions = dict[str, Tensor]
"""By record id (`encoder.0.self`): weights [n_text, n_head, n_q, n_k]."""

DEFAULTS = {
    "kind": "encoder",
    "mix": "attention",
    "activation": "relu",
    "norm_place": "post",
    "positions": "none",
    "embedding_scale": False,
    "bias": True,
}
"""Fields of a packaged stack that a script may leave out."""


class Linear(nn.Linear):
    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=self.in_features**-0.5)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class Attention(nn.Module):
    def __init__(self, stack: dict[str, Any], kind: str, causal: bool) -> None:
        super().__init__()
        d, bias = stack["d_model"], stack["bias"]
        self.query, self.key = Linear(d, d, bias), Linear(d, d, bias)
        self.value, self.output = Linear(d, d, bias), Linear(d, d, bias)
        self.n_head, self.kind, self.causal = stack["heads"], kind, causal
        self.rope_base = _rope_base(stack["positions"]) if kind == "self" else None

    def forward(
        self, x: Tensor, keys: Tensor, visible: Tensor | None, scale_heads: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """x [n_text, n_q, d], keys [n_text, n_k, d], visible [n_text, n_k] -> the output and the
        weights. `scale_heads` [n_head] multiplies each head's context: 0 takes a head out."""
        n_text, n_q, d = x.shape
        q, k, v = (
            linear(y).view(n_text, -1, self.n_head, d // self.n_head).transpose(1, 2)
            for linear, y in ((self.query, x), (self.key, keys), (self.value, keys))
        )
        if self.rope_base is not None:
            q, k = _rotate(q, self.rope_base), _rotate(k, self.rope_base)
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if self.causal:
            past = torch.ones(n_q, keys.shape[1], dtype=torch.bool).tril(keys.shape[1] - n_q)
            scores = scores.masked_fill(~past, -torch.inf)
        if visible is not None:
            scores = scores.masked_fill(~visible[:, None, None], -torch.inf)
        weights = scores.softmax(-1)
        context = weights @ v
        if scale_heads is not None:
            context = context * scale_heads[:, None, None]
        return self.output(context.transpose(1, 2).reshape(n_text, n_q, d)), weights


class FeedForward(nn.Module):
    """Each token by itself, or with its neighbours to `reach` on either side side by side."""

    def __init__(self, stack: dict[str, Any], reach: int = 0) -> None:
        super().__init__()
        d_ff = stack.get("d_ff", 4 * stack["d_model"])
        self.up = Linear((2 * reach + 1) * stack["d_model"], d_ff)
        self.down = Linear(d_ff, stack["d_model"])
        self.activation = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu}[stack["activation"]]
        self.reach = reach

    def forward(self, x: Tensor, visible: Tensor | None) -> Tensor:
        if self.reach:
            if visible is not None:
                x = x * visible[..., None]
            wide = F.pad(x, (0, 0, self.reach, self.reach))
            shifted = [wide[:, i : i + x.shape[1]] for i in range(2 * self.reach + 1)]
            x = torch.cat(shifted, -1)
        return self.down(self.activation(self.up(x)))


class Sublayer(nn.Module):
    """x + f(norm(x)), or norm(x + f(x)); the norm stands beside f's own tensors."""

    def __init__(self, f: nn.Module, d_model: int, pre: bool) -> None:
        super().__init__()
        for name, module in f.named_children():
            self.add_module(name, module)
        self.f = [f]  # in a list: its tensors are registered above, without `.f.` in their names
        self.norm = nn.LayerNorm(d_model)
        self.pre = pre

    def before(self, x: Tensor) -> Tensor:
        return self.norm(x) if self.pre else x

    def after(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y if self.pre else self.norm(x + y)


class Blocks(nn.Module):
    """One stack: `encoder` or `decoder`."""

    def __init__(self, stack: dict[str, Any], name: str, cross: bool) -> None:
        super().__init__()
        self.name, pre = name, stack["norm_place"] == "pre"
        mix, _, options = stack["mix"].partition(":reach=")
        for layer in range(stack["layers"]):
            block = nn.Module()
            parts: dict[str, nn.Module] = {}
            if mix == "attention":
                parts["self"] = Attention(stack, "self", causal=name == "decoder")
                if cross:
                    parts["cross"] = Attention(stack, "cross", causal=False)
            elif mix == "window":
                parts["window"] = FeedForward(stack, int(options or 2))
            if stack.get("d_ff") != 0:
                parts["feed_forward"] = FeedForward(stack)
            for part, module in parts.items():
                block.add_module(part, Sublayer(module, stack["d_model"], pre))
            self.add_module(str(layer), block)
        if pre:
            self.norm = nn.LayerNorm(stack["d_model"])

    def forward(
        self,
        x: Tensor,
        visible: Tensor | None,
        memory: Tensor | None,
        memory_visible: Tensor | None,
        attentions: Attentions,
        scale_heads: dict[str, Tensor],
    ) -> Tensor:
        for layer, block in self.named_children():
            if layer == "norm":
                continue
            for kind, sublayer in block.named_children():
                y, f = sublayer.before(x), sublayer.f[0]
                if kind in ("self", "cross"):
                    id = f"{self.name}.{layer}.{kind}"
                    keys, shown = (y, visible) if kind == "self" else (memory, memory_visible)
                    y, attentions[id] = f(y, keys, shown, scale_heads.get(id))
                else:
                    y = f(y, visible)
                x = sublayer.after(x, y)
        return self.norm(x) if hasattr(self, "norm") else x


class Embedding(nn.Module):
    """What a stack reads, as vectors.

    `tokens` ids [n_text, n]; with `pieces`, hashed parts of words [n_text, n, n_piece] whose
    vectors are added; or, with `patches`, pixels [n_text, n, patch] behind a class token.
    """

    def __init__(self, stack: dict[str, Any], reads: dict[str, Any]) -> None:
        super().__init__()
        d = stack["d_model"]
        self.scale = d**0.5 if stack["embedding_scale"] else 1.0
        if "n_pixel" in reads:
            self.patches = Linear(reads["n_pixel"], d)
            self.register_parameter("class", nn.Parameter(torch.randn(d) * d**-0.5))
        else:
            self.tokens = nn.Parameter(torch.randn(reads["n_token"], d) * d**-0.5)
        if "n_piece" in reads:
            self.pieces = nn.Parameter(torch.randn(reads["n_piece"], d) * d**-0.5)
        name, _, length = stack["positions"].partition(":length=")
        if name == "learned":
            self.positions = nn.Parameter(torch.randn(int(length), d) * d**-0.5)
        self.sinusoidal = name == "sinusoidal"

    def forward(self, given: Tensor, pieces: Tensor | None = None) -> Tensor:
        if hasattr(self, "patches"):
            first = getattr(self, "class").expand(len(given), 1, -1)
            x = torch.cat([first, self.patches(given)], 1)
        else:
            x = self.tokens[given]
        if pieces is not None:
            x = x + self.pieces[pieces].sum(-2)
        x = x * self.scale
        if hasattr(self, "positions"):
            x = x + self.positions[: x.shape[1]]
        return x + _sinusoidal(*x.shape[1:]) if self.sinusoidal else x


class Transformer(nn.Module):
    """The stack that a config describes.

    Args:
        stack: fields of attnviz's StackConfig (kind, mix, layers, heads, d_model, …).
        n_output: the width of the output: tags, classes, or the tokens of the vocabulary.
        source, target: what is read: `{"n_token": …, "n_piece": …}` or `{"n_pixel": …}`.
    """

    def __init__(
        self,
        stack: dict[str, Any],
        n_output: int,
        source: dict[str, Any],
        target: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        stack = {**DEFAULTS, **stack}
        self.source = Embedding(stack, source)
        self.encoder = self.decoder = None
        if stack["kind"] != "decoder":
            self.encoder = Blocks(stack, "encoder", cross=False)
        if stack["kind"] != "encoder":
            self.decoder = Blocks(stack, "decoder", cross=stack["kind"] == "encoder-decoder")
        if target is not None:
            self.target = Embedding(stack, target)
        self.output = Linear(stack["d_model"], n_output)

    def forward(
        self,
        source: Tensor,
        target: Tensor | None = None,
        *,
        pieces: Tensor | None = None,
        visible: Tensor | None = None,
        scale_heads: dict[str, Tensor] | None = None,
    ) -> tuple[Tensor, Attentions]:
        """Logits [n_text, n, n_output] and the attention weights.

        `visible` [n_text, n] is False where the source is padding; a padded target needs none,
        for the decoder is causal and what follows the end is left out of the loss.
        """
        attentions: Attentions = {}
        memory, shown, scales = None, None, scale_heads or {}
        x = self.source(source, pieces)
        if self.encoder is not None:
            x = self.encoder(x, visible, None, None, attentions, scales)
            memory, shown = x, visible
        if self.decoder is not None:
            own = visible if target is None else None
            x = x if target is None else self.target(target)
            x = self.decoder(x, own, memory, shown, attentions, scales)
        return self.output(x), attentions


def round_to_half(model: nn.Module) -> None:
    """Round the weights as the file will hold them: figures are measured after this."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half().float())


def save_model(
    folder: Path, model: nn.Module, config: dict[str, Any], card: dict[str, Any]
) -> None:
    """Write `config.json`, `model.safetensors` (half precision) and `card.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: p.detach().half().contiguous() for name, p in model.named_parameters()}
    data = save(tensors)
    size = {"n_parameter": sum(p.numel() for p in tensors.values()), "n_byte": len(data)}
    card = {**card, **size, "sha256": hashlib.sha256(data).hexdigest()}
    config = {"model_type": "attnviz", **config, "stack": {**DEFAULTS, **config["stack"]}}
    (folder / "model.safetensors").write_bytes(data)
    for name, content in (
        ("config.json", config),
        ("card.json", card),
    ):
        text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
        (folder / name).write_text(text, "utf-8")


def _rope_base(positions: str) -> float | None:
    name, _, base = positions.partition(":base=")
    return float(base or 10000) if name == "rope" else None


def _rotate(x: Tensor, base: float) -> Tensor:
    """Rotary positions in the `half` layout: x [n_text, n_head, n, d]."""
    d = x.shape[-1]
    speed = base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angles = torch.arange(x.shape[-2], dtype=torch.float64)[:, None] * speed
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x[..., : d // 2], x[..., d // 2 :]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


def _sinusoidal(n: int, d: int) -> Tensor:
    speed = 10000 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angles = torch.arange(n, dtype=torch.float64)[:, None] * speed
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)[:, :d].float()
