"""No field of a config is ignored that changes the numbers.

`fields.json` says what transformers makes of every config with one field changed. attnviz must
compute the same, or refuse and name the field.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import json

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from tests.golden.families.probe import probe
from tests.models.build.families import goldens
from tests.models.build.families.bounds import LOGITS
from tests.models.build.families.checkpoints import with_config

SAME = 1e-6

UNUSED = {
    "tie_word_embeddings": "then there is no output; attention does not depend on it",
    "summary_activation": "of a head that is not computed",
    "decoder_vocab_size": "not read where encoder and decoder share their embeddings",
    "out_indices": "which layers a backbone hands on",
    "use_mask_token": "a token of training",
    "pos_embed_jitter": "of training: a whole number where DINOv3's config wants a decimal point",
    "pos_embed_shift": "of training: a whole number where DINOv3's config wants a decimal point",
    "share_encoder_decoder_embeddings": "no difference where all have tables of their own",
    "eos_token_id": "of a head that is not computed",
    "classifier_proj_size": "of a head that is not computed",
    "use_weighted_layer_sum": "of a head that is not computed",
    "suppress_tokens": "what is not written, and must be a list",
    "classifier_dropout": "a probability, which only training uses",
    "classifier_bias": "then ModernBERT has no output; attention does not depend on it",
    "legacy": "the output of DeBERTa that the file has is read",
    "vocab_list": "of models that fold proteins",
    "pad_token_id": "outside of the vocabulary, which only matters to training",
    "attn_config": "a whole number where MPT's config wants a decimal point",
}
"""Fields whose other values transformers cannot load, while the numbers do not depend on them."""

CAUTIOUS = {
    "activation_function", "hidden_act", "pooler_hidden_act", "feed_forward_proj",  # a name that attnviz does not know
    "is_decoder", "is_encoder_decoder", "is_folding_model", "use_bidirectional_attention",
    "attn_config", "logit_scale",  # of MPT, whose own code reads more of it than transformers
    "norm_topk_prob",  # of DeepSeek-V2, whose own code reads it
    "attn_logit_softcapping",  # of Gemma 3, which has it in its config and not in its code
}  # fmt: skip
"""Fields that attnviz may refuse although these models of transformers do not read them."""


OLDER = {
    ("umt5", "tie_word_embeddings"): "as transformers 4 and its training have it: a note says so",
}
"""Fields by family that transformers 5 no longer heeds, though the numbers of public models depend
on them."""


def changed_config(config, entry):
    config, field, value = copy.deepcopy(config), entry["field"], entry["value"]
    if "removed" in entry:
        del config[field]
        return config
    *path, last = (int(part) if part.isdigit() else part for part in field.split("/"))
    at = config
    for part in path:
        at = at[part]
    at[last] = value
    return config


def numbers(case, folder):
    """The probe of what attnviz computes."""
    trace = goldens.run(case, 0, folder)
    outputs = {record.id: record.weights for record in trace}
    n_left_out = goldens.left_out(case.variant)
    for stack, states in trace.hidden_states.items():
        outputs[f"{stack}.hidden"] = np.stack(states[: len(states) - n_left_out])
    if goldens.has_head(case.variant) and trace.logits is not None:
        logits = goldens.as_logits(case.variant, trace)
        if logits.size:  # an answer that is read at an end which the text lacks has none
            outputs["logits"] = logits
    return probe(outputs)


def judge(entry, before, case, folder):
    """What is wrong with how attnviz takes the changed field; None if nothing is."""
    name, truth = entry["field"].split("/")[0], entry["outcome"]
    try:
        found = numbers(case, folder)
    except AttnvizError as error:
        fine = {
            "refused": True,
            "same": "added" in entry or "removed" in entry or name in CAUTIOUS,
            "other": name in str(error),
        }
        return None if fine[truth] else f"refused, without need or without naming it: {error}"
    if truth == "refused":
        return None if name in UNUSED else "transformers cannot load it"
    expected = np.array(entry["numbers"]) if truth == "other" else before
    error = np.abs(found - expected).max()
    return None if error <= (SAME if truth == "same" else LOGITS) else f"off by {error:.1e}"


def is_same(before, case, folder):
    """Whether the numbers are those before the change."""
    with contextlib.suppress(AttnvizError):
        return np.abs(numbers(case, folder) - before).max() <= SAME
    return False


def groups(entries):
    """Changes that can be tried together: fields that are the same with other values, or without
    them, each once; any other change is alone."""
    together, alone = [], []
    for entry in entries:
        kind, name = "removed" in entry, entry["field"].split("/")[0]
        if entry["outcome"] != "same" or name in CAUTIOUS:
            alone.append([entry])
            continue
        fits = (each for each in together if each[0] == kind and name not in each[1])
        group = next(fits, None)
        if group is None:
            together.append(group := (kind, {}))
        group[1][name] = entry
    return alone + [list(group.values()) for _, group in together]


@pytest.mark.parametrize("variant", goldens.VARIANTS)
def test_every_field_is_heeded_or_refused(variant, tmp_path):
    folder = goldens.FAMILIES / variant
    config = goldens.config(variant)
    case = goldens.longest(variant)
    before = numbers(case, None)

    def wrong(entries):
        """What is wrong with changes by field: with each alone, unless all of them together are
        the same as none."""
        with_config(tmp_path, functools.reduce(changed_config, entries, config), folder)
        if len(entries) > 1:
            if is_same(before, case, tmp_path):
                return {}
            middle = len(entries) // 2
            return wrong(entries[:middle]) | wrong(entries[middle:])
        trouble = judge(entries[0], before, case, tmp_path)
        return {f"{entries[0]['field']} = {entries[0]['value']}": trouble} if trouble else {}

    entries = json.loads((folder / "fields.json").read_text())
    known = [each for each in entries if (goldens.model_type(variant), each["field"]) not in OLDER]
    assert not [found for group in groups(known) if (found := wrong(group))]


def test_the_truth_is_not_always_the_same():
    """Goldens made with a model that reads no config would pass everything above."""
    for variant in goldens.VARIANTS:
        entries = json.loads((goldens.FAMILIES / variant / "fields.json").read_text())
        assert {entry["outcome"] for entry in entries} == {"same", "other", "refused"}
