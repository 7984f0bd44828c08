from __future__ import annotations

from .shared import BERT, Variant

ENCODER = True
VARIANTS = {
    "camembert": Variant("CamembertForMaskedLM", {**BERT, "type_vocab_size": 1}, "roberta"),
}
