from __future__ import annotations

from .shared import BERT, Variant

ENCODER = True
VARIANTS = {
    "xlm-roberta": Variant("XLMRobertaForMaskedLM", {**BERT, "type_vocab_size": 1}, "roberta"),
}
