"""DINOv2 with registers: tokens of no patch, in which the model keeps what concerns the whole
image, so that no patch is used for it. Source: Darcet et al. 2024; tensor names as in Hugging
Face's checkpoints."""

from __future__ import annotations

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.families.dinov2 import build_dinov2
from attnviz.models.build.vision_transformer import register_names
from attnviz.models.model import Model


def build(checkpoint: Checkpoint) -> Model:
    registers = register_names(checkpoint.config, 4)
    return build_dinov2(
        checkpoint, "dinov2_with_registers", patch=16, registers=registers, smooth=True
    )
