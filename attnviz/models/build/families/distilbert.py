"""DistilBERT. Source: Sanh et al. 2019; tensor names as in Hugging Face's checkpoints."""

from __future__ import annotations

from functools import partial

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.encoder import LanguageModelHead, Sizes, masked_language_model
from attnviz.models.build.layers import activation, attention, feed_forward, layer_norm
from attnviz.models.model import Model
from attnviz.nn.embedding import Embedding
from attnviz.nn.schemes import LearnedPositions
from attnviz.nn.transformer import Block, Sublayer
from attnviz.nn.weights import rows

TOKENIZER = "BertTokenizer"
HEAD = LanguageModelHead("vocab_transform", "vocab_layer_norm", "vocab_projector")
PROJECTIONS = ("q_lin", "k_lin", "v_lin", "out_lin")
EPS = 1e-12

IGNORED = (
    r"(distilbert\.)?embeddings\.position_ids"
    r"|(pre_classifier|classifier|qa_outputs)\..*"
)


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("distilbert."), checkpoint.config
    config.aliases(hidden_size="dim", num_attention_heads="n_heads", num_hidden_layers="n_layers")
    sizes = _sizes(config)
    config.switch("sinusoidal_pos_embds")  # the file holds the table in either case
    config.inert("tie_weights_")
    config.finish()
    d_model = sizes.d_model

    def block(layer: int) -> Block:
        at = f"transformer.layer.{layer}"
        heads = attention(tensors, f"{at}.attention", PROJECTIONS, d_model, sizes.n_head)
        names = (f"{at}.ffn.lin1", f"{at}.ffn.lin2")
        net = feed_forward(tensors, names, d_model, sizes.d_ff, sizes.activation)
        return (
            Sublayer(heads, after=layer_norm(tensors, f"{at}.sa_layer_norm", d_model, EPS)),
            Sublayer(net, after=layer_norm(tensors, f"{at}.output_layer_norm", d_model, EPS)),
        )

    table = tensors.table("embeddings.word_embeddings.weight", sizes.n_vocabulary, d_model)
    positions = tensors.take("embeddings.position_embeddings.weight", sizes.n_position, d_model)
    source = Embedding(
        tokens=partial(rows, table),
        positions=LearnedPositions(positions),
        norm=layer_norm(tensors, "embeddings.LayerNorm", d_model, EPS),
    )
    blocks = [block(layer) for layer in range(sizes.n_layer)]
    return masked_language_model(
        checkpoint, tensors, sizes, blocks, source, table, HEAD, ignored=IGNORED
    )


def _sizes(config: Config) -> Sizes:
    return Sizes(
        n_layer=config.count("n_layers"),
        n_head=config.count("n_heads"),
        d_model=config.count("dim"),
        d_ff=config.count("hidden_dim"),
        n_vocabulary=config.count("vocab_size"),
        n_position=config.count("max_position_embeddings"),
        eps=EPS,
        activation=activation(config, "activation", "gelu"),
    )
