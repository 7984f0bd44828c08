"""Config and tensors -> transformer parts: one file an architecture, named as its `model_type`.

Each has `build(config, file, dtype) -> Built` and, in one order: what it reads of the config,
the embedding, the blocks, the stack.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.models.model import Tokenizer
from attnviz.nn.transformer import Transformer

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


@dataclass(frozen=True)
class Built:
    """What a family makes of a config and a file of weights."""

    transformer: Transformer
    shape: Mapping[str, Any]
    n_parameter: int
    max_tokens: int | None
    n_vocabulary: int | None
    tokenizer: Tokenizer | None = None
    """Where the config itself says how text is read; else it is in `tokenizer.json`."""
    target_tokenizer: Tokenizer | None = None
    trained_tokens: int | None = None
    task: str = ""
    labels: tuple[str, ...] = ()
    image: Mapping[str, Any] | None = None


class Config:
    """A checkpoint's config: hands out what is read, refuses what is not understood."""

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
            raise AttnvizError(
                f"{self.where}: {key}: expected a whole number from 1, got {value!r}",
                "take the config.json that came with the weights",
            )
        return value

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
