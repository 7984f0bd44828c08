"""Which output the class of a checkpoint has, and whether attnviz computes it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from attnviz.language import to_say
from attnviz.models.build.config import Config
from attnviz.tokens import label

OTHER = re.compile(
    r".+For((Sequence|Token)Classification|QuestionAnswering\w*|MultipleChoice"
    r"|NextSentencePrediction|MaskedImageModeling|AudioClassification)"
)
"""Classes of transformers with an output that is not computed, and none that predicts tokens."""

PARTLY = re.compile(r".+(ForPreTraining|DoubleHeadsModel)")
"""Classes with several outputs, of which at most the one that predicts tokens is computed."""

HEADS = (
    r"(score|\w*classifier|classification_head|qa_outputs|multiple_choice_head|lm_head|embed_out"
    r"|cls|predictions|(discriminator|generator)_\w+|vocab_\w+)\..+|final_logits_bias"
)
"""The tensors of outputs, as transformers names them."""


def architecture(config: Config) -> str:
    """The class of transformers that the checkpoint was made with; empty if none is named."""
    names = config.texts("architectures")
    return names[0] if names else ""


def predicts_tokens(config: Config) -> bool:
    """Whether the class of a checkpoint certainly has an output that predicts tokens."""
    name = architecture(config)
    return "LM" in name or name.endswith(("ForConditionalGeneration", "MTModel"))


def predicts_other(config: Config) -> bool:
    """Whether it certainly has another output instead."""
    return OTHER.fullmatch(architecture(config)) is not None


def unread_outputs(config: Config, unread: Iterable[str], *, is_one_read: bool) -> tuple[str, ...]:
    """What a user has to know of outputs that are not computed, or that the file lacks.

    Args:
        unread: the tensors that nothing was made of.
        is_one_read: whether an output is computed.
    """
    name = architecture(config)
    if OTHER.fullmatch(name) or PARTLY.fullmatch(name):
        what = to_say("of {name}", name=label(name))
    elif predicts_tokens(config) and not is_one_read:
        return (to_say("its file has no output matrix, so its predictions cannot be computed"),)
    elif predicts_tokens(config) or name.endswith("Model"):
        return ()  # the class reads no other tensors either
    else:
        heads = sorted({tensor.split(".")[0] for tensor in unread if re.fullmatch(HEADS, tensor)})
        if not heads:
            return ()
        what = to_say("made of {name}", name=label(", ".join(heads)))
    if is_one_read:
        return (
            to_say("only the output that predicts tokens is computed, not the others {what}",
                   what=what),
        )  # fmt: skip
    return (
        to_say("the output {what} is not computed, only the attention and hidden states before it",
               what=what),
    )  # fmt: skip
