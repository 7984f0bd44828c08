"""MPNet: RoBERTa with T5's relative positions, one bias shared by all layers.

Source: Song et al. 2020 and its code; tensor names as in Hugging Face's checkpoints.
"""

from __future__ import annotations

from functools import partial

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.encoder import LanguageModelHead
from attnviz.models.build.families.bert import IGNORED, bert_model, embedding, read_sizes
from attnviz.models.build.families.roberta import COPY, after_padding
from attnviz.models.model import Model
from attnviz.nn.activations import gelu
from attnviz.nn.schemes import RelativeBias

TOKENIZER = "MPNetTokenizer"
HEAD = LanguageModelHead("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder", gelu)
PROJECTIONS = ("attn.q", "attn.k", "attn.v", "attn.o")

PADDING = 1
"""The id of padding, whatever the config says."""

N_BUCKET, MAX_DISTANCE = 32, 128
"""Of relative positions, whatever the config says: a larger table has rows that nothing uses."""


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("mpnet."), checkpoint.config
    sizes = read_sizes(config)
    n_row = config.count("relative_attention_num_buckets", N_BUCKET)
    if n_row < N_BUCKET:
        raise config.error(
            f"relative_attention_num_buckets = {n_row}, but positions fall into {N_BUCKET} buckets"
        )
    source = embedding(config, tensors, sizes.d_model, has_segments=False)
    table = tensors.take("encoder.relative_attention_bias.weight", n_row, sizes.n_head)
    return bert_model(
        checkpoint,
        tensors,
        sizes._replace(n_position=sizes.n_position - PADDING - 1),
        source._replace(place=partial(after_padding, padding=PADDING)),
        HEAD,
        IGNORED + COPY,
        projections=PROJECTIONS,
        norm="attention.LayerNorm",
        positions=f"learned, {sizes.n_position - PADDING - 1}, "
        f"and bias in {N_BUCKET} buckets, to a distance of {MAX_DISTANCE}",
        bias=RelativeBias(table[:N_BUCKET], MAX_DISTANCE, bidirectional=True),
    )
