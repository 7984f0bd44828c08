"""Which output the class of a checkpoint has, and what else its file holds."""

from __future__ import annotations

import re
from collections.abc import Iterable

from attnviz.language import to_say
from attnviz.models.build.config import Config
from attnviz.tokens import label

OTHER = re.compile(
    r".+For((Sequence|Token)Classification|QuestionAnswering\w*|MultipleChoice"
    r"|NextSentencePrediction|MaskedImageModeling|AudioClassification)|.*ElectraForPreTraining"
)
"""Classes of transformers with another output than one that predicts tokens."""

PARTLY = re.compile(r".+(ForPreTraining|DoubleHeadsModel)")
"""Classes with several outputs, of which at most the one that predicts tokens is computed."""

HEADS = (
    r"(score|\w*classifier|classification_head|qa_outputs|multiple_choice_head|lm_head|embed_out"
    r"|cls|predictions|(discriminator|generator)_\w+|vocab_\w+)\..+|final_logits_bias"
)
"""The tensors of outputs, as transformers names them."""

OTHER_HEADS = r"(score|\w*classifier|classification_head|qa_outputs|multiple_choice_head)\..+"
"""Those of them that predict no tokens."""

BUFFERS = (
    r"(.+\.)?(embeddings\.(position_ids|token_type_ids)|rotary_emb\.\w*(inv_freq|_cached)"
    r"|masked_bias|num_batches_tracked|pooler(_activation)?\.(.+\.)?(weight|bias))"
)
"""What is computed anew, or read by no attention: fixed numbers that PyTorch saves, poolers."""

ADDED = {
    r"(v_head|value_head|reward_head|q_head)\..+": to_say(
        "its file also has a value head ({names}), which is not computed"
    ),
    r"crf\..+": to_say(
        "its file also has a CRF ({names}), which is not applied: labels are those of single tokens"
    ),
    r"linear\.(weight|bias)": to_say(
        "its file also has a projection for search ({names}), which is not applied"
    ),
}
"""What others put behind a model (TRL, pytorch-crf, ColBERT), and what is said of it."""

MAX_LABELS = 1 << 20


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


def read_labels(config: Config) -> tuple[str, ...]:
    """The names of the classes; without names there are two, as transformers has it."""
    n_label = config.count("num_labels", 2, maximum=MAX_LABELS)
    names = config.get("id2label", {str(i): f"LABEL_{i}" for i in range(n_label)})
    if not isinstance(names, dict) or set(names) != {str(i) for i in range(len(names))}:
        raise config.error("id2label: expected a name for every class, counted from 0")
    return tuple(str(names[str(i)]) for i in range(len(names)))


def ignorable(config: Config) -> str:
    """A pattern of the tensors that no attention depends on, whatever the family."""
    heads = HEADS if predicts_other(config) else OTHER_HEADS
    return "|".join((heads, BUFFERS, *ADDED))


def added_parts(unread: Iterable[str]) -> tuple[str, ...]:
    """What others put behind the model, a sentence each."""
    unread, notes = tuple(unread), []
    for pattern, sentence in ADDED.items():
        if names := {name.split(".")[0] for name in unread if re.fullmatch(pattern, name)}:
            notes.append(to_say(sentence, names=", ".join(sorted(names))))
    return tuple(notes)


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
