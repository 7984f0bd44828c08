"""umT5: mT5 with a relative bias of its own in each layer. Source: Chung et al. 2023; tensor names
as in Hugging Face's checkpoints."""

from __future__ import annotations

from attnviz.language import to_say
from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.families.t5 import t5_model
from attnviz.models.model import Model

TOKENIZER = "TokenizersBackend"


def build(checkpoint: Checkpoint) -> Model:
    """Its published files untie the output, and it was trained without a scale there: so does
    transformers 4. transformers 5 scales it whatever the files say."""
    is_scaled = checkpoint.config.switch("tie_word_embeddings", True)
    model = t5_model(checkpoint, net="gated-gelu", is_scaled=is_scaled, bias_by_layer=True)
    if is_scaled or model.transformer.unembed is None:
        return model
    return model._replace(
        notes=(
            *model.notes,
            to_say(
                "its logits are not scaled, as it was trained and as in transformers 4; "
                "transformers 5 divides them by √d_model"
            ),
        )
    )
