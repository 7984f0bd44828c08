"""ELECTRA: BERT with narrower vectors for tokens. Source: Clark et al. 2020."""

from __future__ import annotations

from attnviz.models.build.answers import HeadOptions
from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.encoder import LanguageModelHead
from attnviz.models.build.families.bert import IGNORED, bert_model, embedding, read_sizes
from attnviz.models.build.layers import linear
from attnviz.models.model import Model
from attnviz.nn.activations import gelu

TOKENIZER = "BertTokenizer"
HEAD = LanguageModelHead(
    "generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head", gelu
)
ANSWERING = HeadOptions(activation=gelu)
DISCRIMINATOR = r"|(discriminator_predictions|sequence_summary)\..*"


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("electra."), checkpoint.config
    sizes = read_sizes(config)
    d = config.count("embedding_size", sizes.d_model)
    source = embedding(config, tensors, d)
    if d != sizes.d_model:
        source = source._replace(widen=linear(tensors, "embeddings_project", d, sizes.d_model))
    return bert_model(
        checkpoint, tensors, sizes, source, HEAD, IGNORED + DISCRIMINATOR, answering=ANSWERING
    )
