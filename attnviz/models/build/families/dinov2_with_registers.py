"""DINOv2 with registers: tokens of no patch, in which the model keeps what concerns the whole
image, so that no patch is used for it. Source: Darcet et al. 2024; tensor names as in Hugging
Face's checkpoints."""

from __future__ import annotations

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.families.dinov2 import build_dinov2
from attnviz.models.model import Model

MAX_REGISTERS = 1 << 10


def build(checkpoint: Checkpoint) -> Model:
    n_register = checkpoint.config.count("num_register_tokens", 4, maximum=MAX_REGISTERS)
    return build_dinov2(checkpoint, "dinov2_with_registers", patch=16, n_register=n_register)
