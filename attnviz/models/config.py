"""A checkpoint's config: hands out what is read, refuses what is not understood."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from attnviz.errors import AttnvizError

INERT = frozenset(
    """
    model_type architectures transformers_version _name_or_path name_or_path torch_dtype dtype
    use_cache gradient_checkpointing initializer_range initializer_factor
    attention_probs_dropout_prob hidden_dropout_prob classifier_dropout summary_type
    pad_token_id bos_token_id eos_token_id sep_token_id cls_token_id unk_token_id
    id2label label2id num_labels problem_type finetuning_task task_specific_params
    output_attentions output_hidden_states return_dict use_return_dict torchscript
    _attn_implementation _attn_implementation_autoset attn_implementation
    directionality pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers
    pooler_size_per_head pooler_type chunk_size_feed_forward tie_word_embeddings
    tokenizer_class prefix language license tags sentence_transformers
    """.split()  # noqa: SIM905
)
"""Keys that change no number of a forward pass without dropout."""


class Config:
    """The fields of a JSON object, checked as they are read."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values = values
        self.where = where
        self._read: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        """The value of `key`; without a default it must be there."""
        self._read.add(key)
        if key in self._values:
            return self._values[key]
        if default is None:
            raise AttnvizError(
                f"{self.where} has no {key!r}", "take the config.json that came with the weights"
            )
        return default

    def count(self, key: str) -> int:
        """A whole number of at least 1."""
        value = self.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self._wrong(key, "a whole number from 1", value)
        return value

    def whole(self, key: str, default: int = 0) -> int:
        """A whole number from 0, which need not be there."""
        value = self.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self._wrong(key, "a whole number from 0", value)
        return value

    def text(self, key: str, default: str = "") -> str:
        value = self.get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, "a text", value)
        return value

    def switch(self, key: str) -> bool:
        """True or false; false if it is not there."""
        value = self.get(key, False)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false", value)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, no two the same."""
        value = self.get(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise self._wrong(key, "a list of texts", value)
        if len(set(value)) != len(value):
            raise AttnvizError(f"{self.where}: {key} names something twice", "write it again")
        return tuple(value)

    def section(self, key: str) -> Config:
        """The JSON object under `key`."""
        value = self.get(key)
        if not isinstance(value, dict):
            raise self._wrong(key, "a JSON object", value)
        return Config(value, f"{self.where}: {key}")

    def values(self) -> Mapping[str, Any]:
        """All fields, for whoever checks them itself."""
        self._read |= set(self._values)
        return self._values

    def _wrong(self, key: str, expected: str, value: Any) -> AttnvizError:
        shown = str(value)[:40]
        return AttnvizError(
            f"{self.where}: {key}: expected {expected}, got {shown}",
            "take the config.json that came with the weights",
        )

    def require(self, key: str, *values: Any) -> None:
        """Refuse any value but these, the first of which is the default."""
        value = self.get(key, values[0]) if key in self._values else values[0]
        self._read.add(key)
        if value not in values:
            raise AttnvizError(
                f"{self.where}: {key} = {value!r} changes the numbers and is not supported",
                f"supported: {', '.join(map(repr, values))}",
            )

    def finish(self, handled: Collection[str] = ()) -> None:
        """Raise AttnvizError for a key that was neither read nor is known to change nothing."""
        for key, value in self._values.items():
            if key not in self._read and key not in INERT and key not in handled:
                raise AttnvizError(
                    f"{self.where}: the field {key!r} (here {value!r}) is unknown and may change "
                    "the numbers",
                    "attnviz refuses what it does not understand, so that no picture is wrong; "
                    "if the field changes nothing, delete it from a copy of config.json",
                )
