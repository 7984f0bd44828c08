"""Command R7B and A: as Command R, but three layers of four slide, and the last has no positions.
Source: Cohere 2025 (Command A), section 2.1."""

from __future__ import annotations

from typing import Any

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.families.cohere import cohere_model, read_cohere
from attnviz.models.build.llama_like import read_windows, sliding_window
from attnviz.models.build.rope import read_rope
from attnviz.models.model import Model

TOKENIZER = "CohereTokenizer"


def build(checkpoint: Checkpoint) -> Model:
    decoder, config = read_cohere(checkpoint), checkpoint.config
    rope = read_rope(config, decoder.sizes.d_head, style="interleaved")
    period = config.count("sliding_window_pattern", 4)
    window = read_windows(decoder, sliding_window(config), lambda layer: (layer + 1) % period > 0)

    def fields(layer: int) -> dict[str, Any]:
        size = window(layer)
        rotary = None if size is None else rope.rotary
        return {"mask": decoder.sizes.mask(size), "rotary": rotary}

    positions = f"{rope.description} where the window slides, none elsewhere"
    return cohere_model(decoder, fields, positions)
