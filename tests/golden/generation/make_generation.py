"""Writes generation.json: what transformers' greedy search makes of tiny checkpoints and settings.

    pip install torch==2.13.0 transformers==5.23.0
    python tests/golden/generation/make_generation.py

The checkpoints are those in tests/golden/families; `settings` is what a generation_config.json
beside them says, or, with `"in": "config.json"`, fields of that.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import warnings
from pathlib import Path

HERE = Path(__file__).parent
FAMILIES = HERE.parent / "families"

PROMPT = [7, 9, 21, 33, 12, 40]

ENDS = [2, *range(13, 29), 31, 36]

RULES = {
    "plain": {},
    "repetition": {"repetition_penalty": 1.7},
    "encoder-repetition": {"encoder_repetition_penalty": 1.5},
    "encoder-repetition-below-1": {"encoder_repetition_penalty": 0.6},
    "ngram": {"no_repeat_ngram_size": 2},
    "ngram-1": {"no_repeat_ngram_size": 1},
    "encoder-ngram": {"encoder_no_repeat_ngram_size": 2},
    "encoder-ngram-1": {"encoder_no_repeat_ngram_size": 1},
    "bad-words": {"bad_words_ids": [[3], [11, 5], [1], [40, 12], [30], [8]]},
    "bias": {"sequence_bias": [[[3], 4.0], [[7, 9], -9.5], [[1], -3.0]]},
    "min-length": {"min_length": 11, "eos_token_id": ENDS},
    "min-new": {"min_new_tokens": 7, "eos_token_id": ENDS},
    "forced": {"forced_bos_token_id": 17, "forced_eos_token_id": 2},
    "forced-several": {"forced_eos_token_id": [5, 2]},
    "ends": {"eos_token_id": ENDS},
    "decay": {"exponential_decay_length_penalty": [2, 1.9], "eos_token_id": [2, 19]},
    "suppress": {"suppress_tokens": [3, 11, 30, 8, 21], "begin_suppress_tokens": [5, 9, 17]},
    "begin": {"begin_suppress_tokens": [17, 8, 3, 21], "forced_bos_token_id": 8},
    "all": {
        "repetition_penalty": 1.2,
        "no_repeat_ngram_size": 3,
        "bad_words_ids": [[3], [11, 5]],
        "min_new_tokens": 4,
        "suppress_tokens": [8],
        "eos_token_id": [2, 19],
        "exponential_decay_length_penalty": [5, 1.2],
        "forced_eos_token_id": 2,
    },
    "sampling": {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "repetition_penalty": 1.3},
    "beams": {"num_beams": 4, "length_penalty": 2.0, "early_stopping": True,
              "no_repeat_ngram_size": 2},
    "limit": {"max_new_tokens": 5, "forced_eos_token_id": 2},
    "total": {"max_length": 9, "forced_eos_token_id": 2},
}  # fmt: skip

MODELS = ("llama", "gpt2", "gpt_neox", "opt", "qwen2", "gemma2", "phi3", "bart", "marian", "t5")

OLDER = ("bart", "t5", "gpt2", "llama")
"""Those whose config.json gets some of the settings instead."""

IN_CONFIG = ("ngram", "bad-words", "forced", "total", "all")


def main() -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    cases = []
    for name in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            for rules, settings in RULES.items():
                for where in ("generation_config.json", "config.json"):
                    if where == "config.json" and not (name in OLDER and rules in IN_CONFIG):
                        continue
                    made = Path(folder) / f"{rules}-{where}"
                    shutil.copytree(FAMILIES / name, made)
                    write(made, settings, where)
                    config = AutoConfig.from_pretrained(made)
                    auto = (
                        AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
                    )
                    model = auto.from_pretrained(made, attn_implementation="eager").eval()
                    limits = (
                        {}
                        if {"max_new_tokens", "max_length"} & settings.keys()
                        else {"max_new_tokens": 13}
                    )
                    with torch.no_grad():
                        ids = model.generate(
                            torch.tensor([PROMPT]), do_sample=False, num_beams=1, **limits
                        )[0].tolist()
                    n_given = 1 if config.is_encoder_decoder else len(PROMPT)
                    cases.append({"model": name, "rules": rules, "in": where, "ids": ids[n_given:]})
                    shutil.rmtree(made)
    lines = ",\n".join(json.dumps(case) for case in cases)
    head = json.dumps({"prompt": PROMPT, "rules": RULES})[:-1]
    (HERE / "generation.json").write_text(f'{head},\n"cases": [\n{lines}\n]}}\n')
    plain = {c["model"]: c["ids"] for c in cases if c["rules"] == "plain"}
    for rules in RULES:
        changed = sum(c["ids"] != plain[c["model"]] for c in cases if c["rules"] == rules)
        print(f"{rules}: {changed} of {sum(c['rules'] == rules for c in cases)} differ from plain")


def write(folder: Path, settings: dict, where: str) -> None:
    """Put the settings where `where` says, beside the ids that the checkpoint has anyway."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    if (config.get("eos_token_id") or config["vocab_size"]) >= config["vocab_size"]:
        config["eos_token_id"] = 2
    ids = {key: config.get(key) for key in ("bos_token_id", "eos_token_id", "pad_token_id",
           "decoder_start_token_id") if config.get(key) is not None}  # fmt: skip
    other = folder / "generation_config.json"
    other.unlink(missing_ok=True)
    path.write_text(json.dumps({**config, **(settings if where == "config.json" else {})}))
    if where != "config.json":
        other.write_text(json.dumps({**ids, **settings}))


if __name__ == "__main__":
    main()
