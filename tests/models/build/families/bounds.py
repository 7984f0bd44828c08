"""How far attnviz may be from transformers in float32, whatever the family."""

ATTENTIONS, HIDDEN_STATES, LOGITS = 2e-5, 1e-4, 2e-4
