"""GPT-2. Source: Radford et al. 2019, section 2.3; weights are stored [d_in, d_out]."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.decoder import Sizes, language_model, with_heads
from attnviz.models.build.layers import activation, head_width, layer_norm, unembedding
from attnviz.models.build.tensors import Tensors
from attnviz.models.model import Model
from attnviz.nn.embedding import Embedding
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.linear import Linear
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.schemes import LearnedPositions
from attnviz.nn.transformer import Block, Sublayer
from attnviz.nn.weights import rows

TOKENIZER = "GPT2Tokenizer"

IGNORED = (
    r"(transformer\.)?h\.\d+\.attn\.(masked_)?bias"
    r"|(score|classifier|qa_outputs|multiple_choice_head)\..*"
)


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("transformer."), checkpoint.config
    sizes = read_sizes(config)
    act = activation(config, "activation_function", "gelu_new")
    scale = sizes.d_head**-0.5 if config.switch("scale_attn_weights", True) else 1.0
    by_layer = config.switch("scale_attn_by_inverse_layer_idx")
    config.inert("n_ctx", "reorder_and_upcast_attn", "summary_first_dropout")

    def heads(layer: int) -> MultiHeadAttention:
        return _attention(
            tensors, f"h.{layer}.attn", sizes, scale=scale / (layer + 1) if by_layer else scale
        )

    def net(layer: int) -> FeedForward:
        at = f"h.{layer}.mlp"
        return FeedForward(
            up=_linear(tensors, f"{at}.c_fc", sizes.d_model, sizes.d_ff),
            down=_linear(tensors, f"{at}.c_proj", sizes.d_ff, sizes.d_model),
            activation=act,
        )

    return gpt2_like_model(checkpoint, tensors, sizes, heads, net, IGNORED)


def gpt2_like_model(
    checkpoint: Checkpoint,
    tensors: Tensors,
    sizes: Sizes,
    heads: Callable[[int], MultiHeadAttention],
    net: Callable[[int], FeedForward],
    ignored: str,
) -> Model:
    """What GPT-2 and its kin share, once the config is read: learned positions, each part behind a
    norm, and an output that shares the embedding's matrix. `heads` and `net` are those of a
    layer."""
    checkpoint.config.finish()
    d_model, eps = sizes.d_model, sizes.eps

    def block(layer: int) -> Block:
        return (
            Sublayer(heads(layer), before=layer_norm(tensors, f"h.{layer}.ln_1", d_model, eps)),
            Sublayer(net(layer), before=layer_norm(tensors, f"h.{layer}.ln_2", d_model, eps)),
        )

    table = tensors.table("wte.weight", sizes.n_vocabulary, d_model)
    positions = tensors.take("wpe.weight", sizes.n_position, d_model)
    return language_model(
        checkpoint,
        tensors,
        sizes,
        block,
        Embedding(tokens=partial(rows, table), positions=LearnedPositions(positions)),
        layer_norm(tensors, "ln_f", d_model, eps),
        unembedding(checkpoint.config, tensors, table, "lm_head", tied=True),
        positions=f"learned, {sizes.n_position}",
        ignored=ignored,
    )


def read_sizes(config: Config) -> Sizes:
    """What GPT-2 and GPT-J call alike."""
    config.aliases(
        hidden_size="n_embd",
        max_position_embeddings="n_positions",
        num_attention_heads="n_head",
        num_hidden_layers="n_layer",
    )
    d_model, n_head = config.count("n_embd"), config.count("n_head")
    return Sizes(
        n_layer=config.count("n_layer"),
        n_head=n_head,
        n_kv_head=n_head,
        d_head=head_width(config, d_model, n_head),
        d_model=d_model,
        d_ff=config.count("n_inner", 4 * d_model),
        n_vocabulary=config.count("vocab_size"),
        n_position=config.count("n_positions"),
        eps=config.above(0, "layer_norm_epsilon", 1e-5),
        is_causal=config.switch("is_causal", True),
    )


def _attention(tensors: Tensors, at: str, sizes: Sizes, *, scale: float) -> MultiHeadAttention:
    """One matrix of the file holds query, key and value."""
    d = sizes.d_model
    query, key, value = (
        _linear(tensors, f"{at}.c_attn", d, 3 * d, rows=slice(i * d, (i + 1) * d)) for i in range(3)
    )
    output = _linear(tensors, f"{at}.c_proj", d, d)
    return with_heads(sizes, query, key, value, output, scale=scale, mask=sizes.mask())


def _linear(
    tensors: Tensors, name: str, d_in: int, d_out: int, rows: slice = slice(None)
) -> Linear:
    """A linear map from NAME.weight [d_in, d_out], or some of its outputs."""
    weight = tensors.weight(f"{name}.weight", d_in, d_out, rows=rows, transposed=True)
    return Linear(weight, tensors.take(f"{name}.bias", d_out)[rows])
