"""Whisper, which writes down speech. Source: Radford et al. 2023; tensor names as in Hugging Face's
checkpoints."""

from __future__ import annotations

import re
from functools import partial

import numpy as np

from attnviz.models.build.checkpoint import Checkpoint, trained_model
from attnviz.models.build.config import Config
from attnviz.models.build.families.bart import Half, read_halves, stack
from attnviz.models.build.layers import unembedding
from attnviz.models.build.outputs import architecture
from attnviz.models.build.tensors import Tensors
from attnviz.models.model import Model
from attnviz.models.sound.reader import SoundInput, read_reader
from attnviz.models.tokenizers.readers import NoText
from attnviz.nn.activations import gelu
from attnviz.nn.convolution import Convolution
from attnviz.nn.embedding import Embedding, SoundEmbedding
from attnviz.nn.schemes import LearnedPositions
from attnviz.nn.transformer import Transformer
from attnviz.nn.weights import rows

TOKENIZER = "WhisperTokenizer"
TRAINING = ("apply_spec_augment", "mask_time_prob", "mask_time_length", "mask_time_min_masks",
            "mask_feature_prob", "mask_feature_length", "mask_feature_min_masks")  # fmt: skip
CLASSIFIER = ("use_weighted_layer_sum", "classifier_proj_size")
"""Of the class that sorts sounds, whose output is not computed."""

WRITING = ("median_filter_width", "forced_decoder_ids", "scale_embedding")
"""What only `generate` of transformers reads; and a scale that its code never applies."""

ENCODERS = re.compile(r".+ForAudioClassification")
"""Classes that have no decoder."""

HEADS = r"(projector|classifier)\..*|layer_weights"


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("model."), checkpoint.config
    halves = read_halves(config)
    sound = SoundInput(config.count("num_mel_bins", 80), config.count("max_source_positions", 1500))
    n_target = config.count("max_target_positions", 448)
    n_vocabulary = config.count("vocab_size", 51865)
    config.inert(*TRAINING, *CLASSIFIER, *WRITING)
    has_decoder = ENCODERS.fullmatch(architecture(config)) is None
    config.require("is_encoder_decoder", True, *(() if has_decoder else (False,)))
    transformer = Transformer(
        encoder=stack(tensors, halves[0], is_pre_norm=True, key_bias=False),
        source=_sound_embedding(tensors, sound, halves[0]),
    )
    if has_decoder:
        transformer = _with_decoder(tensors, config, transformer, halves[1], n_vocabulary, n_target)
    config.finish()
    return trained_model(
        checkpoint,
        tensors,
        transformer,
        {
            "n_layer": halves[0].n_layer,
            "n_head": halves[0].n_head,
            "d_model": halves[0].d_model,
            "positions": f"{sound.n_position} frames; learned, {n_target}",
            "sound": f"{sound.n_mel} bands",
            **(
                {"alignment_heads": named}
                if (named := _alignment_heads(checkpoint, halves[1]))
                else {}
            ),
        },
        ignored=HEADS if has_decoder else f"{HEADS}|(model\\.)?decoder\\..*|proj_out.*",
        tokenizer=NoText("sound"),
        max_tokens=n_target,
        n_target=n_vocabulary,
        task="" if transformer.unembed is None else "continue",
        sound=read_reader(sound, checkpoint.preprocessor),
    )


def _with_decoder(
    tensors: Tensors,
    config: Config,
    transformer: Transformer,
    half: Half,
    n_vocabulary: int,
    n_target: int,
) -> Transformer:
    table = tensors.table("decoder.embed_tokens.weight", n_vocabulary, half.d_model)
    positions = tensors.take("decoder.embed_positions.weight", n_target, half.d_model)
    return transformer._replace(
        decoder=stack(tensors, half, is_pre_norm=True, key_bias=False),
        target=Embedding(tokens=partial(rows, table), positions=LearnedPositions(positions)),
        unembed=unembedding(config, tensors, table, "proj_out", tied=True),
    )


def _sound_embedding(tensors: Tensors, sound: SoundInput, half: Half) -> SoundEmbedding:
    """Each convolution sees three frames."""

    def convolution(name: str, d_in: int, stride: int) -> Convolution:
        kernel = tensors.take(f"encoder.{name}.weight", half.d_model, d_in, 3)
        by_tap = np.ascontiguousarray(kernel.transpose(2, 0, 1))
        bias = tensors.take(f"encoder.{name}.bias", half.d_model)
        return Convolution(by_tap, bias, stride=stride)

    return SoundEmbedding(
        convolution("conv1", sound.n_mel, 1),
        convolution("conv2", half.d_model, 2),
        gelu,
        tensors.take("encoder.embed_positions.weight", sound.n_position, half.d_model),
    )


def _alignment_heads(checkpoint: Checkpoint, decoder: Half) -> list[str]:
    """The heads that look at the frames in which a token is spoken, if the checkpoint names any."""
    pairs = checkpoint.generation.get("alignment_heads") or []
    known = isinstance(pairs, list) and all(
        isinstance(pair, list)
        and len(pair) == 2
        and all(type(number) is int for number in pair)
        and 0 <= pair[0] < decoder.n_layer
        and 0 <= pair[1] < decoder.n_head
        for pair in pairs
    )
    if not known:
        raise checkpoint.config.error(
            "alignment_heads of generation_config.json: expected [layer, head] of heads of the "
            f"decoder, got {str(pairs)[:40]}"
        )
    return [f"decoder.{layer}.cross.H{head}" for layer, head in sorted(pairs)]
