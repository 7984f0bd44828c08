"""A checkpoint's config: checks every field that is read, refuses what is not understood."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from attnviz.errors import AttnvizError

INERT = frozenset(
    """
    model_type architectures transformers_version _name_or_path name_or_path _model_name_or_path
    torch_dtype dtype cache_implementation transformers.js_config is_llama_config _num_labels
    _commit_hash xla_device use_cache use_bfloat16 gradient_checkpointing output_past
    tf_legacy_loss auto_map
    pad_token_id bos_token_id eos_token_id eos_token_ids decoder_start_token_id
    sep_token_id cls_token_id unk_token_id
    id2label label2id num_labels problem_type finetuning_task task_specific_params
    output_attentions output_hidden_states return_dict use_return_dict torchscript
    _attn_implementation _attn_implementation_autoset attn_implementation
    directionality pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers pooler_act
    pooler_size_per_head pooler_type pooler_output_size chunk_size_feed_forward
    tie_word_embeddings
    summary_type summary_use_proj summary_activation summary_proj_to_labels summary_last_dropout
    tokenizer_class prefix language license tags sentence_transformers custom_pipelines
    max_length min_length do_sample early_stopping num_beams num_beam_groups diversity_penalty
    temperature top_k top_p typical_p repetition_penalty length_penalty no_repeat_ngram_size
    encoder_no_repeat_ngram_size bad_words_ids num_return_sequences output_scores
    return_dict_in_generate forced_bos_token_id forced_eos_token_id remove_invalid_values
    exponential_decay_length_penalty suppress_tokens begin_suppress_tokens
    max_sequence_length max_seq_length model_max_length matryoshka_dimensions matryoshka_dims
    bos_token eos_token pad_token unk_token sep_token cls_token mask_token chat_template vocab_file
    author base_model base_model_name datasets model_name seed optimizer learning_rate best_metric
    training_args onnx openvino neuron
    """.split()  # noqa: SIM905
)
"""Keys that change no number of a forward pass without dropout."""

PLAIN: Mapping[str, Any] = {
    "is_decoder": False,
    "is_encoder_decoder": False,
    "add_cross_attention": False,
    "tie_encoder_decoder": False,
    "pruned_heads": {},
}
"""What files say of a stack in which nothing was changed."""

INERT_ENDINGS = ("dropout", "dropout_prob", "pdrop", "layerdrop", "dropout_rate", "init_std",
                 "initializer_range", "initializer_factor")  # fmt: skip
"""Endings of such keys, which only training uses."""

INERT_STARTS = ("unsloth_", "tokenizer_", "wandb_")
"""Beginnings of what tools note for themselves."""


RIGHT = "take the config.json that came with the weights"
"""What to do about a wrong one."""


class Config:
    """The fields of a JSON object, checked as they are read. A null counts as a missing field."""

    def __init__(self, values: Mapping[str, Any], where: str, hint: str = RIGHT) -> None:
        """
        Args:
            where: what is read, for errors.
            hint: what to do if it is wrong.
        """
        self._values = {key: value for key, value in values.items() if value is not None}
        self._nulls = values.keys() - self._values.keys()
        self.where, self.hint = where, hint
        self._read: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        """The value of `key`; without a default it must be there."""
        self._read.add(key)
        if key in self._values:
            return self._values[key]
        if default is None:
            raise AttnvizError(f"{self.where} has no {key!r}", self.hint)
        return default

    def has(self, key: str) -> bool:
        """Whether the field is there, and not null."""
        return key in self._values

    def count(self, key: str, default: int | None = None, maximum: int | None = None) -> int:
        """A whole number of at least 1. One that no tensor's shape confirms may say anything, and
        needs a `maximum`."""
        value = self.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self._wrong(key, "a whole number of at least 1", value)
        if maximum is not None and value > maximum:
            raise self._wrong(key, f"a whole number up to {maximum}", value)
        return value

    def whole(self, key: str, default: int | None = 0) -> int:
        """A whole number of at least 0."""
        value = self.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self._wrong(key, "a whole number of at least 0", value)
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number."""
        value = self.get(key, default)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value):
            raise self._wrong(key, "a number", value)
        return float(value)

    def above_zero_or_null(self, key: str, default: float | None) -> float | None:
        """A number above 0, None for a null, or the default if the field is not there."""
        return None if self.is_null(key, default) else self.above(0, key, default)

    def is_null(self, key: str, default: Any) -> bool:
        """Whether a field is null, or not there and null by default."""
        return key in self._nulls or (default is None and not self.has(key))

    def above(self, minimum: float, key: str, default: float | None = None) -> float:
        """A finite number larger than `minimum`."""
        value = self.number(key, default)
        if value <= minimum:
            raise self._wrong(key, f"a number above {minimum:g}", value)
        return value

    def numbers(self, key: str, n: int) -> tuple[float, ...]:
        """A list of n numbers."""
        value = self.get(key)
        fits = isinstance(value, list) and len(value) == n
        if not fits or not all(isinstance(x, int | float) for x in value):
            raise self._wrong(key, f"a list of {n} numbers", value)
        return tuple(map(float, value))

    def wholes(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers of at least 0; empty by default."""
        value = self.get(key, [])
        fits = isinstance(value, list) and all(type(x) is int and x >= 0 for x in value)
        if not fits:
            raise self._wrong(key, "a list of whole numbers", value)
        return tuple(value)

    def text(self, key: str, default: str | None = "") -> str:
        value = self.get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, "a string", value)
        return value

    def switch(self, key: str, default: bool = False) -> bool:
        """True or false."""
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false", value)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings, no two the same."""
        value = self.get(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise self._wrong(key, "a list of strings", value)
        if len(set(value)) != len(value):
            raise self.error(f"{key} has an entry twice")
        return tuple(value)

    def kinds(self, key: str, n: int, *known: str) -> tuple[str, ...]:
        """A list of n strings, each one of those known."""
        value = self.get(key)
        if not isinstance(value, list) or len(value) != n:
            raise self._wrong(key, f"a list of {n} strings", value)
        for kind in value:
            if kind not in known:
                raise AttnvizError(
                    f"{self.where}: {key} has {kind!r}, which is not supported",
                    f"supported: {', '.join(known)}",
                )
        return tuple(value)

    def section(self, key: str) -> Config:
        """The JSON object under `key`."""
        value = self.get(key)
        if not isinstance(value, dict):
            raise self._wrong(key, "a JSON object", value)
        return self.part(value, key)

    def part(self, values: Mapping[str, Any], name: str = "") -> Config:
        """Other fields of the same file: errors call them `name`."""
        return Config(values, f"{self.where}: {name}" if name else self.where, self.hint)

    def values(self) -> Mapping[str, Any]:
        """All fields, for a caller that checks them itself."""
        self._read |= set(self._values)
        return self._values

    def _wrong(self, key: str, expected: str, value: Any) -> AttnvizError:
        return self.error(f"{key}: expected {expected}, got {str(value)[:40]}")

    def error(self, problem: str) -> AttnvizError:
        """An error that says why this cannot be read."""
        return AttnvizError(f"{self.where}: {problem}", self.hint)

    def require(self, key: str, *values: Any) -> None:
        """Refuse any value but these, the first of which is the default."""
        self.choice(key, *values)

    def refuse(self, key: str) -> None:
        """Refuse any value but null."""
        if self.has(key):
            raise AttnvizError(
                f"{self.where}: {key} = {self._values[key]!r} is not supported here",
                "supported: null",
            )

    def choice(self, key: str, *values: Any) -> Any:
        """One of these values, the first of which is the default."""
        self._read.add(key)
        value = self._values.get(key, values[0])
        if not any(value == known and type(value) is type(known) for known in values):
            raise AttnvizError(
                f"{self.where}: {key} = {value!r} changes the numbers and is not supported",
                f"supported: {', '.join(map(repr, values))}",
            )
        return value

    def inert(self, *keys: str) -> None:
        """Fields that change no number in this family."""
        self._read |= set(keys)

    def aliases(self, **names: str) -> None:
        """Other spellings of fields: alias -> name. Both may stand there if they agree."""
        for alias, name in names.items():
            value = self._values.get(alias)
            self._read.add(alias)
            if value is not None and self._values.setdefault(name, value) != value:
                raise self.error(
                    f"{alias} = {value!r} and {name} = {self._values[name]!r} mean the same field"
                )

    def finish(self, reader: str | None = None) -> None:
        """Raise AttnvizError for a key that was not read here but may matter to `reader`: that
        architecture's code in transformers, by default the one of `model_type`."""
        for key in PLAIN.keys() - self._read:
            self.require(key, PLAIN[key])
        known = self._read | INERT
        for key, value in self._values.items():
            if key in known or key.endswith(INERT_ENDINGS) or key.startswith(INERT_STARTS):
                continue
            if key != "adapters" or not _is_empty(value):
                self._check_unread(key, value, reader)

    def _check_unread(self, key: str, value: Any, reader: str | None) -> None:
        from attnviz.models.build.read_names import may_read

        family = str(self._values.get("model_type", "")).replace("-", "_")
        reason = may_read(family if reader is None else reader, key, self._values)
        if reason:
            raise AttnvizError(
                f"{self.where}: the field {key!r} (here {repr(value)[:40]}) is unknown and may "
                f"change the numbers: {reason}",
                "attnviz refuses what it does not understand, so that no picture is wrong; "
                "if the field changes nothing, leave it out of a copy",
            )


def _is_empty(value: Any) -> bool:
    """Whether nothing but empty objects is in an object: AdapterHub's note that there are none."""
    return isinstance(value, Mapping) and all(
        not entry or _is_empty(entry) for entry in value.values()
    )
