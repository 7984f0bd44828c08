"""CamemBERT: RoBERTa of French. Source: Martin et al. 2020."""

from __future__ import annotations

from attnviz.models.build.families.roberta import build as build

TOKENIZER = "CamembertTokenizer"
